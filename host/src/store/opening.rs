//! Opening: the file, its settings, its schema, and the key that fits it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::error::{Fault, StoreError, sql_error};
use super::rescue::Rescue;
use super::seal::{Place, Seal};
use super::{CommitPolicy, rescue, schema};

/// SQLite's page cache of the write connection, in KiB.
const CACHE_KIB: i64 = 4096;
/// What the check value says; sealed, it tells whether a key is this database's.
const CHECK: &[u8] = b"gatehouse";
const CHECK_PLACE: Place<'_> = Place { table: "home", integration: "", key: "key_check" };

/// A database that is ready.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) seal: Seal,
    /// The number of the next reading.
    pub(super) next_ordinal: i64,
    /// How it came to be, when it took the place of a damaged one.
    pub(super) rescue: Option<Rescue>,
}

/// Opens and migrates the database and reads or makes its key. One that is damaged is left behind for a new one.
pub(super) fn open(path: &Path, key_file: &Path, commits: CommitPolicy) -> Result<Opened, StoreError> {
    rescue::finish(path)?;
    match open_sound(path, key_file, commits) {
        Err(StoreError::Damaged { problem, .. }) => {
            tracing::error!(database = %path.display(), problem, "the database is damaged; what can be read is saved");
            // A key that is missing or wrong is told of below.
            let seal = Seal::read(key_file).ok();
            rescue::save(path, &problem, seal.as_ref(), &[])?;
            rescue::finish(path)?;
            open_sound(path, key_file, commits)
        }
        opened => opened,
    }
}

fn open_sound(path: &Path, key_file: &Path, commits: CommitPolicy) -> Result<Opened, StoreError> {
    let connection = connect(path, commits)?;
    let seal = fitting_key(&connection, path, key_file)?;
    let at = |fault: Fault| fault.at(path, "reading where it stands");
    let (next_ordinal, rescue) = (next_ordinal(&connection).map_err(at)?, rescue::last(&connection).map_err(at)?);
    if let Some(rescue) = &rescue {
        tracing::warn!(%rescue, "this database took the place of a damaged one");
    }
    Ok(Opened { connection, seal, next_ordinal, rescue })
}

/// Opens and migrates the database.
pub(super) fn connect(path: &Path, commits: CommitPolicy) -> Result<Connection, StoreError> {
    // Made here and not by SQLite, because nobody else may read it; its log files get the same mode.
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(|source| {
        StoreError::File { path: path.display().to_string(), doing: "opening it for writing", source }
    })?;
    let sql = |error| sql_error(error, path, "opening it");
    let mut connection = Connection::open(path).map_err(sql)?;
    connection.busy_timeout(std::time::Duration::from_secs(5)).map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(64);
    let pragma = |name: &str, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value).map_err(sql);
    pragma("journal_mode", &"WAL")?;
    pragma("synchronous", &if commits.full_durability { "FULL" } else { "NORMAL" })?;
    pragma("foreign_keys", &"ON")?;
    pragma("secure_delete", &"ON")?;
    pragma("temp_store", &"MEMORY")?;
    pragma("cache_size", &-CACHE_KIB)?;
    schema::migrate(&mut connection, path)?;
    // The file has its schema, and a copy of the pages that say so can be made.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(sql)?;
    // Whoever only reads finds out late that nothing can be written.
    connection.execute_batch("BEGIN IMMEDIATE; COMMIT").map_err(|error| sql_error(error, path, "writing to it"))?;
    Ok(connection)
}

/// The ordinal of the next reading.
fn next_ordinal(connection: &Connection) -> Result<i64, Fault> {
    let next =
        connection.query_row("SELECT value FROM home WHERE name = 'next_ordinal'", [], |row| row.get(0)).optional()?;
    Ok(next.unwrap_or(1))
}

/// No reading gets the number of another: after a rescue the highest there is counts.
pub(super) fn keep_next_ordinal(connection: &Connection) -> Result<(), Fault> {
    let kept = next_ordinal(connection).unwrap_or(1);
    let highest: Option<i64> = connection.query_row("SELECT MAX(ordinal) FROM readings", [], |row| row.get(0))?;
    let next = kept.max(highest.map_or(1, |highest| highest.saturating_add(1)));
    connection.execute("INSERT OR REPLACE INTO home (name, value) VALUES ('next_ordinal', ?1)", [next])?;
    Ok(())
}

fn fitting_key(connection: &Connection, path: &Path, key_file: &Path) -> Result<Seal, StoreError> {
    let at = |fault: Fault| fault.at(path, "reading what its key must open");
    let bad = |problem: String| StoreError::Key { path: key_file.display().to_string(), problem };
    let check = check_value(connection).map_err(at)?;
    if !key_file.exists() {
        if has_sealed_rows(connection).map_err(at)? {
            return Err(bad(format!(
                "is not there, and {} holds secrets that only this key opens: put back the copy you kept, or move the \
                 database away to begin anew",
                path.display()
            )));
        }
        let seal = Seal::create(key_file)?;
        write_check(connection, &seal).map_err(|fault| fault.at(path, "writing its key's check value"))?;
        return Ok(seal);
    }
    let seal = Seal::read(key_file)?;
    match check {
        Some(check) if !fits(&seal, &check) => {
            if has_sealed_rows(connection).map_err(at)? {
                return Err(bad(format!(
                    "is not the one that {} was sealed with: put back the copy you kept, or move the database away to \
                     begin anew",
                    path.display()
                )));
            }
            write_check(connection, &seal).map_err(|fault| fault.at(path, "writing its key's check value"))?;
        }
        Some(_) => {}
        None => write_check(connection, &seal).map_err(|fault| fault.at(path, "writing its key's check value"))?,
    }
    Ok(seal)
}

/// Whether a check value was sealed with this key.
pub(super) fn fits(seal: &Seal, check: &[u8]) -> bool {
    seal.open(CHECK_PLACE, check).is_ok()
}

pub(super) fn check_value(connection: &Connection) -> Result<Option<Vec<u8>>, Fault> {
    Ok(connection.query_row("SELECT value FROM home WHERE name = 'key_check'", [], |row| row.get(0)).optional()?)
}

pub(super) fn write_check(connection: &Connection, seal: &Seal) -> Result<(), Fault> {
    let sealed = seal.seal(CHECK_PLACE, CHECK)?;
    connection.execute("INSERT OR REPLACE INTO home (name, value) VALUES ('key_check', ?1)", [sealed])?;
    Ok(())
}

fn has_sealed_rows(connection: &Connection) -> Result<bool, Fault> {
    Ok(connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM kv) OR EXISTS (SELECT 1 FROM attributes WHERE sealed IS NOT NULL)",
        [],
        |row| row.get(0),
    )?)
}
