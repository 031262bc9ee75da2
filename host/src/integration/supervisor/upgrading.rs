//! What an upgrade asks for, done: trying a new generation, starting it beside, switching, going back.
//!
//! The switch has one point at which it happens: the transaction in [`Store::upgrade_switch`]. Before it the next start
//! of the daemon runs the old generation with its data, after it the new one with what it wrote and the old data in the
//! shadow. Everything in memory follows it without a wait in between.
//!
//! [`Store::upgrade_switch`]: crate::store::Store::upgrade_switch

use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::manifest::{Capability, wants_more};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::bring_up::{BringUp, Running};
use super::crossing::{Crossed, Crossing, Moment, Ready};
use super::{Input, Supervisor, lifecycle};
use crate::gateway::Exchanges;
use crate::integration::attributes;
use crate::integration::lifecycle::Failure;
use crate::integration::upgrade::{self, Effect, How, Patience, Stage};
use crate::plugin::Staged;
use crate::reason::{Reason, ReasonCode};
use crate::store::{GenerationRow, Pin, Trial, UpgradeRow};

/// A failure on trial, until it is undone.
#[derive(Debug)]
pub(super) struct GoingBack {
    reason: Reason,
    /// What the lifecycle hears when there is no way back.
    otherwise: Option<lifecycle::Input>,
}

/// A way to a switch that is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    epoch: u64,
    cancel: CancellationToken,
    exchanges: Exchanges,
}

/// A generation as it is remembered.
pub(super) fn generation_of(plugin: &Staged) -> GenerationRow {
    GenerationRow { sha256: plugin.sha256().to_owned(), version: plugin.manifest().version.clone() }
}

/// Whether two generations cannot run at the same time.
fn is_exclusive(plugin: &Staged) -> bool {
    let needs = &plugin.manifest().capabilities;
    needs.iter().any(|need| matches!(need, Capability::Device { .. } | Capability::Listen { .. }))
}

impl Supervisor {
    pub(super) fn upgrade_step(&mut self, input: upgrade::Input) {
        let config = &self.base.config.integrations;
        let millis = |ms| i64::try_from(ms).unwrap_or(i64::MAX);
        let patience = Patience { trial_ms: millis(config.trial_ms), retry_ms: millis(config.switch_retry_ms) };
        let upgrade = std::mem::take(&mut self.upgrade);
        let (upgrade, effects) = upgrade.step(input, self.base.clock.now_ms(), patience);
        self.upgrade = upgrade;
        for effect in effects {
            match effect {
                Effect::Try => self.try_out(),
                Effect::Cross => self.cross(),
                Effect::Replace => {
                    self.take_newer();
                    self.step(lifecycle::Input::Probed(Ok(())));
                }
                Effect::GiveUp => self.give_up(),
                Effect::GoBack(reason) => {
                    self.going_back.get_or_insert(GoingBack { reason, otherwise: None });
                }
                Effect::EndTrial => {
                    tracing::info!("the new version has proven itself");
                    self.held.trial = None;
                    self.held_unsaved = true;
                }
                Effect::Unfit(reason) => self.step(lifecycle::Input::Probed(Err(reason))),
                Effect::Tell(note) => self.step(lifecycle::Input::UpgradeTold(note)),
            }
        }
        self.settle_crossing_waits();
        self.announce();
        self.answer_waiting();
    }

    /// There is a new generation beside the one in use.
    pub(super) fn found(&mut self) {
        self.untried = false;
        let Some(candidate) = self.candidate.clone() else { return };
        let hindrance = self.hindrance(&candidate);
        self.upgrade_step(upgrade::Input::Found(hindrance));
    }

    /// How a new generation takes over.
    pub(super) fn how(&self, new: &Staged) -> How {
        let exclusive = is_exclusive(new) || self.plugin.as_ref().is_some_and(is_exclusive);
        if exclusive { How::Alone } else { How::Beside }
    }

    /// What keeps a generation from being used, if anything.
    pub(super) fn hindrance(&self, new: &Staged) -> Option<Reason> {
        let version = &new.manifest().version;
        if let Some(pin) = self.held.pin.as_ref().filter(|pin| pin.to.sha256 != new.sha256()) {
            let sentence = format!("version {version} is there and not used: {}", pin.why);
            return Some(Reason::new(ReasonCode::Pinned, sentence));
        }
        let more = self.more_of(new);
        (!more.is_empty()).then(|| {
            let sentence = format!("version {version} waits for a person's yes, it also wants to {}", more.join("; "));
            Reason::new(ReasonCode::WantsMore, sentence)
        })
    }

    /// What a generation wants beyond what a person granted, in words.
    pub(super) fn more_of(&self, new: &Staged) -> Vec<String> {
        let Some(granted) = &self.held.granted else { return Vec::new() };
        wants_more(granted, &new.manifest().capabilities).iter().map(|need| need.sentence()).collect()
    }

    fn cross(&mut self) {
        let (Some(candidate), Some(old)) = (self.candidate.clone(), self.running()) else { return };
        self.give_up();
        self.epochs += 1;
        let (epoch, cancel) = (self.epochs, CancellationToken::new());
        let exchanges = self.shared.exchanges.of_another();
        let hosting = self.base.hosting(&self.row.id);
        if hosting == crate::gateway::Hosting::InProcess {
            self.mapped.insert(candidate.sha256().to_owned());
        }
        let bring_up = BringUp {
            base: Arc::clone(&self.base),
            id: self.row.id.clone(),
            attributes: attributes::known(&candidate.manifest().attributes, &self.row.attributes),
            plugin: candidate,
            hosting,
            good: None,
            trial: None,
            host: self.host_side(epoch, true),
            exchanges: exchanges.clone(),
            cancel: cancel.clone(),
        };
        let crossing = Crossing {
            base: Arc::clone(&self.base),
            bring_up,
            old,
            turns: Arc::clone(&self.shared.turns),
            cancel: cancel.clone(),
        };
        let (base, id, inputs) = (Arc::clone(&self.base), self.row.id.clone(), self.inputs.clone());
        let work = async move {
            // Ahead of the switch, which then has little left to copy.
            if let Err(error) = base.store.shadow_copy(&id).await {
                tracing::warn!(%error, "the data could not be copied ahead of the switch");
            }
            let _ = inputs.send(Input::Crossed(epoch, crossing.run().await));
        };
        self.gateways.spawn(work.in_current_span());
        self.crossing = Some(UnderWay { epoch, cancel, exchanges });
    }

    fn give_up(&mut self) {
        if let Some(under_way) = self.crossing.take() {
            under_way.cancel.cancel();
        }
    }

    /// Nothing of the generation in use is left, or will be: what was to take its place waits for its next start.
    pub(super) fn leave_upgrade(&mut self) {
        if matches!(self.upgrade.stage, Stage::Trying | Stage::Beside) {
            self.untried = self.candidate.is_some();
            self.upgrade_step(upgrade::Input::Gone);
        }
    }

    pub(super) async fn crossed(&mut self, epoch: u64, crossed: Crossed) {
        let current = self.crossing.take_if(|under_way| under_way.epoch == epoch);
        match (crossed, current) {
            (Crossed::Ready(ready), Some(way)) if self.running().is_some() && self.life.holds_gateway() => {
                self.switch(way, *ready).await;
            }
            (Crossed::Ready(ready), _) => self.end_beside(ready.new),
            (_, None) => {}
            (Crossed::NotUp(reason), _) => {
                self.note_need(&reason);
                self.upgrade_step(upgrade::Input::NotUp(reason));
            }
            (Crossed::MustBeAlone, _) => self.upgrade_step(upgrade::Input::MustBeAlone),
            (Crossed::Busy(reason), _) => self.upgrade_step(upgrade::Input::Busy(reason)),
            (Crossed::GivenUp, _) => {}
        }
    }

    /// The switch: one transaction, then the new generation is the one in use.
    async fn switch(&mut self, way: UnderWay, ready: Ready) {
        let Ready { new, moment } = ready;
        let Some(old) = self.running() else { return };
        let still = old.host.pause_store().await;
        let mut kept = new.host.take_kept().await;
        let until_ms = self.trial_until();
        let trial = Trial { from: generation_of(&old.plugin), to: generation_of(&new.plugin), until_ms };
        let held = UpgradeRow { trial: Some(trial), ..self.held.clone() };
        let written = std::mem::take(&mut kept.written);
        if let Err(error) = self.base.store.upgrade_switch(&self.row.id, held.clone(), written).await {
            // Both generations are what they were.
            drop((still, kept, moment));
            self.end_beside(new);
            let sentence = "its new version waits and the version before runs on: the database cannot be written";
            let reason = Reason::new(ReasonCode::UpgradeWaits, sentence).caused_by(error);
            self.upgrade_step(upgrade::Input::Busy(reason));
            return;
        }
        old.host.shut();
        still.replaced();
        kept.committed();
        self.held = held;
        self.row.last_good_sha256 = Some(new.plugin.sha256().to_owned());
        self.epoch = way.epoch;
        way.exchanges.take_over();
        if let Some(poll) = self.poll.take() {
            poll.abort();
        }
        self.sync_over();
        self.progress = None;
        self.plugin = self.candidate.take();
        self.wants_settings = None;
        *self.shared.running.write() = Some(new.clone());
        self.hand_on(old, &new, moment);
        self.attend(&new);
        self.upgrade_step(upgrade::Input::TookOver);
        self.step(lifecycle::Input::Switched);
    }

    pub(super) fn trial_until(&self) -> i64 {
        let trial_ms = i64::try_from(self.base.config.integrations.trial_ms).unwrap_or(i64::MAX);
        self.base.clock.now_ms().saturating_add(trial_ms)
    }

    /// What the old generation had queued comes first, then what the new one was held with, then calls; then the old
    /// one is ended.
    fn hand_on(&self, old: Running, new: &Running, moment: Moment) {
        let (base, new) = (Arc::clone(&self.base), new.host.clone());
        let work = async move {
            {
                let in_order = async {
                    old.host.retire().await;
                    new.release().await;
                };
                let mut in_order = std::pin::pin!(in_order);
                let hold = base.clock.sleep(Duration::from_millis(base.config.integrations.switch_hold_ms));
                let done = tokio::select! {
                    biased;
                    () = &mut in_order => true,
                    // A history that cannot be written must not hold calls.
                    () = hold => false,
                };
                tracing::info!(held_ms = moment.lasted().as_secs_f64() * 1_000.0, "switched to the new version");
                drop(moment);
                if !done {
                    in_order.await;
                }
            }
            let (host, sha256) = (old.host.clone(), old.plugin.sha256().to_owned());
            if let Some(late) = old.take_down(&base).await {
                tracing::warn!(reason = %late, "the version before had to be killed");
            }
            let dropped = host.dropped();
            if dropped > 0 {
                tracing::info!(dropped, "calls of the version before were dropped");
            }
            drop(host);
            base.plugins.release(&sha256).await;
        };
        self.gateways.spawn(work.in_current_span());
    }

    /// Ends a generation that was started beside and does not take over.
    fn end_beside(&self, new: Running) {
        let base = Arc::clone(&self.base);
        self.gateways.spawn(async move { new.take_down(&base).await }.in_current_span());
    }

    /// The generation in use failed. Whether it goes back, which is done once this input is through.
    pub(super) fn failed_on_trial(&mut self, reason: &Reason, otherwise: lifecycle::Input) -> bool {
        if self.upgrade.trial.is_none() || self.held.trial.is_none() {
            return false;
        }
        self.upgrade_step(upgrade::Input::Failed(reason.clone()));
        if let Some(going_back) = &mut self.going_back {
            going_back.otherwise = Some(otherwise);
        }
        self.going_back.is_some()
    }

    /// A poll of the generation in use came back.
    pub(super) fn upgrade_polled(&mut self, polled: Result<(), (Failure, &Reason)>) {
        let input = match polled {
            Ok(()) => upgrade::Input::Polled(Ok(())),
            // No upstream is to blame for these.
            Err((failure, reason)) if failure != Failure::Passing || reason.code == ReasonCode::Panicked => {
                upgrade::Input::Failed(reason.clone())
            }
            Err((_, reason)) => upgrade::Input::Polled(Err(reason.clone())),
        };
        self.upgrade_step(input);
    }

    /// Goes back to the generation before, if something asked for it.
    pub(super) async fn go_back(&mut self) {
        let Some(GoingBack { reason, otherwise }) = self.going_back.take() else { return };
        let Some(trial) = self.held.trial.clone() else { return };
        let runs = self.running();
        let Some(previous) = self.base.plugins.generation(&trial.from.sha256).await else {
            tracing::error!(version = trial.from.version, "the version before is not there any more: no way back");
            self.held.trial = None;
            self.held_unsaved = true;
            self.no_way_back(otherwise);
            return;
        };
        if let Some(running) = &runs {
            running.host.shut();
            running.host.pause_store().await.replaced();
        }
        let why = format!(
            "it stays with {} because {} failed, until plugin unpin or a version above {}",
            trial.from.version, trial.to.version, trial.to.version
        );
        let failed = (trial.to.sha256 != trial.from.sha256).then(|| trial.to.clone());
        let pin = Pin { to: trial.from.clone(), failed, why, since_ms: self.base.clock.now_ms() };
        let held = UpgradeRow { trial: None, pin: Some(pin), granted: self.held.granted.clone() };
        match self.base.store.upgrade_undo(&self.row.id, trial.from.clone(), held.clone()).await {
            Ok(values) => {
                self.row.attributes = values;
                self.shared.settings.write().clone_from(&self.row.attributes);
                self.row.last_good_sha256 = Some(trial.from.sha256.clone());
                self.held = held;
            }
            Err(error) => {
                tracing::error!(%error, "going back failed: the next failure tries again");
                self.upgrade = upgrade::Upgrade::resume(Some(trial.until_ms));
                self.no_way_back(otherwise.or(runs.is_some().then_some(lifecycle::Input::RestartNeeded)));
                return;
            }
        }
        if let Some(lifecycle::Input::StartFailed { failure, reason, .. }) = otherwise {
            self.previous = Some(previous);
            self.step(lifecycle::Input::StartFailed { failure, reason, goes_back: true });
            return;
        }
        self.candidate = self.plugin.replace(previous);
        let sentence = format!(
            "version {} failed on trial, so {} runs with its data from before: {}",
            trial.to.version, trial.from.version, reason.sentence
        );
        let note = Reason { code: ReasonCode::WentBack, sentence, cause: reason.cause };
        self.step(lifecycle::Input::WentBack { note, runs: runs.is_some() });
    }

    fn no_way_back(&mut self, otherwise: Option<lifecycle::Input>) {
        if let Some(input) = otherwise {
            self.step(input);
        }
    }

    /// Saves what it is held to, when that changed.
    pub(super) async fn save_held(&mut self) {
        if !std::mem::take(&mut self.held_unsaved) {
            return;
        }
        if let Err(error) = self.base.store.upgrade_save(&self.row.id, self.held.clone()).await {
            tracing::error!(%error, "what the integration is held to could not be saved");
            self.held_unsaved = true;
            return;
        }
        if self.held.trial.is_none() {
            // Whatever it was needed for is over.
            self.base.let_go_of(self.previous.take());
        }
    }
}
