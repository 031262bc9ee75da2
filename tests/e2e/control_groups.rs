//! Workers in control groups of their own, where this machine lets a test hand one over to a daemon.

#![allow(clippy::print_stderr, reason = "what was skipped is told")]

use std::fs;
use std::path::{Path, PathBuf};

use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::wait::wait_for;
use rustix::process::Signal;
use serde_json::Value;

/// A group with memory and pids that nobody is in; removed in the end.
struct Handed(PathBuf);

impl Handed {
    fn new() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("told");
        let mount =
            mounts.lines().filter_map(|line| line.split_once(" - ")).find(|(_, kind)| kind.starts_with("cgroup2 "));
        let folder = mount.and_then(|(mount, _)| mount.split(' ').nth(4)).ok_or("no cgroup2 is mounted")?;
        let folder = Path::new(folder);
        // The root may hold processes and hand down; any other group would have to be empty.
        let _ = fs::write(folder.join("cgroup.subtree_control"), "+memory +pids");
        let handed = fs::read_to_string(folder.join("cgroup.subtree_control")).unwrap_or_default();
        if let Some(lacking) =
            ["memory", "pids"].into_iter().find(|one| !handed.split_whitespace().any(|is| is == *one))
        {
            return Err(format!("{} hands down no {lacking}", folder.display()));
        }
        let group = folder.join(format!("gatehouse-test-{}", std::process::id()));
        fs::create_dir(&group).map_err(|error| format!("{} cannot be made: {error}", group.display()))?;
        Ok(Self(group))
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        for group in ["workers", "daemon", ""] {
            let _ = fs::remove_dir(self.0.join(group));
        }
    }
}

/// What of the sandbox a daemon says is missing for want of groups.
fn missing(daemon: &Daemon) -> Vec<Value> {
    let status = daemon.get("/v1/status").expect("served").json();
    let missing = status["sandbox_missing"].as_array().expect("a list").clone();
    missing.into_iter().filter(|one| one["part"].as_str().is_some_and(|part| part.contains("control groups"))).collect()
}

#[test]
fn a_worker_is_bounded_by_a_control_group_of_its_own() {
    let group = match Handed::new() {
        Ok(group) => group,
        Err(why) => {
            eprintln!("skipped: a_worker_is_bounded_by_a_control_group_of_its_own: {why}");
            return;
        }
    };
    let config = format!("{QUICK}worker_memory_mb = 64\nworker_threads = 32\n");
    let mut daemon = Daemon::prepare(&config);
    let enter = r#"echo $$ > "$0/cgroup.procs" && exec "$@""#;
    daemon.run_by(["sh".as_ref(), "-c".as_ref(), enter.as_ref(), group.0.as_os_str()]);
    daemon.serve();
    assert_eq!(missing(&daemon), Vec::<Value>::new());
    daemon.drop_plugin("zoo_plugin");
    daemon.cli(&["integration", "activate", "zoo", "--yes"]).ok();
    let worker = daemon.wait_state("zoo", "running")["pid"].as_i64().expect("a worker");
    let own = group.0.join(format!("workers/zoo-{worker}"));
    let read = |file: &str| fs::read_to_string(own.join(file)).expect(file).trim().to_owned();
    assert_eq!(read("cgroup.procs"), worker.to_string());
    assert_eq!(read("memory.max"), (64 << 20).to_string());
    assert_eq!(read("pids.max"), "32");

    // Keeps 96 MiB: the kernel ends it, and the group is gone with it.
    fs::write(daemon.home().join("data/zoo/fault"), "control leak-memory").expect("written");
    daemon.cli(&["control", "zoo:cage/door", "on"]);
    wait_for("the worker to be ended for want of memory", || {
        let crashes = daemon.cli(&["crash", "list", "--json"]).ok().to_owned();
        if crashes.contains("out_of_memory") { Ok(()) } else { Err(crashes) }
    });
    wait_for("its group to go", || if own.exists() { Err("it is there") } else { Ok(()) });
    daemon.end(Signal::TERM);
}

#[test]
fn a_daemon_without_a_group_of_its_own_says_what_bounds_its_workers() {
    let daemon = Daemon::start();
    let missing = missing(&daemon);
    // A machine may start tests in a group that is theirs alone.
    if let [missing] = missing.as_slice() {
        let means = missing["means"].as_str().expect("a sentence");
        assert!(means.starts_with("memory and threads of a worker are bounded by the limits of its process alone; "));
        assert!(means.contains("group"), "{means}");
        assert!(daemon.cli(&["status"]).ok().contains("without control groups"), "{means}");
    } else {
        assert_eq!(missing, Vec::<Value>::new());
    }
}
