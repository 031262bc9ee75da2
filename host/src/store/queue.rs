//! Readings on their way to the history: the bounded queue between the house and the writer.

mod house;
mod shares;
mod tables;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

pub(crate) use self::house::ReadingQueue;
use self::shares::Shares;
pub(super) use self::tables::write;
use super::CommitPolicy;
use super::error::Fault;
use crate::entity::LiveState;
use crate::entity::bounds::QUEUE_TEXT_MAX_BYTES;

/// Between two attempts to write after one that failed, when nobody asks in between.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// What a reading does to the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A row, and the state's last value.
    Changed,
    /// The state's last-seen time alone.
    Seen,
    /// A row of an earlier time; the last value stays.
    Backfilled,
    /// Nothing: its state is deleted.
    Gone,
}

/// One accepted reading.
#[derive(Debug, Clone)]
pub(crate) struct ReadingRow {
    /// The state's id in the database.
    pub(crate) state_id: i64,
    /// What it does.
    pub(crate) effect: Effect,
    /// How many bytes its text has; beside the row, so that they are counted without a look at the value.
    pub(crate) text_bytes: u32,
    /// The state as this reading leaves it; its `sequence` orders the queue.
    pub(crate) live: Arc<LiveState>,
}

type Committed = dyn Fn(u64) + Send + Sync;

/// The queue as both sides share it.
#[derive(Default)]
pub(super) struct Pending {
    inner: Mutex<Inner>,
    room: Notify,
}

#[derive(Default)]
struct Inner {
    rows: VecDeque<ReadingRow>,
    /// The bytes of the rows' texts.
    bytes: usize,
    shares: Shares,
    limit: usize,
    oldest: Option<Instant>,
    waiters: Vec<Waiter>,
    /// What the writer was told since it took rows, or found none. 0: nothing; 1: there are some; 2: many; 3: somebody waits.
    told: u8,
    pushed: u64,
    committed: u64,
    failed_at: Option<Instant>,
    /// Why the last attempt failed.
    fault: Option<Fault>,
    /// Rows were shed and nobody who asked for an acknowledgment has been told: the next to ask hears of it.
    loss: Option<Fault>,
    lost: u64,
    /// Since the start.
    lost_ever: u64,
    closed: bool,
    on_commit: Option<Arc<Committed>>,
}

struct Waiter {
    sequence: u64,
    reply: oneshot::Sender<Result<(), Fault>>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("rows", &self.inner.lock().rows.len()).finish_non_exhaustive()
    }
}

/// See [`Pending::state`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueState {
    /// Readings that wait.
    pub(crate) waiting: u64,
    /// Readings given up since the start.
    pub(crate) lost: u64,
    /// The last attempt to write failed.
    pub(crate) failing: bool,
}

/// Rows that one transaction takes.
pub(super) struct Batch(Vec<ReadingRow>);

impl Batch {
    pub(super) fn rows(&self) -> &[ReadingRow] {
        &self.0
    }
}

impl Pending {
    /// When the writer has to commit rows; `None`: not until it is told more.
    pub(super) fn due(&self, policy: &CommitPolicy) -> Option<Instant> {
        let mut inner = self.inner.lock();
        let Some(oldest) = inner.oldest else {
            // What it was told of is done: a wait for rows that were on their way to the disk at the time leaves no
            // rows behind to take. Whoever pushes next must wake it.
            inner.told = 0;
            return None;
        };
        if !inner.waiters.is_empty() {
            return Some(oldest);
        }
        if let Some(failed_at) = inner.failed_at {
            return Some(failed_at + RETRY_EVERY);
        }
        Some(if inner.has_many(policy) { oldest } else { oldest + policy.every })
    }

    pub(super) fn has_committable_rows(&self) -> bool {
        let inner = self.inner.lock();
        !inner.rows.is_empty() && inner.failed_at.is_none()
    }

    /// Whether the last attempt to write failed.
    pub(super) fn is_failing(&self) -> bool {
        self.inner.lock().failed_at.is_some()
    }

    /// Why the last attempt to write failed, and how many rows were given up since writing began to fail.
    pub(super) fn failure(&self) -> Option<(Fault, u64)> {
        let inner = self.inner.lock();
        inner.failed_at?;
        inner.fault.as_ref().map(|fault| (fault.copy(), inner.lost))
    }

    /// How the queue is.
    pub(super) fn state(&self) -> QueueState {
        let inner = self.inner.lock();
        QueueState { waiting: inner.rows.len() as u64, lost: inner.lost_ever, failing: inner.failed_at.is_some() }
    }

    pub(super) fn take(&self, most: usize) -> Option<Batch> {
        let mut inner = self.inner.lock();
        inner.told = 0;
        if inner.rows.is_empty() {
            return None;
        }
        let count = most.max(1).min(inner.rows.len());
        let rows: Vec<ReadingRow> = inner.rows.drain(..count).collect();
        inner.bytes -= text_bytes(&rows);
        inner.shares.remove(&rows);
        if inner.rows.is_empty() {
            inner.oldest = None;
        }
        Some(Batch(rows))
    }

    /// After the transaction: answers waiters, makes room; a failed batch goes back to the front.
    pub(super) fn settle(&self, batch: Batch, outcome: Result<(), Fault>, path: &Path) {
        let last = batch.0.last().map_or(0, |row| row.live.sequence);
        let mut answers = Vec::new();
        let mut told = None;
        {
            let mut inner = self.inner.lock();
            let mut waiters = std::mem::take(&mut inner.waiters);
            waiters.retain_mut(|waiter| {
                let over = waiter.sequence <= last || outcome.is_err();
                if over {
                    let (unused, _) = oneshot::channel();
                    answers.push(std::mem::replace(&mut waiter.reply, unused));
                }
                !over
            });
            inner.waiters = waiters;
            match &outcome {
                Ok(()) => {
                    inner.committed = last;
                    if inner.failed_at.take().is_some() {
                        tracing::info!(database = %path.display(), lost = inner.lost, "the history is written again");
                        inner.lost = 0;
                    }
                    told = inner.on_commit.clone();
                }
                Err(fault) => {
                    inner.fault = Some(fault.copy());
                    if inner.failed_at.replace(Instant::now()).is_none() {
                        let error = fault.copy().at(path, "writing readings");
                        tracing::error!(database = %path.display(), %error, "the history is not written; it is tried again");
                    }
                    inner.bytes += text_bytes(&batch.0);
                    inner.shares.add(&batch.0);
                    for row in batch.0.into_iter().rev() {
                        inner.rows.push_front(row);
                    }
                    inner.oldest.get_or_insert_with(Instant::now);
                    inner.shed();
                }
            }
        }
        // Before the answers: whoever has one finds that subscribers know of the commit.
        if let Some(told) = told {
            told(last);
        }
        for reply in answers {
            let _ = reply.send(outcome.as_ref().copied().map_err(Fault::copy));
        }
        self.room.notify_waiters();
    }

    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.waiters.clear();
        inner.on_commit = None;
        drop(inner);
        self.room.notify_waiters();
    }
}

impl Inner {
    /// Whether there is enough for a commit before its time: a whole batch, or what one integration alone may queue.
    fn has_many(&self, policy: &CommitPolicy) -> bool {
        self.rows.len() >= policy.rows.min(self.limit / 2).max(1) || self.bytes >= QUEUE_TEXT_MAX_BYTES / 2
    }

    /// While nothing can be written the newest readings are worth more than the oldest.
    fn shed(&mut self) {
        let before = self.rows.len();
        while self.rows.len() > self.limit.max(1) || self.bytes > QUEUE_TEXT_MAX_BYTES {
            let Some(oldest) = self.rows.pop_front() else { break };
            self.bytes -= oldest.text_bytes as usize;
            self.shares.remove(std::slice::from_ref(&oldest));
        }
        if self.rows.len() == before {
            return;
        }
        self.lost += (before - self.rows.len()) as u64;
        self.lost_ever += (before - self.rows.len()) as u64;
        let Some(fault) = &self.fault else { return };
        // What they wait for includes the rows that are gone: a later commit must not answer them.
        for waiter in self.waiters.drain(..) {
            let _ = waiter.reply.send(Err(fault.copy()));
        }
        self.loss = Some(fault.copy());
    }
}

fn text_bytes(rows: &[ReadingRow]) -> usize {
    rows.iter().map(|row| row.text_bytes as usize).sum()
}
