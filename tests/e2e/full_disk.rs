//! A disk that fills up under a running daemon, and is emptied again.

use std::fs;

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::disk::{SmallDisk, fill};
use gatehouse_tests::wait::wait_for;
use serde_json::Value;

/// Room for the probe, its staged copy and a little more.
fn small_home() -> Option<Daemon> {
    let plugin = fs::metadata(gatehouse_tests::build::plugin_file("probe_plugin")).expect("built").len();
    let megabytes = u32::try_from(plugin >> 20).expect("small") * 2 + 12;
    // Where nobody may mount anything there is no small disk to be had.
    let mut daemon = Daemon::prepare_on(QUICK, SmallDisk::new(megabytes)?);
    daemon.serve();
    daemon.with_probe();
    Some(daemon)
}

fn emit(daemon: &Daemon, count: usize) -> gatehouse_tests::daemon::Ran {
    daemon.cli(&["integration", "manage", "probe", "do=emit", &format!("count={count}")])
}

fn problem(daemon: &Daemon) -> String {
    let status = daemon.get("/v1/status").expect("answered").json();
    status["database_problem"].as_str().expect("a text").to_owned()
}

#[test]
fn a_full_disk_stops_the_history_alone_and_is_got_over() {
    let Some(daemon) = small_home() else { return };
    assert_eq!(problem(&daemon), "");
    let mut counts = vec![400];
    emit(&daemon, 400).ok();

    let ballast = daemon.home().join("ballast");
    fill(&ballast);
    // What is written first may still find room in the database's own files. Each count is another, so that each call
    // can be told in the history.
    let refused = wait_for("an acknowledgment to be refused", || {
        let count = 1_000 + counts.len();
        counts.push(count);
        let ran = emit(&daemon, count);
        if ran.code == 0 { Err(ran) } else { Ok(ran) }
    });
    assert!(refused.failed(1).contains("the disk is full"), "{}", refused.stderr);
    assert!(refused.stderr.contains("make room"), "{}", refused.stderr);

    // It is said wherever a person looks first.
    for part in ["the disk is full", "gatehouse.db", "make room", "goes on by itself"] {
        let status = daemon.cli(&["status"]);
        assert!(status.ok().replace('\n', " ").contains(part), "{part}: {}", status.stdout);
    }
    assert!(daemon.log().contains("the history is not written"), "the log says so");
    // The house lives on: values, control, events.
    let mut events = daemon.events("/v1/events?states=1", None);
    daemon.cli(&["control", "probe:probe/power", "on"]).ok();
    daemon.wait_text("probe:probe/power", "on");
    events.find("state", |data| data["address"] == "probe:probe/power");
    assert_eq!(daemon.state_text("probe:probe/count"), Ok((counts[counts.len() - 1] - 1).to_string()));
    daemon.wait_state("probe", "running");
    // What must be kept is refused in a sentence, and nothing has changed; unless the few bytes of it found room.
    let pause = daemon.cli(&["integration", "pause", "probe"]);
    if pause.code != 0 {
        assert!(pause.stderr.contains("the disk is full") && pause.stderr.contains("make room"), "{}", pause.stderr);
        daemon.wait_state("probe", "running");
    }

    fs::remove_file(&ballast).expect("removed");
    wait_for("the history to be written again", || match problem(&daemon) {
        text if text.is_empty() => Ok(()),
        text => Err(text),
    });
    daemon.cli(&["integration", "resume", "probe"]).ok();
    counts.push(300);
    emit(&daemon, 300).ok();
    let args = ["state", "history", "probe:probe/count", "--since", "1h", "--limit", "100000", "--json"];
    let history = daemon.cli(&args).json();
    let number = |row: &Value| row["value"]["number"].as_f64().expect("a number");
    let numbers: Vec<f64> = history["rows"].as_array().expect("rows").iter().map(number).collect();
    // Everything that was acknowledged, and what waited as well, for it was not too much.
    #[expect(clippy::cast_precision_loss, reason = "counts of a test are small")]
    let wanted: Vec<f64> = counts.iter().flat_map(|count| (0..*count).map(|n| n as f64)).collect();
    assert!(numbers == wanted, "{} of {} readings", numbers.len(), wanted.len());
    daemon.wait_text("probe:probe/power", "on");
    assert!(daemon.log().contains("the history is written again"));
}
