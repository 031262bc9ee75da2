//! A daemon that is killed outright: nothing of it is left behind, and nothing that was acknowledged is lost.

use std::path::Path;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use rustix::process::Signal;
use serde_json::Value;

fn worker(daemon: &Daemon, id: &str) -> i64 {
    daemon.wait_state(id, "running")["pid"].as_i64().expect("a worker")
}

/// Waits until no process has this id, or one that only waits to be collected.
fn wait_end(pid: i64) {
    wait_for(&format!("process {pid} to end"), || {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return Ok(()) };
        if stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
}

fn history(daemon: &Daemon, address: &str) -> Vec<Value> {
    let args = ["state", "history", address, "--since", "1h", "--limit", "10000", "--json"];
    daemon.cli(&args).json()["rows"].as_array().expect("rows").clone()
}

#[test]
fn workers_end_with_a_killed_daemon_and_the_next_one_brings_everything_back() {
    let mut daemon = Daemon::start();
    daemon.with_house();
    daemon.activate_house(&["--id", "cabin"]).ok();
    daemon.activate_house(&["--id", "shed"]).ok();
    daemon.cli(&["integration", "pause", "shed"]).ok();
    daemon.cli(&["control", "cabin:lamp/power", "on"]).ok();
    let workers = [worker(&daemon, "virtual-house"), worker(&daemon, "cabin")];

    daemon.end(Signal::KILL);
    workers.into_iter().for_each(wait_end);
    assert!(daemon.socket().exists(), "the dead daemon's socket is in the way");

    daemon.serve();
    for (id, before) in [("virtual-house", workers[0]), ("cabin", workers[1])] {
        assert_ne!(worker(&daemon, id), before);
    }
    daemon.wait_state("shed", "paused");
    daemon.wait_text("cabin:lamp/power", "on");
    daemon.wait_text("virtual-house:lamp/power", "off");
    daemon.cli(&["control", "cabin:lamp/power", "off"]).ok();
}

#[test]
fn what_was_acknowledged_survives_the_kill() {
    let mut daemon = Daemon::start();
    daemon.with_probe();
    // Answered after the commit: that is the acknowledgment.
    assert!(daemon.ask_probe("probe", &["do=emit", "count=2000"]).contains("emitted 2000"));
    daemon.end(Signal::KILL);
    daemon.serve();
    let rows = history(&daemon, "probe:probe/count");
    let numbers: Vec<f64> = rows.iter().filter_map(|row| row["value"]["number"].as_f64()).collect();
    let wanted: Vec<f64> = (0..2000).map(f64::from).collect();
    assert_eq!(numbers, wanted);
    assert_eq!(daemon.state_text("probe:probe/count"), Ok("1999".to_owned()), "the last value is known at once");
}

#[test]
fn a_kill_in_the_middle_of_writing_leaves_a_whole_database() {
    let mut daemon = Daemon::start();
    daemon.with_probe();
    let mut events = daemon.events("/v1/events?states=1", None);
    let mut flood = daemon.spawn(&["integration", "manage", "probe", "do=emit", "count=200000"]);
    // Readings up to here are committed, and thousands are on their way.
    let committed = events.find("committed", |data| data["sequence"].as_u64() > Some(1_000));
    let committed = committed.data["sequence"].as_u64().expect("a number");
    daemon.end(Signal::KILL);
    flood.wait().expect("it ends with the connection");
    check_whole(&daemon.home().join("gatehouse.db"));

    daemon.serve();
    let rows = history(&daemon, "probe:probe/count");
    // A sequence number counts every reading of this house, of which the first few are the start's own.
    assert!(rows.len() as u64 + 10 >= committed.min(10_000), "{} of {committed}", rows.len());
    let numbers: Vec<f64> = rows.iter().filter_map(|row| row["value"]["number"].as_f64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1.0), "none is lost in between");
}

fn check_whole(database: &Path) {
    let database = rusqlite::Connection::open(database).expect("opened");
    let word: String = database.pragma_query_value(None, "integrity_check", |row| row.get(0)).expect("checked");
    assert_eq!(word, "ok");
}
