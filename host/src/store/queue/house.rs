//! The house's end of the queue: readings are pushed here, and their commit is waited for.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use gatehouse_plugin_api::ids::IntegrationId;
use tokio::sync::oneshot;

use super::{Committed, Effect, Inner, Pending, ReadingRow, Waiter, text_bytes};
use crate::entity::bounds::QUEUE_TEXT_MAX_BYTES;
use crate::store::Store;
use crate::store::error::{Fault, StoreError};
use crate::store::writer::Message;

/// The house's end of the queue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReadingQueue {
    pending: Arc<Pending>,
    messages: Sender<Message>,
    store: Store,
}

impl ReadingQueue {
    pub(in crate::store) fn new(
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
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    use gatehouse_plugin_api::value::Value;

    use super::*;
    use crate::entity::LiveState;
    use crate::store::CommitPolicy;

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
