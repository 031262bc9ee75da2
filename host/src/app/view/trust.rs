//! Who is trusted.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::TrustPolicy;
use crate::plugin::trust::{Entry, TrustView};

/// Which plugins are let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trust {
    /// The policy, of the configuration.
    pub policy: TrustPolicy,
    /// The keys and files of the configuration.
    pub configured: Vec<TrustEntry>,
    /// Those that were added by command, or written into `trust/trusted.list` in the home.
    pub trusted: Vec<TrustEntry>,
    /// Those of `trust/revoked.list`: refused whatever else is said of them.
    pub revoked: Vec<TrustEntry>,
    /// What is wrong with the lists; empty when all is well.
    pub problems: Vec<String>,
}

/// A key or a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TrustEntry {
    /// `key`, `key_id` or `hash`.
    pub kind: String,
    /// The public key, the key's id, or the file's SHA-256.
    pub item: String,
    /// The id of a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Why, in a person's words; may be empty.
    pub note: String,
}

/// What to trust or to revoke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustRequest {
    /// A minisign public key, a key's id (to revoke), or the SHA-256 of a file.
    pub item: String,
    /// Why.
    #[serde(default)]
    pub note: String,
}

impl From<TrustView> for Trust {
    fn from(view: TrustView) -> Self {
        let entries = |entries: Vec<Entry>| entries.into_iter().map(TrustEntry::from).collect();
        Self {
            policy: view.policy,
            configured: entries(view.configured),
            trusted: entries(view.trusted),
            revoked: entries(view.revoked),
            problems: view.problems,
        }
    }
}

impl From<Entry> for TrustEntry {
    fn from(Entry { item, note }: Entry) -> Self {
        let key_id = item.key_id().map(|id| id.to_string());
        Self { kind: item.kind().to_owned(), item: item.to_string(), key_id, note }
    }
}
