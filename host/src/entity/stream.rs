//! What subscribers see: one ring of recent readings for all, in which each has its own place.
//!
//! A subscriber is never waited for and has nothing of its own but its place and the few events it took last, so a
//! thousand that do not read cost what their connections cost. The ring is bounded by the number of readings and by the
//! bytes of their texts. One that falls behind by half of it sees `Lagged` and is dropped; with the token of its last
//! `Committed` it finds what it missed in the other half, or gets `Reset` and the full state. The full state is shared
//! as well: whoever comes while another's is there and the ring reaches back to it gets that one, and the readings since.
//!
//! A queue for each was here before: a thousand subscribers that did not read then held a thousand times the same.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::bounds::SUBSCRIBER_TEXT_MAX_BYTES;
use super::{LiveState, StateEvent};

/// Readings that a subscriber takes at once.
const TAKE: usize = 512;

/// The full state, sorted by address.
type Snapshot = [Arc<LiveState>];

/// The sending side; lives under the house's lock, so that all subscribers see one order.
#[derive(Debug)]
pub(super) struct Hub {
    boot: String,
    ring: Arc<Mutex<Ring>>,
    /// Counts what came, so that subscribers wake.
    news: watch::Sender<u64>,
    snapshot: Option<Kept>,
}

/// A full state that somebody is still taking.
#[derive(Debug)]
struct Kept {
    /// The registry's version and the last sequence number given when it was made.
    version: u64,
    sequence: u64,
    states: Weak<Snapshot>,
}

#[derive(Debug)]
struct Ring {
    /// How many readings a subscriber may be behind; twice as many are kept.
    limit: usize,
    /// In the order of their sequence numbers.
    readings: VecDeque<Entry>,
    /// The bytes of the texts of all readings that were ever here.
    bytes: u64,
    /// The same of those that are not any more.
    bytes_gone: u64,
    /// Every reading above this sequence number that subscribers saw is in the ring.
    floor: u64,
    committed: u64,
    closed: bool,
    lagged: u64,
}

#[derive(Debug)]
struct Entry {
    reading: Arc<LiveState>,
    /// The bytes of the texts up to this one, counted from the first reading ever.
    bytes: u64,
}

/// A stream of what subscribers see.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Mutex<Ring>>,
    news: watch::Receiver<u64>,
    /// It has everything up to this sequence number, or has it before it.
    at: u64,
    /// Where its last token leads; `None` before the first.
    told: Option<u64>,
    /// What is left of the full state: the state and how many of it are taken.
    state: Option<(Arc<Snapshot>, usize)>,
    taken: VecDeque<StateEvent>,
    /// It had everything once. Before, it may be as far behind as the ring goes: it takes what it missed.
    caught_up: bool,
    ended: bool,
}

impl Subscription {
    /// The next event; `None` after `Lagged` or when the house is closed. Safe to cancel.
    pub async fn next(&mut self) -> Option<StateEvent> {
        loop {
            if let Some(event) = self.taken.pop_front() {
                return Some(event);
            }
            if let Some((state, taken)) = &mut self.state {
                if let Some(reading) = state.get(*taken) {
                    *taken += 1;
                    return Some(StateEvent::Reading(Arc::clone(reading)));
                }
                self.state = None;
            }
            if self.ended {
                return None;
            }
            // Before the look, or what comes between the two would go unnoticed.
            self.news.borrow_and_update();
            self.take();
            if self.taken.is_empty() && !self.ended {
                // The house is gone, and with it whoever would bring more.
                self.news.changed().await.ok()?;
            }
        }
    }

    fn take(&mut self) {
        let mut ring = self.ring.lock();
        let first = ring.readings.partition_point(|entry| entry.reading.sequence <= self.at);
        if !ring.reaches(self.at) || (self.caught_up && ring.is_too_far_behind(first)) {
            ring.lagged += 1;
            self.taken.push_back(StateEvent::Lagged);
            self.ended = true;
            return;
        }
        let entries = ring.readings.range(first..).take(TAKE);
        self.taken.extend(entries.map(|entry| StateEvent::Reading(Arc::clone(&entry.reading))));
        let has_all = first + self.taken.len() == ring.readings.len();
        self.caught_up |= has_all;
        if let Some(StateEvent::Reading(last)) = self.taken.back() {
            self.at = last.sequence;
        }
        // A token must not lead behind what was not seen yet.
        let safe = if has_all { ring.committed } else { ring.committed.min(self.at) };
        if self.told.is_none_or(|told| told < safe) {
            self.told = Some(safe);
            self.taken.push_back(StateEvent::Committed { sequence: safe });
        }
        self.ended = ring.closed && has_all;
    }
}

impl Hub {
    pub(super) fn new(boot: String, limit: usize) -> Self {
        let ring = Ring {
            limit: limit.max(1),
            readings: VecDeque::new(),
            bytes: 0,
            bytes_gone: 0,
            floor: 0,
            committed: 0,
            closed: false,
            lagged: 0,
        };
        Self { boot, ring: Arc::new(Mutex::new(ring)), news: watch::Sender::new(0), snapshot: None }
    }

    /// The token that resumes behind this committed sequence number.
    pub(super) fn token(&self, sequence: u64) -> String {
        format!("{}:{sequence}", self.boot)
    }

    /// The sequence number of a token of this boot, when the ring reaches back to it.
    fn resumable(&self, token: &str, highest: u64) -> Option<u64> {
        let (boot, sequence) = token.rsplit_once(':')?;
        let sequence = sequence.parse().ok()?;
        (boot == self.boot && sequence <= highest && self.ring.lock().reaches(sequence)).then_some(sequence)
    }

    /// A new subscriber. `highest`: the last sequence number given; `live`: the full state, asked for when needed, as it
    /// is at this version of the registry.
    pub(super) fn subscribe(
        &mut self,
        resume: Option<&str>,
        highest: u64,
        version: u64,
        live: impl FnOnce() -> Vec<Arc<LiveState>>,
    ) -> Subscription {
        let mut subscription = Subscription {
            ring: Arc::clone(&self.ring),
            news: self.news.subscribe(),
            at: 0,
            told: None,
            state: None,
            taken: VecDeque::new(),
            caught_up: false,
            ended: false,
        };
        if let Some(sequence) = resume.and_then(|token| self.resumable(token, highest)) {
            subscription.at = sequence;
            return subscription;
        }
        let (states, at) = self.state_at(version).unwrap_or_else(|| {
            let states: Arc<Snapshot> = live().into();
            self.snapshot = Some(Kept { version, sequence: highest, states: Arc::downgrade(&states) });
            (states, highest)
        });
        subscription.taken.push_back(StateEvent::Reset);
        subscription.state = Some((states, 0));
        subscription.at = at;
        subscription
    }

    /// A full state that is there already, when the ring has all that came since.
    fn state_at(&self, version: u64) -> Option<(Arc<Snapshot>, u64)> {
        let kept = self.snapshot.as_ref().filter(|kept| kept.version == version)?;
        let states = kept.states.upgrade()?;
        let ring = self.ring.lock();
        let since = ring.readings.partition_point(|entry| entry.reading.sequence <= kept.sequence);
        // Near enough that taking it in peace does not make its taker too slow.
        let near = ring.readings.len() - since <= ring.limit / 4 && ring.reaches(kept.sequence);
        near.then_some((states, kept.sequence))
    }

    /// Open subscriptions, and how many were ended because they were too slow.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.news.receiver_count() as u64, self.ring.lock().lagged)
    }

    /// Shows readings, in the order of their sequence numbers.
    pub(super) fn publish(&mut self, readings: &[Arc<LiveState>]) {
        self.ring.lock().push(readings);
        self.wake();
    }

    /// Says that everything up to a sequence number is committed.
    pub(super) fn committed(&mut self, sequence: u64) {
        self.ring.lock().committed = sequence;
        self.wake();
    }

    /// Ends every subscription after what there is.
    pub(super) fn close(&mut self) {
        self.ring.lock().closed = true;
        self.wake();
    }

    fn wake(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Ring {
    fn push(&mut self, readings: &[Arc<LiveState>]) {
        for reading in readings {
            self.bytes += reading.value.text_bytes() as u64;
            self.readings.push_back(Entry { reading: Arc::clone(reading), bytes: self.bytes });
        }
        let most_bytes = 2 * SUBSCRIBER_TEXT_MAX_BYTES as u64;
        while self.readings.len() > 2 * self.limit || self.bytes - self.bytes_gone > most_bytes {
            let Some(oldest) = self.readings.pop_front() else { break };
            self.bytes_gone = oldest.bytes;
            self.floor = oldest.reading.sequence;
        }
    }

    /// Whether everything above a sequence number is here.
    fn reaches(&self, sequence: u64) -> bool {
        sequence >= self.floor
    }

    /// Whether the readings from this one on are more than a subscriber may be behind.
    fn is_too_far_behind(&self, first: usize) -> bool {
        let before = first.checked_sub(1).and_then(|last| self.readings.get(last));
        let bytes = self.bytes - before.map_or(self.bytes_gone, |entry| entry.bytes);
        self.readings.len() - first > self.limit || bytes > SUBSCRIBER_TEXT_MAX_BYTES as u64
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close();
    }
}
