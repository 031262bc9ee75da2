//! What of the sandbox the running kernel has, what is missing, and what that means.
//!
//! Found out once, by asking the kernel what it has and by trying on this process what the host does to its workers. A
//! value and not a fact read wherever it is needed, so that tests run a worker as an older kernel would have it.

use std::sync::OnceLock;

use parking_lot::RwLock;
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::sys;

/// The Landlock from which on nothing is missing: what newer ones add is taken, and not missed.
const LANDLOCK_WHOLE: u32 = 6;
/// From which Landlock on ports to connect to and to listen on are held.
pub(super) const LANDLOCK_PORTS: u32 = 4;

/// What of the sandbox a kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// The version of Landlock's interface; 0 for none.
    pub landlock: u32,
    /// System calls can be filtered (seccomp).
    pub filters: bool,
    /// A filter can ask the host (seccomp user notification).
    pub asks: bool,
    /// The host can take a worker's descriptors (`pidfd_getfd`).
    pub descriptors: bool,
    /// The host can read a worker's memory (`process_vm_readv`).
    pub memory: bool,
}

/// A part of the sandbox that is not to be had where the daemon runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missing {
    /// The part: `Landlock`.
    pub part: String,
    /// What plugins can do without it.
    pub means: String,
}

static NARROWED: RwLock<Option<Kernel>> = RwLock::new(None);

impl Kernel {
    /// A kernel that has everything.
    pub const WHOLE: Self =
        Self { landlock: LANDLOCK_WHOLE, filters: true, asks: true, descriptors: true, memory: true };

    /// What the running kernel has; what was narrowed it to, for tests.
    pub fn found() -> Self {
        static FOUND: OnceLock<Kernel> = OnceLock::new();
        let narrowed = *NARROWED.read();
        narrowed.unwrap_or_else(|| *FOUND.get_or_init(Self::find))
    }

    /// From now on the process behaves as if the kernel had this and no more (tests).
    pub fn narrow(to: Self) {
        *NARROWED.write() = Some(to);
    }

    fn find() -> Self {
        let (filters, asks) = sys::can_filter();
        Self { landlock: sys::landlock_version(), filters, asks, descriptors: descriptors(), memory: memory() }
    }

    /// The host answers a worker's filter: all that it takes is there.
    pub(in crate::gateway) fn answers(self) -> bool {
        self.filters && self.asks && self.descriptors && self.memory
    }

    /// What is missing, and what that means.
    pub fn missing(self) -> Vec<Missing> {
        let mut missing = Vec::new();
        let mut note = |is_missing: bool, part: &str, means: &str| {
            if is_missing {
                missing.push(Missing { part: part.to_owned(), means: means.to_owned() });
            }
        };
        let without = |version| self.landlock < version;
        note(
            without(1),
            "Landlock (Linux 5.13 or newer, and `landlock` among the boot's security modules)",
            "plugins can read and write every file that the daemon's user can",
        );
        let older = !without(1);
        note(
            older && without(LANDLOCK_PORTS),
            "Landlock 4 (Linux 6.7)",
            "a plugin that may listen can do so on every port",
        );
        note(older && without(5), "Landlock 5 (Linux 6.10)", "a plugin can control every device that it can open");
        // What Landlock 6 holds, signals and abstract sockets, the filter holds as well.
        note(
            without(6) && !self.filters,
            "Landlock 6 (Linux 6.12)",
            "plugins can signal every process of the daemon's user",
        );
        note(
            !self.filters,
            "filters of system calls (seccomp)",
            "plugins can start programs, make processes, reach local sockets (the control socket as well) and connect to every host",
        );
        let held = if without(LANDLOCK_PORTS) {
            "plugins can connect to every host, and what they are refused is not recorded"
        } else {
            "plugins can connect to every host on the ports that they declare, and what they are refused is not recorded"
        };
        note(self.filters && !self.asks, "filters that ask (seccomp user notification, Linux 5.0)", held);
        let can_ask = self.filters && self.asks;
        note(
            can_ask && !self.descriptors,
            "taking a worker's descriptors (pidfd_getfd, Linux 5.6; ptrace_scope of 0 or 1)",
            held,
        );
        note(can_ask && !self.memory, "reading a worker's memory (process_vm_readv; ptrace_scope of 0 or 1)", held);
        missing
    }
}

/// Tried on this process, and judged for others by what Yama says: from 2 on a parent may not look into its children.
fn descriptors() -> bool {
    let own = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|process| pidfd_getfd(process, i32::MAX, PidfdGetfdFlags::empty()));
    own.is_err_and(|error| error == Errno::BADF) && may_look_into_children()
}

fn memory() -> bool {
    let word = 7_u8;
    let mut copy = [0_u8];
    let address = std::ptr::from_ref(&word).expose_provenance();
    let read = sys::read_memory(std::process::id(), address as u64, &mut copy);
    read.is_ok() && copy[0] == word && may_look_into_children()
}

fn may_look_into_children() -> bool {
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    match scope.trim().parse::<u32>() {
        Ok(scope) => scope < 2 || (scope == 2 && rustix::process::geteuid().is_root()),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_that_is_missing_is_named_with_what_it_means() {
        assert_eq!(Kernel::WHOLE.missing(), []);
        let parts = |kernel: Kernel| kernel.missing().into_iter().map(|missing| missing.part).collect::<Vec<_>>();
        let none = Kernel { landlock: 0, filters: false, asks: false, descriptors: false, memory: false };
        assert_eq!(parts(none).len(), 3);
        for lacking in [
            Kernel { landlock: 0, ..Kernel::WHOLE },
            Kernel { landlock: 4, ..Kernel::WHOLE },
            Kernel { asks: false, ..Kernel::WHOLE },
            Kernel { descriptors: false, ..Kernel::WHOLE },
            Kernel { memory: false, ..Kernel::WHOLE },
        ] {
            assert_eq!(parts(lacking).len(), 1, "{lacking:?}");
        }
        assert_eq!(parts(Kernel { landlock: 3, ..Kernel::WHOLE }).len(), 2);
        assert!(!none.answers());
        assert!(Kernel::WHOLE.answers());
    }
}
