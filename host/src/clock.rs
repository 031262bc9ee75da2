//! The time, injected: backoff, retention and history are tested without waiting.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// Tells the wall-clock time in milliseconds since 1970 UTC, and sleeps. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    Machine,
    Manual(ManualTime),
}

/// The hands of a manual clock. Cheap to clone; reads and writes as an `AtomicI64` of milliseconds since 1970 UTC.
#[derive(Debug, Clone)]
pub struct ManualTime(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    now_ms: AtomicI64,
    moved: Notify,
}

impl ManualTime {
    /// Moves the clock on and wakes every sleeper whose time has come.
    pub fn advance(&self, by: Duration) {
        self.0.now_ms.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }
}

impl Deref for ManualTime {
    type Target = AtomicI64;
    fn deref(&self) -> &AtomicI64 {
        &self.0.now_ms
    }
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::Machine)
    }

    /// A clock that a test moves by the returned hands.
    pub fn manual(start_ms: i64) -> (Self, ManualTime) {
        let hands = ManualTime(Arc::new(Hands { now_ms: AtomicI64::new(start_ms), moved: Notify::new() }));
        (Self(Source::Manual(hands.clone())), hands)
    }

    /// Now, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Source::Machine => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)),
            Source::Manual(hands) => hands.load(Ordering::SeqCst),
        }
    }

    /// Resolves after `time` from now on: monotonic on the machine, so that setting the wall clock delays nothing.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + use<> {
        let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let (source, until) = (self.0.clone(), self.now_ms().saturating_add(millis));
        let begun = tokio::time::Instant::now();
        async move {
            match source {
                Source::Machine => match begun.checked_add(time) {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                },
                Source::Manual(hands) => loop {
                    // Registered before the look at the hands, so that no move between the two is missed.
                    let moved = hands.0.moved.notified();
                    if hands.load(Ordering::SeqCst) >= until {
                        return;
                    }
                    moved.await;
                },
            }
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_hands_have_moved_far_enough() {
        let (clock, hands) = Clock::manual(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep(Duration::from_secs(60)).await;
                clock.now_ms()
            }
        });
        tokio::task::yield_now().await;
        hands.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        hands.advance(Duration::from_secs(1));
        assert_eq!(sleeper.await.expect("not cancelled"), 61_000);
    }
}
