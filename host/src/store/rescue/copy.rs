//! Copying the rows of a damaged database, as far as each can be read.
//!
//! A table is read from its first row until a page that cannot be read, then from its last row backwards: of one damaged
//! place the rows on it are lost, of two those between them as well. The history is copied state by state, so that damage
//! in the readings of one state costs no other.

use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};

use super::super::error::Fault;

/// A table of the new database.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<String>,
    pub(super) key: Vec<String>,
}

/// How a copy went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Copied {
    pub(super) rows: u64,
    /// Every row was read and taken.
    pub(super) whole: bool,
}

/// Every table; parents and children alike, for references are looked at once all is copied.
pub(super) fn tables(new: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut names = new.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    names
        .into_iter()
        .map(|name| {
            let mut info = new.prepare("SELECT name, pk FROM pragma_table_info(?1)")?;
            let rows = info.query_map([&name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            let all = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let mut key: Vec<_> = all.iter().filter(|(_, at)| *at > 0).cloned().collect();
            key.sort_unstable_by_key(|(_, at)| *at);
            let without = |columns: Vec<(String, i64)>| columns.into_iter().map(|(name, _)| name).collect();
            Ok(Table { name, columns: without(all), key: without(key) })
        })
        .collect()
}

/// Copies a whole table.
pub(super) fn table(old: &Connection, new: &Connection, table: &Table) -> Result<Copied, Fault> {
    rows(old, new, table, Rows::All)
}

/// Copies the rows that are not there yet.
pub(super) fn gaps(from: &Connection, new: &Connection, table: &Table) -> Result<(), Fault> {
    rows(from, new, table, Rows::Missing).map(drop)
}

/// Copies the history of every state that the new database has.
pub(super) fn readings(old: &Connection, new: &Connection, readings: &Table) -> Result<Copied, Fault> {
    let states = new
        .prepare("SELECT id FROM states ORDER BY id")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut all = Copied { rows: 0, whole: true };
    for state in states {
        let of_state = rows(old, new, readings, Rows::OfState(state))?;
        all = Copied { rows: all.rows + of_state.rows, whole: all.whole && of_state.whole };
    }
    Ok(all)
}

pub(super) fn count(new: &Connection, table: &str) -> rusqlite::Result<u64> {
    let count: i64 = new.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// Which rows are copied.
#[derive(Debug, Clone, Copy)]
enum Rows {
    All,
    /// Those that the new database does not have.
    Missing,
    OfState(i64),
}

fn rows(old: &Connection, new: &Connection, table: &Table, which: Rows) -> Result<Copied, Fault> {
    let mut copied = Copied { rows: 0, whole: true };
    for direction in ["ASC", "DESC"] {
        if one_way(old, new, table, which, direction, &mut copied)? {
            return Ok(copied);
        }
        copied.whole = false;
    }
    Ok(copied)
}

/// Whether the end was reached.
fn one_way(
    old: &Connection,
    new: &Connection,
    table: &Table,
    which: Rows,
    direction: &str,
    copied: &mut Copied,
) -> Result<bool, Fault> {
    let (name, columns) = (&table.name, table.columns.join(", "));
    let marks = vec!["?"; table.columns.len()].join(", ");
    let mut insert = new.prepare_cached(&format!("INSERT INTO {name} ({columns}) VALUES ({marks})"))?;
    let (filter, of) = match which {
        Rows::All | Rows::Missing => ("", None),
        Rows::OfState(state) => ("WHERE state_id = ?1", Some(state)),
    };
    let order: Vec<_> = table.key.iter().map(|column| format!("{column} {direction}")).collect();
    let query = format!("SELECT {columns} FROM {name} {filter} ORDER BY {}", order.join(", "));
    // Whatever goes wrong with the old one is the end of what can be read of it.
    let Ok(mut select) = old.prepare_cached(&query) else { return Ok(false) };
    let Ok(mut rows) = select.query(params_from_iter(of)) else { return Ok(false) };
    let mut values: Vec<Value> = Vec::with_capacity(table.columns.len());
    loop {
        let Ok(row) = rows.next() else { return Ok(false) };
        let Some(row) = row else { return Ok(true) };
        values.clear();
        values.extend((0..table.columns.len()).map_while(|column| row.get(column).ok()));
        if values.len() < table.columns.len() {
            copied.whole = false;
            continue;
        }
        match insert.execute(params_from_iter(&values)) {
            Ok(_) => copied.rows += 1,
            Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
                let again = matches!(error.extended_code, SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID);
                match which {
                    Rows::Missing => {}
                    // No table has a row twice: it was met from the other end, or pages are where they do not belong.
                    Rows::All | Rows::OfState(_) if again => return Ok(false),
                    // It is no row of this table any more.
                    Rows::All | Rows::OfState(_) => copied.whole = false,
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}
