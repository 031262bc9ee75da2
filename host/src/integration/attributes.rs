//! Whether what a person gave fits the attribute specifications, field by field.
//!
//! Sentences never repeat a secret. What holds for a form of a plugin's flow holds for the settings themselves.

use gatehouse_plugin_api::attribute::{
    AttributeSpec, AttributeValue, AttributeValues, FieldErrors, PlainValue, ValueType,
};

use crate::nearest::did_you_mean;

/// The key under which an error stands that belongs to no field.
pub(super) const BASE: &str = "base";

/// What is there already, and what may be done to it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// Nothing: a new integration, or a form of its own.
    Nothing,
    /// The settings so far; any may be replaced (a flow).
    Settings(&'a AttributeValues),
    /// The settings so far; those that are not editable must stay (a change while in use).
    Fixed(&'a AttributeValues),
}

impl<'a> Given<'a> {
    fn value(self, key: &str) -> Option<&'a AttributeValue> {
        match self {
            Self::Nothing => None,
            Self::Settings(values) | Self::Fixed(values) => values.get(key),
        }
    }
}

/// Merges what was given now over what is there and over the defaults, and checks the whole.
///
/// Text given for a field of another kind is read as a person would have typed it. A field that is not text and is
/// given empty is cleared: its default counts, not what it was before. A secret left out or left empty stays what it
/// was, for a form never shows it.
///
/// # Errors
/// One sentence for each field that is unknown, wrong, missing or fixed.
pub(super) fn complete(
    specs: &[AttributeSpec],
    given: &AttributeValues,
    before: Given<'_>,
) -> Result<AttributeValues, FieldErrors> {
    let mut errors = unknown_fields(specs, given);
    let mut whole = AttributeValues::default();
    for spec in specs {
        let default = || spec.default.clone().map(AttributeValue::Plain);
        let value = match given.get(&spec.key) {
            Some(value) if is_cleared(spec, value) => default(),
            Some(value) if !is_kept(value) => match read(spec, value) {
                Ok(value) => Some(value),
                Err(problem) => {
                    errors.insert(spec.key.clone(), problem);
                    continue;
                }
            },
            _ => before.value(&spec.key).cloned().or_else(default),
        };
        match (value, before) {
            (value, Given::Fixed(values))
                if !spec.editable && values.get(&spec.key).is_some_and(|before| Some(before) != value.as_ref()) =>
            {
                errors.insert(
                    spec.key.clone(),
                    "cannot be changed in use: deactivate the integration and activate it anew".to_owned(),
                );
            }
            (Some(value), _) => {
                whole.0.insert(spec.key.clone(), value);
            }
            (None, _) if spec.required => {
                errors.insert(spec.key.clone(), "is required".to_owned());
            }
            (None, _) => {}
        }
    }
    if errors.is_empty() { Ok(whole) } else { Err(errors) }
}

/// The values to offer: what is there (never a secret), else the defaults.
pub(super) fn offered(
    specs: &[AttributeSpec],
    before: Option<&AttributeValues>,
) -> std::collections::BTreeMap<String, PlainValue> {
    specs
        .iter()
        .filter_map(|spec| {
            let there = match before.and_then(|values| values.get(&spec.key)) {
                Some(AttributeValue::Plain(value)) => Some(value.clone()),
                Some(AttributeValue::Secret(_)) => None,
                None => spec.default.clone(),
            };
            there.map(|value| (spec.key.clone(), value))
        })
        .collect()
}

/// Those of the values that one generation knows: of another one some may be left.
pub(super) fn known(specs: &[AttributeSpec], values: &AttributeValues) -> AttributeValues {
    let of_it = |key: &str| specs.iter().any(|spec| spec.key == key);
    AttributeValues(values.0.iter().filter(|(key, _)| of_it(key)).map(|(k, v)| (k.clone(), v.clone())).collect())
}

/// Nothing is wrong.
pub(super) fn none() -> FieldErrors {
    FieldErrors::new()
}

/// One sentence that names every wrong field.
pub(super) fn sentence(errors: &FieldErrors) -> String {
    let problems: Vec<_> = errors
        .iter()
        .map(|(field, problem)| if field == BASE { problem.clone() } else { format!("{field} {problem}") })
        .collect();
    problems.join("; ")
}

fn unknown_fields(specs: &[AttributeSpec], given: &AttributeValues) -> FieldErrors {
    given
        .0
        .keys()
        .filter(|key| !specs.iter().any(|spec| spec.key == **key))
        .map(|key| {
            let known = || specs.iter().map(|spec| spec.key.as_str());
            let mut hint = did_you_mean(key, known());
            if hint.is_empty() {
                hint = match specs {
                    [] => ": there is nothing to set".to_owned(),
                    _ => format!(": there are {}", known().collect::<Vec<_>>().join(", ")),
                };
            }
            (key.clone(), format!("is not known here{hint}"))
        })
        .collect()
}

/// An input field that was emptied.
fn is_cleared(spec: &AttributeSpec, value: &AttributeValue) -> bool {
    let is_text = matches!(spec.value_type, ValueType::Text | ValueType::Unknown);
    matches!(value, AttributeValue::Plain(PlainValue::Text(text)) if text.trim().is_empty() && !is_text)
}

/// The empty input field of a secret.
fn is_kept(value: &AttributeValue) -> bool {
    matches!(value, AttributeValue::Secret(secret) if secret.expose().is_empty())
}

fn read(spec: &AttributeSpec, value: &AttributeValue) -> Result<AttributeValue, String> {
    match value {
        AttributeValue::Plain(PlainValue::Text(text)) if spec.value_type != ValueType::Secret => spec.parse_text(text),
        value => spec.check(value).map(|()| value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::Secret;

    use super::*;

    fn spec(key: &str, value_type: ValueType) -> AttributeSpec {
        AttributeSpec::new(key, key, value_type)
    }

    fn specs() -> Vec<AttributeSpec> {
        vec![
            spec("api_base_url", ValueType::Url),
            spec("token", ValueType::Secret),
            AttributeSpec {
                default: Some(PlainValue::Integer(30)),
                ..spec("interval", ValueType::Number { min: Some(1.0), max: Some(60.0), integer: true })
            },
            AttributeSpec { required: false, editable: false, ..spec("site", ValueType::Text) },
        ]
    }

    fn values(plain: &[(&str, &str)]) -> AttributeValues {
        let mut values = AttributeValues::default();
        for (key, value) in plain {
            values.set_plain(key, PlainValue::Text((*value).to_owned()));
        }
        values
    }

    fn sound() -> AttributeValues {
        let mut given = values(&[("api_base_url", "http://pi:8123"), ("site", "attic")]);
        given.set_secret("token", Secret::new("hunter2".to_owned()));
        given
    }

    #[test]
    fn defaults_fill_what_was_left_out_and_typed_text_becomes_a_value() {
        let whole = complete(&specs(), &sound(), Given::Nothing).expect("sound");
        assert_eq!(whole.get("interval"), Some(&AttributeValue::Plain(PlainValue::Integer(30))));
        let mut given = sound();
        given.set_plain("interval", PlainValue::Text("45".into()));
        let whole = complete(&specs(), &given, Given::Nothing).expect("sound");
        assert_eq!(whole.get("interval"), Some(&AttributeValue::Plain(PlainValue::Integer(45))));
    }

    #[test]
    fn every_wrong_field_has_its_sentence() {
        let given = values(&[("api_base_ulr", "http://pi"), ("token", "shown"), ("interval", "61"), ("zzz", "1")]);
        let errors = complete(&specs(), &given, Given::Nothing).expect_err("wrong");
        for (field, sentence) in [
            ("api_base_ulr", "is not known here: did you mean \"api_base_url\"?"),
            ("zzz", "is not known here: there are api_base_url, token, interval, site"),
            ("api_base_url", "is required"),
            ("token", "is a secret and must be given as one, not as a value that may be shown"),
            ("interval", "61 is not between 1 and 60"),
        ] {
            assert_eq!(errors.get(field).map(String::as_str), Some(sentence), "{field}");
        }
        assert_eq!(errors.len(), 5);
        assert!(!sentence(&errors).contains("hunter2"));
    }

    #[test]
    fn what_is_not_given_again_stays_and_what_is_fixed_cannot_change() {
        let before = complete(&specs(), &sound(), Given::Nothing).expect("sound");
        let mut change = values(&[("interval", "5"), ("site", "attic")]);
        change.set_secret("token", Secret::new(String::new()));
        let after = complete(&specs(), &change, Given::Fixed(&before)).expect("sound");
        assert_eq!(after.get("token"), before.get("token"));
        assert_eq!(after.get("api_base_url"), before.get("api_base_url"));
        let moved = values(&[("site", "cellar")]);
        let errors = complete(&specs(), &moved, Given::Fixed(&before)).expect_err("fixed");
        assert!(errors["site"].starts_with("cannot be changed in use"), "{errors:?}");
        assert!(complete(&specs(), &moved, Given::Settings(&before)).is_ok());
    }

    #[test]
    fn a_field_that_is_emptied_is_cleared_and_not_what_it_was() {
        let mut specs = specs();
        specs.push(AttributeSpec { required: false, ..spec("proxy", ValueType::Url) });
        specs.push(AttributeSpec { required: false, editable: false, ..spec("bridge", ValueType::Url) });
        let mut given = sound();
        for key in ["proxy", "bridge"] {
            given.set_plain(key, PlainValue::Text("http://attic:3128".into()));
        }
        given.set_plain("interval", PlainValue::Integer(5));
        let before = complete(&specs, &given, Given::Nothing).expect("sound");
        let emptied = values(&[("proxy", ""), ("interval", " "), ("site", "")]);
        for given in [Given::Settings(&before), Given::Fixed(&before)] {
            let emptied = if matches!(given, Given::Fixed(_)) {
                values(&[("proxy", ""), ("interval", "")])
            } else {
                emptied.clone()
            };
            let after = complete(&specs, &emptied, given).expect("sound");
            assert_eq!(after.get("proxy"), None);
            assert_eq!(after.get("interval"), Some(&AttributeValue::Plain(PlainValue::Integer(30))));
            assert_eq!(after.get("token"), before.get("token"));
            assert_eq!(after.get("bridge"), before.get("bridge"));
        }
        let errors =
            complete(&specs, &values(&[("api_base_url", "")]), Given::Settings(&before)).expect_err("required");
        assert_eq!(errors["api_base_url"], "is required");
        let errors = complete(&specs, &values(&[("bridge", "")]), Given::Fixed(&before)).expect_err("fixed");
        assert!(errors["bridge"].starts_with("cannot be changed in use"), "{errors:?}");
    }

    #[test]
    fn secrets_are_never_offered() {
        let before = complete(&specs(), &sound(), Given::Nothing).expect("sound");
        let offered = offered(&specs(), Some(&before));
        assert_eq!(offered.keys().map(String::as_str).collect::<Vec<_>>(), ["api_base_url", "interval", "site"]);
    }
}
