//! Being told that a trust list moved, so that a revocation is in force at once.
//!
//! The lists have a folder of their own, because the home around it is written all the time.

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::Trust;

/// Tells while it is held.
#[derive(Debug)]
pub(in crate::plugin) struct TrustWatch(#[expect(dead_code, reason = "it tells while it is held")] RecommendedWatcher);

impl TrustWatch {
    /// Calls `wake` on the watcher's thread whenever a list may have changed. None when nothing can be watched: the
    /// lists are then read at intervals.
    pub(in crate::plugin) fn on(trust: &Trust, wake: impl Fn() + Send + 'static) -> Option<Self> {
        let folder = trust.folder()?;
        let hear = move |event: notify::Result<notify::Event>| {
            // Reading the lists is the daemon's own doing.
            let is_access = |event: &notify::Event| matches!(event.kind, EventKind::Access(_)) && !event.need_rescan();
            if !event.is_ok_and(|event| is_access(&event)) {
                wake();
            }
        };
        let watching = notify::recommended_watcher(hear).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => Some(Self(watcher)),
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the trust lists are only read at intervals");
                None
            }
        }
    }
}
