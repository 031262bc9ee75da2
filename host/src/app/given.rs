//! From values as they were given to attribute values: the field's specification decides, and secrets become secrets.

use gatehouse_plugin_api::attribute::{
    AttributeSpec, AttributeValue, AttributeValues, FieldErrors, PlainValue, ValueType,
};

use super::view::{GivenValue, GivenValues};
use crate::nearest::did_you_mean;

/// Reads every value by its field's specification. The sentences leave the field's name out and repeat no secret.
pub(super) fn attribute_values(specs: &[AttributeSpec], given: GivenValues) -> Result<AttributeValues, FieldErrors> {
    let mut values = AttributeValues::default();
    let mut errors = FieldErrors::new();
    for (key, value) in given.0 {
        let read = match specs.iter().find(|spec| spec.key == key) {
            Some(spec) => attribute_value(spec, value),
            None => Err(unknown_field(&key, specs)),
        };
        match read {
            Ok(value) => drop(values.0.insert(key, value)),
            Err(problem) => drop(errors.insert(key, problem)),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn attribute_value(spec: &AttributeSpec, value: GivenValue) -> Result<AttributeValue, String> {
    let plain = match value {
        // An input field that was emptied; what that means is for whoever knows the value before.
        GivenValue::Text(text) if text.trim().is_empty() && spec.value_type != ValueType::Secret => {
            return Ok(AttributeValue::Plain(PlainValue::Text(text)));
        }
        GivenValue::Text(text) => return spec.parse_text(&text),
        _ if matches!(spec.value_type, ValueType::Secret) => return Err("is a secret: give it as text".to_owned()),
        GivenValue::Bool(value) => PlainValue::Bool(value),
        GivenValue::Integer(value) => PlainValue::Integer(value),
        GivenValue::Number(value) => PlainValue::Number(value),
    };
    let value = AttributeValue::Plain(plain);
    spec.check(&value).map(|()| value)
}

fn unknown_field(key: &str, specs: &[AttributeSpec]) -> String {
    let keys = || specs.iter().map(|spec| spec.key.as_str());
    let hint = did_you_mean(key, keys());
    if !hint.is_empty() {
        return format!("is not asked for{hint}");
    }
    match specs {
        [] => "is not asked for: nothing is".to_owned(),
        _ => format!("is not asked for: there are {}", keys().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gatehouse_plugin_api::Secret;

    use super::*;

    fn spec(key: &str, value_type: ValueType) -> AttributeSpec {
        AttributeSpec::new(key, key, value_type)
    }

    fn specs() -> Vec<AttributeSpec> {
        vec![
            spec("token", ValueType::Secret),
            spec("every", ValueType::Duration { min_ms: None, max_ms: None }),
            spec("port", ValueType::Number { min: Some(1.0), max: Some(65_535.0), integer: true }),
            spec("dim", ValueType::Switch),
        ]
    }

    fn given(json: &str) -> GivenValues {
        serde_json::from_str(json).expect("values")
    }

    #[test]
    fn each_value_becomes_what_its_field_is() {
        let values = attribute_values(&specs(), given(r#"{"token":"s3cret","every":"5m","port":8123,"dim":"on"}"#));
        let expected = AttributeValues(BTreeMap::from([
            ("token".to_owned(), AttributeValue::Secret(Secret::new("s3cret".to_owned()))),
            ("every".to_owned(), AttributeValue::Plain(PlainValue::Integer(300_000))),
            ("port".to_owned(), AttributeValue::Plain(PlainValue::Integer(8123))),
            ("dim".to_owned(), AttributeValue::Plain(PlainValue::Bool(true))),
        ]));
        assert_eq!(values, Ok(expected));
    }

    #[test]
    fn what_does_not_fit_is_told_by_field() {
        let errors = attribute_values(&specs(), given(r#"{"token":7,"prot":1,"port":70000,"dim":3,"every":"x"}"#))
            .expect_err("refused");
        assert_eq!(errors["token"], "is a secret: give it as text");
        assert_eq!(errors["prot"], "is not asked for: did you mean \"port\"?");
        assert_eq!(errors["port"], "70000 is not between 1 and 65535");
        assert_eq!(errors["dim"], "takes a switch (true or false) and got a whole number");
        assert!(errors["every"].contains("is not a duration"), "{errors:?}");
    }

    #[test]
    fn given_values_show_no_value() {
        let given = given(r#"{"token":"s3cret"}"#);
        assert_eq!(format!("{given:?}"), "{\"token\": \"********\"}");
        assert_eq!(format!("{:?}", given.0["token"]), "********");
    }
}
