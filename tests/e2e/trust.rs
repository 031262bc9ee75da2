//! Plugins that are revoked and trusted again while they run, and what is kept of who did it.

use std::fs;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::user::{NOBODY, may_change_user};
use gatehouse_tests::wait::wait_for;
use rustix::process::Signal;
use serde_json::{Value, json};

/// The virtual house's file as the daemon has it.
fn file(daemon: &Daemon) -> String {
    daemon.plugins().join("libvirtual_house.so").to_string_lossy().into_owned()
}

fn revoked_and_back(daemon: &Daemon) {
    daemon.with_house();
    daemon.cli(&["trust", "revoke", &file(daemon), "--note", "a test"]).ok();
    let verdict = daemon.wait_decision("libvirtual_house.so", "refused");
    assert_eq!(verdict["reason"]["code"], "revoked", "{verdict}");
    let view = daemon.wait_state("virtual-house", "incompatible");
    assert_eq!(view["reason"]["code"], "revoked", "{view}");
    assert!(view["pid"].is_null(), "nothing of it runs: {view}");
    let why = daemon.cli(&["plugin", "why", "virtual-house"]);
    assert!(why.ok().contains("a test"), "{}", why.stdout);
    let listed = daemon.cli(&["trust", "list"]);
    assert!(listed.ok().contains("revoked") && listed.stdout.contains("a test"), "{}", listed.stdout);

    daemon.cli(&["trust", "add", &file(daemon)]).ok();
    daemon.wait_state("virtual-house", "running");
    daemon.wait_decision("libvirtual_house.so", "accepted");
    let kept = wait_for("the audit list", || {
        let entries = daemon.cli(&["audit", "--operation", "trust_revoke", "--json"]).json();
        if entries.as_array().is_some_and(|entries| entries.len() == 1) { Ok(entries[0].clone()) } else { Err(entries) }
    });
    assert_eq!((&kept["outcome"], &kept["via"]), (&json!("done"), &json!("socket")), "{kept}");
    assert_eq!(kept["target"].as_str().map(str::len), Some(64), "the file by its content: {kept}");
    let table = daemon.cli(&["audit"]);
    assert!(table.ok().contains("trust_add"), "{}", table.stdout);
}

#[test]
fn a_revoked_plugin_is_stopped_where_it_runs() {
    revoked_and_back(&Daemon::start());
}

#[test]
fn a_revoked_plugin_is_stopped_without_any_rights_too() {
    if !may_change_user() {
        return;
    }
    let mut daemon = Daemon::prepare_as(QUICK, NOBODY);
    daemon.serve();
    revoked_and_back(&daemon);
}

#[test]
fn a_revoked_version_on_trial_gives_way_to_the_one_before_over_a_restart_too() {
    let mut daemon = Daemon::start();
    daemon.with_probe();
    let generation = |daemon: &Daemon| daemon.wait_state("probe", "running")["generation"].clone();
    let first = generation(&daemon);
    daemon.ask_probe("probe", &["do=keep", "key=mark", "text=before"]);
    let file = daemon.plugins().join("libprobe_plugin.so");
    let mut other = fs::read(&file).expect("the probe's file");
    other.push(b'2');
    let part = daemon.plugins().join(".part");
    fs::write(&part, other).and_then(|()| fs::rename(&part, &file)).expect("replaced");
    wait_for("the new version", || {
        let now = generation(&daemon);
        if now == first { Err(now) } else { Ok(()) }
    });
    daemon.ask_probe("probe", &["do=keep", "key=trial", "text=after"]);

    daemon.cli(&["trust", "revoke", &file.to_string_lossy(), "--note", "a bad build"]).ok();
    let back = wait_for("the version before", || {
        let now = daemon.wait_state("probe", "running");
        if now["generation"] == first { Ok(now) } else { Err(now) }
    });
    assert_eq!(back["reason"]["code"], "went_back", "{back}");
    assert!(back["reason"]["sentence"].as_str().is_some_and(|text| text.contains("a bad build")), "{back}");
    assert!(back["upgrade"]["next"].is_null(), "{back}");
    assert_eq!(daemon.ask_probe("probe", &["do=keys"]).trim(), "mark");
    daemon.wait_decision("libprobe_plugin.so", "refused");

    daemon.end(Signal::TERM);
    daemon.serve();
    assert_eq!(generation(&daemon), first, "what ran well is started from its copy");
}

#[test]
fn wrong_things_to_trust_get_a_sentence() {
    let daemon = Daemon::start();
    let nothing = daemon.cli(&["trust", "add", "nothing-here"]);
    assert!(nothing.failed(2).contains("nothing-here"), "{}", nothing.stderr);
    let by_id = daemon.cli(&["trust", "add", "E7620F1842B4E81F"]);
    assert!(by_id.failed(1).contains("give the key itself"), "{}", by_id.stderr);
    let answer = daemon.send("POST", "/v1/trust", &json!({"item": "x"}));
    assert_eq!(answer.status, 422, "{}", answer.body);
    assert!(answer.json()["fields"]["item"].is_string(), "{}", answer.body);
    let trust: Value = daemon.get("/v1/trust").expect("answered").json();
    assert_eq!((&trust["policy"], &trust["trusted"]), (&json!("any"), &json!([])));
    let wrong = daemon.cli(&["audit", "--since", "yesterdayish"]);
    assert!(wrong.failed(2).contains("yesterdayish"), "{}", wrong.stderr);
}

#[test]
fn wrong_trust_and_access_in_the_configuration_are_told_with_their_place() {
    let daemon = Daemon::prepare("[trust]\npolicy = \"sined\"\nkeys = [\"RW\"]\n");
    let text = daemon.cli(&["config", "check"]).failed(1).to_owned();
    assert!(text.contains("signed") && text.contains("no minisign public key"), "{text}");
    let daemon = Daemon::prepare("[access]\nread_groups = [\"no-such-group-here\"]\n");
    let text = daemon.cli(&["serve"]).failed(1).to_owned();
    assert!(text.contains("access.read_groups") && text.contains("no-such-group-here"), "{text}");
}
