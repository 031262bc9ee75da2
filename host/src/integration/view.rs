//! Integrations as people see them: what is wanted, what is, why, and the pages of a plugin's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use gatehouse_plugin_api::attribute::{AttributeSpec, PlainValue};
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::message::{Health, Progress};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::Hosting;
use crate::reason::Reason;
use crate::store::Desired;

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

impl Actual {
    /// The state's word, as it stands in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Incompatible => "incompatible",
            Self::Off => "off",
            Self::Paused => "paused",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Retrying { .. } => "retrying",
            Self::NeedsAuth => "needs_auth",
            Self::NeedsConfig => "needs_config",
            Self::Quarantined { .. } => "quarantined",
            Self::Stopping => "stopping",
        }
    }
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
