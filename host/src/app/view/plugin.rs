//! Plugin files and what was decided about them.

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manifest::Manifest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::integration::NextVersion;
use crate::plugin::{Decision, Verdict};
use crate::reason::Reason;
use crate::schema;

/// A file in the plugins folder with its verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plugin {
    /// The file's name in the plugins folder.
    pub file_name: String,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
    /// Since when the decision stands.
    pub decided_at_ms: i64,
    /// The content's SHA-256 in lower-case hex, when it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The file's size in bytes, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// What the file says of itself, when that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Manifest>)]
    pub manifest: Option<Manifest>,
    /// Why it did not come up when an integration was to be set up with it the last time; gone once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Reason>,
    /// The integrations of its type, when this file is in use.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub integrations: Vec<IntegrationId>,
}

impl From<&Verdict> for Plugin {
    fn from(verdict: &Verdict) -> Self {
        Self {
            file_name: verdict.file_name.clone(),
            decision: verdict.decision,
            reason: verdict.reason.clone(),
            advice: verdict.reason.code.advice().to_owned(),
            decided_at_ms: verdict.decided_at_ms,
            sha256: verdict.sha256.clone(),
            size_bytes: verdict.size_bytes,
            manifest: verdict.manifest.clone(),
            problem: None,
            integrations: Vec::new(),
        }
    }
}

/// One version of a plugin whose copy is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginVersion {
    /// The version.
    pub version: String,
    /// The content's SHA-256 in lower-case hex.
    pub sha256: String,
    /// The file in the plugins folder that has it; none when only its copy is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// The integrations that run it.
    #[schema(value_type = Vec<String>)]
    pub running: Vec<IntegrationId>,
    /// Those of them that have it on trial.
    #[schema(value_type = Vec<String>)]
    pub on_trial: Vec<IntegrationId>,
    /// The integrations that are pinned to it.
    #[schema(value_type = Vec<String>)]
    pub pinned: Vec<IntegrationId>,
    /// The integrations for which it is on its way or waits, and why.
    #[schema(value_type = std::collections::BTreeMap<String, NextVersion>)]
    pub next: std::collections::BTreeMap<IntegrationId, NextVersion>,
}

/// Which version to go back to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// A version, or the beginning of a content's SHA-256 (at least six digits); the one before when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

/// The folder that plugin files are dropped into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginsFolder {
    /// Where it is.
    pub path: String,
    /// Whether files in it are taken.
    pub usable: bool,
    /// Why not and what to do; empty when it is usable.
    #[serde(default)]
    pub problem: String,
}
