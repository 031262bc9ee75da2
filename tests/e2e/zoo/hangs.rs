//! Animals that do not come to an end.

use super::keeper::{Keeper, Row, ends, harmless, quiet};

const HANGS: &[Row] = &[
    ends("control loop", "heartbeat_missed"),
    ends("control sleep", "heartbeat_missed"),
    ends("control freeze", "heartbeat_missed"),
    ends("poll loop", "heartbeat_missed"),
    ends("poll sleep", "heartbeat_missed"),
    ends("start loop", "heartbeat_missed"),
    ends("start sleep", "heartbeat_missed"),
    quiet("init sleep", "retrying", "deadline_missed"),
    quiet("constructor loop", "retrying", "deadline_missed"),
    quiet("constructor sleep", "retrying", "deadline_missed"),
    quiet("stop loop", "paused", "killed_at_stop"),
    quiet("stop sleep", "paused", "killed_at_stop"),
    quiet("stop never", "paused", "killed_at_stop"),
    quiet("drop loop", "paused", "killed_at_stop"),
    quiet("poll never", "degraded", "deadline_missed"),
    quiet("poll late", "degraded", "deadline_missed"),
];

/// Their deadlines are seconds, so they are waited for together.
const SLOW: &[Row] = &[harmless("control never", "deadline"), quiet("start never", "retrying", "deadline_missed")];

#[test]
fn what_does_not_come_to_an_end_is_ended() {
    Keeper::open().see(HANGS);
}

#[test]
fn what_never_answers_has_missed_its_deadline() {
    Keeper::open().see_together(SLOW);
}
