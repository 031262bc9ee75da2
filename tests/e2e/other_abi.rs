//! Files that look right and whose boundary is another: found out when they are loaded, and told as any other refusal.

use std::fs;

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;

const FILE: &str = "libprobe_plugin.so";

/// The probe with some bytes replaced by others, everywhere.
fn changed(from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(build::plugin_file("probe_plugin")).expect("built");
    let found: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!found.is_empty(), "{} is in the file", String::from_utf8_lossy(from));
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// A root module whose second field has another name: the layout that the file's code tells at load differs.
fn other_layout() -> Vec<u8> {
    changed(b"manifest;new_gateway;", b"manifest;old_gateway;")
}

#[track_caller]
fn refused(daemon: &Daemon, code: &str, words: &str) {
    let verdict = daemon.wait_reason(FILE, code);
    assert_eq!(verdict["decision"], "refused", "{verdict}");
    let why = daemon.cli(&["plugin", "why", FILE]);
    for part in [FILE, code, words, "ebuild"] {
        assert!(why.ok().contains(part), "{part}: {}", why.stdout);
    }
    assert!(why.stdout.len() < 2_000, "a sentence, not a dump of types: {}", why.stdout);
}

#[test]
fn another_layout_is_found_when_the_first_flow_loads_it() {
    let daemon = Daemon::start();
    fs::write(daemon.plugins().join(FILE), other_layout()).expect("written");
    // Nothing in its bytes is wrong, and nothing of it has run.
    daemon.wait_decision(FILE, "accepted");
    let failed = daemon.cli(&["integration", "activate", "probe", "--yes"]);
    let text = failed.failed(1);
    assert!(text.contains(FILE) && text.contains("rebuild"), "{text}");
    refused(&daemon, "layout_mismatch", "old_gateway");
    let listed = daemon.cli(&["integration", "list", "--json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");
    // It stays refused for who asks again.
    let again = daemon.cli(&["integration", "activate", "probe", "--yes"]);
    assert!(again.failed(1).contains("plugin why"), "{}", again.stderr);

    fs::copy(build::plugin_file("probe_plugin"), daemon.plugins().join(FILE)).expect("copied");
    daemon.wait_decision(FILE, "accepted");
    daemon.cli(&["integration", "activate", "probe", "--yes"]).ok();
    daemon.wait_state("probe", "running");
}

#[test]
fn another_layout_in_the_place_of_what_runs_changes_nothing() {
    let daemon = Daemon::start();
    daemon.with_probe();
    let before = daemon.wait_state("probe", "running");
    fs::write(daemon.plugins().join(FILE), other_layout()).expect("overwritten");
    refused(&daemon, "layout_mismatch", "old_gateway");
    let after = wait_for("the reason to be told", || {
        let view = daemon.wait_state("probe", "running");
        let told = view["reason"]["sentence"].as_str().is_some_and(|text| text.contains("old_gateway"));
        if told { Ok(view) } else { Err(view.to_string()) }
    });
    assert_eq!((&after["pid"], &after["generation"]), (&before["pid"], &before["generation"]));
    assert_eq!(after["reason"]["code"], "went_back", "{after}");
    assert_eq!(daemon.ask_probe("probe", &["do=echo", "text=here"]).trim(), "here");
}

#[test]
fn another_generation_of_the_boundary_is_told_so() {
    let daemon = Daemon::start();
    // The words that every module of this generation begins with.
    fs::write(daemon.plugins().join(FILE), changed(b"abi stable library", b"abi-stable library")).expect("written");
    daemon.wait_decision(FILE, "accepted");
    daemon.cli(&["integration", "activate", "probe", "--yes"]).failed(1);
    refused(&daemon, "other_abi", "another generation");
}
