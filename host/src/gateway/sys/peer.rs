//! Who is at the other end of a socket, and what the system calls its users and groups.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// The most groups that are asked for: the kernel's own bound (`NGROUPS_MAX`).
const MOST_GROUPS: usize = 65_536;
/// The longest entry of the user or group table that is read.
const MOST_ENTRY_BYTES: usize = 1024 * 1024;

/// The supplementary groups of the process that connected, as they were then (`SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// The kernel's.
pub fn peer_groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        match socket_option(socket, libc::SO_PEERGROUPS, &mut groups) {
            Ok(count) => {
                groups.truncate(count);
                return Ok(groups);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && groups.len() < MOST_GROUPS => {
                groups.resize(groups.len() * 4, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The process that connected, as a descriptor that never means another process (`SO_PEERPIDFD`, Linux 6.5). `None`
/// where the kernel has no such thing, or the process is gone.
pub fn peer_pidfd(socket: &impl AsFd) -> Option<OwnedFd> {
    let mut descriptor = [-1_i32];
    socket_option(socket, libc::SO_PEERPIDFD, &mut descriptor).ok()?;
    (descriptor[0] >= 0).then(|| owned(descriptor[0]))
}

#[expect(unsafe_code, reason = "the kernel made the descriptor for this call's caller")]
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: the number was just returned by getsockopt, which installed it for this process; nobody else has it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Fills whole values; answers how many.
#[expect(unsafe_code, reason = "these socket options have no safe wrapper")]
fn socket_option<T: Copy>(socket: &impl AsFd, option: libc::c_int, values: &mut [T]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(size_of_val(values)).map_err(io::Error::other)?;
    // SAFETY: the pointer is to `length` writable bytes of plain numbers, and the kernel writes no more than that.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(length as usize / size_of::<T>()) } else { Err(io::Error::last_os_error()) }
}

/// The number of a group; `None` when the system has none of that name. Blocks: the table may be a network's.
///
/// # Errors
/// When the table cannot be read, or the name has a NUL byte.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let name = CString::new(name)?;
    entry(|buffer| {
        let mut group = MaybeUninit::<libc::group>::uninit();
        let mut found = std::ptr::null_mut();
        let code = ask_group(&name, &mut group, buffer, &mut found);
        // SAFETY: a pointer that is not null is to `group`, which the call filled.
        #[expect(unsafe_code, reason = "the C library fills the entry")]
        (code, (!found.is_null()).then(|| unsafe { group.assume_init_ref() }.gr_gid))
    })
}

#[expect(unsafe_code, reason = "the group table has no safe wrapper")]
fn ask_group(
    name: &CStr,
    group: &mut MaybeUninit<libc::group>,
    buffer: &mut [libc::c_char],
    found: &mut *mut libc::group,
) -> i32 {
    // SAFETY: every pointer is to memory that lives for the call, the buffer with its true length.
    unsafe { libc::getgrnam_r(name.as_ptr(), group.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), found) }
}

/// The name of a user; `None` when the system has none of that number. Blocks: the table may be a network's.
///
/// # Errors
/// When the table cannot be read.
pub fn user_name(uid: u32) -> io::Result<Option<String>> {
    entry(|buffer| {
        let mut user = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        let code = ask_user(uid, &mut user, buffer, &mut found);
        // SAFETY: a pointer that is not null is to `user`, which the call filled.
        #[expect(unsafe_code, reason = "the C library fills the entry")]
        let name = (!found.is_null()).then(|| unsafe { user.assume_init_ref() }.pw_name);
        // SAFETY: the name of a filled entry is a string in the buffer that ends with a NUL byte.
        #[expect(unsafe_code, reason = "the C library's strings are pointers")]
        let name = name.map(|name| unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned());
        (code, name)
    })
}

#[expect(unsafe_code, reason = "the user table has no safe wrapper")]
fn ask_user(
    uid: u32,
    user: &mut MaybeUninit<libc::passwd>,
    buffer: &mut [libc::c_char],
    found: &mut *mut libc::passwd,
) -> i32 {
    // SAFETY: every pointer is to memory that lives for the call, the buffer with its true length.
    unsafe { libc::getpwuid_r(uid, user.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), found) }
}

/// Asks with a buffer that grows until the entry fits.
fn entry<T>(mut ask: impl FnMut(&mut [libc::c_char]) -> (i32, Option<T>)) -> io::Result<Option<T>> {
    let mut buffer = vec![0; 1024];
    loop {
        match ask(&mut buffer) {
            (0, found) => return Ok(found),
            (libc::ERANGE, _) if buffer.len() < MOST_ENTRY_BYTES => buffer.resize(buffer.len() * 4, 0),
            (libc::EINTR, _) => {}
            // What getpwuid_r(3) lists for "not found".
            (libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, _) => return Ok(None),
            (code, _) => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn users_and_groups_have_names_and_numbers() {
        assert_eq!(user_name(0).unwrap().as_deref(), Some("root"));
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(user_name(4_123_456_789).unwrap(), None);
        assert_eq!(group_id("no-such-group-here").unwrap(), None);
        assert!(group_id("a\0b").is_err());
    }

    #[test]
    fn the_other_end_of_a_pair_is_this_process() {
        let (here, _there) = UnixStream::pair().unwrap();
        let groups = peer_groups(&here).unwrap();
        let own = rustix::process::getgroups().unwrap();
        assert_eq!(groups, own.iter().map(|group| group.as_raw()).collect::<Vec<_>>());
        if let Some(pidfd) = peer_pidfd(&here) {
            rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::CONT).unwrap();
        }
    }
}
