//! When a file rests: pure, fed with looks at the folder and with the time.
//!
//! # How a finished file is told from a half-written one
//!
//! Nothing in the file system says "complete", so a file must rest: nothing of it (size, times, inode, owner, mode)
//! has changed for `stable_for`. A file that nothing has changed for that long when it is first seen rests already,
//! which makes a start quick and a move of an old file immediate.
//!
//! Two notifications say more. A writer that closes the file (`cp`, `install`, a linker, a download) and a rename into
//! place (`mv`, an editor, `rsync`) are how finished files come about, so after these the wait is cut to
//! [`CUT_WAIT`], which lets `cp -p` set times and mode after it has closed. It may still be wrong (a shell loop that
//! appends closes the file after each part), so a file that is refused after the short wait is looked at again after
//! the whole one, and only then told about.
//!
//! What rested by its times and is found to change while it is read (a slow `cp` over a file that was there) rests anew,
//! a few times over: a copy under way is no refusal.
//!
//! A name that vanishes is given the same time to come back: `rm` and `cp`, `install` and most linkers replace a file
//! by deleting and making it, and a rename must not look like an end followed by a beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::Candidate;
use super::folder::{Listing, Stamp};

/// The wait after a notification that says a file is finished.
const CUT_WAIT: Duration = Duration::from_millis(10);

/// How often in a row a file may turn out to move while it is read before that is told.
const RESTLESS_MAX: u8 = 5;

/// What a look at the folder found out.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::plugin) enum Finding {
    /// A file rests.
    Rested {
        /// It.
        candidate: Candidate,
        /// Whether the wait was cut: a refusal is not told yet.
        early: bool,
    },
    /// A file that was looked at before is gone for good.
    Gone(String),
}

/// Every name in the folder with what is awaited of it.
#[derive(Debug)]
pub(in crate::plugin) struct Resting {
    stable_for: Duration,
    ownership: Option<(u32, u32)>,
    files: BTreeMap<String, Awaited>,
}

#[derive(Debug)]
struct Awaited {
    path: PathBuf,
    stamp: Stamp,
    phase: Phase,
    /// Whether it was handed on before, so that its end has to be told.
    looked_at: bool,
    /// How often in a row it moved while it was read.
    restless: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until it rests.
    Moving { since: Instant, finished_at: Option<Instant> },
    /// Handed on after the short wait, at a moment.
    LookedEarly { since: Instant },
    /// Handed on.
    Looked,
    /// Not in the folder.
    Missing { since: Instant },
}

impl Resting {
    pub(in crate::plugin) fn new(stable_for: Duration) -> Self {
        Self { stable_for, ownership: None, files: BTreeMap::new() }
    }

    /// Names that were known before the first look, so that their absence is told.
    pub(in crate::plugin) fn expect(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        for file_name in names {
            let awaited = Awaited {
                path: PathBuf::new(),
                stamp: Stamp::nothing(),
                phase: Phase::Missing { since: now.checked_sub(self.stable_for).unwrap_or(now) },
                looked_at: true,
                restless: 0,
            };
            self.files.insert(file_name, awaited);
        }
    }

    /// Takes in a look at the folder. `finished` are the names that were closed by a writer or renamed into place
    /// since the look before.
    pub(in crate::plugin) fn see(
        &mut self,
        listing: &Listing,
        finished: &BTreeSet<String>,
        now: Instant,
        wall: SystemTime,
    ) -> Vec<Finding> {
        if listing.ownership.is_some() && self.ownership != listing.ownership {
            if self.ownership.is_some() {
                self.look_again_at_all(now);
            }
            self.ownership = listing.ownership;
        }
        for (name, seen) in &listing.files {
            let finished_at = finished.contains(name).then_some(now);
            let age = seen.stamp.unchanged_for(wall).unwrap_or(Duration::ZERO).min(self.stable_for);
            let moving = Phase::Moving { since: now.checked_sub(age).unwrap_or(now), finished_at };
            match self.files.get_mut(name) {
                Some(known) if known.stamp == seen.stamp && finished_at.is_none() && known.is_there() => {}
                Some(known) => {
                    known.path.clone_from(&seen.path);
                    known.stamp = seen.stamp;
                    known.phase = moving;
                }
                None => {
                    let (path, stamp) = (seen.path.clone(), seen.stamp);
                    let awaited = Awaited { path, stamp, phase: moving, looked_at: false, restless: 0 };
                    self.files.insert(name.clone(), awaited);
                }
            }
        }
        for (name, known) in &mut self.files {
            if !listing.files.contains_key(name) && known.is_there() {
                known.phase = Phase::Missing { since: now };
            }
        }
        self.due(now)
    }

    fn due(&mut self, now: Instant) -> Vec<Finding> {
        let mut findings = Vec::new();
        let stable_for = self.stable_for;
        self.files.retain(|file_name, known| {
            if known.due(stable_for).is_none_or(|due| due > now) {
                return true;
            }
            if let Phase::Missing { .. } = known.phase {
                if known.looked_at {
                    findings.push(Finding::Gone(file_name.clone()));
                }
                return false;
            }
            let early = known.is_early(stable_for, now);
            let since = match known.phase {
                Phase::Moving { since, .. } | Phase::LookedEarly { since } | Phase::Missing { since } => since,
                Phase::Looked => now,
            };
            known.phase = if early { Phase::LookedEarly { since } } else { Phase::Looked };
            known.looked_at = true;
            let candidate = Candidate { file_name: file_name.clone(), path: known.path.clone() };
            findings.push(Finding::Rested { candidate, early });
            true
        });
        // What came is told before what went: a renamed file is there under its new name first.
        findings.sort_by_key(|finding| matches!(finding, Finding::Gone(_)));
        findings
    }

    /// What was found after the short wait is sound: nothing more to wait for.
    pub(in crate::plugin) fn settle(&mut self, file_name: &str) {
        if let Some(known) = self.files.get_mut(file_name) {
            known.restless = 0;
            if matches!(known.phase, Phase::LookedEarly { .. }) {
                known.phase = Phase::Looked;
            }
        }
    }

    /// What was handed on moved while it was read, so it rests anew. `false` when it did so too often in a row: what
    /// never comes to rest has to be told.
    pub(in crate::plugin) fn rest_anew(&mut self, file_name: &str, now: Instant) -> bool {
        let Some(known) = self.files.get_mut(file_name).filter(|known| known.is_there()) else { return true };
        known.restless = if known.restless < RESTLESS_MAX { known.restless + 1 } else { 0 };
        if known.restless > 0 {
            known.phase = Phase::Moving { since: now, finished_at: None };
        }
        known.restless > 0
    }

    /// Hands a file on once more, though nothing of it has changed.
    pub(in crate::plugin) fn look_again(&mut self, file_name: &str, now: Instant) {
        let rested = Phase::Moving { since: now.checked_sub(self.stable_for).unwrap_or(now), finished_at: None };
        if let Some(known) = self.files.get_mut(file_name)
            && known.phase == Phase::Looked
        {
            known.phase = rested;
        }
    }

    /// As [`Self::look_again`], at every file.
    pub(in crate::plugin) fn look_again_at_all(&mut self, now: Instant) {
        for file_name in self.files.keys().cloned().collect::<Vec<_>>() {
            self.look_again(&file_name, now);
        }
    }

    /// Whether a name is missing and not yet given up: its content may have come back under another one.
    pub(in crate::plugin) fn is_missing(&self, file_name: &str) -> bool {
        self.files.get(file_name).is_some_and(|known| matches!(known.phase, Phase::Missing { .. }))
    }

    /// Gives a missing name up at once.
    pub(in crate::plugin) fn give_up(&mut self, file_name: &str) {
        if self.is_missing(file_name) {
            self.files.remove(file_name);
        }
    }

    /// When the next look is due, if any file is waited for.
    pub(in crate::plugin) fn next_due(&self) -> Option<Instant> {
        self.files.values().filter_map(|known| known.due(self.stable_for)).min()
    }
}

impl Awaited {
    fn is_there(&self) -> bool {
        !matches!(self.phase, Phase::Missing { .. })
    }

    fn due(&self, stable_for: Duration) -> Option<Instant> {
        match self.phase {
            Phase::Moving { since, finished_at } => {
                let whole = since + stable_for;
                Some(finished_at.map_or(whole, |at| whole.min(at + CUT_WAIT)))
            }
            Phase::LookedEarly { since } | Phase::Missing { since } => Some(since + stable_for),
            Phase::Looked => None,
        }
    }

    fn is_early(&self, stable_for: Duration, now: Instant) -> bool {
        matches!(self.phase, Phase::Moving { since, .. } if since + stable_for > now)
    }
}

#[cfg(test)]
mod tests;
