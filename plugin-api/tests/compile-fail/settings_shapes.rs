//! What cannot be settings, and what cannot be chosen from.
use gatehouse_plugin_api::{SettingChoice, Settings, url::Url};

#[derive(Settings)]
struct Unnamed(Url, String);

#[derive(Settings)]
struct Generic<T> {
    value: T,
}

#[derive(Settings)]
enum Either {
    This,
    That,
}

#[derive(SettingChoice)]
enum Holding {
    Nothing,
    Something(u8),
}

#[derive(SettingChoice)]
enum Empty {}

#[derive(SettingChoice)]
enum Twice {
    Fast,
    #[setting(value = "fast")]
    Quick,
}

#[derive(SettingChoice)]
struct NoEnum {
    speed: u8,
}

fn main() {}
