//! How long the processor stays with one thread while others wait for it.

use std::mem::size_of;

use libc::sched_attr;

/// The turn of a thread that serves, in nanoseconds. The kernel's own is some milliseconds, and so long a request may
/// wait behind a plugin that computes; 0.1 ms is the shortest that it takes.
const TURN_NS: u64 = 200_000;

/// Has the calling thread run in short turns, which come sooner: the share that it gets stays the same. What it
/// spawns does as well, threads and programs.
///
/// Linux 6.12 or newer has turns of a thread's own (sched_setattr(2), `sched_runtime` of a `SCHED_OTHER` thread; needs
/// no privilege), an older one ignores this. A thread that somebody gave another policy keeps it.
pub(crate) fn take_short_turns() {
    if let Some(turns) = turns().filter(|turns| turns.sched_policy == libc::SCHED_OTHER.unsigned_abs()) {
        set_turns(&sched_attr { sched_runtime: TURN_NS, ..turns });
    }
}

#[expect(unsafe_code, reason = "sched_getattr has no wrapper")]
fn turns() -> Option<sched_attr> {
    // SAFETY: all fields are numbers, of which zero is one.
    let mut turns: sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<sched_attr>();
    // SAFETY: the kernel writes at most `size` bytes to where there are so many, about the calling thread (0).
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut turns, size, 0) };
    (result == 0).then_some(turns)
}

/// Without it requests wait longer beside a busy plugin, and nothing else is worse.
#[expect(unsafe_code, reason = "sched_setattr has no wrapper")]
fn set_turns(turns: &sched_attr) {
    // SAFETY: the kernel reads the structure, whose size stands in it, and changes the calling thread (0) alone.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *turns, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel_has_them() -> bool {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
        (numbers.next(), numbers.next()) >= (Some(6), Some(12))
    }

    #[test]
    fn a_thread_and_those_that_it_spawns_take_short_turns_and_nobody_else() {
        std::thread::spawn(|| {
            let before = turns().expect("told");
            take_short_turns();
            let after = turns().expect("told");
            assert_eq!((after.sched_policy, after.sched_nice), (before.sched_policy, before.sched_nice));
            let child = std::thread::spawn(|| turns().expect("told")).join().expect("ends");
            if kernel_has_them() {
                assert_eq!((after.sched_runtime, child.sched_runtime), (TURN_NS, TURN_NS));
            }
        })
        .join()
        .expect("ends");
        assert_ne!(turns().expect("told").sched_runtime, TURN_NS);
    }
}
