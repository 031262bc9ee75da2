//! One database, `gatehouse.db`: WAL, one writer that groups commits, secrets sealed. The only room with SQL.
//!
//! One Rust module per table group; each adds typed methods to [`Store`].

mod audit;
mod crashes;
mod damage;
mod entities;
mod error;
mod history;
mod integrations;
mod kv;
mod opening;
mod queue;
mod readers;
mod rescue;
mod schema;
mod seal;
mod upgrades;
mod values;
mod verdicts;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot};
use utoipa::ToSchema;

use self::damage::Damage;
use self::error::Fault;
use self::opening::Opened;
use self::queue::Pending;
use self::readers::Readers;
use self::rescue::{Remembered, Rescues};
use self::seal::Seal;
use self::writer::{Message, Work, Writer};
use crate::gateway::Hosting;

pub use self::audit::{AuditEntry, AuditQuery};
pub use self::crashes::{CrashRow, MovedRow};
pub(crate) use self::entities::{EntityChange, EntityRow, LastValue, StateRow};
pub use self::error::StoreError;
pub(crate) use self::queue::{Effect, QueueState, ReadingQueue, ReadingRow};
pub use self::rescue::Rescue;
pub(crate) use self::upgrades::Written;
pub use self::upgrades::{GenerationRow, Pin, Trial, UpgradeRow};

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
struct StoreParts {
    path: PathBuf,
    policy: CommitPolicy,
    seal: Arc<Seal>,
    messages: Sender<Message>,
    pending: Arc<Pending>,
    readers: Arc<Readers>,
    rescues: Arc<Rescues>,
    /// Integrations were changed since all but the history was copied.
    changed: Notify,
}

impl Store {
    /// Opens (and migrates) the database; makes the key file when there is none. What can be read of a damaged one goes
    /// on in a new one ([`Store::rescue`]). Blocks.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(database: &Path, key_file: &Path, commits: CommitPolicy) -> Result<Self, StoreError> {
        let Opened { connection, seal, next_ordinal, rescue } = opening::open(database, key_file, commits)?;
        let rescues = Arc::new(Rescues::default());
        rescues.done(rescue);
        rescues.hold(database);
        let (seal, readers) = (Arc::new(seal), Arc::new(Readers::new(database)));
        let pending = Arc::new(Pending::default());
        let (messages, received) = mpsc::channel();
        let writer = Writer {
            connection,
            path: database.to_owned(),
            policy: commits,
            messages: received,
            pending: Arc::clone(&pending),
            next_ordinal,
            damage: Damage::new(database.to_owned(), Arc::clone(&seal), Arc::clone(&readers), Arc::clone(&rescues)),
        };
        std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.run()).map_err(|source| {
            StoreError::File { path: database.display().to_string(), doing: "starting its writer", source }
        })?;
        Ok(Self(Arc::new(StoreParts {
            path: database.to_owned(),
            policy: commits,
            seal,
            messages,
            pending,
            readers,
            rescues,
            changed: Notify::new(),
        })))
    }

    /// Ends the writer after everything queued is committed; every later call answers [`StoreError::Closed`].
    pub async fn close(&self) {
        self.0.readers.permits().close();
        self.0.readers.close();
        let (done, ended) = oneshot::channel();
        if self.0.messages.send(Message::Close(done)).is_ok() {
            // An error means that the writer had ended before.
            let _ = ended.await;
        }
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Why readings are not written at present, and how many were given up since; `None` while all is well.
    pub fn readings_problem(&self) -> Option<(StoreError, u64)> {
        self.0.pending.failure().map(|(fault, lost)| (fault.at(&self.0.path, "writing readings"), lost))
    }

    /// How the database was damaged and left behind, as long as the damaged one is kept.
    pub fn rescue(&self) -> Option<Rescue> {
        self.0.rescues.last()
    }

    /// Why a damaged database is still the one in use; `None` while all is well.
    pub fn damage(&self) -> Option<String> {
        self.0.rescues.failed()
    }

    /// Reads every page of the file; when one is damaged, the database is left behind. Resolves then.
    pub async fn look(&self) -> Result<(), StoreError> {
        let path = self.0.path.clone();
        let file = self.0.readers.file();
        let found = tokio::task::spawn_blocking(move || {
            rescue::look(&path).and_then(|found| found.map_or(Ok(()), |problem| Err(Fault::damage(problem))))
        })
        .await;
        match found {
            Ok(Err(fault)) if fault.is_damage() => self.leave_behind(file, &fault).await,
            Ok(looked) => looked.map_err(|fault| fault.at(&self.0.path, "looking at every page")),
            Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// Copies everything but the history, so that a rescue has it: in the place of the copy before. Resolves then.
    pub async fn keep(&self) -> Result<(), StoreError> {
        let (path, Some(file)) = (self.0.path.clone(), self.0.rescues.file()) else { return Ok(()) };
        let kept = tokio::task::spawn_blocking(move || rescue::keep(&path, &file)).await;
        kept.unwrap_or_else(|panicked| match panicked.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(StoreError::Closed),
        })
    }

    /// Resolves when integrations were changed since the last call resolved.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Has the writer leave the file with this number behind, unless it did.
    async fn leave_behind(&self, file: u64, fault: &Fault) -> Result<(), StoreError> {
        let (readers, fault) = (Arc::clone(&self.0.readers), fault.copy());
        self.write("leaving it behind", move |_| if readers.file() == file { Err(fault.copy()) } else { Ok(()) }).await
    }

    /// What the house knows of its entities, for a database that no longer tells; called on the writer's thread.
    pub(crate) fn remember(&self, what: Arc<Remembered>) {
        self.0.rescues.remember(what);
    }

    /// How the readings' queue is.
    pub(crate) fn readings_queue(&self) -> QueueState {
        self.0.pending.state()
    }

    fn policy(&self) -> &CommitPolicy {
        &self.0.policy
    }

    fn seal(&self) -> &Seal {
        &self.0.seal
    }

    /// The way of readings into the history: at most `limit` wait; `on_commit` gets the highest committed sequence
    /// number, on the writer's thread, and must return at once. Once per store.
    pub(crate) fn readings(&self, limit: usize, on_commit: Arc<dyn Fn(u64) + Send + Sync>) -> ReadingQueue {
        ReadingQueue::new(self.clone(), Arc::clone(&self.0.pending), self.0.messages.clone(), limit, on_commit)
    }

    /// Bounds the database to its present size plus so many pages, as a full disk does; `None` lifts the bound.
    #[cfg(test)]
    pub(crate) async fn limit_pages(&self, more: Option<i64>) -> Result<(), StoreError> {
        self.write("limiting its size", move |connection| {
            let count: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let limit = more.map_or(i64::from(u32::MAX - 1), |more| count + more);
            Ok(connection.pragma_update(None, "max_page_count", limit)?)
        })
        .await
    }

    /// Has every deletion of a reading fail, or not any more.
    #[cfg(test)]
    pub(crate) async fn refuse_deletions(&self, refuse: bool) -> Result<(), StoreError> {
        self.write("refusing deletions", move |connection| {
            Ok(connection.execute_batch(if refuse {
                "CREATE TEMP TRIGGER refused BEFORE DELETE ON readings BEGIN SELECT RAISE(ABORT, 'refused'); END"
            } else {
                "DROP TRIGGER refused"
            })?)
        })
        .await
    }

    /// Runs a write on the writer's thread; resolves after its commit.
    async fn write<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, answer) = Work::new(work);
        self.0.messages.send(Message::Job(Box::new(job))).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?.map_err(|fault| fault.at(&self.0.path, doing))
    }

    /// Runs a query on a blocking thread.
    async fn read<T: Send + 'static>(
        &self,
        doing: &'static str,
        query: impl Fn(&Connection) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Result<T, StoreError> {
        let query = Arc::new(query);
        match self.read_once(Arc::clone(&query)).await? {
            (file, Err(fault)) if fault.is_damage() => {
                self.leave_behind(file, &fault).await?;
                self.read_once(query).await?.1
            }
            (_, read) => read,
        }
        .map_err(|fault| fault.at(&self.0.path, doing))
    }

    async fn read_once<T: Send + 'static>(
        &self,
        query: Arc<impl Fn(&Connection) -> Result<T, Fault> + Send + Sync + 'static>,
    ) -> Result<(u64, Result<T, Fault>), StoreError> {
        let _permit = self.0.readers.permits().acquire().await.map_err(|_| StoreError::Closed)?;
        let store = self.clone();
        let result = tokio::task::spawn_blocking(move || store.0.readers.run(&*query)).await;
        match result {
            Ok(result) => Ok(result),
            Err(panic) if panic.is_panic() => std::panic::resume_unwind(panic.into_panic()),
            Err(_) => Err(StoreError::Closed),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_told_and_got_over() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let policy = CommitPolicy { every: Duration::from_millis(20), rows: 5_000, full_durability: false };
        let store = Store::open(&dir.path().join("gatehouse.db"), &dir.path().join("key"), policy).expect("opens");
        let hass = IntegrationId::new("hass").expect("valid");
        store.kv_set(&hass, KvSpace::Data, "before", Some(vec![1])).await.expect("written");
        store.limit_pages(Some(0)).await.expect("limited");
        let big = || Some(vec![0; 1 << 20]);
        let error = store.kv_set(&hass, KvSpace::Data, "big", big()).await.expect_err("full");
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert!(error.to_string().contains("make room"), "{error}");
        assert!(store.kv_get(&hass, KvSpace::Data, "before").await.expect("read").is_some());
        store.limit_pages(None).await.expect("unlimited");
        store.kv_set(&hass, KvSpace::Data, "big", big()).await.expect("written again");
    }
}
