//! A generation that may not run any longer: whatever the supervisor holds of it is let go of, and what runs of it ends.

use super::Supervisor;
use crate::integration::ground::{PluginNow, refusal};
use crate::integration::{lifecycle, upgrade};
use crate::plugin::Staged;
use crate::reason::Reason;

impl Supervisor {
    /// Unlike a refused file, a revoked one does not run on: another file that provides the type takes its place at
    /// once, and without one the integration waits for one.
    pub(super) fn revoked(&mut self, sha256: &str, reason: Reason) {
        let is_it = |held: &Option<Staged>| held.as_ref().is_some_and(|held| held.sha256() == sha256);
        if is_it(&self.candidate) {
            self.candidate = None;
            self.upgrade_step(upgrade::Input::Gone);
        }
        if is_it(&self.previous) {
            self.previous = None;
        }
        let runs = self.running().is_some_and(|running| running.plugin.sha256() == sha256);
        if !runs && !is_it(&self.plugin) {
            return;
        }
        let (integration_type, told) = (&self.row.integration_type, reason.clone());
        let (plugin, input) = match self.base.plugins.plugin_now(integration_type) {
            PluginNow::Here(other) if other.sha256() != sha256 && self.life.holds_gateway() => {
                (Some(other), lifecycle::Input::RestartNeeded)
            }
            PluginNow::Here(other) if other.sha256() != sha256 => {
                (Some(other), lifecycle::Input::PluginHere { new: true })
            }
            _ => (None, lifecycle::Input::PluginRevoked(refusal(integration_type, reason))),
        };
        self.candidate = None;
        self.upgrade_step(upgrade::Input::Gone);
        self.plugin = plugin;
        // A version on trial gives way to the one before it, with the data from before it.
        let on_trial = self.held.trial.as_ref().is_some_and(|trial| trial.to.sha256 == sha256);
        if !on_trial || !self.failed_on_trial(&told, input.clone()) {
            self.step(input);
        }
    }
}
