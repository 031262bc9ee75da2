//! Every integration by id, and the task that brings the catalog's changes to their supervisors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use parking_lot::RwLock;
use tokio::sync::broadcast;

use super::OperationError;
use super::attributes::{self, Given};
use super::crashes;
use super::error::is_off;
use super::flows::{self, Flows};
use super::folders;
use super::ground::{Base, PluginNow, absence};
use super::host_calls::Waiting;
use super::supervisor::{Change, Input, Supervised, Unfit, fields_of, try_out, validate};
use super::view::{IntegrationView, LifecycleEvent};
use crate::log;
use crate::metrics::Meter;
use crate::plugin::{Decision, PluginChange};
use crate::reason::Reason;
use crate::store::{Desired, IntegrationRow};

/// Events that a slow listener may be behind.
const EVENTS: usize = 1_024;

/// All integrations.
#[derive(Debug)]
pub(super) struct Registry {
    base: Arc<Base>,
    supervised: RwLock<BTreeMap<IntegrationId, Supervised>>,
    events: broadcast::Sender<LifecycleEvent>,
    flows: Flows,
    /// The daemon ends: nothing more is supervised. Set while `supervised` is locked.
    closing: AtomicBool,
}

/// An integration with what it was counted for.
#[derive(Debug, Clone)]
pub struct CountedIntegration {
    /// As it is now.
    pub view: Arc<IntegrationView>,
    /// What it was counted for since the daemon started.
    pub meter: Arc<Meter>,
    /// Its plugin's calls that wait.
    pub waiting: Waiting,
}

impl Registry {
    /// Loads every integration and begins to supervise.
    pub(super) async fn open(base: Arc<Base>) -> Result<Arc<Self>, OperationError> {
        // Listened to before the first look, so that no change falls between the two.
        let changes = base.plugins.subscribe();
        let rows = base.store.integration_list().await?;
        for row in &rows {
            if let Some(moved) = base.store.moved_get(&row.id).await? {
                base.moved.write().insert(row.id.clone(), moved.why);
            }
        }
        crashes::after_a_fall(&base).await?;
        let registry = Arc::new(Self {
            base,
            supervised: RwLock::default(),
            events: broadcast::Sender::new(EVENTS),
            flows: Flows::default(),
            closing: AtomicBool::new(false),
        });
        for row in rows {
            registry.supervise(row);
        }
        tokio::spawn(follow(Arc::downgrade(&registry), changes));
        tokio::spawn(folders::watch(Arc::downgrade(&registry)));
        Ok(registry)
    }

    pub(super) fn base(&self) -> &Arc<Base> {
        &self.base
    }

    pub(super) fn flows(&self) -> &Flows {
        &self.flows
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<LifecycleEvent> {
        self.events.subscribe()
    }

    pub(super) fn list(&self) -> Vec<Arc<IntegrationView>> {
        self.supervised.read().values().map(Supervised::view).collect()
    }

    pub(super) fn counted(&self) -> Vec<CountedIntegration> {
        let counted = |supervised: &Supervised| {
            let view = supervised.view();
            let meter = self.base.meters.of(&view.id);
            let waiting = supervised.running().map(|running| running.host.waiting()).unwrap_or_default();
            CountedIntegration { view, meter, waiting }
        };
        self.supervised.read().values().map(counted).collect()
    }

    pub(super) fn get(&self, id: &IntegrationId) -> Option<Supervised> {
        self.supervised.read().get(id).cloned()
    }

    pub(super) fn find(&self, id: &IntegrationId) -> Result<Supervised, OperationError> {
        let supervised = self.supervised.read();
        supervised.get(id).cloned().ok_or_else(|| {
            OperationError::not_found("integration", id.as_str(), supervised.keys().map(IntegrationId::as_str))
        })
    }

    /// Supervises an integration whose row is saved; what is there already under its id stays. `None` when the daemon
    /// is ending.
    pub(super) fn supervise(&self, row: IntegrationRow) -> Option<Supervised> {
        let mut supervised = self.supervised.write();
        if self.closing.load(Ordering::SeqCst) {
            return None;
        }
        let id = row.id.clone();
        let begin = || Supervised::begin(Arc::clone(&self.base), row, self.events.clone());
        Some(supervised.entry(id).or_insert_with(begin).clone())
    }

    /// Deletes an integration that is off, with its row.
    pub(super) async fn delete(&self, id: &IntegrationId) -> Result<(), OperationError> {
        let supervised = self.find(id)?;
        supervised.ask(Input::Delete).await?;
        self.supervised.write().remove(id);
        self.base.meters.forget(id);
        log::forget(id);
        self.base.moved.write().remove(id);
        self.base.store.crash_forget(id).await?;
        Ok(())
    }

    pub(super) async fn want(
        &self,
        id: &IntegrationId,
        desired: Desired,
    ) -> Result<Arc<IntegrationView>, OperationError> {
        let supervised = self.find(id)?;
        let view = supervised.view();
        if view.desired == Desired::Off {
            return Err(is_off(id));
        }
        supervised.ask(|reply| Input::Want(desired, reply)).await
    }

    /// Runs it as the configuration says again, after it was moved out of the daemon; resolves when it does.
    pub(super) async fn move_back(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        let supervised = self.find(id)?;
        if !self.base.moved.read().contains_key(id) {
            return Err(OperationError::Conflict(format!("{id} was not moved: it runs as the configuration says")));
        }
        self.base.store.moved_delete(id).await?;
        self.base.moved.write().remove(id);
        tracing::warn!(integration = %id, "moved back: it runs as the configuration says");
        supervised.ask(Input::Restart).await
    }

    /// Changes settings: what is given over what is there, checked by field and by the plugin, then saved.
    pub(super) async fn set(
        &self,
        id: &IntegrationId,
        values: AttributeValues,
    ) -> Result<Arc<IntegrationView>, OperationError> {
        let supervised = self.find(id)?;
        let turn = supervised.settings_turn().await;
        let view = supervised.view();
        if view.desired == Desired::Off {
            return Err(is_off(id));
        }
        // A generation that waits for settings is who they are for; else the one in use, which may run on in the place of
        // a file that failed or was refused; else the file.
        let newer = supervised.newer();
        let running = match newer {
            Some(_) => None,
            None => supervised.enter().await,
        };
        let in_use = newer.clone().or_else(|| running.as_ref().map(|running| running.plugin.clone()));
        let plugin = match (in_use, self.base.plugins.plugin_now(&view.integration_type)) {
            (Some(plugin), _) | (None, PluginNow::Here(plugin)) => plugin,
            (None, PluginNow::Missing(reason) | PluginNow::Refused(reason)) => {
                return Err(OperationError::Unavailable(format!(
                    "the settings of {id} cannot be checked without its plugin: {reason}"
                )));
            }
        };
        let specs = &plugin.manifest().attributes;
        let before = supervised.settings();
        let whole = attributes::complete(specs, &values, Given::Fixed(&before)).map_err(OperationError::fields)?;
        let fields = match &running {
            Some(running) => match validate(&running.gateway, &whole).await {
                Ok(fields) => fields,
                Err(error) if error.fields.is_empty() => {
                    return Err(OperationError::Gateway { integration: id.clone(), error });
                }
                Err(error) => fields_of(&error),
            },
            None => match try_out(&self.base, id, &plugin, &whole).await {
                Err(Unfit::Settings(fields)) => fields,
                // A plugin that does not come up must not keep a person from repairing its settings.
                Ok(()) | Err(Unfit::Launch(_)) => attributes::none(),
            },
        };
        if !fields.is_empty() {
            return Err(OperationError::fields(fields));
        }
        // The supervisor may switch before it takes the change.
        drop(running);
        let checked_by_newer = newer.map(|newer| newer.sha256().to_owned());
        let mut attributes = whole;
        if checked_by_newer.is_some() {
            // Should it not start after all, the generation before finds what it alone knows.
            let unknown = before.0.into_iter().filter(|(key, _)| !specs.iter().any(|spec| spec.key == *key));
            attributes.0.extend(unknown);
        }
        let change = Box::new(Change { attributes, checked_by_newer });
        supervised.ask(|reply| Input::Settings(change, turn, reply)).await
    }

    /// Ends flows and stops everything side by side; each is bounded by itself.
    pub(super) async fn shut_down(&self) {
        let all: Vec<_> = {
            let supervised = self.supervised.write();
            self.closing.store(true, Ordering::SeqCst);
            supervised.values().cloned().collect()
        };
        // A flow that saves waits for its integration, which answers no more once it is closed.
        tokio::join!(self.flows.close(), futures_util::future::join_all(all.iter().map(Supervised::close)));
    }

    /// Whether the daemon is ending.
    #[cfg(test)]
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    fn plugin_changed(&self, integration_type: &IntegrationType, now: &PluginNow) {
        for supervised in self.supervised.read().values() {
            if supervised.view().integration_type == *integration_type {
                supervised.send(Input::Plugin(now.clone()));
            }
        }
    }

    fn look_at_all_plugins(&self) {
        for supervised in self.supervised.read().values() {
            let now = self.base.plugins.plugin_now(&supervised.view().integration_type);
            supervised.send(Input::Plugin(now));
            if let Some(running) = supervised.running()
                && let Some(reason) = self.base.plugins.revoked(&running.plugin)
            {
                supervised.send(Input::Revoked(running.plugin.sha256().to_owned(), reason));
            }
        }
    }

    fn look_for_missing_plugins(&self) {
        for supervised in self.supervised.read().values() {
            let now = self.base.plugins.plugin_now(&supervised.view().integration_type);
            if matches!(now, PluginNow::Missing(_)) {
                supervised.send(Input::Plugin(now));
            }
        }
    }

    fn revoked(&self, integration_type: &IntegrationType, sha256: &str, reason: &Reason) {
        for supervised in self.supervised.read().values() {
            if supervised.view().integration_type == *integration_type {
                supervised.send(Input::Revoked(sha256.to_owned(), reason.clone()));
            }
        }
    }
}

/// Follows the catalog until the registry is gone.
async fn follow(registry: Weak<Registry>, mut changes: broadcast::Receiver<PluginChange>) {
    loop {
        let change = changes.recv().await;
        let Some(registry) = registry.upgrade() else { return };
        match change {
            Ok(PluginChange::Available(plugin)) => {
                registry.plugin_changed(plugin.integration_type(), &PluginNow::Here(plugin.clone()));
            }
            Ok(PluginChange::Unavailable { integration_type, reason }) => {
                registry.plugin_changed(&integration_type, &absence(&integration_type, reason));
            }
            Ok(PluginChange::Revoked { integration_type, sha256, reason }) => {
                registry.revoked(&integration_type, &sha256, &reason);
                tokio::spawn(async move { flows::give_up_generation(&registry, &sha256).await });
            }
            // The last word of a file that tells no type: it may have been what stood in the place of one.
            Ok(PluginChange::Verdict(verdict)) if verdict.decision == Decision::Gone && verdict.manifest.is_none() => {
                registry.look_for_missing_plugins();
            }
            Ok(PluginChange::Verdict(_)) => {}
            // Some were missed: what is there now says it all.
            Err(broadcast::error::RecvError::Lagged(_)) => registry.look_at_all_plugins(),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}
