//! How long setting a state takes while a neighbour misbehaves, beside how long it takes without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gatehouse_tests::daemon::Daemon;
use serde_json::json;

use super::{Client, POWER, percentile, tell};

/// Controls of one row.
const CONTROLS: usize = 2_000;
/// The most that a fault beside may make of it.
const MOST: f64 = 2.0;
/// Until one that does not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Failures are what this is about, so that they lead nowhere.
const PATIENT: &str = "quarantine_failures = 1000\n";

/// What the neighbour does, over and over.
const FAULTS: [(&str, &str); 5] = [
    ("flood of readings", "do=emit&count=100000"),
    ("flood of log lines", "do=log-flood&count=100000"),
    ("crash loop", "do=abort"),
    ("busy loop", "do=spin&ms=1000"),
    ("growing memory", "do=grow&mb=16"),
];

fn controls(daemon: &Daemon) -> Vec<f64> {
    let mut client = Client::to(&daemon.socket());
    let path = format!("{POWER}/control");
    let body = |at: usize| json!({"value": {"on_off": at.is_multiple_of(2)}}).to_string();
    (0..CONTROLS).map(|at| client.ask("POST", &path, &body(at))).collect()
}

pub(super) fn neighbours() {
    for (fault, ask) in FAULTS {
        let daemon = Daemon::start_with(PATIENT);
        daemon.with_probe();
        daemon.cli(&["integration", "activate", "probe", "--id", "probe-bad", "--yes"]).ok();
        daemon.wait_state("probe-bad", "running");
        let mut alone = controls(&daemon);
        let over = AtomicBool::new(false);
        let mut beside = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // That it fails is the point of some of them. Asked at once again while it is started anew, this
                    // would be a flood of requests instead.
                    let asked = daemon.get(&format!("/v1/integrations/probe-bad/manage?{ask}"));
                    if asked.is_ok_and(|answer| answer.status != 200) {
                        std::thread::sleep(ASK_AGAIN);
                    }
                }
            });
            let beside = controls(&daemon);
            over.store(true, Ordering::Relaxed);
            beside
        });
        for (percent, name) in [(50, "p50"), (99, "p99")] {
            let (beside, alone) = (percentile(&mut beside, percent), percentile(&mut alone, percent));
            let row = format!("control beside a {fault}, {name}");
            tell(&row, beside, "us", Some(alone), "<= 2x", Some(beside <= MOST * alone));
        }
    }
}
