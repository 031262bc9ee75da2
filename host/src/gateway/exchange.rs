//! What goes on between the host and one integration's gateway: the calls in flight, and how the last one came out.
//!
//! One record for each integration, over all its generations. Heartbeats are no exchange: they say nothing that a call
//! in flight does not say better.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Clock;

/// Calls in flight that are told of.
const IN_FLIGHT_TOLD: usize = 8;

/// One call of the host's that came back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exchange {
    /// The operation.
    pub op: String,
    /// When it began, in milliseconds since 1970 UTC.
    pub began_ms: i64,
    /// How long it took.
    pub took_ms: u64,
    /// `ok`, else the error's code.
    pub outcome: String,
}

/// One call that has not come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InFlight {
    /// The operation.
    pub op: String,
    /// How long it has been under way.
    pub age_ms: u64,
}

/// The record, as one generation of the integration writes it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Exchanges {
    clock: Clock,
    kept: Arc<Mutex<Kept>>,
    generation: u64,
}

#[derive(Debug, Default)]
struct Kept {
    next: u64,
    /// Generations so far.
    generations: u64,
    /// The one in use, whose calls are told of when they have come back.
    in_use: u64,
    in_flight: BTreeMap<u64, (&'static str, Instant)>,
    last: Option<Exchange>,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self::new(Clock::system())
    }
}

impl Exchanges {
    /// An empty record.
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Arc::default(), generation: 0 }
    }

    /// The same record for a further generation; its calls are told of once it is [in use](Self::take_over).
    #[must_use]
    pub fn of_another(&self) -> Self {
        let mut kept = self.kept.lock();
        kept.generations += 1;
        Self { generation: kept.generations, ..self.clone() }
    }

    /// This generation is the one in use from now on; how the one before is ended is no longer told of.
    pub fn take_over(&self) {
        self.kept.lock().in_use = self.generation;
    }

    /// Makes a call, and keeps a record of it.
    pub(super) async fn call<T>(
        &self,
        op: &'static str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let (began_ms, began) = (self.clock.now_ms(), Instant::now());
        let number = {
            let mut kept = self.kept.lock();
            kept.next += 1;
            let number = kept.next;
            kept.in_flight.insert(number, (op, began));
            number
        };
        let _flight = Flight { kept: &self.kept, number };
        let answer = call.await;
        let outcome = answer.as_ref().err().map_or("ok", |error| error.code.as_str()).to_owned();
        let took_ms = millis(began);
        let mut kept = self.kept.lock();
        if kept.in_use == self.generation {
            kept.last = Some(Exchange { op: op.to_owned(), began_ms, took_ms, outcome });
        }
        drop(kept);
        answer
    }

    /// The call that came back last.
    pub fn last(&self) -> Option<Exchange> {
        self.kept.lock().last.clone()
    }

    /// What holds this generation when it does not answer any more: the calls in flight, else the one that was given up
    /// last for being late, because nothing has told the gateway to leave it.
    pub(super) fn holding(&self) -> Vec<InFlight> {
        let in_flight = self.in_flight();
        let is_mine = self.kept.lock().in_use == self.generation;
        let late = |last: &Exchange| is_mine && last.outcome == ErrorCode::Deadline.as_str();
        match self.last().filter(late) {
            Some(Exchange { op, began_ms, .. }) if in_flight.is_empty() => {
                let age_ms = self.clock.now_ms().saturating_sub(began_ms).max(0).unsigned_abs();
                vec![InFlight { op, age_ms }]
            }
            _ => in_flight,
        }
    }

    /// The calls that have not come back, the newest first.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let kept = self.kept.lock();
        let newest = kept.in_flight.values().rev().take(IN_FLIGHT_TOLD);
        newest.map(|(op, began)| InFlight { op: (*op).to_owned(), age_ms: millis(*began) }).collect()
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Takes a call out again, however it ends.
struct Flight<'a> {
    kept: &'a Mutex<Kept>,
    number: u64,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.kept.lock().in_flight.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_came_last_is_of_the_generation_in_use() {
        let before = Exchanges::new(Clock::manual(5_000).0);
        before.call("poll", async { Ok(()) }).await.expect("well");
        let after = before.of_another();
        after.call("start", async { Ok(()) }).await.expect("well");
        assert_eq!(before.last().expect("one").op, "poll");
        after.take_over();
        before.call("stop", async { Ok(()) }).await.expect("well");
        assert_eq!(after.last().expect("one").op, "poll");
        after.call("control", async { Ok(()) }).await.expect("well");
        assert_eq!(before.last().expect("one").op, "control");
    }

    #[tokio::test]
    async fn calls_are_in_flight_until_they_come_back_or_are_given_up() {
        let exchanges = Exchanges::new(Clock::manual(5_000).0);
        assert_eq!(exchanges.last(), None);
        exchanges.call("start", async { Ok(()) }).await.expect("well");
        let last = exchanges.last().expect("one");
        assert_eq!((last.op.as_str(), last.began_ms, last.outcome.as_str()), ("start", 5_000, "ok"));
        let late = exchanges.call::<()>("poll", async {
            let flying = exchanges.in_flight();
            assert_eq!(flying.iter().map(|call| call.op.as_str()).collect::<Vec<_>>(), ["poll"]);
            Err(CallError::new(ErrorCode::Deadline, "late"))
        });
        late.await.expect_err("late");
        assert_eq!(exchanges.last().expect("one").outcome, "deadline");
        drop(exchanges.call::<()>("manage", std::future::pending()));
        let given_up = exchanges.call::<()>("control", std::future::pending());
        let _ = tokio::time::timeout(std::time::Duration::ZERO, given_up).await;
        assert_eq!(exchanges.in_flight(), []);
        assert_eq!(exchanges.last().expect("one").op, "poll");
    }

    #[tokio::test]
    async fn what_was_given_up_for_being_late_holds_a_gateway_that_answers_nothing() {
        let (clock, hands) = Clock::manual(5_000);
        let exchanges = Exchanges::new(clock);
        exchanges.call("start", async { Ok(()) }).await.expect("well");
        assert_eq!(exchanges.holding(), []);
        let late = || CallError::new(ErrorCode::Deadline, "late");
        exchanges.call::<()>("poll", async { Err(late()) }).await.expect_err("late");
        hands.advance(std::time::Duration::from_secs(3));
        assert_eq!(exchanges.holding(), [InFlight { op: "poll".to_owned(), age_ms: 3_000 }]);
        assert_eq!(exchanges.of_another().holding(), [], "it is not that of another generation");
        let during = exchanges.call::<()>("control", async {
            assert_eq!(exchanges.holding().iter().map(|call| call.op.as_str()).collect::<Vec<_>>(), ["control"]);
            Ok(())
        });
        during.await.expect("well");
        assert_eq!(exchanges.holding(), []);
    }
}
