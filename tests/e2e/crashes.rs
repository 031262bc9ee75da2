//! A plugin that crashes: what is told, what is kept, what is not.

use std::fs;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use serde_json::Value;

/// Has the probe crash and waits until the record of it is there and the probe runs again.
fn crash(daemon: &Daemon, what: &str, count: u64) -> Value {
    daemon.cli(&["integration", "manage", "probe", what, "address=16"]).failed(1);
    let record = wait_for("the crash's record", || {
        let list = daemon.cli(&["crash", "list", "--integration", "probe", "--json"]).json();
        match list.as_array().and_then(|list| list.first()) {
            Some(last) if last["count"] == count => Ok(last.clone()),
            _ => Err(list),
        }
    });
    daemon.cli(&["integration", "resume", "probe"]).ok();
    record
}

#[test]
fn a_crash_is_recorded_folded_shown_and_explained() {
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=log", "text=just before the end"]);
    let first = crash(&daemon, "do=segfault", 1);
    assert_eq!(first["reason"]["code"], "segmentation_fault", "{first}");
    assert_eq!((&first["signal"], &first["op"]), (&"SIGSEGV".into(), &"manage".into()), "{first}");
    let again = crash(&daemon, "do=segfault", 2);
    assert_eq!(again["id"], first["id"]);

    let id = first["id"].to_string();
    let shown = daemon.cli(&["crash", "show", &id]);
    let text = shown.ok();
    for words in
        ["2 times", "SIGSEGV", "libprobe_plugin.so+0x", "write_to", "manage, for", "0x10", "just before the end"]
    {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let report = daemon.cli(&["crash", "show", &id, "--json"]).json();
    assert!(report["used"]["memory_bytes"].as_u64() > Some(1_000_000), "{report}");

    let explained = daemon.cli(&["explain", "probe"]);
    let text = explained.ok();
    for words in ["Wanted", "running", "Last crash", "SIGSEGV during manage", &format!("crash show {id}")] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
    let unknown = daemon.cli(&["crash", "show", "4711"]);
    assert!(unknown.failed(1).contains("crash list"), "{}", unknown.stderr);
}

#[test]
fn what_explain_says_to_do_works_as_it_stands() {
    // Nothing is tried again by itself while this looks.
    let mut daemon = Daemon::prepare("[integrations]\nbackoff_ms = [3600000]\n");
    daemon.serve();
    daemon.with_probe();
    for _ in 0..5 {
        let before = daemon.cli(&["explain", "probe", "--json"]).json();
        assert_eq!(before["actual"]["state"], "running", "{before}");
        daemon.cli(&["integration", "manage", "probe", "do=exit", "code=3"]).failed(1);
        let told = wait_for("the failure", || {
            let told = daemon.cli(&["explain", "probe", "--json"]).json();
            if told["next_retry_ms"].is_i64() { Ok(told) } else { Err(told) }
        });
        let what: Vec<&str> =
            told["can_do"][0]["command"].as_array().expect("a command").iter().filter_map(Value::as_str).collect();
        assert_eq!(what, ["integration", "resume", "probe"], "{told}");
        assert_eq!(told["failures"].as_array().map(Vec::len), Some(1), "a person's hand forgives: {told}");
        assert_eq!(told["reason"]["code"], "worker_exited", "{told}");
        daemon.cli(&what).ok();
    }
    // A command for every state, and each is one that exists.
    daemon.cli(&["integration", "pause", "probe"]).ok();
    let paused = daemon.cli(&["explain", "probe"]);
    assert!(paused.ok().contains("integration resume probe"), "{}", paused.stdout);
    let missing = daemon.cli(&["explain", "prob"]);
    assert!(missing.failed(1).contains("did you mean \"probe\""), "{}", missing.stderr);
}

#[test]
fn no_secret_gets_into_a_crash_record() {
    let daemon = Daemon::start();
    daemon.with_house();
    let code = daemon.home().join("code");
    fs::write(&code, "m1dnight").expect("written");
    let from = format!("alarm_code={}", code.display());
    daemon.cli(&["integration", "set", "virtual-house", "--set-file", &from]).ok();
    daemon.cli(&["integration", "set", "virtual-house", "name=House m1dnight"]).ok();
    let told = daemon.cli(&["integration", "show", "virtual-house", "--json"]).json();
    let pid = told["pid"].as_u64().expect("it runs").to_string();
    let killed = std::process::Command::new("kill").args(["-SEGV", &pid]).status().expect("kill is there");
    assert!(killed.success());
    let id = wait_for("the crash's record", || {
        let list = daemon.cli(&["crash", "list", "--json"]).json();
        list[0]["id"].as_u64().ok_or(list)
    });
    let shown = daemon.cli(&["crash", "show", &id.to_string(), "--json"]);
    assert!(shown.ok().contains("killed_by_person"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("m1dnight"), "{}", shown.stdout);
}
