//! The bounded queue of readings between the author's `emit` and the host.
//!
//! One batch is on its way at a time. The first reading therefore leaves at once, and while its reply is out the
//! following ones gather into the next batch: latency when it is quiet, throughput when it is not, and a late reply
//! fills the queue, which is what makes `emit` wait.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::vec;

use serde::Serialize;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::host::Host;
use crate::error::{CallError, ErrorCode};
use crate::message::{Emit, EmitOutcome, Reading};
use crate::value::TEXT_MAX_BYTES;
use crate::{ops, wire};

/// How many readings may wait.
pub(super) const QUEUE_READINGS: usize = 4096;
/// How much text and names may wait.
pub(super) const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// How many go together at most.
const BATCH_READINGS: usize = 1000;
/// How much text and names go together at most: far below what a frame may hold.
const BATCH_BYTES: usize = 512 * 1024;
/// How many go together at most when their commit is waited for.
const DURABLE_READINGS: usize = 5000;
/// How many such parts of one call are on their way at once: enough that a commit takes several.
const DURABLE_PARTS: usize = 4;
/// How many different reasons are counted apart.
const REASONS: usize = 64;

type ReplyBytes = Option<Vec<u8>>;

#[derive(Debug)]
enum Item {
    Reading(Reading),
    /// To be committed; the reply's bytes go to whoever waits.
    Durable(Vec<Reading>, oneshot::Sender<ReplyBytes>),
    /// Answered when everything before it has been.
    Barrier(oneshot::Sender<()>),
    /// As a barrier, with what became of the readings before it; the flushes of a gateway are numbered.
    Flush(u64, oneshot::Sender<Result<(), CallError>>),
}

/// The author's end.
#[derive(Debug)]
pub(super) struct ReadingQueue {
    items: mpsc::Sender<Item>,
    room: Arc<Room>,
}

/// What both ends share.
#[derive(Debug)]
struct Room {
    /// The bytes that may still wait.
    bytes: Semaphore,
    /// How many flushes were asked for.
    flushes: AtomicU64,
}

/// The sending end, to be run on the gateway's thread.
#[derive(Debug)]
pub(crate) struct ReadingSender {
    items: mpsc::Receiver<Item>,
    room: Arc<Room>,
    host: Arc<Host>,
    refusals: Refusals,
    failed: Failed,
}

pub(super) fn queue(host: Arc<Host>) -> (ReadingQueue, ReadingSender) {
    let (sender, items) = mpsc::channel(QUEUE_READINGS);
    let room = Arc::new(Room { bytes: Semaphore::new(QUEUE_BYTES), flushes: AtomicU64::new(0) });
    let queue = ReadingQueue { items: sender, room: Arc::clone(&room) };
    (queue, ReadingSender { items, room, host, refusals: Refusals::default(), failed: Failed::default() })
}

fn ended() -> CallError {
    CallError::new(ErrorCode::Cancelled, "the gateway has ended: nothing can be emitted any more")
}

impl ReadingQueue {
    pub(super) async fn push(&self, reading: Reading) -> Result<(), CallError> {
        if let Some(problem) = too_long(&reading) {
            return Err(CallError::new(ErrorCode::Refused, problem));
        }
        let slot = self.items.reserve().await.map_err(|_| ended())?;
        // A bounded text and bounded names: always fits.
        let bytes = u32::try_from(size(&reading)).unwrap_or(u32::MAX);
        self.room.bytes.acquire_many(bytes).await.map_err(|_| ended())?.forget();
        slot.send(Item::Reading(reading));
        Ok(())
    }

    /// Sends readings in parts of a bounded size and resolves when all of them are committed.
    pub(super) async fn push_durable(&self, readings: Vec<Reading>) -> Result<EmitOutcome, CallError> {
        let mut total = EmitOutcome::default();
        let mut under_way = VecDeque::new();
        let mut readings = readings.into_iter();
        loop {
            let part = next_part(&mut readings, &mut total);
            let (sink, reply) = oneshot::channel();
            self.items.send(Item::Durable(part, sink)).await.map_err(|_| ended())?;
            under_way.push_back(reply);
            let last = readings.as_slice().is_empty();
            while under_way.len() >= DURABLE_PARTS || (last && !under_way.is_empty()) {
                let Some(reply) = under_way.pop_front() else { break };
                let bytes = reply.await.map_err(|_| ended())?;
                add(&mut total, wire::decode_reply(bytes.as_deref())?);
            }
            if last {
                return Ok(total);
            }
        }
    }

    /// Resolves when the host has answered for everything pushed before.
    pub(super) async fn sent(&self) -> Result<(), CallError> {
        let (sink, reached) = oneshot::channel();
        self.items.send(Item::Barrier(sink)).await.map_err(|_| ended())?;
        reached.await.map_err(|_| ended())
    }

    /// As [`ReadingQueue::sent`]; fails when a batch before did as a whole, and no flush has told of it before.
    pub(super) async fn taken(&self) -> Result<(), CallError> {
        let (sink, reached) = oneshot::channel();
        let number = self.room.flushes.fetch_add(1, Ordering::Relaxed);
        self.items.send(Item::Flush(number, sink)).await.map_err(|_| ended())?;
        reached.await.map_err(|_| ended())?
    }
}

/// The next part of a durable call; what is too long for the host is left out and counted as refused.
fn next_part(readings: &mut vec::IntoIter<Reading>, total: &mut EmitOutcome) -> Vec<Reading> {
    let mut part = Vec::new();
    let mut bytes = 0;
    while part.len() < DURABLE_READINGS && bytes < BATCH_BYTES {
        let Some(reading) = readings.next() else { break };
        if let Some(problem) = too_long(&reading) {
            add(total, EmitOutcome { refused: 1, first_reason: problem });
            continue;
        }
        bytes += size(&reading);
        part.push(reading);
    }
    part
}

fn add(total: &mut EmitOutcome, more: EmitOutcome) {
    if total.refused == 0 {
        total.first_reason = more.first_reason;
    }
    total.refused = total.refused.saturating_add(more.refused);
}

/// [`Emit`] by reference.
#[derive(Serialize)]
struct EmitRef<'a> {
    readings: &'a [Reading],
}

impl ReadingSender {
    /// Sends until every [`ReadingQueue`] is gone.
    pub(crate) async fn run(mut self) {
        let mut batch = Vec::new();
        while let Some(first) = self.items.recv().await {
            let after = self.gather(first, &mut batch);
            if !batch.is_empty() {
                let sent = self.host.call_patiently(&ops::EMIT, &EmitRef { readings: &batch }).await;
                match sent {
                    Ok(outcome) => self.refusals.note(&outcome),
                    Err(error) => {
                        self.refusals.note(&lost(batch.len(), &error));
                        self.failed.note(error);
                    }
                }
                batch.clear();
            }
            match after {
                None | Some(Item::Reading(_)) => {}
                Some(Item::Barrier(sink)) => {
                    let _ = sink.send(());
                }
                Some(Item::Flush(number, sink)) => {
                    let _ = sink.send(self.failed.tell(number, self.room.flushes.load(Ordering::Relaxed)));
                }
                Some(Item::Durable(readings, sink)) => self.post_durable(readings, sink),
            }
        }
    }

    /// Fills `batch` with what is there; returns what may only follow once the batch is sent.
    fn gather(&mut self, first: Item, batch: &mut Vec<Reading>) -> Option<Item> {
        let mut item = Some(first);
        let mut bytes = 0;
        while let Some(Item::Reading(reading)) = item {
            bytes += size(&reading);
            batch.push(reading);
            let full = batch.len() >= BATCH_READINGS || bytes >= BATCH_BYTES;
            item = if full { None } else { self.items.try_recv().ok() };
        }
        self.room.bytes.add_permits(bytes);
        item
    }

    /// In order, but without waiting: the commit takes its time, and whoever asked waits for it alone.
    fn post_durable(&self, readings: Vec<Reading>, sink: oneshot::Sender<ReplyBytes>) {
        if !self.host.knows(&ops::EMIT_DURABLE) {
            let message = "this host cannot commit readings on request: update Gatehouse to use emit_durable";
            let error = CallError::new(ErrorCode::Unsupported, message);
            let _ = sink.send(Some(wire::encode_reply::<()>(&Err(error))));
            return;
        }
        self.host.post(&ops::EMIT_DURABLE, wire::encode(&Emit { readings }), move |bytes| {
            let _ = sink.send(bytes);
        });
    }
}

/// Whoever waits for room learns of the end.
impl Drop for ReadingSender {
    fn drop(&mut self) {
        self.room.bytes.close();
    }
}

/// Why a batch that the host did not take failed, until a flush has told of it.
#[derive(Debug, Default)]
struct Failed {
    error: Option<CallError>,
    /// The flushes below this number are told: those asked for when the first of them was.
    told_below: Option<u64>,
}

impl Failed {
    fn note(&mut self, error: CallError) {
        // The first cause says the most; a later failure is told anew.
        if self.told_below.take().is_some() || self.error.is_none() {
            self.error = Some(error);
        }
    }

    /// What the flush of this number is told when so many were asked for.
    fn tell(&mut self, number: u64, asked: u64) -> Result<(), CallError> {
        if self.error.is_some() && number >= *self.told_below.get_or_insert(asked) {
            *self = Self::default();
        }
        self.error.clone().map_or(Ok(()), Err)
    }
}

/// Why a reading cannot be sent, if it cannot: the host's own bound, told to the author at once.
fn too_long(reading: &Reading) -> Option<String> {
    let bytes = reading.value.text_bytes();
    let Reading { entity, state, .. } = reading;
    (bytes > TEXT_MAX_BYTES)
        .then(|| format!("{entity}/{state}: its text has {bytes} bytes; the most is {TEXT_MAX_BYTES}"))
}

/// What a reading takes on its way, about.
fn size(reading: &Reading) -> usize {
    reading.entity.as_str().len() + reading.state.as_str().len() + reading.value.text_bytes() + 57
}

fn lost(readings: usize, error: &CallError) -> EmitOutcome {
    EmitOutcome { refused: u32::try_from(readings).unwrap_or(u32::MAX), first_reason: error.to_string() }
}

/// What was refused so far, by reason: said at the first, then at ten, a hundred, a thousand, …
#[derive(Debug, Default)]
struct Refusals {
    by_reason: HashMap<String, Count>,
}

#[derive(Debug, Default)]
struct Count {
    total: u64,
    say_at: u64,
}

impl Refusals {
    fn note(&mut self, outcome: &EmitOutcome) {
        if outcome.refused == 0 {
            return;
        }
        if !self.by_reason.contains_key(&outcome.first_reason) && self.by_reason.len() >= REASONS {
            return;
        }
        let count = self.by_reason.entry(outcome.first_reason.clone()).or_default();
        count.total += u64::from(outcome.refused);
        if count.total >= count.say_at.max(1) {
            count.say_at = count.total.max(1).ilog10().checked_add(1).map_or(u64::MAX, |p| 10_u64.saturating_pow(p));
            tracing::warn!(reason = %outcome.first_reason, readings = count.total, "the host refused readings");
        }
    }
}
