//! Files that are replaced, renamed and deleted while their integration runs.

use std::fs;

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use rustix::process::Signal;
use serde_json::json;

/// The plugin with one byte more at its end: other content, the same version.
fn other_content(byte: u8) -> Vec<u8> {
    let mut bytes = fs::read(build::plugin_file("virtual_house")).expect("built");
    bytes.push(byte);
    bytes
}

fn generation(daemon: &Daemon) -> String {
    let view = daemon.wait_state("virtual-house", "running");
    view["generation"].as_str().expect("it runs from a generation").to_owned()
}

fn wait_other_generation(daemon: &Daemon, before: &str) -> String {
    wait_for("another generation to run", || {
        let now = generation(daemon);
        if now == before { Err(now) } else { Ok(now) }
    })
}

#[test]
fn a_replaced_file_runs_without_a_restart_of_the_daemon() {
    let daemon = Daemon::start();
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    let before = generation(&daemon);

    // By rename, as a package tool does.
    let part = daemon.plugins().join(".part");
    fs::write(&part, other_content(1)).expect("written");
    fs::rename(&part, daemon.plugins().join("libvirtual_house.so")).expect("renamed");
    let second = wait_other_generation(&daemon, &before);
    let verdict = daemon.wait_decision("libvirtual_house.so", "accepted");
    assert_eq!(verdict["reason"]["code"], "content_changed", "{verdict}");

    // In place, as `cp` does, over the file that was loaded from.
    fs::write(daemon.plugins().join("libvirtual_house.so"), other_content(2)).expect("overwritten");
    wait_other_generation(&daemon, &second);
    daemon.wait_text("virtual-house:lamp/power", "on");
    daemon.wait_decision("libvirtual_house.so", "accepted");
}

#[test]
fn a_broken_replacement_leaves_the_old_generation_running() {
    let daemon = Daemon::start();
    daemon.with_house();
    let before = generation(&daemon);
    let whole = other_content(1);
    fs::write(daemon.plugins().join("libvirtual_house.so"), &whole[..whole.len() / 3]).expect("overwritten");
    daemon.wait_reason("libvirtual_house.so", "truncated");
    // What a person has is a broken file: the integration says so, and the whole file mends it.
    fs::write(daemon.plugins().join("libvirtual_house.so"), &whole).expect("overwritten");
    daemon.wait_decision("libvirtual_house.so", "accepted");
    wait_other_generation(&daemon, &before);
}

#[test]
fn a_renamed_file_changes_nothing_that_runs() {
    let daemon = Daemon::start();
    daemon.with_house();
    let before = daemon.wait_state("virtual-house", "running");
    fs::rename(daemon.plugins().join("libvirtual_house.so"), daemon.plugins().join("house.so")).expect("renamed");
    daemon.wait_decision("house.so", "accepted");
    daemon.wait_decision("libvirtual_house.so", "gone");
    let after = daemon.wait_state("virtual-house", "running");
    assert_eq!(before["pid"], after["pid"]);
}

#[test]
fn a_deleted_file_stops_its_integration_and_its_return_starts_it() {
    let daemon = Daemon::start();
    daemon.with_house();
    fs::remove_file(daemon.plugins().join("libvirtual_house.so")).expect("deleted");
    let view = daemon.wait_state("virtual-house", "missing");
    assert_eq!(view["desired"], "on", "what is wanted stays: {view}");
    daemon.drop_plugin("virtual_house");
    daemon.wait_state("virtual-house", "running");
}

#[test]
fn a_damaged_file_leaves_what_ran_well_over_a_restart_and_a_deleted_one_does_not() {
    let mut daemon = Daemon::start();
    daemon.with_probe();
    let before = daemon.wait_state("probe", "running")["generation"].clone();
    let (file, part) = (daemon.plugins().join("libprobe_plugin.so"), daemon.plugins().join(".part"));
    let whole = fs::read(&file).expect("the probe's file");
    fs::write(&part, &whole[..5_000]).and_then(|()| fs::rename(&part, &file)).expect("replaced");
    daemon.wait_decision("libprobe_plugin.so", "refused");
    daemon.end(Signal::TERM);
    daemon.serve();
    let now = daemon.wait_state("probe", "running");
    assert_eq!((&now["generation"], &now["reason"]["code"]), (&before, &json!("went_back")), "{now}");

    fs::remove_file(&file).expect("deleted");
    daemon.wait_state("probe", "missing");
    daemon.end(Signal::TERM);
    daemon.serve();
    let now = daemon.wait_state("probe", "missing");
    assert!(now["pid"].is_null(), "{now}");
}
