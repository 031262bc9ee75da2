//! What a person may set.

use std::time::Duration;

use gatehouse_plugin_api::Settings;

/// The house as it is founded, and how fast it lives.
#[derive(Debug, Clone, PartialEq, Settings)]
pub struct Options {
    /// Name of the house
    #[setting(default = "Virtual house")]
    pub name: String,
    /// Number of rooms
    #[setting(default = 3, range = 1..=12, editable = false)]
    pub rooms: u8,
    /// Furnished: a lamp in each room
    #[setting(default = true, editable = false)]
    pub furnished: bool,
    /// How often something may change
    #[setting(default = "1s", range = "100ms"..="1m")]
    pub pace: Duration,
    /// Seed of what happens
    ///
    /// Two houses with the same seed have the same days.
    #[setting(default = 1, editable = false)]
    pub seed: u32,
}
