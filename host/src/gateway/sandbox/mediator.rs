//! The host's end of a worker's filter: takes each question, decides, and acts itself where something is to be done.
//!
//! What pointers show can change while the worker waits, so nothing that is read of its memory is ever left to the
//! kernel to read again: an address is copied once, checked, and connected to by the host on a duplicate of the
//! worker's own socket. There is nothing to race. What may block does so on a thread of its own, and so many at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::Shutdown;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::destinations::Admission;
use super::refusals::sentence;
use super::{Confinement, HeldPorts, Refusals, network};
use crate::gateway::sys::{self, Asked, LOOK_UP, Verdict};

/// What the host does for one worker at the same time; further questions wait.
const AT_ONCE: usize = 16;
/// How long looking up a name may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);
/// The longest name of a host (RFC 1035).
const NAME_BYTES: usize = 255;
/// The longest path that the kernel takes.
const PATH_BYTES: usize = 4_096;
/// Memory is there by pages of at least so many bytes.
const PAGE: u64 = 4_096;

/// What the host knows of a worker whose filter it answers.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) pid: u32,
    process: Arc<OwnedFd>,
    listener: Arc<OwnedFd>,
    pub(super) admission: Admission,
    pub(super) refusals: Refusals,
    confinement: Confinement,
    _ports: HeldPorts,
    /// Sockets that the host waits for.
    waiting: Mutex<Vec<Arc<OwnedFd>>>,
}

/// Answers the questions of a worker's filter until its last thread is gone. Needs a tokio runtime with I/O.
pub(in crate::gateway) async fn answer(
    listener: OwnedFd,
    (pid, process): (u32, Arc<OwnedFd>),
    confinement: Confinement,
    refusals: Refusals,
) {
    let listener = Arc::new(listener);
    let watched = match sys::watch(Arc::clone(&listener)) {
        Ok(watched) => watched,
        Err(error) => {
            // Unanswered questions would hang the plugin: without the descriptor the kernel answers for the host.
            tracing::error!(%error, "a worker's filter cannot be answered: what it asks about is refused unrecorded");
            return;
        }
    };
    let ward = Arc::new(Ward {
        pid,
        process,
        listener,
        admission: Admission::new(confinement.destinations.clone(), confinement.multicast),
        refusals,
        _ports: HeldPorts::of_worker(pid, confinement.listen.clone()),
        confinement,
        waiting: Mutex::default(),
    });
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut acts = JoinSet::new();
    loop {
        while acts.try_join_next().is_some() {}
        let Ok(mut ready) = watched.readable().await else { break };
        match sys::has_asked(&ward.listener) {
            Ok(true) => {}
            Ok(false) => {
                ready.clear_ready();
                continue;
            }
            // Nobody is left who could ask.
            Err(_) => break,
        }
        match sys::next_asked(&ward.listener) {
            Ok(asked) if needs_more(asked.number) => {
                acts.spawn(act(Arc::clone(&ward), Arc::clone(&at_once), asked));
            }
            Ok(asked) => {
                ward.refusals.add(sentence(&asked));
                sys::answer_asked(&ward.listener, asked.id, Verdict::Errno(libc::EPERM));
            }
            // It went while it asked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::debug!(%error, "a worker's filter has nothing more to ask");
                break;
            }
        }
    }
    // A connection that is still being made would hold its thread for minutes.
    for socket in ward.waiting.lock().drain(..) {
        let _ = rustix::net::shutdown(&*socket, Shutdown::Both);
    }
}

/// More than a refusal: the worker's memory is read, or something is done.
fn needs_more(number: i64) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_open {
        return true;
    }
    matches!(
        number,
        LOOK_UP
            | libc::SYS_connect
            | libc::SYS_sendto
            | libc::SYS_sendmsg
            | libc::SYS_sendmmsg
            | libc::SYS_openat
            | libc::SYS_openat2
    )
}

async fn act(ward: Arc<Ward>, at_once: Arc<Semaphore>, asked: Asked) {
    // Never closed.
    let Ok(_turn) = at_once.acquire_owned().await else { return };
    if asked.number == LOOK_UP {
        let verdict = ward.look_up(&asked).await.into();
        sys::answer_asked(&ward.listener, asked.id, verdict);
        return;
    }
    // Memory of a process can be as slow as a file of its; connecting is slower.
    let done = tokio::task::spawn_blocking(move || {
        let verdict = match asked.number {
            libc::SYS_connect => network::connect(&ward, &asked).into(),
            libc::SYS_sendto => network::send_to(&ward, &asked).into(),
            libc::SYS_sendmsg => network::send_message(&ward, &asked).into(),
            libc::SYS_sendmmsg => network::send_messages(&ward, &asked).into(),
            _ => {
                ward.note_path(&asked);
                Verdict::Continue
            }
        };
        sys::answer_asked(&ward.listener, asked.id, verdict);
    });
    let _ = done.await;
}

impl Ward {
    /// A duplicate of a socket of the thread that asks.
    pub(super) fn socket(&self, asked: &Asked, argument: usize) -> io::Result<Arc<OwnedFd>> {
        // A descriptor is an int in the lower half of the register.
        let number = u32::try_from(asked.arguments[argument] & 0xFFFF_FFFF).unwrap_or_default().cast_signed();
        if number < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let take = |process: &OwnedFd| pidfd_getfd(process.as_fd(), number, PidfdGetfdFlags::empty());
        let socket = match self.child_of(asked) {
            Some(child) => {
                let pid = sys::pid_of(child).ok_or(rustix::io::Errno::SRCH)?;
                let child = pidfd_open(pid, PidfdFlags::empty())?;
                // Whoever has the number now: not another, as long as the question stands.
                self.check(asked)?;
                take(&child)?
            }
            None => take(&self.process)?,
        };
        Ok(Arc::new(socket))
    }

    /// The process that asks, when it is one that the worker started.
    fn child_of(&self, asked: &Asked) -> Option<u32> {
        if self.confinement.programs.is_empty() {
            return None;
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", asked.thread)).ok()?;
        let process = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()?;
        (process != self.pid).then_some(process)
    }

    /// That the question still stands: what was read before is then the asking thread's word.
    pub(super) fn check(&self, asked: &Asked) -> io::Result<()> {
        if sys::still_asks(&self.listener, asked.id) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EINTR)) }
    }

    /// Does something to a socket that may take long, so that the end of the worker ends it.
    pub(super) fn wait_for<T>(&self, socket: &Arc<OwnedFd>, doing: impl FnOnce(&OwnedFd) -> T) -> T {
        self.waiting.lock().push(Arc::clone(socket));
        let done = doing(socket);
        self.waiting.lock().retain(|one| !Arc::ptr_eq(one, socket));
        done
    }

    async fn look_up(&self, asked: &Asked) -> io::Result<usize> {
        let [name, length, room, most, ..] = asked.arguments;
        let unknown = || io::Error::from_raw_os_error(libc::ENOENT);
        let length = usize::try_from(length).ok().filter(|length| *length <= NAME_BYTES).ok_or_else(unknown)?;
        let mut bytes = vec![0; length];
        sys::read_memory(asked.thread, name, &mut bytes)?;
        self.check(asked)?;
        let name = String::from_utf8(bytes).ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()));
        let name = name.ok_or_else(unknown)?;
        if !self.admission.may_look_up(&name) {
            self.refusals.add(format!("tried to look up {name}"));
            return Err(io::Error::from_raw_os_error(libc::EACCES));
        }
        let looked_up = tokio::time::timeout(LOOK_UP_WITHIN, tokio::net::lookup_host((name.as_str(), 0))).await;
        let found = looked_up.map_err(|_| io::Error::from_raw_os_error(libc::EAGAIN))?.map_err(|_| unknown())?;
        let mut addresses: Vec<_> = found.map(|address| address.ip()).collect();
        addresses.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        self.admission.learn(&name, &addresses);
        let octets: Vec<u8> = addresses
            .iter()
            .flat_map(|address| match address {
                std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                std::net::IpAddr::V6(v6) => v6.octets(),
            })
            .collect();
        self.check(asked)?;
        sys::write_memory(asked.thread, room, &octets)?;
        Ok(addresses.len())
    }

    /// For a trace: the path that is opened, when it is not declared.
    fn note_path(&self, asked: &Asked) {
        #[cfg(target_arch = "x86_64")]
        let (folder, path) = match asked.number {
            libc::SYS_open => (None, asked.arguments[0]),
            _ => (Some(asked.arguments[0]), asked.arguments[1]),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let (folder, path) = (Some(asked.arguments[0]), asked.arguments[1]);
        let Some(path) = self.text_at(asked, path) else { return };
        let path = if path.starts_with('/') {
            path
        } else {
            let folder = folder.map(|folder| u32::try_from(folder & 0xFFFF_FFFF).unwrap_or_default().cast_signed());
            let link = match folder {
                Some(folder) if folder != libc::AT_FDCWD => format!("/proc/{}/fd/{folder}", asked.thread),
                _ => format!("/proc/{}/cwd", asked.thread),
            };
            let Ok(folder) = std::fs::read_link(link) else { return };
            folder.join(path).to_string_lossy().into_owned()
        };
        if !self.confinement.names(path.as_ref(), self.pid) {
            self.refusals.add_path(path);
        }
    }

    /// Text in the worker's memory, to its NUL byte.
    fn text_at(&self, asked: &Asked, mut address: u64) -> Option<String> {
        let mut text = Vec::new();
        while text.len() < PATH_BYTES {
            // Never beyond a page: the next one may not be there.
            let mut part = vec![0; usize::try_from(PAGE - address % PAGE).ok()?];
            sys::read_memory(asked.thread, address, &mut part).ok()?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(&part[..end]);
                return Some(String::from_utf8_lossy(&text).into_owned());
            }
            address = address.checked_add(part.len() as u64)?;
            text.append(&mut part);
        }
        None
    }
}
