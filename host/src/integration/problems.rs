//! Contents that did not come up when a person set an integration up with them: kept until they do.
//!
//! Such a failure is no verdict: it may be of this machine, this moment or this one id, and the next attempt may work.
//! Where an integration exists its own state tells of its failures; in a flow for a new one there is nothing else.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::reason::Reason;

/// The most contents that are remembered.
const CONTENTS: usize = 256;

/// Why a content did not come up the last time, by its SHA-256.
#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<BTreeMap<String, Reason>>);

impl Problems {
    /// It did not come up.
    pub(super) fn note(&self, sha256: &str, reason: &Reason) {
        let mut problems = self.0.lock();
        if problems.len() >= CONTENTS && !problems.contains_key(sha256) {
            problems.pop_first();
        }
        problems.insert(sha256.to_owned(), reason.clone());
    }

    /// It came up.
    pub(super) fn forget(&self, sha256: &str) {
        self.0.lock().remove(sha256);
    }

    /// Why it did not come up the last time.
    pub(super) fn of(&self, sha256: &str) -> Option<Reason> {
        self.0.lock().get(sha256).cloned()
    }
}
