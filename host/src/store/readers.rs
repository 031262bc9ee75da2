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
    idle: Mutex<Idle>,
}

/// Connections that wait for a query, all to the same file.
#[derive(Debug, Default)]
struct Idle {
    /// Another one with each file that took the database's place.
    file: u64,
    connections: Vec<Connection>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), permits: Semaphore::new(CONNECTIONS), idle: Mutex::default() }
    }

    pub(super) fn permits(&self) -> &Semaphore {
        &self.permits
    }

    /// Runs a query on an idle connection or a new one; the number of the file that it looked into. Blocks; the caller
    /// holds a permit.
    pub(super) fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> (u64, Result<T, Fault>) {
        let (file, connection) = {
            let mut idle = self.idle.lock();
            // Opened under the lock, so that it is not one file's database and another one's log.
            let connection = idle.connections.pop().map_or_else(|| self.connect(), Ok);
            (idle.file, connection)
        };
        let connection = match connection {
            Ok(connection) => connection,
            Err(fault) => return (file, Err(fault)),
        };
        let result = query(&connection);
        let mut idle = self.idle.lock();
        if idle.file == file {
            idle.connections.push(connection);
        }
        (file, result)
    }

    /// The number of the file that is the database now.
    pub(super) fn file(&self) -> u64 {
        self.idle.lock().file
    }

    /// Has another file take the database's place, while no connection is opened; those there are see the old one to
    /// their end.
    pub(super) fn replace<E>(&self, replace: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut idle = self.idle.lock();
        idle.connections.clear();
        idle.file += 1;
        replace()
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
        self.idle.lock().connections.clear();
    }
}
