//! Settings as a struct: the trait that `#[derive(Settings)]` implements, and the reading of one field.
//!
//! ```
//! use std::time::Duration;
//! use gatehouse_plugin_api::{Secret, SettingChoice, Settings, url::Url};
//!
//! #[derive(Settings)]
//! struct HouseSettings {
//!     /// Address of the house
//!     ///
//!     /// What the browser shows when its page is open.
//!     api_base_url: Url,
//!     /// Access token
//!     token: Secret<String>,
//!     /// Time between two looks
//!     #[setting(default = "30s", range = "1s"..="1h")]
//!     look_every: Duration,
//!     /// How to look
//!     #[setting(default = Look::Gently, editable = false)]
//!     look: Look,
//!     /// The rooms to leave out, separated by commas
//!     left_out: Option<String>,
//! }
//!
//! #[derive(SettingChoice)]
//! enum Look {
//!     /// Once in a while
//!     Gently,
//!     /// As often as the house answers
//!     Closely,
//! }
//! # assert_eq!(HouseSettings::SPECS[2].label, "Time between two looks");
//! ```
//!
//! The first line of a field's documentation is its label, the rest its help. A field without a default is required
//! unless it is an `Option`. `#[setting(…)]` takes `required`, `editable = false`, `default = …`, `min = …`, `max = …`
//! and `range = …..=…`; durations are written as text, `"90s"`, `"5m"`, `"1h30m"`.

mod constant;
mod value;

pub use constant::{AttributeSpecConst, DefaultConst, ValueTypeConst};
/// Implements the traits [`SettingChoice`] and [`SettingValue`] for an enum whose variants hold nothing.
///
/// A variant's value is its name in snake_case, or what `#[setting(value = "…")]` says; its label is the first line
/// of its documentation.
pub use gatehouse_plugin_api_macros::SettingChoice;
/// Implements the trait [`Settings`] for a struct; see [the module](crate::settings).
pub use gatehouse_plugin_api_macros::Settings;
#[doc(hidden)]
pub use value::read_choice;
pub use value::{SettingChoice, SettingValue};

use crate::attribute::{AttributeValue, AttributeValues, FieldErrors, PlainValue};

/// A struct of settings. Implemented by `#[derive(Settings)]`; `()` has none.
pub trait Settings: Sized + 'static {
    /// One spec a field, in the order of the fields, as constants: the export macro writes them into the manifest.
    const SPECS: &'static [AttributeSpecConst];

    /// Parses the values a person gave; a missing one takes its default. Values without a field are left alone.
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

/// Reads one field: the value given, or the default. `None` means that a sentence went into `errors`.
#[doc(hidden)]
pub fn read_field<T: SettingValue>(
    spec: &AttributeSpecConst,
    values: &AttributeValues,
    errors: &mut FieldErrors,
) -> Option<T> {
    let default = || spec.default.map(|value| AttributeValue::Plain(value.to_plain()));
    let value = values.get(spec.key).cloned().or_else(default);
    // A field that was emptied in a form arrives as an empty text: for an optional one that is no value.
    let value = if T::OPTIONAL { value.filter(|value| !is_blank(value)) } else { value };
    let read = match &value {
        None if spec.required => Err("needs a value".to_owned()),
        None => T::from_value(None),
        Some(value) => spec.to_spec().check(value).and_then(|()| T::from_value(Some(value))),
    };
    read.map_err(|sentence| errors.insert(spec.key.to_owned(), sentence)).ok()
}

fn is_blank(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::Plain(PlainValue::Text(text)) => text.trim().is_empty(),
        AttributeValue::Secret(secret) => secret.expose().is_empty(),
        AttributeValue::Plain(_) => false,
    }
}
