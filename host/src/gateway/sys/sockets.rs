//! What the host does with a worker's socket in the worker's place, with an address of its own that nobody can change.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Connects a socket to an address as the kernel spells it (`struct sockaddr_in` and its kin). May block.
///
/// # Errors
/// The kernel's, `EINPROGRESS` for a socket that does not block.
#[expect(unsafe_code, reason = "addresses of any form are passed on as they are")]
pub(in crate::gateway) fn connect(socket: &OwnedFd, address: &[u8]) -> io::Result<usize> {
    let length = libc::socklen_t::try_from(address.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel copies `length` bytes from the slice, which has as many, and checks them itself.
    let result = unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) };
    if result == 0 { Ok(0) } else { Err(io::Error::last_os_error()) }
}

/// One message of a socket.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Message {
    /// Where to, as the kernel spells it; empty for where the socket is connected to.
    pub(in crate::gateway) address: Vec<u8>,
    /// What is sent.
    pub(in crate::gateway) payload: Vec<u8>,
    /// How it is sent, as the kernel spells it.
    pub(in crate::gateway) control: Vec<u8>,
}

/// Sends a message; how many bytes of it. May block. Never raises SIGPIPE.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "addresses and control data of any form are passed on as they are")]
pub(in crate::gateway) fn send(socket: &OwnedFd, message: &Message, flags: i32) -> io::Result<usize> {
    let mut part = libc::iovec { iov_base: message.payload.as_ptr().cast_mut().cast(), iov_len: message.payload.len() };
    // SAFETY: integers and pointers: all zeros is a value of it.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if !message.address.is_empty() {
        header.msg_name = message.address.as_ptr().cast_mut().cast();
        header.msg_namelen = libc::socklen_t::try_from(message.address.len()).map_err(io::Error::other)?;
    }
    if !message.control.is_empty() {
        header.msg_control = message.control.as_ptr().cast_mut().cast();
        header.msg_controllen = message.control.len();
    }
    // SAFETY: the kernel reads the header and what it points to, all of it alive, as long as it says, and not changed.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags | libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
