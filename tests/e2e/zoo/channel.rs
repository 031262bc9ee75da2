//! Animals that write to the channel themselves, in the worker's place.

use super::keeper::{Keeper, Row, ends, harmless, quiet};

const FRAMES: &[Row] = &[
    ends("control frame-unknown", "protocol_broken"),
    ends("control frame-too-large", "protocol_broken"),
    ends("control frame-unasked", "protocol_broken"),
    ends("control frame-order", "protocol_broken"),
    ends("control frame-greetings", "protocol_broken"),
    ends("control frame-noise", "protocol_broken"),
    ends("control frame-swallows", "heartbeat_missed"),
    harmless("control reply-twice", ""),
    harmless("control requests-hostile", ""),
    ends("constructor frame-unknown", "protocol_broken"),
    quiet("constructor ready-early", "retrying", "heartbeat_missed"),
    quiet("constructor refuses-as-wanted", "retrying", "protocol_broken"),
];

/// Descriptors that are the worker's own, closed or put in another's place.
const DESCRIPTORS: &[Row] = &[
    // The standard library notices that what it owns was closed by somebody else.
    ends("control close-channel", "aborted"),
    ends("control close-all", "aborted"),
    ends("control replace-channel", "worker_exited"),
    ends("constructor close-channel", "aborted"),
    ends("start close-all", "aborted"),
    ends("poll close-channel", "aborted"),
];

#[test]
fn a_channel_that_is_closed_ends_its_worker_alone() {
    Keeper::open().see(DESCRIPTORS);
}

#[test]
fn forged_frames_hurt_their_forger_alone() {
    Keeper::open().see(FRAMES);
}
