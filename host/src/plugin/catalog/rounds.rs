//! The catalog's thread: looks at the folder when told or when it is time, takes what rests through the stages, tells
//! what changed. One closed set of inputs; everything that happens happens here, in order.
//!
//! A thread and not a task, because all of it is file work that blocks. Verdicts are told before they are in the
//! database: a row that is lost with the process is made again at the next start.

mod copies;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use gatehouse_plugin_api::ids::IntegrationType;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::shelf::{Shelf, Update};
use crate::clock::Clock;
use crate::plugin::discovery::{self, Candidate, Finding, FolderWatch, Listing, Resting};
use crate::plugin::staging::{StagedWatch, StagingFolder};
use crate::plugin::trust::{Trust, TrustWatch};
use crate::plugin::{PluginChange, Staged, Verdict, stage_candidate};
use crate::reason::{Reason, ReasonCode};
use crate::store::{IntegrationRow, Store};

/// How often a folder that is not there is looked for.
const ABSENT_LOOK: Duration = Duration::from_millis(250);
/// How long the first look waits at most for files that are still being written.
const FIRST_LOOK_WITHIN: Duration = Duration::from_secs(2);

/// All that can reach the thread.
#[derive(Debug)]
pub(super) enum Input {
    /// Something moved in the folder.
    Look,
    /// A list of what is trusted or revoked may have changed.
    Trust { done: Option<oneshot::Sender<()>> },
    /// A later stage refuses a generation.
    Report { sha256: String, reason: Reason, done: oneshot::Sender<()> },
    /// Somebody needs a generation no longer.
    Release { done: oneshot::Sender<()> },
    /// Somebody needs a generation that may not be in use any more.
    Fetch { sha256: String, found: oneshot::Sender<Option<Staged>> },
    /// Somebody needs every generation of a type.
    FetchAll { integration_type: IntegrationType, found: oneshot::Sender<Vec<Staged>> },
    /// Somebody waits until all that lies in the folder has its verdict.
    Settle { done: oneshot::Sender<()> },
    /// The catalog was dropped.
    End,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Rounds {
    pub(super) folder: PathBuf,
    pub(super) staging: StagingFolder,
    pub(super) trust: Trust,
    /// Tells of the trust lists while it is held; none when they cannot be watched.
    pub(super) _trust_watch: Option<TrustWatch>,
    pub(super) max_bytes: u64,
    /// How many generations of a plugin are kept that nothing needs.
    pub(super) keep: usize,
    pub(super) rescan_every: Duration,
    pub(super) resting: Resting,
    pub(super) watch: FolderWatch,
    pub(super) shelf: Shelf,
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) clock: Clock,
    pub(super) saves: mpsc::UnboundedSender<Arc<Verdict>>,
    /// Answered once every file of the first look has its verdict.
    pub(super) first_look: Option<oneshot::Sender<()>>,
    /// Answered once nothing in the folder waits for its verdict.
    pub(super) settling: Vec<oneshot::Sender<()>>,
    /// Every generation made, while somebody may hold it.
    pub(super) made: Vec<StagedWatch>,
    /// Whether a copy may have become useless.
    pub(super) sweep_due: bool,
    /// Whether the folder could be read at the last look: told once.
    pub(super) readable: bool,
    pub(super) absent: bool,
}

impl Rounds {
    pub(super) fn run(mut self, inputs: &Receiver<Input>) {
        let started = Instant::now();
        self.staging.sweep_unfinished();
        let mut rescan_at = started + self.rescan_every;
        loop {
            self.look();
            self.end_first_look(started);
            self.end_settling();
            if self.sweep_due && self.first_look.is_none() {
                self.sweep();
            }
            match inputs.recv_timeout(self.pause(rescan_at)) {
                Ok(Input::End) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(input) => self.handle(input),
                Err(RecvTimeoutError::Timeout) if Instant::now() >= rescan_at => {
                    rescan_at = Instant::now() + self.rescan_every;
                    self.rescan();
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn pause(&self, rescan_at: Instant) -> Duration {
        let now = Instant::now();
        let mut until = self.resting.next_due().map_or(rescan_at, |due| due.min(rescan_at));
        if self.absent {
            until = until.min(now + ABSENT_LOOK);
        }
        until.saturating_duration_since(now)
    }

    fn handle(&mut self, input: Input) {
        match input {
            Input::Look | Input::End => {}
            Input::Settle { done } => self.settling.push(done),
            Input::Trust { done } => {
                self.judge_again(done.is_some());
                if let Some(done) = done {
                    let _ = done.send(());
                }
            }
            Input::Report { sha256, reason, done } => {
                let changes = self.shelf.refuse_content(&sha256, &reason, self.clock.now_ms());
                self.tell(changes);
                let _ = done.send(());
            }
            Input::Release { done } => {
                self.sweep();
                let _ = done.send(());
            }
            Input::Fetch { sha256, found } => {
                let _ = found.send(self.fetch(&sha256));
            }
            Input::FetchAll { integration_type, found } => {
                let _ = found.send(self.fetch_all(&integration_type));
            }
        }
    }

    /// What is revoked ends at once, wherever it runs; all other files are looked at again.
    /// `at_once` when a command wrote the lists.
    fn judge_again(&mut self, at_once: bool) {
        if !self.trust.reload(at_once) {
            return;
        }
        let trust = self.trust.clone();
        let now_ms = self.clock.now_ms();
        let why = |plugin: &Staged| trust.revoked(plugin.file_name(), plugin.sha256(), plugin.signature_key());
        let refused = self.shelf.refuse_where(why, now_ms);
        self.made.retain(StagedWatch::is_held);
        // What runs hears of its end before it hears that its file is refused, which would let it run on.
        let revoked = self.made.iter_mut().filter_map(|held| {
            let reason = trust.revoked(&held.file_name, &held.sha256, held.key);
            let was_told = std::mem::replace(&mut held.is_revoked, reason.is_some());
            let (integration_type, sha256) = (held.integration_type.clone(), held.sha256.clone());
            Some(PluginChange::Revoked { integration_type, sha256, reason: reason.filter(|_| !was_told)? })
        });
        let changes = revoked.chain(refused).collect();
        self.tell(changes);
        self.resting.look_again_at_all(Instant::now());
    }

    fn look(&mut self) {
        let finished = self.watch.take_finished();
        let listing = match discovery::list(&self.folder) {
            Ok(listing) => listing,
            Err(error) => {
                if std::mem::replace(&mut self.readable, false) {
                    let folder = self.folder.display();
                    tracing::error!(%folder, %error, "the plugins folder cannot be read: its plugins stay as they are");
                }
                return;
            }
        };
        self.readable = true;
        self.see(&listing, &finished);
        if self.watch.follow(&listing) {
            // What moved before the watch began was not told.
            if let Ok(listing) = discovery::list(&self.folder) {
                self.see(&listing, &BTreeSet::new());
            }
        }
    }

    fn see(&mut self, listing: &Listing, finished: &BTreeSet<String>) {
        let absent = listing.identity.is_none();
        if absent && !self.absent {
            tracing::warn!(folder = %self.folder.display(), "the plugins folder is not there: it is looked for");
        }
        self.absent = absent;
        let findings = self.resting.see(listing, finished, Instant::now(), SystemTime::now());
        let mut updates = Vec::new();
        for finding in findings {
            match finding {
                Finding::Rested { candidate, early } => self.take_through(&candidate, early, &mut updates),
                Finding::Gone(name) => updates.push(Update::Gone(name)),
            }
        }
        self.apply(updates);
    }

    fn take_through(&mut self, candidate: &Candidate, early: bool, updates: &mut Vec<Update>) {
        match stage_candidate(&self.staging, candidate, self.max_bytes, &self.trust) {
            Ok(plugin) => {
                self.resting.settle(candidate.file_name());
                self.made.push(plugin.watch());
                // The same content under a name that has just vanished: renamed, and nothing else happened.
                for from in self.shelf.names_of_content(plugin.sha256()) {
                    if self.resting.is_missing(&from) {
                        self.resting.give_up(&from);
                        updates.push(Update::Renamed { from, to: candidate.file_name().to_owned() });
                    }
                }
                updates.push(Update::Sound(plugin));
            }
            Err(refused) if early => {
                tracing::debug!(file = candidate.file_name(), reason = %refused, "not sound yet: waited for");
            }
            Err(refused)
                if refused.reason().code == ReasonCode::ChangedWhileRead
                    && self.resting.rest_anew(candidate.file_name(), Instant::now()) =>
            {
                tracing::debug!(file = candidate.file_name(), reason = %refused, "still moving: waited for");
            }
            Err(refused) => updates.push(Update::Refused(refused)),
        }
    }

    fn apply(&mut self, updates: Vec<Update>) {
        if updates.is_empty() {
            return;
        }
        if self.shelf.brings_a_new_type(&updates) {
            self.learn_taken_names();
        }
        let changes = self.shelf.apply(updates, self.clock.now_ms());
        self.tell(changes);
    }

    fn learn_taken_names(&mut self) {
        if let Some(integrations) = self.integrations() {
            let other_than_type = |row: &IntegrationRow| row.id.as_str() != row.integration_type.as_str();
            let taken = integrations.iter().filter(|row| other_than_type(row)).map(|row| row.id.to_string());
            self.shelf.set_taken(taken.collect());
        }
    }

    fn integrations(&self) -> Option<Vec<IntegrationRow>> {
        match self.runtime.block_on(self.store.integration_list()) {
            Ok(rows) => Some(rows),
            Err(error) => {
                tracing::warn!(%error, "the integrations cannot be read: no name is checked, no copy deleted");
                None
            }
        }
    }

    fn tell(&mut self, changes: Vec<PluginChange>) {
        if changes.is_empty() {
            return;
        }
        self.sweep_due = true;
        self.shared.publish(&self.shelf);
        for change in changes {
            match &change {
                PluginChange::Verdict(verdict) => {
                    log_verdict(verdict);
                    // The task that saves ends with the runtime, and then nobody reads the row any more.
                    let _ = self.saves.send(Arc::clone(verdict));
                }
                PluginChange::Available(plugin) => {
                    let manifest = plugin.manifest();
                    tracing::info!(id = %manifest.id, version = %manifest.version, file = plugin.file_name(),
                        "plugin available");
                }
                PluginChange::Revoked { integration_type, sha256, reason } => {
                    tracing::warn!(id = %integration_type, sha256, code = %reason.code, %reason, "plugin revoked");
                }
                PluginChange::Unavailable { integration_type, reason } => {
                    tracing::warn!(id = %integration_type, code = %reason.code, %reason, "plugin unavailable");
                }
            }
            self.shared.broadcast(change);
        }
    }

    fn end_first_look(&mut self, started: Instant) {
        if self.resting.next_due().is_some() && started.elapsed() < FIRST_LOOK_WITHIN {
            return;
        }
        if let Some(first_look) = self.first_look.take() {
            self.sweep_due = true;
            let _ = first_look.send(());
        }
    }

    fn end_settling(&mut self) {
        if self.resting.next_due().is_none() {
            for done in self.settling.drain(..) {
                // Who no longer waits needs no answer.
                let _ = done.send(());
            }
        }
        self.settling.retain(|done| !done.is_closed());
    }

    fn rescan(&mut self) {
        self.judge_again(false);
        let now = Instant::now();
        for name in self.shelf.worth_another_look() {
            self.resting.look_again(&name, now);
        }
        if self.shelf.waits_for_a_name() {
            self.learn_taken_names();
            let changes = self.shelf.apply(Vec::new(), self.clock.now_ms());
            self.tell(changes);
        }
        self.sweep_due |= self.made.iter().any(|generation| !generation.is_held());
    }
}

fn log_verdict(verdict: &Verdict) {
    let (file, reason) = (&verdict.file_name, &verdict.reason);
    match reason.code {
        ReasonCode::Accepted | ReasonCode::ContentChanged => {
            tracing::debug!(file, code = %reason.code, %reason, "plugin file accepted");
        }
        ReasonCode::FileGone => tracing::info!(file, "plugin file gone"),
        _ => tracing::warn!(file, code = %reason.code, %reason, advice = reason.code.advice(), "plugin file not used"),
    }
}
