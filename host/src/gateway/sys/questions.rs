//! A worker's seccomp filter as the kernel takes it, and the questions that it asks the host.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};

/// One system call of a worker that its filter asks the host about. The caller's thread waits for the answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) struct Asked {
    /// Which question: what the answer names.
    pub(in crate::gateway) id: u64,
    /// The thread that asks.
    pub(in crate::gateway) thread: u32,
    /// The call's number.
    pub(in crate::gateway) number: i64,
    /// Its arguments, as the registers held them.
    pub(in crate::gateway) arguments: [u64; 6],
}

/// Whether the kernel has filters at all, and whether they can ask (`SECCOMP_RET_USER_NOTIF`, Linux 5.0).
#[expect(unsafe_code, reason = "seccomp has no safe wrapper")]
pub(in crate::gateway) fn can_filter() -> (bool, bool) {
    let has = |action: u32| {
        // SAFETY: the request reads one `u32` from where the pointer shows, which is one.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
    };
    (has(libc::SECCOMP_RET_ERRNO), has(libc::SECCOMP_RET_USER_NOTIF))
}

/// Puts a seccomp filter on the calling thread. When it `asks`, gives the descriptor by which its questions are answered.
///
/// The process must have given up new privileges (or hold CAP_SYS_ADMIN). Threads that are made later inherit it.
///
/// # Errors
/// The kernel's: `EINVAL` for a kernel that cannot ask.
#[expect(unsafe_code, reason = "seccomp has no safe wrapper")]
pub(in crate::gateway) fn install_filter(program: &[libc::sock_filter], asks: bool) -> io::Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let install = |flags: libc::c_ulong| {
        // SAFETY: the program is read during the call alone, and the slice that it points into lives longer.
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) }
    };
    if !asks {
        return if install(0) == 0 { Ok(None) } else { Err(io::Error::last_os_error()) };
    }
    // A thread that waits for an answer is not woken by signals, as far as the kernel can (5.19).
    let mut listener = install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
    if listener < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        listener = install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    }
    let listener = i32::try_from(listener).map_err(io::Error::other)?;
    if listener < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor just now for the caller, and nobody else knows of it.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(listener) }))
}

/// Whether a question waits.
///
/// # Errors
/// When nobody is left who could ask.
pub(in crate::gateway) fn has_asked(listener: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&Timespec::default()))?;
    let came = polled[0].revents();
    if came.contains(PollFlags::IN) {
        return Ok(true);
    }
    if came.contains(PollFlags::HUP) { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(false) }
}

/// Takes the next question. Blocks when there is none: poll before.
///
/// # Errors
/// `ENOENT` when the asking thread has gone meanwhile; the kernel's others.
#[expect(unsafe_code, reason = "an ioctl has no safe wrapper")]
pub(in crate::gateway) fn next_asked(listener: &OwnedFd) -> io::Result<Asked> {
    // SAFETY: integers and an array of them: all zeros is a value of it, and what the kernel asks for.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request writes one `seccomp_notif` to where the pointer shows, which is one.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notification) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Asked {
        id: notification.id,
        thread: notification.pid,
        number: i64::from(notification.data.nr),
        arguments: notification.data.args,
    })
}

/// Whether the thread that asked still waits for the answer; what was read of its memory before is then its word.
#[expect(unsafe_code, reason = "an ioctl has no safe wrapper")]
pub(in crate::gateway) fn still_asks(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the request reads one `u64` from where the pointer shows, which is one.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// How a question is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::gateway) enum Verdict {
    /// The call returns this.
    Value(i64),
    /// The call fails with this error number.
    Errno(i32),
    /// The call is made after all. Only where nothing rests on it: what pointers show can change meanwhile.
    Continue,
}

impl From<io::Result<usize>> for Verdict {
    fn from(result: io::Result<usize>) -> Self {
        match result {
            Ok(value) => Self::Value(i64::try_from(value).unwrap_or(i64::MAX)),
            Err(error) => Self::Errno(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    }
}

/// SECCOMP_USER_NOTIF_FLAG_CONTINUE, linux/seccomp.h.
const CONTINUE: u32 = 1;

/// Answers a question; nothing when its thread has gone.
#[expect(unsafe_code, reason = "an ioctl has no safe wrapper")]
pub(in crate::gateway) fn answer_asked(listener: &OwnedFd, id: u64, verdict: Verdict) {
    let (val, error, flags) = match verdict {
        Verdict::Value(value) => (value, 0, 0),
        Verdict::Errno(errno) => (0, -errno, 0),
        Verdict::Continue => (0, 0, CONTINUE),
    };
    let answer = libc::seccomp_notif_resp { id, val, error, flags };
    // SAFETY: the request reads one `seccomp_notif_resp` from where the pointer shows, which is one.
    let _ = unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
}

/// Copies memory of another thread's process, all of what is asked for.
///
/// # Errors
/// `EFAULT` when not all of it is there; `EPERM` when it is not this user's to read.
#[expect(unsafe_code, reason = "process_vm_readv has no safe wrapper")]
pub(in crate::gateway) fn read_memory(thread: u32, address: u64, buffer: &mut [u8]) -> io::Result<()> {
    let length = buffer.len();
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: length };
    let (thread, remote) = remote(thread, address, length)?;
    // SAFETY: writes at most `length` bytes into the buffer; the remote address is the other process's.
    let read = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    whole(read, length)
}

/// Writes into memory of another thread's process.
///
/// # Errors
/// As [`read_memory`].
#[expect(unsafe_code, reason = "process_vm_writev has no safe wrapper")]
pub(in crate::gateway) fn write_memory(thread: u32, address: u64, bytes: &[u8]) -> io::Result<()> {
    let length = bytes.len();
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: length };
    let (thread, remote) = remote(thread, address, length)?;
    // SAFETY: reads `length` bytes of the slice and writes to the other process alone.
    let written = unsafe { libc::process_vm_writev(thread, &raw const local, 1, &raw const remote, 1, 0) };
    whole(written, length)
}

fn remote(thread: u32, address: u64, length: usize) -> io::Result<(libc::pid_t, libc::iovec)> {
    let thread = i32::try_from(thread).map_err(io::Error::other)?;
    let address = usize::try_from(address).map_err(io::Error::other)?;
    Ok((thread, libc::iovec { iov_base: std::ptr::without_provenance_mut(address), iov_len: length }))
}

fn whole(moved: isize, length: usize) -> io::Result<()> {
    match usize::try_from(moved) {
        Ok(moved) if moved == length => Ok(()),
        Ok(_) => Err(io::Error::from_raw_os_error(libc::EFAULT)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}
