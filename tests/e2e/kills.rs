//! Kills at moments that nobody chose, under load: nothing that was acknowledged is lost, nothing is left behind.
//!
//! `GATEHOUSE_KILLS` is how many of each kind; `GATEHOUSE_SEED` makes the moments those of an earlier run.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::figure::figure;
use gatehouse_tests::wait::wait_for;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Failures are what this is about, so that they lead nowhere.
const PATIENT: &str = "quarantine_failures = 1000\nquarantine_within_ms = 1000\n";

fn rounds() -> u32 {
    std::env::var("GATEHOUSE_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

/// Numbers that follow from a printed seed (SplitMix64).
struct Chance(u64);

impl Chance {
    #[expect(clippy::print_stderr, reason = "a run is repeated by its seed")]
    fn new() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let seed = std::env::var("GATEHOUSE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(now);
        eprintln!("GATEHOUSE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    /// Lets a moment pass that no event marks.
    fn moment(&mut self) {
        let (begun, span) = (Instant::now(), Duration::from_micros(self.below(20_000)));
        while begun.elapsed() < span {
            std::hint::spin_loop();
        }
    }
}

fn counting() -> Daemon {
    let daemon = Daemon::start_with(PATIENT);
    daemon.drop_plugin("virtual_house");
    daemon.with_probe();
    daemon.ask_probe("probe", &["do=count"]);
    daemon
}

fn acknowledged(daemon: &Daemon) -> u64 {
    let noted = daemon.home().join("data/probe/acknowledged");
    fs::read_to_string(noted).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn until_acknowledged(daemon: &Daemon, number: u64) {
    wait_for(&format!("reading {number} to be acknowledged"), || match acknowledged(daemon) {
        now if now >= number => Ok(()),
        now => Err(now),
    });
}

/// Every number from the first on, each once.
fn is_whole(daemon: &Daemon, acknowledged: u64) {
    let mut until_ms = i64::MAX;
    let mut numbers = Vec::new();
    loop {
        let path = format!("/v1/states/probe:probe%2Fcount/history?since_ms=0&until_ms={until_ms}&limit=50000");
        let page = daemon.get(&path).expect("answered").json();
        let rows = page["rows"].as_array().expect("rows").clone();
        let number = |row: &Value| row["value"]["number"].as_f64().expect("a number") as u64;
        numbers.splice(0..0, rows.iter().map(number));
        if page["older"] != true {
            break;
        }
        until_ms = rows[0]["at_ms"].as_i64().expect("a time") - 1;
    }
    let last = numbers.last().copied().unwrap_or(0);
    assert!(last >= acknowledged, "{last} is the last, and {acknowledged} was acknowledged");
    // Readings of one millisecond stand beside each other; the paging above may have cut between them.
    numbers.sort_unstable();
    numbers.dedup();
    let missing: Vec<_> = (1..=acknowledged).filter(|number| numbers.binary_search(number).is_err()).collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
}

/// Processes that were started by this one as workers.
fn workers_of(daemon: i32) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let command = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("cmdline")).ok();
    let parent = format!("\0--parent\0{daemon}\0");
    processes.filter_map(command).filter(|line| line.contains(&parent)).collect()
}

#[test]
fn no_moment_of_the_daemons_death_loses_what_was_acknowledged() {
    let mut chance = Chance::new();
    let mut daemon = counting();
    for round in 0..rounds() {
        until_acknowledged(&daemon, acknowledged(&daemon) + 1 + chance.below(20));
        let id = format!("house-{round}");
        // In some rounds the death comes into the middle of an activation.
        let mut flow = (round % 4 == 0).then(|| {
            let args = ["integration", "activate", "virtual-house", "--id", &id, "--choose", "furnished", "--yes"];
            daemon.spawn(&args)
        });
        chance.moment();
        let dead = daemon.pid();
        daemon.end(Signal::KILL);
        let noted = acknowledged(&daemon);
        if let Some(flow) = &mut flow {
            flow.wait().expect("it ends with its daemon");
        }
        wait_for("the workers to end with their daemon", || match workers_of(dead.as_raw_nonzero().get()) {
            left if left.is_empty() => Ok(()),
            left => Err(left),
        });
        daemon.serve();
        let state = daemon.get("/v1/states/probe:probe%2Fcount").expect("answered").json();
        let last = state["value"]["number"].as_f64().expect("a number") as u64;
        assert!(last >= noted, "round {round}: {noted} was acknowledged, {last} is there");
        daemon.wait_state("probe", "running");
        if flow.is_some() {
            // Wholly there or not at all.
            let view = daemon.get(&format!("/v1/integrations/{id}")).expect("answered");
            if view.status == 200 {
                daemon.wait_state(&id, "running");
                daemon.cli(&["integration", "deactivate", &id, "--purge", "--yes"]).ok();
            }
            assert_eq!(daemon.get(&format!("/v1/integrations/{id}")).expect("answered").status, 404);
        }
    }
    let noted = acknowledged(&daemon);
    daemon.restart();
    is_whole(&daemon, noted);
    figure(&format!("{} kills of the daemon, {noted} readings acknowledged and none lost", rounds()));
}

#[test]
fn no_moment_of_a_workers_death_loses_what_was_acknowledged() {
    let mut chance = Chance::new();
    let daemon = counting();
    for _ in 0..rounds() {
        let pid = daemon.wait_state("probe", "running")["pid"].as_i64().expect("a worker");
        until_acknowledged(&daemon, acknowledged(&daemon) + 1 + chance.below(20));
        chance.moment();
        let worker = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        kill_process(worker, Signal::KILL).expect("it is there");
        wait_for("another worker", || {
            let view = daemon.wait_state("probe", "running");
            if view["pid"].as_i64() == Some(pid) { Err(view) } else { Ok(()) }
        });
    }
    let noted = acknowledged(&daemon);
    until_acknowledged(&daemon, noted + 1);
    is_whole(&daemon, noted);
    figure(&format!("{} kills of a worker, {noted} readings acknowledged and none lost", rounds()));
}
