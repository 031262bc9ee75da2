//! Why the store could not do what was asked, in sentences for a person.

use std::path::Path;

use rusqlite::ErrorCode;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is newer than this binary.
    #[error(
        "the database {path} was written by a newer Gatehouse (schema {found}, this one knows {known}): update Gatehouse{restore}"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its schema version.
        found: i64,
        /// The highest that this binary knows.
        known: i64,
        /// Empty, or `, or put PATH in its place`: the newest copy that this binary can read.
        restore: String,
    },
    /// The file is not a database, or its pages contradict each other.
    #[error(
        "the database {path} is damaged ({problem}), and what can be read of it could not be saved yet: it is tried again; or stop the daemon and put a copy in its place"
    )]
    Damaged {
        /// The file.
        path: String,
        /// SQLite's own word.
        problem: String,
    },
    /// The disk is full.
    #[error("the disk is full and {doing} failed for the database {path}: make room; writing goes on by itself then")]
    Full {
        /// The file.
        path: String,
        /// What was tried.
        doing: &'static str,
    },
    /// Another process holds it.
    #[error(
        "the database {path} is locked by another process and {doing} failed: end that process (`fuser {path}` names it); it is tried again"
    )]
    Locked {
        /// The file.
        path: String,
        /// What was tried.
        doing: &'static str,
    },
    /// The file, its folder or its file system may not be written.
    #[error(
        "the database {path} may not be written and {doing} failed: make the file and its folder writable for the daemon's user; it is tried again"
    )]
    ReadOnly {
        /// The file.
        path: String,
        /// What was tried.
        doing: &'static str,
    },
    /// A copy before a migration does not fit.
    #[error(
        "the database {path} must be copied before its schema changes, which takes {needed_mb} MB, and {free_mb} MB are free: make room and start again"
    )]
    NoRoom {
        /// The file.
        path: String,
        /// What the copy takes.
        needed_mb: u64,
        /// What there is.
        free_mb: u64,
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
    /// Its file or folder cannot be made or changed.
    #[error("the database {path}: {doing} failed")]
    File {
        /// The file.
        path: String,
        /// What was tried.
        doing: &'static str,
        /// The system's own word.
        #[source]
        source: std::io::Error,
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

/// What a table's module reports; [`Fault::at`] adds the file and what was tried.
#[derive(Debug)]
pub(super) enum Fault {
    Sql(rusqlite::Error),
    Row { row: String, problem: String },
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    /// A row that cannot be read.
    pub(super) fn row(row: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::Row { row: row.into(), problem: problem.to_string() }
    }

    /// Whether the file itself is damaged.
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Sql(error) if is_damage(error))
    }

    /// SQLite's own word for it.
    pub(super) fn problem(&self) -> String {
        match self {
            Self::Row { row, problem } => format!("{row}: {problem}"),
            Self::Sql(error) => error.to_string(),
        }
    }

    /// Damage that was found otherwise than by SQLite's refusal.
    pub(super) fn damage(problem: String) -> Self {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Self::Sql(rusqlite::Error::SqliteFailure(code, Some(problem)))
    }

    /// The error for a person.
    pub(super) fn at(self, path: &Path, doing: &'static str) -> StoreError {
        match self {
            Self::Row { row, problem } => StoreError::Row { row, problem },
            Self::Sql(error) => sql_error(error, path, doing),
        }
    }

    /// The same fault for another waiter.
    pub(super) fn copy(&self) -> Self {
        match self {
            Self::Row { row, problem } => Self::Row { row: row.clone(), problem: problem.clone() },
            Self::Sql(rusqlite::Error::SqliteFailure(code, message)) => {
                Self::Sql(rusqlite::Error::SqliteFailure(*code, message.clone()))
            }
            Self::Sql(other) => Self::Sql(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
                Some(other.to_string()),
            )),
        }
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Sorts SQLite's errors by what a person has to do.
pub(super) fn sql_error(error: rusqlite::Error, path: &Path, doing: &'static str) -> StoreError {
    let path = path.display().to_string();
    if is_damage(&error) {
        return StoreError::Damaged { path, problem: error.to_string() };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked { path, doing },
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { path, doing },
        Some(ErrorCode::DiskFull) => StoreError::Full { path, doing },
        _ => StoreError::Database { path, doing, source: error },
    }
}
