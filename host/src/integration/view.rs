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
    /// Why it is run so against the configuration; empty when it is not.
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
    pub attributes: BTreeMap<String, PlainValue>,
    /// What may be set.
    pub attribute_specs: Vec<AttributeSpec>,
    /// Long work in progress, by its own word.
    pub progress: Option<Progress>,
    /// In-process generations whose libraries stay mapped.
    pub leaked_generations: u32,
    /// What is under way to another version, and what it is held to.
    pub upgrade: UpgradeView,
}

/// The versions of an integration's plugin beside the one in use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpgradeView {
    /// Another version than the one in use: on its way, waiting, or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextVersion>,
    /// The version in use is on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialView>,
    /// It stays with one version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinView>,
}

/// Another version than the one in use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NextVersion {
    /// Its version.
    pub version: String,
    /// Its content's SHA-256.
    pub generation: String,
    /// How far it has come.
    pub step: NextStep,
    /// Why it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What it wants to be allowed beyond what a person granted, in plain words.
    #[serde(default)]
    pub wants: Vec<String>,
    /// When it is tried again, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at_ms: Option<i64>,
}

/// How far another version has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextStep {
    /// It is opened in a worker of its own.
    Trying,
    /// It waits: for a person, or for a while.
    Waits,
    /// It has started beside the one in use and is about to take over.
    Beside,
    /// The one in use stops first.
    Replacing,
    /// It is not used: it failed, or waits for the next start.
    Unused,
}

/// A version on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrialView {
    /// The version to which a failure goes back.
    pub from_version: String,
    /// Its content's SHA-256.
    pub from_generation: String,
    /// When the trial is over, in milliseconds since 1970 UTC.
    pub until_ms: i64,
}

/// An integration that stays with one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PinView {
    /// The version.
    pub version: String,
    /// Its content's SHA-256.
    pub generation: String,
    /// The version that failed: a higher one lifts the pin. None when only a person does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_version: Option<String>,
    /// Why.
    pub why: String,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: i64,
}

/// One failure that counts against an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedOnce {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Why.
    pub reason: Reason,
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
