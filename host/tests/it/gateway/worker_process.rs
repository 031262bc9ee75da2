//! The worker as a process: what it is born with, what it leaves behind, whose death ends it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatehouse_host::gateway::Hosting;
use gatehouse_host::plugin::stage;
use gatehouse_host::reason::ReasonCode;

use super::probe::{CALM, LONG, Probe, plugin_file, soon};

fn descriptors() -> BTreeSet<String> {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        // The listing's own.
        .filter(|target| !target.starts_with("/proc/"))
        .collect()
}

fn children() -> usize {
    let children = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok());
    children.map(|list| list.split_whitespace().count()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_launches_leave_nothing_behind() {
    // The spawning thread and the runtime's own descriptors are there after the first.
    Probe::launch(Hosting::Isolated).await.gateway.close(LONG).await;
    let (before, children_before) = (descriptors(), children());
    for _ in 0..50 {
        let probe = Probe::launch(Hosting::Isolated).await;
        assert_eq!(soon(probe.gateway.close(LONG)).await.reason.code, ReasonCode::AsWanted);
    }
    assert_eq!(children(), children_before);
    assert_eq!(descriptors().difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_begins_with_an_empty_environment_and_one_channel() {
    // As the daemon may have been given one itself.
    let inherited = tempfile::NamedTempFile::new().unwrap();
    rustix::io::fcntl_setfd(inherited.as_file(), rustix::io::FdFlags::empty()).unwrap();
    let probe = Probe::launch(Hosting::Isolated).await;
    let environment = probe.ask(&[("do", "environment")]).await.unwrap();
    assert!(environment.starts_with("TMPDIR="), "{environment}");
    assert_eq!(environment.lines().count(), 1, "{environment}");

    let open = probe.ask(&[("do", "descriptors")]).await.unwrap();
    let open: Vec<&str> = open.lines().collect();
    assert!(open.contains(&"0 /dev/null"), "{open:?}");
    assert!(open.iter().any(|line| line.starts_with("1 pipe:")), "{open:?}");
    assert!(open.iter().any(|line| line.starts_with("2 pipe:")), "{open:?}");
    assert!(open.iter().any(|line| line.starts_with("3 socket:")), "{open:?}");
    assert!(!open.iter().any(|line| line.contains(inherited.path().to_str().unwrap())), "{open:?}");

    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", probe.pid())).unwrap();
    assert!(command.starts_with("gatehouse\0worker\0"), "{command:?}");
    assert!(command.contains("--integration\0probe\0"), "{command:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_ends_the_worker() {
    let probe = Probe::launch(Hosting::Isolated).await;
    let entry = format!("/proc/{}", probe.pid());
    drop(probe);
    wait_for("the worker ends and is reaped", || !Path::new(&entry).exists());
}

#[test]
fn a_worker_started_by_hand_says_who_starts_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_gatehouse")).arg("worker").stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`worker` is started by the daemon alone"), "{said}");
}

#[test]
fn the_death_of_the_daemon_ends_its_workers() {
    let mut daemon = stand_in(None);
    let worker = first_line(&mut daemon);
    let entry = format!("/proc/{worker}/stat");
    assert!(Path::new(&entry).exists());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    // Whoever adopts it may be slow to reap it: a zombie is dead.
    wait_for("the worker ends", || {
        std::fs::read_to_string(&entry).map_or(true, |stat| stat.rsplit(") ").next().unwrap().starts_with('Z'))
    });
}

#[test]
fn an_unprivileged_daemon_runs_workers() {
    if !rustix::process::geteuid().is_root() {
        // Then every other test here shows it.
        return;
    }
    let mut daemon = stand_in(Some(NOBODY));
    let worker = first_line(&mut daemon);
    let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    assert!(status.lines().any(|line| line.starts_with("Uid:\t65534\t65534")), "{status}");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

/// Runs the tests of this binary below `prefix`, all but one, as a user without rights; nothing when this is one already.
pub(crate) fn all_as_nobody(prefix: &str, but: &str) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args([prefix, "--skip", but]).uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains(" 0 passed"), "{said}");
}

pub(super) const NOBODY: u32 = 65_534;
const ROLE: &str = "GATEHOUSE_TEST_STAND_IN";

/// A process of its own that launches a worker, tells its pid and then waits.
fn stand_in(uid: Option<u32>) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "gateway::worker_process::stands_in_for_a_daemon", "--nocapture"])
        .env(ROLE, "yes")
        .stdout(Stdio::piped());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid).current_dir("/");
    }
    command.spawn().unwrap()
}

fn first_line(daemon: &mut std::process::Child) -> u32 {
    let lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).find_map(|line| line.split_once("worker ").map(|(_, pid)| pid.to_owned()));
    told.expect("a worker was launched").trim().parse().unwrap()
}

#[test]
#[expect(clippy::print_stdout, reason = "the parent reads it")]
fn stands_in_for_a_daemon() {
    if std::env::var_os(ROLE).is_none() {
        // Only a part that another test plays with it.
        return;
    }
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        // A store of its own: the shared one belongs to the user who runs the tests.
        let store = tempfile::TempDir::new().unwrap();
        let plugin = stage(&plugin_file(), store.path(), u64::MAX).unwrap();
        let probe = Probe::launch_plugin(plugin, "probe", Hosting::Isolated, CALM).await.unwrap();
        println!("worker {}", probe.pid());
        std::future::pending::<()>().await;
    });
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
