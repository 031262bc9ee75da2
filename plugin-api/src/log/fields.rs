//! The fields of an event or a span as text, each bounded.

use std::fmt;

use tracing::field::{Field, Visit};

/// The longest text of one field, in bytes.
const FIELD_BYTES: usize = 8 * 1024;
/// The most fields of one event or span.
const FIELD_COUNT: usize = 64;

/// What was recorded, in order.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// The event's constant message; empty for a span.
    pub(super) message: String,
    /// The other fields.
    pub(super) values: Vec<(String, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, mut text: String) {
        if text.len() > FIELD_BYTES {
            text.truncate(text.floor_char_boundary(FIELD_BYTES));
            text.push('…');
        }
        if field.name() == "message" {
            self.message = text;
        } else if let Some(known) = self.values.iter_mut().find(|(name, _)| name == field.name()) {
            known.1 = text;
        } else if self.values.len() < FIELD_COUNT {
            self.values.push((field.name().to_owned(), text));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
