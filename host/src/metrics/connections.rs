//! Connections to the control socket: how many are open, and how many found no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::meter::Count;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    open: AtomicU64,
    refused: Count,
    /// Somebody was turned away since somebody last came in.
    full: AtomicBool,
}

/// One that is open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Connections);

impl Connections {
    /// One came in.
    pub(crate) fn enter(&self) -> OpenConnection {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        self.0.full.store(false, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// One found no room; whether it is the first since one came in, and worth a line of the log.
    pub(crate) fn turn_away(&self) -> bool {
        self.0.refused.add(1);
        !self.0.full.swap(true, Ordering::Relaxed)
    }

    /// How many are open.
    pub(crate) fn open(&self) -> u64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// How many found no room.
    pub(crate) fn refused(&self) -> u64 {
        self.0.refused.get()
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
