//! What people say of versions: yes to one that wants more, back to an earlier one, stay, or go on.

use super::inputs::{Hold, Reply};
use super::upgrading::generation_of;
use super::{Supervisor, lifecycle};
use crate::integration::OperationError;
use crate::integration::ground::PluginNow;
use crate::integration::upgrade::{self, Stage};
use crate::integration::view::{NextStep, NextVersion, PinView, TrialView, UpgradeView};
use crate::plugin::Staged;
use crate::reason::{Reason, ReasonCode};
use crate::store::{Desired, Pin};

impl Supervisor {
    pub(super) async fn hold(&mut self, hold: Hold, reply: Reply) {
        let done = match hold {
            _ if self.row.desired == Desired::Off => Err(crate::integration::error::is_off(&self.row.id)),
            Hold::Allow => self.allow().await,
            Hold::Pin => self.pin().await,
            Hold::Unpin => self.unpin().await,
            Hold::Rollback(to) => self.roll_back(to).await,
        };
        match done {
            Ok(()) => {
                // Told how it came out.
                self.crossing_waits.push(reply);
                self.settle_crossing_waits();
            }
            // Who no longer waits needs no answer.
            Err(refused) => drop(reply.send(Err(refused))),
        }
        self.announce();
        self.answer_waiting();
    }

    /// A person allows what the newest version wants.
    async fn allow(&mut self) -> Result<(), OperationError> {
        let file = match self.base.plugins.plugin_now(&self.row.integration_type) {
            PluginNow::Here(file) => Some(file),
            PluginNow::Missing(_) | PluginNow::Refused(_) => None,
        };
        let new = self.candidate.clone().or(file).filter(|new| !self.more_of(new).is_empty());
        let Some(new) = new else {
            return Err(OperationError::Conflict(format!("no version of {} waits for a yes", self.row.id)));
        };
        let mut held = self.held.clone();
        held.granted.get_or_insert_default().extend(new.manifest().capabilities.iter().cloned());
        self.keep_held(held).await?;
        if self.candidate.is_some() && self.running().is_some() {
            self.found();
        } else {
            self.candidate = None;
            self.plugin_now(PluginNow::Here(new)).await;
        }
        Ok(())
    }

    /// It stays with the version in use.
    async fn pin(&mut self) -> Result<(), OperationError> {
        let Some(plugin) = self.plugin.clone() else {
            return Err(OperationError::Conflict(format!("{} has no version in use to stay with", self.row.id)));
        };
        let to = generation_of(&plugin);
        let why = format!("a person pinned {}", to.version);
        let pin = Pin { to, failed: None, why, since_ms: self.base.clock.now_ms() };
        self.keep_held(crate::store::UpgradeRow { pin: Some(pin), ..self.held.clone() }).await?;
        if self.candidate.is_some() && self.upgrade.stage != Stage::Replacing {
            self.found();
        }
        Ok(())
    }

    /// It may go on to another version.
    async fn unpin(&mut self) -> Result<(), OperationError> {
        if self.held.pin.is_none() {
            return Err(OperationError::Conflict(format!("{} is not pinned", self.row.id)));
        }
        self.keep_held(crate::store::UpgradeRow { pin: None, ..self.held.clone() }).await?;
        if self.candidate.is_some() && self.running().is_some() {
            self.found();
        } else if let PluginNow::Here(file) = self.base.plugins.plugin_now(&self.row.integration_type) {
            self.candidate = None;
            self.plugin_now(PluginNow::Here(file)).await;
        }
        if self.life.reason.code == ReasonCode::WentBack && self.candidate.is_none() {
            self.step(lifecycle::Input::UpgradeTold(None));
        }
        Ok(())
    }

    /// Back to an earlier version: with the data from before while the one in use is on trial, else with what there is.
    async fn roll_back(&mut self, to: Option<String>) -> Result<(), OperationError> {
        let to_start_of_trial = match (&self.held.trial, &to) {
            (Some(_), None) => true,
            (Some(trial), Some(to)) => is_meant(&trial.from.sha256, &trial.from.version, to),
            (None, _) => false,
        };
        if to_start_of_trial && self.upgrade.trial.is_some() {
            self.upgrade_step(upgrade::Input::Failed(Reason::new(ReasonCode::AsWanted, "a person went back")));
            self.go_back().await;
            return Ok(());
        }
        let now = self.plugin.as_ref().map(Staged::sha256).unwrap_or_default().to_owned();
        let earlier = self.base.plugins.generations(&self.row.integration_type).await;
        let earlier: Vec<_> = earlier.into_iter().filter(|plugin| plugin.sha256() != now).collect();
        let target = match &to {
            None => earlier.first(),
            Some(to) => earlier.iter().find(|plugin| is_meant(plugin.sha256(), &plugin.manifest().version, to)),
        };
        let Some(target) = target.cloned() else {
            let known: Vec<_> = earlier.iter().map(|plugin| plugin.manifest().version.as_str()).collect();
            let there = if known.is_empty() { "none is kept".to_owned() } else { known.join(", ") };
            let what = to.map_or("an earlier version".to_owned(), |to| format!("the version {to:?}"));
            let hint = format!(": beside the one in use there is {there}");
            return Err(OperationError::NotFound { what: format!("{what} of {}", self.row.id), hint });
        };
        let failed = self.plugin.as_ref().map(generation_of);
        let why = format!("a person went back to {}", target.manifest().version);
        let pin = Pin { to: generation_of(&target), failed, why, since_ms: self.base.clock.now_ms() };
        self.keep_held(crate::store::UpgradeRow { pin: Some(pin), ..self.held.clone() }).await?;
        if self.running().is_some() && self.life.holds_gateway() {
            let old = self.candidate.replace(target);
            self.base.let_go_of(old);
            self.found();
        } else {
            self.candidate = self.plugin.replace(target);
            self.step(lifecycle::Input::PluginHere { new: true });
        }
        Ok(())
    }

    async fn keep_held(&mut self, held: crate::store::UpgradeRow) -> Result<(), OperationError> {
        self.base.store.upgrade_save(&self.row.id, held.clone()).await?;
        self.held = held;
        Ok(())
    }

    /// Those who wait for another version wait no longer once it has taken over, or will not for now.
    pub(super) fn settle_crossing_waits(&mut self) {
        if !matches!(self.upgrade.stage, Stage::Trying | Stage::Beside | Stage::Replacing) {
            self.waiting.append(&mut self.crossing_waits);
        }
    }

    pub(super) fn upgrade_view(&self) -> UpgradeView {
        let in_use = self.running().map(|running| running.plugin.sha256().to_owned());
        let (step, reason, retry_at_ms) = match &self.upgrade.stage {
            Stage::Idle => (NextStep::Unused, None, None),
            Stage::Trying => (NextStep::Trying, None, None),
            Stage::Waits { reason, retry_at_ms } => (NextStep::Waits, Some(reason.clone()), *retry_at_ms),
            Stage::Beside => (NextStep::Beside, None, None),
            Stage::Replacing => (NextStep::Replacing, None, None),
        };
        let next = self.candidate.as_ref().filter(|next| in_use.as_deref() != Some(next.sha256()));
        let trial = self.held.trial.as_ref().filter(|_| self.upgrade.trial.is_some());
        UpgradeView {
            next: next.map(|next| NextVersion {
                version: next.manifest().version.clone(),
                generation: next.sha256().to_owned(),
                step,
                reason,
                wants: self.more_of(next),
                retry_at_ms,
            }),
            trial: trial.map(|trial| TrialView {
                from_version: trial.from.version.clone(),
                from_generation: trial.from.sha256.clone(),
                until_ms: self.upgrade.trial.map_or(trial.until_ms, |trial| trial.until_ms),
            }),
            pin: self.held.pin.as_ref().map(|pin| PinView {
                version: pin.to.version.clone(),
                generation: pin.to.sha256.clone(),
                failed_version: pin.failed.as_ref().map(|failed| failed.version.clone()),
                why: pin.why.clone(),
                since_ms: pin.since_ms,
            }),
        }
    }
}

/// Whether a person means this generation: by its version, or by the beginning of its hash.
fn is_meant(sha256: &str, version: &str, named: &str) -> bool {
    version == named || (named.len() >= 6 && sha256.starts_with(named))
}
