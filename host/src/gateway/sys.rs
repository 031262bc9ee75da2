//! Safe wrappers around the few calls to the kernel and the C library that no dependency offers safely.

pub(super) mod crash;
mod names;
mod questions;
mod sockets;

pub mod peer;

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

pub(super) use self::names::{LOOK_UP, ask_the_host};
pub(super) use self::questions::{
    Asked, Verdict, answer_asked, can_filter, has_asked, install_filter, next_asked, read_memory, still_asks,
    write_memory,
};
pub(super) use self::sockets::{Message, connect, send};
use super::Used;

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

/// Has the allocator keep no more than so many freed bytes at an arena's end, and map what is larger by itself. It would
/// raise both limits to what the largest block so far took, and keep as much for each thread (mallopt(3)).
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator is told by a call")]
pub(crate) fn keep_freed_memory_below(bytes: i32) {
    // SAFETY: changes the allocator's parameters under its own lock; blocks that are there stay valid.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, bytes) };
    // SAFETY: as above.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, bytes) };
}

/// Has the allocator keep little that is freed; another C library than glibc keeps little by itself.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_freed_memory_below(_bytes: i32) {}

/// Gives memory that was freed back to the system, of every arena. Takes milliseconds, in which who allocates may wait.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the C library's allocator keeps what was freed until it is told")]
pub(crate) fn release_freed_memory() {
    // SAFETY: takes the arenas' own locks and may be called at any time, from any thread; nothing in use is touched.
    unsafe { libc::malloc_trim(0) };
}

/// Gives memory that was freed back to the system, which this C library does by itself.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn release_freed_memory() {}

/// The version of Landlock's interface that the kernel has; 0 for none.
#[expect(unsafe_code, reason = "landlock_create_ruleset has no safe wrapper that asks for the version alone")]
pub(super) fn landlock_version() -> u32 {
    /// LANDLOCK_CREATE_RULESET_VERSION, linux/landlock.h.
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the kernel reads nothing and makes nothing.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, VERSION) };
    u32::try_from(version).unwrap_or(0)
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

/// Takes the code and constants of this program and of `library` that were touched so far out of the process's memory;
/// what is needed again comes back from the page cache with its next use. `library` must be open for as long as the
/// process lives.
///
/// Opening a library and checking it touches most of it once. A worker that then waits for days has no use for that.
///
/// # Errors
/// The kernel's, when its own account of the process cannot be read.
pub(super) fn release_unchanged(library: &Path) -> io::Result<()> {
    let program = std::env::current_exe()?;
    let files = [&*program, library].map(Path::to_string_lossy);
    for range in unchanged(&std::fs::read_to_string("/proc/self/smaps")?, &files) {
        release(range);
    }
    Ok(())
}

#[expect(unsafe_code, reason = "the kernel is asked to change what is mapped")]
fn release(range: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range is one private mapping of the program's or of a library's file, neither of which is ever
    // unmapped, not writable and in every page as the file has it: what is read there next is the very same, from the
    // same file. Refused by the kernel (locked memory), it does nothing.
    unsafe { libc::madvise(start, range.len(), libc::MADV_DONTNEED) };
}

/// The read-only mappings of these files that were never written to, from the kernel's account of a process. Relocated
/// constants are none: the loader wrote to them before they became read-only.
fn unchanged(smaps: &str, files: &[impl AsRef<str>]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next(), words.next(), words.next(), words.next()) {
            // `start-end rights offset device inode path`; other lines begin with a name and a colon.
            (Some(range), Some(rights), Some(_), Some(_), Some(_)) if rights.len() == 4 && range.contains('-') => {
                let is_of = |file: &str| line.strip_suffix(file).is_some_and(|before| before.ends_with(' '));
                let is_meant = matches!(rights, "r-xp" | "r--p") && files.iter().any(|file| is_of(file.as_ref()));
                mapping = range_of(range).filter(|_| is_meant);
            }
            // Pages that are no longer the file's.
            (Some("Anonymous:"), Some(kilobytes), ..) => {
                if let Some(range) = mapping.take().filter(|_| kilobytes == "0") {
                    found.push(range);
                }
            }
            _ => {}
        }
    }
    found
}

fn range_of(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
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

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Exited(i32),
    Killed(i32),
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "ended by itself with exit code {code}"),
            Self::Killed(signal) => write!(f, "was killed by {}", signal_name(*signal)),
        }
    }
}

/// Reaps a child when it has ended, and tells what it had used; with `block` waits for its end.
///
/// # Errors
/// The kernel's: the process is no child of this one, or reaped already.
#[expect(unsafe_code, reason = "no safe wrapper of waitid tells what a child had used")]
pub(super) fn wait_for(pidfd: &OwnedFd, block: bool) -> io::Result<Option<(Ended, Used)>> {
    use std::os::fd::AsRawFd;
    let options = libc::WEXITED | if block { 0 } else { libc::WNOHANG };
    // SAFETY: all zeroes is a valid value of this C structure.
    let mut status: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: all zeroes is a valid value of this C structure.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        let (id, status, used) = (pidfd.as_raw_fd(), &raw mut status, &raw mut used);
        // SAFETY: both structures are whole and live longer than the call.
        if unsafe { libc::syscall(libc::SYS_waitid, libc::P_PIDFD, id, status, options, used) } == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: the call succeeded, so that the kernel filled it in, or left it as it was: all zeroes.
    if unsafe { status.si_pid() } == 0 {
        return Ok(None);
    }
    // SAFETY: a child ended, so that this is what the kernel filled in.
    let number = unsafe { status.si_status() };
    let ended = if status.si_code == libc::CLD_EXITED { Ended::Exited(number) } else { Ended::Killed(number) };
    let millis = |time: libc::timeval| time.tv_sec.unsigned_abs() * 1_000 + time.tv_usec.unsigned_abs() / 1_000;
    let memory_bytes = used.ru_maxrss.unsigned_abs() * 1_024;
    Ok(Some((ended, Used { memory_bytes, cpu_ms: millis(used.ru_utime) + millis(used.ru_stime) })))
}

/// The process id as rustix takes it.
pub(crate) fn pid_of(raw: u32) -> Option<Pid> {
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

/// Whether a process has ended, by its descriptor.
pub(crate) fn has_ended(pidfd: &impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    // What cannot be asked counts as ended: nothing is known of it.
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_env = "gnu")]
    fn tells_the_running_glibc() {
        assert!(super::glibc_version().is_some_and(|version| version >= (2, 17)));
    }

    #[test]
    fn only_what_is_as_its_file_has_it_is_released() {
        let smaps = "\
1000-3000 r-xp 00000000 08:01 17 /lib/one.so
Size:                  8 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
3000-4000 r--p 00002000 08:01 17 /lib/one.so
Anonymous:             0 kB
4000-5000 r--p 00003000 08:01 17 /lib/one.so
Anonymous:             4 kB
5000-7000 r-xp 00000000 08:01 18 /lib/patched by itself.so
Anonymous:             4 kB
8000-9000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
9000-a000 r-xp 00000000 08:01 20 /other/lib/one.so
Anonymous:             0 kB
a000-b000 rw-p 00000000 08:01 17 /lib/one.so
Anonymous:             0 kB
";
        assert_eq!(
            super::unchanged(smaps, &["/lib/one.so", "/lib/patched by itself.so"]),
            [0x1000..0x3000, 0x3000..0x4000]
        );
    }

    #[test]
    fn what_is_released_is_there_when_it_is_needed() {
        let program = std::env::current_exe().expect("there");
        super::release_unchanged(&program).expect("the kernel tells what is mapped");
        let smaps = std::fs::read_to_string("/proc/self/smaps").expect("read");
        assert!(!super::unchanged(&smaps, &[program.to_string_lossy()]).is_empty());
    }

    #[test]
    fn names_signals() {
        assert_eq!(super::signal_name(11), "SIGSEGV");
        assert_eq!(super::signal_name(40), "signal 40");
    }
}
