//! The stream of what changes: taken up again within one boot without a gap, and from the full state after it.

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::events::Events;
use serde_json::Value;

fn is_count(data: &Value) -> bool {
    data["address"] == "probe:probe/count"
}

/// Reads numbers of the probe up to `last`, then on to a token behind it.
fn numbers_to(events: &mut Events, last: f64) -> (Vec<f64>, String) {
    let mut numbers = Vec::new();
    let mut sequence = 0;
    loop {
        let event = events.next().expect("the stream goes on");
        if event.name == "state" && is_count(&event.data) {
            numbers.push(event.data["value"]["number"].as_f64().expect("a number"));
            sequence = event.data["sequence"].as_u64().expect("a number");
        }
        let behind = event.name == "committed" && event.data["sequence"].as_u64() >= Some(sequence);
        if behind && numbers.last() == Some(&last) {
            return (numbers, event.id.expect("a token"));
        }
    }
}

#[test]
fn a_token_of_this_boot_goes_on_without_gap_or_double() {
    let daemon = Daemon::start();
    daemon.with_probe();
    let mut events = daemon.events("/v1/events?states=1", None);
    assert_eq!(events.next().expect("an event").name, "reset");
    daemon.ask_probe("probe", &["do=emit", "count=50"]);
    let (seen, token) = numbers_to(&mut events, 49.0);
    assert_eq!(seen, (0..50).map(f64::from).collect::<Vec<_>>());
    drop(events);

    // What happened while nobody listened comes first, then what happens.
    daemon.ask_probe("probe", &["do=emit", "count=30"]);
    let mut events = daemon.events("/v1/events?states=1", Some(&token));
    let (missed, token) = numbers_to(&mut events, 29.0);
    daemon.ask_probe("probe", &["do=emit", "count=20"]);
    let (live, later) = numbers_to(&mut events, 19.0);
    assert_eq!(missed, (0..30).map(f64::from).collect::<Vec<_>>());
    assert_eq!(live, (0..20).map(f64::from).collect::<Vec<_>>());

    // The same token again says the same again, and the parameter is the header's equal.
    let again = daemon.events(&format!("/v1/events?states=1&resume={token}"), None);
    let again = { again }.take_while(|event| event.id.as_deref() != Some(&later)).filter(|event| is_count(&event.data));
    assert_eq!(again.count(), 20);
}

#[test]
fn a_token_of_an_earlier_boot_gets_a_reset_and_the_full_state() {
    let mut daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=emit", "count=10"]);
    let mut events = daemon.events("/v1/events?states=1", None);
    let (_, token) = numbers_to(&mut events, 9.0);
    daemon.cli(&["control", "probe:probe/power", "on"]).ok();
    events.find("state", |data| data["address"] == "probe:probe/power");

    daemon.restart();
    // The old stream ended in order.
    assert!(events.all(|event| event.name != "lagged"));
    daemon.wait_state("probe", "running");
    let mut events = daemon.events("/v1/events?states=1", Some(&token));
    assert_eq!(events.next().expect("an event").name, "reset");
    let mut full = Vec::new();
    for event in &mut events {
        if event.name == "committed" {
            break;
        }
        full.push((event.data["address"].as_str().expect("text").to_owned(), event.data["value"].clone()));
    }
    full.sort_by(|a, b| a.0.cmp(&b.0));
    let wanted = [
        ("probe:probe/count", serde_json::json!({"number": 9.0})),
        ("probe:probe/power", serde_json::json!({"on_off": true})),
    ];
    assert_eq!(full, wanted.map(|(address, value)| (address.to_owned(), value)));
    // And it goes on.
    daemon.ask_probe("probe", &["do=emit", "count=3"]);
    assert_eq!(numbers_to(&mut events, 2.0).0, [0.0, 1.0, 2.0]);
}

#[test]
fn a_stream_follows_files_and_integrations_too() {
    let daemon = Daemon::start();
    let mut events = daemon.events("/v1/events?lifecycle=1&plugins=1", None);
    daemon.with_probe();
    events.find("plugin", |data| data["change"] == "available" && data["integration_type"] == "probe");
    events.find("lifecycle", |data| data["integration"]["actual"]["state"] == "running");
    daemon.cli(&["integration", "pause", "probe"]).ok();
    events.find("lifecycle", |data| data["integration"]["actual"]["state"] == "paused");
    std::fs::remove_file(daemon.plugins().join("libprobe_plugin.so")).expect("deleted");
    events.find("plugin", |data| data["change"] == "unavailable");
    daemon.cli(&["integration", "deactivate", "probe", "--purge", "--yes"]).ok();
    events.find("lifecycle", |data| data["id"] == "probe" && data["integration"].is_null());
}
