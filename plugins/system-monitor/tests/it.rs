//! The plugin in a house in memory, on the machine's real counters.

use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::flow::{FlowReply, StepKind};
use gatehouse_plugin_api::message::{Attributes, HealthStatus, SettingsOutcome};
use gatehouse_plugin_api::testing::House;
use gatehouse_plugin_api::{Value, ops};
use system_monitor::SystemMonitor;

fn started(values: AttributeValues) -> House {
    let house = House::builder().integration_id("system-monitor").open::<SystemMonitor>();
    house.start(values).expect("starts");
    house
}

fn number(house: &House, entity: &str, state: &str) -> f64 {
    house.number(entity, state).unwrap_or_else(|| panic!("{entity}/{state} has no number"))
}

#[test]
fn the_machine_is_measured_with_plausible_relations() {
    let house = started(AttributeValues::default().with("each_core", true));
    house.wait_for("the first measurement arrived", |house| house.number("memory", "total").is_some());
    assert!(number(&house, "machine", "uptime") > 0.0);
    let Some(Value::TimestampMs(started)) = house.state("machine", "started") else { panic!("no start") };
    assert!(started > 1_500_000_000_000);
    assert!(number(&house, "memory", "used") > 0.0);
    for entity in house.entities().iter().filter(|entity| matches!(entity.entity_type.as_str(), "memory" | "disk")) {
        let name = entity.name.as_str();
        let (used, free, total) =
            (number(&house, name, "used"), number(&house, name, "free"), number(&house, name, "total"));
        assert!(used <= total && free <= total, "{name}: {used} used, {free} free, {total} in all");
        assert!((number(&house, name, "usage") - used / total * 100.0).abs() < 0.01);
    }
    assert!(number(&house, "processor", "load-1") >= 0.0);
    assert_eq!(house.refused(), Vec::<String>::new());
    assert_eq!(house.health().status, HealthStatus::Healthy);
}

#[test]
fn rates_come_with_the_second_measurement_and_then_at_the_interval() {
    let values =
        AttributeValues::default().with("interval", 10_000).with("each_core", true).with("only_interfaces", "lo");
    let house = started(values);
    house.wait_for("the first measurement arrived", |house| house.number("network-lo", "received").is_some());
    assert_eq!(house.number("processor", "usage"), None);
    house.advance(Duration::from_millis(500));
    house.wait_for("a use of the processor", |house| house.number("processor", "usage").is_some());
    let usage = number(&house, "processor", "usage");
    assert!((0.0..=100.0).contains(&usage), "{usage}");
    assert!(number(&house, "processor", "core-0") <= 100.0);
    house.wait_for("a rate", |house| house.number("network-lo", "receiving").is_some_and(|rate| rate >= 0.0));

    let count = |house: &House| {
        house.readings().iter().filter(|r| r.entity.as_str() == "machine" && r.state.as_str() == "uptime").count()
    };
    house.wait_for("the second is complete", |house| count(house) == 2);
    house.advance(Duration::from_millis(9_900));
    assert_eq!(count(&house), 2);
    house.advance(Duration::from_millis(100));
    house.wait_for("the third", |house| count(house) == 3);
    house.stop().expect("stops");
    house.advance(Duration::from_secs(60));
    assert_eq!(count(&house), 3, "nothing is measured after the stop");
}

#[test]
fn groups_are_chosen_and_changed_while_running() {
    let house = started(
        AttributeValues::default()
            .with("network", false)
            .with("temperatures", false)
            .with("processor", false)
            .with("only_disks", "/no/such/mount"),
    );
    let names = |house: &House| house.entities().iter().map(|entity| entity.name.to_string()).collect::<Vec<_>>();
    assert!(names(&house).contains(&"memory".to_owned()));
    assert!(!names(&house).iter().any(|name| name.starts_with("disk") || name.starts_with("network")));

    let values = AttributeValues::default().with("memory", false).with("disks", false).with("only_interfaces", "lo");
    let outcome = house.call::<SettingsOutcome>(&ops::SETTINGS_CHANGED, &Attributes { attributes: values });
    assert_eq!(outcome.expect("applied"), SettingsOutcome::Applied);
    let after = names(&house);
    assert!(after.contains(&"processor".to_owned()) && after.contains(&"network-lo".to_owned()), "{after:?}");
    assert!(!after.contains(&"memory".to_owned()), "{after:?}");
}

#[test]
fn wrong_settings_are_told_by_field() {
    let house = House::open::<SystemMonitor>();
    let error = house.start(AttributeValues::default().with("interval", 1)).expect_err("too short");
    assert_eq!(error.code, ErrorCode::BadConfiguration);
    assert!(error.fields.contains_key("interval"), "{error:?}");
}

#[test]
fn activation_asks_once_and_says_what_is_watched() {
    let house = House::open::<SystemMonitor>();
    let mut flow = house.activation();
    flow.begin().expect("a form");
    let StepKind::Form { fields, .. } = &flow.step().kind else { panic!("no form") };
    assert_eq!(fields.iter().find(|field| field.key == "interval").expect("there").label, "How often to measure");
    flow.fill(AttributeValues::default().with("interval", 1)).expect("the form again");
    let StepKind::Form { errors, .. } = &flow.step().kind else { panic!("no form") };
    assert!(errors.contains_key("interval"));
    let FlowReply::Done(done) = flow.fill(AttributeValues::default().with("interval", 2_000)).expect("done") else {
        panic!("not done")
    };
    assert!(done.info_message.starts_with("Watches this machine's uptime, processor, memory"), "{}", done.info_message);
    assert!(done.info_message.ends_with("every 2s."), "{}", done.info_message);
    house.start(done.attributes.clone()).expect("starts with what the flow gave");
}

#[test]
fn a_restart_measures_again() {
    let mut house = started(AttributeValues::default());
    house.stop().expect("stops");
    house.reopen::<SystemMonitor>().expect("opens");
    house.start(AttributeValues::default()).expect("starts again");
    let cycles = house.diagnostics().expect("answers")["cycles"].as_u64();
    assert_eq!(cycles, Some(1));
}
