//! A new version takes over from the old one while the house goes on: under calls, through kills, and back again.

mod steps;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::figure::figure;
use gatehouse_tests::http;
use gatehouse_tests::wait::wait_for;
use rustix::process::Signal;
use serde_json::{Value, json};

const FILE: &str = "libprobe_plugin.so";

/// The probe with some bytes more at its end: other content, the same version.
fn content(number: usize) -> Vec<u8> {
    let mut bytes = fs::read(build::plugin_file("probe_plugin")).expect("built");
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes
}

/// Puts a content in the place of the probe's file, as a package tool does.
fn replace(daemon: &Daemon, content: &[u8]) {
    let part = daemon.plugins().join(".part");
    fs::write(&part, content).expect("written");
    fs::rename(&part, daemon.plugins().join(FILE)).expect("renamed");
}

fn view(daemon: &Daemon) -> Value {
    daemon.wait_state("probe", "running")
}

fn generation(daemon: &Daemon) -> String {
    view(daemon)["generation"].as_str().expect("it runs from a generation").to_owned()
}

fn wait_other(daemon: &Daemon, before: &str) -> String {
    wait_for("another generation to run", || {
        let now = generation(daemon);
        if now == before { Err(now) } else { Ok(now) }
    })
}

fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn resident_kb(daemon: &Daemon) -> u64 {
    let path = format!("/proc/{}/status", daemon.pid().as_raw_pid());
    let status = fs::read_to_string(path).expect("the daemon's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn copies(daemon: &Daemon) -> usize {
    let entries = fs::read_dir(daemon.home().join("staging")).expect("the staging folder");
    entries.filter(|entry| entry.as_ref().is_ok_and(|it| it.path().extension().is_some_and(|so| so == "so"))).count()
}

fn p99(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get((times.len() * 99 / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// How long calls were held at each switch, in milliseconds, by the daemon's own word.
fn pauses(daemon: &Daemon) -> Vec<f64> {
    let log = daemon.log();
    let held = log.lines().filter(|line| line.contains("switched to the new version"));
    held.filter_map(|line| line.split("held_ms=").nth(1)?.split_whitespace().next()?.parse().ok()).collect()
}

#[test]
fn no_call_fails_through_many_upgrades_and_nothing_grows() {
    let upgrades = count("GATEHOUSE_UPGRADES", 30);
    let daemon = Daemon::start();
    daemon.with_probe();
    daemon.with_house();
    let neighbour = daemon.wait_state("virtual-house", "running");
    let (socket, over) = (daemon.socket(), Arc::new(AtomicBool::new(false)));
    let caller = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let (mut times, mut failed) = (Vec::new(), Vec::new());
            while !over.load(Ordering::SeqCst) {
                let body = json!({ "text": if times.len() % 2 == 0 { "on" } else { "off" } });
                let begun = Instant::now();
                let path = "/v1/states/probe:probe%2Fpower/control";
                match http::request(&socket, "POST", path, Some(&body)) {
                    Ok(answer) if answer.status == 200 => {}
                    other => failed.push(format!("{other:?}")),
                }
                times.push(begun.elapsed().as_secs_f64() * 1_000.0);
            }
            (times, failed)
        }
    });
    let mut now = generation(&daemon);
    let mut settled_kb = 0;
    for number in 0..upgrades {
        replace(&daemon, &content(number));
        now = wait_other(&daemon, &now);
        if number == upgrades / 3 {
            settled_kb = resident_kb(&daemon);
        }
    }
    over.store(true, Ordering::SeqCst);
    let (times, failed) = caller.join().expect("the caller ends");
    assert_eq!(failed, Vec::<String>::new(), "of {} calls", times.len());
    assert!(times.len() > upgrades, "calls were made all the time: {}", times.len());
    figure(&format!(
        "{upgrades} upgrades under {} calls, none failed: p99 of a call {:.1} ms, of the pause at a switch {:.1} ms",
        times.len(),
        p99(times.clone()),
        p99(pauses(&daemon))
    ));
    // The one in use, the one on trial for it, the kept ones, the neighbour's.
    wait_for("the disk to be flat", || if copies(&daemon) <= 7 { Ok(()) } else { Err(copies(&daemon)) });
    let grown_kb = resident_kb(&daemon).saturating_sub(settled_kb);
    assert!(grown_kb < 48 * 1024, "the daemon grew by {grown_kb} kB");
    let after = daemon.wait_state("virtual-house", "running");
    assert_eq!((&neighbour["pid"], &neighbour["since_ms"]), (&after["pid"], &after["since_ms"]));
}

/// The steps of an upgrade, as the integration shows them; the last is that it is over.
const STEPS: [&str; 4] = ["trying", "beside", "over", "file"];

/// Waits until an upgrade has come to a step, or is past it: the steps are short.
fn reached(daemon: &Daemon, step: &str, before: &str) {
    if step == "file" {
        return;
    }
    wait_for("a step of the upgrade", || {
        let view = daemon.get("/v1/integrations/probe").map_err(|error| error.to_string())?.json();
        let over = view["generation"] != before && view["actual"]["state"] == "running";
        let here = view["upgrade"]["next"]["step"] == step;
        if over || here { Ok(()) } else { Err(view["upgrade"].to_string()) }
    });
}

#[test]
fn a_kill_at_any_moment_of_an_upgrade_leaves_one_whole_generation() {
    let kills = count("GATEHOUSE_UPGRADE_KILLS", 8);
    let mut daemon = Daemon::start();
    daemon.with_probe();
    let mut acknowledged = 0;
    for number in 0..kills {
        let mark = format!("before {number}");
        daemon.ask_probe("probe", &["do=keep", "key=mark", &format!("text={mark}")]);
        let before = generation(&daemon);
        daemon.ask_probe("probe", &["do=emit", "count=100"]);
        acknowledged += 99;
        replace(&daemon, &content(number));
        // Another step of the way each time.
        reached(&daemon, STEPS[number % STEPS.len()], &before);
        if number % 3 < 2 {
            daemon.end(Signal::KILL);
            daemon.serve();
        } else if let Some(pid) = daemon.get("/v1/integrations/probe").expect("answers").json()["pid"].as_i64() {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        let now = wait_for("a generation that answers", || {
            let told = daemon.cli(&["integration", "manage", "probe", "do=echo", "text=here"]);
            if told.code == 0 { Ok(generation(&daemon)) } else { Err(told.stderr) }
        });
        // Whichever it is, it has the data of before.
        let kept = daemon.cli(&["integration", "manage", "probe", "do=keys"]);
        assert!(kept.stdout.contains("mark"), "{} after {before}, {now}: {}", kept.stderr, kept.stdout);
        let history =
            daemon.cli(&["state", "history", "probe:probe/count", "--since", "1h", "--limit", "100000", "--json"]);
        let rows = history.json()["rows"].as_array().map_or(0, Vec::len);
        assert!(rows >= acknowledged, "{rows} of at least {acknowledged} acknowledged readings");
        // A failure on trial pins: the next round is about the next content again.
        daemon.cli(&["plugin", "unpin", "probe"]);
    }
    figure(&format!("{kills} kills in the middle of an upgrade, {acknowledged} readings acknowledged and none lost"));
}

#[test]
fn versions_are_listed_gone_back_to_and_held() {
    let daemon = Daemon::start();
    daemon.with_probe();
    let first = generation(&daemon);
    replace(&daemon, &content(1));
    let second = wait_other(&daemon, &first);
    let versions = daemon.cli(&["plugin", "versions", "probe", "--json"]).json();
    let of = |sha256: &str| {
        let all = versions.as_array().expect("versions");
        all.iter().find(|one| one["sha256"] == sha256).cloned().expect("it is kept")
    };
    assert_eq!((&of(&second)["running"], &of(&first)["running"]), (&json!(["probe"]), &json!([])));
    assert_eq!(of(&second)["file_name"], FILE);
    let shown = daemon.cli(&["integration", "show", "probe"]);
    assert!(shown.ok().contains("On trial"), "{}", shown.stdout);

    let back = daemon.cli(&["plugin", "rollback", "probe", "--json"]).json();
    assert_eq!(back[0]["generation"], first.as_str(), "{back}");
    assert!(back[0]["upgrade"]["pin"]["why"].is_string(), "{back}");
    let why = daemon.cli(&["plugin", "why", "probe"]);
    assert!(why.ok().contains("plugin unpin probe"), "{}", why.stdout);
    replace(&daemon, &content(2));
    wait_for("the new file to wait", || {
        let view = view(&daemon);
        if view["upgrade"]["next"]["step"] == "waits" { Ok(()) } else { Err(view["upgrade"].to_string()) }
    });
    assert_eq!(generation(&daemon), first);

    daemon.cli(&["plugin", "unpin", "probe"]).ok();
    let third = wait_other(&daemon, &first);
    let pinned = daemon.send("POST", "/v1/plugins/probe/pin", &json!({})).json();
    assert_eq!(pinned[0]["upgrade"]["pin"]["generation"], third.as_str(), "{pinned}");
    let refused = daemon.cli(&["plugin", "allow", "probe"]);
    assert!(refused.failed(1).contains("waits for a yes"), "{}", refused.stderr);
    let refused = daemon.cli(&["plugin", "rollback", "probe", "--to", "9.9.9"]);
    assert!(refused.failed(1).contains("9.9.9"), "{}", refused.stderr);
    let refused = daemon.cli(&["plugin", "versions", "prob"]);
    assert!(refused.failed(1).contains("prob"), "{}", refused.stderr);
}
