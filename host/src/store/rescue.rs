//! A damaged database is put aside, and what can be read of it goes on in a new one.
//!
//! The new database is made whole beside the damaged one (`gatehouse.db.saved.part`), synced, and then renamed to
//! `gatehouse.db.saved`. That renaming is the decision: from then on the new one is the database, and whoever opens it
//! next finishes what a death in between left undone. `docs/adr/0009-a-damaged-database-is-left-behind.md` says why.

mod copy;
mod head;
mod saving;
mod sift;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde::{Deserialize, Serialize};

pub(super) use self::saving::{keep, save};
use super::entities::EntityRow;
use super::error::{Fault, StoreError, sql_error};

/// Damaged databases that are kept; the oldest go.
const KEPT: usize = 3;
/// What belongs to a database: the file itself and what SQLite keeps beside it.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];
const DOING: &str = "saving what can be read of it";
/// The tables by the words that a person is told.
const TOLD: [(&str, &str); 8] = [
    ("integrations", "integrations"),
    ("attributes", "settings"),
    ("kv", "kept values"),
    ("entities", "entities"),
    ("readings", "readings"),
    ("verdicts", "verdicts"),
    ("audit", "audit entries"),
    ("crashes", "crashes"),
];

/// What the running house knows of its entities, whatever the file still says.
pub(crate) type Remembered = dyn Fn() -> Vec<EntityRow> + Send + Sync;

/// How a damaged database was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// SQLite's own word for the damage.
    pub problem: String,
    /// Where the damaged file is.
    pub old: PathBuf,
    /// Rows saved, by table.
    pub saved: BTreeMap<String, u64>,
    /// Tables of which not every row could be read.
    pub incomplete: Vec<String>,
    /// From when the copy is that their gaps were filled from, in milliseconds since 1970 UTC; `None` when there was none.
    pub kept_at_ms: Option<i64>,
}

impl fmt::Display for Rescue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |table: &str| TOLD.iter().find(|(name, _)| *name == table).map(|(_, word)| *word);
        let mut saved = String::new();
        for (table, word) in TOLD {
            let rows = self.saved.get(table).copied().unwrap_or(0);
            let _ = write!(saved, "{}{rows} {word}", if saved.is_empty() { "" } else { ", " });
        }
        let mut incomplete: Vec<_> = self.incomplete.iter().map(|table| told(table).unwrap_or(table)).collect();
        incomplete.dedup();
        let lost = match incomplete.as_slice() {
            [] => "everything could be read".to_owned(),
            some => format!("not everything could be read of: {}", some.join(", ")),
        };
        let time = |ms| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%F %T UTC").to_string();
        let filled = match self.kept_at_ms {
            Some(ms) if !self.incomplete.is_empty() => {
                format!("; what was missing but readings was taken from the copy of {}", time(ms))
            }
            _ => String::new(),
        };
        let at = time(self.at_ms);
        write!(
            f,
            "the database was found damaged at {at} ({}) and goes on as a new one with {saved}; {lost}{filled}. The \
             damaged one is {}: delete it when it is of no more use",
            self.problem,
            self.old.display()
        )
    }
}

/// What the store and its writer share of it.
#[derive(Default)]
pub(super) struct Rescues {
    remembered: Mutex<Option<Arc<Remembered>>>,
    last: Mutex<Option<Rescue>>,
    failed: Mutex<Option<String>>,
    /// The database's file, for what SQLite does not tell.
    file: Mutex<Option<Arc<File>>>,
}

impl fmt::Debug for Rescues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rescues").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Rescues {
    pub(super) fn remember(&self, what: Arc<Remembered>) {
        *self.remembered.lock() = Some(what);
    }

    pub(super) fn remembered(&self) -> Vec<EntityRow> {
        let what = self.remembered.lock().clone();
        what.map(|what| what()).unwrap_or_default()
    }

    /// The last one, as long as its damaged file is there.
    pub(super) fn last(&self) -> Option<Rescue> {
        self.last.lock().clone().filter(|rescue| rescue.old.exists())
    }

    /// Why the last attempt failed; `None` when it did not.
    pub(super) fn failed(&self) -> Option<String> {
        self.failed.lock().clone()
    }

    pub(super) fn done(&self, rescue: Option<Rescue>) {
        *self.failed.lock() = None;
        *self.last.lock() = rescue;
    }

    /// Holds the database's file open. The one before it is let go, which drops SQLite's locks of that one.
    pub(super) fn hold(&self, path: &Path) {
        *self.file.lock() = File::open(path).ok().map(Arc::new);
    }

    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.lock().clone()
    }

    /// Keeps why an attempt failed; whether that is news.
    pub(super) fn not_done(&self, why: &str) -> bool {
        let before = self.failed.lock().replace(why.to_owned());
        before.as_deref() != Some(why)
    }
}

/// Puts the damaged files aside and the new one in their place, when a new one was decided on. The caller sees to it
/// that nobody opens the database meanwhile.
pub(super) fn finish(path: &Path) -> Result<(), StoreError> {
    let saved = beside(path, ".saved");
    if !saved.exists() {
        return Ok(());
    }
    let rescue = {
        let new = Connection::open_with_flags(&saved, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(|error| sql_error(error, &saved, DOING))?;
        last(&new).map_err(|fault| fault.at(&saved, DOING))?
    };
    let Some(rescue) = rescue else {
        return Err(StoreError::Row {
            row: format!("home rescue of {}", saved.display()),
            problem: "is not there".into(),
        });
    };
    for part in PARTS {
        match fs::rename(beside(path, part), beside(&rescue.old, part)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(file_error(path)(error)),
            _ => {}
        }
    }
    fs::rename(&saved, path).map_err(file_error(path))?;
    sync_folder(path);
    forget_oldest(path);
    Ok(())
}

/// How this database came to be; `None` when it is no rescued one.
pub(super) fn last(connection: &Connection) -> Result<Option<Rescue>, Fault> {
    let text: Option<String> =
        connection.query_row("SELECT value FROM home WHERE name = 'rescue'", [], |row| row.get(0)).optional()?;
    text.map(|text| serde_json::from_str(&text).map_err(|error| Fault::row("home rescue", error))).transpose()
}

/// Looks at every page; the first thing that is wrong. Blocks as long as reading the whole file takes.
pub(super) fn look(path: &Path) -> Result<Option<String>, Fault> {
    // A connection of its own: what others have in memory says nothing about the file.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(if found == "ok" { None } else { Some(found.lines().collect::<Vec<_>>().join(" ")) })
}

fn forget_oldest(path: &Path) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return };
    let prefix = format!("{}.damaged-", name.to_string_lossy());
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut old: Vec<String> = names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .collect();
    old.sort_unstable();
    let too_many = old.len().saturating_sub(KEPT);
    for name in old.into_iter().take(too_many) {
        for part in PARTS {
            let file = folder.join(format!("{name}{part}"));
            match fs::remove_file(&file) {
                Ok(()) => tracing::warn!(file = %file.display(), "an older damaged database was deleted"),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = %file.display(), %error, "an older damaged database was not deleted")
                }
            }
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The renamings survive power loss; without it only the older names would, and they are made good at the next start.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent()
        && let Err(error) = File::open(folder).and_then(|folder| folder.sync_all())
    {
        tracing::debug!(folder = %folder.display(), %error, "the folder was not synced");
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::File { path, doing: DOING, source }
}
