//! Wrong input to the command line, the configuration and the socket: a sentence each.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::http;
use rustix::process::Signal;
use serde_json::json;

#[test]
fn a_typo_in_the_configuration_is_told_with_its_line() {
    let daemon = Daemon::prepare("[plugins]\nstable_for_ms = 100\nrescan_evry_ms = 5\n");
    let refused = daemon.cli(&["serve"]);
    let text = refused.failed(1);
    assert!(text.contains("rescan_evry_ms") && text.contains("rescan_every_ms"), "{text}");
    assert!(text.contains(":3") || text.contains("line 3"), "{text}");
    let checked = daemon.cli(&["config", "check"]);
    assert!(checked.failed(1).contains("rescan_evry_ms"), "{}", checked.stderr);
}

#[test]
fn a_second_daemon_on_the_same_home_is_refused() {
    let daemon = Daemon::start();
    let second = daemon.cli(&["serve"]);
    let pid = daemon.pid().as_raw_nonzero().to_string();
    assert!(second.failed(1).contains(&pid), "{}", second.stderr);
    assert_eq!(daemon.get("/v1/status").expect("still served").status, 200);
}

#[test]
fn a_socket_left_by_a_dead_daemon_is_replaced() {
    let mut daemon = Daemon::start();
    daemon.end(Signal::KILL);
    assert!(daemon.socket().exists(), "a killed daemon leaves its socket");
    daemon.serve();
}

#[test]
fn the_socket_is_its_owners_alone() {
    let daemon = Daemon::start();
    let mode = fs::metadata(daemon.socket()).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = fs::metadata(daemon.home().join("gatehouse.key")).expect("there").permissions().mode();
    assert_eq!(key & 0o777, 0o600);
}

#[test]
fn without_a_daemon_a_command_says_how_to_start_one() {
    let daemon = Daemon::prepare(QUICK);
    let listed = daemon.cli(&["integration", "list"]);
    let text = listed.failed(1);
    assert!(text.contains("serve") && text.contains(&*daemon.home().to_string_lossy()), "{text}");
}

#[test]
fn wrong_usage_ends_with_two() {
    let daemon = Daemon::prepare(QUICK);
    assert!(daemon.cli(&["integration", "activat"]).failed(2).contains("activate"));
    daemon.cli(&["nonsense"]).failed(2);
}

#[test]
fn wrong_requests_get_a_sentence_and_the_daemon_goes_on() {
    let daemon = Daemon::start();
    let unknown = daemon.send("POST", "/v1/flows", &json!({"kind": "activate", "integratoin_type": "x"}));
    assert_eq!(unknown.status, 400, "{}", unknown.body);
    assert!(unknown.body.contains("integratoin_type"), "{}", unknown.body);
    let missing = daemon.send("POST", "/v1/flows", &json!({"kind": "activate", "integration_type": "nothing-here"}));
    assert_eq!(missing.status, 404, "{}", missing.body);
    let huge = "x".repeat(2 * 1024 * 1024);
    let large = daemon.send("POST", "/v1/flows", &json!({"kind": huge}));
    assert_eq!(large.status, 413, "{}", large.body);
    let nowhere = daemon.get("/v1/nowhere").expect("answered");
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.json()["message"].is_string(), "{}", nowhere.body);
    let wrong_method = daemon.send("DELETE", "/v1/status", &json!({}));
    assert_eq!(wrong_method.status, 405);
    let garbage = http::raw(&daemon.socket(), b"\x00\x01 nonsense\r\n\r\n").unwrap_or_default();
    assert!(!garbage.contains("200 OK"));
    assert_eq!(daemon.get("/v1/status").expect("still served").status, 200);
}

#[test]
fn a_database_newer_than_the_binary_is_refused_and_left_alone() {
    let mut daemon = Daemon::start();
    daemon.end(Signal::TERM);
    let path = daemon.home().join("gatehouse.db");
    let database = rusqlite::Connection::open(&path).expect("opened");
    database.pragma_update(None, "user_version", 9_999).expect("set");
    drop(database);
    let refused = daemon.cli(&["serve"]);
    let text = refused.failed(1);
    assert!(text.contains("newer") && text.contains("9999"), "{text}");
    let database = rusqlite::Connection::open(&path).expect("opened");
    let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    assert_eq!(version, 9_999);
}
