//! An attribute's specification as a constant, checked while the plugin compiles.

use crate::attribute::{AttributeSpec, ChoiceOption, PlainValue, ValueType};
use crate::duration;

/// [`AttributeSpec`] as a constant.
#[derive(Debug, Clone, Copy)]
pub struct AttributeSpecConst {
    /// The field's name.
    pub key: &'static str,
    /// The first line of its documentation.
    pub label: &'static str,
    /// The rest of its documentation.
    pub help: &'static str,
    /// What may be entered.
    pub value_type: ValueTypeConst,
    /// Whether a value must be there.
    pub required: bool,
    /// Whether it may be changed later.
    pub editable: bool,
    /// The value offered.
    pub default: Option<DefaultConst>,
}

/// [`ValueType`] as a constant.
#[derive(Debug, Clone, Copy)]
pub enum ValueTypeConst {
    /// Free text.
    Text,
    /// A number.
    Number {
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
        /// Whole numbers only.
        integer: bool,
    },
    /// Yes or no.
    Switch,
    /// One of a list of (value, label).
    Choice(&'static [(&'static str, &'static str)]),
    /// An absolute URL.
    Url,
    /// A path.
    FilePath,
    /// A secret.
    Secret,
    /// A span of time.
    Duration {
        /// The shortest, in milliseconds.
        min_ms: Option<u64>,
        /// The longest, in milliseconds.
        max_ms: Option<u64>,
    },
}

/// [`PlainValue`] as a constant.
#[derive(Debug, Clone, Copy)]
pub enum DefaultConst {
    /// A switch.
    Bool(bool),
    /// A whole number, or a duration's milliseconds.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text, a choice, a URL, a path.
    Text(&'static str),
}

impl AttributeSpecConst {
    /// Refuses a default that its own attribute would not take. The derive calls it in a constant, so what is
    /// refused is an error of the compiler's.
    ///
    /// # Panics
    /// When the default is of another type than the attribute, outside its range or not one of its choices.
    #[must_use]
    pub const fn checked(self) -> Self {
        let Some(default) = self.default else { return self };
        match (&self.value_type, default) {
            (ValueTypeConst::Secret, _) => {
                panic!("a secret takes no default: it would stand in the plugin's file for everyone to read")
            }
            (ValueTypeConst::Number { min, max, integer }, DefaultConst::Integer(_) | DefaultConst::Number(_)) => {
                let number = match default {
                    DefaultConst::Integer(number) => number as f64,
                    DefaultConst::Number(number) if *integer => {
                        assert!(number == number as i64 as f64, "the default of a whole number must be whole");
                        number
                    }
                    DefaultConst::Number(number) => number,
                    _ => unreachable!(),
                };
                assert!(above(number, *min) && below(number, *max), "the default is outside the range of its own type");
            }
            (ValueTypeConst::Duration { min_ms, max_ms }, DefaultConst::Integer(ms)) => {
                let within = ms >= 0
                    && match *min_ms {
                        Some(min) => ms as u64 >= min,
                        None => true,
                    }
                    && match *max_ms {
                        Some(max) => ms as u64 <= max,
                        None => true,
                    };
                assert!(within, "the default is outside the range of its own type");
            }
            (ValueTypeConst::Choice(options), DefaultConst::Text(text)) => {
                let (mut at, mut found) = (0, false);
                while at < options.len() {
                    found = found || equal(options[at].0, text);
                    at += 1;
                }
                assert!(found, "the default is not one of the choices");
            }
            (ValueTypeConst::Switch, DefaultConst::Bool(_))
            | (ValueTypeConst::Text | ValueTypeConst::Url | ValueTypeConst::FilePath, DefaultConst::Text(_)) => {}
            _ => panic!("the default is of another type than the field"),
        }
        self
    }

    /// The same specification in the form that is read from a manifest.
    pub fn to_spec(&self) -> AttributeSpec {
        AttributeSpec {
            key: self.key.to_owned(),
            label: self.label.to_owned(),
            help: self.help.to_owned(),
            value_type: self.value_type.to_value_type(),
            required: self.required,
            editable: self.editable,
            default: self.default.map(DefaultConst::to_plain),
        }
    }
}

impl ValueTypeConst {
    /// The same type with a narrower range of numbers. Called in a constant.
    ///
    /// # Panics
    /// When this is no number, or the bounds are beyond what the type can hold.
    #[must_use]
    pub const fn with_range(self, least: Option<f64>, greatest: Option<f64>) -> Self {
        let Self::Number { min, max, integer } = self else {
            panic!("only a number or a duration has a range");
        };
        if let Some(least) = least {
            assert!(above(least, min) && below(least, max), "the least value is more than the field's type can hold");
        }
        if let Some(greatest) = greatest {
            assert!(
                above(greatest, min) && below(greatest, max),
                "the greatest value is more than the field's type can hold"
            );
        }
        Self::Number {
            min: if least.is_some() { least } else { min },
            max: if greatest.is_some() { greatest } else { max },
            integer,
        }
    }

    /// The same type with a range of durations, in milliseconds. Called in a constant.
    ///
    /// # Panics
    /// When this is no duration.
    #[must_use]
    pub const fn with_duration_range(self, min_ms: Option<u64>, max_ms: Option<u64>) -> Self {
        let Self::Duration { .. } = self else {
            panic!("only a duration has a range written as text");
        };
        Self::Duration { min_ms, max_ms }
    }

    /// The same value type in the form that is read from a manifest.
    pub fn to_value_type(&self) -> ValueType {
        match *self {
            Self::Text => ValueType::Text,
            Self::Number { min, max, integer } => ValueType::Number { min, max, integer },
            Self::Switch => ValueType::Switch,
            Self::Choice(options) => ValueType::Choice {
                options: options
                    .iter()
                    .map(|(value, label)| ChoiceOption { value: (*value).to_owned(), label: (*label).to_owned() })
                    .collect(),
            },
            Self::Url => ValueType::Url,
            Self::FilePath => ValueType::FilePath,
            Self::Secret => ValueType::Secret,
            Self::Duration { min_ms, max_ms } => ValueType::Duration { min_ms, max_ms },
        }
    }
}

impl DefaultConst {
    /// A default written as text: a duration's is counted, any other stays text. Called in a constant.
    ///
    /// # Panics
    /// When a duration's text is not one.
    #[must_use]
    pub const fn text_for(value_type: &ValueTypeConst, text: &'static str) -> Self {
        match (value_type, duration::parse_ms(text)) {
            (ValueTypeConst::Duration { .. }, Some(ms)) => Self::Integer(ms as i64),
            (ValueTypeConst::Duration { .. }, None) => {
                panic!("the default is not a duration: write \"30s\", \"5m\", \"1h30m\" or \"250ms\"")
            }
            _ => Self::Text(text),
        }
    }

    /// The same value in the form that is read from a manifest.
    pub fn to_plain(self) -> PlainValue {
        match self {
            Self::Bool(v) => PlainValue::Bool(v),
            Self::Integer(v) => PlainValue::Integer(v),
            Self::Number(v) => PlainValue::Number(v),
            Self::Text(v) => PlainValue::Text(v.to_owned()),
        }
    }
}

const fn above(number: f64, min: Option<f64>) -> bool {
    match min {
        Some(min) => number >= min,
        None => true,
    }
}

const fn below(number: f64, max: Option<f64>) -> bool {
    match max {
        Some(max) => number <= max,
        None => true,
    }
}

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
