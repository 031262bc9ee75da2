//! Who can connect, when there is no daemon, and how serving ends.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use gatehouse_host::api::client::{Client, ClientError};
use gatehouse_host::api::server::{BindError, Server};
use gatehouse_host::api::types::Status;
use gatehouse_host::gateway::{Kernel, Missing};
use gatehouse_host::home::Home;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::daemon::Daemon;
use crate::gateway::probe::Probe;

/// Names the home whose status the probe asks for.
const PROBE: &str = "GATEHOUSE_TEST_PROBE";
/// A user that the daemon does not run as (`nobody` on most systems).
const OTHER_USER: u32 = 65_534;

/// Not a test by itself: the other tests run it as another user, and it tells what the socket said.
#[tokio::test]
async fn probe_as_another_user() {
    let Some(home) = std::env::var_os(PROBE) else { return };
    let heard = match Client::new(&Home::at(home)).get::<Status>("/v1/status").await {
        Ok(_) => "answered".to_owned(),
        Err(error) => format!("{} {error}", error.code()),
    };
    writeln!(std::io::stdout(), "probe: {heard}").unwrap();
}

/// What another user's client hears from the socket; `None` when this process cannot become another user.
fn ask_as_another_user(home: &Home) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    // A copy, because the build's folder may be closed to other users.
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("probe");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let output = Command::new(&binary)
        .args(["--exact", "api::socket::probe_as_another_user", "--nocapture"])
        .env_clear()
        .env(PROBE, home.root())
        .current_dir("/")
        .uid(OTHER_USER)
        .gid(OTHER_USER)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().find_map(|line| line.strip_prefix("probe: ")).unwrap_or(&text).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_cannot_connect() {
    let daemon = Daemon::start().await;
    let mode = fs::metadata(daemon.home.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let home = daemon.home.clone();
    if let Some(heard) = tokio::task::spawn_blocking(move || ask_as_another_user(&home)).await.unwrap() {
        assert!(heard.starts_with("denied"), "{heard}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_refused_even_when_the_socket_was_opened() {
    let daemon = Daemon::start().await;
    fs::set_permissions(daemon.home.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(daemon.home.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let home = daemon.home.clone();
    if let Some(heard) = tokio::task::spawn_blocking(move || ask_as_another_user(&home)).await.unwrap() {
        assert!(heard.starts_with("forbidden"), "{heard}");
    }
}

#[tokio::test]
async fn without_a_daemon_the_command_that_starts_one_is_told() {
    let folder = TempDir::new().unwrap();
    let home = Home::at(folder.path());
    let absent = Client::new(&home).get::<Status>("/v1/status").await.unwrap_err();
    assert_eq!(absent.code(), "no_daemon");
    let text = absent.to_string();
    let start = format!("no daemon serves {}: start it with `GATEHOUSE_HOME=", folder.path().display());
    assert!(text.starts_with(&start) && text.ends_with(" serve`"), "{text}");
    // A dead daemon's socket: the listener is gone, the file is not.
    drop(UnixListener::bind(home.socket()).unwrap());
    let dead = Client::new(&home).get::<Status>("/v1/status").await.unwrap_err();
    assert!(matches!(dead, ClientError::NoDaemon { .. }), "{dead}");
}

#[tokio::test]
async fn a_dead_daemons_socket_is_replaced_and_anything_else_is_not() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gatehouse.sock");
    drop(UnixListener::bind(&path).unwrap());
    drop(Server::bind(&path).unwrap());
    assert!(!path.exists(), "a server takes its socket with it");
    fs::write(&path, "precious").unwrap();
    let error = Server::bind(&path).unwrap_err();
    assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let nowhere = Server::bind(&folder.path().join("none/gatehouse.sock")).unwrap_err().to_string();
    assert!(nowhere.contains("none/gatehouse.sock cannot be made"), "{nowhere}");
}

#[tokio::test]
async fn stopping_ends_streams_and_idle_connections() {
    let daemon = Daemon::start().await;
    let mut events = daemon.client.events("/v1/events", None).await.unwrap();
    let mut log = daemon.client.events("/v1/log?follow=1", None).await.unwrap();
    let mut idle = tokio::net::UnixStream::connect(daemon.home.socket()).await.unwrap();
    idle.write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    daemon.stop.cancel();
    while events.next().await.unwrap().is_some() {}
    while log.next().await.unwrap().is_some() {}
    let mut rest = Vec::new();
    // Whether the half request is hung up on with or without a word does not matter: it ends.
    let _ = idle.read_to_end(&mut rest).await;
    tokio::time::timeout(Duration::from_secs(20), daemon.serving).await.unwrap().unwrap();
    assert!(!daemon.home.socket().exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_refused_by_the_daemon_also_where_the_kernel_lets_it_through() {
    let daemon = Daemon::start().await;
    let socket = daemon.home.socket().to_str().unwrap().to_owned();
    let whole = Probe::launch_needing(&[]).await;
    let lacking = Kernel { filters: false, asks: false, ..Kernel::found() };
    let open = Probe::launch_trying(&[], lacking, "").await.unwrap();
    for probe in [&whole, &open] {
        let ask = [("do", "try"), ("what", "ask-daemon"), ("at", socket.as_str())];
        assert_eq!(probe.ask(&ask).await.unwrap(), "PermissionDenied");
    }
    assert_eq!(open.ask(&[("do", "try"), ("what", "connect"), ("at", &socket)]).await.unwrap(), "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_tells_what_of_the_sandbox_is_missing() {
    let daemon = Daemon::start().await;
    // Whether this process may divide its control group is the machine's.
    let missing = async || {
        let status: Status = daemon.client.get("/v1/status").await.unwrap();
        let of_groups = |one: &Missing| one.part.starts_with("control groups");
        status.sandbox_missing.into_iter().filter(|one| !of_groups(one)).collect::<Vec<_>>()
    };
    Kernel::narrow(Kernel::WHOLE);
    assert_eq!(missing().await, []);
    Kernel::narrow(Kernel { landlock: 0, ..Kernel::WHOLE });
    let missing = missing().await;
    assert_eq!(missing.len(), 1);
    assert!(missing[0].part.starts_with("Landlock"), "{missing:?}");
}
