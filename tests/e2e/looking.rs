//! Looking back and along: history as a table, CSV and JSON; the log as it comes.

use std::io::{BufRead, BufReader};

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use serde_json::Value;

fn history(daemon: &Daemon, address: &str, more: &[&str]) -> String {
    let mut args = vec!["state", "history", address, "--since", "1h"];
    args.extend(more);
    daemon.cli(&args).ok().to_owned()
}

#[test]
fn history_is_a_table_with_a_drawing_or_csv_or_json() {
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=emit", "count=9"]);
    let address = "probe:probe/count";
    let text = history(&daemon, address, &[]);
    assert!(text.contains("9 readings, 0 to 8, mean 4"), "{text}");
    assert!(text.contains(['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']), "a drawing: {text}");
    assert!(text.contains("TIME") && text.contains("VALUE"), "{text}");

    let csv = history(&daemon, address, &["--csv"]);
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("time,value"));
    let values: Vec<_> = lines.map(|line| line.rsplit(',').next().expect("a value").to_owned()).collect();
    assert_eq!(values, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);

    let json: Value = serde_json::from_str(&history(&daemon, address, &["--json", "--limit", "2"])).expect("JSON");
    let newest: Vec<_> =
        json["rows"].as_array().expect("rows").iter().map(|row| row["value"]["number"].clone()).collect();
    assert_eq!(newest, [7.0, 8.0], "the newest ones, oldest first: {json}");

    // A switch: how long it was on.
    daemon.cli(&["control", "probe:probe/power", "on"]).ok();
    daemon.cli(&["control", "probe:probe/power", "off"]).ok();
    wait_for("two readings of the switch", || {
        let text = history(&daemon, "probe:probe/power", &[]);
        if text.contains("2 readings, on for") { Ok(()) } else { Err(text) }
    });
    let mistyped = daemon.cli(&["state", "history", "probe:probe/cont"]);
    assert!(mistyped.failed(1).contains("count"), "{}", mistyped.stderr);
}

#[test]
fn an_unchanged_value_fills_no_history_and_refreshes_when_it_was_seen() {
    let daemon = Daemon::start();
    daemon.with_probe();
    let seen = || daemon.get("/v1/states/probe:probe%2Fcount").expect("answered").json()["last_seen_ms"].clone();
    daemon.ask_probe("probe", &["do=emit", "count=1"]);
    let first = seen();
    // The same value, until the clock has moved on.
    wait_for("a later look", || {
        daemon.ask_probe("probe", &["do=emit", "count=1"]);
        if seen().as_i64() > first.as_i64() { Ok(()) } else { Err(seen()) }
    });
    let text = history(&daemon, "probe:probe/count", &[]);
    assert!(text.contains("1 reading,"), "{text}");
}

#[test]
fn the_log_is_followed_line_by_line() {
    let daemon = Daemon::start();
    daemon.with_probe();
    let mut follow = daemon.spawn(&["log", "--follow", "--integration", "probe", "-n", "0"]);
    let mut lines = BufReader::new(follow.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    let mut json = daemon.spawn(&["log", "--follow", "--json", "--level", "info"]);
    let mut objects = BufReader::new(json.stdout.take().expect("piped")).lines().map(|line| line.expect("text"));
    // When the follower is there is not told: lines are made until it has one.
    let line = std::thread::scope(|scope| {
        let is_it = |line: &String| line.contains("a line of the log");
        let found = scope.spawn(move || lines.find(is_it));
        let object = scope.spawn(move || objects.find(is_it).expect("the log goes on"));
        while !(found.is_finished() && object.is_finished()) {
            daemon.ask_probe("probe", &["do=log", "text=heard"]);
        }
        let object: Value = serde_json::from_str(&object.join().expect("no panic")).expect("one object a line");
        assert_eq!((&object["integration"], &object["level"]), (&"probe".into(), &"info".into()), "{object}");
        found.join().expect("no panic").expect("the log goes on")
    });
    // Whose it is, the level, and the data beside the message.
    for part in ["[probe]", "INFO", "text=heard"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    for mut child in [follow, json] {
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
    let unknown = daemon.cli(&["log", "--integration", "prob"]);
    assert!(unknown.failed(1).contains("probe"), "{}", unknown.stderr);
}

#[test]
fn what_a_plugin_prints_is_in_its_log() {
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=print", "text=printed-by-the-probe"]);
    wait_for("the printed line in the log", || {
        let log = daemon.cli(&["log", "--integration", "probe"]).ok().to_owned();
        if log.contains("printed-by-the-probe") { Ok(()) } else { Err(log) }
    });
}
