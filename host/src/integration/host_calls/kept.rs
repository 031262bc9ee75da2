//! What an integration keeps in its stores, and the bound of it.
//!
//! Counting is a look at every row, so it is done once and then what is written is added. That is too much when a value
//! replaces another one; it is counted anew when the sum would be over the bound, and not again while nothing was written.

use gatehouse_plugin_api::error::{CallError, ErrorCode};

use super::Parts;
use super::lanes::store_failed;
use crate::store::KvSpace;

/// At least what is kept, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    bytes: u64,
    exact: bool,
}

/// Whether a value has room, which is refused in a sentence when it has not. For the one lane that writes.
pub(super) async fn make_room(parts: &Parts, space: KvSpace, key: &str, bytes: u64) -> Result<Kept, CallError> {
    let most_mb = parts.base.config.integrations.store_mb;
    let most = most_mb.saturating_mul(1024 * 1024);
    let (store, before) = (&parts.base.store, *parts.kept.lock());
    let kept = match before {
        Some(kept) if kept.exact || kept.bytes.saturating_add(bytes) <= most => kept,
        _ => Kept { bytes: store.kv_bytes(&parts.id).await.map_err(store_failed)?, exact: true },
    };
    *parts.kept.lock() = Some(kept);
    let after = Kept { bytes: kept.bytes.saturating_add(bytes), exact: false };
    if after.bytes <= most {
        return Ok(after);
    }
    let replaced = store.kv_bytes_of(&parts.id, space, key).await.map_err(store_failed)?;
    let left = kept.bytes.saturating_sub(replaced);
    if left.saturating_add(bytes) <= most {
        return Ok(Kept { bytes: left.saturating_add(bytes), exact: kept.exact });
    }
    tracing::debug!(key, bytes, kept = kept.bytes, most, "a value was refused: too much is kept");
    Err(CallError::new(
        ErrorCode::Refused,
        format!(
            "{key:?} has {bytes} bytes, and {} of the {most} that may be kept are taken: delete some keys, or have \
             integrations.store_mb raised",
            kept.bytes
        ),
    ))
}

/// After a value was written or deleted.
pub(super) fn written(parts: &Parts, after: Option<Kept>) {
    let mut kept = parts.kept.lock();
    *kept = after.or(kept.map(|kept| Kept { exact: false, ..kept }));
}
