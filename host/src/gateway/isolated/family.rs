//! Which processes are workers or were started by one, so that none of them is taken for a person at the socket.
//!
//! Two marks, either of which is enough. A worker leads a process group of its own, and its sandbox lets nobody leave
//! it, so what it started has its group even when its parents are gone. And it is a child of the daemon, so a chain of
//! parents leads to it.

use std::collections::BTreeMap;
use std::fs;

use parking_lot::RwLock;
use rustix::process::test_kill_process_group;

use crate::gateway::sys;

/// The workers, and whether each has ended: what it started may be there still, in its group.
static WORKERS: RwLock<BTreeMap<u32, bool>> = RwLock::new(BTreeMap::new());

/// The longest chain of parents that is followed.
const MOST_PARENTS: usize = 128;

/// A worker was started.
pub(crate) fn joined(pid: u32) {
    WORKERS.write().insert(pid, false);
}

/// A worker has ended. The kernel gives its number to nobody while its group has a member.
pub(super) fn left(pid: u32) {
    let has_group = sys::pid_of(pid).is_some_and(|group| test_kill_process_group(group).is_ok());
    let mut workers = WORKERS.write();
    if has_group {
        workers.insert(pid, true);
    } else {
        workers.remove(&pid);
    }
}

/// Forgets those whose group is gone by now.
fn forget_gone() {
    let ended: Vec<u32> = WORKERS.read().iter().filter(|(_, ended)| **ended).map(|(pid, _)| *pid).collect();
    ended.into_iter().for_each(left);
}

/// Whether a process is a worker of this daemon or was started by one. One that is gone, or that this user may not look
/// at, is none: workers run as the daemon's own user.
pub fn is_of_a_worker(pid: u32) -> bool {
    forget_gone();
    if WORKERS.read().is_empty() {
        return false;
    }
    let mut at = pid;
    for _ in 0..MOST_PARENTS {
        let Some(Kin { parent, group }) = kin_of(at) else { return false };
        let workers = WORKERS.read();
        if workers.contains_key(&at) || workers.contains_key(&group) {
            return true;
        }
        if parent <= 1 || parent == std::process::id() {
            return false;
        }
        at = parent;
    }
    false
}

struct Kin {
    parent: u32,
    group: u32,
}

/// By proc_pid_stat(5): the command in parentheses may hold anything, so fields are counted from its end.
fn kin_of(pid: u32) -> Option<Kin> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(1);
    Some(Kin { parent: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_worker_and_what_it_started_are_told_from_everybody_else() {
        let asleep = || {
            let mut command = Command::new("cat");
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
            command
        };
        let mut worker = Command::new("sh");
        // The grandchild's parent ends, so that only the group tells whose it is.
        worker.args(["-c", "(cat >/dev/null <&3 & echo $!) 3<&0; exec cat"]);
        let mut worker = worker.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(worker.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();
        let mut other = asleep().spawn().unwrap();
        joined(worker.id());
        assert!(is_of_a_worker(worker.id()));
        assert!(is_of_a_worker(grandchild));
        assert!(!is_of_a_worker(other.id()));
        assert!(!is_of_a_worker(std::process::id()));
        drop(worker.stdin.take());
        worker.kill().unwrap();
        worker.wait().unwrap();
        left(worker.id());
        assert!(is_of_a_worker(grandchild) || kin_of(grandchild).is_none(), "it outlives its worker in its group");
        drop(other.stdin.take());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
