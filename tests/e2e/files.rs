//! Files that are no plugins, through the real daemon: a verdict each, with a sentence and what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::wait::wait_for;

#[track_caller]
fn refused(daemon: &Daemon, file_name: &str, code: &str) {
    let verdict = daemon.wait_reason(file_name, code);
    assert_eq!(verdict["decision"], "refused", "{verdict}");
    let why = daemon.cli(&["plugin", "why", file_name]);
    let text = why.ok();
    assert!(text.contains(file_name), "the sentence names the file: {text}");
    assert!(text.contains(code), "the code can be looked up: {text}");
    let advice = verdict["advice"].as_str().unwrap_or_default();
    assert!(!advice.is_empty(), "there is something to do: {verdict}");
}

#[test]
fn every_bad_file_has_a_verdict_and_the_daemon_goes_on() {
    let daemon = Daemon::start();
    let plugin = fs::read(build::plugin_file("virtual_house")).expect("the plugin is built");
    let put = |name: &str, bytes: &[u8]| fs::write(daemon.plugins().join(name), bytes).expect("written");

    put("text.so", b"not a plugin\n");
    put("empty.so", b"");
    put("cut.so", &plugin[..plugin.len() / 2]);
    let mut other_cpu = plugin.clone();
    // e_machine (offset 18, ELF specification): 8 is MIPS.
    other_cpu[18..20].copy_from_slice(&8_u16.to_le_bytes());
    put("mips.so", &other_cpu);
    fs::create_dir(daemon.plugins().join("folder.so")).expect("made");
    symlink("loop.so", daemon.plugins().join("loop.so")).expect("linked");
    let large = fs::File::create(daemon.plugins().join("large.so")).expect("made");
    large.set_len(200 * 1024 * 1024).expect("sparse");

    refused(&daemon, "text.so", "not_elf");
    refused(&daemon, "empty.so", "empty_file");
    refused(&daemon, "cut.so", "truncated");
    refused(&daemon, "mips.so", "other_cpu");
    refused(&daemon, "folder.so", "not_a_file");
    refused(&daemon, "loop.so", "broken_link");
    refused(&daemon, "large.so", "too_large");

    // A whole one beside them is in use all the same.
    daemon.drop_plugin("virtual_house");
}

#[test]
fn lines_that_are_pasted_at_once_find_the_file_that_the_line_before_copied() {
    let daemon = Daemon::start();
    fs::copy(build::plugin_file("virtual_house"), daemon.plugins().join("libvirtual_house.so")).expect("copied");
    let activated = daemon.cli(&["integration", "activate", "virtual-house", "--choose", "empty", "--yes"]);
    assert!(activated.ok().contains("virtual-house is running"), "{}", activated.ok());
    fs::write(daemon.plugins().join("broken.so"), "not a plugin\n").expect("written");
    assert!(daemon.cli(&["plugin", "why", "broken.so"]).ok().contains("not_elf"));
}

#[test]
fn a_file_that_anyone_may_write_is_refused_until_its_mode_is_mended() {
    let daemon = Daemon::start();
    let path = daemon.plugins().join("libvirtual_house.so");
    fs::copy(build::plugin_file("virtual_house"), &path).expect("copied");
    daemon.wait_decision("libvirtual_house.so", "accepted");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("chmod");
    refused(&daemon, "libvirtual_house.so", "writable_by_all");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    daemon.wait_decision("libvirtual_house.so", "accepted");
}

#[test]
fn the_plugins_folder_may_vanish_and_return() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let away = daemon.home().join("plugins-away");
    fs::rename(daemon.plugins(), &away).expect("moved away");
    daemon.wait_decision("libvirtual_house.so", "gone");
    fs::rename(&away, daemon.plugins()).expect("moved back");
    daemon.wait_decision("libvirtual_house.so", "accepted");
}

#[test]
fn a_mistyped_plugin_gets_a_suggestion() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    let why = daemon.cli(&["plugin", "why", "virtual-hose"]);
    assert!(why.failed(1).contains("virtual-house"), "{}", why.stderr);
}

#[test]
fn inspect_tells_of_any_file_without_a_daemon() {
    let daemon = Daemon::prepare("");
    let file = build::plugin_file("system_monitor");
    let inspected = daemon.cli(&["plugin", "inspect", &file.to_string_lossy(), "--json"]).json();
    assert_eq!(inspected["manifest"]["id"], "system-monitor", "{inspected}");
    let broken = daemon.home().join("broken.so");
    fs::write(&broken, "no").expect("written");
    let refused = daemon.cli(&["plugin", "inspect", &broken.to_string_lossy()]);
    assert_eq!(refused.code, 1);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("not_elf"), "{refused:?}");
}

#[test]
fn two_files_with_one_id_and_the_next_takes_over() {
    let daemon = Daemon::start();
    daemon.drop_plugin("virtual_house");
    fs::copy(build::plugin_file("virtual_house"), daemon.plugins().join("second.so")).expect("copied");
    let verdict = daemon.wait_decision("second.so", "shadowed");
    let sentence = verdict["reason"]["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("second.so") && sentence.contains("libvirtual_house.so"), "{sentence}");
    fs::remove_file(daemon.plugins().join("libvirtual_house.so")).expect("removed");
    wait_for("the second file to take over", || {
        let verdict = daemon.get("/v1/plugins/second.so").map_err(|e| e.to_string())?.json();
        if verdict["decision"] == "accepted" { Ok(()) } else { Err(verdict.to_string()) }
    });
}
