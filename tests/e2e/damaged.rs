//! A database that is damaged under a running daemon, or before its start.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::user::may_change_user;
use gatehouse_tests::wait::wait_for;
use rustix::process::Signal;
use serde_json::Value;

const PAGE: u64 = 4096;
const READINGS: usize = 3_000;

/// Two integrations, one with a history of some length, and a daemon that has just been started on them.
fn lived_in() -> Daemon {
    let mut daemon = Daemon::prepare(&format!("{QUICK}[history]\ncheck_every_ms = 200\n"));
    daemon.serve();
    daemon.with_probe();
    daemon.with_house();
    daemon.ask_probe("probe", &["do=keep", "key=note", "text=remembered"]);
    daemon.ask_probe("probe", &["do=emit", &format!("count={READINGS}")]);
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    // Everything is in the file itself then.
    daemon.end(Signal::TERM);
    fs::remove_file(daemon.home().join("gatehouse.db.kept")).expect("made while it ran");
    daemon
}

fn kept(daemon: &Daemon) {
    wait_for("a copy of all but the history", || {
        if daemon.home().join("gatehouse.db.kept").exists() { Ok(()) } else { Err("not there") }
    });
}

fn overwrite(daemon: &Daemon, pages: impl Iterator<Item = u64>) {
    let file = File::options().write(true).open(daemon.home().join("gatehouse.db")).expect("there");
    for page in pages {
        file.write_all_at(&[0xa5; PAGE as usize], (page - 1) * PAGE).expect("written");
    }
}

fn pages(daemon: &Daemon) -> u64 {
    fs::metadata(daemon.home().join("gatehouse.db")).expect("there").len() / PAGE
}

fn rescue(daemon: &Daemon) -> String {
    daemon.get("/v1/status").expect("answered").json()["database_rescue"].as_str().expect("a text").to_owned()
}

fn history(daemon: &Daemon) -> Vec<f64> {
    let args = ["state", "history", "probe:probe/count", "--since", "1h", "--limit", "100000", "--json"];
    let page = daemon.cli(&args).json();
    let number = |row: &Value| row["value"]["number"].as_f64().expect("a number");
    page["rows"].as_array().expect("rows").iter().map(number).collect()
}

fn damaged_file(daemon: &Daemon) -> PathBuf {
    let names = fs::read_dir(daemon.home()).expect("a home").map(|entry| entry.expect("an entry").path());
    let is_damaged = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        name.starts_with("gatehouse.db.damaged-") && !name.ends_with("-wal") && !name.ends_with("-shm")
    };
    let files: Vec<_> = names.filter(is_damaged).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

fn workers(daemon: &Daemon) -> [i64; 2] {
    ["probe", "virtual-house"].map(|id| daemon.wait_state(id, "running")["pid"].as_i64().expect("a worker"))
}

#[test]
fn a_database_damaged_in_use_goes_on_as_a_new_one_and_no_plugin_notices() {
    let mut daemon = lived_in();
    daemon.serve();
    let before = workers(&daemon);
    kept(&daemon);
    // Some of it is in the log alone.
    daemon.ask_probe("probe", &["do=emit", "count=100"]);
    let all = pages(&daemon);
    overwrite(&daemon, (2..=all).filter(|page| page.is_multiple_of(2)));

    let told = wait_for("the damage to be found", || match rescue(&daemon) {
        text if text.is_empty() => Err(daemon.log()),
        text => Ok(text),
    });
    let old = damaged_file(&daemon);
    for part in ["found damaged", "goes on as a new one with 2 integrations", "delete it", &*old.to_string_lossy()] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(daemon.get("/v1/status").expect("answered").json()["database_problem"], "");
    let status = daemon.cli(&["status"]).ok().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(status.contains("found damaged"), "{status}");
    let log = daemon.log();
    assert!(log.contains("the database is damaged") && log.contains("go on in a new database"), "{log}");

    // The plugins are the same processes, and everything of theirs goes on.
    assert_eq!(workers(&daemon), before);
    daemon.cli(&["control", "virtual-house:lamp/power", "off"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "off");
    assert!(daemon.ask_probe("probe", &["do=keep", "key=other", "text=new"]).contains("new"));
    daemon.ask_probe("probe", &["do=emit", "count=700"]);
    let rows = history(&daemon);
    let tail: Vec<f64> = (0..700).map(f64::from).collect();
    assert!(rows.ends_with(&tail), "{} readings", rows.len());

    // So it is after a restart, and it is told until the damaged file is deleted.
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    daemon.restart();
    daemon.wait_state("probe", "running");
    daemon.wait_state("virtual-house", "paused");
    assert!(history(&daemon).ends_with(&tail));
    assert_eq!(rescue(&daemon), told);
    fs::remove_file(old).expect("deleted");
    assert_eq!(rescue(&daemon), "");
}

#[test]
fn a_daemon_starts_on_a_database_whose_beginning_is_destroyed() {
    let mut daemon = lived_in();
    daemon.serve();
    kept(&daemon);
    daemon.end(Signal::TERM);
    overwrite(&daemon, 1..=4);
    daemon.serve();
    workers(&daemon);
    daemon.wait_text("virtual-house:lamp/power", "on");
    let wanted: Vec<f64> = (0..READINGS).map(|n| f64::from(u32::try_from(n).expect("small"))).collect();
    assert!(history(&daemon) == wanted, "the history is found without its beginning: {}", history(&daemon).len());
    assert!(rescue(&daemon).contains("2 integrations"), "{}", rescue(&daemon));
    damaged_file(&daemon);
    assert!(daemon.log().contains("what can be read is saved"));
}

#[test]
fn where_no_new_database_can_be_made_it_is_told_and_made_once_it_can() {
    // Root may write anywhere.
    if !may_change_user() {
        return;
    }
    let mut daemon = Daemon::prepare_as(&format!("{QUICK}[history]\ncheck_every_ms = 200\n"), 3_998);
    daemon.serve();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=emit", "count=900"]);
    daemon.restart();
    daemon.wait_state("probe", "running");
    let mode = |mode| fs::set_permissions(daemon.home(), PermissionsExt::from_mode(mode)).expect("chmod");
    mode(0o500);
    let last = pages(&daemon);
    overwrite(&daemon, last - 3..=last);
    let problem = || daemon.get("/v1/status").expect("answered").json()["database_problem"].to_string();
    wait_for("it to be told", || {
        let text = problem();
        if text.contains("saving what can be read of it failed") { Ok(()) } else { Err(text) }
    });
    assert!(
        daemon.cli(&["status"]).ok().replace('\n', " ").contains("saving what can be read"),
        "and where people look"
    );
    assert_eq!(rescue(&daemon), "");
    // What is alive stays alive.
    daemon.cli(&["control", "probe:probe/power", "on"]).ok();
    daemon.wait_text("probe:probe/power", "on");

    mode(0o700);
    wait_for("the new database", || if rescue(&daemon).is_empty() { Err(problem()) } else { Ok(()) });
    assert_eq!(problem(), "\"\"");
    daemon.ask_probe("probe", &["do=emit", "count=70"]);
    assert!(history(&daemon).ends_with(&(0..70).map(f64::from).collect::<Vec<_>>()));
}
