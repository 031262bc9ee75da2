//! The daemon under a service manager: ready, alive, how it is, stopping; and the unit file that ships.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::time::Duration;

use gatehouse_tests::build;
use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::wait::{BOUND, wait_for};
use rustix::process::{Pid, Signal, kill_process};

/// Hears datagrams until one has this text; all that was heard.
fn hear(socket: &UnixDatagram, text: &str) -> String {
    let mut heard = String::new();
    let mut bytes = [0; 1024];
    while !heard.contains(text) {
        let length = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{text}: {error}; heard: {heard}"));
        heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
        heard.push('\n');
    }
    heard
}

#[test]
fn a_service_manager_is_told_of_everything_from_ready_to_stopping() {
    let home = Daemon::prepare(QUICK);
    let name = format!("gatehouse-service-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("bound");
    socket.set_read_timeout(Some(BOUND)).expect("a bound");
    let mut daemon = Command::new(build::binary())
        .arg("--home")
        .arg(home.home())
        .arg("serve")
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .env("WATCHDOG_USEC", Duration::from_millis(200).as_micros().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    hear(&socket, "READY=1");
    assert_eq!(home.get("/v1/status").expect("ready means that it answers").status, 200);
    home.with_probe();
    hear(&socket, "STATUS=serving, 1 of 1 integrations running well");
    // Twice: it goes on.
    hear(&socket, "WATCHDOG=1");
    hear(&socket, "WATCHDOG=1");
    kill_process(Pid::from_child(&daemon), Signal::TERM).expect("it is there");
    assert!(hear(&socket, "STOPPING=1").contains("EXTEND_TIMEOUT_USEC="));
    let ended = wait_for("the end", || daemon.try_wait().ok().flatten().ok_or("running"));
    assert!(ended.success(), "{ended}");
}

#[test]
fn the_unit_file_is_one_that_systemd_takes() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/gatehouse.service");
    let text = std::fs::read_to_string(unit).expect("it ships");
    for line in ["Type=notify", "WatchdogSec=", "Delegate=", "StateDirectory=gatehouse", "NoNewPrivileges=yes"] {
        assert!(text.contains(line), "{line}");
    }
    // The program need not be installed where the unit says, and systemd need not be here.
    let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(unit).output() else { return };
    let complaints = String::from_utf8_lossy(&verified.stderr);
    let other =
        complaints.lines().filter(|line| line.contains("gatehouse.service") && !line.contains("not executable"));
    assert_eq!(other.collect::<Vec<_>>(), Vec::<&str>::new());
}
