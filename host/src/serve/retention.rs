//! Readings and audit entries older than the configuration keeps them are deleted, now and then.

use std::time::Duration;

use crate::integration::Ground;
use crate::store::StoreError;

const DAY_MS: i64 = 24 * 3_600_000;

/// Deletes what is too old at every interval; never resolves. With `keep_days = 0` nothing is deleted for its age.
pub(super) async fn run(ground: Ground) {
    let config = &ground.config;
    let (readings_ms, audit_ms) = (kept_ms(config.history.keep_days), kept_ms(config.audit.keep_days));
    if readings_ms.is_none() && audit_ms.is_none() {
        return;
    }
    loop {
        let now_ms = ground.clock.now_ms();
        if let Some(keep_ms) = readings_ms {
            tell("readings", ground.store.readings_expire(now_ms.saturating_sub(keep_ms)).await);
        }
        if let Some(keep_ms) = audit_ms {
            tell("audit entries", ground.store.audit_expire(now_ms.saturating_sub(keep_ms)).await);
        }
        ground.clock.sleep(Duration::from_millis(config.history.expire_every_ms)).await;
    }
}

fn kept_ms(days: u64) -> Option<i64> {
    i64::try_from(days).ok().filter(|days| *days > 0).map(|days| days.saturating_mul(DAY_MS))
}

fn tell(what: &str, deleted: Result<impl TryInto<u64>, StoreError>) {
    match deleted.map(|rows| rows.try_into().unwrap_or(u64::MAX)) {
        Ok(0) => {}
        Ok(rows) => tracing::info!(what, rows, "old rows were deleted"),
        Err(error) => tracing::warn!(what, error = &error as &dyn std::error::Error, "old rows were not deleted"),
    }
}
