//! Configured, supervised integrations: lifecycle, attributes, flows, pages, control.
//!
//! ```text
//! Integrations ── registry ── Supervised, one task each: supervisor ── lifecycle (pure)
//!                    │                                      └── gateway generation ── host_calls → house, store
//!                    └── flows ── a plugin's own, or the default activation and deactivation
//! ```

mod asking;
mod attributes;
mod camera;
mod control;
mod crashes;
mod diagnostics;
mod error;
mod flow_view;
mod flows;
mod folders;
mod ground;
mod host_calls;
mod lifecycle;
mod manage;
mod problems;
mod registry;
mod supervisor;
mod upgrade;
mod view;

use std::sync::Arc;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId, StateAddress};
use gatehouse_plugin_api::manage::ManageRequest;
use gatehouse_plugin_api::message::{LogFilter, SyncOutcome};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::value::Value;

pub use self::camera::Image;
pub use self::crashes::CrashRecord;
pub use self::diagnostics::{DiagnosticsFound, Redaction};
pub use self::error::OperationError;
pub use self::flow_view::{FlowBegin, FlowInput, FlowKind, FlowState, FlowView};
use self::ground::Base;
pub use self::ground::Ground;
pub use self::host_calls::Waiting;
pub use self::registry::CountedIntegration;
use self::registry::Registry;
use self::supervisor::{Hold, Input};
pub use self::view::{
    Actual, FailedOnce, IntegrationView, LifecycleEvent, ManagePage, NextStep, NextVersion, PinView, TrialView,
    UpgradeView,
};
use crate::gateway::{Exchange, InFlight, Tried};
use crate::reason::Reason;
use crate::store::Desired;

/// All integrations with their supervisors and flows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Integrations(Arc<Registry>);

impl Integrations {
    /// Loads every integration and begins to supervise: starts what is wanted on, follows the catalog's changes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(ground: Ground) -> Result<Self, OperationError> {
        Registry::open(Base::new(ground)).await.map(Self)
    }

    /// Every integration, by id.
    pub fn list(&self) -> Vec<Arc<IntegrationView>> {
        self.0.list()
    }

    /// One integration.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub fn view(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.find(id).map(|integration| integration.view())
    }

    /// Which of its plugin's events are logged, by the configuration.
    pub fn configured_log_filter(&self, id: &IntegrationId) -> String {
        self.0.base().log_filter(id)
    }

    /// Has the plugin that runs log by another filter from now on; one that does not run is told at its start.
    ///
    /// # Errors
    /// `NotFound`; `Gateway` when its plugin does not take it.
    pub async fn log_filter(&self, id: &IntegrationId, filter: String) -> Result<(), OperationError> {
        let Some(running) = self.0.find(id)?.running() else { return Ok(()) };
        match running.gateway.call::<_, ()>(&ops::SET_LOG_FILTER, &LogFilter { filter }).await {
            // It has just ended: the next one is told at its start.
            Err(error) if error.code == ErrorCode::Gone => Ok(()),
            told => told.map_err(|error| OperationError::Gateway { integration: id.clone(), error }),
        }
    }

    /// Every integration with what it was counted for, by id.
    pub fn counted(&self) -> Vec<CountedIntegration> {
        self.0.counted()
    }

    /// What it does now; `None` when there is no such integration.
    pub fn actual(&self, id: &IntegrationId) -> Option<Actual> {
        self.0.get(id).map(|integration| integration.actual())
    }

    /// What its worker tried and may not do, since it started.
    pub fn tried(&self, id: &IntegrationId) -> Tried {
        let running = self.0.get(id).and_then(|integration| integration.running());
        running.map_or_else(Tried::default, |running| Tried {
            refusals: running.gateway.refusals(),
            undeclared_paths: running.gateway.undeclared_paths(),
        })
    }

    /// The last call to its gateways that came back, and those that have not.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub fn exchanges(&self, id: &IntegrationId) -> Result<(Option<Exchange>, Vec<InFlight>), OperationError> {
        let integration = self.0.find(id)?;
        let exchanges = integration.exchanges();
        Ok((exchanges.last(), exchanges.in_flight()))
    }

    /// The failures that count against it at present, oldest first.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub fn failures(&self, id: &IntegrationId) -> Result<Vec<FailedOnce>, OperationError> {
        Ok(self.0.find(id)?.failures())
    }

    /// Runs it in the daemon again, after a crash of the daemon moved it to a worker; resolves when it does.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it was not moved.
    pub async fn move_back(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.move_back(id).await
    }

    /// Changes from now on.
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<LifecycleEvent> {
        self.0.subscribe()
    }

    /// Wants it paused; resolves when it is.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off.
    pub async fn pause(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.want(id, Desired::Paused).await
    }

    /// Wants it on; resolves when it runs, or when it is known why not.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off.
    pub async fn resume(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.want(id, Desired::On).await
    }

    /// Allows what the newest version wants; resolves when that has taken over, or when it is known why not.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off or no version waits for a yes.
    pub async fn allow(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.find(id)?.ask(|reply| Input::Hold(Hold::Allow, reply)).await
    }

    /// Keeps it with the version in use.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off or has none.
    pub async fn pin(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.find(id)?.ask(|reply| Input::Hold(Hold::Pin, reply)).await
    }

    /// Lets it go on to the newest version; resolves when that has taken over, or when it is known why not.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off or not pinned.
    pub async fn unpin(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.find(id)?.ask(|reply| Input::Hold(Hold::Unpin, reply)).await
    }

    /// Goes back to an earlier version and stays there: `to` is a version or the beginning of a hash, else the one
    /// before. Resolves when it has taken over, or when it is known why not.
    ///
    /// # Errors
    /// `NotFound`, also when there is no such version; `Conflict` when it is off.
    pub async fn roll_back(
        &self,
        id: &IntegrationId,
        to: Option<String>,
    ) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.find(id)?.ask(|reply| Input::Hold(Hold::Rollback(to), reply)).await
    }

    /// Changes settings: validated by field, saved, applied live or by a restart.
    ///
    /// # Errors
    /// `Invalid` by field.
    pub async fn set(
        &self,
        id: &IntegrationId,
        values: AttributeValues,
    ) -> Result<Arc<IntegrationView>, OperationError> {
        self.0.set(id, values).await
    }

    /// Reads the upstream's entities again; resolves when they are applied, at the latest after five minutes.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when it does not run; `Gateway`, `unsupported` when it declares its entities by itself.
    pub async fn synchronize(&self, id: &IntegrationId) -> Result<SyncOutcome, OperationError> {
        self.0.find(id)?.ask(Input::Synchronize).await
    }

    /// Sets one controllable state through its gateway.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (read-only, wrong value), `Unavailable` (not running), `Gateway`.
    pub async fn control(
        &self,
        address: &StateAddress,
        value: Value,
        payload: serde_json::Value,
    ) -> Result<Option<Value>, OperationError> {
        control::set(&self.0, address, value, payload).await
    }

    /// The image of an entity.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Gateway` (`unsupported` when it has none).
    pub async fn snapshot(&self, address: &EntityAddress) -> Result<Image, OperationError> {
        camera::snapshot(&self.0, address).await
    }

    /// The address of an entity's stream.
    ///
    /// # Errors
    /// As [`Integrations::snapshot`].
    pub async fn stream(&self, address: &EntityAddress) -> Result<url::Url, OperationError> {
        camera::stream(&self.0, address).await
    }

    /// What helps to find a fault in an integration, redacted. One that does not run, or whose plugin fails at it, is
    /// told of in the answer.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn diagnostics(&self, id: &IntegrationId) -> Result<DiagnosticsFound, OperationError> {
        diagnostics::collect(&self.0, id).await
    }

    /// One request for a page of the plugin's own, rendered.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Gateway`, `Invalid` when its template is wrong.
    pub async fn manage(&self, id: &IntegrationId, request: ManageRequest) -> Result<ManagePage, OperationError> {
        manage::page(&self.0, id, request).await
    }

    /// Opens a flow and shows its first step.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when the id is taken or the integration has a flow open.
    pub async fn flow_begin(&self, begin: FlowBegin) -> Result<FlowView, OperationError> {
        flows::begin(&self.0, begin).await
    }

    /// A flow as it is now.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn flow_view(&self, flow_id: &str) -> Result<FlowView, OperationError> {
        self.0.flows().view(flow_id)
    }

    /// Answers a step and shows the next.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the step is stale. Wrong values come back as the same step with `errors`.
    pub async fn flow_answer(
        &self,
        flow_id: &str,
        step_id: &str,
        input: FlowInput,
    ) -> Result<FlowView, OperationError> {
        flows::answer(&self.0, flow_id, step_id, input).await
    }

    /// Gives a flow up.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow_abort(&self, flow_id: &str) -> Result<(), OperationError> {
        flows::abort(&self.0, flow_id).await
    }

    /// Why a plugin did not come up when an integration was to be set up with it the last time; by the content's
    /// SHA-256.
    pub fn launch_problem(&self, sha256: &str) -> Option<Reason> {
        self.0.base().problems.of(sha256)
    }

    /// Stops all in order, bounded; desired states stay.
    pub async fn shut_down(&self) {
        self.0.shut_down().await;
    }
}

#[cfg(test)]
mod tests;
