//! What one isolated plugin does, its neighbours do not notice: a flood, a loop, a crash, an exit.

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use serde_json::Value;

/// The probe, which misbehaves, and a house beside it.
fn neighbours() -> (Daemon, Value) {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.with_probe();
    let house = daemon.wait_state("virtual-house", "running");
    (daemon, house)
}

/// The house runs in the same worker since the same moment, takes what it is told, and its readings come.
#[track_caller]
fn unhurt(daemon: &Daemon, before: &Value) {
    for brightness in ["20", "40", "60"] {
        daemon.cli(&["control", "virtual-house:lamp/brightness", brightness]).ok();
        daemon.wait_text("virtual-house:lamp/brightness", brightness);
    }
    let now = daemon.wait_state("virtual-house", "running");
    for key in ["pid", "since_ms", "generation", "desired", "reason"] {
        assert_eq!(now[key], before[key], "{key}: {now}");
    }
}

fn pid(daemon: &Daemon) -> Result<u64, String> {
    let probe = daemon.get("/v1/integrations/probe").map_err(|error| error.to_string())?.json();
    probe["pid"].as_u64().ok_or_else(|| probe.to_string())
}

/// Misbehaves in the background; returns once the probe has another worker, with the house looked at all the time.
fn until_another_worker(daemon: &Daemon, house: &Value, what: &[&str]) {
    let first = pid(daemon).expect("it runs");
    let mut asked = daemon.spawn(&[&["integration", "manage", "probe"], what].concat());
    wait_for("another worker of the probe", || {
        unhurt(daemon, house);
        pid(daemon).and_then(|now| if now == first { Err("the same worker".to_owned()) } else { Ok(()) })
    });
    assert!(!asked.wait().expect("it ends").success(), "what was asked of the dead worker failed");
    daemon.wait_state("probe", "running");
}

#[test]
fn a_flood_of_one_plugin_leaves_its_neighbours_as_they_were() {
    let (daemon, house) = neighbours();
    let flood = || daemon.spawn(&["integration", "manage", "probe", "do=emit", "count=1500"]);
    let mut floods = [flood(), flood(), flood()];
    while floods.iter_mut().any(|flood| flood.try_wait().expect("a child").is_none()) {
        unhurt(&daemon, &house);
    }
    unhurt(&daemon, &house);
}

#[test]
fn a_plugin_that_hangs_ends_or_dies_leaves_its_neighbours_as_they_were() {
    let (daemon, house) = neighbours();
    // Its thread answers no heartbeat any more.
    until_another_worker(&daemon, &house, &["do=block", "ms=100000000"]);
    until_another_worker(&daemon, &house, &["do=abort"]);
    until_another_worker(&daemon, &house, &["do=exit", "code=3"]);
    unhurt(&daemon, &house);
}
