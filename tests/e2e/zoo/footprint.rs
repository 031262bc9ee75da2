//! What a daemon holds of the machine: descriptors, children, memory.

use std::collections::BTreeMap;
use std::fs;

use gatehouse_tests::wait::wait_for;
use rustix::process::Pid;

/// A daemon's holdings at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// How many descriptors of each kind; files by their path.
    pub(crate) descriptors: BTreeMap<String, usize>,
    /// The processes that it started and has not seen the end of.
    pub(crate) children: Vec<u32>,
}

impl Footprint {
    pub(crate) fn of(daemon: Pid) -> Self {
        let daemon = daemon.as_raw_nonzero();
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{daemon}/fd")).expect("it runs") {
            // One may be closed while the list is read.
            let Ok(target) = fs::read_link(entry.expect("an entry").path()) else { continue };
            let target = target.to_string_lossy().into_owned();
            // A few read connections of the database are opened when wanted, and kept.
            if target.ends_with("/gatehouse.db") || target.contains("/gatehouse.db-") {
                continue;
            }
            let kind = target.split_once(":[").map_or(target.clone(), |(kind, _)| kind.to_owned());
            *descriptors.entry(kind).or_default() += 1;
        }
        let mut children = Vec::new();
        for task in fs::read_dir(format!("/proc/{daemon}/task")).expect("it runs") {
            let listed = fs::read_to_string(task.expect("an entry").path().join("children")).unwrap_or_default();
            children.extend(listed.split_whitespace().map(|pid| pid.parse::<u32>().expect("a process id")));
        }
        children.sort_unstable();
        Self { descriptors, children }
    }

    /// No more of any kind than there was, and the same children.
    pub(crate) fn is_within(&self, before: &Self) -> bool {
        let most = |kind: &String| before.descriptors.get(kind).copied().unwrap_or(0);
        self.children == before.children && self.descriptors.iter().all(|(kind, now)| *now <= most(kind))
    }
}

/// A daemon's holdings once they no longer change: what it has answered it closes a moment later.
pub(crate) fn settled(daemon: Pid) -> Footprint {
    const LOOKS: u32 = 30;
    let (mut last, mut looks) = (Footprint::of(daemon), 0);
    wait_for("the daemon to come to rest", || {
        let now = Footprint::of(daemon);
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
        if looks == LOOKS { Ok(last.clone()) } else { Err(last.clone()) }
    })
}

/// What of a process is in memory and of no file, in KiB: pages of files go when the system needs the room.
pub(crate) fn resident_kib(process: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("the kernel tells it");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
