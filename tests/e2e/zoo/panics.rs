//! Animals that panic: wherever it is, it is an error of theirs.

use super::keeper::{Keeper, Row, harmless, quiet};

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

#[test]
fn a_panic_in_any_operation_is_an_error_of_that_operation() {
    Keeper::open().see(PANICS);
}
