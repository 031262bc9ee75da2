//! The sandbox as a person meets it: in the configuration, in what is shown, on the processes of a real daemon.

#![allow(clippy::print_stderr, reason = "what was skipped is told")]

use std::fs;
use std::net::TcpListener;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::user::may_change_user;
use rustix::process::Pid;

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
fn where_the_sandbox_is_required_nothing_runs_within_the_daemon() {
    let daemon = Daemon::start_with("sandbox = \"require\"\n[integration.probe]\nhosting = \"in_process\"\n");
    daemon.drop_plugin("probe_plugin");
    daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
    let within = daemon.wait_state("probe", "incompatible");
    assert_eq!(within["reason"]["code"], "sandbox_incomplete", "{within}");
    assert!(within["pid"].is_null(), "{within}");
}

#[test]
fn where_the_sandbox_is_required_a_kernel_without_landlock_runs_no_plugin() {
    let required = format!("{QUICK}sandbox = \"require\"\n");
    let mut daemon = Daemon::prepare(&required);
    daemon.serve();
    daemon.with_probe();
    let lacking = |daemon: &Daemon| daemon.cli(&["status"]).ok().contains("without Landlock");
    assert!(!lacking(&daemon), "this test needs a kernel with Landlock: {}", daemon.cli(&["status"]).ok());

    daemon.run_by([env!("CARGO_BIN_EXE_without-landlock")]);
    daemon.restart();
    let view = daemon.wait_state("probe", "incompatible");
    assert_eq!(view["reason"]["code"], "sandbox_incomplete", "{view}");
    assert!(lacking(&daemon), "{}", daemon.cli(&["status"]).ok());
    let told = daemon.cli(&["integration", "show", "probe"]);
    assert!(told.stdout.contains("this kernel lacks Landlock"), "{told:?}");

    // The same kernel, and a person who takes what there is.
    fs::write(daemon.home().join("gatehouse.toml"), QUICK).expect("written");
    daemon.restart();
    daemon.wait_state("probe", "running");
    assert!(lacking(&daemon), "{}", daemon.cli(&["status"]).ok());
    let said = daemon.ask_probe("probe", &["do=try", "what=read", "at=/etc/passwd"]);
    assert!(said.contains("done"), "that is what is missing: {said}");
    let said = daemon.ask_probe("probe", &["do=try", "what=start", "at=/bin/sh"]);
    assert!(said.contains("PermissionDenied"), "the filter still holds: {said}");

    // Another kernel.
    fs::write(daemon.home().join("gatehouse.toml"), required).expect("written");
    daemon.run_by([""; 0]);
    daemon.restart();
    daemon.wait_state("probe", "running");
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
