//! What a plugin may not do, or may when it said so: tried in earnest.
//!
//! The same from the gateway's own code and from a constructor of the library, which runs while it is being opened: it
//! does what the file `attempts` in its folder says, and writes to `outcomes` what came of it.

use std::ffi::CString;
use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr as LocalAddr, UnixDatagram, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

/// What came of it: `done`, or the kind of the error.
pub(crate) fn outcome(tried: io::Result<()>) -> String {
    tried.map_or_else(|error| format!("{:?}", error.kind()), |()| "done".to_owned())
}

pub(crate) fn attempt(what: &str, at: &str) -> io::Result<()> {
    match what {
        "read" => std::fs::read(at).map(drop),
        "list" => std::fs::read_dir(at).map(drop),
        "write" => std::fs::write(at, "by the probe"),
        "replace" => {
            std::fs::write(format!("{at}.new"), "by the probe")?;
            std::fs::rename(format!("{at}.new"), at)
        }
        "mode" => std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o777)),
        "times" => times(at),
        "cut" => called(call(libc::SYS_truncate, [pointer(&text(at)), 0, 0, 0])),
        "copy" => std::fs::copy(at, format!("{at}.copy")).map(drop),
        "link" => std::fs::hard_link(at, format!("{}/link", std::env::temp_dir().display())),
        "start" => std::process::Command::new(at).status().map(drop),
        "child-reach" => child_reach(at),
        "thread" => std::thread::Builder::new().spawn(|| ())?.join().map_err(|_| ErrorKind::Other.into()),
        "connect" => UnixStream::connect(at).map(drop),
        "ask-daemon" => ask_daemon(at),
        "abstract" => UnixStream::connect_addr(&LocalAddr::from_abstract_name(at)?).map(drop),
        "datagram" => UnixDatagram::unbound()?.send_to(b"probe", at).map(drop),
        "pair" => pair_to(at),
        "listen" => std::net::TcpListener::bind(at).map(drop),
        "listen-unbound" => listen_unbound(),
        "reach" => TcpStream::connect(at).map(drop),
        "reach-in-time" => TcpStream::connect_timeout(&address(at)?, Duration::from_secs(10)).map(drop),
        "reach-early" => reach_early(at),
        "reach-multipath" => socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP).map(drop),
        "send" => UdpSocket::bind(local_of(at)?)?.send_to(b"probe", at).map(drop),
        "send-connected" => {
            let socket = UdpSocket::bind(local_of(at)?)?;
            socket.connect(at)?;
            socket.send(b"probe").map(drop)
        }
        "send-message" => send_message(at, 1),
        "send-messages" => send_message(at, 3),
        "look-up" => {
            let found = (at, 0).to_socket_addrs()?.next();
            found.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
        }
        "flip" => flip(at),
        "raw" => socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).map(drop),
        "netlink" => socket(libc::AF_NETLINK, libc::SOCK_RAW, 0).map(drop),
        "signal" => {
            let process = at.parse().ok().and_then(rustix::process::Pid::from_raw).ok_or(ErrorKind::InvalidInput)?;
            Ok(rustix::process::test_kill_process(process)?)
        }
        "fork" => fork(),
        "trace" => called(call(libc::SYS_ptrace, [libc::PTRACE_SEIZE.into(), number(at)?, 0, 0])),
        "peek" => peek(number(at)?),
        "descriptor" => {
            let process = call(libc::SYS_pidfd_open, [number(at)?, 0, 0, 0])?;
            called(call(libc::SYS_pidfd_getfd, [process, 0, 0, 0]))
        }
        "limit" => {
            let limit = rustix::process::Rlimit { current: Some(4_096), maximum: Some(4_096) };
            Ok(rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?)
        }
        "undumpable" => called(call(libc::SYS_prctl, [libc::PR_SET_DUMPABLE.into(), 0, 0, 0])),
        "outlive" => called(call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG.into(), 0, 0, 0])),
        "refilter" => called(call(libc::SYS_seccomp, [0, 0, 0, 0])),
        "uring" => called(call(libc::SYS_io_uring_setup, [8, pointer(&[0_u8; 128]), 0, 0])),
        "clone3" => called(call(libc::SYS_clone3, [pointer(&[0_u8; 88]), 88, 0, 0])),
        #[cfg(target_arch = "x86_64")]
        "second-table" => called(call(0x4000_0000 + libc::SYS_getpid, [0; 4])),
        #[cfg(target_arch = "x86_64")]
        "old-table" => old_table(),
        _ => Err(ErrorKind::InvalidInput.into()),
    }
}

/// Connects in a program that it starts.
fn child_reach(at: &str) -> io::Result<()> {
    let at = address(at)?;
    let script = format!("exec 3<>/dev/tcp/{}/{}", at.ip(), at.port());
    let ended = std::process::Command::new("/bin/bash").args(["-c", &script]).status()?;
    if ended.success() { Ok(()) } else { Err(ErrorKind::ConnectionRefused.into()) }
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| ErrorKind::InvalidInput.into())
}

fn address(at: &str) -> io::Result<SocketAddr> {
    at.parse().map_err(|_| ErrorKind::InvalidInput.into())
}

fn local_of(at: &str) -> io::Result<SocketAddr> {
    let any = if address(at)?.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    address(any)
}

fn text(at: &str) -> Vec<u8> {
    CString::new(at).unwrap_or_default().into_bytes_with_nul()
}

fn pointer(bytes: &[u8]) -> i64 {
    bytes.as_ptr().expose_provenance().cast_signed() as i64
}

fn called(result: io::Result<i64>) -> io::Result<()> {
    result.map(drop)
}

#[expect(unsafe_code, reason = "calls that no library makes are what a test asks for")]
fn call(number: i64, arguments: [i64; 4]) -> io::Result<i64> {
    let [a, b, c, d] = arguments;
    // SAFETY: what the calls above are given lives until they return, and none of them is meant to succeed.
    let result = unsafe { libc::syscall(number, a, b, c, d) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

#[expect(unsafe_code, reason = "sockets of any kind are what a test asks for")]
fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: only numbers are passed.
    let socket = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    if socket < 0 {
        return Err(Error::last_os_error());
    }
    // SAFETY: made just now, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(socket) })
}

/// An IPv4 address as the kernel spells it.
fn inet(at: &str) -> io::Result<libc::sockaddr_in> {
    let SocketAddr::V4(at) = address(at)? else { return Err(ErrorKind::InvalidInput.into()) };
    Ok(libc::sockaddr_in {
        sin_family: u16::try_from(libc::AF_INET).unwrap_or_default(),
        sin_port: at.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(at.ip().octets()) },
        sin_zero: [0; 8],
    })
}

const INET_BYTES: u32 = 16;

fn times(at: &str) -> io::Result<()> {
    let path = text(at);
    called(call(libc::SYS_utimensat, [libc::AT_FDCWD.into(), pointer(&path), 0, 0]))
}

/// Asks over a control socket for what anybody with the daemon's user may know.
fn ask_daemon(at: &str) -> io::Result<()> {
    let mut socket = UnixStream::connect(at)?;
    socket.write_all(b"GET /v1/status HTTP/1.1\r\nhost: gatehouse\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(ErrorKind::PermissionDenied.into()) }
}

fn listen_unbound() -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    called(call(libc::SYS_listen, [socket.as_raw_fd().into(), 4, 0, 0]))
}

/// A datagram from one end of a pair to a path.
#[expect(unsafe_code, reason = "a datagram from a pair of sockets is what a test asks for")]
fn pair_to(at: &str) -> io::Result<()> {
    let (one, _other) = UnixDatagram::pair()?;
    // SAFETY: integers and an array of them: all zeros is a value of it.
    let mut to: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    to.sun_family = u16::try_from(libc::AF_UNIX).unwrap_or_default();
    for (place, byte) in to.sun_path.iter_mut().zip(at.bytes()) {
        *place = libc::c_char::from_ne_bytes([byte]);
    }
    let length = u32::try_from(size_of::<libc::sockaddr_un>()).unwrap_or_default();
    // SAFETY: payload and address live as long as the call, and are as long as it is told.
    let sent = unsafe { libc::sendto(one.as_raw_fd(), b"probe".as_ptr().cast(), 5, 0, (&raw const to).cast(), length) };
    if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Sends with the connection's first packet.
#[expect(unsafe_code, reason = "the standard library cannot do this")]
fn reach_early(at: &str) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let to = inet(at)?;
    let number = socket.as_raw_fd();
    // SAFETY: payload and address live as long as the call, and are as long as it is told.
    let sent = unsafe {
        libc::sendto(number, b"probe".as_ptr().cast(), 5, libc::MSG_FASTOPEN, (&raw const to).cast(), INET_BYTES)
    };
    if sent < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// Datagrams whose address stands in a header, by `sendmsg`, or several by `sendmmsg`.
#[expect(unsafe_code, reason = "the standard library cannot do this")]
fn send_message(at: &str, count: usize) -> io::Result<()> {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    let to = inet(at)?;
    let (first, second) = (*b"pro", *b"be");
    let mut parts = [
        libc::iovec { iov_base: first.as_ptr().cast_mut().cast(), iov_len: 3 },
        libc::iovec { iov_base: second.as_ptr().cast_mut().cast(), iov_len: 2 },
    ];
    // SAFETY: integers and pointers: all zeros is a value of it.
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_name = (&raw const to).cast_mut().cast();
    message.msg_hdr.msg_namelen = INET_BYTES;
    message.msg_hdr.msg_iov = parts.as_mut_ptr();
    message.msg_hdr.msg_iovlen = 2;
    let mut messages = vec![message; count];
    let number = socket.as_raw_fd();
    if count == 1 {
        // SAFETY: the header and all it points to live as long as the call.
        let sent = unsafe { libc::sendmsg(number, &raw const message.msg_hdr, 0) };
        return if sent == 5 { Ok(()) } else { Err(Error::last_os_error()) };
    }
    let wanted = u32::try_from(count).unwrap_or_default();
    // SAFETY: the headers and all they point to live as long as the call.
    let sent = unsafe { libc::sendmmsg(number, messages.as_mut_ptr(), wanted, 0) };
    if sent < 0 {
        return Err(Error::last_os_error());
    }
    let whole = messages.iter().all(|message| message.msg_len == 5);
    if sent.cast_unsigned() == wanted && whole { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

/// Connects again and again to an address whose port another thread changes all the time: `IP:PORT PORT ROUNDS`.
#[expect(unsafe_code, reason = "an address that changes while it is used is what a test asks for")]
fn flip(at: &str) -> io::Result<()> {
    let mut words = at.split(' ');
    let mut next = || words.next().ok_or(ErrorKind::InvalidInput);
    let (first, other, rounds) = (next()?, number(next()?)?, number(next()?)?);
    let to = inet(first)?;
    let to = std::cell::UnsafeCell::new(to);
    let place = to.get();
    let port = place.cast::<u8>().wrapping_add(std::mem::offset_of!(libc::sockaddr_in, sin_port)).cast();
    let flipped = Flipped {
        // SAFETY: the field of a value that lives until the thread below has ended. Whoever else looks at it is the
        // kernel, or the host, and that it changes meanwhile is the point.
        port: unsafe { AtomicU16::from_ptr(port) },
        ports: [inet(first)?.sin_port, u16::try_from(other).unwrap_or_default().to_be()],
        done: AtomicBool::new(false),
    };
    let mut thread = 0;
    // SAFETY: what it is given lives until it is joined.
    let made = unsafe {
        libc::pthread_create(&raw mut thread, std::ptr::null(), keep_flipping, (&raw const flipped).cast_mut().cast())
    };
    if made != 0 {
        return Err(Error::from_raw_os_error(made));
    }
    let tried = (0..rounds).try_for_each(|_| {
        let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
        // SAFETY: the address lives as long as the call.
        unsafe { libc::connect(socket.as_raw_fd(), place.cast(), INET_BYTES) };
        Ok(())
    });
    flipped.done.store(true, Ordering::Relaxed);
    // SAFETY: the thread above, which nobody else joins.
    unsafe { libc::pthread_join(thread, std::ptr::null_mut()) };
    tried
}

/// A port that one thread changes while another connects.
struct Flipped<'a> {
    port: &'a AtomicU16,
    ports: [u16; 2],
    done: AtomicBool,
}

/// A thread of the C library alone: while a library is being opened, one of Rust's would wait for its end.
#[expect(unsafe_code, reason = "a thread of the C library is given a pointer")]
extern "C" fn keep_flipping(flipped: *mut libc::c_void) -> *mut libc::c_void {
    // SAFETY: given by whoever made the thread, and there until it has ended.
    let flipped = unsafe { &*flipped.cast::<Flipped<'_>>() };
    while !flipped.done.load(Ordering::Relaxed) {
        for port in flipped.ports {
            flipped.port.store(port, Ordering::Relaxed);
            std::hint::spin_loop();
        }
    }
    std::ptr::null_mut()
}

#[expect(unsafe_code, reason = "another process is what a test asks for")]
fn fork() -> io::Result<()> {
    // SAFETY: the child does nothing but end.
    match unsafe { libc::fork() } {
        // SAFETY: ends the process.
        0 => unsafe { libc::_exit(0) },
        child if child > 0 => Ok(()),
        _ => Err(Error::last_os_error()),
    }
}

#[expect(unsafe_code, reason = "another's memory is what a test asks for")]
fn peek(process: i64) -> io::Result<()> {
    let mut copy = [0_u8; 8];
    let process = i32::try_from(process).map_err(|_| ErrorKind::InvalidInput)?;
    let local = libc::iovec { iov_base: copy.as_mut_ptr().cast(), iov_len: 8 };
    let remote = libc::iovec { iov_base: std::ptr::without_provenance_mut(0x1000), iov_len: 8 };
    // SAFETY: writes at most eight bytes, for which there is room.
    let read = unsafe { libc::process_vm_readv(process, &raw const local, 1, &raw const remote, 1, 0) };
    if read < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

/// `getpid` by the calls of 32-bit programs.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "a call by the old table is what a test asks for")]
fn old_table() -> io::Result<()> {
    let mut result = 20_i64;
    // SAFETY: the call takes no arguments and changes no more than the registers that are named.
    unsafe {
        std::arch::asm!("int 0x80", inout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    if result < 0 { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

#[used]
#[unsafe(link_section = ".init_array")]
#[expect(unsafe_code, reason = "code that runs while the library is opened is what a test asks for")]
static AT_OPENING: extern "C" fn() = at_opening;

extern "C" fn at_opening() {
    let folder = std::env::temp_dir();
    let Ok(attempts) = std::fs::read_to_string(folder.join("attempts")) else { return };
    let outcomes: String = attempts
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(what, at)| format!("{what}\t{at}\t{}\n", outcome(attempt(what, at))))
        .collect();
    let _ = std::fs::write(folder.join("outcomes"), outcomes);
}
