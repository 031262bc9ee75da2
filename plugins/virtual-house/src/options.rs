//! What a person may set.

use std::path::PathBuf;
use std::time::Duration;

use gatehouse_plugin_api::url::Url;
use gatehouse_plugin_api::{Secret, SettingChoice, Settings};

/// The house as it is founded, how fast it lives, and what belongs to it.
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
    /// Season
    ///
    /// How warm it is outside, and so how much the heating takes.
    #[setting(default = Season::Summer)]
    pub season: Season,
    /// How often something may change
    #[setting(default = "1s", range = "100ms"..="1m")]
    pub pace: Duration,
    /// Website of the house
    ///
    /// Its page of the rooms links there. An address that begins with http:// or https://.
    pub website: Option<Url>,
    /// Picture of the house
    ///
    /// The absolute path of a PNG or JPEG file of at most 5 MiB: the image of the entity house.
    pub picture: Option<PathBuf>,
    /// Code of the alarm
    ///
    /// With a code the house has an alarm, which the code arms and disarms.
    pub alarm_code: Option<Secret<String>>,
    /// Seed of what happens
    ///
    /// Two houses with the same seed have the same days.
    #[setting(default = 1, editable = false)]
    pub seed: u32,
}

/// What time of the year it always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, SettingChoice)]
pub enum Season {
    /// Spring
    Spring,
    /// Summer
    Summer,
    /// Autumn
    Autumn,
    /// Winter
    Winter,
}

impl Options {
    /// The website, when it is one that a link may lead to: a `javascript:` address would run in the page itself.
    pub(crate) fn link(&self) -> Option<&Url> {
        self.website.as_ref().filter(|url| matches!(url.scheme(), "http" | "https"))
    }
}
