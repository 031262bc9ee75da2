//! `#[derive(Settings)]` and `#[derive(SettingChoice)]`: what the host is told and what the plugin is given.

use std::path::PathBuf;
use std::time::Duration;

use gatehouse_plugin_api::attribute::{
    AttributeSpec, AttributeValue, AttributeValues, ChoiceOption, PlainValue, ValueType,
};
use gatehouse_plugin_api::settings::ValueTypeConst;
use gatehouse_plugin_api::url::Url;
use gatehouse_plugin_api::{Secret, SettingChoice, SettingValue, Settings};

#[derive(Debug, PartialEq, Settings)]
struct Everything {
    /// Address of the house.
    ///
    /// What the browser shows
    /// when its page is open.
    ///
    /// With its port.
    api_base_url: Url,
    token: Secret<String>,
    #[setting(default = "30s", range = "1s"..="1h", required)]
    poll_every: Duration,
    #[setting(default = 8, min = 1, max = 64, editable = false)]
    threads: u8,
    #[setting(default = 0.5, range = 0..)]
    factor: f32,
    #[setting(default = true)]
    verify: bool,
    #[setting(default = Speed::VeryFast)]
    speed: Speed,
    #[setting(default = "slow")]
    other_speed: Speed,
    /// Log file
    log: Option<PathBuf>,
    r#type: Option<String>,
    hue: Option<Hue>,
    least: i64,
}

#[derive(Debug, PartialEq, Clone, Copy, SettingChoice)]
enum Speed {
    /// As fast as it gets.
    VeryFast,
    #[setting(value = "slow")]
    RatherSlow,
}

/// A type of another crate's, as far as the SDK knows.
#[derive(Debug, PartialEq)]
struct Hue(u16);

impl SettingValue for Hue {
    const VALUE_TYPE: ValueTypeConst = <u16 as SettingValue>::VALUE_TYPE.with_range(None, Some(359.0));

    fn from_value(value: Option<&AttributeValue>) -> Result<Self, String> {
        u16::from_value(value).map(Self)
    }
}

fn spec(key: &str) -> AttributeSpec {
    Everything::SPECS.iter().find(|spec| spec.key == key).expect("a field").to_spec()
}

fn text(value: &str) -> PlainValue {
    PlainValue::Text(value.to_owned())
}

fn least_values() -> AttributeValues {
    let mut values = AttributeValues::default();
    values.set_plain("api_base_url", text("http://pi:8123/"));
    values.set_secret("token", Secret::new("s3cret".to_owned()));
    values.set_plain("least", PlainValue::Integer(-3));
    values
}

#[test]
fn docs_become_label_and_help() {
    let url = spec("api_base_url");
    assert_eq!(url.label, "Address of the house");
    assert_eq!(url.help, "What the browser shows when its page is open.\nWith its port.");
    assert_eq!(spec("token").label, "Token");
    assert_eq!(spec("poll_every").label, "Poll every");
}

#[test]
fn types_and_attributes_become_specifications() {
    let described: Vec<_> = Everything::SPECS
        .iter()
        .map(|spec| {
            let spec = spec.to_spec();
            (spec.key, spec.value_type, spec.required, spec.editable, spec.default)
        })
        .collect();
    let whole = |min, max| ValueType::Number { min, max, integer: true };
    let option = |value: &str, label: &str| ChoiceOption { value: value.into(), label: label.into() };
    let speeds = || ValueType::Choice {
        options: vec![option("very_fast", "As fast as it gets"), option("slow", "Rather slow")],
    };
    let expected = [
        ("api_base_url", ValueType::Url, true, true, None),
        ("token", ValueType::Secret, true, true, None),
        (
            "poll_every",
            ValueType::Duration { min_ms: Some(1000), max_ms: Some(3_600_000) },
            true,
            true,
            Some(PlainValue::Integer(30_000)),
        ),
        ("threads", whole(Some(1.0), Some(64.0)), false, false, Some(PlainValue::Integer(8))),
        (
            "factor",
            ValueType::Number { min: Some(0.0), max: None, integer: false },
            false,
            true,
            Some(PlainValue::Number(0.5)),
        ),
        ("verify", ValueType::Switch, false, true, Some(PlainValue::Bool(true))),
        ("speed", speeds(), false, true, Some(text("very_fast"))),
        ("other_speed", speeds(), false, true, Some(text("slow"))),
        ("log", ValueType::FilePath, false, true, None),
        ("type", ValueType::Text, false, true, None),
        ("hue", whole(Some(0.0), Some(359.0)), false, true, None),
        ("least", whole(None, None), true, true, None),
    ]
    .map(|(key, value_type, required, editable, default)| (key.to_owned(), value_type, required, editable, default));
    assert_eq!(described, expected);
}

#[test]
fn missing_values_take_their_defaults() {
    assert_eq!(
        Everything::from_values(&least_values()),
        Ok(Everything {
            api_base_url: Url::parse("http://pi:8123").expect("valid"),
            token: Secret::new("s3cret".to_owned()),
            poll_every: Duration::from_secs(30),
            threads: 8,
            factor: 0.5,
            verify: true,
            speed: Speed::VeryFast,
            other_speed: Speed::RatherSlow,
            log: None,
            r#type: None,
            hue: None,
            least: -3,
        })
    );
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let mut values = AttributeValues::default();
    values.set_plain("api_base_url", text("pi"));
    values.set_plain("token", text("in clear"));
    values.set_plain("poll_every", PlainValue::Integer(1));
    values.set_plain("threads", PlainValue::Integer(65));
    values.set_plain("speed", text("fast"));
    values.set_plain("hue", PlainValue::Integer(360));
    let errors = Everything::from_values(&values).expect_err("wrong");
    let lines: Vec<_> = errors.iter().map(|(key, sentence)| format!("{key}: {sentence}")).collect();
    assert_eq!(
        lines,
        [
            "api_base_url: \"pi\" is not an absolute URL: begin with the scheme, for example http://pi",
            "hue: 360 is not between 0 and 359",
            "least: needs a value",
            "poll_every: 1ms is not between 1s and 1h",
            "speed: \"fast\" is not one of very_fast, slow",
            "threads: 65 is not between 1 and 64",
            "token: is a secret and must be given as one, not as a value that may be shown",
        ]
    );
}

#[test]
fn an_emptied_optional_field_is_no_value() {
    let mut values = least_values();
    values.set_plain("log", text(""));
    values.set_plain("type", text(" "));
    let settings = Everything::from_values(&values).expect("valid");
    assert_eq!((settings.log, settings.r#type), (None, None));
}

#[test]
fn whole_numbers_arrive_from_json_as_floats_too() {
    let mut values = least_values();
    values.set_plain("threads", PlainValue::Number(4.0));
    assert_eq!(Everything::from_values(&values).expect("valid").threads, 4);
}

#[test]
fn a_secret_is_masked_in_debug_output() {
    let settings = Everything::from_values(&least_values()).expect("valid");
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn choices_know_their_values() {
    assert_eq!(Speed::RatherSlow.as_choice(), "slow");
    assert_eq!(Speed::from_choice("very_fast"), Some(Speed::VeryFast));
    assert_eq!(Speed::from_choice("VeryFast"), None);
}
