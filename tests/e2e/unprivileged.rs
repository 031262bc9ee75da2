//! The daemon as a user without any rights, and its socket before the eyes of other users.
//!
//! Who runs these tests as root sees another user; for anybody else every other test is one as a plain user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use gatehouse_tests::build;
use gatehouse_tests::daemon::{Daemon, QUICK};
use gatehouse_tests::user::{NOBODY, STRANGER, User, may_change_user};
use gatehouse_tests::wait::wait_for;

fn served_by_nobody() -> Option<Daemon> {
    if !may_change_user() {
        return None;
    }
    let mut daemon = Daemon::prepare_as(QUICK, NOBODY);
    daemon.serve();
    Some(daemon)
}

#[test]
fn a_whole_life_without_any_rights() {
    let Some(mut daemon) = served_by_nobody() else { return };
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "on");

    let view = daemon.wait_state("virtual-house", "running");
    for pid in [view["pid"].as_i64().expect("a worker"), i64::from(daemon.pid().as_raw_nonzero().get())] {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        assert!(status.contains(&format!("Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}")), "{status}");
    }
    for made in ["gatehouse.db", "gatehouse.key", "staging", "data", "gatehouse.sock"] {
        let metadata = fs::metadata(daemon.home().join(made)).expect(made);
        assert_eq!(metadata.uid(), NOBODY, "{made}");
        assert!(metadata.is_dir() || metadata.mode() & 0o077 == 0, "{made}: {:o}", metadata.mode());
    }

    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    daemon.restart();
    daemon.wait_state("virtual-house", "paused");
    daemon.cli(&["integration", "resume", "virtual-house"]).ok();
    daemon.wait_state("virtual-house", "running");
    daemon.wait_text("virtual-house:lamp/power", "on");

    // Replaced by other content, then deleted.
    let other = daemon.home().join("libvirtual_house.so");
    let mut bytes = fs::read(build::plugin_file("virtual_house")).expect("built");
    bytes.push(0);
    fs::write(&other, bytes).expect("written");
    User::new(NOBODY).put(&other, &daemon.plugins());
    wait_for("another generation to run", || {
        let now = daemon.wait_state("virtual-house", "running");
        if now["generation"] == view["generation"] { Err(now.to_string()) } else { Ok(()) }
    });
    fs::remove_file(daemon.plugins().join("libvirtual_house.so")).expect("deleted");
    daemon.wait_state("virtual-house", "missing");
}

#[test]
fn a_stranger_cannot_connect_and_is_told_whose_home_it_is() {
    let Some(daemon) = served_by_nobody() else { return };
    let stranger = User::new(STRANGER);
    // The home's folder is closed; then the socket is.
    for mode in [0o700, 0o755] {
        fs::set_permissions(daemon.home(), Permissions::from_mode(mode)).expect("chmod");
        let denied = daemon.cli_as(&stranger, &["status"]);
        let text = denied.failed(1);
        assert!(text.contains(&*daemon.home().to_string_lossy()) && text.contains("user"), "{mode:o}: {text}");
    }
}

#[test]
fn a_stranger_who_can_reach_the_socket_is_refused_by_the_daemon() {
    let Some(daemon) = served_by_nobody() else { return };
    fs::set_permissions(daemon.home(), Permissions::from_mode(0o755)).expect("chmod");
    fs::set_permissions(daemon.socket(), Permissions::from_mode(0o666)).expect("chmod");
    let stranger = User::new(STRANGER);
    for command in [["integration", "list"].as_slice(), &["control", "a:b/c", "on"], &["log"]] {
        let refused = daemon.cli_as(&stranger, command);
        let text = refused.failed(1);
        assert!(text.contains("run it as the user that runs the daemon, or as root"), "{command:?}: {text}");
    }
    daemon.cli(&["status"]).ok();
    assert_eq!(daemon.get("/v1/status").expect("root may as well").status, 200);
}
