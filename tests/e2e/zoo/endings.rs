//! Animals that end their process, in every way and in every place.

use super::keeper::{Keeper, Row, ends};

const IN_CODE: &[Row] = &[
    ends("control abort", "aborted"),
    ends("control segfault", "segmentation_fault"),
    ends("control segfault-in-thread", "segmentation_fault"),
    ends("control overflow", "stack_overflow"),
    // On a thread of the plugin's own nothing of the worker's can run any more: it is what the kernel says it is.
    ends("control overflow-in-thread", "segmentation_fault"),
    ends("control illegal", "illegal_instruction"),
    ends("control exit-0", "exited_cleanly"),
    ends("control exit-7", "worker_exited"),
    ends("control exit-at-once", "worker_exited"),
    ends("control allocate", "out_of_memory"),
    ends("control leak-addresses", "out_of_memory"),
    ends("control bus", "bus_error"),
    ends("control divide", "arithmetic_fault"),
    ends("control trap", "trapped"),
    ends("control kill", "killed_by_person"),
    ends("control panic-in-panic", "panicked"),
    ends("control panic-beyond", "panicked"),
];

const ELSEWHERE: &[Row] = &[
    ends("init exit-7", "worker_exited"),
    ends("init abort", "aborted"),
    ends("init segfault", "segmentation_fault"),
    ends("constructor exit-0", "exited_cleanly"),
    ends("constructor exit-7", "worker_exited"),
    ends("constructor abort", "aborted"),
    ends("constructor segfault", "segmentation_fault"),
    // The gateway's thread is given a stack for the handler once the gateway is made.
    ends("constructor overflow", "segmentation_fault"),
    ends("start abort", "aborted"),
    ends("start exit-7", "worker_exited"),
    ends("poll abort", "aborted"),
    ends("poll segfault", "segmentation_fault"),
    ends("manage abort", "aborted"),
];

#[test]
fn code_that_ends_its_process_ends_nothing_else() {
    Keeper::open().see(IN_CODE);
}

#[test]
fn a_process_may_end_in_every_place() {
    Keeper::open().see(ELSEWHERE);
}
