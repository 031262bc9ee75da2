//! A control group with little memory for workers of a daemon: the kernel ends a process of it when it is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Pid;

use crate::wait::wait_for;

/// The group; it goes when its processes have gone.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: PathBuf,
    /// The group of this process and of what it starts.
    outside: PathBuf,
}

impl MemoryGroup {
    /// A group with so much memory, in either version of control groups; `None` where the system lets nobody make one.
    pub fn new(megabytes: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        own.lines().find_map(|line| {
            let places = places(line);
            places.iter().find_map(|place| Self::within(place, places.first()?, megabytes))
        })
    }

    fn within(place: &Path, outside: &Path, megabytes: u64) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gatehouse-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = place.join(name);
        fs::create_dir(&folder).ok()?;
        let group = Self { folder, outside: outside.to_owned() };
        let limit = (megabytes << 20).to_string();
        let limited = ["memory.max", "memory.limit_in_bytes"].iter().any(|file| group.set(file, &limit));
        // What is swapped out is not there either.
        let _ = group.set("memory.swap.max", "0") || group.set("memory.memsw.limit_in_bytes", &limit);
        limited.then_some(group)
    }

    fn set(&self, file: &str, value: &str) -> bool {
        let file = self.folder.join(file);
        file.exists() && fs::write(file, value).is_ok()
    }

    /// Takes a process in, with all that it starts from now on.
    ///
    /// # Panics
    /// When it may not.
    pub fn admit(&self, process: Pid) {
        put(&self.folder, process);
    }

    /// Lets a process out again; what it started meanwhile stays.
    ///
    /// # Panics
    /// When it may not.
    pub fn let_out(&self, process: Pid) {
        put(&self.outside, process);
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = fs::remove_dir(&self.folder);
            return;
        }
        wait_for("the control group to be empty", || fs::remove_dir(&self.folder));
    }
}

fn put(group: &Path, process: Pid) {
    fs::write(group.join("cgroup.procs"), process.as_raw_nonzero().to_string()).expect("a group of one's own");
}

/// Where a group can be made beside or below this process's own, by a line of `/proc/self/cgroup`.
fn places(line: &str) -> Vec<PathBuf> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let path = path.trim_start_matches('/');
    if controllers.split(',').any(|one| one == "memory") {
        return vec![Path::new("/sys/fs/cgroup/memory").join(path)];
    }
    if !controllers.is_empty() {
        return Vec::new();
    }
    let own = Path::new("/sys/fs/cgroup").join(path);
    // A group of version 2 with processes in it has none below it with a memory of its own.
    let beside = own.parent().map(Path::to_owned);
    [Some(own), beside].into_iter().flatten().collect()
}
