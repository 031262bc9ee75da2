//! A dropped plugin lives: activated, watched, controlled, paused, restarted, deactivated.

use std::io::{BufRead, BufReader};

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn the_quick_start_from_drop_to_light() {
    let daemon = Daemon::start();
    let activated = daemon.with_house();
    assert!(activated.stdout.contains("stands"), "the plugin's own last word is shown: {}", activated.stdout);
    assert!(daemon.log().contains("virtual-house"), "serve announced it");

    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "on");
    assert!(daemon.cli(&["state", "get", "virtual-house:lamp/power"]).ok().contains("on"));

    let listed = daemon.cli(&["integration", "list", "--json"]).json();
    assert_eq!(listed[0]["id"], "virtual-house", "{listed}");
    let shown = daemon.cli(&["integration", "show", "virtual-house"]);
    assert!(shown.ok().contains("stands"), "the message of the activation is kept: {}", shown.stdout);
}

#[test]
fn system_monitor_shows_this_machine() {
    let daemon = Daemon::start();
    daemon.drop_plugin("system_monitor");
    daemon.cli(&["integration", "activate", "system-monitor", "--yes"]).ok();
    daemon.wait_state("system-monitor", "running");
    let states = wait_for("readings of this machine", || {
        let states = daemon.cli(&["state", "get", "--json"]).json();
        let have = |name: &str| {
            states.as_array().is_some_and(|all| {
                all.iter().any(|s| s["address"].as_str().is_some_and(|a| a.contains(name)) && !s["value"].is_null())
            })
        };
        if have("memory") && have("uptime") { Ok(states) } else { Err(states.to_string()) }
    });
    assert!(states.as_array().is_some_and(|all| all.len() > 5), "{states}");
}

#[test]
fn watching_prints_each_change_as_one_json_object_a_line() {
    let daemon = Daemon::start();
    daemon.with_house();
    let mut watch = daemon.spawn(&["state", "watch", "virtual-house:lamp/power", "--json"]);
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    // The first line is the value that is there; then the change comes.
    let first: Value = serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON");
    assert!(first["address"].as_str().is_some_and(|a| a.ends_with("lamp/power")), "{first}");
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    let changed = lines.map_while(Result::ok).any(|line| {
        let line: Value = serde_json::from_str(&line).unwrap_or_default();
        line["value"]["on_off"] == true
    });
    assert!(changed);
    watch.kill().expect("it runs");
    watch.wait().expect("it ends");
}

#[test]
fn what_a_person_wants_and_set_survives_a_restart() {
    let mut daemon = Daemon::start();
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "on");
    daemon.restart();
    daemon.wait_state("virtual-house", "running");
    daemon.wait_text("virtual-house:lamp/power", "on");

    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    daemon.restart();
    daemon.wait_state("virtual-house", "paused");
    let refused = daemon.cli(&["control", "virtual-house:lamp/power", "off"]);
    assert!(refused.failed(1).contains("paused"), "{}", refused.stderr);
    daemon.cli(&["integration", "resume", "virtual-house"]).ok();
    daemon.wait_state("virtual-house", "running");
    daemon.cli(&["control", "virtual-house:lamp/power", "off"]).ok();
}

#[test]
fn wrong_controls_say_what_is_wrong() {
    let daemon = Daemon::start();
    daemon.with_house();
    let fails = |args: &[&str], part: &str| {
        let ran = daemon.cli(args);
        assert!(ran.failed(1).contains(part), "{args:?}: {}", ran.stderr);
    };
    fails(&["control", "virtual-house:lamp/powr", "on"], "virtual-house:lamp has power");
    fails(&["control", "virtual-house:meter/power", "5"], "virtual-house:meter/power");
    fails(&["control", "virtual-house:thermostat/target", "99"], "30");
    fails(&["control", "virtual-house:lamp/power", "maybe"], "maybe");
    fails(&["control", "nowhere:lamp/power", "on"], "nowhere");
}

#[test]
fn wrong_settings_are_told_by_field_and_nothing_is_made() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let refused = daemon.activate_house(&["--set", "rooms=99"]);
    assert!(refused.failed(1).contains("rooms"), "{}", refused.stderr);
    let unknown = daemon.activate_house(&["--set", "romms=3"]);
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.contains("romms"), "{}", unknown.stderr);
    let listed = daemon.cli(&["integration", "list", "--json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
}

#[test]
fn a_killed_worker_is_noticed_and_started_again() {
    let daemon = Daemon::start();
    daemon.with_house();
    let before = daemon.wait_state("virtual-house", "running")["pid"].as_i64().expect("a worker");
    let pid = Pid::from_raw(i32::try_from(before).expect("a pid")).expect("not zero");
    kill_process(pid, Signal::KILL).expect("the worker is there");
    wait_for("another worker", || {
        let view = daemon.get("/v1/integrations/virtual-house").map_err(|e| e.to_string())?.json();
        let pid = view["pid"].as_i64();
        if view["actual"]["state"] == "running" && pid.is_some_and(|p| p != before) {
            Ok(())
        } else {
            Err(view.to_string())
        }
    });
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
}

#[test]
fn two_houses_of_one_type_live_side_by_side() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.activate_house(&["--id", "cabin"]).ok();
    daemon.wait_state("cabin", "running");
    daemon.cli(&["control", "cabin:lamp/power", "on"]).ok();
    daemon.wait_text("cabin:lamp/power", "on");
    assert_eq!(daemon.state_text("virtual-house:lamp/power"), Ok("off".to_owned()));
    let again = daemon.activate_house(&["--id", "cabin"]);
    assert!(!again.stderr.is_empty() && again.code != 0, "the id is taken: {again:?}");
}

#[test]
fn deactivation_keeps_history_and_activation_brings_it_back() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "on");
    daemon.cli(&["integration", "deactivate", "virtual-house", "--safe", "--yes"]).ok();
    daemon.wait_state("virtual-house", "off");
    daemon.activate_house(&[]).ok();
    daemon.wait_state("virtual-house", "running");
    let history = daemon.cli(&["state", "history", "virtual-house:lamp/power", "--since", "1h", "--json"]);
    assert!(history.ok().contains("true"), "the light of before is remembered: {}", history.stdout);

    daemon.cli(&["integration", "deactivate", "virtual-house", "--purge", "--yes"]).ok();
    wait_for("it to be gone", || {
        let answer = daemon.get("/v1/integrations/virtual-house").map_err(|e| e.to_string())?;
        if answer.status == 404 { Ok(()) } else { Err(answer.body) }
    });
}

#[test]
fn pages_of_the_plugin_are_shown_and_posted_to() {
    let daemon = Daemon::start();
    daemon.with_house();
    let page = daemon.cli(&["integration", "manage", "virtual-house", "--html"]);
    assert!(page.ok().contains("<"), "{}", page.stdout);
    let text = daemon.cli(&["integration", "manage", "virtual-house"]);
    assert!(!text.ok().contains("<html"), "{}", text.stdout);
}
