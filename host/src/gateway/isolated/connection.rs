//! The host's end of the channel to one worker: calls out and in, multiplexed, with bounds on what may pile up.
//!
//! Latency decides the shape. A call is written by whoever makes it, without a hand-over to a writing task; only what
//! the socket did not take waits for [`Connection::write_backlog`]. One task reads and completes the calls, so a call
//! costs one wake-up on this side.
//!
//! Bounds: a worker that does not read what it is sent, or that asks without end, is not read from until it does
//! (its requests then wait in its own process), and its heartbeat finds it in the end.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::wire;
use parking_lot::Mutex;
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::gateway::answer::{Answer, body, late, too_large};
use crate::gateway::codec::{self, CodecError, Decoder, Frame, Kind, MAX_PAYLOAD_BYTES};
use crate::gateway::{HostCalls, HostReply};

/// Bytes sent and not taken by the worker before calls wait and nothing more is read from it.
const MAX_BACKLOG_BYTES: usize = 32 * 1024 * 1024;
/// The plugin's calls that the host has not answered before nothing more is read from it.
const MAX_UNANSWERED_CALLS: usize = 4096;
/// As above, in bytes of their requests.
const MAX_UNANSWERED_BYTES: usize = 64 * 1024 * 1024;
const READ_BYTES: usize = 64 * 1024;
/// Slices in one vectored write.
const SLICES_PER_WRITE: usize = 64;

/// Why a worker is no longer read from.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadEnd {
    /// It closed its end.
    #[error("it closed its connection")]
    Closed,
    /// What it sent is no frame.
    #[error("it sent what is no frame")]
    Codec(#[from] CodecError),
    /// A frame that has no place here.
    #[error("it sent {0}")]
    Unexpected(&'static str),
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    outbound: Mutex<Outbound>,
    backlog: Notify,
    room: Notify,
    calls: Mutex<Calls>,
    unanswered_calls: AtomicUsize,
    unanswered_bytes: AtomicUsize,
}

/// What the socket has not taken yet.
#[derive(Debug, Default)]
struct Outbound {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk is written.
    offset: usize,
    bytes: usize,
    is_broken: bool,
}

/// The host's calls that are not answered yet.
#[derive(Debug, Default)]
struct Calls {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    /// What every further call fails with.
    gone: Option<CallError>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            outbound: Mutex::default(),
            backlog: Notify::new(),
            room: Notify::new(),
            calls: Mutex::default(),
            unanswered_calls: AtomicUsize::new(0),
            unanswered_bytes: AtomicUsize::new(0),
        }
    }

    /// Calls the gateway: the whole reply, its status byte removed.
    pub(super) async fn call(&self, op: u32, request: Vec<u8>, deadline: Duration) -> Answer {
        let (answer, answered) = oneshot::channel();
        let call = self.begin(answer)?;
        let _forget = Forget { connection: self, call };
        let exchange = async {
            self.wait_until(|| self.outbound.lock().bytes <= MAX_BACKLOG_BYTES).await;
            self.send(Kind::Request, call, op, &request).map_err(|_| too_large("the request", request.len()))?;
            // The sender is dropped only by an answer or by the end of the connection.
            answered.await.unwrap_or_else(|_| Err(self.gone()))
        };
        match tokio::time::timeout(deadline, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(late(deadline)),
        }
    }

    fn begin(&self, answer: oneshot::Sender<Answer>) -> Result<u64, CallError> {
        let mut calls = self.calls.lock();
        if let Some(gone) = &calls.gone {
            return Err(gone.clone());
        }
        calls.last += 1;
        let call = calls.last;
        calls.waiting.insert(call, answer);
        Ok(call)
    }

    fn gone(&self) -> CallError {
        let gone = self.calls.lock().gone.clone();
        gone.unwrap_or_else(|| CallError::new(ErrorCode::Gone, "the worker is gone"))
    }

    /// Fails every call that waits and every later one. The plugin's calls are still answered.
    pub(super) fn fail_calls(&self, error: &CallError) {
        let waiting = {
            let mut calls = self.calls.lock();
            calls.gone.get_or_insert_with(|| error.clone());
            std::mem::take(&mut calls.waiting)
        };
        for (_, answer) in waiting {
            let _ = answer.send(Err(error.clone()));
        }
    }

    /// Sends nothing more.
    pub(super) fn break_off(&self) {
        self.outbound.lock().break_off();
        self.room.notify_waiters();
    }

    /// Waits for more room; `is_ready` is asked again whenever there may be some.
    async fn wait_until(&self, is_ready: impl Fn() -> bool) {
        while !is_ready() {
            let mut changed = pin!(self.room.notified());
            changed.as_mut().enable();
            if is_ready() {
                return;
            }
            changed.await;
        }
    }

    /// Sends a frame: at once as far as the socket takes it, the rest later. Never blocks.
    pub(super) fn send(&self, kind: Kind, call: u64, op: u32, payload: &[u8]) -> Result<(), CodecError> {
        let header = codec::header(kind, call, op, payload.len(), MAX_PAYLOAD_BYTES)?;
        let mut outbound = self.outbound.lock();
        if outbound.is_broken {
            return Ok(());
        }
        let mut written = 0;
        if outbound.chunks.is_empty() {
            match self.stream.try_write_vectored(&[IoSlice::new(&header), IoSlice::new(payload)]) {
                Ok(count) => written = count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    outbound.break_off();
                    return Ok(());
                }
            }
        }
        if written < header.len() {
            outbound.push([&header[written..], payload].concat());
        } else if written < header.len() + payload.len() {
            outbound.push(payload[written - header.len()..].to_vec());
        } else {
            return Ok(());
        }
        drop(outbound);
        self.backlog.notify_one();
        Ok(())
    }

    /// Writes what the socket did not take at once, for as long as it is polled.
    pub(super) async fn write_backlog(&self) {
        loop {
            self.backlog.notified().await;
            loop {
                if self.stream.writable().await.is_err() {
                    return;
                }
                let is_written = {
                    let mut outbound = self.outbound.lock();
                    match outbound.write_to(&self.stream) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(_) => outbound.break_off(),
                        Ok(()) => {}
                    }
                    outbound.is_written()
                };
                self.room.notify_waiters();
                if is_written {
                    break;
                }
            }
        }
    }

    /// Tells the worker that nothing more comes, once all is written.
    pub(super) async fn close_half(&self) {
        self.wait_until(|| self.outbound.lock().is_written()).await;
        // The worker may have closed already.
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Write);
    }

    /// Reads until the worker closes or breaks the connection: completes calls, hands the plugin's calls to `host` in
    /// their order, and everything that is neither to `control`.
    pub(super) async fn read(self: Arc<Self>, host: Arc<dyn HostCalls>, control: mpsc::Sender<Frame>) -> ReadEnd {
        let mut decoder = Decoder::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            self.wait_until(|| !self.is_overrun()).await;
            if self.stream.readable().await.is_err() {
                return ReadEnd::Closed;
            }
            let count = match self.stream.try_read(&mut buffer) {
                Ok(0) => return ReadEnd::Closed,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(_) => return ReadEnd::Closed,
            };
            let mut bytes = &buffer[..count];
            loop {
                match decoder.next(&mut bytes) {
                    Ok(None) => break,
                    Ok(Some(frame)) => {
                        if let Err(end) = self.take(frame, &host, &control) {
                            return end;
                        }
                    }
                    Err(error) => return error.into(),
                }
            }
        }
    }

    fn take(
        self: &Arc<Self>,
        frame: Frame,
        host: &Arc<dyn HostCalls>,
        control: &mpsc::Sender<Frame>,
    ) -> Result<(), ReadEnd> {
        match frame.kind {
            Kind::Reply => self.complete(frame.call, body(frame.payload)),
            Kind::NoReply => self.complete(frame.call, wire::split_reply(None).map(<[u8]>::to_vec)),
            Kind::Request => {
                self.serve(frame, host);
                Ok(())
            }
            Kind::Hello | Kind::Ready | Kind::Refused => {
                control.try_send(frame).map_err(|_| ReadEnd::Unexpected("a second greeting"))
            }
            Kind::Launch | Kind::Go => Err(ReadEnd::Unexpected("an order that only the host gives")),
        }
    }

    fn complete(&self, call: u64, answer: Answer) -> Result<(), ReadEnd> {
        let mut calls = self.calls.lock();
        let Some(waiting) = calls.waiting.remove(&call) else {
            // Late, after its deadline; unless the call was never made.
            return if call <= calls.last {
                Ok(())
            } else {
                Err(ReadEnd::Unexpected("an answer that nobody asked for"))
            };
        };
        drop(calls);
        let _ = waiting.send(answer);
        Ok(())
    }

    fn serve(self: &Arc<Self>, frame: Frame, host: &Arc<dyn HostCalls>) {
        let Frame { call, op, payload, .. } = frame;
        let bytes = payload.len();
        self.unanswered_calls.fetch_add(1, Ordering::AcqRel);
        self.unanswered_bytes.fetch_add(bytes, Ordering::AcqRel);
        let connection = Arc::clone(self);
        let reply = HostReply::new(move |answer| connection.answer(call, op, bytes, answer));
        // The reply, dropped by the unwinding, answers the plugin.
        if catch_unwind(AssertUnwindSafe(|| host.call(op, payload, reply))).is_err() {
            tracing::error!(op, "the host panicked over a call of the plugin");
        }
    }

    fn answer(&self, call: u64, op: u32, request_bytes: usize, answer: Option<Vec<u8>>) {
        let bytes = answer.as_deref().unwrap_or_default();
        let kind = if answer.is_some() { Kind::Reply } else { Kind::NoReply };
        if self.send(kind, call, op, bytes).is_err() {
            let error = too_large("the answer", bytes.len());
            // An error's sentence always fits.
            let _ = self.send(Kind::Reply, call, op, &wire::encode_reply::<()>(&Err(error)));
        }
        let calls = self.unanswered_calls.fetch_sub(1, Ordering::AcqRel);
        let bytes = self.unanswered_bytes.fetch_sub(request_bytes, Ordering::AcqRel);
        if calls >= MAX_UNANSWERED_CALLS || bytes >= MAX_UNANSWERED_BYTES {
            self.room.notify_waiters();
        }
    }

    fn is_overrun(&self) -> bool {
        self.unanswered_calls.load(Ordering::Acquire) >= MAX_UNANSWERED_CALLS
            || self.unanswered_bytes.load(Ordering::Acquire) >= MAX_UNANSWERED_BYTES
            || self.outbound.lock().bytes > MAX_BACKLOG_BYTES
    }
}

impl Outbound {
    fn push(&mut self, chunk: Vec<u8>) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    fn is_written(&self) -> bool {
        self.chunks.is_empty()
    }

    /// What was not written goes nowhere, and nothing more is taken.
    fn break_off(&mut self) {
        *self = Self { is_broken: true, ..Self::default() };
    }

    fn write_to(&mut self, stream: &UnixStream) -> io::Result<()> {
        let mut written = {
            let mut skip = self.offset;
            let slices: Vec<IoSlice<'_>> = self
                .chunks
                .iter()
                .take(SLICES_PER_WRITE)
                .map(|chunk| IoSlice::new(&chunk[std::mem::take(&mut skip)..]))
                .collect();
            if slices.is_empty() {
                return Ok(());
            }
            stream.try_write_vectored(&slices)?
        };
        self.bytes -= written;
        while let Some(first) = self.chunks.front() {
            let left = first.len() - self.offset;
            if written < left {
                self.offset += written;
                break;
            }
            written -= left;
            self.offset = 0;
            self.chunks.pop_front();
        }
        Ok(())
    }
}

/// Forgets a call when its caller no longer waits: answered, late or cancelled.
struct Forget<'a> {
    connection: &'a Connection,
    call: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.connection.calls.lock().waiting.remove(&self.call);
    }
}
