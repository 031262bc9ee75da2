//! Configured integrations, their settings and their own pages.

use std::collections::BTreeMap;

use base64::Engine as _;
use gatehouse_plugin_api::attribute::{AttributeSpec, PlainValue};
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::message::{Health, Progress, SyncOutcome};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::GivenValues;
use crate::gateway::{Hosting, Refusal, Tried, UndeclaredPath};
use crate::integration::{Actual, IntegrationView, ManagePage, UpgradeView};
use crate::reason::Reason;
use crate::schema;
use crate::store::Desired;

/// An integration: what is wanted, what is, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Integration {
    /// Its id.
    #[schema(value_type = String)]
    pub id: IntegrationId,
    /// Its type.
    #[schema(value_type = String)]
    pub integration_type: IntegrationType,
    /// Its name.
    pub title: String,
    /// What a person wants.
    pub desired: Desired,
    /// What is.
    pub actual: Actual,
    /// Why.
    pub reason: Reason,
    /// What the person can do; empty when there is nothing to do.
    pub advice: String,
    /// Since when it is so.
    pub since_ms: i64,
    /// Its own word on how it is.
    #[schema(value_type = schema::Health)]
    pub health: Health,
    /// The last successful poll, control or reading.
    pub last_success_ms: Option<i64>,
    /// How it is run.
    pub hosting: Hosting,
    /// Why it is run so against the configuration; empty when it is not.
    #[serde(default)]
    pub moved: String,
    /// The worker's process id.
    pub pid: Option<u32>,
    /// The plugin's version, when its file is there.
    pub version: Option<String>,
    /// The running generation's SHA-256.
    pub generation: Option<String>,
    /// The sentence its activation ended with.
    pub info_message: String,
    /// Its settings, secrets masked.
    #[schema(value_type = BTreeMap<String, schema::PlainValue>)]
    pub attributes: BTreeMap<String, PlainValue>,
    /// What may be set.
    #[schema(value_type = Vec<schema::AttributeSpec>)]
    pub attribute_specs: Vec<AttributeSpec>,
    /// Long work in progress, by its own word.
    #[schema(value_type = Option<schema::Progress>)]
    pub progress: Option<Progress>,
    /// In-process generations whose libraries stay mapped.
    pub leaked_generations: u32,
    /// What is under way to another version of its plugin, and what it is held to.
    #[serde(default)]
    pub upgrade: UpgradeView,
    /// Its attached entities.
    pub entities: u32,
    /// What its worker tried and may not do, since it started.
    pub refusals: Vec<Refusal>,
    /// Paths that its worker opened and its manifest does not declare; only with `sandbox_trace`.
    pub undeclared_paths: Vec<UndeclaredPath>,
    /// The log filter that was set at run time; forgotten when the daemon restarts.
    pub log_filter: Option<String>,
}

impl Integration {
    /// The integration with the number of its attached entities and what its worker tried and may not do.
    pub fn new(view: &IntegrationView, entities: u32, tried: Tried) -> Self {
        let view = view.clone();
        Self {
            id: view.id,
            integration_type: view.integration_type,
            title: view.title,
            desired: view.desired,
            actual: view.actual,
            reason: view.reason,
            advice: view.advice,
            since_ms: view.since_ms,
            health: view.health,
            last_success_ms: view.last_success_ms,
            hosting: view.hosting,
            moved: view.moved,
            pid: view.pid,
            version: view.version,
            generation: view.generation,
            info_message: view.info_message,
            attributes: view.attributes,
            attribute_specs: view.attribute_specs,
            progress: view.progress,
            leaked_generations: view.leaked_generations,
            upgrade: view.upgrade,
            entities,
            refusals: tried.refusals,
            undeclared_paths: tried.undeclared_paths,
            log_filter: None,
        }
    }
}

/// What helps to find a fault in an integration. Secrets are left out: those that the host knows wherever they stand,
/// and every field whose name says that it is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diagnostics {
    /// The daemon's version.
    pub gatehouse: String,
    /// When this was asked.
    pub at_ms: i64,
    /// The integration.
    pub integration: Integration,
    /// What its plugin said of itself.
    #[schema(value_type = Option<Object>)]
    pub data: Option<serde_json::Value>,
    /// Why it said nothing; empty when it did.
    pub problem: String,
}

/// Settings to change; those not named stay as they are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttributesPatch {
    /// The new values by key.
    pub values: GivenValues,
}

/// A page of a plugin's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ManageAnswer {
    /// Rendered HTML.
    Html(String),
    /// Another page of the same integration: the parameters to ask for it with.
    Redirect(BTreeMap<String, String>),
    /// A file to save.
    File {
        /// The suggested name: a plain file name.
        name: String,
        /// The media type.
        media_type: String,
        /// The content in standard base64 with padding.
        base64: String,
    },
    /// One sentence.
    Message {
        /// Whether it tells of a failure.
        error: bool,
        /// The sentence.
        text: String,
    },
}

impl From<ManagePage> for ManageAnswer {
    fn from(page: ManagePage) -> Self {
        match page {
            ManagePage::Html(html) => Self::Html(html),
            ManagePage::Redirect(params) => Self::Redirect(params),
            ManagePage::File { name, media_type, bytes } => {
                Self::File { name, media_type, base64: base64::engine::general_purpose::STANDARD.encode(bytes) }
            }
            ManagePage::Message { error, text } => Self::Message { error, text },
        }
    }
}

/// What reading the upstream's entities again changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncAnswer {
    /// New entities.
    pub created: u32,
    /// Known entities that changed.
    pub updated: u32,
    /// Entities that came back.
    pub reconnected: u32,
    /// Entities that the upstream no longer has.
    pub detached: u32,
}

impl From<SyncOutcome> for SyncAnswer {
    fn from(outcome: SyncOutcome) -> Self {
        let SyncOutcome { created, updated, reconnected, detached } = outcome;
        Self { created, updated, reconnected, detached }
    }
}
