//! What the house declares, tells, takes and keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Attributes, SettingsOutcome};
use gatehouse_plugin_api::serde_json::Value as Json;
use gatehouse_plugin_api::testing::House;
use gatehouse_plugin_api::{Value, ops};
use virtual_house::VirtualHouse;

use crate::{furnished, started};

const MINUTE: Duration = Duration::from_secs(60);

fn names(house: &House) -> Vec<String> {
    house.entities().iter().map(|entity| entity.name.to_string()).collect()
}

#[test]
fn every_kind_of_value_comes_within_a_day() {
    let house = started(AttributeValues::default().with("pace", 60_000));
    for _ in 0..24 * 60 {
        house.advance(MINUTE);
    }
    let kinds: BTreeSet<_> = house.readings().iter().map(|reading| reading.value.kind_word()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["choice", "event", "number", "on_off", "text", "timestamp"]);
    assert_eq!(house.refused(), Vec::<String>::new());
    let energy: Vec<f64> = house
        .readings()
        .iter()
        .filter(|reading| reading.entity.as_str() == "meter" && reading.state.as_str() == "energy")
        .map(|reading| if let Value::Number(kwh) = reading.value { kwh } else { f64::NAN })
        .collect();
    assert!(energy.windows(2).all(|pair| pair[0] <= pair[1]), "the counter only grows");
    let day = energy.last().expect("told");
    assert!((8.0..40.0).contains(day), "{day} kWh");
}

#[test]
fn lamps_are_set_and_dimmed() {
    let house = furnished();
    assert_eq!(house.control("lamp", "power", true).expect("set").value, Some(Value::OnOff(true)));
    assert_eq!(house.state("lamp", "power"), Some(Value::OnOff(true)));
    house.wait_for("the status", |house| {
        house.state("house", "status") == Some(Value::Text("1 of 3 lamps on, the door is closed.".into()))
    });
    house.control("lamp", "brightness", 0.0).expect("set");
    house.wait_for("turned down is off", |house| house.state("lamp", "power") == Some(Value::OnOff(false)));
    house.control("LAMP", "Colour", Value::Choice("blue".into())).expect("names are compared lower-cased");
    assert_eq!(house.state("lamp", "colour"), Some(Value::Choice("blue".into())));
    let error = house.control("lamp", "colour", Value::Choice("pink".into())).expect_err("no such colour");
    assert_eq!(error.code, ErrorCode::Refused);
}

#[test]
fn the_thermostat_warms_the_house() {
    let house = started(AttributeValues::default().with("pace", 60_000));
    house.control("thermostat", "target", 24.0).expect("set");
    assert_eq!(house.control("thermostat", "target", 99.0).expect_err("too warm").code, ErrorCode::Refused);
    house.wait_for("it is told", |house| house.number("thermostat", "temperature").is_some());
    let before = house.number("thermostat", "temperature").expect("told");
    for _ in 0..120 {
        house.advance(MINUTE);
    }
    assert!(house.number("thermostat", "temperature").expect("told") > before + 3.0);
    assert!(house.number("meter", "power").expect("told") > 100.0);
}

#[test]
fn the_bell_rings_when_it_is_pressed() {
    let house = furnished();
    house.control("door", "bell", Value::Event("ring".into())).expect("rings");
    let rings = || house.readings().iter().filter(|reading| reading.state.as_str() == "bell").count();
    assert_eq!(rings(), 1);
    house.wait_for("the time is told", |house| {
        house.state("door", "last-ring") == Some(Value::TimestampMs(house.now_ms()))
    });
    assert_eq!(house.control("door", "open", true).expect_err("only sensed").code, ErrorCode::Refused);
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let mut house = furnished();
    house.control("lamp-2", "power", true).expect("set");
    house.control("house", "note", "back at five").expect("set");
    house.wait_for("both are kept", |house| {
        house.kv::<Json>("house").is_some_and(|kept| kept["note"] == "back at five" && kept["lamps"][1]["on"] == true)
    });
    let before = house.diagnostics().expect("answers")["watt_hours"].as_f64();
    // Without a stop: the process was killed.
    house.reopen::<VirtualHouse>().expect("opens");
    house.start(AttributeValues::default()).expect("starts");
    house.wait_for("the lamp is still on", |house| house.state("lamp-2", "power") == Some(Value::OnOff(true)));
    assert_eq!(house.state("house", "note"), Some(Value::Text("back at five".into())));
    assert!(house.diagnostics().expect("answers")["watt_hours"].as_f64() >= before);
    house.stop().expect("stops");
}

#[test]
fn another_founding_is_another_house() {
    let mut house = furnished();
    assert!(names(&house).contains(&"lamp-3".to_owned()));
    house.stop().expect("stops");
    house.reopen::<VirtualHouse>().expect("opens");
    house.start(AttributeValues::default().with("rooms", 1)).expect("starts");
    let lamps: Vec<_> = names(&house).into_iter().filter(|name| name.starts_with("lamp")).collect();
    assert_eq!(lamps, ["lamp"]);
}

#[test]
fn an_empty_house_has_no_lamps() {
    let house = started(AttributeValues::default().with("furnished", false));
    assert_eq!(names(&house), ["door", "door-camera", "house", "meter", "motion", "thermostat"]);
}

#[test]
fn nothing_happens_after_the_stop() {
    let house = furnished();
    house.advance(MINUTE);
    house.stop().expect("stops");
    let before = house.readings().len();
    house.advance(Duration::from_secs(3600));
    assert_eq!(house.readings().len(), before);
    assert_eq!(house.committed(), before);
}

#[test]
fn the_season_drives_the_meter() {
    let evening = |season: &str| {
        let house = started(AttributeValues::default().with("season", season).with("pace", 60_000));
        house.advance(MINUTE);
        house.wait_for("the load is told", |house| house.number("meter", "power").is_some());
        house.number("meter", "power").expect("told")
    };
    assert!(evening("winter") > evening("summer") + 300.0);
}

#[test]
fn the_name_changes_live_and_the_founding_by_a_restart() {
    let house = furnished();
    let change = |values: AttributeValues| {
        house.call::<SettingsOutcome>(&ops::SETTINGS_CHANGED, &Attributes { attributes: values }).expect("answers")
    };
    assert_eq!(change(AttributeValues::default().with("name", "Cabin")), SettingsOutcome::Applied);
    assert_eq!(house.entity("house").expect("there").label, "Cabin");
    assert_eq!(change(AttributeValues::default().with("rooms", 5)), SettingsOutcome::Restart);
}
