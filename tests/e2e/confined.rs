//! The sandbox as a person meets it: in the configuration, in what is shown, on the processes of a real daemon.

#![allow(clippy::print_stderr, reason = "what was skipped is told")]

use std::fs;
use std::net::TcpListener;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::user::may_change_user;
use rustix::process::Pid;
use serde_json::Value;

/// The sets of capabilities of a process, by their names in proc_pid_status(5).
fn capabilities(pid: impl std::fmt::Display) -> Vec<(String, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let sets = status.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
    sets.map(|(set, bits)| (set.to_owned(), u64::from_str_radix(bits, 16).expect("bits"))).collect()
}

#[test]
fn workers_of_root_have_none_of_its_capabilities() {
    if !may_change_user() {
        eprintln!("skipped: workers_of_root_have_none_of_its_capabilities: it takes root");
        return;
    }
    let daemon = Daemon::start();
    daemon.with_probe();
    let effective = |sets: &[(String, u64)]| sets.iter().find(|(set, _)| set == "Eff").expect("told").1;
    assert_ne!(effective(&capabilities(Pid::as_raw(Some(daemon.pid())))), 0, "the daemon has some to lose");
    let worker = daemon.wait_state("probe", "running")["pid"].as_i64().expect("a worker");
    let none: Vec<_> = ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| (set.to_owned(), 0)).into();
    assert_eq!(capabilities(worker), none);
}

#[test]
fn where_the_sandbox_is_required_nothing_runs_without_it() {
    let daemon = Daemon::start_with("sandbox = \"require\"\n[integration.probe-within]\nhosting = \"in_process\"\n");
    daemon.drop_plugin("probe_plugin");
    // Within the daemon there is no sandbox, on any kernel.
    daemon.cli(&["integration", "activate", "probe", "--id", "probe-within", "--yes"]).ok();
    let within = daemon.wait_state("probe-within", "incompatible");
    assert_eq!(within["reason"]["code"], "sandbox_incomplete", "{within}");
    assert!(within["pid"].is_null(), "{within}");

    let status = daemon.get("/v1/status").expect("served").json();
    let missing = status["sandbox_missing"].as_array().expect("a list");
    let of_kernel = |one: &&Value| !one["part"].as_str().is_some_and(|part| part.starts_with("control groups"));
    let missing: Vec<_> = missing.iter().filter(of_kernel).collect();
    daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
    if missing.is_empty() {
        daemon.wait_state("probe", "running");
    } else {
        let without = daemon.wait_state("probe", "incompatible");
        assert_eq!(without["reason"]["code"], "sandbox_incomplete", "{without}");
    }
}

#[test]
fn what_a_plugin_tried_and_opened_is_shown() {
    let daemon = Daemon::start_with("[integration.probe]\nsandbox_trace = true\n");
    daemon.with_probe();
    let reachable = TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").to_string();
    let secret = daemon.home().join("gatehouse.key");
    let secret = secret.to_str().expect("text");
    for (what, at) in [("reach", reachable.as_str()), ("read", secret), ("read", secret)] {
        let outcome = daemon.ask_probe("probe", &["do=try", &format!("what={what}"), &format!("at={at}")]);
        assert!(outcome.contains("PermissionDenied"), "{what} {at}: {outcome}");
    }
    let shown = daemon.cli(&["integration", "show", "probe"]).ok().to_owned();
    assert!(shown.contains(&format!("tried to connect to {reachable}")), "{shown}");
    assert!(shown.contains(secret), "{shown}");
    let view = daemon.get("/v1/integrations/probe").expect("served").json();
    let paths = view["undeclared_paths"].as_array().expect("a list");
    assert!(paths.contains(&serde_json::json!({ "path": secret, "count": 2 })), "{view}");
}
