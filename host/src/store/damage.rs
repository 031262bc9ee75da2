//! What the writer does when the database turns out to be damaged: it leaves it behind, now and then.
//!
//! Not each time: a disk that damages whatever is written to it must not be filled with copies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::error::{Fault, StoreError};
use super::readers::Readers;
use super::rescue::{self, Rescues};
use super::seal::Seal;
use super::{CommitPolicy, opening};
use crate::causes::with_causes;

/// From one damaged database that was left behind to the next.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// From an attempt that failed to the next, at least; one that took long waits longer.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How much longer than the attempt itself.
const RETRY_FACTOR: u32 = 20;

/// The writer's part of it.
#[derive(Debug)]
pub(super) struct Damage {
    path: PathBuf,
    seal: Arc<Seal>,
    readers: Arc<Readers>,
    rescues: Arc<Rescues>,
    next: Option<Instant>,
    /// A new file is decided on, and the writer's connection is still one to the file before.
    astray: bool,
}

impl Damage {
    pub(super) fn new(path: PathBuf, seal: Arc<Seal>, readers: Arc<Readers>, rescues: Arc<Rescues>) -> Self {
        Self { path, seal, readers, rescues, next: None, astray: false }
    }

    /// Saves what can be read into a new database and goes on with that one; whether it did.
    pub(super) fn leave_behind(&mut self, connection: &mut Connection, fault: &Fault, policy: &CommitPolicy) -> bool {
        if self.next.is_some_and(|next| Instant::now() < next) {
            return false;
        }
        let (problem, database) = (fault.problem(), self.path.display().to_string());
        if self.rescues.failed().is_none() {
            tracing::error!(database, problem, "the database is damaged; what can be read is saved");
        }
        let began = Instant::now();
        let saved = rescue::save(&self.path, &problem, Some(&self.seal), &self.rescues.remembered());
        let went_on = saved.and_then(|rescue| {
            self.astray = true;
            self.replace(connection, policy)?;
            Ok(rescue)
        });
        let pause = if went_on.is_ok() {
            AGAIN_AFTER
        } else {
            RETRY_AFTER.saturating_add(began.elapsed().saturating_mul(RETRY_FACTOR)).min(AGAIN_AFTER)
        };
        self.next = Some(Instant::now() + pause);
        match went_on {
            Ok(rescue) => {
                tracing::warn!(database, rescue = %rescue, "the history and all else go on in a new database");
                self.rescues.done(Some(rescue));
                true
            }
            Err(error) => {
                let why = with_causes(&error);
                if self.rescues.not_done(&why) {
                    tracing::error!(database, error = why, "the damaged database could not be left behind yet");
                }
                false
            }
        }
    }

    /// Sees to it that the connection is one to the database.
    pub(super) fn ready(&mut self, connection: &mut Connection, policy: &CommitPolicy) -> Result<(), Fault> {
        if !self.astray {
            return Ok(());
        }
        self.replace(connection, policy).map_err(|error| Fault::row("the new database", with_causes(&error)))?;
        self.rescues.done(rescue::last(connection)?);
        Ok(())
    }

    fn replace(&mut self, connection: &mut Connection, policy: &CommitPolicy) -> Result<(), StoreError> {
        // Its end would look for a log under the name that belongs to the new one by then.
        if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::debug!(%error, "the damaged database's log may be folded in");
        }
        self.readers.replace(|| {
            rescue::finish(&self.path)?;
            *connection = opening::connect(&self.path, *policy)?;
            self.astray = false;
            self.rescues.hold(&self.path);
            Ok(())
        })
    }
}
