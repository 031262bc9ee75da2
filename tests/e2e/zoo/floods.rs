//! Animals that send too much, and what cannot be meant.

use super::keeper::{Keeper, Row, harmless, quiet};

const FLOODS: &[Row] = &[
    harmless("manage flood-readings", ""),
    harmless("manage flood-texts", ""),
    harmless("manage flood-logs", ""),
    harmless("manage flood-log-lines", ""),
    harmless("manage flood-output", ""),
    harmless("manage flood-health", ""),
    harmless("manage flood-keys", ""),
    harmless("manage flood-calls", ""),
    harmless("manage huge-answer", ""),
    harmless("manage oversized-answer", "invalid_request"),
];

const TOO_MUCH: &[Row] = &[
    harmless("manage flood-entities", "invalid_request"),
    harmless("diagnostics deep", ""),
    quiet("diagnostics bottomless", "retrying", "stack_overflow"),
    Row { fault: "synchronize too-many", answer: "refused", state: "degraded", code: "synchronize_failed" },
    Row { fault: "synchronize twins", answer: "invalid_request", state: "degraded", code: "synchronize_failed" },
];

/// The animal itself makes sure that the host refused, each by itself.
const VALUES: &[Row] = &[
    harmless("control value-not-finite", ""),
    harmless("control value-of-other-kinds", ""),
    harmless("control value-of-other-times", ""),
    harmless("control value-undeclared", ""),
    harmless("control value-too-long", ""),
    harmless("control value-absurd", ""),
    harmless("control value-of-a-neighbour", ""),
    harmless("control value-bad-declarations", ""),
];

#[test]
fn a_flood_costs_its_sender_alone() {
    let keeper = Keeper::open();
    keeper.see_each(FLOODS);
    // What stays after the first time must not grow with each further one.
    keeper.see(FLOODS);
}

#[test]
fn too_many_and_too_deep_is_refused() {
    Keeper::open().see(TOO_MUCH);
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    Keeper::open().see(VALUES);
}
