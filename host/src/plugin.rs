//! From a file in the plugins folder to a staged plugin: discovery, inspection, trust, staging, verdict, catalog.
//!
//! Each stage consumes the type of the stage before; their fields are private, so a `Staged` plugin that was never
//! inspected cannot exist. Every early return is a [`Refused`] and becomes a verdict row.

pub mod catalog;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationType;
use gatehouse_plugin_api::manifest::Manifest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::reason::Reason;

/// A plugin generation that was inspected and copied into the content-addressed store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Staged(Arc<StagedParts>);

#[derive(Debug)]
struct StagedParts {
    manifest: Manifest,
    section: Vec<u8>,
    sha256: String,
    path: PathBuf,
    file_name: String,
}

impl Staged {
    /// What the file says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The manifest section's bytes, for comparison with what the running code reports.
    pub fn section(&self) -> &[u8] {
        &self.0.section
    }

    /// The SHA-256 of the staged copy, in lower-case hex: the generation's identity.
    pub fn sha256(&self) -> &str {
        &self.0.sha256
    }

    /// The staged copy: the only file that is ever opened as a library.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The name of the file in the plugins folder.
    pub fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// The integration type it provides.
    pub fn integration_type(&self) -> &IntegrationType {
        &self.0.manifest.id
    }
}

/// What was decided about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// In use: the winner of its id.
    Accepted,
    /// Sound, and another file has its id.
    Shadowed,
    /// Not usable.
    Refused,
    /// No longer there.
    Gone,
}

/// The row that every file ever seen has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The file's name in the plugins folder.
    pub file_name: String,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
    /// The content's SHA-256 in lower-case hex, when it was read.
    pub sha256: Option<String>,
    /// The file's size in bytes, when known.
    pub size_bytes: Option<u64>,
    /// What the file says of itself, when that could be read.
    pub manifest: Option<Manifest>,
    /// Since when, in milliseconds since 1970 UTC.
    pub decided_at_ms: i64,
}

/// What changed in the set of usable plugins, in order.
#[derive(Debug, Clone)]
pub enum PluginChange {
    /// A verdict was made or changed.
    Verdict(Arc<Verdict>),
    /// A type has a (new) generation in use.
    Available(Staged),
    /// A type has no usable file any more; the staged copy stays until nothing runs from it.
    Unavailable {
        /// The type.
        integration_type: IntegrationType,
        /// Why (`file_gone`, or the refusal of the file that took its place).
        reason: Reason,
    },
}
