//! Whether a value fits an attribute's specification, and how what a person typed becomes a value.
//!
//! Every sentence leaves out the attribute's name, which the caller has beside it, and never repeats a secret.

use url::Url;

use super::{AttributeSpec, AttributeValue, PlainValue, ValueType};
use crate::duration::{HOW_TO_WRITE, format_ms, parse_ms};
use crate::secret::Secret;

impl AttributeSpec {
    /// Whether `value` may be this attribute's.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is allowed, without the attribute's name.
    pub fn check(&self, value: &AttributeValue) -> Result<(), String> {
        match (&self.value_type, value) {
            (ValueType::Secret, AttributeValue::Secret(secret)) => self.check_filled(secret.expose()),
            (ValueType::Secret, AttributeValue::Plain(_)) => {
                Err("is a secret and must be given as one, not as a value that may be shown".to_owned())
            }
            (_, AttributeValue::Secret(_)) => Err(format!("takes {}, not a secret", self.value_type.words())),
            (_, AttributeValue::Plain(value)) => self.check_plain(value),
        }
    }

    /// Reads a value from what a person typed.
    ///
    /// Switches are `on`, `off`, `yes`, `no`, `true`, `false`; durations `90s`, `5m`, `1h30m`, `250ms`; a choice is
    /// given by its value. Spaces around anything but text and secrets do not count.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is allowed, without the attribute's name.
    pub fn parse_text(&self, text: &str) -> Result<AttributeValue, String> {
        let trimmed = text.trim();
        let plain = match &self.value_type {
            ValueType::Secret => {
                let value = AttributeValue::Secret(Secret::new(text.to_owned()));
                return self.check(&value).map(|()| value);
            }
            ValueType::Text | ValueType::Unknown => PlainValue::Text(text.to_owned()),
            ValueType::Choice { .. } | ValueType::Url | ValueType::FilePath => PlainValue::Text(trimmed.to_owned()),
            ValueType::Switch => PlainValue::Bool(match trimmed.to_ascii_lowercase().as_str() {
                "on" | "yes" | "true" => true,
                "off" | "no" | "false" => false,
                _ => return Err(format!("{text:?} is neither on nor off")),
            }),
            ValueType::Number { integer: true, .. } => match trimmed.parse() {
                Ok(number) => PlainValue::Integer(number),
                Err(_) => return Err(format!("{text:?} is not a whole number")),
            },
            ValueType::Number { .. } => match (trimmed.parse(), trimmed.parse()) {
                (Ok(number), _) => PlainValue::Integer(number),
                (_, Ok(number)) => PlainValue::Number(number),
                _ => return Err(format!("{text:?} is not a number")),
            },
            ValueType::Duration { .. } => match parse_ms(trimmed) {
                Some(ms) => PlainValue::Integer(i64::try_from(ms).unwrap_or(i64::MAX)),
                None => return Err(format!("{text:?} is not a duration: {HOW_TO_WRITE}")),
            },
        };
        self.check_plain(&plain).map(|()| AttributeValue::Plain(plain))
    }

    fn check_plain(&self, value: &PlainValue) -> Result<(), String> {
        match (&self.value_type, value) {
            (ValueType::Text | ValueType::Unknown, PlainValue::Text(text)) => self.check_filled(text),
            (ValueType::Switch, PlainValue::Bool(_)) => Ok(()),
            (ValueType::Number { min, max, .. }, PlainValue::Integer(number)) => {
                check_range(*number as f64, *min, *max)
            }
            (ValueType::Number { min, max, integer }, PlainValue::Number(number)) => {
                if !number.is_finite() {
                    return Err(format!("{number} is not a finite number"));
                }
                if *integer && number.fract() != 0.0 {
                    return Err(format!("{number} is not a whole number"));
                }
                check_range(*number, *min, *max)
            }
            (ValueType::Choice { options }, PlainValue::Text(text)) => {
                if options.iter().any(|option| option.value == *text) {
                    return Ok(());
                }
                let allowed: Vec<_> = options.iter().map(|option| option.value.as_str()).collect();
                Err(format!("{text:?} is not one of {}", allowed.join(", ")))
            }
            (ValueType::Url, PlainValue::Text(text)) => parse_url(text).map(drop),
            (ValueType::FilePath, PlainValue::Text(text)) => check_path(text),
            (ValueType::Duration { min_ms, max_ms }, PlainValue::Integer(ms)) => match u64::try_from(*ms) {
                Ok(ms) => check_duration(ms, *min_ms, *max_ms),
                Err(_) => Err("is less than nothing: a duration cannot be negative".to_owned()),
            },
            (value_type, value) => Err(format!("takes {} and got {}", value_type.words(), value.words())),
        }
    }

    fn check_filled(&self, text: &str) -> Result<(), String> {
        if self.required && text.trim().is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) }
    }
}

/// Reads an absolute URL, with a sentence for the usual slip of leaving the scheme out.
pub(crate) fn parse_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        // `localhost:8123` parses as the scheme "localhost"; an authority tells a real one apart.
        Ok(url) if url.has_authority() => Ok(url),
        Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => {
            Err(format!("{text:?} is not an absolute URL: begin with the scheme, for example http://{text}"))
        }
        Err(error) => Err(format!("{text:?} is not a URL: {error}")),
    }
}

fn check_path(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err("holds a NUL character, which no path can".to_owned());
    }
    if !text.starts_with('/') {
        return Err(format!("{text:?} is not an absolute path: begin with /"));
    }
    Ok(())
}

pub(crate) fn check_range(number: f64, min: Option<f64>, max: Option<f64>) -> Result<(), String> {
    match (min, max) {
        (Some(min), Some(max)) if number < min || number > max => {
            Err(format!("{number} is not between {min} and {max}"))
        }
        (Some(min), _) if number < min => Err(format!("{number} is less than {min}, the least allowed")),
        (_, Some(max)) if number > max => Err(format!("{number} is more than {max}, the most allowed")),
        _ => Ok(()),
    }
}

fn check_duration(ms: u64, min: Option<u64>, max: Option<u64>) -> Result<(), String> {
    let text = format_ms(ms);
    match (min, max) {
        (Some(min), Some(max)) if ms < min || ms > max => {
            Err(format!("{text} is not between {} and {}", format_ms(min), format_ms(max)))
        }
        (Some(min), _) if ms < min => Err(format!("{text} is shorter than {}, the shortest allowed", format_ms(min))),
        (_, Some(max)) if ms > max => Err(format!("{text} is longer than {}, the longest allowed", format_ms(max))),
        _ => Ok(()),
    }
}

impl ValueType {
    /// What is to be given, in words that fit after "takes".
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Text | Self::Unknown => "text",
            Self::Number { integer: true, .. } => "a whole number",
            Self::Number { .. } => "a number",
            Self::Switch => "a switch (true or false)",
            Self::Choice { .. } => "one of its choices, as text",
            Self::Url => "a URL, as text",
            Self::FilePath => "a path, as text",
            Self::Secret => "a secret",
            Self::Duration { .. } => "a duration, as a whole number of milliseconds",
        }
    }
}

impl PlainValue {
    fn words(&self) -> &'static str {
        match self {
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::ChoiceOption;

    fn spec(value_type: ValueType) -> AttributeSpec {
        AttributeSpec::new("x", "X", value_type)
    }

    fn number(min: Option<f64>, max: Option<f64>, integer: bool) -> ValueType {
        ValueType::Number { min, max, integer }
    }

    fn choice() -> ValueType {
        let option = |value: &str| ChoiceOption { value: value.into(), label: value.to_uppercase() };
        ValueType::Choice { options: vec![option("fast"), option("slow")] }
    }

    const DURATION: ValueType = ValueType::Duration { min_ms: Some(1000), max_ms: Some(3_600_000) };

    #[test]
    fn typed_text_becomes_the_value_of_its_type() {
        let text = |t: &str| PlainValue::Text(t.to_owned());
        for (value_type, typed, expected) in [
            (ValueType::Text, " kept as typed ", text(" kept as typed ")),
            (ValueType::Unknown, "anything", text("anything")),
            (number(Some(1.0), Some(10.0), true), " 7 ", PlainValue::Integer(7)),
            (number(None, None, false), "-2.5", PlainValue::Number(-2.5)),
            (ValueType::Switch, "Yes", PlainValue::Bool(true)),
            (ValueType::Switch, "off", PlainValue::Bool(false)),
            (choice(), "slow", text("slow")),
            (ValueType::Url, " http://pi:8123/api ", text("http://pi:8123/api")),
            (ValueType::FilePath, "/var/log", text("/var/log")),
            (DURATION, "1m30s", PlainValue::Integer(90_000)),
        ] {
            assert_eq!(spec(value_type).parse_text(typed), Ok(AttributeValue::Plain(expected)), "{typed}");
        }
        let secret = spec(ValueType::Secret).parse_text(" s3cret ");
        assert_eq!(secret, Ok(AttributeValue::Secret(Secret::new(" s3cret ".to_owned()))));
    }

    #[test]
    fn what_cannot_be_used_is_explained() {
        for (value_type, typed, sentence) in [
            (ValueType::Text, "  ", "must not be empty"),
            (ValueType::Secret, "", "must not be empty"),
            (number(Some(1.0), Some(10.0), true), "11", "11 is not between 1 and 10"),
            (number(Some(1.0), None, true), "0", "0 is less than 1, the least allowed"),
            (number(None, Some(1.5), false), "2", "2 is more than 1.5, the most allowed"),
            (number(None, None, true), "1.5", "\"1.5\" is not a whole number"),
            (number(None, None, false), "many", "\"many\" is not a number"),
            (number(None, None, false), "NaN", "NaN is not a finite number"),
            (ValueType::Switch, "maybe", "\"maybe\" is neither on nor off"),
            (choice(), "FAST", "\"FAST\" is not one of fast, slow"),
            (
                ValueType::Url,
                "pi:8123",
                "\"pi:8123\" is not an absolute URL: begin with the scheme, for example http://pi:8123",
            ),
            (ValueType::Url, "http://", "\"http://\" is not a URL: empty host"),
            (ValueType::FilePath, "log", "\"log\" is not an absolute path: begin with /"),
            (DURATION, "2h", "2h is not between 1s and 1h"),
            (
                DURATION,
                "5",
                "\"5\" is not a duration: write a whole number and its unit (ms, s, m, h, d), for example 30s, 5m, 1h30m or 250ms",
            ),
        ] {
            assert_eq!(spec(value_type).parse_text(typed), Err(sentence.to_owned()), "{typed}");
        }
    }

    #[test]
    fn values_of_another_type_are_refused() {
        let secret = AttributeValue::Secret(Secret::new("hunter2".to_owned()));
        let plain = AttributeValue::Plain(PlainValue::Text("5".to_owned()));
        for (value_type, value, sentence) in [
            (ValueType::Text, &secret, "takes text, not a secret"),
            (ValueType::Secret, &plain, "is a secret and must be given as one, not as a value that may be shown"),
            (number(None, None, true), &plain, "takes a whole number and got text"),
            (DURATION, &plain, "takes a duration, as a whole number of milliseconds and got text"),
        ] {
            assert_eq!(spec(value_type).check(value), Err(sentence.to_owned()));
        }
    }

    #[test]
    fn an_empty_text_is_allowed_where_none_is_required() {
        let spec = AttributeSpec { required: false, ..spec(ValueType::Text) };
        assert!(spec.parse_text("").is_ok());
    }
}
