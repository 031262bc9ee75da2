//! An upgrade that is cut off at a step that is known: the probe stands still in it until what is killed is killed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::http;
use gatehouse_tests::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{content, generation, replace, view};

/// A step, and what is kept by who runs after the daemon was killed in it.
///
/// What the new version keeps is in force with the switch, which lies between `import` and `stop`. What the old one
/// keeps while it gives its state is its own; what it keeps after the switch is nobody's.
const CUTS: [(&str, &[&str]); 5] = [
    ("constructor", &["mark"]),
    ("start", &["mark"]),
    ("export", &["at-export", "mark"]),
    ("import", &["at-export", "mark"]),
    ("stop", &["at-export", "at-import", "at-start", "mark"]),
];

/// Long enough for whoever stands in `export_state` or `import_state` to be killed there.
const PATIENT: &str = "switch_state_ms = 10000\n";

fn folder(daemon: &Daemon) -> PathBuf {
    daemon.home().join("data/probe")
}

/// Has the next worker that comes to a step stand still in it.
fn stand_at(daemon: &Daemon, step: &str) {
    let part = folder(daemon).join(".stand-at");
    fs::write(&part, step).expect("written");
    fs::rename(&part, folder(daemon).join("stand-at")).expect("renamed");
}

/// Waits until a worker stands still; which.
fn stands(daemon: &Daemon) -> Pid {
    let path = folder(daemon).join("stands");
    let text = wait_for("a worker to stand at the step", || fs::read_to_string(&path));
    text.parse().ok().and_then(Pid::from_raw).expect("a process")
}

fn go_on(daemon: &Daemon) {
    for name in ["stand-at", "stands"] {
        fs::remove_file(folder(daemon).join(name)).expect("it was there");
    }
}

fn worker(daemon: &Daemon) -> Pid {
    let pid = view(daemon)["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    pid.and_then(Pid::from_raw).expect("a worker")
}

/// Waits until a process is gone, or only waits to be collected.
fn wait_end(pid: Pid) {
    wait_for("a worker to end", || {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())) else { return Ok(()) };
        if stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
}

/// The numbers that were acknowledged, in their order.
fn acknowledged(daemon: &Daemon) -> Vec<f64> {
    let args = ["state", "history", "probe:probe/count", "--since", "1h", "--limit", "1000", "--json"];
    let rows = daemon.cli(&args).json()["rows"].as_array().expect("rows").clone();
    rows.iter().filter_map(|row| row["value"]["number"].as_f64()).collect()
}

fn keys(daemon: &Daemon) -> Vec<String> {
    daemon.ask_probe("probe", &["do=keys"]).trim().split(',').map(str::to_owned).collect()
}

#[test]
fn a_daemon_killed_in_any_step_starts_one_whole_generation() {
    for (number, (step, kept)) in CUTS.into_iter().enumerate() {
        let mut daemon = Daemon::start_with(PATIENT);
        daemon.with_probe();
        daemon.ask_probe("probe", &["do=keep", "key=mark", "text=before"]);
        daemon.ask_probe("probe", &["do=emit", "count=50"]);
        let (before, readings) = (generation(&daemon), acknowledged(&daemon));
        let old = worker(&daemon);
        stand_at(&daemon, step);
        replace(&daemon, &content(number));
        let standing = stands(&daemon);
        daemon.end(Signal::KILL);
        wait_end(standing);
        wait_end(old);
        go_on(&daemon);
        daemon.serve();

        let after = view(&daemon);
        assert_ne!(
            after["generation"],
            before.as_str(),
            "{step}: the file is a new one, and nothing speaks against it"
        );
        assert_eq!(keys(&daemon), kept, "{step}");
        assert_eq!(acknowledged(&daemon), readings, "{step}");
        let all = daemon.get("/v1/integrations").expect("answers").json();
        assert_eq!(all.as_array().map(Vec::len), Some(1), "{step}: {all}");
    }
}

#[test]
fn a_daemon_killed_on_the_way_back_starts_the_version_before_with_its_data() {
    let mut daemon = Daemon::prepare("[integrations]\nbackoff_ms = [100]\n");
    daemon.serve();
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=keep", "key=mark", "text=before"]);
    let before = generation(&daemon);
    replace(&daemon, &content(1));
    super::wait_other(&daemon, &before);
    daemon.ask_probe("probe", &["do=keep", "key=trial", "text=after"]);
    assert_eq!(keys(&daemon), ["mark", "trial"]);
    stand_at(&daemon, "start");
    // A worker that ends on trial goes back, and the version before comes to its start.
    kill_process(worker(&daemon), Signal::KILL).expect("it was there");
    let standing = stands(&daemon);
    daemon.end(Signal::KILL);
    wait_end(standing);
    go_on(&daemon);
    daemon.serve();

    assert_eq!(generation(&daemon), before);
    let kept = keys(&daemon);
    assert!(kept.contains(&"mark".to_owned()) && !kept.contains(&"trial".to_owned()), "{kept:?}");
    let pin = view(&daemon)["upgrade"]["pin"].clone();
    assert_eq!(pin["generation"], before.as_str(), "{pin}");
}

#[test]
fn a_new_worker_killed_before_the_switch_leaves_the_old_one_answering() {
    let daemon = Daemon::start_with(PATIENT);
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=keep", "key=mark", "text=before"]);
    let (before, old, over) = (generation(&daemon), worker(&daemon), Arc::new(AtomicBool::new(false)));
    let caller = std::thread::spawn({
        let (socket, over) = (daemon.socket(), Arc::clone(&over));
        move || {
            let (mut calls, mut failed) = (0, Vec::new());
            while !over.load(Ordering::SeqCst) {
                let path = "/v1/states/probe:probe%2Fpower/control";
                match http::request(&socket, "POST", path, Some(&json!({ "text": "on" }))) {
                    Ok(answer) if answer.status == 200 => {}
                    other => failed.push(format!("{other:?}")),
                }
                calls += 1;
            }
            (calls, failed)
        }
    });
    for (number, step) in ["start", "import"].into_iter().enumerate() {
        stand_at(&daemon, step);
        replace(&daemon, &content(number));
        let standing = stands(&daemon);
        assert_ne!(standing, old, "{step}");
        kill_process(standing, Signal::KILL).expect("it was there");
        wait_for(&format!("{step}: the old one to run on"), || {
            let view = view(&daemon);
            let said = view["reason"]["sentence"].as_str().unwrap_or_default();
            let told = view["reason"]["code"] == "went_back" && said.contains("SIGKILL");
            if told { Ok(()) } else { Err(view.to_string()) }
        });
        go_on(&daemon);
        let now: Value = view(&daemon);
        assert_eq!((&now["generation"], worker(&daemon)), (&json!(before), old), "{step}");
        assert!(keys(&daemon).contains(&"mark".to_owned()), "{step}");
        assert!(!keys(&daemon).contains(&"at-start".to_owned()), "{step}");
    }
    over.store(true, Ordering::SeqCst);
    let (calls, failed) = caller.join().expect("the caller ends");
    assert_eq!(failed, Vec::<String>::new(), "of {calls} calls");
}

#[test]
fn a_version_that_does_not_give_its_state_holds_calls_no_longer_than_is_allowed() {
    let daemon = Daemon::start_with("switch_state_ms = 100\n");
    daemon.with_probe();
    let before = generation(&daemon);
    stand_at(&daemon, "export");
    replace(&daemon, &content(1));
    stands(&daemon);
    // Held until the switch, which comes without the state; the probe stands there to its end.
    let answer = daemon.send("POST", "/v1/states/probe:probe%2Fpower/control", &json!({ "text": "on" }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    super::wait_other(&daemon, &before);
    let log = daemon.log();
    assert!(log.contains("gave no state: the switch goes on without"), "{log}");
}
