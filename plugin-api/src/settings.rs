//! Settings as a struct: the trait that the derive macro implements, and the constant form of an attribute spec.

use crate::attribute::{AttributeSpec, AttributeValues, ChoiceOption, FieldErrors, PlainValue, ValueType};

/// A struct of settings. Implemented by `#[derive(Settings)]`; `()` has none.
pub trait Settings: Sized + 'static {
    /// One spec a field, in the order of the fields, as constants: the export macro writes them into the manifest.
    const SPECS: &'static [AttributeSpecConst];

    /// Parses the values a person gave; a missing one takes its default.
    ///
    /// # Errors
    /// One sentence for each field that is missing or wrong.
    fn from_values(values: &AttributeValues) -> Result<Self, FieldErrors>;
}

impl Settings for () {
    const SPECS: &'static [AttributeSpecConst] = &[];

    fn from_values(_: &AttributeValues) -> Result<Self, FieldErrors> {
        Ok(())
    }
}

/// [`crate::attribute::AttributeSpec`] as a constant.
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

/// [`crate::attribute::ValueType`] as a constant.
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

/// [`crate::attribute::PlainValue`] as a constant.
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
