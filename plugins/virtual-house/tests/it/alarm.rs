//! The alarm: there with a code, armed and disarmed by it, and silent about it.

use gatehouse_plugin_api::Value;
use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Attributes, SettingsOutcome};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::serde_json::Value as Json;
use gatehouse_plugin_api::testing::House;
use virtual_house::VirtualHouse;

use crate::{furnished, started};

const CODE: &str = "4711-falcon";

fn guarded() -> AttributeValues {
    AttributeValues::default().with_secret("alarm_code", CODE)
}

fn wait_armed(house: &House, armed: bool) {
    house.wait_for("the alarm is told", |house| house.state("alarm", "armed") == Some(Value::OnOff(armed)));
}

#[test]
fn the_code_arms_and_disarms() {
    let house = started(guarded());
    wait_armed(&house, false);
    assert_eq!(house.control("alarm", "code", CODE).expect("right").value, None);
    wait_armed(&house, true);
    house.control("Alarm", "Code", CODE).expect("right");
    wait_armed(&house, false);
    assert_eq!(house.control("alarm", "armed", true).expect_err("only sensed").code, ErrorCode::Refused);
}

#[test]
fn a_wrong_code_changes_nothing_and_is_not_repeated() {
    let house = started(guarded());
    let typed = "4711-falkon";
    let error = house.control("alarm", "code", typed).expect_err("wrong");
    assert_eq!(error.code, ErrorCode::Refused);
    let said = format!("{error:?} {error}");
    assert!(said.contains("not the code") && !said.contains(CODE) && !said.contains(typed), "{said}");
    house.wait_for("it is told", |house| house.state("alarm", "armed").is_some());
    assert_eq!(house.state("alarm", "armed"), Some(Value::OnOff(false)));
}

#[test]
fn the_code_shows_nowhere() {
    let house = started(guarded());
    house.control("alarm", "code", CODE).expect("right");
    house.control("alarm", "code", "falcon-wrong").expect_err("wrong");
    house.wait_for("it is kept", |house| house.kv::<Json>("house").is_some_and(|kept| kept["armed"] == true));
    let shown = [
        format!("{:?}", house.logs()),
        format!("{:?}", house.readings()),
        format!("{:?}", house.entities()),
        format!("{:?}", house.kv::<Json>("house")),
        format!("{:?}", house.page(&[]).expect("a page")),
        format!("{:?}", house.page(&[("page", "lamps")]).expect("a page")),
        format!("{:?}", house.diagnostics().expect("answers")),
    ];
    for text in shown {
        assert!(!text.contains("falcon"), "{text}");
    }
}

#[test]
fn without_a_code_there_is_no_alarm() {
    let house = furnished();
    assert!(house.entity("alarm").is_none());
    let change = |values| {
        house.call::<SettingsOutcome>(&ops::SETTINGS_CHANGED, &Attributes { attributes: values }).expect("answers")
    };
    assert_eq!(change(guarded()), SettingsOutcome::Applied);
    wait_armed(&house, false);
    assert_eq!(change(AttributeValues::default()), SettingsOutcome::Applied);
    assert!(house.entity("alarm").is_none());
    assert_eq!(change(guarded()), SettingsOutcome::Applied);
    wait_armed(&house, false);
}

#[test]
fn an_armed_alarm_stays_armed_over_a_restart_and_goes_with_its_code() {
    let mut house = started(guarded());
    house.control("alarm", "code", CODE).expect("right");
    house.stop().expect("stops");
    house.reopen::<VirtualHouse>().expect("opens");
    house.start(guarded()).expect("starts");
    wait_armed(&house, true);
    house.stop().expect("stops");
    house.reopen::<VirtualHouse>().expect("opens");
    house.start(()).expect("starts");
    assert!(house.entity("alarm").is_none());
    assert!(house.entity("lamp").is_some());
}
