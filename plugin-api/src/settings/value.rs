//! The types that a settings field may have, and how each is read from an attribute's value.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::ValueTypeConst;
use crate::attribute::check::parse_url;
use crate::attribute::{AttributeValue, PlainValue};
use crate::secret::Secret;

/// A type that a settings field may have.
///
/// Implement it to let a type of your own join: say which value type a person fills in, and read that.
#[diagnostic::on_unimplemented(
    message = "a settings field cannot be a `{Self}`",
    label = "not a type that a person can fill in",
    note = "Settings fields may be String, a whole number (up to 64 bits), f32, f64, bool, url::Url, PathBuf, Secret<String>, std::time::Duration, an enum with #[derive(SettingChoice)], and an Option of each"
)]
pub trait SettingValue: Sized + 'static {
    /// What may be entered.
    const VALUE_TYPE: ValueTypeConst;
    /// Whether a field of this type may stay without a value. Only `Option` says so.
    const OPTIONAL: bool = false;

    /// Reads the value; the specification was checked before. `None` comes only to an optional type.
    ///
    /// # Errors
    /// A sentence without the field's name.
    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String>;
}

/// An enum that a person chooses from. Implemented by `#[derive(SettingChoice)]`.
pub trait SettingChoice: Sized + 'static {
    /// The choices as (value, label), in the order to show.
    const OPTIONS: &'static [(&'static str, &'static str)];

    /// The variant of a value.
    fn from_choice(value: &str) -> Option<Self>;

    /// The value of this variant.
    fn as_choice(&self) -> &'static str;
}

impl<T: SettingValue> SettingValue for Option<T> {
    const VALUE_TYPE: ValueTypeConst = T::VALUE_TYPE;
    const OPTIONAL: bool = true;

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        value.map(|value| T::from_value(Some(value))).transpose()
    }
}

impl SettingValue for String {
    const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Text;

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        text(value).map(str::to_owned)
    }
}

impl SettingValue for bool {
    const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Switch;

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        match plain(value)? {
            PlainValue::Bool(on) => Ok(*on),
            other => Err(format!("takes a switch and got {other}")),
        }
    }
}

impl SettingValue for Url {
    const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Url;

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        parse_url(text(value)?)
    }
}

impl SettingValue for PathBuf {
    const VALUE_TYPE: ValueTypeConst = ValueTypeConst::FilePath;

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        text(value).map(Self::from)
    }
}

impl SettingValue for Secret<String> {
    const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Secret;

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        match value {
            Some(AttributeValue::Secret(secret)) => Ok(secret.clone()),
            Some(AttributeValue::Plain(_)) => Err("is a secret and must be given as one".to_owned()),
            None => Err(MISSING.to_owned()),
        }
    }
}

impl SettingValue for Duration {
    const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Duration { min_ms: None, max_ms: None };

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        whole(value).map(Self::from_millis)
    }
}

macro_rules! numbers {
    (whole $($type:ty: $min:expr, $max:expr;)*) => { $(
        impl SettingValue for $type {
            const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Number { min: $min, max: $max, integer: true };

            fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
                whole(value)
            }
        }
    )* };
    (any $($type:ty)*) => { $(
        impl SettingValue for $type {
            const VALUE_TYPE: ValueTypeConst = ValueTypeConst::Number { min: None, max: None, integer: false };

            fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
                match plain(value)? {
                    PlainValue::Integer(number) => Ok(*number as $type),
                    PlainValue::Number(number) => Ok(*number as $type),
                    other => Err(format!("takes a number and got {other}")),
                }
            }
        }
    )* };
}

// The bounds of the 64-bit types are beyond what a number of the manifest can tell exactly: reading checks them.
numbers! { whole
    u8: Some(0.0), Some(u8::MAX as f64);
    u16: Some(0.0), Some(u16::MAX as f64);
    u32: Some(0.0), Some(u32::MAX as f64);
    u64: Some(0.0), None;
    usize: Some(0.0), None;
    i8: Some(i8::MIN as f64), Some(i8::MAX as f64);
    i16: Some(i16::MIN as f64), Some(i16::MAX as f64);
    i32: Some(i32::MIN as f64), Some(i32::MAX as f64);
    i64: None, None;
    isize: None, None;
}
numbers! { any f32 f64 }

const MISSING: &str = "needs a value";

fn plain(value: Option<&AttributeValue>) -> Result<&PlainValue, String> {
    match value {
        Some(AttributeValue::Plain(value)) => Ok(value),
        Some(AttributeValue::Secret(_)) => Err("does not take a secret".to_owned()),
        None => Err(MISSING.to_owned()),
    }
}

fn text(value: Option<&AttributeValue>) -> Result<&str, String> {
    match plain(value)? {
        PlainValue::Text(text) => Ok(text),
        other => Err(format!("takes text and got {other}")),
    }
}

fn whole<T: TryFrom<i64>>(value: Option<&AttributeValue>) -> Result<T, String> {
    let number = match plain(value)? {
        PlainValue::Integer(number) => *number,
        // JSON does not tell 5 from 5.0; beyond 2^53 a float no longer names one whole number.
        PlainValue::Number(number) if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 => *number as i64,
        other => return Err(format!("takes a whole number and got {other}")),
    };
    T::try_from(number).map_err(|_| format!("{number} is more than this setting can hold"))
}

/// The variant of a choice's value, for the derive's expansion.
#[doc(hidden)]
pub fn read_choice<T: SettingChoice>(value: Option<&AttributeValue>) -> Result<T, String> {
    let text = text(value)?;
    T::from_choice(text).ok_or_else(|| {
        let values: Vec<_> = T::OPTIONS.iter().map(|(value, _)| *value).collect();
        format!("{text:?} is not one of {}", values.join(", "))
    })
}
