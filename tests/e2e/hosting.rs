//! Both ways of hosting, labelled wherever an integration is listed, and an in-process one whose file changes.

use std::fs;

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;
use serde_json::Value;

const IN_PROCESS: &str = "[integration.virtual-house]\nhosting = \"in_process\"\n";

/// A house in the daemon itself and one in a worker beside it, which must not notice anything.
fn two_houses() -> Daemon {
    let daemon = Daemon::start_with(IN_PROCESS);
    daemon.with_house();
    daemon.activate_house(&["--id", "cabin"]).ok();
    daemon.wait_state("cabin", "running");
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon
}

/// The plugin with one byte more at its end: other content, the same version.
fn other_content(byte: u8) -> Vec<u8> {
    let mut bytes = fs::read(build::plugin_file("virtual_house")).expect("built");
    bytes.push(byte);
    bytes
}

fn wait_other_generation(daemon: &Daemon, before: &Value) -> Value {
    wait_for("another generation to run", || {
        let now = daemon.wait_state("virtual-house", "running");
        if now["generation"] == before["generation"] { Err(now.to_string()) } else { Ok(now) }
    })
}

/// The daemon is the same process, the house works and has kept what it was.
#[track_caller]
fn unhurt(daemon: &Daemon, pid: &Value) {
    let status = daemon.get("/v1/status").expect("answered").json();
    assert_eq!(status["pid"], *pid, "the daemon is the same");
    // Both change generations, each in its own time.
    wait_for("both houses to run the same generation", || {
        let generation = |id| daemon.wait_state(id, "running")["generation"].to_string();
        let (house, cabin) = (generation("virtual-house"), generation("cabin"));
        if house == cabin { Ok(()) } else { Err(format!("{house} and {cabin}")) }
    });
    daemon.wait_text("virtual-house:lamp/power", "on");
    daemon.cli(&["control", "virtual-house:lamp/brightness", "40"]).ok();
    daemon.wait_text("virtual-house:lamp/brightness", "40");
    daemon.cli(&["control", "cabin:lamp/power", "on"]).ok();
}

#[test]
fn in_process_is_the_same_house_and_says_what_it_is() {
    let daemon = Daemon::start_with(IN_PROCESS);
    daemon.with_house();
    daemon.cli(&["control", "virtual-house:lamp/power", "on"]).ok();
    daemon.wait_text("virtual-house:lamp/power", "on");
    let view = daemon.wait_state("virtual-house", "running");
    assert_eq!(view["hosting"], "in_process");
    assert!(view["pid"].is_null(), "{view}");
    for command in [["integration", "list"], ["integration", "show"]] {
        let mut args = command.to_vec();
        if command[1] == "show" {
            args.push("virtual-house");
        }
        let text = daemon.cli(&args).ok().to_lowercase();
        assert!(text.contains("in-process") || text.contains("in process"), "{text}");
    }
    daemon.cli(&["integration", "pause", "virtual-house"]).ok();
    daemon.cli(&["integration", "resume", "virtual-house"]).ok();
    daemon.wait_state("virtual-house", "running");
    let other = daemon.activate_house(&["--id", "cabin"]);
    other.ok();
    let cabin = daemon.wait_state("cabin", "running");
    assert_eq!(cabin["hosting"], "isolated", "only the named one is in-process");
}

#[test]
fn nothing_is_activated_in_process_without_a_persons_yes() {
    let daemon = Daemon::start_with(IN_PROCESS);
    daemon.drop_plugin("virtual_house");
    let mut terminal = daemon.terminal(&["integration", "activate", "virtual-house"]);
    let asked = terminal.wait("Go on?");
    for part in ["Run virtual-house in the daemon's own process?", "a crash of it is a crash of the whole daemon"] {
        assert!(asked.split_whitespace().collect::<Vec<_>>().join(" ").contains(part), "{asked}");
    }
    terminal.answer("Go on?", "n");
    assert_eq!(terminal.end(), 1);
    let refused = daemon.cli(&["integration", "activate", "virtual-house", "--choose", "furnished"]);
    assert!(refused.failed(2).contains("with --yes"), "{}", refused.stderr);
    assert_eq!(daemon.get("/v1/integrations").expect("answered").json(), Value::Array(Vec::new()));
    daemon.activate_house(&[]).ok();
    assert_eq!(daemon.wait_state("virtual-house", "running")["hosting"], "in_process");
}

#[test]
fn in_process_survives_its_file_being_overwritten_and_replaced() {
    let daemon = two_houses();
    let pid = daemon.get("/v1/status").expect("answered").json()["pid"].clone();
    let first = daemon.wait_state("virtual-house", "running");
    let file = daemon.plugins().join("libvirtual_house.so");

    // In place, over the very file: what is mapped is a copy of it.
    fs::write(&file, other_content(1)).expect("overwritten");
    let second = wait_other_generation(&daemon, &first);
    unhurt(&daemon, &pid);

    // By rename, as a package tool does.
    fs::write(daemon.plugins().join(".part"), other_content(2)).expect("written");
    fs::rename(daemon.plugins().join(".part"), &file).expect("renamed");
    let third = wait_other_generation(&daemon, &second);
    unhurt(&daemon, &pid);
    assert_eq!(third["hosting"], "in_process");
    // What cannot be unmapped is counted, once the one before has ended, and shown.
    wait_for("two generations to be left", || {
        let now = daemon.wait_state("virtual-house", "running");
        if now["leaked_generations"] == 2 { Ok(()) } else { Err(now.to_string()) }
    });
    let shown = daemon.cli(&["integration", "show", "virtual-house"]);
    assert!(shown.ok().contains("2 libraries of earlier generations"), "{}", shown.stdout);

    // Garbage in place: refused, and what runs is not touched by it.
    fs::write(&file, b"no plugin at all").expect("overwritten");
    // Between being emptied and being written it may be seen, and refused for that.
    daemon.wait_reason("libvirtual_house.so", "not_elf");
    assert_eq!(daemon.get("/v1/status").expect("answered").json()["pid"], pid);
    fs::write(&file, other_content(2)).expect("overwritten");
    daemon.wait_decision("libvirtual_house.so", "accepted");
    daemon.wait_state("virtual-house", "running");
    unhurt(&daemon, &pid);
}

#[test]
fn in_process_survives_its_file_being_truncated_and_deleted() {
    let daemon = two_houses();
    let pid = daemon.get("/v1/status").expect("answered").json()["pid"].clone();
    let file = daemon.plugins().join("libvirtual_house.so");
    // A mapped file that loses its pages kills whoever touches them.
    fs::File::options().write(true).open(&file).and_then(|file| file.set_len(0)).expect("truncated");
    daemon.wait_decision("libvirtual_house.so", "refused");
    fs::remove_file(&file).expect("deleted");
    for id in ["virtual-house", "cabin"] {
        let view = daemon.wait_state(id, "missing");
        assert_eq!(view["desired"], "on", "{view}");
    }
    fs::copy(build::plugin_file("virtual_house"), &file).expect("copied");
    for id in ["virtual-house", "cabin"] {
        daemon.wait_state(id, "running");
    }
    unhurt(&daemon, &pid);
}
