//! The pages that say where everything is in the file: the first one and those of the schema.
//!
//! They change with the schema alone, and without them nothing can be found: a copy of them is kept with the copy of all
//! but the history. A damaged file that cannot tell its tables any more is read through a copy of it with these pages.
//! What is read here is SQLite's file format, <https://www.sqlite.org/fileformat2.html>.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rusqlite::{Connection, params};

use super::super::error::Fault;
use super::beside;

/// Pages that a schema may take; ours takes a few.
const PAGES_MAX: usize = 64;
/// Where the first page has its b-tree, behind the header of the file.
const FIRST_TREE: usize = 100;
const INTERIOR_TABLE: u8 = 5;

/// Copies the pages into a table of `kept`. `file` is the database's own, held open for as long as the daemon has it:
/// closing it would drop SQLite's locks. Does nothing while the file has not got the schema of the log yet.
pub(super) fn keep(file: &File, old: &Connection, kept: &Connection) -> Result<(), Fault> {
    let version: i64 = old.pragma_query_value(None, "schema_version", |row| row.get(0))?;
    let size: u32 = old.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let pages = match read(file, size as usize) {
        Ok(pages) if pages.get(&1).is_some_and(|first| i64::from(number(first, 40)) == version) => pages,
        _ => return Ok(()),
    };
    kept.execute_batch("CREATE TABLE head (page INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT")?;
    for (page, bytes) in pages {
        kept.execute("INSERT INTO head VALUES (?1, ?2)", params![page, bytes])?;
    }
    Ok(())
}

fn read(file: &File, size: usize) -> io::Result<BTreeMap<u32, Vec<u8>>> {
    let mut pages = BTreeMap::new();
    let mut wanted = vec![1_u32];
    while let Some(page) = wanted.pop() {
        if pages.len() == PAGES_MAX || page == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; size];
        file.read_exact_at(&mut bytes, u64::from(page - 1) * size as u64)?;
        wanted.extend(children(&bytes, if page == 1 { FIRST_TREE } else { 0 }));
        pages.insert(page, bytes);
    }
    Ok(pages)
}

/// The pages below a page of the schema's tree.
fn children(bytes: &[u8], tree: usize) -> Vec<u32> {
    if bytes.get(tree) != Some(&INTERIOR_TABLE) {
        return Vec::new();
    }
    let cells = usize::from(half(bytes, tree + 3));
    let cell = |at: usize| number(bytes, usize::from(half(bytes, tree + 12 + 2 * at)));
    (0..cells.min(bytes.len() / 2)).map(cell).chain([number(bytes, tree + 8)]).collect()
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_be_bytes)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Whether the file tells its tables.
pub(super) fn tells(old: &Connection) -> bool {
    let tables: rusqlite::Result<i64> =
        old.query_row("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'readings'", [], |row| row.get(0));
    tables.is_ok_and(|tables| tables > 0)
}

/// Copies the damaged file with its log to `work` and puts the kept pages into the copy; whether there were any.
pub(super) fn mend(path: &Path, kept: &Connection, work: &Path) -> Result<bool, Fault> {
    let mut pages = BTreeMap::new();
    let Ok(mut select) = kept.prepare("SELECT page, bytes FROM head") else { return Ok(false) };
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        pages.insert(row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?);
    }
    let Some(first) = pages.get_mut(&1).filter(|first| first.len() > FIRST_TREE) else { return Ok(false) };
    // The size that it tells is an earlier one; without it the size of the file counts.
    first[28..32].fill(0);
    let copied = || {
        for part in ["", "-wal"] {
            match fs::copy(beside(path, part), beside(work, part)) {
                Err(error) if !(part == "-wal" && error.kind() == io::ErrorKind::NotFound) => return Err(error),
                _ => {}
            }
        }
        let file = OpenOptions::new().write(true).mode(0o600).open(work)?;
        for (page, bytes) in &pages {
            file.write_all_at(bytes, u64::from(page.saturating_sub(1)) * bytes.len() as u64)?;
        }
        Ok(())
    };
    copied().map(|()| true).map_err(|error| Fault::row("the copy of the damaged database", error))
}
