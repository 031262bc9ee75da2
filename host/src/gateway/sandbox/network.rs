//! What a worker's sockets do to an address: decided here, and done by the host with its own copy of the address.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};

use super::destinations::{Transport, canonical};
use super::listeners::is_kept_from;
use super::mediator::Ward;
use crate::gateway::sys::{self, Asked, Message};

/// The largest address of any kind (`struct sockaddr_storage`).
const ADDRESS_BYTES: u64 = 128;
/// What is taken of one message; a datagram has at most 64 KiB, a stream takes the rest with the next call.
const PAYLOAD_BYTES: usize = 256 * 1024;
/// Parts of a message (`UIO_MAXIOV`).
const PARTS: u64 = 1_024;
/// Control data of a message.
const CONTROL_BYTES: u64 = 1_024;
/// Messages that are sent by one call; it may send fewer than it was given.
const MESSAGES: u64 = 64;
/// How often a wait for room looks whether the worker still waits.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// `struct msghdr` and `struct mmsghdr` with 64-bit pointers.
const HEADER_BYTES: usize = 56;
const HEADER_STRIDE: u64 = 64;

/// Where an address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    At(SocketAddr),
    /// `AF_UNSPEC`: nowhere any more.
    Nowhere,
}

fn error(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// An address as the kernel spells it: `struct sockaddr_in`, `struct sockaddr_in6`.
fn target(address: &[u8]) -> io::Result<Target> {
    let family = i32::from(u16::from_ne_bytes(bytes_at(address, 0)?));
    let port = u16::from_be_bytes(bytes_at(address, 2).unwrap_or_default());
    match family {
        libc::AF_UNSPEC => Ok(Target::Nowhere),
        // The kernel wants all of it, padding as well.
        libc::AF_INET if address.len() >= 16 => {
            let ip = Ipv4Addr::from(bytes_at::<4>(address, 4)?);
            Ok(Target::At(SocketAddr::new(canonical(ip.into()), port)))
        }
        libc::AF_INET6 if address.len() >= 24 => {
            let ip = Ipv6Addr::from(bytes_at::<16>(address, 8)?);
            Ok(Target::At(SocketAddr::new(canonical(ip.into()), port)))
        }
        libc::AF_INET | libc::AF_INET6 => Err(error(libc::EINVAL)),
        _ => Err(error(libc::EAFNOSUPPORT)),
    }
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or_else(|| error(libc::EINVAL))
}

/// What kind of socket it is, by the kernel's word; `None` for one that is not of the network.
fn transport_of(socket: &OwnedFd) -> io::Result<Option<Transport>> {
    let family = sockopt::socket_domain(socket)?;
    if family == AddressFamily::UNIX {
        return Ok(None);
    }
    let kind = (sockopt::socket_type(socket)?, sockopt::socket_protocol(socket)?);
    match kind {
        (SocketType::STREAM, Some(ipproto::TCP)) if is_internet(family) => Ok(Some(Transport::Tcp)),
        (SocketType::DGRAM, Some(ipproto::UDP)) if is_internet(family) => Ok(Some(Transport::Udp)),
        _ => Err(error(libc::EACCES)),
    }
}

fn is_internet(family: AddressFamily) -> bool {
    family == AddressFamily::INET || family == AddressFamily::INET6
}

impl Ward {
    fn read(&self, asked: &Asked, address: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        if length > 0 {
            sys::read_memory(asked.thread, address, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Of an address's length, the lower half of a register, no more than there is of any.
    fn read_address(&self, asked: &Asked, address: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = length & 0xFFFF_FFFF;
        if length > ADDRESS_BYTES {
            return Err(error(libc::EINVAL));
        }
        self.read(asked, address, usize::try_from(length).unwrap_or_default())
    }

    /// That a worker may speak to this address; kept when it may not.
    fn admit(&self, transport: Transport, to: SocketAddr) -> io::Result<()> {
        if is_kept_from(self.pid, to.ip(), to.port()) {
            self.refusals.add(format!("tried to {transport} {to}, where Gatehouse or another integration listens"));
            return Err(error(libc::EACCES));
        }
        if self.admission.admits(transport, to) {
            return Ok(());
        }
        self.refusals.add(format!("tried to {transport} {to}"));
        Err(error(libc::EACCES))
    }

    fn send(&self, asked: &Asked, socket: &Arc<OwnedFd>, mut message: Message, flags: i32) -> io::Result<usize> {
        match transport_of(socket)? {
            Some(Transport::Udp) => {
                if !message.address.is_empty() {
                    match target(&message.address)? {
                        Target::At(to) => self.admit(Transport::Udp, to)?,
                        // To some sockets that is an address all the same.
                        Target::Nowhere => return Err(error(libc::EAFNOSUPPORT)),
                    }
                }
                if !only_harmless(&message.control) {
                    self.refusals.add("tried to send with options that it may not set".to_owned());
                    return Err(error(libc::EPERM));
                }
            }
            // Where a stream leads was decided before.
            Some(Transport::Tcp) => {
                message.address.clear();
                message.control.clear();
            }
            None => {
                if !message.control.is_empty() || sockopt::socket_type(socket)? == SocketType::DGRAM {
                    self.refusals.add("tried to pass something by a local socket".to_owned());
                    return Err(error(libc::EPERM));
                }
                message.address.clear();
            }
        }
        self.check(asked)?;
        let waits = flags & libc::MSG_DONTWAIT == 0
            && !rustix::fs::fcntl_getfl(&**socket)?.contains(rustix::fs::OFlags::NONBLOCK);
        let flags = flags & !(libc::MSG_FASTOPEN | libc::MSG_ZEROCOPY) | libc::MSG_DONTWAIT;
        loop {
            match sys::send(socket, &message, flags) {
                Err(error) if waits && error.kind() == io::ErrorKind::WouldBlock => {
                    let mut polled = [PollFd::new(&**socket, PollFlags::OUT)];
                    poll(&mut polled, Some(&LOOK_EVERY))?;
                    self.check(asked)?;
                }
                sent => return sent,
            }
        }
    }

    /// A message as its header in the worker's memory describes it.
    fn message(&self, asked: &Asked, header: u64) -> io::Result<Message> {
        let header = self.read(asked, header, HEADER_BYTES)?;
        let word = |at: usize| bytes_at::<8>(&header, at).map(u64::from_ne_bytes);
        let (name, name_length) = (word(0)?, word(8)?);
        let address = if name == 0 { Vec::new() } else { self.read_address(asked, name, name_length)? };
        let (parts, count) = (word(16)?, word(24)?);
        if count > PARTS {
            return Err(error(libc::EMSGSIZE));
        }
        let mut payload = Vec::new();
        let parts = self.read(asked, parts, usize::try_from(count * 16).unwrap_or_default())?;
        for part in parts.chunks_exact(16) {
            let start = u64::from_ne_bytes(bytes_at(part, 0)?);
            let length = usize::try_from(u64::from_ne_bytes(bytes_at(part, 8)?)).unwrap_or(usize::MAX);
            let length = length.min(PAYLOAD_BYTES - payload.len());
            payload.append(&mut self.read(asked, start, length)?);
        }
        let (control, control_length) = (word(32)?, word(40)?);
        if control_length > CONTROL_BYTES {
            return Err(error(libc::ENOBUFS));
        }
        let control = self.read(asked, control, usize::try_from(control_length).unwrap_or_default())?;
        Ok(Message { address, payload, control })
    }
}

/// Control data that chooses nothing but the own side of a datagram and how it is marked: no other way there, no
/// descriptors, which would be the host's.
fn only_harmless(control: &[u8]) -> bool {
    let mut rest = control;
    while !rest.is_empty() {
        // `struct cmsghdr`: a length with this header in it, level and type; the next one is aligned to words.
        let (Ok(length), Ok(level), Ok(kind)) =
            (bytes_at::<8>(rest, 0), bytes_at::<4>(rest, 8), bytes_at::<4>(rest, 12))
        else {
            return false;
        };
        let kind = (i32::from_ne_bytes(level), i32::from_ne_bytes(kind));
        let harmless = matches!(
            kind,
            (libc::IPPROTO_IP, libc::IP_PKTINFO | libc::IP_TOS | libc::IP_TTL)
                | (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO | libc::IPV6_TCLASS | libc::IPV6_HOPLIMIT)
                | (libc::SOL_UDP, libc::UDP_SEGMENT)
        );
        let Ok(length) = usize::try_from(u64::from_ne_bytes(length)) else { return false };
        if !harmless || length < 16 || length > rest.len() {
            return false;
        }
        rest = &rest[length.next_multiple_of(8).min(rest.len())..];
    }
    true
}

fn flags(asked: &Asked, argument: usize) -> i32 {
    u32::try_from(asked.arguments[argument] & 0xFFFF_FFFF).unwrap_or_default().cast_signed()
}

/// `connect(socket, address, length)`
pub(super) fn connect(ward: &Ward, asked: &Asked) -> io::Result<usize> {
    let socket = ward.socket(asked, 0)?;
    let address = ward.read_address(asked, asked.arguments[1], asked.arguments[2])?;
    ward.check(asked)?;
    let Some(transport) = transport_of(&socket)? else {
        ward.refusals.add("tried to connect a local socket".to_owned());
        return Err(error(libc::EACCES));
    };
    match target(&address)? {
        Target::Nowhere => sys::connect(&socket, &address),
        Target::At(to) => {
            ward.admit(transport, to)?;
            ward.wait_for(&socket, |socket| sys::connect(socket, &address))
        }
    }
}

/// `sendto(socket, payload, length, flags, address, length)`
pub(super) fn send_to(ward: &Ward, asked: &Asked) -> io::Result<usize> {
    let socket = ward.socket(asked, 0)?;
    let [_, payload, length, _, name, name_length] = asked.arguments;
    let address = ward.read_address(asked, name, name_length)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(PAYLOAD_BYTES);
    let payload = ward.read(asked, payload, length)?;
    ward.send(asked, &socket, Message { address, payload, control: Vec::new() }, flags(asked, 3))
}

/// `sendmsg(socket, header, flags)`
pub(super) fn send_message(ward: &Ward, asked: &Asked) -> io::Result<usize> {
    let socket = ward.socket(asked, 0)?;
    let message = ward.message(asked, asked.arguments[1])?;
    ward.send(asked, &socket, message, flags(asked, 2))
}

/// `sendmmsg(socket, headers, count, flags)`: as many as go, the error of the first when none does.
pub(super) fn send_messages(ward: &Ward, asked: &Asked) -> io::Result<usize> {
    let socket = ward.socket(asked, 0)?;
    let mut sent = 0;
    for number in 0..(asked.arguments[2] & 0xFFFF_FFFF).min(MESSAGES) {
        let header = asked.arguments[1].wrapping_add(number * HEADER_STRIDE);
        let result =
            ward.message(asked, header).and_then(|message| ward.send(asked, &socket, message, flags(asked, 3)));
        match result {
            Ok(bytes) => {
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).to_ne_bytes();
                sys::write_memory(asked.thread, header.wrapping_add(HEADER_BYTES as u64), &bytes)?;
                sent += 1;
            }
            Err(error) if sent == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(ip: [u8; 4], port: u16) -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET).expect("small").to_ne_bytes();
        [&family[..], &port.to_be_bytes(), &ip, &[0; 8]].concat()
    }

    fn inet6(ip: Ipv6Addr, port: u16) -> Vec<u8> {
        let family = u16::try_from(libc::AF_INET6).expect("small").to_ne_bytes();
        [&family[..], &port.to_be_bytes(), &[0; 4], &ip.octets(), &[0; 4]].concat()
    }

    #[test]
    fn an_address_leads_where_the_kernel_goes() {
        let at = |text: &str| Some(Target::At(text.parse().expect("an address")));
        for (address, expected) in [
            (inet([192, 0, 2, 7], 80), at("192.0.2.7:80")),
            (inet([0, 0, 0, 0], 80), at("127.0.0.1:80")),
            (inet6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped(), 80), at("192.0.2.7:80")),
            (inet6(Ipv4Addr::UNSPECIFIED.to_ipv6_mapped(), 80), at("127.0.0.1:80")),
            (inet6(Ipv6Addr::UNSPECIFIED, 80), at("[::1]:80")),
            (vec![0; 16], Some(Target::Nowhere)),
            (inet([192, 0, 2, 7], 80)[..8].to_vec(), None),
            (inet6(Ipv6Addr::LOCALHOST, 80)[..16].to_vec(), None),
            (Vec::new(), None),
            (vec![1, 0, b'/'], None),
        ] {
            assert_eq!(target(&address).ok(), expected, "{address:?}");
        }
    }

    #[test]
    fn control_data_chooses_no_other_way() {
        let one = |level: i32, kind: i32, data: &[u8]| {
            let length = (16 + data.len()) as u64;
            let mut bytes = [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), data].concat();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            bytes
        };
        let own = one(libc::IPPROTO_IP, libc::IP_PKTINFO, &[0; 12]);
        let rights = one(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[3, 0, 0, 0]);
        assert!(only_harmless(&[]));
        assert!(only_harmless(&own));
        assert!(only_harmless(&[own.clone(), one(libc::SOL_UDP, libc::UDP_SEGMENT, &[0; 2])].concat()));
        assert!(!only_harmless(&rights));
        assert!(!only_harmless(&[own.clone(), rights].concat()));
        assert!(!only_harmless(&one(libc::IPPROTO_IPV6, 57, &[0; 8])), "a routing header");
        assert!(!only_harmless(&own[..12]));
        assert!(!only_harmless(&[0; 16]), "a length of nothing");
    }
}
