//! What a plugin says to help find a fault, without what is secret.
//!
//! Two ways to know a secret: by its value, because the host keeps every secret of the integration, and by the name of
//! the field that it stands in, because an upstream has secrets that the host never saw.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use gatehouse_plugin_api::attribute::AttributeValue;
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::Diagnostics;
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::secret::MASK;
use serde_json::Value;

use super::OperationError;
use super::asking::ask;
use super::registry::Registry;
use super::view::IntegrationView;
use crate::store::{KvSpace, Store, StoreError};

/// A secret that is shorter is found only where it stands alone: hidden everywhere, it would hide everything.
const PART_MIN_BYTES: usize = 4;
/// Names that say that a secret follows.
const SECRET_NAMES: [&str; 7] = ["secret", "token", "password", "passwd", "passphrase", "credential", "authorization"];
/// Levels of data that are looked into; deeper ones are left out.
const DEPTH_MAX: usize = 64;

/// An integration, and what its plugin says of itself.
#[derive(Debug)]
pub struct DiagnosticsFound {
    /// The integration.
    pub view: Arc<IntegrationView>,
    /// What the plugin said, redacted.
    pub data: Option<Value>,
    /// Why it said nothing, redacted; empty when it did.
    pub problem: String,
    /// What else is shown with it must go through this.
    pub redaction: Redaction,
}

/// Asks the plugin, if it runs. Why there is no answer stands in the place of the answer.
pub(super) async fn collect(registry: &Registry, id: &IntegrationId) -> Result<DiagnosticsFound, OperationError> {
    let integration = registry.find(id)?;
    let asked = ask::<Diagnostics>(registry, id, &ops::DIAGNOSTICS, &(), "it was asked for its diagnostics").await;
    // Read after the question: a token that the plugin got to answer it is known as well.
    let redaction = Redaction::new(secrets(registry, id).await?);
    let view = integration.view();
    let (data, problem) = match asked {
        Ok(Diagnostics { data }) => (Some(redaction.by_name_and_value(data)), String::new()),
        Err(error) => (None, redaction.text(&error.to_string())),
    };
    Ok(DiagnosticsFound { view, data, problem, redaction })
}

/// Every secret of an integration: those that a person gave, and those that its plugin got by itself.
async fn secrets(registry: &Registry, id: &IntegrationId) -> Result<Vec<String>, OperationError> {
    let settings = registry.find(id)?.settings();
    let given = settings.0.values().filter_map(|value| match value {
        AttributeValue::Secret(secret) => Some(secret.expose().clone()),
        AttributeValue::Plain(_) => None,
    });
    let mut secrets: Vec<_> = given.collect();
    secrets.extend(own_secrets(&registry.base().store, id).await?);
    Ok(secrets)
}

/// As above, by what the database has of an integration, which need not be there any more.
pub(super) async fn kept_secrets(store: &Store, id: &IntegrationId) -> Result<Vec<String>, StoreError> {
    let rows = store.integration_list().await?;
    let settings = rows.into_iter().find(|row| row.id == *id).map(|row| row.attributes).unwrap_or_default();
    let given = settings.0.values().filter_map(|value| match value {
        AttributeValue::Secret(secret) => Some(secret.expose().clone()),
        AttributeValue::Plain(_) => None,
    });
    let mut secrets: Vec<_> = given.collect();
    secrets.extend(own_secrets(store, id).await?);
    Ok(secrets)
}

/// What its plugin got by itself.
async fn own_secrets(store: &Store, id: &IntegrationId) -> Result<Vec<String>, StoreError> {
    let mut secrets = Vec::new();
    for key in store.kv_keys(id, KvSpace::Secrets, "").await? {
        let kept = store.kv_get(id, KvSpace::Secrets, &key).await?;
        secrets.extend(kept.and_then(|bytes| String::from_utf8(bytes).ok()));
    }
    Ok(secrets)
}

/// Hides secrets in what is shown.
pub struct Redaction {
    /// Every secret in every form in which it may stand in a text, the longest first.
    forms: Vec<String>,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("forms", &self.forms.len()).finish()
    }
}

impl Redaction {
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut forms: Vec<_> = secrets.into_iter().filter(|secret| !secret.is_empty()).flat_map(forms).collect();
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// A text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            if text == *form {
                return MASK.to_owned();
            }
            if form.len() >= PART_MIN_BYTES && text.contains(form.as_str()) {
                text = text.replace(form.as_str(), MASK);
            }
        }
        text
    }

    /// Data without secrets that the host knows, and without fields whose name says that they are secret.
    pub fn by_name_and_value(&self, data: Value) -> Value {
        self.redacted(data, true, 0)
    }

    fn redacted(&self, data: Value, by_name: bool, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::String("…".to_owned());
        }
        let inner = |value| self.redacted(value, by_name, depth + 1);
        match data {
            Value::String(text) => Value::String(self.text(&text)),
            Value::Number(number) if self.forms.contains(&number.to_string()) => Value::String(MASK.to_owned()),
            Value::Array(items) => Value::Array(items.into_iter().map(inner).collect()),
            Value::Object(fields) => {
                let field = |(name, value): (String, Value)| {
                    let hidden = by_name && says_secret(&name) && may_hold_one(&value);
                    let value = if hidden { Value::String(MASK.to_owned()) } else { inner(value) };
                    (self.text(&name), value)
                };
                Value::Object(fields.into_iter().map(field).collect())
            }
            other => other,
        }
    }
}

/// A secret as it is, in a URL, in a JSON text, and in base64.
fn forms(secret: String) -> Vec<String> {
    let encoded = percent_encoding::utf8_percent_encode(&secret, percent_encoding::NON_ALPHANUMERIC).to_string();
    let as_query: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let quoted = Value::String(secret.clone()).to_string();
    let as_json = quoted[1..quoted.len() - 1].to_owned();
    let standard = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&secret);
    let for_urls = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&secret);
    vec![secret, encoded, as_query, as_json, standard, for_urls]
}

/// Whether a field's name says that its value is secret.
fn says_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    if SECRET_NAMES.iter().any(|word| lower.contains(word)) || lower.ends_with("key") || lower.ends_with("keys") {
        return true;
    }
    // `key` alone is part of too many words.
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.iter().any(|word| word == "key" || word == "keys")
}

/// Nothing, yes, no and an empty text tell whether there is a secret, and not which.
fn may_hold_one(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(_)) && value.as_str() != Some("")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(secrets: &[&str]) -> Redaction {
        Redaction::new(secrets.iter().map(|secret| (*secret).to_owned()))
    }

    #[test]
    fn names_that_say_secret_hide_what_follows() {
        for name in [
            "token",
            "accessToken",
            "API_KEY",
            "apikey",
            "key",
            "keys",
            "ssh-key-file",
            "privateKeyPem",
            "Password",
            "client_secret",
            "Authorization",
            "wifi passphrase",
        ] {
            assert!(says_secret(name), "{name}");
        }
        for name in ["keyboard", "monkeys_in_zoo", "url", "keyed", "lamps", "hockey_team"] {
            assert!(!says_secret(name), "{name}");
        }
        let data = json!({
            "token": "abc", "nested": [{"password": {"value": "x"}, "key": 12}], "has_token": true, "old_token": null,
            "empty_secret": "", "rooms": 3,
        });
        assert_eq!(
            of(&[]).by_name_and_value(data),
            json!({
                "token": MASK, "nested": [{"password": MASK, "key": MASK}], "has_token": true, "old_token": null,
                "empty_secret": "", "rooms": 3,
            })
        );
    }

    #[test]
    fn known_secrets_are_hidden_wherever_they_stand() {
        let redaction = of(&["hunter 2/\"x\"", "4711", "ab"]);
        let data = json!({
            "url": "http://pi/?auth=hunter+2%2F%22x%22", "path": "hunter%202%2F%22x%22",
            "said": r#"{"auth":"hunter 2/\"x\""}"#, "basic": "aHVudGVyIDIvIngi", "pin": 4711, "pin_text": "is 4711.",
            "hunter 2/\"x\"": 1, "short": "ab", "word": "able", "deep": [[["hunter 2/\"x\""]]],
        });
        let told = redaction.redacted(data, false, 0);
        assert_eq!(
            told,
            json!({
                "url": format!("http://pi/?auth={MASK}"), "path": MASK, "said": format!(r#"{{"auth":"{MASK}"}}"#),
                "basic": MASK, "pin": MASK, "pin_text": format!("is {MASK}."), MASK: 1, "short": MASK, "word": "able",
                "deep": [[[MASK]]],
            })
        );
        assert!(!format!("{redaction:?}").contains("4711"));
    }

    #[test]
    fn what_is_too_deep_is_left_out() {
        let mut data = json!("bottom");
        for _ in 0..1_000 {
            data = json!([data]);
        }
        let text = of(&[]).by_name_and_value(data).to_string();
        assert!(text.contains('…') && !text.contains("bottom"), "{text}");
    }
}
