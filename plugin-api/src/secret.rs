//! A value that shows itself nowhere.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// What stands wherever a secret would be shown.
pub const MASK: &str = "********";

/// A secret: masked in `Debug`, without `Serialize` and without `Display`; read it with [`Secret::expose`].
///
/// `Serialize` is left out on purpose: a struct that holds one cannot be written to JSON, a log or a file by accident.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T = String>(T);

impl<T> Secret<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Name the one place that needs it and call this there.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value itself, by value.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}
