//! A few read connections, used on blocking threads only, so that a long query holds up neither writes nor the daemon.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::error::Fault;

/// Most queries at once.
const CONNECTIONS: usize = 4;
/// SQLite's page cache of each connection, in KiB: the daemon's memory is bounded.
const CACHE_KIB: i64 = 512;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), permits: Semaphore::new(CONNECTIONS), idle: Mutex::new(Vec::new()) }
    }

    pub(super) fn permits(&self) -> &Semaphore {
        &self.permits
    }

    /// Runs a query on an idle connection or a new one. Blocks; the caller holds a permit.
    pub(super) fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let result = query(&connection);
        self.idle.lock().push(connection);
        result
    }

    fn connect(&self) -> Result<Connection, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(connection)
    }

    /// Closes the idle connections, so that the writer's end can fold the log in.
    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}
