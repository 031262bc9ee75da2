//! Animals that change what their whole process shares: it is theirs alone.

use std::fs;

use super::keeper::{Keeper, Row, ends, harmless, quiet};

const CHANGES: &[Row] = &[
    ends("control handler-exits", "exited_cleanly"),
    ends("control handler-returns", "heartbeat_missed"),
    harmless("control blocks-signals", ""),
    harmless("control ignores-signals", ""),
    harmless("control locale", ""),
    harmless("control folder", ""),
    harmless("control umask", ""),
    harmless("control environment", ""),
    harmless("control leak-descriptors", ""),
    harmless("control leak-memory", ""),
    harmless("control close-output", ""),
    harmless("control threads-overlive", ""),
    harmless("control threads-many", ""),
    harmless("control task-overlives", ""),
    harmless("control child", ""),
    harmless("control fork", ""),
    harmless("control signal-host", ""),
    quiet("stop threads-overlive", "paused", "paused_by_person"),
    quiet("stop blocks-signals", "paused", "paused_by_person"),
];

/// What a process shares between its threads, as the kernel tells it.
fn shared(keeper: &Keeper) -> (std::path::PathBuf, Vec<String>) {
    let process = format!("/proc/{}", keeper.daemon.pid().as_raw_nonzero());
    let status = fs::read_to_string(format!("{process}/status")).expect("it runs");
    let is_kept = |line: &&str| ["Umask", "SigIgn", "SigCgt", "SigBlk"].iter().any(|key| line.starts_with(key));
    let folder = fs::read_link(format!("{process}/cwd")).expect("it has one");
    (folder, status.lines().filter(is_kept).map(str::to_owned).collect())
}

#[test]
fn what_a_process_shares_is_changed_for_the_animal_alone() {
    let keeper = Keeper::open();
    let before = shared(&keeper);
    keeper.see(CHANGES);
    assert_eq!(shared(&keeper), before);
}
