//! A secret is in no file of the home and in no answer, at no time of an integration's life.

use std::fs;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::secret::Secret;
use rustix::process::Signal;
use serde_json::json;
use tempfile::NamedTempFile;

/// The worst case: everything is logged.
const TRACE: &str = "[log]\nfilter = \"trace\"\n";

/// Looks wherever a person or a program could look.
#[track_caller]
fn look_everywhere(daemon: &Daemon, secret: &Secret) {
    for path in [
        "/v1/status",
        "/v1/plugins",
        "/v1/plugins/virtual-house",
        "/v1/integrations",
        "/v1/integrations/virtual-house",
        "/v1/integrations/virtual-house/manage",
        "/v1/entities",
        "/v1/entities/virtual-house:alarm",
        "/v1/states",
        "/v1/states/virtual-house:alarm%2Farmed/history",
        "/v1/log?level=trace&limit=2000",
    ] {
        secret.assert_not_in(path, daemon.get(path).expect("answered").body);
    }
    for args in [
        ["integration", "show", "virtual-house"].as_slice(),
        &["integration", "show", "virtual-house", "--json"],
        &["entity", "list", "--all", "--json"],
        &["state", "get", "--json"],
        &["log", "--level", "trace", "-n", "2000"],
        &["config", "show"],
    ] {
        let ran = daemon.cli(args);
        secret.assert_not_in(&args.join(" "), format!("{}{}", ran.stdout, ran.stderr));
    }
    let mut processes = vec![i64::from(daemon.pid().as_raw_nonzero().get())];
    processes.extend(daemon.get("/v1/integrations/virtual-house").expect("answered").json()["pid"].as_i64());
    for pid in processes {
        for file in ["cmdline", "environ"] {
            let path = format!("/proc/{pid}/{file}");
            secret.assert_not_in(&path, fs::read(&path).expect("it runs"));
        }
    }
    let files = secret.assert_not_below(daemon.home());
    assert!(files >= 5, "the database, its log, the key, the staged plugin and the daemon's words were read: {files}");
}

fn file_with(text: &str) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file outside of the home");
    fs::write(file.path(), format!("{text}\n")).expect("written");
    file
}

fn set_file(file: &NamedTempFile) -> String {
    format!("alarm_code={}", file.path().display())
}

#[test]
fn a_secret_is_nowhere_from_activation_to_deactivation() {
    let secret = Secret::new("correct-horse-7391-battery");
    let file = file_with(secret.text());
    let mut daemon = Daemon::start_with(TRACE);
    daemon.drop_plugin("virtual_house");
    let mut events = daemon.events("/v1/events", None);
    let activated = daemon.activate_house(&["--set-file", &set_file(&file)]);
    activated.ok();
    secret.assert_not_in("activate", format!("{}{}", activated.stdout, activated.stderr));
    daemon.wait_state("virtual-house", "running");
    // The plugin has it: the house has an alarm, which this code arms.
    daemon.wait_text("virtual-house:alarm/armed", "off");
    look_everywhere(&daemon, &secret);
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    loop {
        let event = events.next().expect("the stream goes on");
        let data = event.data.to_string();
        secret.assert_not_in("the events", &data);
        if event.name == "lifecycle" && event.data["integration"]["actual"]["state"] == "paused" {
            break;
        }
    }
    daemon.cli(&["integration", "resume", "virtual-house"]).ok();

    // A killed daemon leaves files as they are in the middle of work; the next one has the secret still.
    daemon.end(Signal::KILL);
    secret.assert_not_below(daemon.home());
    daemon.serve();
    daemon.wait_state("virtual-house", "running");
    daemon.wait_text("virtual-house:alarm/armed", "off");
    look_everywhere(&daemon, &secret);

    let other = Secret::new("another-secret-of-this-house-1284");
    daemon.cli(&["integration", "set", "virtual-house", "--set-file", &set_file(&file_with(other.text()))]).ok();
    look_everywhere(&daemon, &other);
    daemon.cli(&["integration", "deactivate", "virtual-house", "--safe", "--yes"]).ok();
    for secret in [&secret, &other] {
        look_everywhere(&daemon, secret);
    }
    daemon.end(Signal::TERM);
    for secret in [&secret, &other] {
        secret.assert_not_below(daemon.home());
    }
}

#[test]
fn a_flow_that_is_not_finished_shows_and_keeps_no_secret() {
    let secret = Secret::new("half-given-answer-5530-code");
    let mut daemon = Daemon::start_with(TRACE);
    daemon.drop_plugin("virtual_house");
    let begun = daemon.send("POST", "/v1/flows", &json!({"kind": "activate", "integration_type": "virtual-house"}));
    let id = begun.json()["flow_id"].as_str().expect("a flow").to_owned();
    daemon.send("POST", &format!("/v1/flows/{id}/steps/kind"), &json!({"choice": "furnished"}));
    let step = format!("/v1/flows/{id}/steps/house");

    // Wrong in another field: the form comes back, the secret does not.
    let wrong = daemon.send("POST", &step, &json!({"values": {"name": " ", "alarm_code": secret.text()}}));
    assert_eq!(wrong.json()["state"]["step"]["step"]["errors"]["name"], "give the house a name", "{}", wrong.body);
    // Wrong in a way that the host finds.
    let worse = daemon.send("POST", &step, &json!({"values": {"rooms": "many", "alarm_code": secret.text()}}));
    assert!(worse.body.contains("rooms"), "{}", worse.body);
    // Right: the next step waits.
    let right = daemon.send("POST", &step, &json!({"values": {"name": "Home", "alarm_code": secret.text()}}));
    assert_eq!(right.json()["state"]["step"]["step"]["step_id"], "confirm", "{}", right.body);
    let shown = daemon.get(&format!("/v1/flows/{id}")).expect("answered");
    for answer in [&wrong, &worse, &right, &shown] {
        secret.assert_not_in("an answer of the flow", &answer.body);
    }
    look_everywhere(&daemon, &secret);
    daemon.end(Signal::KILL);
    secret.assert_not_below(daemon.home());
}

#[test]
fn a_secret_on_the_command_line_is_refused_with_every_other_way() {
    let secret = Secret::new("typed-for-all-to-see-8816");
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let refused = daemon.activate_house(&["--set", &format!("alarm_code={}", secret.text())]);
    let text = refused.failed(2);
    for way in ["--set-file alarm_code=PATH", "--set alarm_code=-", "asked on a terminal"] {
        assert!(text.contains(way), "{way}: {text}");
    }
    secret.assert_not_in("the refusal", format!("{}{}", refused.stdout, refused.stderr));
    let listed = daemon.cli(&["integration", "list", "--json"]).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(0), "{listed}");

    // Standard input is a way, for setting up and for changing.
    let args = ["integration", "activate", "virtual-house", "--choose", "furnished", "--yes", "--set", "alarm_code=-"];
    daemon.cli_with_input(&args, &format!("{}\n", secret.text())).ok();
    daemon.wait_text("virtual-house:alarm/armed", "off");
    let refused = daemon.cli(&["integration", "set", "virtual-house", "alarm_code=1234-5678"]);
    assert!(refused.failed(2).contains("--set-file alarm_code=PATH"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("1234-5678"), "{}", refused.stderr);
    daemon.cli_with_input(&["integration", "set", "virtual-house", "alarm_code=-"], "9999\n").ok();
    secret.assert_not_below(daemon.home());
}
