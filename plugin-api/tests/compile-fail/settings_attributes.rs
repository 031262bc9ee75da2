//! Attributes that do not fit their field.
use std::time::Duration;

use gatehouse_plugin_api::{Secret, Settings, url::Url};

#[derive(Settings)]
struct House {
    #[setting(default = "hunter2")]
    token: Secret<String>,
    #[setting(range = 1..=5)]
    name: String,
    #[setting(default = 99, range = 1..=64)]
    threads: u8,
    #[setting(default = "5 minutes")]
    wait: Duration,
    #[setting(default = "2h", max = "1h")]
    patience: Duration,
    #[setting(default = 30)]
    look_every: Duration,
    #[setting(default = "yes")]
    verify: bool,
    #[setting(default = "pi:8123")]
    address: Url,
    #[setting(range = 1..10)]
    floor: u8,
    #[setting(min = 9, max = 3)]
    rooms: u8,
    #[setting(min = 1, range = 1..=3)]
    doors: u8,
    #[setting(requird)]
    lamps: u8,
    #[setting(required)]
    garden: Option<String>,
    #[setting(default = 1)]
    garages: Option<u8>,
}

fn main() {}
