//! Whether the kernel ended a worker for want of memory: the count of such ends of its control group, then and now.
//!
//! A process that dies so dies by SIGKILL and cannot say why. Version 2 of control groups counts in `memory.events`,
//! version 1 in `memory.oom_control`; without either the whole machine's count in `/proc/vmstat` is the next best.

use std::fs;
use std::path::{Path, PathBuf};

/// The count to compare with, and what it was at the beginning.
#[derive(Debug, Clone)]
pub(super) struct OomCount {
    counter: Option<Counter>,
    before: u64,
}

#[derive(Debug, Clone)]
struct Counter {
    file: PathBuf,
    name: &'static str,
}

impl OomCount {
    /// The count of the group that a process is in now.
    pub(super) fn of(pid: u32) -> Self {
        Self::among(pid, Path::new("/proc"), Path::new("/sys/fs/cgroup"))
    }

    fn among(pid: u32, proc: &Path, groups: &Path) -> Self {
        let groups_of = fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).unwrap_or_default();
        let of_machine = Counter { file: proc.join("vmstat"), name: "oom_kill" };
        let counter = counters(&groups_of, groups).into_iter().chain([of_machine]).find(|one| one.read().is_some());
        let before = counter.as_ref().and_then(Counter::read).unwrap_or(0);
        Self { counter, before }
    }

    /// Whether it rose since. A process of the same group may have been the one; a worker with a group of its own is
    /// alone in it.
    pub(super) fn rose(&self) -> bool {
        self.counter.as_ref().and_then(Counter::read).is_some_and(|now| now > self.before)
    }
}

impl Counter {
    fn read(&self) -> Option<u64> {
        let text = fs::read_to_string(&self.file).ok()?;
        text.lines().find_map(|line| line.strip_prefix(self.name)?.strip_prefix(' ')?.trim().parse().ok())
    }
}

/// Where a process's groups count, by `/proc/PID/cgroup` (`number:controllers:path`).
fn counters(groups_of: &str, groups: &Path) -> Vec<Counter> {
    let mut found = Vec::new();
    for line in groups_of.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            for root in [groups.to_owned(), groups.join("unified")] {
                found.push(Counter { file: root.join(path).join("memory.events"), name: "oom_kill" });
            }
        } else if controllers.split(',').any(|one| one == "memory") {
            found.push(Counter { file: groups.join("memory").join(path).join("memory.oom_control"), name: "oom_kill" });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn the_count_is_that_of_its_own_group_in_either_version_else_the_machines() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("groups"));
        write(&proc.join("vmstat"), "oom_kill_other 9\noom_kill 4\n");
        write(&proc.join("1/cgroup"), "0::/nowhere\n");
        let machine = OomCount::among(1, &proc, &groups);
        assert_eq!((machine.before, machine.rose()), (4, false));

        write(&proc.join("2/cgroup"), "3:cpu,memory:/one\n0::/two\n");
        write(&groups.join("memory/one/memory.oom_control"), "under_oom 0\noom_kill 1\n");
        let first = OomCount::among(2, &proc, &groups);
        assert_eq!((first.before, first.rose()), (1, false));
        write(&groups.join("memory/one/memory.oom_control"), "under_oom 0\noom_kill 2\n");
        assert!(first.rose());

        write(&proc.join("3/cgroup"), "0::/gatehouse/hass\n");
        write(&groups.join("gatehouse/hass/memory.events"), "oom 1\noom_kill 0\noom_group_kill 7\n");
        let second = OomCount::among(3, &proc, &groups);
        write(&proc.join("vmstat"), "oom_kill 5\n");
        assert_eq!((second.before, second.rose()), (0, false));
        assert!(machine.rose());
    }

    #[test]
    fn a_process_that_is_not_there_rises_never() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(!OomCount::among(4, folder.path(), folder.path()).rose());
    }
}
