//! One database, `gatehouse.db`: WAL, one writer that groups commits, secrets sealed. The only room with SQL.
//!
//! One Rust module per table group; each adds typed methods to [`Store`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::Hosting;
use crate::plugin::Verdict;

/// What a person wants of an integration. Survives a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Not in use.
    Off,
    /// In use, not running for now.
    Paused,
    /// Running.
    On,
}

/// An integration as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct IntegrationRow {
    /// Its id.
    pub id: IntegrationId,
    /// Its type.
    pub integration_type: IntegrationType,
    /// Its name for a person.
    pub title: String,
    /// What a person wants.
    pub desired: Desired,
    /// How it is run.
    pub hosting: Hosting,
    /// The upstream's own identity.
    pub unique_id: Option<String>,
    /// The sentence that its activation ended with.
    pub info_message: String,
    /// When it was activated first, in milliseconds since 1970 UTC.
    pub created_at_ms: i64,
    /// Its settings; secrets are sealed in the database.
    pub attributes: AttributeValues,
    /// The generation (SHA-256) that ran well last: what an upgrade goes back to.
    pub last_good_sha256: Option<String>,
}

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is newer than this binary.
    #[error(
        "the database {path} was written by a newer Gatehouse (schema {found}, this one knows {known}): update Gatehouse, or restore {path}.before-{known}"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its schema version.
        found: i64,
        /// The highest that this binary knows.
        known: i64,
    },
    /// It cannot be opened, read or written.
    #[error("the database {path}: {doing} failed")]
    Database {
        /// The file.
        path: String,
        /// What was tried.
        doing: &'static str,
        /// SQLite's own word.
        #[source]
        source: rusqlite::Error,
    },
    /// The sealing key is unusable.
    #[error("the key file {path} {problem}")]
    Key {
        /// The file.
        path: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A row holds what cannot be read.
    #[error("the database row {row} cannot be read: {problem}")]
    Row {
        /// Which row.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The writer has ended: the daemon is stopping.
    #[error("the database is closed")]
    Closed,
}

/// How the store commits; all from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitPolicy {
    /// The longest time between a write and its commit.
    pub every: Duration,
    /// The most rows in one commit.
    pub rows: usize,
    /// Survive power loss (`synchronous = FULL`), not only the death of the process.
    pub full_durability: bool,
}

/// The database. Cheap to clone; every write goes through one thread.
#[derive(Debug, Clone)]
pub struct Store(Arc<StoreParts>);

#[derive(Debug)]
struct StoreParts {}

#[expect(unused_variables, clippy::unused_async, reason = "being built")]
impl Store {
    /// Opens (and migrates) the database; makes the key file when there is none. Blocks.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(database: &Path, key_file: &Path, commits: CommitPolicy) -> Result<Self, StoreError> {
        todo!("store room")
    }

    /// Ends the writer after everything queued is committed.
    pub async fn close(&self) {
        todo!("store room")
    }

    /// Keeps a verdict, replacing the one of the same file name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn verdict_save(&self, verdict: Verdict) -> Result<(), StoreError> {
        todo!("store room")
    }

    /// Every verdict, by file name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn verdict_list(&self) -> Result<Vec<Verdict>, StoreError> {
        todo!("store room")
    }

    /// Keeps an integration, whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn integration_save(&self, row: IntegrationRow) -> Result<(), StoreError> {
        todo!("store room")
    }

    /// Every integration, by id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn integration_list(&self) -> Result<Vec<IntegrationRow>, StoreError> {
        todo!("store room")
    }

    /// Deletes an integration's row (ALL), its key-value data and secrets with it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn integration_delete(&self, id: &IntegrationId) -> Result<(), StoreError> {
        todo!("store room")
    }

    /// A value of the key-value store of an integration (sealed at rest).
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kv_get(&self, id: &IntegrationId, space: KvSpace, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        todo!("store room")
    }

    /// Sets or (with `None`) deletes a value; resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kv_set(
        &self,
        id: &IntegrationId,
        space: KvSpace,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        todo!("store room")
    }

    /// The keys with a prefix, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kv_keys(&self, id: &IntegrationId, space: KvSpace, prefix: &str) -> Result<Vec<String>, StoreError> {
        todo!("store room")
    }

    /// Deletes all values of a space.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kv_clear(&self, id: &IntegrationId, space: KvSpace) -> Result<(), StoreError> {
        todo!("store room")
    }

    /// Deletes readings older than a moment, in batches; returns how many.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn readings_expire(&self, older_than_ms: i64) -> Result<u64, StoreError> {
        todo!("store room")
    }
}

/// Which of an integration's two sealed stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvSpace {
    /// `Context::kv()`.
    Data,
    /// `Context::secrets()`.
    Secrets,
}
