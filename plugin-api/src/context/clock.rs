//! The time as a gateway sees it: the machine's, or one that a test moves by hand.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// Where the real clock's [`Clock::elapsed`] begins.
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The gateway's clock: real in a host, virtual in [`crate::testing`].
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Virtual(Arc<VirtualTime>),
}

/// A time that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct VirtualTime {
    now_ms: Mutex<i64>,
    moved: Notify,
}

impl VirtualTime {
    pub(crate) fn new(now_ms: i64) -> Arc<Self> {
        Arc::new(Self { now_ms: Mutex::new(now_ms), moved: Notify::new() })
    }

    pub(crate) fn now_ms(&self) -> i64 {
        *self.now_ms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.now_ms.lock().unwrap_or_else(PoisonError::into_inner) += millis(by);
        self.moved.notify_waiters();
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Clock {
    pub(crate) fn system() -> Self {
        Self(Source::System)
    }

    pub(crate) fn virtual_time(time: Arc<VirtualTime>) -> Self {
        Self(Source::Virtual(time))
    }

    /// Milliseconds since 1970-01-01 UTC. Any thread; never blocks.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            // A machine whose clock stands before 1970 has none that is set.
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
            Source::Virtual(time) => time.now_ms(),
        }
    }

    /// How much time has gone by since a moment that is always the same; never runs backwards as the time of day may.
    pub(crate) fn elapsed(&self) -> Duration {
        match &self.0 {
            Source::System => BEGIN.elapsed(),
            Source::Virtual(time) => Duration::from_millis(time.now_ms().unsigned_abs()),
        }
    }

    /// Resolves when this much time has gone by on this clock. Dropped, it leaves nothing behind.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Virtual(time) => {
                let until = time.now_ms().saturating_add(millis(duration));
                loop {
                    let moved = time.moved.notified();
                    if time.now_ms() >= until {
                        return;
                    }
                    moved.await;
                }
            }
        }
    }
}
