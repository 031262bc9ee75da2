//! Animals that panic: wherever it is, it is an error of theirs.

use gatehouse_tests::build;
use gatehouse_tests::daemon::Daemon;

use super::keeper::{CALM, Keeper, Row, ends, harmless, quiet};

const PANICS: &[Row] = &[
    quiet("constructor panic", "retrying", "constructor_failed"),
    quiet("start panic", "retrying", "panicked"),
    quiet("poll panic", "degraded", "panicked"),
    quiet("stop panic", "paused", "paused_by_person"),
    quiet("drop panic", "paused", "paused_by_person"),
    harmless("control panic", "panicked"),
    harmless("control panic-in-drop", "panicked"),
    harmless("control panic-in-payload", "panicked"),
    harmless("control panic-in-thread", ""),
    harmless("control task-panic", ""),
    harmless("manage panic", "panicked"),
    harmless("activate panic", "panicked"),
    // Its own flow comes before the host's, which goes on without it.
    harmless("deactivate panic", ""),
    harmless("test panic", "asked to panic"),
    harmless("validate panic", "panicked"),
    harmless("settings panic", ""),
    harmless("diagnostics panic", ""),
    harmless("snapshot panic", "panicked"),
    harmless("stream panic", "panicked"),
    Row { fault: "synchronize panic", answer: "panicked", state: "degraded", code: "panicked" },
];

/// Where a panic ends the process nothing can be caught: it is the worker's end, and told as the panic that it was.
const ABORTING: &[Row] = &[
    quiet("constructor panic", "retrying", "panicked"),
    quiet("start panic", "retrying", "panicked"),
    quiet("poll panic", "retrying", "panicked"),
    quiet("stop panic", "paused", "paused_by_person"),
    quiet("drop panic", "paused", "paused_by_person"),
    ends("control panic", "panicked"),
    ends("control panic-in-drop", "panicked"),
    ends("control panic-in-thread", "panicked"),
    ends("control task-panic", "panicked"),
    ends("manage panic", "panicked"),
    Row { fault: "synchronize panic", answer: "unavailable", state: "retrying", code: "panicked" },
    quiet("diagnostics panic", "retrying", "panicked"),
    // What its code does else is told as it is.
    ends("control abort", "aborted"),
    ends("control segfault", "segmentation_fault"),
];

#[test]
fn a_panic_that_aborts_ends_its_worker_alone() {
    let file = build::aborting_plugin_file("zoo-plugin");
    let mut daemon = Daemon::prepare(CALM);
    daemon.serve();
    Keeper::showing(daemon, &file).see(ABORTING);
}

#[test]
fn a_panic_in_any_operation_is_an_error_of_that_operation() {
    Keeper::open().see(PANICS);
}
