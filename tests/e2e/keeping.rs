//! What a plugin keeps, in its store and in its folder, is bounded.

use std::fs;

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;

fn fill(daemon: &Daemon, key: &str, kb: u32) -> gatehouse_tests::daemon::Ran {
    daemon.cli(&["integration", "manage", "probe", "do=fill", &format!("key={key}"), &format!("kb={kb}")])
}

#[test]
fn a_store_takes_no_more_than_it_may_and_goes_on_once_something_is_deleted() {
    let mut daemon = Daemon::start_with("store_mb = 1\n");
    daemon.with_probe();
    for key in ["a", "b", "c"] {
        fill(&daemon, key, 300).ok();
    }
    let refused = fill(&daemon, "d", 300);
    let text = refused.failed(1);
    assert!(text.contains("\"d\" has 307201 bytes") && text.contains("integrations.store_mb"), "{text}");
    // Something smaller has room, and so has another value in the place of one that is there.
    fill(&daemon, "e", 50).ok();
    for _ in 0..8 {
        fill(&daemon, "a", 301).ok();
    }
    assert_eq!(daemon.ask_probe("probe", &["do=keys"]).trim(), "a,b,c,e");

    // It is the same after a restart, and over once something is deleted.
    daemon.restart();
    daemon.wait_state("probe", "running");
    assert!(fill(&daemon, "d", 300).failed(1).contains("may be kept"));
    daemon.ask_probe("probe", &["do=forget", "key=b"]);
    fill(&daemon, "d", 300).ok();
    assert_eq!(daemon.ask_probe("probe", &["do=keys"]).trim(), "a,c,d,e");
}

#[test]
fn who_fills_its_folder_is_stopped_until_there_is_less_in_it_and_its_neighbour_is_not() {
    let daemon = Daemon::start_with("data_mb = 2\ndata_check_every_ms = 100\n");
    daemon.with_probe();
    daemon.cli(&["integration", "activate", "probe", "--id", "probe-b", "--yes"]).ok();
    let neighbour = daemon.wait_state("probe-b", "running")["pid"].clone();
    daemon.ask_probe("probe", &["do=write", "file=small", "kb=500"]);
    let big = daemon.home().join("data/probe/big");
    // It may be stopped before it has said that it wrote.
    let _ = daemon.cli(&["integration", "manage", "probe", "do=write", "file=big", "kb=3000"]);
    wait_for("it to be stopped for it", || {
        let view = daemon.get("/v1/integrations/probe").map_err(|error| error.to_string())?.json();
        let told = view["reason"].to_string().contains("it keeps more than 2 MiB in");
        if told && view["pid"].is_null() { Ok(()) } else { Err(view.to_string()) }
    });
    // Between two attempts to start, which come quickly here.
    wait_for("it to be shown", || {
        let shown = daemon.cli(&["integration", "show", "probe"]).ok().split_whitespace().collect::<Vec<_>>().join(" ");
        if shown.contains("it keeps more than 2 MiB in") && shown.contains("data/probe") { Ok(()) } else { Err(shown) }
    });
    assert_eq!(daemon.wait_state("probe-b", "running")["pid"], neighbour, "its neighbour did not notice");

    fs::remove_file(big).expect("deleted");
    daemon.cli(&["integration", "resume", "probe"]).ok();
    daemon.wait_state("probe", "running");
    daemon.ask_probe("probe", &["do=write", "file=small", "kb=600"]);
}
