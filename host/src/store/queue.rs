//! Readings on their way to the history: the bounded queue between the house and the writer, and its batches.

mod shares;

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use gatehouse_plugin_api::ids::IntegrationId;
use parking_lot::Mutex;
use rusqlite::{Connection, params};
use tokio::sync::{Notify, oneshot};

use self::shares::Shares;
use super::error::{Fault, StoreError};
use super::values;
use super::writer::Message;
use super::{CommitPolicy, Store};
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
        self.rows.len() >= policy.rows.min(self.limit / 2).max(1)
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

/// Writes a batch; returns the next ordinal.
pub(super) fn write(connection: &Connection, rows: &[ReadingRow], first_ordinal: i64) -> Result<i64, Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO readings (state_id, at_ms, ordinal, kind, number, whole, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut update = connection.prepare_cached(
        "UPDATE states SET kind = ?2, number = ?3, whole = ?4, text = ?5, changed_at_ms = ?6, last_seen_ms = ?7 WHERE id = ?1",
    )?;
    // By state, so that rows which become neighbours are written together and a state's last value once.
    let mut order: Vec<(i64, u32)> = rows.iter().zip(0_u32..).map(|(row, index)| (row.state_id, index)).collect();
    order.sort_unstable();
    let mut orphans = 0_u64;
    for run in order.chunk_by(|a, b| a.0 == b.0) {
        let mut last = None;
        for &(state_id, index) in run {
            let row = &rows[index as usize];
            if row.effect == Effect::Gone {
                continue;
            }
            if row.effect != Effect::Backfilled {
                last = Some(&row.live);
            }
            if row.effect == Effect::Seen {
                continue;
            }
            let (kind, number, whole, text) = values::columns(&row.live.value);
            let ordinal = first_ordinal + i64::from(index);
            match insert.execute(params![state_id, row.live.last_seen_ms, ordinal, kind, number, whole, text]) {
                Ok(_) => {}
                // Its state was deleted meanwhile: one reading must not hold up all others for ever.
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    orphans += 1
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(live) = last {
            let (kind, number, whole, text) = values::columns(&live.value);
            let (changed, seen) = (live.changed_at_ms, live.last_seen_ms);
            update.execute(params![run[0].0, kind, number, whole, text, changed, seen])?;
        }
    }
    if orphans > 0 {
        tracing::warn!(orphans, "readings of deleted states were left out");
    }
    let next = first_ordinal + i64::try_from(rows.len()).unwrap_or(0);
    connection
        .prepare_cached("INSERT OR REPLACE INTO home (name, value) VALUES ('next_ordinal', ?1)")?
        .execute([next])?;
    Ok(next)
}

/// The house's end of the queue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReadingQueue {
    pending: Arc<Pending>,
    messages: Sender<Message>,
    store: Store,
}

impl ReadingQueue {
    pub(super) fn new(
        store: Store,
        pending: Arc<Pending>,
        messages: Sender<Message>,
        limit: usize,
        on_commit: Arc<Committed>,
    ) -> Self {
        {
            let mut inner = pending.inner.lock();
            inner.limit = limit.max(1);
            inner.on_commit = Some(on_commit);
            inner.pushed = 0;
            inner.committed = 0;
        }
        Self { pending, messages, store }
    }

    /// How many rows of an integration may be pushed now. While the disk refuses, any number: the oldest make room.
    pub(crate) fn room(&self, integration: &IntegrationId) -> usize {
        let inner = self.pending.inner.lock();
        if inner.failed_at.is_some() || inner.closed {
            return inner.limit;
        }
        let free_rows = inner.limit.saturating_sub(inner.rows.len());
        inner.shares.room(integration, free_rows, QUEUE_TEXT_MAX_BYTES.saturating_sub(inner.bytes))
    }

    /// What makes the rows of these states that wait here leave no trace, whenever they are written. For the writer's
    /// own thread, where no row is on its way between here and the database.
    pub(crate) fn without(&self, states: HashSet<i64>) -> impl Fn() + Clone + Send + 'static {
        let (pending, states) = (Arc::clone(&self.pending), Arc::new(states));
        move || {
            let mut inner = pending.inner.lock();
            for row in inner.rows.iter_mut().filter(|row| states.contains(&row.state_id)) {
                row.effect = Effect::Gone;
            }
        }
    }

    /// Resolves when room may have been made since the call.
    pub(crate) fn made_room(&self) -> tokio::sync::futures::Notified<'_> {
        self.pending.room.notified()
    }

    /// Appends rows in the order of their sequence numbers; leaves `rows` empty.
    pub(crate) fn push(&self, rows: &mut Vec<ReadingRow>) {
        let Some(last) = rows.last().map(|row| row.live.sequence) else { return };
        let mut inner = self.pending.inner.lock();
        if inner.closed {
            rows.clear();
            return;
        }
        inner.bytes += text_bytes(rows);
        inner.shares.add(rows);
        inner.rows.extend(rows.drain(..));
        inner.pushed = last;
        inner.oldest.get_or_insert_with(Instant::now);
        if inner.failed_at.is_some() {
            inner.shed();
        }
        let wanted = if inner.has_many(self.store.policy()) { 2 } else { 1 };
        self.tell(inner, wanted);
    }

    fn tell(&self, mut inner: parking_lot::MutexGuard<'_, Inner>, wanted: u8) {
        if inner.told < wanted {
            inner.told = wanted;
            drop(inner);
            // Fails only when the writer has ended; `closed` says so to every waiter.
            let _ = self.messages.send(Message::Wake);
        }
    }

    /// Resolves when everything pushed before the call is committed.
    pub(crate) async fn committed(&self) -> Result<(), StoreError> {
        let failed = |fault: Fault| fault.at(self.store.path(), "writing readings");
        let (loss, receiver) = {
            let mut inner = self.pending.inner.lock();
            let loss = inner.loss.take();
            if inner.committed >= inner.pushed {
                return loss.map_or(Ok(()), |fault| Err(failed(fault)));
            }
            if inner.closed {
                return Err(StoreError::Closed);
            }
            let (reply, receiver) = oneshot::channel();
            let sequence = inner.pushed;
            inner.waiters.push(Waiter { sequence, reply });
            self.tell(inner, 3);
            (loss, receiver)
        };
        match receiver.await {
            Ok(outcome) => outcome.and(loss.map_or(Ok(()), Err)).map_err(failed),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use gatehouse_plugin_api::value::Value;

    use super::*;

    fn row(sequence: u64) -> ReadingRow {
        let live = LiveState {
            address: Arc::new("hass:lamp/power".parse().expect("an address")),
            value: Value::OnOff(true),
            changed_at_ms: 1,
            last_seen_ms: 1,
            sequence,
        };
        ReadingRow { state_id: 1, effect: Effect::Seen, text_bytes: 0, live: Arc::new(live) }
    }

    #[tokio::test]
    async fn whoever_pushes_after_a_wait_for_rows_on_their_way_wakes_the_writer() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let policy = CommitPolicy { every: Duration::from_secs(60), rows: 100, full_durability: false };
        let store = Store::open(&dir.path().join("gatehouse.db"), &dir.path().join("key"), policy).expect("opens");
        let (pending, (messages, told)) = (Arc::new(Pending::default()), mpsc::channel());
        let queue = ReadingQueue::new(store, Arc::clone(&pending), messages, 100, Arc::new(|_| {}));
        let woken = || matches!(told.try_recv(), Ok(Message::Wake));

        queue.push(&mut vec![row(1)]);
        assert!(woken() && !woken());
        let batch = pending.take(100).expect("one row");
        // It is on its way to the disk when somebody waits for it: the writer is told, and finds no rows.
        let mut waits = std::pin::pin!(queue.committed());
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        assert!(woken());
        pending.settle(batch, Ok(()), Path::new("gatehouse.db"));
        assert!(matches!(futures_util::poll!(waits), std::task::Poll::Ready(Ok(()))));
        assert_eq!(pending.due(&policy), None, "nothing is left, so that it sleeps until it is told more");

        queue.push(&mut vec![row(2)]);
        assert!(woken(), "or nobody would commit this one before the next wait");
        assert!(pending.due(&policy).is_some_and(|due| due > Instant::now()), "at the latest when it is old enough");
    }
}
