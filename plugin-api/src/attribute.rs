//! What an integration needs to be told: the specification of each attribute, and the values a person gave.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::{MASK, Secret};

pub(crate) mod check;

/// One attribute as the manifest declares it: a field of the settings struct, or of a flow's form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttributeSpec {
    /// The `integration_attr_key`: the field's name.
    pub key: String,
    /// What stands beside the input: the first line of the field's documentation.
    pub label: String,
    /// More words, from the rest of the documentation; may be empty.
    #[serde(default)]
    pub help: String,
    /// What may be entered.
    pub value_type: ValueType,
    /// Whether a value must be there before the integration can start.
    #[serde(default)]
    pub required: bool,
    /// Whether it may be changed after activation.
    #[serde(default = "yes")]
    pub editable: bool,
    /// The value offered when there is none. Never there for a secret.
    #[serde(default)]
    pub default: Option<PlainValue>,
}

impl AttributeSpec {
    /// A required, editable attribute without help and without a default: a field of a flow's form, say.
    pub fn new(key: impl Into<String>, label: impl Into<String>, value_type: ValueType) -> Self {
        Self {
            key: key.into(),
            label: label.into(),
            help: String::new(),
            value_type,
            required: true,
            editable: true,
            default: None,
        }
    }
}

fn yes() -> bool {
    true
}

/// What may be entered for an attribute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ValueType {
    /// Free text.
    Text,
    /// A number.
    Number {
        /// The least that may be entered.
        #[serde(default)]
        min: Option<f64>,
        /// The greatest that may be entered.
        #[serde(default)]
        max: Option<f64>,
        /// Whole numbers only.
        #[serde(default)]
        integer: bool,
    },
    /// Yes or no.
    Switch,
    /// One of a list.
    Choice {
        /// The options, in the order to show.
        options: Vec<ChoiceOption>,
    },
    /// An absolute URL.
    Url,
    /// The path of a file or folder on the host's machine.
    FilePath,
    /// Text that is sealed at rest and shown nowhere.
    Secret,
    /// A span of time, kept in milliseconds, entered as `90s`, `5m`, `1h30m`.
    Duration {
        /// The shortest, in milliseconds.
        #[serde(default)]
        min_ms: Option<u64>,
        /// The longest, in milliseconds.
        #[serde(default)]
        max_ms: Option<u64>,
    },
    /// A kind that this side does not know yet; treated as text.
    #[serde(other)]
    Unknown,
}

/// One option of a choice or a menu.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceOption {
    /// What is stored and sent.
    pub value: String,
    /// What a person reads.
    pub label: String,
}

/// A value that may be shown: what an attribute's default, a JSON answer or a database row holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PlainValue {
    /// A switch.
    Bool(bool),
    /// A whole number; a duration's milliseconds.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text, a choice, a URL, a path.
    Text(String),
}

impl fmt::Display for PlainValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(v) => write!(f, "{v}"),
            Self::Integer(v) => write!(f, "{v}"),
            Self::Number(v) => write!(f, "{v}"),
            Self::Text(v) => f.write_str(v),
        }
    }
}

macro_rules! plain_from {
    ($($source:ty => $value:ident: $made:expr;)*) => {$(
        impl From<$source> for PlainValue {
            fn from($value: $source) -> Self {
                $made
            }
        }
    )*};
}
plain_from! {
    bool => value: Self::Bool(value);
    i32 => value: Self::Integer(value.into());
    i64 => value: Self::Integer(value);
    f64 => value: Self::Number(value);
    &str => value: Self::Text(value.to_owned());
    String => value: Self::Text(value);
}

/// The value of one attribute. `Debug` masks a secret; there is no `Serialize`.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue {
    /// A value that may be shown.
    Plain(PlainValue),
    /// A value that may not.
    Secret(Secret<String>),
}

impl AttributeValue {
    /// The value as it may be shown: a secret is masked.
    pub fn shown(&self) -> PlainValue {
        match self {
            Self::Plain(value) => value.clone(),
            Self::Secret(_) => PlainValue::Text(MASK.to_owned()),
        }
    }
}

/// Attribute values by key.
///
/// Serializes into frames only: a human-readable format (JSON, TOML) is refused, because it would show secrets.
/// In a frame each value is a map with one key, `plain` or `secret`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttributeValues(pub BTreeMap<String, AttributeValue>);

impl AttributeValues {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        self.0.get(key)
    }

    /// Sets a value that may be shown.
    pub fn set_plain(&mut self, key: &str, value: PlainValue) {
        self.0.insert(key.to_owned(), AttributeValue::Plain(value));
    }

    /// Sets a secret.
    pub fn set_secret(&mut self, key: &str, value: Secret<String>) {
        self.0.insert(key.to_owned(), AttributeValue::Secret(value));
    }

    /// With a value that may be shown: `AttributeValues::default().with("rooms", 3).with("name", "Cabin")`.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<PlainValue>) -> Self {
        self.set_plain(key, value.into());
        self
    }

    /// With a secret.
    #[must_use]
    pub fn with_secret(mut self, key: &str, value: impl Into<String>) -> Self {
        self.set_secret(key, Secret::new(value.into()));
        self
    }

    /// The values as they may be shown, secrets masked.
    pub fn shown(&self) -> BTreeMap<String, PlainValue> {
        self.0.iter().map(|(key, value)| (key.clone(), value.shown())).collect()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum FrameValueRef<'a> {
    Plain(&'a PlainValue),
    Secret(&'a str),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum FrameValue {
    Plain(PlainValue),
    Secret(String),
}

impl Serialize for AttributeValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Err(S::Error::custom("attribute values travel in frames only: use shown()"));
        }
        serializer.collect_map(self.0.iter().map(|(key, value)| {
            let value = match value {
                AttributeValue::Plain(value) => FrameValueRef::Plain(value),
                AttributeValue::Secret(value) => FrameValueRef::Secret(value.expose()),
            };
            (key, value)
        }))
    }
}

impl<'de> Deserialize<'de> for AttributeValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return Err(D::Error::custom("attribute values travel in frames only"));
        }
        let values = BTreeMap::<String, FrameValue>::deserialize(deserializer)?;
        Ok(Self(
            values
                .into_iter()
                .map(|(key, value)| {
                    let value = match value {
                        FrameValue::Plain(value) => AttributeValue::Plain(value),
                        FrameValue::Secret(value) => AttributeValue::Secret(Secret::new(value)),
                    };
                    (key, value)
                })
                .collect(),
        ))
    }
}

/// What is wrong with which field: key to sentence.
pub type FieldErrors = BTreeMap<String, String>;
