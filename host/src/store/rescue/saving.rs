//! Making the new database: from what the damaged one still tells, what the house knows, and the copy of before.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::super::entities::{self, EntityRow};
use super::super::error::{Fault, StoreError, sql_error};
use super::super::seal::Seal;
use super::super::{opening, schema};
use super::{DOING, PARTS, Rescue, beside, copy, file_error, head, sift, sync_folder};

/// Copies everything but the history beside the database (`gatehouse.db.kept`), in the place of the copy before; `file` is
/// the database's, see [`head::keep`]. Blocks.
pub(in super::super) fn keep(path: &Path, file: &File) -> Result<(), StoreError> {
    let part = beside(path, ".kept.part");
    let copied = made_whole(path, &part, &beside(path, ".kept"), || {
        let old = read_only(path, path)?;
        let mut new = empty(path, &part, &old)?;
        let at = |fault: Fault| fault.at(path, "copying all but its history");
        let transaction = new.transaction().map_err(|error| at(error.into()))?;
        for table in copy::tables(&transaction).map_err(|error| at(error.into()))? {
            if table.name != "readings" && !copy::table(&old, &transaction, &table).map_err(at)?.whole {
                return Err(at(Fault::damage(format!("not every row of {} can be read", table.name))));
            }
        }
        head::keep(file, &old, &transaction).map_err(at)?;
        transaction.commit().map_err(|error| at(error.into()))
    });
    copied.map(drop)
}

/// Makes the new database beside the damaged one (`gatehouse.db.saved`), which decides that it is the database. With
/// `seal`, rows that do not open under it are left out; `remembered` fills gaps in the entities. Blocks, as long as a
/// copy takes.
pub(in super::super) fn save(
    path: &Path,
    problem: &str,
    seal: Option<&Seal>,
    remembered: &[EntityRow],
) -> Result<Rescue, StoreError> {
    let (part, work) = (beside(path, ".saved.part"), beside(path, ".mended"));
    let saved = made_whole(path, &part, &beside(path, ".saved"), || {
        let kept = Kept::find(path);
        let mut old = read_only(path, path)?;
        if !head::tells(&old)
            && let Some(kept) = &kept
            && head::mend(path, &kept.connection, &work).map_err(|fault| fault.at(path, DOING))?
        {
            old = read_only(path, &work)?;
        }
        let mut new = empty(path, &part, &old)?;
        let transaction = new.transaction().map_err(|error| sql_error(error, path, DOING))?;
        let rescue = fill(path, &old, &transaction, Sources { problem, seal, remembered, kept })
            .map_err(|fault| fault.at(path, DOING))?;
        transaction.commit().map_err(|error| sql_error(error, path, DOING))?;
        schema::migrate(&mut new, &part)?;
        Ok(rescue)
    });
    for part in PARTS {
        // Nothing is there when it did not have to be mended.
        let _ = fs::remove_file(beside(&work, part));
    }
    saved
}

/// The copy of everything but the history.
struct Kept {
    connection: Connection,
    at_ms: Option<i64>,
}

impl Kept {
    fn find(path: &Path) -> Option<Self> {
        let kept = beside(path, ".kept");
        let modified = fs::metadata(&kept).and_then(|metadata| metadata.modified()).ok()?;
        let connection = Connection::open_with_flags(&kept, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        Some(Self { connection, at_ms: jiff::Timestamp::try_from(modified).ok().map(jiff::Timestamp::as_millisecond) })
    }
}

/// What the new database is made of beside the damaged one.
struct Sources<'a> {
    problem: &'a str,
    seal: Option<&'a Seal>,
    remembered: &'a [EntityRow],
    kept: Option<Kept>,
}

fn fill(path: &Path, old: &Connection, new: &Connection, sources: Sources<'_>) -> Result<Rescue, Fault> {
    let now_ms = crate::clock::Clock::system().now_ms();
    let stamp = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default().strftime(".damaged-%Y%m%d-%H%M%S");
    let mut rescue = Rescue {
        at_ms: now_ms,
        problem: sources.problem.to_owned(),
        old: unused(beside(path, &stamp.to_string())),
        saved: BTreeMap::new(),
        incomplete: Vec::new(),
        kept_at_ms: None,
    };
    let tables = copy::tables(new)?;
    for table in tables.iter().filter(|table| table.name != "readings") {
        if !copy::table(old, new, table)?.whole {
            rescue.incomplete.push(table.name.clone());
        }
    }
    rescue.incomplete.extend(sift::sift(new, sources.seal, &tables)?);
    // Before the copy: what the house knows is newer.
    for row in sources.remembered {
        entities::put_back(new, row)?;
    }
    if let Some(kept) = sources.kept.filter(|_| !rescue.incomplete.is_empty()) {
        for table in tables.iter().filter(|table| rescue.incomplete.contains(&table.name)) {
            copy::gaps(&kept.connection, new, table)?;
        }
        rescue.kept_at_ms = kept.at_ms;
    }
    sift::orphans(new, &tables)?;
    for table in &tables {
        if table.name == "readings" && !copy::readings(old, new, table)?.whole {
            rescue.incomplete.push(table.name.clone());
        }
        rescue.saved.insert(table.name.clone(), copy::count(new, &table.name)?);
    }
    rescue.incomplete.sort_unstable();
    rescue.incomplete.dedup();
    opening::keep_next_ordinal(new)?;
    let told = serde_json::to_string(&rescue).map_err(|error| Fault::row("home rescue", error))?;
    new.execute("INSERT OR REPLACE INTO home (name, value) VALUES ('rescue', ?1)", [told])?;
    Ok(rescue)
}

/// Has a database made at `part`, syncs it and gives it its name; on failure there is nothing.
fn made_whole<T>(
    path: &Path,
    part: &Path,
    name: &Path,
    make: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let made = make().and_then(|made| {
        File::open(part).and_then(|file| file.sync_all()).map_err(file_error(path))?;
        fs::rename(part, name).map_err(file_error(path))?;
        sync_folder(path);
        Ok(made)
    });
    if made.is_err() {
        // Whatever room it took is needed.
        let _ = fs::remove_file(part);
    }
    made
}

/// A connection that sees one moment of a database, whoever writes meanwhile.
fn read_only(path: &Path, file: &Path) -> Result<Connection, StoreError> {
    let old = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| sql_error(error, path, DOING))?;
    // Of a damaged one, any other query says so as well.
    let _ = old.execute_batch("BEGIN");
    Ok(old)
}

/// A connection to a new and empty database with the schema of another one.
fn empty(path: &Path, part: &Path, like: &Connection) -> Result<Connection, StoreError> {
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(path)(error)),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(file_error(path))?;
    let sql = |error| sql_error(error, path, DOING);
    let mut new = Connection::open(part).map_err(sql)?;
    // Whole or not there: its maker syncs it and gives it its name.
    for (pragma, value) in [("journal_mode", "OFF"), ("synchronous", "OFF"), ("foreign_keys", "OFF")] {
        new.pragma_update(None, pragma, value).map_err(sql)?;
    }
    schema::as_in(&mut new, like, path)?;
    Ok(new)
}

/// This name, or one with a number behind it when it is taken.
fn unused(path: PathBuf) -> PathBuf {
    let mut number = 1;
    let mut free = path.clone();
    while free.exists() {
        number += 1;
        free = beside(&path, &format!("-{number}"));
    }
    free
}
