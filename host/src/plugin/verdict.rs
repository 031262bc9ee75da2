//! What is decided about a file: the row that every file ever seen has, and the refusal that any stage may answer.

use std::path::Path;

use gatehouse_plugin_api::manifest::Manifest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Staged;
use crate::reason::{Reason, ReasonCode};

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

impl Verdict {
    /// Whether both say the same, whenever they were made.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.decision == other.decision
            && self.reason == other.reason
            && self.sha256 == other.sha256
            && self.size_bytes == other.size_bytes
            && self.manifest == other.manifest
    }
}

/// What was known of a file when it was decided about.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) sha256: Option<String>,
    pub(super) size_bytes: Option<u64>,
    pub(super) manifest: Option<Manifest>,
}

impl Facts {
    pub(super) fn of(plugin: &Staged) -> Self {
        Self {
            sha256: Some(plugin.sha256().to_owned()),
            size_bytes: Some(plugin.size_bytes()),
            manifest: Some(plugin.manifest().clone()),
        }
    }

    pub(super) fn verdict(self, file_name: &str, decision: Decision, reason: Reason, decided_at_ms: i64) -> Verdict {
        let Self { sha256, size_bytes, manifest } = self;
        Verdict { file_name: file_name.to_owned(), decision, reason, sha256, size_bytes, manifest, decided_at_ms }
    }
}

/// A file that some stage does not let pass: why, and what was known of it by then. Becomes a verdict row.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}", .0.reason)]
pub struct Refused(Box<RefusedParts>);

#[derive(Debug, Clone, PartialEq)]
struct RefusedParts {
    file_name: String,
    reason: Reason,
    facts: Facts,
}

impl Refused {
    pub(super) fn new(file_name: &str, reason: Reason) -> Self {
        Self(Box::new(RefusedParts { file_name: file_name.to_owned(), reason, facts: Facts::default() }))
    }

    #[must_use]
    pub(super) fn knowing(mut self, facts: Facts) -> Self {
        self.0.facts = facts;
        self
    }

    /// The file's name in the plugins folder.
    pub fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.0.reason
    }

    /// The row.
    pub fn into_verdict(self, decided_at_ms: i64) -> Verdict {
        let RefusedParts { file_name, reason, facts } = *self.0;
        facts.verdict(&file_name, Decision::Refused, reason, decided_at_ms)
    }
}

impl ReasonCode {
    /// Whether the cause may go without the file being touched, so that the file is looked at again now and then.
    pub(super) fn may_pass_by_itself(self) -> bool {
        matches!(
            self,
            Self::StagingFailed
                | Self::TrustUnreadable
                | Self::LibraryMissing
                | Self::Unreadable
                | Self::BrokenLink
                | Self::ChangedWhileRead
        )
    }
}

/// The name by which a person knows a file: the last part of its path.
pub(super) fn file_name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
