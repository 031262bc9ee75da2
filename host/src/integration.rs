//! Configured, supervised integrations: lifecycle, attributes, flows, pages, control.

mod lifecycle;

use std::collections::BTreeMap;
use std::sync::Arc;

use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValues, FieldErrors, PlainValue};
use gatehouse_plugin_api::flow::FlowStep;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType, StateAddress};
use gatehouse_plugin_api::manage::ManageRequest;
use gatehouse_plugin_api::message::{Health, Progress};
use gatehouse_plugin_api::value::Value;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::config::Config;
use crate::entity::House;
use crate::gateway::Hosting;
use crate::home::Home;
use crate::plugin::catalog::Catalog;
use crate::reason::Reason;
use crate::schema;
use crate::store::{Desired, Store};

/// What an integration is, as opposed to what a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Actual {
    /// Its plugin file is not there.
    Missing,
    /// Its plugin file was refused.
    Incompatible,
    /// Not in use.
    Off,
    /// Not running for now.
    Paused,
    /// Being started.
    Starting,
    /// Running.
    Running,
    /// Running, and not well.
    Degraded,
    /// Waiting to be started again.
    Retrying {
        /// Failures in a row.
        attempt: u32,
        /// When, in milliseconds since 1970 UTC.
        next_at_ms: i64,
    },
    /// Waiting for credentials.
    NeedsAuth,
    /// Waiting for settings.
    NeedsConfig,
    /// Too many failures; retried slowly.
    Quarantined {
        /// When, in milliseconds since 1970 UTC.
        next_at_ms: i64,
    },
    /// Being stopped.
    Stopping,
}

/// An integration as a person sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntegrationView {
    /// Its id.
    pub id: IntegrationId,
    /// Its type.
    pub integration_type: IntegrationType,
    /// Its name.
    pub title: String,
    /// What is wanted.
    pub desired: Desired,
    /// What is.
    pub actual: Actual,
    /// Why.
    pub reason: Reason,
    /// What the person can do; may be empty.
    pub advice: String,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: i64,
    /// Its own word on how it is.
    pub health: Health,
    /// The last successful poll, control or reading, in milliseconds since 1970 UTC.
    pub last_success_ms: Option<i64>,
    /// How it is run.
    pub hosting: Hosting,
    /// The worker's process id.
    pub pid: Option<u32>,
    /// The plugin's version, when its file is there.
    pub version: Option<String>,
    /// The running generation's SHA-256.
    pub generation: Option<String>,
    /// The sentence its activation ended with.
    pub info_message: String,
    /// Its settings, secrets masked.
    pub attributes: BTreeMap<String, PlainValue>,
    /// What may be set.
    pub attribute_specs: Vec<AttributeSpec>,
    /// Long work in progress, by its own word.
    pub progress: Option<Progress>,
    /// In-process generations whose libraries stay mapped.
    pub leaked_generations: u32,
}

/// One change of an integration's desired or actual state or health.
#[derive(Debug, Clone, Serialize)]
pub struct LifecycleEvent {
    /// The integration after the change; `None` once it is deleted.
    pub integration: Option<Arc<IntegrationView>>,
    /// Its id.
    pub id: IntegrationId,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Which way a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowKind {
    /// Makes or reconfigures an integration.
    Activate,
    /// Switches one off.
    Deactivate,
}

/// Opens a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowBegin {
    /// Which way.
    pub kind: FlowKind,
    /// The type to activate, when there is no integration yet.
    #[serde(default)]
    pub integration_type: Option<IntegrationType>,
    /// The integration: the one to deactivate or reconfigure, or the wanted id of the new one.
    #[serde(default)]
    pub integration: Option<IntegrationId>,
}

/// What a person answers to a step.
#[derive(Debug, Clone, Default)]
pub struct FlowInput {
    /// Values of a form.
    pub values: AttributeValues,
    /// The option of a menu.
    pub choice: Option<String>,
}

/// A flow as a person sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowView {
    /// Its id.
    pub flow_id: String,
    /// Which way.
    pub kind: FlowKind,
    /// The type.
    pub integration_type: IntegrationType,
    /// The integration, or the id it will have.
    pub integration: IntegrationId,
    /// The step to answer, or how it ended.
    pub state: FlowState,
    /// When it is given up, in milliseconds since 1970 UTC.
    pub expires_at_ms: i64,
}

/// Where a flow is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// A step waits for its answer.
    Step {
        /// The step.
        #[schema(value_type = schema::FlowStep)]
        step: FlowStep,
        /// Values to offer, by field.
        #[schema(value_type = BTreeMap<String, schema::PlainValue>)]
        defaults: BTreeMap<String, PlainValue>,
    },
    /// It ended well.
    Done {
        /// The sentence for the person.
        info_message: String,
    },
    /// It ended without effect.
    Aborted {
        /// A stable word.
        code: String,
        /// The sentence for the person.
        message: String,
    },
}

/// A page of a plugin's own, ready to show.
#[derive(Debug, Clone, PartialEq)]
pub enum ManagePage {
    /// Rendered HTML.
    Html(String),
    /// Another page: its parameters.
    Redirect(BTreeMap<String, String>),
    /// A file to save.
    File {
        /// The suggested name, a plain file name.
        name: String,
        /// The media type.
        media_type: String,
        /// The content.
        bytes: Vec<u8>,
    },
    /// One sentence.
    Message {
        /// Whether it tells of a failure.
        error: bool,
        /// The sentence.
        text: String,
    },
}

/// Why an operation on an integration was not done. `api::errors` maps it to a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// What was named does not exist.
    #[error("{what} does not exist{hint}")]
    NotFound {
        /// The thing, with its kind: `the integration "lamp"`.
        what: String,
        /// Empty, or `: did you mean …?`.
        hint: String,
    },
    /// It exists already, or another operation is in its way, or the step is stale.
    #[error("{0}")]
    Conflict(String),
    /// The input is wrong.
    #[error("{message}")]
    Invalid {
        /// The sentence.
        message: String,
        /// What is wrong with which field.
        fields: FieldErrors,
    },
    /// It cannot be done in the present state (offline, paused, read-only).
    #[error("{0}")]
    Unavailable(String),
    /// The gateway answered with an error.
    #[error("{integration}: {error}")]
    Gateway {
        /// The integration.
        integration: IntegrationId,
        /// What it answered.
        error: gatehouse_plugin_api::CallError,
    },
    /// The database failed.
    #[error("{0}")]
    Store(String),
}

/// What the integrations are built on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The home.
    pub home: Home,
    /// The configuration.
    pub config: Arc<Config>,
    /// The database.
    pub store: Store,
    /// Entities and readings.
    pub house: House,
    /// The usable plugins.
    pub catalog: Catalog,
    /// The time.
    pub clock: Clock,
}

/// All integrations with their supervisors and flows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Integrations(Arc<IntegrationsParts>);

#[derive(Debug)]
struct IntegrationsParts {}

#[expect(unused_variables, clippy::unused_async, reason = "being built")]
impl Integrations {
    /// Loads every integration and begins to supervise: starts what is wanted on, follows the catalog's changes.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(ground: Ground) -> Result<Self, OperationError> {
        todo!("integration room")
    }

    /// Every integration, by id.
    pub fn list(&self) -> Vec<Arc<IntegrationView>> {
        todo!("integration room")
    }

    /// One integration.
    ///
    /// # Errors
    /// `NotFound`, with the nearest name.
    pub fn view(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        todo!("integration room")
    }

    /// Changes from now on.
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<LifecycleEvent> {
        todo!("integration room")
    }

    /// Wants it paused; resolves when it is.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off.
    pub async fn pause(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        todo!("integration room")
    }

    /// Wants it on; resolves when it runs, or when it is known why not.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when it is off.
    pub async fn resume(&self, id: &IntegrationId) -> Result<Arc<IntegrationView>, OperationError> {
        todo!("integration room")
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
        todo!("integration room")
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
        todo!("integration room")
    }

    /// One request for a page of the plugin's own, rendered.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`, `Gateway`, `Invalid` when its template is wrong.
    pub async fn manage(&self, id: &IntegrationId, request: ManageRequest) -> Result<ManagePage, OperationError> {
        todo!("integration room")
    }

    /// Opens a flow and shows its first step.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` when the id is taken or the integration has a flow open.
    pub async fn flow_begin(&self, begin: FlowBegin) -> Result<FlowView, OperationError> {
        todo!("integration room")
    }

    /// A flow as it is now.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn flow_view(&self, flow_id: &str) -> Result<FlowView, OperationError> {
        todo!("integration room")
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
        todo!("integration room")
    }

    /// Gives a flow up.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow_abort(&self, flow_id: &str) -> Result<(), OperationError> {
        todo!("integration room")
    }

    /// Stops all in order, bounded; desired states stay.
    pub async fn shut_down(&self) {
        todo!("integration room")
    }
}
