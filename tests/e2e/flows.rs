//! Flows that are cut off: by the death of the client, of the plugin's worker or of the daemon, or before they begin.

use std::fs;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::terminal::{ENTER, Terminal};
use gatehouse_tests::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A person in the middle of setting a virtual house up.
fn at_the_form(daemon: &Daemon) -> Terminal {
    let terminal = daemon.terminal(&["integration", "activate", "virtual-house"]);
    terminal.wait("I only wanted to look");
    terminal.keys(ENTER);
    terminal.wait("? Name of the house");
    terminal
}

fn no_integration(daemon: &Daemon) {
    let listed = daemon.cli(&["integration", "list", "--json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
}

/// The processes that the daemon started and that still run.
fn workers(daemon: &Daemon) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid().as_raw_nonzero())).expect("it runs");
    let mut pids = Vec::new();
    for task in tasks.flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
    }
    pids
}

#[test]
fn a_killed_client_leaves_a_flow_that_can_be_taken_over() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let mut person = at_the_form(&daemon);
    assert_eq!(workers(&daemon).len(), 1, "a worker for the flow alone");
    person.signal(Signal::KILL);
    person.end();

    let refused = daemon.activate_house(&[]);
    let text = refused.failed(1);
    assert!(text.contains("virtual-house") && text.contains("--take-over"), "{text}");
    daemon.activate_house(&["--take-over"]).ok();
    daemon.wait_state("virtual-house", "running");
    wait_for("the flow's worker to be gone", || match workers(&daemon).len() {
        1 => Ok(()),
        other => Err(other),
    });
}

#[test]
fn a_flow_that_nobody_answers_expires() {
    // The last section of the quick configuration is that of the integrations.
    let daemon = Daemon::start_with("flow_expires_ms = 1000\n");
    daemon.drop_plugin("virtual_house");
    let mut person = at_the_form(&daemon);
    person.signal(Signal::KILL);
    person.end();
    wait_for("the flow's worker to end", || match workers(&daemon).len() {
        0 => Ok(()),
        other => Err(other),
    });
    no_integration(&daemon);
    daemon.activate_house(&[]).ok();
}

#[test]
fn a_client_that_is_asked_to_end_gives_its_flow_up() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    for signal in [Signal::TERM, Signal::HUP] {
        let mut person = at_the_form(&daemon);
        person.signal(signal);
        assert_ne!(person.end(), 0);
    }
    no_integration(&daemon);
    daemon.activate_house(&[]).ok();
}

#[test]
fn a_worker_that_dies_in_a_flow_is_replaced_and_told_the_answers() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let begun = daemon.send("POST", "/v1/flows", &json!({"kind": "activate", "integration_type": "virtual-house"}));
    let id = begun.json()["flow_id"].as_str().expect("a flow").to_owned();
    let answer = |step: &str, body: Value| {
        let flow = daemon.send("POST", &format!("/v1/flows/{id}/steps/{step}"), &body).json();
        flow["state"]["step"]["step"].clone()
    };
    assert_eq!(answer("kind", json!({"choice": "empty"}))["step_id"], "house");
    let killed = workers(&daemon);
    assert_eq!(killed.len(), 1);
    kill_process(killed[0], Signal::KILL).expect("it runs");
    let confirm = answer("house", json!({"values": {"name": "Phoenix", "rooms": 2}}));
    assert_eq!(confirm["step_id"], "confirm", "{confirm}");
    let text = confirm["description"].as_str().expect("a text");
    assert!(text.contains("Phoenix will have 2 rooms, no lamps yet"), "what was chosen before is known: {text}");
    assert_ne!(workers(&daemon), killed);
    daemon.send("DELETE", &format!("/v1/flows/{id}"), &json!({}));
    no_integration(&daemon);
}

#[test]
fn a_daemon_that_dies_in_a_flow_is_told_and_nothing_is_half_made() {
    let mut daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let mut person = at_the_form(&daemon);
    daemon.end(Signal::KILL);
    for _ in 0..7 {
        person.keys(ENTER);
    }
    assert_eq!(person.end(), 1);
    let screen = person.screen();
    assert!(screen.contains("error:") && screen.contains("serve"), "{screen}");
    daemon.serve();
    no_integration(&daemon);
    daemon.wait_decision("libvirtual_house.so", "accepted");
    daemon.activate_house(&[]).ok();
}

#[test]
fn a_gateway_that_cannot_be_made_is_told_and_leaves_nothing() {
    let daemon = Daemon::start();
    daemon.drop_plugin("probe_plugin");
    for (id, part) in
        [("probe-panics", "no gateway today"), ("probe-aborts", "killed by SIGABRT"), ("probe-exits", "exit code 7")]
    {
        let failed = daemon.cli(&["integration", "activate", "probe", "--id", id, "--yes"]);
        let text = failed.failed(1);
        assert!(text.contains(part) && text.contains("libprobe_plugin.so"), "{id}: {text}");
        assert!(!text.contains("stack backtrace"), "{text}");
        assert_eq!(daemon.get(&format!("/v1/integrations/{id}")).expect("answered").status, 404);
    }
    no_integration(&daemon);
    // The plugin itself is none the worse for it.
    daemon.wait_decision("libprobe_plugin.so", "accepted");
    daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
    daemon.wait_state("probe", "running");
}
