//! What an integration is, told: to whoever asks, to whoever listens, to the log.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Supervisor;
use crate::gateway::Hosting;
use crate::integration::lifecycle::Life;
use crate::integration::view::{Actual, IntegrationView, LifecycleEvent, UpgradeView};
use crate::plugin::Staged;
use crate::reason::ReasonCode;
use crate::store::{Desired, IntegrationRow};

/// The view of an integration of which nothing runs.
pub(super) fn at_rest(row: &IntegrationRow, life: &Life, hosting: Hosting, plugin: Option<&Staged>) -> IntegrationView {
    IntegrationView {
        id: row.id.clone(),
        integration_type: row.integration_type.clone(),
        title: row.title.clone(),
        desired: life.desired,
        actual: life.actual,
        reason: life.reason.clone(),
        advice: life.reason.code.advice().to_owned(),
        since_ms: life.since_ms,
        health: life.health(),
        last_success_ms: None,
        hosting,
        pid: None,
        version: plugin.map(|plugin| plugin.manifest().version.clone()),
        generation: None,
        info_message: row.info_message.clone(),
        attributes: row.attributes.shown(),
        attribute_specs: plugin.map(|plugin| plugin.manifest().attributes.clone()).unwrap_or_default(),
        progress: None,
        moved: String::new(),
        leaked_generations: 0,
        upgrade: UpgradeView::default(),
    }
}

impl Supervisor {
    fn look(&self) -> IntegrationView {
        // What a person may set is what a newer generation waits for, even while an older one runs.
        let newest = self.newer().or(self.plugin.as_ref());
        let mut view = at_rest(&self.row, &self.life, self.base.hosting(&self.row.id), newest);
        let last_success_ms = self.shared.last_success_ms.load(Ordering::Relaxed);
        view.last_success_ms = Some(last_success_ms).filter(|ms| *ms > 0);
        view.progress = self.progress();
        view.moved = self.base.moved.read().get(&self.row.id).cloned().unwrap_or_default();
        view.upgrade = self.upgrade_view();
        let mut mapped_in_use = 0;
        if let Some(running) = self.shared.running.read().as_ref() {
            view.hosting = running.gateway.hosting();
            view.pid = running.gateway.pid();
            view.version = Some(running.plugin.manifest().version.clone());
            view.generation = Some(running.plugin.sha256().to_owned());
            mapped_in_use = usize::from(self.mapped.contains(running.plugin.sha256()));
        }
        view.leaked_generations = u32::try_from(self.mapped.len() - mapped_in_use).unwrap_or(u32::MAX);
        view
    }

    /// Publishes the view, and an event when anything but the last success changed.
    pub(super) fn announce(&self) {
        *self.shared.newer.write() = self.newer().cloned();
        if self.shared.failures.read().as_slice() != self.life.failures() {
            *self.shared.failures.write() = self.life.failures().to_vec();
        }
        let view = Arc::new(self.look());
        let before = self.view.send_replace(Arc::clone(&view));
        let same_but_success =
            IntegrationView { last_success_ms: view.last_success_ms, ..IntegrationView::clone(&before) };
        if same_but_success != *view {
            self.tell(Some(view));
        }
    }

    /// Tells that the integration is deleted.
    pub(super) fn announce_deletion(&self) {
        tracing::info!("deleted");
        self.tell(None);
    }

    fn tell(&self, integration: Option<Arc<IntegrationView>>) {
        let event = LifecycleEvent { integration, id: self.row.id.clone(), at_ms: self.base.clock.now_ms() };
        // Without listeners there is nobody to tell.
        let _ = self.events.send(event);
    }

    /// One line for each change of state or desire; none when nothing but times changed.
    pub(super) fn log_transition(&self, before: Option<&Life>) {
        let after = &self.life;
        let unchanged = before.is_some_and(|before| {
            (before.actual, before.desired, before.reason.code) == (after.actual, after.desired, after.reason.code)
        });
        if unchanged {
            return;
        }
        let desired = match after.desired {
            Desired::Off => "off",
            Desired::Paused => "paused",
            Desired::On => "on",
        };
        let to = after.actual.word();
        let from = before.map_or("-", |before| before.actual.word());
        let (code, reason) = (after.reason.code.as_str(), after.reason.to_string());
        match after.actual {
            Actual::NeedsAuth | Actual::NeedsConfig | Actual::Quarantined { .. } | Actual::Incompatible => {
                tracing::error!(from, to, desired, code, reason, "integration changed");
            }
            _ if after.reason.code == ReasonCode::WentBack => {
                tracing::warn!(from, to, desired, code, reason, "integration changed");
            }
            Actual::Degraded | Actual::Retrying { .. } | Actual::Missing => {
                tracing::warn!(from, to, desired, code, reason, "integration changed");
            }
            _ => tracing::info!(from, to, desired, code, reason, "integration changed"),
        }
    }

    /// Answers those who wait, once it is known how it came out.
    pub(super) fn answer_waiting(&mut self) {
        if self.waiting.is_empty() || matches!(self.life.actual, Actual::Starting | Actual::Stopping) {
            return;
        }
        let view = Arc::clone(&self.view.borrow());
        for reply in self.waiting.drain(..) {
            // Who no longer waits needs no answer.
            let _ = reply.send(Ok(Arc::clone(&view)));
        }
    }
}
