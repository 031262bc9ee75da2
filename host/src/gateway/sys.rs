//! Safe wrappers around the few calls to the kernel and the C library that no dependency offers safely.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The running C library's version as (major, minor), `None` when it does not tell one.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library tells its version by a pointer")]
pub fn glibc_version() -> Option<(u32, u32)> {
    // SAFETY: takes no arguments, may be called at any time, from any thread.
    let text = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: the pointer is to a static string that ends with a NUL byte.
    let text = unsafe { CStr::from_ptr(text) };
    let mut numbers = text.to_str().ok()?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The running C library's version; another C library than glibc has none.
#[cfg(not(target_env = "gnu"))]
pub fn glibc_version() -> Option<(u32, u32)> {
    None
}

/// Closes every descriptor above standard error except `keep`, whatever the parent left open.
///
/// For the worker while it is single-threaded: nothing else in the process may own a descriptor yet.
///
/// # Errors
/// The kernel's, when it has no `close_range` (before 5.9).
pub(super) fn close_descriptors_except(keep: &impl AsFd) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let keep = u32::try_from(keep.as_fd().as_raw_fd()).map_err(io::Error::other)?;
    if keep > 3 {
        close_range(3, keep - 1)?;
    }
    close_range(keep + 1, u32::MAX)
}

#[expect(unsafe_code, reason = "close_range has no safe wrapper: it closes descriptors that it does not own")]
fn close_range(first: u32, last: u32) -> io::Result<()> {
    // SAFETY: only numbers are passed; that no open descriptor in the range has an owner is the promise of the only
    // caller, which runs before the worker has made any object that owns one.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Asks the kernel to kill this process when the thread that spawned it ends, then looks whether it is too late.
///
/// Answers `false` when `parent` is already gone.
///
/// # Errors
/// The kernel's.
pub(super) fn die_with_parent(parent: u32) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(getppid().is_some_and(|pid| pid.as_raw_nonzero().get().unsigned_abs() == parent))
}

/// Takes standard input away from the process: its descriptor under another number, `/dev/null` in its place.
///
/// # Errors
/// The kernel's.
pub(super) fn take_stdin() -> io::Result<OwnedFd> {
    let taken = io::stdin().as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open(Path::new("/dev/null"))?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

/// Ends the process at once: no destructor and no exit handler of a plugin's runs.
#[expect(unsafe_code, reason = "the standard library's exit runs the exit handlers of loaded libraries")]
pub(super) fn exit_now(code: u8) -> ! {
    // SAFETY: ends the process and never returns; nothing of it is used afterwards.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Watches a pidfd for the end of its process. Needs a tokio runtime with I/O.
///
/// # Errors
/// The kernel's, when it takes no further descriptor to watch.
#[expect(unsafe_code, reason = "tokio asks its caller to promise that the descriptor stays what it is")]
pub(super) fn watch(pidfd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: the `Arc` keeps the descriptor open for as long as the result lives, and an `OwnedFd` never changes it.
    let watched = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watched?)
}

/// The process id as rustix takes it.
pub(super) fn pid_of(raw: u32) -> Option<Pid> {
    i32::try_from(raw).ok().and_then(Pid::from_raw)
}

/// A signal's name as people write it: `SIGSEGV`; `signal 40` when it has none.
pub(super) fn signal_name(number: i32) -> String {
    let name = match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_env = "gnu")]
    fn tells_the_running_glibc() {
        assert!(super::glibc_version().is_some_and(|version| version >= (2, 17)));
    }

    #[test]
    fn names_signals() {
        assert_eq!(super::signal_name(11), "SIGSEGV");
        assert_eq!(super::signal_name(40), "signal 40");
    }
}
