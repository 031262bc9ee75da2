//! What a worker may do and what it may not, tried by a plugin that means it, from the gateway's own code and from a
//! constructor of its library; as root and as a user without rights.

mod lacking;
mod network;

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use gatehouse_host::gateway::Kernel;
use gatehouse_plugin_api::manifest::Capability;
use tempfile::TempDir;

use super::probe::Probe;
use super::worker_process::{NOBODY, all_as_nobody};

const REFUSED: &str = "PermissionDenied";
const DONE: &str = "done";

async fn tried(probe: &Probe, what: &str, at: &str) -> String {
    probe.ask(&[("do", "try"), ("what", what), ("at", at)]).await.unwrap()
}

/// What is not the plugin's: files, sockets and a process to try things on.
struct Elsewhere {
    folder: TempDir,
    _stream: UnixListener,
    datagrams: UnixDatagram,
    _nameless: UnixListener,
    nameless: String,
    reachable: std::net::TcpListener,
}

impl Elsewhere {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("foreign"), "not the plugin's").unwrap();
        let nameless = format!("gatehouse-test-{}", folder.path().file_name().unwrap().display());
        let datagrams = UnixDatagram::bind(path("datagram")).unwrap();
        datagrams.set_nonblocking(true).unwrap();
        Self {
            _stream: UnixListener::bind(path("stream")).unwrap(),
            datagrams,
            _nameless: UnixListener::bind_addr(&SocketAddr::from_abstract_name(&nameless).unwrap()).unwrap(),
            nameless,
            reachable: std::net::TcpListener::bind("127.0.0.1:0").unwrap(),
            folder,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Everything that a plugin without needs may not do, with the error that it gets.
    fn forbidden(&self) -> Vec<(&'static str, String, &'static str)> {
        let daemon = std::process::id().to_string();
        let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
        let port = self.reachable.local_addr().unwrap().port();
        let mut forbidden: Vec<_> = [
            ("list", home.as_str()),
            ("read", &self.path("foreign")),
            ("write", &self.path("foreign")),
            ("write", &self.path("new")),
            ("list", self.folder.path().to_str().unwrap()),
            ("list", "/proc"),
            ("read", "/etc/passwd"),
            ("read", &format!("/proc/{daemon}/environ")),
            ("mode", &self.path("foreign")),
            ("times", &self.path("foreign")),
            ("cut", &self.path("foreign")),
            ("start", "/bin/sh"),
            ("fork", ""),
            ("connect", &self.path("stream")),
            ("abstract", &self.nameless),
            ("datagram", &self.path("datagram")),
            ("pair", &self.path("datagram")),
            ("listen", "127.0.0.1:0"),
            ("listen-unbound", ""),
            ("reach", &format!("127.0.0.1:{port}")),
            ("reach", &format!("[::ffff:127.0.0.1]:{port}")),
            ("reach", &format!("0.0.0.0:{port}")),
            ("reach-in-time", &format!("127.0.0.1:{port}")),
            ("reach-multipath", ""),
            ("send", "127.0.0.1:9"),
            ("send-connected", "127.0.0.1:9"),
            ("send-message", "127.0.0.1:9"),
            ("look-up", "example.org"),
            ("raw", ""),
            ("netlink", ""),
            ("signal", &daemon),
            ("signal", "1"),
            ("trace", &daemon),
            ("peek", &daemon),
            ("descriptor", &daemon),
            ("limit", ""),
            ("undumpable", ""),
            ("outlive", ""),
            ("refilter", ""),
        ]
        .map(|(what, at)| (what, at.to_owned(), REFUSED))
        .into();
        forbidden.extend([
            ("reach-early", format!("127.0.0.1:{port}"), "Unsupported"),
            ("uring", String::new(), "Unsupported"),
            ("clone3", String::new(), "Unsupported"),
        ]);
        #[cfg(target_arch = "x86_64")]
        forbidden.push(("second-table", String::new(), "Unsupported"));
        forbidden
    }

    fn is_untouched(&self) {
        let foreign = self.path("foreign");
        assert_eq!(std::fs::read_to_string(&foreign).unwrap(), "not the plugin's");
        assert!(std::fs::metadata(&foreign).unwrap().modified().unwrap() > std::time::UNIX_EPOCH);
        assert!(!std::fs::exists(self.path("new")).unwrap());
        assert!(self.datagrams.recv(&mut [0; 16]).is_err());
        self.reachable.set_nonblocking(true).unwrap();
        assert!(self.reachable.accept().is_err());
    }
}

/// How often a refusal was counted.
fn count(probe: &Probe, words: &str) -> u64 {
    let refusals = probe.gateway.refusals();
    refusals.iter().find(|refusal| refusal.tried == words).map_or(0, |refusal| refusal.count)
}

#[test]
fn everything_here_holds_under_an_unprivileged_daemon() {
    all_as_nobody("gateway::sandbox::", "everything_here_holds_under_an_unprivileged_daemon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_has_its_own_folder_and_nothing_else() {
    let elsewhere = Elsewhere::new();
    let forbidden = elsewhere.forbidden();
    // First while the library is opened, then from the gateway's code.
    let attempts: String = forbidden.iter().map(|(what, at, _)| format!("{what}\t{at}\n")).collect();
    let probe = Probe::launch_trying(&[], Kernel::found(), &attempts).await.unwrap();
    let outcomes = std::fs::read_to_string(probe.folder().join("outcomes")).unwrap();
    let expected: String = forbidden.iter().map(|(what, at, error)| format!("{what}\t{at}\t{error}\n")).collect();
    assert_eq!(outcomes, expected);
    for (what, at, error) in &forbidden {
        assert_eq!(tried(&probe, what, at).await, *error, "{what} {at}");
    }
    assert_ne!(tried(&probe, "link", &elsewhere.path("foreign")).await, DONE);
    elsewhere.is_untouched();

    let own = probe.folder().join("own").to_str().unwrap().to_owned();
    for (what, at) in [
        ("write", own.as_str()),
        ("read", &own),
        ("replace", &own),
        ("copy", &own),
        ("list", probe.folder().to_str().unwrap()),
        ("read", "/proc/self/status"),
        ("thread", ""),
    ] {
        assert_eq!(tried(&probe, what, at).await, DONE, "{what} {at}");
    }

    // Twice each: by the constructor and by the gateway.
    let daemon = std::process::id();
    let port = elsewhere.reachable.local_addr().unwrap().port();
    for (words, times) in [
        ("tried to make a local socket", 6),
        (&format!("tried to send a signal to process {daemon}"), 2),
        ("tried to send a signal to process 1", 2),
        (&format!("tried to connect to 127.0.0.1:{port}"), 8),
        ("tried to use datagrams (UDP)", 6),
        ("tried to look up example.org", 2),
    ] {
        assert_eq!(count(&probe, words), times, "{words}: {:?}", probe.gateway.refusals());
    }
    assert!(count(&probe, "tried to make a process") > 0, "{:?}", probe.gateway.refusals());
}

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_by_the_table_of_another_processor_ends_the_worker() {
    let probe = Probe::launch_needing(&[]).await;
    let error = probe.ask(&[("do", "try"), ("what", "old-table"), ("at", "")]).await.unwrap_err();
    let exit = probe.gateway.ended().await;
    assert!(exit.reason.to_string().contains("SIGSYS"), "{} {error}", exit.reason);
    // And from a constructor, so that the library is not even open.
    let refused = Probe::launch_trying(&[], Kernel::found(), "old-table\t\n").await.err().unwrap();
    assert!(refused.to_string().contains("SIGSYS"), "{refused}");
}

/// A worker of root has no other right of root than to listen on a low port that is declared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_root_listens_on_a_declared_low_port_and_enters_no_closed_folder_of_others() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut free = (600..1024).filter(is_free);
    let (low, other) = (free.next().unwrap(), free.next().unwrap());
    let closed = tempfile::tempdir().unwrap();
    let theirs = closed.path().join("theirs");
    std::fs::write(&theirs, "of another user").unwrap();
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    for path in [closed.path(), &theirs] {
        std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
    }
    let theirs = theirs.to_str().unwrap().to_owned();
    let needs = [Capability::Listen { port: low }, Capability::Read { path: theirs.clone() }];
    let probe = Probe::launch_needing(&needs).await;
    assert_eq!(tried(&probe, "listen", &format!("127.0.0.1:{low}")).await, DONE);
    assert_eq!(tried(&probe, "listen", &format!("127.0.0.1:{other}")).await, REFUSED);
    assert_eq!(tried(&probe, "read", &theirs).await, REFUSED);
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
    assert_eq!(tried(&probe, "read", &path("one")).await, DONE);
    assert_eq!(tried(&probe, "write", &path("one")).await, REFUSED);
    assert_eq!(tried(&probe, "read", &path("other")).await, REFUSED);
    assert_eq!(tried(&probe, "listen", &format!("127.0.0.1:{free}")).await, DONE);
    assert_eq!(tried(&probe, "listen", "127.0.0.1:0").await, REFUSED);
    assert_eq!(tried(&probe, "start", "/bin/true").await, DONE);
    assert_eq!(tried(&probe, "start", "/bin/sh").await, REFUSED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_plugin_starts_is_held_as_the_plugin_is() {
    let elsewhere = Elsewhere::new();
    let declared = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = declared.local_addr().unwrap().port();
    let probe = Probe::launch_needing(&[
        Capability::Execute { path: "/bin/bash".into() },
        Capability::Network { host: "127.0.0.1".into(), port },
    ])
    .await;
    assert_eq!(tried(&probe, "child-reach", &format!("127.0.0.1:{port}")).await, DONE);
    declared.accept().unwrap();
    assert_eq!(count(&probe, &format!("tried to connect to 127.0.0.1:{port}")), 0);
    let undeclared = elsewhere.reachable.local_addr().unwrap();
    assert_eq!(tried(&probe, "child-reach", &undeclared.to_string()).await, "ConnectionRefused");
    assert_eq!(count(&probe, &format!("tried to connect to {undeclared}")), 1, "{:?}", probe.gateway.refusals());
    elsewhere.is_untouched();
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
    assert_eq!(count(&probe, "tried to send a signal to process 1"), 101, "{refusals:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_lists_what_is_opened_and_not_declared() {
    let elsewhere = Elsewhere::new();
    let declared = elsewhere.path("new");
    let probe = Probe::launch_traced(&[Capability::Read { path: declared.clone() }]).await;
    let own = probe.folder().join("own").to_str().unwrap().to_owned();
    for (what, at, outcome) in [
        ("write", own.as_str(), DONE),
        ("read", &own, DONE),
        ("read", "/proc/self/status", DONE),
        ("read", &declared, "NotFound"),
        ("read", &elsewhere.path("foreign"), REFUSED),
        ("read", &elsewhere.path("foreign"), REFUSED),
        ("list", "/home", REFUSED),
    ] {
        assert_eq!(tried(&probe, what, at).await, outcome, "{what} {at}");
    }
    let paths: Vec<_> = probe.gateway.undeclared_paths().into_iter().map(|one| (one.path, one.count)).collect();
    assert!(paths.contains(&(elsewhere.path("foreign"), 2)), "{paths:?}");
    assert!(paths.contains(&("/home".to_owned(), 1)), "{paths:?}");
    assert_eq!(paths.len(), 2, "{paths:?}");
    // What is asked about is not what is refused: that is Landlock's part.
    assert_eq!(probe.gateway.refusals(), []);
    for number in 0..200 {
        tried(&probe, "read", &elsewhere.path(&number.to_string())).await;
    }
    assert!(probe.gateway.undeclared_paths().len() <= 129);
}
