//! Waiting for a condition, with a bound that only a failure reaches.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a condition may take on a slow machine before it counts as never.
pub const BOUND: Duration = Duration::from_secs(60);

/// Polls `probe` until it gives a value.
///
/// # Panics
/// After [`BOUND`], naming what was waited for and what was seen last.
#[track_caller]
pub fn wait_for<T, E: Debug>(what: &str, mut probe: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if Instant::now() > end => panic!("waited {BOUND:?} for {what}; last seen: {last:?}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
