//! Animals whose word is not to be trusted: code that contradicts its file, a boundary of another layout, a worker's
//! refusal that the plugin wrote.

use std::fs;

use gatehouse_tests::build;

use super::keeper::{Keeper, quiet};

const FILE: &str = "libzoo_plugin.so";

/// Each is the file's own fault, so the reason is its verdict as well; other bytes are another file.
const LIES: &[(&str, &str)] = &[
    ("init lie-label", "manifest_disagrees"),
    ("init lie-id", "manifest_disagrees"),
    ("init lie-version", "manifest_disagrees"),
    ("constructor refuses-as-layout", "layout_mismatch"),
];

#[test]
fn code_that_contradicts_its_file_is_refused_until_there_is_another_file() {
    let keeper = Keeper::open();
    let mut bytes = fs::read(build::plugin_file("zoo_plugin")).expect("built");
    for (fault, verdict) in LIES {
        let id = keeper.bring_about(&quiet(fault, "incompatible", verdict));
        keeper.daemon.wait_reason(FILE, verdict);
        keeper.neighbour.keeps_its_pace();
        keeper.let_go(&id);
        keeper.assert_nothing_left(fault);
        bytes.push(0);
        fs::write(keeper.daemon.plugins().join(FILE), &bytes).expect("written");
        keeper.daemon.wait_decision(FILE, "accepted");
    }
    keeper.assert_unhurt();
}

#[test]
fn a_boundary_of_another_layout_is_refused_beside_a_house_that_goes_on() {
    const NAMES: &[u8] = b"manifest;new_gateway;";
    let keeper = Keeper::open();
    let mut bytes = fs::read(build::plugin_file("zoo_plugin")).expect("built");
    let found: Vec<usize> = (0..bytes.len() - NAMES.len()).filter(|at| bytes[*at..].starts_with(NAMES)).collect();
    assert!(!found.is_empty(), "the names are in the file");
    for at in found {
        bytes[at + 9..at + 12].copy_from_slice(b"old");
    }
    let sha256 = |verdict: serde_json::Value| verdict["sha256"].clone();
    let before = sha256(keeper.daemon.wait_decision(FILE, "accepted"));
    fs::write(keeper.daemon.plugins().join(FILE), bytes).expect("written");
    // Nothing in its bytes is wrong: it is found out when it is loaded.
    gatehouse_tests::wait::wait_for("the other file", || {
        let now = sha256(keeper.daemon.wait_decision(FILE, "accepted"));
        if now == before { Err(now) } else { Ok(()) }
    });
    keeper.daemon.cli(&["integration", "activate", "zoo", "--yes"]).failed(1);
    keeper.daemon.wait_reason(FILE, "layout_mismatch");
    keeper.assert_nothing_left("the other layout");
    keeper.assert_unhurt();
}
