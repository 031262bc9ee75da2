//! A control group for each worker, which bounds its memory and its threads, where the daemon may make one.
//!
//! Version 2 of control groups wants processes at the leaves alone: of the group that the daemon was started in, which
//! must be its own, `daemon` holds the daemon and `workers/ID-PID` one worker each with what it starts. Whoever starts
//! the daemon hands the group over (systemd: `Delegate=memory pids`); where nobody did, the limits of the process are
//! all that holds, and [`unbounded`] says why.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use parking_lot::Mutex;

use crate::gateway::Missing;

/// What a group needs to have.
const CONTROLLERS: [&str; 2] = ["memory", "pids"];
const MEMBERS: &str = "cgroup.procs";
const BELOW: &str = "cgroup.subtree_control";

/// What one worker, with all that it starts, may have at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory in use, of which none goes to swap.
    pub memory_bytes: u64,
    /// Threads, those of other processes included.
    pub threads: u32,
}

static GROUPS: OnceLock<Result<Groups, String>> = OnceLock::new();

/// From now on every worker has a group of its own, where that can be done; of several calls the first counts. Moves
/// this process into a group below its own. Blocks for as long as the kernel needs for that.
pub fn bound_workers(bounds: Bounds) {
    GROUPS.get_or_init(|| {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        let own = own_group(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))?;
        let groups = Groups::below(&own, std::process::id(), bounds)?;
        tracing::debug!(group = %own.display(), "workers are bounded by control groups");
        Ok(groups)
    });
}

/// What is missing when workers have no groups, with the reason; nothing before [`bound_workers`].
pub fn unbounded() -> Option<Missing> {
    let why = GROUPS.get()?.as_ref().err()?;
    Some(Missing {
        part: "control groups for workers (version 2, `memory` and `pids`)".to_owned(),
        means: format!("memory and threads of a worker are bounded by the limits of its process alone; {why}"),
    })
}

/// Puts a worker that has just been started into a group of its own. `None` where there is none to be had.
pub(super) fn enclose(id: &str, pid: u32) -> Option<Group> {
    let groups = GROUPS.get()?.as_ref().ok()?;
    match groups.enclose(id, pid) {
        Ok(group) => Some(group),
        Err(error) => {
            tracing::warn!(pid, %error, "the worker has no control group: the limits of its process are all it has");
            None
        }
    }
}

/// The group of this process as a folder, by `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn own_group(groups: &str, mounts: &str) -> Result<PathBuf, String> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    let own = Path::new(own.ok_or("the kernel has no control groups of version 2")?);
    let mounted = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, folder) = (fields.next()?, fields.next()?);
        let below = own.strip_prefix(root).ok()?;
        kind.starts_with("cgroup2 ").then(|| Path::new(folder).join(below))
    });
    mounted.ok_or_else(|| "control groups of version 2 are not mounted where the daemon could see its own".to_owned())
}

/// Where the groups of workers are made.
#[derive(Debug)]
struct Groups {
    folder: PathBuf,
    bounds: Bounds,
    /// Of workers that have ended, and not empty yet at that time.
    left: Mutex<Vec<PathBuf>>,
}

impl Groups {
    /// Divides the group `own`, in which the process `pid` is alone; the error is why that cannot be.
    fn below(own: &Path, pid: u32, bounds: Bounds) -> Result<Self, String> {
        let offered = fs::read_to_string(own.join("cgroup.controllers"))
            .map_err(|error| format!("the group {} cannot be read: {error}", own.display()))?;
        let is_lacking = |one: &&str| !offered.split_ascii_whitespace().any(|offered| offered == *one);
        let lacking: Vec<_> = CONTROLLERS.into_iter().filter(is_lacking).collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(" and ");
            return Err(format!("the daemon's group {} was not given {lacking}", own.display()));
        }
        let shared = || format!("the daemon shares its group {} with other processes", own.display());
        // The root of all groups could be divided with them in it, and is not the daemon's to divide.
        let members = fs::read_to_string(own.join(MEMBERS)).unwrap_or_default();
        if members.lines().any(|member| member.trim() != pid.to_string()) {
            return Err(shared());
        }
        let (leaf, folder) = (own.join("daemon"), own.join("workers"));
        let divided = make(&leaf)
            .and_then(|()| join(&leaf, pid))
            .and_then(|()| hand_down(own))
            .and_then(|()| make(&folder))
            .and_then(|()| hand_down(&folder));
        if let Err(error) = divided {
            // As it was; where that cannot be either, being in a group below does no harm.
            let _ = join(own, pid);
            let _ = fs::remove_dir(folder);
            let _ = fs::remove_dir(leaf);
            let own = own.display();
            return Err(match error.kind() {
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    format!("the daemon may not divide its group {own} (systemd: `Delegate=memory pids`)")
                }
                ErrorKind::ResourceBusy => shared(),
                _ => format!("the daemon's group {own} cannot be divided: {error}"),
            });
        }
        // What a daemon that was killed has left behind; one that has a process in it stays.
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        Ok(Self { folder, bounds, left: Mutex::default() })
    }

    fn enclose(&'static self, id: &str, pid: u32) -> io::Result<Group> {
        self.sweep();
        // Two generations of one integration run beside each other while they are switched.
        let folder = self.folder.join(format!("{id}-{pid}"));
        make(&folder)?;
        let group = Group { folder, groups: self };
        let set = |file: &str, value: &str| fs::write(group.folder.join(file), value);
        set("memory.max", &self.bounds.memory_bytes.to_string())?;
        set("pids.max", &self.bounds.threads.to_string())?;
        // A kernel without accounts of swap has no such file; with them, memory would be bounded in name alone.
        let _ = set("memory.swap.max", "0");
        // What the worker has started is of no use without it.
        let _ = set("memory.oom.group", "1");
        join(&group.folder, pid)?;
        Ok(group)
    }

    /// Removes the groups that could not be removed before.
    fn sweep(&self) {
        self.left.lock().retain(|folder| fs::remove_dir(folder).is_err() && folder.exists());
    }
}

/// One worker's group; removed when this is dropped, with whatever process is still in it ended.
#[derive(Debug)]
pub(super) struct Group {
    folder: PathBuf,
    groups: &'static Groups,
}

impl Drop for Group {
    fn drop(&mut self) {
        // A kernel before 5.14 has no such file; the group of processes is killed as well.
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        self.groups.left.lock().push(std::mem::take(&mut self.folder));
        self.groups.sweep();
    }
}

fn make(group: &Path) -> io::Result<()> {
    fs::create_dir(group).or_else(|error| if error.kind() == ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

fn join(group: &Path, pid: u32) -> io::Result<()> {
    fs::write(group.join(MEMBERS), pid.to_string())
}

fn hand_down(group: &Path) -> io::Result<()> {
    fs::write(group.join(BELOW), CONTROLLERS.map(|one| format!("+{one}")).join(" "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const BOUNDS: Bounds = Bounds { memory_bytes: 64 << 20, threads: 32 };

    fn own(controllers: &str) -> tempfile::TempDir {
        let own = tempfile::tempdir().unwrap();
        fs::write(own.path().join("cgroup.controllers"), controllers).unwrap();
        own
    }

    /// A folder has files that keep it from being removed, as processes do in the kernel's.
    fn empty(folder: &Path) {
        for file in fs::read_dir(folder).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }

    #[test]
    fn the_daemons_group_is_found_where_it_is_mounted() {
        let mounts = "24 1 0:22 / /proc rw - proc proc rw\n\
                      31 24 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let found = own_group("4:memory:/x\n0::/system.slice/gatehouse.service\n", mounts);
        assert_eq!(found.unwrap(), Path::new("/sys/fs/cgroup/unified/system.slice/gatehouse.service"));
        assert_eq!(own_group("0::/\n", mounts).unwrap(), Path::new("/sys/fs/cgroup/unified"));
        let bound = "31 24 0:27 /box /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n";
        assert_eq!(own_group("0::/box/inner\n", bound).unwrap(), Path::new("/sys/fs/cgroup/inner"));
        assert!(own_group("0::/elsewhere\n", bound).unwrap_err().contains("not mounted"));
        assert!(own_group("4:memory:/x\n", mounts).unwrap_err().contains("version 2"));
        assert!(own_group("0::/\n", "24 1 0:22 / /proc rw - proc proc rw\n").unwrap_err().contains("not mounted"));
    }

    #[test]
    fn a_worker_has_a_bounded_group_from_its_start_until_the_group_is_empty() {
        let own = own("cpu memory pids\n");
        let at = |path: &str| own.path().join(path);
        let read = |path: &str| fs::read_to_string(at(path)).unwrap();
        fs::create_dir_all(at("workers/stale-7")).unwrap();
        let groups: &'static Groups = Box::leak(Box::new(Groups::below(own.path(), 41, BOUNDS).unwrap()));
        assert!(!at("workers/stale-7").exists(), "a daemon that was killed left it");
        assert_eq!(read("daemon/cgroup.procs"), "41");
        assert_eq!(read("cgroup.subtree_control"), "+memory +pids");
        assert_eq!(read("workers/cgroup.subtree_control"), "+memory +pids");

        let one = groups.enclose("hass", 42).unwrap();
        let other = groups.enclose("hass", 43).unwrap();
        for (file, value) in
            [("memory.max", "67108864"), ("memory.swap.max", "0"), ("pids.max", "32"), ("cgroup.procs", "42")]
        {
            assert_eq!(read(&format!("workers/hass-42/{file}")), value, "{file}");
        }
        drop(one);
        assert_eq!(read("workers/hass-42/cgroup.kill"), "1");
        // The next look at what is left finds it empty.
        empty(&at("workers/hass-42"));
        drop(other);
        assert!(!at("workers/hass-42").exists());
        empty(&at("workers/hass-43"));
        groups.sweep();
        assert!(!at("workers/hass-43").exists());
        assert!(groups.left.lock().is_empty());
    }

    #[test]
    fn a_group_that_cannot_be_divided_is_named_with_the_reason_and_left_as_it_was() {
        let told = |own: &Path| Groups::below(own, 41, BOUNDS).unwrap_err();
        let without = own("cpu pids\n");
        assert!(told(without.path()).ends_with("was not given memory"), "{}", told(without.path()));
        let neither = own("");
        assert!(told(neither.path()).ends_with("memory and pids"), "{}", told(neither.path()));
        assert!(told(Path::new("/nowhere")).contains("cannot be read"));
        let shared = own("memory pids\n");
        fs::write(shared.path().join(MEMBERS), "7\n41\n").unwrap();
        assert!(told(shared.path()).contains("with other processes"), "{}", told(shared.path()));
        // What cannot be written, whoever runs this.
        let odd = own("memory pids\n");
        fs::create_dir(odd.path().join(BELOW)).unwrap();
        assert!(told(odd.path()).contains("cannot be divided"), "{}", told(odd.path()));
        assert!(!odd.path().join("workers").exists());
        assert_eq!(fs::read_to_string(odd.path().join(MEMBERS)).unwrap(), "41");
    }
}
