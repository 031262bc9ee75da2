//! Every name that identifies something, as a type whose constructor validates it.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// The longest slug, in bytes.
pub const SLUG_MAX_BYTES: usize = 64;
/// The longest name of an entity or state, in bytes.
pub const NAME_MAX_BYTES: usize = 255;

/// A name that cannot be used, with what is wrong about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?} {problem}")]
pub struct BadName {
    /// What the name was meant to be, for example `integration id`.
    pub kind: &'static str,
    /// The name as given.
    pub value: String,
    /// What is wrong and what is allowed.
    pub problem: String,
}

/// What is wrong about a slug, and what is allowed. A `const fn`: the export macro checks ids by it.
pub(crate) const fn slug_problem(value: &str) -> Option<&'static str> {
    let bytes = value.as_bytes();
    if bytes.is_empty() {
        return Some("is empty: use lower-case letters, digits and hyphens");
    }
    if bytes.len() > SLUG_MAX_BYTES {
        return Some("is longer than 64 characters");
    }
    if !bytes[0].is_ascii_lowercase() {
        return Some("must begin with a lower-case letter");
    }
    if bytes[bytes.len() - 1] == b'-' {
        return Some("must not end with a hyphen");
    }
    let mut at = 0;
    while at < bytes.len() {
        if !(bytes[at].is_ascii_lowercase() || bytes[at].is_ascii_digit() || bytes[at] == b'-' || bytes[at] == b'_') {
            return Some("may hold only lower-case letters, digits, hyphens and underscores");
        }
        at += 1;
    }
    None
}

fn slug(kind: &'static str, value: &str) -> Result<String, BadName> {
    match slug_problem(value) {
        None => Ok(value.to_owned()),
        Some(problem) => Err(BadName { kind, value: value.to_owned(), problem: problem.to_owned() }),
    }
}

fn free_name(kind: &'static str, value: &str) -> Result<String, BadName> {
    let bad = |problem: &str| BadName { kind, value: value.to_owned(), problem: problem.to_owned() };
    if value.is_empty() {
        return Err(bad("is empty"));
    }
    if value.len() > NAME_MAX_BYTES {
        return Err(bad("is longer than 255 bytes"));
    }
    if value.chars().any(char::is_control) {
        return Err(bad("holds a control character"));
    }
    Ok(value.to_owned())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Validates the name.
            ///
            /// # Errors
            /// [`BadName`] says what is wrong and what is allowed.
            pub fn new(value: &str) -> Result<Self, BadName> {
                $check($kind, value).map(Self)
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = BadName;
            fn from_str(value: &str) -> Result<Self, BadName> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(value: String) -> Result<Self, BadName> {
                Self::new(&value)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// What a plugin provides: the slug in its manifest (`hass`, `virtual-house`).
    IntegrationType, "integration type", slug
}
name_type! {
    /// One configured instance of an integration type; defaults to the type's slug (`hass`, `hass-cabin`).
    IntegrationId, "integration id", slug
}
name_type! {
    /// The upstream's own identifier of an entity, kept and handed back exactly as spelt, compared lower-cased.
    EntityName, "entity name", free_name
}
name_type! {
    /// The name of one value of an entity (`power`, `brightness`), compared lower-cased.
    StateName, "state name", free_name
}
name_type! {
    /// The key of an attribute (`api_base_url`): the settings struct's field name.
    AttributeKey, "attribute key", slug
}

impl From<IntegrationType> for IntegrationId {
    fn from(value: IntegrationType) -> Self {
        Self(value.0)
    }
}

/// Ties an entity to the upstream thing: the integration and the upstream's name of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntegrationKey {
    /// The integration that knows the thing.
    pub integration_id: IntegrationId,
    /// The upstream's own name of it.
    pub integration_name: EntityName,
}

/// Percent-encoded inside an address part: what would end the part, and `%` itself.
const PART: &AsciiSet = &CONTROLS.add(b'/').add(b'%');

/// `INTEGRATION:ENTITY`, written `virtual-house:lamp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityAddress {
    /// The integration.
    pub integration: IntegrationId,
    /// The entity's name within it.
    pub entity: EntityName,
}

/// `INTEGRATION:ENTITY/STATE`, written `virtual-house:lamp/power`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StateAddress {
    /// The entity.
    pub entity: EntityAddress,
    /// The state's name within it.
    pub state: StateName,
}

impl fmt::Display for EntityAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.integration, utf8_percent_encode(self.entity.as_str(), PART))
    }
}

impl fmt::Display for StateAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.entity, utf8_percent_encode(self.state.as_str(), PART))
    }
}

fn decode_part(address: &str, part: &str) -> Result<String, BadName> {
    percent_decode_str(part).decode_utf8().map(Into::into).map_err(|_| BadName {
        kind: "address",
        value: address.to_owned(),
        problem: "holds a percent-encoding that is not UTF-8".to_owned(),
    })
}

impl FromStr for EntityAddress {
    type Err = BadName;
    fn from_str(address: &str) -> Result<Self, BadName> {
        let (integration, entity) = address.split_once(':').ok_or_else(|| BadName {
            kind: "entity address",
            value: address.to_owned(),
            problem: "has no ':': write INTEGRATION:ENTITY, for example virtual-house:lamp".to_owned(),
        })?;
        Ok(Self {
            integration: IntegrationId::new(integration)?,
            entity: EntityName::new(&decode_part(address, entity)?)?,
        })
    }
}

impl FromStr for StateAddress {
    type Err = BadName;
    fn from_str(address: &str) -> Result<Self, BadName> {
        let (entity, state) = address.rsplit_once('/').ok_or_else(|| BadName {
            kind: "state address",
            value: address.to_owned(),
            problem: "has no '/': write INTEGRATION:ENTITY/STATE, for example virtual-house:lamp/power".to_owned(),
        })?;
        Ok(Self { entity: entity.parse()?, state: StateName::new(&decode_part(address, state)?)? })
    }
}

macro_rules! address_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(value: String) -> Result<Self, BadName> {
                value.parse()
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}
address_text!(EntityAddress);
address_text!(StateAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_split_at_first_colon_and_last_slash() {
        let address: StateAddress = "hass:light.kitchen/brightness".parse().expect("valid");
        assert_eq!(address.entity.integration.as_str(), "hass");
        assert_eq!(address.entity.entity.as_str(), "light.kitchen");
        assert_eq!(address.state.as_str(), "brightness");
    }

    #[test]
    fn address_parts_survive_slashes_percents_and_colons() {
        let address = StateAddress {
            entity: EntityAddress {
                integration: IntegrationId::new("mqtt").expect("valid"),
                entity: EntityName::new("home/50%/a:b").expect("valid"),
            },
            state: StateName::new("on/off").expect("valid"),
        };
        assert_eq!(address.to_string(), "mqtt:home%2F50%25%2Fa:b/on%2Foff");
        assert_eq!(address.to_string().parse::<StateAddress>().expect("round trip"), address);
    }

    #[test]
    fn bad_slugs_say_what_is_allowed() {
        for (value, part) in [("", "empty"), ("Hass", "lower-case"), ("a b", "only lower-case"), ("a-", "hyphen")] {
            let error = IntegrationId::new(value).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
