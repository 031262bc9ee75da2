//! Readings older than the configuration keeps them are deleted, now and then.

use std::time::Duration;

use crate::integration::Ground;

const DAY_MS: i64 = 24 * 3_600_000;

/// Deletes old readings at every interval; never resolves. With `keep_days = 0` nothing is ever deleted.
pub(super) async fn run(ground: Ground) {
    let history = &ground.config.history;
    let Some(keep_ms) = i64::try_from(history.keep_days).ok().filter(|days| *days > 0) else {
        return;
    };
    let keep_ms = keep_ms.saturating_mul(DAY_MS);
    loop {
        match ground.store.readings_expire(ground.clock.now_ms().saturating_sub(keep_ms)).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "old readings were deleted"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "old readings were not deleted"),
        }
        ground.clock.sleep(Duration::from_millis(history.expire_every_ms)).await;
    }
}
