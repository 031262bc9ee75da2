//! What a process costs, as `/proc` tells it.

use std::fs;
use std::time::Duration;

/// What a process costs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessCost {
    /// Processor time since it began, that of its children that ended included.
    pub cpu: Duration,
    /// Memory that it has in use, what it shares with others included.
    pub resident_bytes: u64,
    /// Memory with what is shared counted by its part (the proportional set size); only when it was asked for.
    pub proportional_bytes: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// Open descriptors; `None` when they may not be looked at.
    pub descriptors: Option<u64>,
}

impl ProcessCost {
    /// Of two processes together.
    #[must_use]
    pub(super) fn with(self, other: &Self) -> Self {
        let both = |one: Option<u64>, other: Option<u64>| Some(one? + other?);
        Self {
            cpu: self.cpu + other.cpu,
            resident_bytes: self.resident_bytes + other.resident_bytes,
            proportional_bytes: both(self.proportional_bytes, other.proportional_bytes),
            threads: self.threads + other.threads,
            descriptors: both(self.descriptors, other.descriptors),
        }
    }
}

/// Looks at a process; `None` when there is none. With `proportional` at its proportional set size as well, for which the
/// kernel walks through all its pages.
pub(super) fn look(pid: u32, proportional: bool) -> Option<ProcessCost> {
    let of_stat = of_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    Some(ProcessCost {
        proportional_bytes: if proportional { proportional_of(pid) } else { None },
        descriptors: descriptors(pid),
        ..of_stat
    })
}

/// Looks at the process that asks; as [`look`].
pub(crate) fn look_at_self(proportional: bool) -> Option<ProcessCost> {
    look(std::process::id(), proportional)
}

/// From `/proc/PID/stat` (proc_pid_stat(5)). The name, in parentheses, may hold anything.
fn of_stat(stat: &str) -> Option<ProcessCost> {
    let (_, rest) = stat.rsplit_once(')')?;
    // The first of these is the third field, the state.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    // utime, stime, cutime, cstime; the latter two are signed in the manual, and never negative.
    let ticks: u64 = [14, 15, 16, 17].into_iter().filter_map(field).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let pages = field(24)?;
    Some(ProcessCost {
        cpu: Duration::from_millis(ticks.saturating_mul(1_000) / per_second),
        resident_bytes: pages * rustix::param::page_size() as u64,
        proportional_bytes: None,
        threads: field(20)?,
        descriptors: None,
    })
}

fn proportional_of(pid: u32) -> Option<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1_024)
}

fn descriptors(pid: u32) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_and_no_other_is_made_up() {
        let cost = look(std::process::id(), true).expect("this process");
        assert!(cost.resident_bytes > 1_000_000 && cost.proportional_bytes.is_some_and(|bytes| bytes > 0), "{cost:?}");
        assert!(cost.descriptors.is_some_and(|count| count >= 3), "{cost:?}");
        assert_eq!(look(u32::MAX, false), None);
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_moves_no_field() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 10 0 20 0 3 0 5 1000 25 18446744073709551615";
        let cost = of_stat(stat).expect("read");
        let per_second = rustix::param::clock_ticks_per_second();
        assert_eq!(cost.cpu, Duration::from_millis(210 * 1_000 / per_second));
        assert_eq!((cost.threads, cost.resident_bytes), (3, 25 * rustix::param::page_size() as u64));
        assert_eq!(of_stat("nonsense"), None);
    }
}
