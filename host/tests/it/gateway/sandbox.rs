//! What a worker may do and what it may not, tried by a plugin that means it; as root and as a user without rights.

use std::os::unix::net::{UnixDatagram, UnixListener};

use gatehouse_plugin_api::manifest::Capability;

use super::probe::Probe;
use super::worker_process::as_nobody;

const REFUSED: &str = "PermissionDenied";

async fn tried(probe: &Probe, what: &str, at: &str) -> String {
    probe.ask(&[("do", "try"), ("what", what), ("at", at)]).await.unwrap()
}

/// Everything below, by whoever runs it.
async fn it_holds() {
    let probe = Probe::launch_needing(&[]).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("foreign"), "not the plugin's").unwrap();
    let (stream, datagrams) =
        (UnixListener::bind(path("stream")).unwrap(), UnixDatagram::bind(path("datagram")).unwrap());
    let own = probe.folder().join("own").to_str().unwrap().to_owned();
    let daemon = std::process::id().to_string();

    for (what, at) in [
        ("read", path("foreign").as_str()),
        ("write", &path("foreign")),
        ("write", &path("new")),
        ("list", elsewhere.path().to_str().unwrap()),
        ("list", "/proc"),
        ("read", "/etc/passwd"),
        ("read", &format!("/proc/{daemon}/environ")),
        ("mode", &path("foreign")),
        ("start", "/bin/sh"),
        ("connect", &path("stream")),
        ("datagram", &path("datagram")),
        ("listen", "127.0.0.1:0"),
        ("signal", &daemon),
        ("signal", "1"),
        ("limit", ""),
    ] {
        assert_eq!(tried(&probe, what, at).await, REFUSED, "{what} {at}");
    }
    assert_ne!(tried(&probe, "link", &path("foreign")).await, "done");
    assert_eq!(std::fs::read_to_string(path("foreign")).unwrap(), "not the plugin's");
    drop((stream, datagrams));

    for (what, at) in [
        ("write", own.as_str()),
        ("read", &own),
        ("replace", &own),
        ("copy", &own),
        ("list", probe.folder().to_str().unwrap()),
        ("read", "/proc/self/status"),
        ("thread", ""),
    ] {
        assert_eq!(tried(&probe, what, at).await, "done", "{what} {at}");
    }

    let refusals = probe.gateway.refusals();
    let count = |words: &str| refusals.iter().find(|refusal| refusal.tried == words).map_or(0, |refusal| refusal.count);
    assert!(count("tried to make a process") > 0, "{refusals:?}");
    assert_eq!(count("tried to make a local socket"), 2, "{refusals:?}");
    assert_eq!(count(&format!("tried to send a signal to process {daemon}")), 1, "{refusals:?}");
    assert_eq!(count("tried to send a signal to process 1"), 1, "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_has_its_own_folder_and_nothing_else() {
    it_holds().await;
}

#[test]
fn a_plugin_of_an_unprivileged_daemon_has_its_own_folder_and_nothing_else() {
    as_nobody("gateway::sandbox::a_plugin_has_its_own_folder_and_nothing_else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_needs_is_granted_and_no_more() {
    let elsewhere = tempfile::tempdir().unwrap();
    let path = |name: &str| elsewhere.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("one"), "declared").unwrap();
    std::fs::write(path("other"), "not declared").unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let probe = Probe::launch_needing(&[
        Capability::Read { path: path("one") },
        Capability::Listen { port: free },
        Capability::Execute { path: "/bin/true".into() },
    ])
    .await;
    assert_eq!(tried(&probe, "read", &path("one")).await, "done");
    assert_eq!(tried(&probe, "write", &path("one")).await, REFUSED);
    assert_eq!(tried(&probe, "read", &path("other")).await, REFUSED);
    assert_eq!(tried(&probe, "listen", &format!("127.0.0.1:{free}")).await, "done");
    assert_eq!(tried(&probe, "listen", "127.0.0.1:0").await, REFUSED);
    assert_eq!(tried(&probe, "start", "/bin/true").await, "done");
    assert_eq!(tried(&probe, "start", "/bin/sh").await, REFUSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_of_refusals_is_one_line_and_a_flood_of_kinds_is_bounded() {
    let probe = Probe::launch_needing(&[]).await;
    for process in 1..=100 {
        assert_eq!(tried(&probe, "signal", &process.to_string()).await, REFUSED);
    }
    for _ in 0..100 {
        tried(&probe, "signal", "1").await;
    }
    let refusals = probe.gateway.refusals();
    assert!(refusals.len() <= 33, "{}", refusals.len());
    assert_eq!(refusals.iter().map(|refusal| refusal.count).sum::<u64>(), 200);
    assert!(
        refusals.iter().any(|refusal| refusal.tried.ends_with("process 1") && refusal.count == 101),
        "{refusals:?}"
    );
}
