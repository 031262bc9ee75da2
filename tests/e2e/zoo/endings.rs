//! Animals that end their process, in every way and in every place.

use super::keeper::{Keeper, Row, ends};

const IN_CODE: &[Row] = &[
    ends("control abort", "aborted"),
    ends("control segfault", "segmentation_fault"),
    ends("control illegal", "illegal_instruction"),
    ends("control exit-0", "exited_cleanly"),
    ends("control exit-7", "worker_exited"),
    ends("control exit-at-once", "worker_exited"),
    ends("poll abort", "aborted"),
    ends("control allocate", "out_of_memory"),
    ends("control panic-in-panic", "panicked"),
    ends("control kill", "killed_by_person"),
];

#[test]
fn code_that_ends_its_process_ends_nothing_else() {
    Keeper::open().see(IN_CODE);
}
