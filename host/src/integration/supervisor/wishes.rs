//! What people want of an integration: each wish is saved first, and only then changes what runs.

use gatehouse_plugin_api::attribute::AttributeValues;

use super::bring_up::Running;
use super::handle::SettingsTurn;
use super::inputs::{Activation, Change, Reply};
use super::{Supervisor, lifecycle};
use crate::integration::OperationError;
use crate::integration::error::is_off;
use crate::integration::upgrade;
use crate::integration::view::Actual;
use crate::plugin::Staged;
use crate::store::{Desired, KvSpace, StoreError, UpgradeRow};

impl Supervisor {
    pub(super) async fn want(&mut self, desired: Desired, reply: Reply) {
        // Whoever asked saw it in use; only an activation brings back what was switched off since.
        if self.row.desired == Desired::Off && desired != Desired::Off {
            let _ = reply.send(Err(is_off(&self.row.id)));
            return;
        }
        let before = std::mem::replace(&mut self.row.desired, desired);
        if let Err(error) = self.save().await {
            self.row.desired = before;
            let _ = reply.send(Err(error.into()));
            return;
        }
        self.waiting.push(reply);
        // A person's hand gives a version that failed another chance.
        if desired == Desired::On && !self.life.holds_gateway() {
            let candidate = self.candidate.as_ref();
            let free = candidate.is_some_and(|it| self.hindrance(it).is_none()) && self.held.trial.is_none();
            if free {
                self.plugin = self.candidate.take();
            }
        }
        self.step(lifecycle::Input::Wanted(desired));
    }

    /// Saves settings and has them applied. The turn is over when they are saved: they are told in that order.
    pub(super) async fn settings(&mut self, change: Change, turn: SettingsTurn, reply: Reply) {
        let Change { attributes: values, checked_by_newer } = change;
        // What is erased, or will be in a moment, is not written back by a change that began before.
        if self.row.desired == Desired::Off {
            let _ = reply.send(Err(is_off(&self.row.id)));
            return;
        }
        let before = std::mem::replace(&mut self.row.attributes, values.clone());
        if let Err(error) = self.save().await {
            self.row.attributes = before;
            let _ = reply.send(Err(error.into()));
            return;
        }
        self.shared.settings.write().clone_from(&values);
        drop(turn);
        // They are for a newer generation, which takes its place with them; the one that runs knows them not.
        if checked_by_newer.is_some() && checked_by_newer.as_deref() == self.newer().map(Staged::sha256) {
            self.wants_settings = None;
            if self.life.holds_gateway() {
                self.crossing_waits.push(reply);
                let how = self.candidate.as_ref().map_or(upgrade::How::Beside, |candidate| self.how(candidate));
                self.upgrade_step(upgrade::Input::Tried(Ok(how)));
            } else {
                self.waiting.push(reply);
                self.take_newer();
                self.step(lifecycle::Input::SettingsSaved);
            }
            return;
        }
        match self.running() {
            // What a worker may do is settled at its start: settings that grant more, or less, need a new one.
            Some(running) if self.life.holds_gateway() && self.grants_as_before(&running, &values) => {
                self.applying.push(reply);
                self.tell_settings(running, values);
                // A newer generation that found the settings before wrong is tried with these.
                if self.candidate.is_some() {
                    self.step(lifecycle::Input::PluginHere { new: true });
                }
            }
            _ => {
                self.waiting.push(reply);
                let input = if self.life.holds_gateway() {
                    lifecycle::Input::RestartNeeded
                } else {
                    lifecycle::Input::SettingsSaved
                };
                self.step(input);
            }
        }
    }

    fn grants_as_before(&self, running: &Running, settings: &AttributeValues) -> bool {
        running.confinement == self.base.confinement(&self.row.id, &running.plugin, settings)
    }

    pub(super) async fn activate(&mut self, activation: Activation, turn: SettingsTurn, reply: Reply) {
        let before = self.row.clone();
        let changed = before.attributes != activation.attributes;
        self.row.attributes = activation.attributes;
        self.row.title = activation.title;
        self.row.unique_id = activation.unique_id.or(self.row.unique_id.take());
        self.row.info_message = activation.info_message;
        self.row.hosting = self.base.hosting(&self.row.id);
        self.row.desired = Desired::On;
        if let Err(error) = self.save().await {
            self.row = before;
            let _ = reply.send(Err(error.into()));
            return;
        }
        self.shared.settings.write().clone_from(&self.row.attributes);
        self.shared.unique_id.write().clone_from(&self.row.unique_id);
        drop(turn);
        // The person was shown what it may do.
        if let Some(plugin) = self.candidate.as_ref().or(self.plugin.as_ref()) {
            self.held.granted = Some(plugin.manifest().capabilities.clone());
            self.held_unsaved = true;
        }
        self.waiting.push(reply);
        if changed && self.life.holds_gateway() {
            self.life.desired = Desired::On;
            self.step(lifecycle::Input::RestartNeeded);
        } else {
            self.step(lifecycle::Input::Wanted(Desired::On));
        }
    }

    /// The refusal of what needs it off, with nothing of it running.
    pub(super) fn in_use(&self) -> Option<OperationError> {
        let idle = self.row.desired == Desired::Off && self.life.actual == Actual::Off && self.running().is_none();
        let (id, now) = (&self.row.id, self.life.actual.word());
        (!idle).then(|| OperationError::Conflict(format!("{id} is in use ({now}): it must be off before that")))
    }

    /// SAFE deactivation's part: settings and secrets go, the row and the key-value data stay.
    pub(super) async fn erase(&mut self) -> Result<(), OperationError> {
        self.row.attributes = AttributeValues::default();
        self.row.info_message.clear();
        self.save().await?;
        self.held = UpgradeRow::default();
        self.upgrade = upgrade::Upgrade::default();
        self.base.store.upgrade_save(&self.row.id, self.held.clone()).await?;
        self.base.store.kv_clear(&self.row.id, KvSpace::Secrets).await?;
        *self.shared.settings.write() = AttributeValues::default();
        Ok(())
    }

    pub(super) async fn save(&self) -> Result<(), StoreError> {
        self.base.store.integration_save(self.row.clone()).await
    }
}
