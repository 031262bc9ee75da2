//! The worker: the life of the process that serves one isolated plugin, from its first instruction to its last.
//!
//! The order of the steps is what isolation rests on. While the process has one thread and nothing of the plugin is
//! mapped: take the channel from standard input, close every other descriptor, tie the life to the parent's, read
//! the launch order, give up rights, say hello, wait for "go". Only then the plugin is opened. There is no async
//! runtime here: the main thread reads frames and hands them to the plugin's own thread, whoever has something to
//! say writes it, and the process stays small.
//!
//! Ways out: the host closes its half of the channel (the gateway is dropped, then the process ends), the host is
//! gone altogether (the process ends at once), the parent-death signal, or the host's SIGKILL.

mod outlet;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use gatehouse_abi::{CallSide, GatewayHandle, ReplyHandle};
use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::manage::PaneRequest;
use gatehouse_plugin_api::{ops, wire};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};

use self::outlet::Outlet;
use super::answer::too_large;
use super::codec::{CodecError, Decoder, Frame, Kind};
use super::order::{Hello, Order};
use super::{loader, sys};
use crate::causes::with_causes;
use crate::reason::Reason;

/// The first argument of a worker; `--parent PID --integration ID` follow.
pub(super) const ARGUMENT: &str = "worker";
const READ_BYTES: usize = 32 * 1024;
const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Why a worker ends before its gateway runs; goes to standard error, which the host reads.
#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("`worker` is started by the daemon alone; run `gatehouse serve`")]
    NotByHand,
    #[error("the worker's process could not be prepared")]
    Prepare(#[source] io::Error),
    #[error("the connection to the host failed")]
    Connection(#[source] io::Error),
    #[error("the host sent what is no frame")]
    Frame(#[from] CodecError),
    #[error("the host sent {0:?} where it cannot be")]
    Unexpected(Kind),
    #[error("the launch order cannot be read")]
    Order(#[source] CallError),
}

pub(super) fn run() -> ExitCode {
    match live() {
        Ok(()) => sys::exit_now(0),
        Err(error) => {
            // Nobody may be left to read it.
            let _ = writeln!(io::stderr(), "gatehouse: {}", with_causes(&error));
            ExitCode::from(if matches!(error, WorkerError::NotByHand) { USAGE } else { FAILED })
        }
    }
}

fn live() -> Result<(), WorkerError> {
    let parent = argument("--parent").and_then(|pid| pid.parse().ok()).ok_or(WorkerError::NotByHand)?;
    let channel = sys::take_stdin().map_err(WorkerError::Prepare)?;
    // Mapped before it is closed with the others. Without it a crash has no place, and nothing else is worse.
    if let Some(page) = argument("--crash-page").and_then(|number| number.parse().ok())
        && let Ok(page) = sys::crash::inherited(page)
    {
        let _ = sys::crash::map(&page);
    }
    sys::close_descriptors_except(&channel).map_err(WorkerError::Prepare)?;
    sys::crash::arm().map_err(WorkerError::Prepare)?;
    if !sys::die_with_parent(parent).map_err(WorkerError::Prepare)? {
        return Ok(());
    }
    let socket = Arc::new(UnixStream::from(channel));
    let mut inlet = Inlet::new(Arc::clone(&socket));
    let Some(launch) = inlet.next()? else { return Ok(()) };
    if launch.kind != Kind::Launch {
        return Err(WorkerError::Unexpected(launch.kind));
    }
    let order: Order = wire::decode(&launch.payload).map_err(WorkerError::Order)?;
    // With one thread, before anything of the plugin is mapped.
    let listener = order.confinement.put_on(order.path(), order.kernel).map_err(WorkerError::Prepare)?;

    let link = Arc::new(Link::new(Arc::clone(&socket), order.path()));
    let hello = Hello { listener: listener.as_ref().map(AsRawFd::as_raw_fd) };
    link.outlet.send(Kind::Hello, 0, 0, wire::encode(&hello))?;
    let Some(go) = inlet.next()? else { return Ok(()) };
    if go.kind != Kind::Go {
        return Err(WorkerError::Unexpected(go.kind));
    }
    // The host has it now, and nobody here may answer for the host.
    drop(listener);
    match open(&order, &link) {
        Ok(gateway) => {
            link.outlet.send(Kind::Ready, 0, 0, Vec::new())?;
            link.release_unchanged();
            drop(order);
            ready_for_faults(&gateway);
            serve(&mut inlet, &link, &gateway)?;
            end(&link, gateway, &socket);
        }
        Err(reason) => link.outlet.send(Kind::Refused, 0, 0, wire::encode(&reason))?,
    }
    link.outlet.finish();
    Ok(())
}

fn open(order: &Order, link: &Arc<Link>) -> Result<GatewayHandle, Reason> {
    let loaded = loader::open(order.path(), &order.file_name, &order.section)?;
    loaded.construct(HostSide(Arc::clone(link)), order.instance.clone())
}

/// Gives the gateway's own thread what the handler of faults needs, before its first call: by a question that is
/// answered there at once, before anything else has its turn.
fn ready_for_faults(gateway: &GatewayHandle) {
    let nameless = wire::encode(&PaneRequest { name: String::new() });
    gateway.call(ops::PANE.number, nameless, |_| sys::crash::alternate_stack());
}

/// Hands frames on until the host closes its half.
fn serve(inlet: &mut Inlet, link: &Arc<Link>, gateway: &GatewayHandle) -> Result<(), WorkerError> {
    while let Some(Frame { kind, call, op, payload }) = inlet.next()? {
        match kind {
            Kind::Request => {
                let link = Arc::clone(link);
                gateway.call(op, payload, move |reply| {
                    // A thread of the plugin's.
                    sys::crash::alternate_stack();
                    link.answer(call, op, reply);
                });
            }
            Kind::Reply => {
                if let Some(reply) = link.take(call) {
                    reply.complete(payload);
                }
            }
            // Dropping the reply is the answer.
            Kind::NoReply => drop(link.take(call)),
            other => return Err(WorkerError::Unexpected(other)),
        }
    }
    Ok(())
}

/// Ends the gateway, for as long as the host has patience.
fn end(link: &Link, gateway: GatewayHandle, socket: &Arc<UnixStream>) {
    let socket = Arc::clone(socket);
    let watch = move || {
        // Without any event asked for, poll ends only when the other end is closed altogether.
        let _ = poll(&mut [PollFd::new(&*socket, PollFlags::empty())], None);
        sys::exit_now(0);
    };
    if std::thread::Builder::new().name("host watch".into()).spawn(watch).is_err() {
        sys::exit_now(0);
    }
    // No answer comes any more: a plugin that waits for one must not hold up its own end.
    let waiting = {
        let mut asked = link.asked.lock();
        asked.closed = true;
        std::mem::take(&mut asked.replies)
    };
    drop(waiting);
    drop(gateway);
}

/// Reads frames from the blocking socket.
struct Inlet {
    socket: Arc<UnixStream>,
    decoder: Decoder,
    buffer: Box<[u8]>,
    unread: std::ops::Range<usize>,
}

impl Inlet {
    fn new(socket: Arc<UnixStream>) -> Self {
        Self { socket, decoder: Decoder::default(), buffer: vec![0; READ_BYTES].into(), unread: 0..0 }
    }

    /// The next frame; `None` when the host closed its half.
    fn next(&mut self) -> Result<Option<Frame>, WorkerError> {
        loop {
            let mut bytes = &self.buffer[self.unread.clone()];
            let frame = self.decoder.next(&mut bytes)?;
            self.unread.start = self.unread.end - bytes.len();
            if frame.is_some() {
                return Ok(frame);
            }
            match (&*self.socket).read(&mut self.buffer) {
                Ok(0) => return Ok(None),
                Ok(count) => self.unread = 0..count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(WorkerError::Connection(error)),
            }
        }
    }
}

/// The connection to the host, as the plugin's threads use it.
struct Link {
    plugin_file: PathBuf,
    outlet: Outlet,
    asked: Mutex<Asked>,
}

/// What the plugin asked its host and is not answered yet.
#[derive(Default)]
struct Asked {
    next: u64,
    replies: HashMap<u64, ReplyHandle>,
    closed: bool,
}

impl Link {
    fn new(socket: Arc<UnixStream>, plugin_file: &Path) -> Self {
        Self { plugin_file: plugin_file.to_owned(), outlet: Outlet::new(socket), asked: Mutex::default() }
    }

    /// After what is done once: it touched much that is not needed again.
    fn release_unchanged(&self) {
        // Of no consequence when it fails: the process is larger than it need be.
        let _ = sys::release_unchanged(&self.plugin_file);
    }

    fn ask(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        let (call, unanswerable) = {
            let mut asked = self.asked.lock();
            asked.next += 1;
            let call = asked.next;
            let unanswerable = if asked.closed {
                Some(reply)
            } else {
                asked.replies.insert(call, reply);
                None
            };
            (call, unanswerable)
        };
        drop(unanswerable);
        let bytes = request.len();
        if self.outlet.send(Kind::Request, call, op, request).is_err()
            && let Some(reply) = self.take(call)
        {
            reply.complete(refusal("the request", bytes));
        }
    }

    /// The reply that is owed to a call, out of the lock: completing or dropping it runs the plugin's code.
    fn take(&self, call: u64) -> Option<ReplyHandle> {
        self.asked.lock().replies.remove(&call)
    }

    fn answer(&self, call: u64, op: u32, reply: Option<Vec<u8>>) {
        let kind = if reply.is_some() { Kind::Reply } else { Kind::NoReply };
        let reply = reply.unwrap_or_default();
        let bytes = reply.len();
        if self.outlet.send(kind, call, op, reply).is_err() {
            // An error's sentence always fits.
            let _ = self.outlet.send(Kind::Reply, call, op, refusal("the answer", bytes));
        }
        if op == ops::START.number {
            self.release_unchanged();
        }
    }
}

fn refusal(what: &str, bytes: usize) -> Vec<u8> {
    wire::encode_reply::<()>(&Err(too_large(what, bytes)))
}

/// The host, as the plugin calls it.
struct HostSide(Arc<Link>);

impl CallSide for HostSide {
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        // A thread of the plugin's.
        sys::crash::alternate_stack();
        self.0.ask(op, request, reply);
    }
}

/// The value of an argument by its name.
fn argument(name: &str) -> Option<String> {
    let mut arguments = std::env::args_os();
    arguments.find(|argument| argument == name)?;
    arguments.next()?.into_string().ok()
}
