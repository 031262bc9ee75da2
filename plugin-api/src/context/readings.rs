//! The bounded queue of readings between the author's `emit` and the host.
//!
//! One batch is on its way at a time. The first reading therefore leaves at once, and while its reply is out the
//! following ones gather into the next batch: latency when it is quiet, throughput when it is not, and a late reply
//! fills the queue, which is what makes `emit` wait.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::host::Host;
use crate::error::{CallError, ErrorCode};
use crate::message::{Emit, EmitOutcome, Reading};
use crate::value::Value;
use crate::{ops, wire};

/// How many readings may wait.
pub(super) const QUEUE_READINGS: usize = 4096;
/// How many go together at most.
const BATCH_READINGS: usize = 1000;
/// How much text and names go together at most: far below what a frame may hold.
const BATCH_BYTES: usize = 512 * 1024;
/// The longest text of a reading: the host's own bound, told to the author at once.
const TEXT_MAX_BYTES: usize = 64 * 1024;
/// How many different reasons are counted apart.
const REASONS: usize = 64;

#[derive(Debug)]
enum Item {
    Reading(Reading),
    /// To be committed; the reply's bytes go to whoever waits.
    Durable(Vec<Reading>, oneshot::Sender<Option<Vec<u8>>>),
    /// Answered when everything before it has been.
    Barrier(oneshot::Sender<()>),
}

/// The author's end.
#[derive(Debug)]
pub(super) struct ReadingQueue {
    items: mpsc::Sender<Item>,
}

/// The sending end, to be run on the gateway's thread.
#[derive(Debug)]
pub(crate) struct ReadingSender {
    items: mpsc::Receiver<Item>,
    host: Arc<Host>,
    refusals: Refusals,
}

pub(super) fn queue(host: Arc<Host>) -> (ReadingQueue, ReadingSender) {
    let (sender, items) = mpsc::channel(QUEUE_READINGS);
    (ReadingQueue { items: sender }, ReadingSender { items, host, refusals: Refusals::default() })
}

fn ended() -> CallError {
    CallError::new(ErrorCode::Cancelled, "the gateway has ended: nothing can be emitted any more")
}

impl ReadingQueue {
    pub(super) async fn push(&self, reading: Reading) -> Result<(), CallError> {
        if text_bytes(&reading.value) > TEXT_MAX_BYTES {
            let (entity, state) = (&reading.entity, &reading.state);
            let message = format!("{entity}/{state}: its text has more than {TEXT_MAX_BYTES} bytes");
            return Err(CallError::new(ErrorCode::Refused, message));
        }
        self.items.send(Item::Reading(reading)).await.map_err(|_| ended())
    }

    pub(super) async fn push_durable(&self, readings: Vec<Reading>) -> Result<EmitOutcome, CallError> {
        let (sink, reply) = oneshot::channel();
        self.items.send(Item::Durable(readings, sink)).await.map_err(|_| ended())?;
        let bytes = reply.await.map_err(|_| ended())?;
        wire::decode_reply(bytes.as_deref())
    }

    /// Resolves when the host has answered for everything pushed before.
    pub(super) async fn sent(&self) -> Result<(), CallError> {
        let (sink, reached) = oneshot::channel();
        self.items.send(Item::Barrier(sink)).await.map_err(|_| ended())?;
        reached.await.map_err(|_| ended())
    }
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
                    Err(error) => self.refusals.note(&lost(batch.len(), &error)),
                }
                batch.clear();
            }
            match after {
                None | Some(Item::Reading(_)) => {}
                Some(Item::Barrier(sink)) => {
                    let _ = sink.send(());
                }
                Some(Item::Durable(readings, sink)) => self.post_durable(readings, sink),
            }
        }
    }

    /// Fills `batch` with what is there; returns what may only follow once the batch is sent.
    fn gather(&mut self, first: Item, batch: &mut Vec<Reading>) -> Option<Item> {
        let mut item = first;
        let mut bytes = 0;
        loop {
            match item {
                Item::Reading(reading) => {
                    bytes += size(&reading);
                    batch.push(reading);
                }
                other => return Some(other),
            }
            if batch.len() >= BATCH_READINGS || bytes >= BATCH_BYTES {
                return None;
            }
            item = self.items.try_recv().ok()?;
        }
    }

    /// In order, but without waiting: the commit takes its time, and whoever asked waits for it alone.
    fn post_durable(&self, readings: Vec<Reading>, sink: oneshot::Sender<Option<Vec<u8>>>) {
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

fn size(reading: &Reading) -> usize {
    reading.entity.as_str().len() + reading.state.as_str().len() + text_bytes(&reading.value) + 57
}

fn text_bytes(value: &Value) -> usize {
    match value {
        Value::Text(text) | Value::Choice(text) | Value::Event(text) => text.len(),
        Value::Number(_) | Value::OnOff(_) | Value::TimestampMs(_) => 0,
    }
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
