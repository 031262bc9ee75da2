//! Some animals in the house of a user without any rights.

use gatehouse_tests::daemon::Daemon;
use gatehouse_tests::user::{NOBODY, may_change_user};

use super::keeper::{CALM, Keeper, Row, ends, harmless, quiet};

const SOME: &[Row] = &[
    ends("control segfault", "segmentation_fault"),
    ends("control abort", "aborted"),
    ends("constructor exit-7", "worker_exited"),
    ends("control frame-unknown", "protocol_broken"),
    ends("control leak-addresses", "out_of_memory"),
    quiet("poll panic", "degraded", "panicked"),
    quiet("stop loop", "paused", "killed_at_stop"),
    harmless("control signal-host", ""),
    harmless("control fork", ""),
    harmless("manage flood-readings", ""),
];

#[test]
fn the_house_of_a_user_without_rights_goes_on_as_well() {
    if !may_change_user() {
        // Then every other test of the zoo is one as a plain user.
        return;
    }
    let mut daemon = Daemon::prepare_as(CALM, NOBODY);
    daemon.serve();
    Keeper::of(daemon).see(SOME);
}
