//! The values an entity state can have, and the value kinds that a state declares.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest text of a reading, in bytes: 64 KiB. A longer one is refused and counted.
pub const TEXT_MAX_BYTES: usize = 64 * 1024;

/// One value of one entity state.
///
/// In JSON and MessagePack a map with one key: `{"number": 21.5}`, `{"on_off": true}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A finite number, in the unit that the state declares.
    Number(f64),
    /// Free text, of at most [`TEXT_MAX_BYTES`].
    Text(String),
    /// On (`true`) or off.
    OnOff(bool),
    /// One of the options that the state declares.
    Choice(String),
    /// Something that happened (`pressed`, `motion`): every one is kept in the history, equal or not.
    Event(String),
    /// A moment, in milliseconds since 1970-01-01 UTC.
    TimestampMs(i64),
}

impl Value {
    /// The value kind's word, as in [`StateKind::word`].
    pub fn kind_word(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::OnOff(_) => "on_off",
            Self::Choice(_) => "choice",
            Self::Event(_) => "event",
            Self::TimestampMs(_) => "timestamp",
        }
    }

    /// How many bytes its text has; 0 for what is no text.
    pub fn text_bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Choice(text) | Self::Event(text) => text.len(),
            Self::Number(_) | Self::OnOff(_) | Self::TimestampMs(_) => 0,
        }
    }
}

/// The value alone, without unit: `21.5`, `on`, `pressed`, milliseconds for a timestamp.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => write!(f, "{n}"),
            Self::Text(t) | Self::Choice(t) | Self::Event(t) => f.write_str(t),
            Self::OnOff(on) => f.write_str(if *on { "on" } else { "off" }),
            Self::TimestampMs(ms) => write!(f, "{ms}"),
        }
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Self::Number(v)
    }
}
impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::OnOff(v)
    }
}
impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}
impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}

/// What values a state can have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StateKind {
    /// A number.
    Number {
        /// The unit as printed (`°C`, `%`, `W`, `B/s`); empty for a bare number.
        #[serde(default)]
        unit: String,
        /// The least value that may be set.
        #[serde(default)]
        min: Option<f64>,
        /// The greatest value that may be set.
        #[serde(default)]
        max: Option<f64>,
    },
    /// Free text.
    Text,
    /// On or off.
    OnOff,
    /// One of a list.
    Choice {
        /// The options, in the order to show.
        options: Vec<String>,
    },
    /// Something that happens.
    Event {
        /// The events there are; empty when any text may come.
        #[serde(default)]
        events: Vec<String>,
    },
    /// A moment in time.
    Timestamp,
}

impl StateKind {
    /// The kind's word: `number`, `text`, `on_off`, `choice`, `event`, `timestamp`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Number { .. } => "number",
            Self::Text => "text",
            Self::OnOff => "on_off",
            Self::Choice { .. } => "choice",
            Self::Event { .. } => "event",
            Self::Timestamp => "timestamp",
        }
    }

    /// A number with a unit and no bounds.
    pub fn number(unit: &str) -> Self {
        Self::Number { unit: unit.to_owned(), min: None, max: None }
    }

    /// Whether `value` is one of this kind's, and if not, a sentence that says why.
    ///
    /// # Errors
    /// The sentence, without the state's name.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Number { min, max, .. }, Value::Number(n)) => {
                if !n.is_finite() {
                    return Err(format!("{n} is not a finite number"));
                }
                match (min, max) {
                    (Some(min), _) if n < min => Err(format!("{n} is below the least value {min}")),
                    (_, Some(max)) if n > max => Err(format!("{n} is above the greatest value {max}")),
                    _ => Ok(()),
                }
            }
            (Self::Text, Value::Text(_))
            | (Self::OnOff, Value::OnOff(_))
            | (Self::Timestamp, Value::TimestampMs(_)) => Ok(()),
            (Self::Choice { options }, Value::Choice(v)) if options.contains(v) => Ok(()),
            (Self::Choice { options }, Value::Choice(v)) => Err(format!("{v:?} is not one of {}", options.join(", "))),
            (Self::Event { events }, Value::Event(v)) if events.is_empty() || events.contains(v) => Ok(()),
            (Self::Event { events }, Value::Event(v)) => Err(match events.as_slice() {
                [only] => format!("{v:?} is not the event that it knows: {only}"),
                _ => format!("{v:?} is not one of the events {}", events.join(", ")),
            }),
            (kind, value) => Err(format!("takes {} and got {}", kind.word(), value.kind_word())),
        }
    }

    /// Reads a value of this kind from what a person typed.
    ///
    /// # Errors
    /// A sentence that says what is allowed, without the state's name.
    pub fn parse(&self, text: &str) -> Result<Value, String> {
        let value = match self {
            Self::Number { unit, .. } => {
                let number = text.trim().trim_end_matches(unit.as_str()).trim();
                Value::Number(number.parse().map_err(|_| format!("{text:?} is not a number"))?)
            }
            Self::Text => Value::Text(text.to_owned()),
            Self::OnOff => match text.trim().to_ascii_lowercase().as_str() {
                "on" | "true" | "1" | "yes" => Value::OnOff(true),
                "off" | "false" | "0" | "no" => Value::OnOff(false),
                _ => return Err(format!("{text:?} is neither on nor off")),
            },
            Self::Choice { .. } => Value::Choice(text.to_owned()),
            Self::Event { .. } => Value::Event(text.to_owned()),
            Self::Timestamp => Value::TimestampMs(
                text.trim().parse().map_err(|_| format!("{text:?} is not a time in milliseconds since 1970"))?,
            ),
        };
        self.check(&value)?;
        Ok(value)
    }
}
