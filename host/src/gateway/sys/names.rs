//! How names of hosts are looked up in a worker: not by the worker.
//!
//! The program exports a `getaddrinfo` of its own, which every library that is opened in it finds before the C
//! library's, without having been built for it. In a worker whose filter asks, it hands a name to the host by a system
//! call that no kernel has: the filter asks the host about it like about any other, so it works from every thread, also
//! while the plugin is being opened. Everywhere else, and for addresses that are written out, it is the C library's.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of the call by which a worker has a name looked up: (name, its length, where to write addresses, how many
/// fit); the result is how many there are, each 16 bytes. Far above every number that a kernel uses.
pub(in crate::gateway) const LOOK_UP: i64 = 0x3FFF_6761;

/// Addresses that are taken of one name.
const ADDRESSES: usize = 32;

static ASKS: AtomicBool = AtomicBool::new(false);

/// From now on names are the host's to look up. For a worker whose filter asks.
pub(in crate::gateway) fn ask_the_host() {
    ASKS.store(true, Ordering::Relaxed);
}

type GetAddrInfo =
    unsafe extern "C" fn(*const c_char, *const c_char, *const libc::addrinfo, *mut *mut libc::addrinfo) -> c_int;

/// The C library's own.
#[expect(unsafe_code, reason = "the next definition of a symbol is found by its name alone")]
fn own() -> Option<GetAddrInfo> {
    static OWN: OnceLock<Option<GetAddrInfo>> = OnceLock::new();
    *OWN.get_or_init(|| {
        // SAFETY: the name ends with a NUL byte; the result is looked at and not called.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr()) };
        // SAFETY: what the C library has under this name is of this type (POSIX), and an `Option` of a function
        // pointer is as large as a pointer, `None` for null.
        unsafe { std::mem::transmute::<*mut libc::c_void, Option<GetAddrInfo>>(found) }
    })
}

/// The program's `getaddrinfo`, see above.
///
/// # Safety
/// As for the C library's: strings that end with a NUL byte or null, and room for the result.
#[unsafe(no_mangle)]
#[expect(unsafe_code, reason = "takes the place of a function of the C library")]
pub(super) unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    let Some(own) = own() else { return libc::EAI_FAIL };
    let name = if node.is_null() || !ASKS.load(Ordering::Relaxed) {
        None
    } else {
        // SAFETY: not null, so a string that ends with a NUL byte, by the caller's promise.
        Some(unsafe { CStr::from_ptr(node) }).filter(|name| !is_address(name))
    };
    let Some(name) = name else {
        // SAFETY: the caller's promise, handed on as it is.
        return unsafe { own(node, service, hints, result) };
    };
    let addresses = match looked_up(name) {
        Ok(addresses) => addresses,
        Err(error) => {
            return match error.raw_os_error() {
                Some(libc::ENOENT) => libc::EAI_NONAME,
                Some(libc::EAGAIN) => libc::EAI_AGAIN,
                _ => libc::EAI_SYSTEM,
            };
        }
    };
    let mut wishes: libc::addrinfo = if hints.is_null() {
        // SAFETY: integers and pointers: all zeros is a value of it, and means no wishes.
        unsafe { std::mem::zeroed() }
    } else {
        // SAFETY: not null, so the caller's to be read.
        unsafe { *hints }
    };
    wishes.ai_flags &= !(libc::AI_ADDRCONFIG | libc::AI_V4MAPPED | libc::AI_ALL);
    wishes.ai_flags |= libc::AI_NUMERICHOST;
    let (mut first, mut failure) = (std::ptr::null_mut::<libc::addrinfo>(), libc::EAI_NONAME);
    let mut last = first;
    for address in addresses {
        let Ok(text) = std::ffi::CString::new(address.to_string()) else { continue };
        let mut found = std::ptr::null_mut();
        // The C library makes its own entries, for the service and kind of socket that were asked for; a list of them
        // is freed one by one, so that lists can be joined.
        // SAFETY: strings that end with a NUL byte, wishes and room for the result that live as long as the call.
        let code = unsafe { own(text.as_ptr(), service, &raw const wishes, &raw mut found) };
        if code != 0 {
            // Addresses of a family that is not wanted.
            failure = if matches!(code, libc::EAI_NONAME | libc::EAI_FAMILY) { failure } else { code };
            continue;
        }
        if first.is_null() {
            first = found;
        } else {
            // SAFETY: `last` is the last entry of a list that was made here and is nobody else's yet.
            unsafe { (*last).ai_next = found };
        }
        last = end_of(found);
    }
    if first.is_null() {
        return failure;
    }
    // SAFETY: room for the result, by the caller's promise.
    unsafe { *result = first };
    0
}

#[expect(unsafe_code, reason = "a list of the C library's is walked")]
fn end_of(mut entry: *mut libc::addrinfo) -> *mut libc::addrinfo {
    loop {
        // SAFETY: an entry that the C library made and nobody freed.
        let next = unsafe { (*entry).ai_next };
        if next.is_null() {
            return entry;
        }
        entry = next;
    }
}

/// Written out, with or without an interface: nothing to look up.
fn is_address(name: &CStr) -> bool {
    let text = name.to_bytes();
    let text = text.split(|byte| *byte == b'%').next().unwrap_or(text);
    std::str::from_utf8(text).is_ok_and(|text| text.is_empty() || text.parse::<IpAddr>().is_ok())
}

#[expect(unsafe_code, reason = "no kernel has this call: the filter asks the host")]
fn looked_up(name: &CStr) -> io::Result<Vec<IpAddr>> {
    let name = name.to_bytes();
    let mut room = [[0_u8; 16]; ADDRESSES];
    // SAFETY: the host reads the name and writes at most as many addresses as there is room for. Without a host the
    // kernel knows no such call and touches nothing.
    let count = unsafe { libc::syscall(LOOK_UP, name.as_ptr(), name.len(), room.as_mut_ptr(), ADDRESSES) };
    match usize::try_from(count) {
        Ok(count) => Ok(room.iter().take(count).map(|octets| Ipv6Addr::from(*octets).to_canonical()).collect()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::ToSocketAddrs;

    #[test]
    fn outside_a_worker_names_are_looked_up_as_ever() {
        let found = ("localhost", 80).to_socket_addrs().expect("every machine knows itself");
        assert!(found.clone().count() > 0);
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn addresses_that_are_written_out_are_none_to_look_up() {
        for address in [c"127.0.0.1", c"::1", c"fe80::1%eth0", c""] {
            assert!(super::is_address(address), "{address:?}");
        }
        assert!(!super::is_address(c"localhost"));
    }
}
