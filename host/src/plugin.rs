//! From a file in the plugins folder to a staged plugin: discovery, inspection, trust, staging, verdict, catalog.
//!
//! Each stage consumes the type of the stage before; their fields are private, so a `Staged` plugin that was never
//! inspected cannot exist:
//!
//! ```text
//! Candidate ─(open, owner, copy, hash)→ Received ─(inspect)→ Inspected ─(trust)→ Trusted ─(name for good)→ Staged
//! ```
//!
//! Every early return is a [`Refused`] and becomes a verdict row. Everything here reads and writes files and blocks;
//! the catalog does it on a thread of its own.

pub mod catalog;
mod discovery;
pub mod inspection;
mod source;
mod staging;
pub mod trust;
mod verdict;

use std::path::Path;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationType;

pub use staging::Staged;
pub use verdict::{Decision, Refused, Verdict};

use crate::reason::Reason;

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
    /// A generation that somebody holds may not run any longer, in use or not.
    Revoked {
        /// Its type.
        integration_type: IntegrationType,
        /// The generation.
        sha256: String,
        /// Why.
        reason: Reason,
    },
}

/// Takes one file all the way: opens, checks, copies into `staging`, inspects the copy and keeps it. Whoever made the
/// file is trusted. Blocks.
///
/// # Errors
/// Why the file is no plugin for this host.
pub fn stage(file: &Path, staging: &Path, max_bytes: u64) -> Result<Staged, Refused> {
    let folder = staging::StagingFolder::at(staging.to_owned());
    stage_candidate(&folder, &discovery::Candidate::given(file), max_bytes, &trust::Trust::anybody())
}

fn stage_candidate(
    folder: &staging::StagingFolder,
    candidate: &discovery::Candidate,
    max_bytes: u64,
    trust: &trust::Trust,
) -> Result<Staged, Refused> {
    let received = folder.receive(candidate, max_bytes)?;
    let inspected = inspection::inspect(received)?;
    folder.keep(trust.admit(inspected)?)
}
