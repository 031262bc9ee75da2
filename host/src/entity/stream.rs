//! What subscribers see: a bounded queue for each, and a ring of recent readings for those who come back.
//!
//! A subscriber is never waited for. Queues and ring are bounded by the number of readings and by the bytes of their
//! texts. One whose queue is full keeps what is in it, sees `Lagged` and is dropped; with
//! the token of its last `Committed` it gets what it missed from the ring, or `Reset` and the full state.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::bounds::SUBSCRIBER_TEXT_MAX_BYTES;
use super::{LiveState, StateEvent};

/// The sending side; lives under the house's lock, so that all subscribers see one order.
#[derive(Debug)]
pub(super) struct Hub {
    boot: String,
    limit: usize,
    /// The newest readings, at most `limit`, in the order of their sequence numbers.
    ring: VecDeque<Arc<LiveState>>,
    /// The bytes of the ring's texts.
    ring_bytes: usize,
    /// Every reading above this sequence number that subscribers saw is in the ring.
    floor: u64,
    committed: u64,
    feeds: Vec<Weak<Feed>>,
}

#[derive(Debug, Default)]
struct Feed {
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<StateEvent>,
    /// The bytes of the events' texts.
    bytes: usize,
    ended: bool,
}

/// A stream of what subscribers see.
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    /// Taken from the queue in one piece, so that its lock is not taken for each event.
    taken: VecDeque<StateEvent>,
}

impl Subscription {
    /// The next event; `None` after `Lagged` or when the house is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<StateEvent> {
        loop {
            if let Some(event) = self.taken.pop_front() {
                return Some(event);
            }
            {
                let mut queue = self.feed.queue.lock();
                std::mem::swap(&mut self.taken, &mut queue.events);
                queue.bytes = 0;
                if self.taken.is_empty() && queue.ended {
                    return None;
                }
            }
            if self.taken.is_empty() {
                self.feed.ready.notified().await;
            }
        }
    }
}

impl Hub {
    pub(super) fn new(boot: String, limit: usize) -> Self {
        let limit = limit.max(1);
        Self { boot, limit, ring: VecDeque::new(), ring_bytes: 0, floor: 0, committed: 0, feeds: Vec::new() }
    }

    /// The token that resumes behind this committed sequence number.
    pub(super) fn token(&self, sequence: u64) -> String {
        format!("{}:{sequence}", self.boot)
    }

    /// The sequence number of a token of this boot, when the ring reaches back to it.
    fn resumable(&self, token: &str, highest: u64) -> Option<u64> {
        let (boot, sequence) = token.rsplit_once(':')?;
        let sequence = sequence.parse().ok()?;
        (boot == self.boot && sequence >= self.floor && sequence <= highest).then_some(sequence)
    }

    /// A new subscriber. `highest`: the last sequence number given; `live`: the full state, asked for when needed.
    pub(super) fn subscribe(
        &mut self,
        resume: Option<&str>,
        highest: u64,
        live: impl FnOnce() -> Vec<Arc<LiveState>>,
    ) -> Subscription {
        let mut taken = VecDeque::new();
        if let Some(sequence) = resume.and_then(|token| self.resumable(token, highest)) {
            let first = self.ring.partition_point(|reading| reading.sequence <= sequence);
            taken.extend(self.ring.range(first..).cloned().map(StateEvent::Reading));
        } else {
            taken.push_back(StateEvent::Reset);
            taken.extend(live().into_iter().map(StateEvent::Reading));
        }
        // At once, so that whoever is cut off early has a token.
        taken.push_back(StateEvent::Committed { sequence: self.committed });
        let feed = Arc::new(Feed::default());
        self.feeds.retain(|feed| feed.strong_count() > 0);
        self.feeds.push(Arc::downgrade(&feed));
        Subscription { feed, taken }
    }

    /// Shows readings, in the order of their sequence numbers.
    pub(super) fn publish(&mut self, readings: &[Arc<LiveState>]) {
        let limit = self.limit;
        let bytes = readings.iter().map(|reading| reading.value.text_bytes()).sum::<usize>();
        self.each_feed(|queue| {
            let mut room = limit.saturating_sub(queue.events.len());
            if queue.bytes + bytes > SUBSCRIBER_TEXT_MAX_BYTES {
                room = room.min(fitting(readings, SUBSCRIBER_TEXT_MAX_BYTES - queue.bytes));
            }
            queue.bytes += bytes;
            queue.events.extend(readings.iter().take(room).cloned().map(StateEvent::Reading));
            if room < readings.len() {
                queue.events.push_back(StateEvent::Lagged);
                queue.ended = true;
            }
        });
        self.ring.extend(readings.iter().cloned());
        self.ring_bytes += bytes;
        while self.ring.len() > self.limit || self.ring_bytes > SUBSCRIBER_TEXT_MAX_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.value.text_bytes();
            self.floor = oldest.sequence;
        }
    }

    /// Says that everything up to a sequence number is committed.
    pub(super) fn committed(&mut self, sequence: u64) {
        self.committed = sequence;
        self.each_feed(|queue| match queue.events.back_mut() {
            // Nothing came between: the later one says it all.
            Some(StateEvent::Committed { sequence: last }) => *last = sequence,
            _ => queue.events.push_back(StateEvent::Committed { sequence }),
        });
    }

    /// Ends every subscription after what is queued.
    pub(super) fn close(&mut self) {
        self.each_feed(|queue| queue.ended = true);
    }

    fn each_feed(&mut self, act: impl Fn(&mut Queue)) {
        self.feeds.retain(|feed| {
            let Some(feed) = feed.upgrade() else { return false };
            let mut queue = feed.queue.lock();
            act(&mut queue);
            let open = !queue.ended;
            drop(queue);
            feed.ready.notify_one();
            open
        });
    }
}

/// How many of the first readings have texts of at most so many bytes.
fn fitting(readings: &[Arc<LiveState>], mut bytes: usize) -> usize {
    let fits = |reading: &&Arc<LiveState>| match bytes.checked_sub(reading.value.text_bytes()) {
        Some(left) => {
            bytes = left;
            true
        }
        None => false,
    };
    readings.iter().take_while(fits).count()
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close();
    }
}
