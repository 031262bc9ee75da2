//! Leaving out what was saved and says nothing: rows that cannot be understood, do not open, or belong to nothing.
//!
//! What reads the tables refuses a row that it does not understand, and a daemon that refuses its entities does not
//! start: one such row must not get into the new database.

use gatehouse_plugin_api::attribute::AttributeValues;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::super::error::Fault;
use super::super::seal::Seal;
use super::super::{crashes, entities, integrations, kv, opening, upgrades, verdicts};
use super::copy::Table;

type Check<'a> = dyn Fn(&Row<'_>) -> Result<(), Fault> + 'a;

/// Deletes the rows that cannot be understood; the names of the tables that had some. Whether sealed rows open is asked
/// of a key alone that is proven to be theirs.
pub(super) fn sift(new: &Connection, seal: Option<&Seal>, tables: &[Table]) -> Result<Vec<String>, Fault> {
    let seal = match seal {
        Some(seal) if proven(new, seal)? => Some(seal),
        _ => None,
    };
    if let Some(seal) = seal {
        opening::write_check(new, seal)?;
    }
    let setting = |row: &Row<'_>| attribute(seal, row);
    let value = |row: &Row<'_>| seal.map_or(Ok(()), |seal| kv::check(seal, row));
    // What others are made of comes first: an entity with a state that cannot be read cannot be read.
    let checks: [(&str, &str, &Check<'_>); 10] = [
        ("attributes", integrations::ATTRIBUTE_COLUMNS, &setting),
        ("shadow_attributes", integrations::ATTRIBUTE_COLUMNS, &setting),
        ("integrations", integrations::COLUMNS, &|row| integrations::bare(row).map(drop)),
        ("kv", kv::COLUMNS, &value),
        ("shadow_kv", kv::COLUMNS, &value),
        ("states", entities::STATE_COLUMNS, &|row| entities::state(row).map(drop)),
        ("entities", entities::COLUMNS, &|row| entities::entity(new, row).map(drop)),
        ("verdicts", verdicts::COLUMNS, &|row| verdicts::verdict(row).map(drop)),
        ("upgrades", upgrades::COLUMNS, &|row| upgrades::held_to(row).map(drop)),
        ("crashes", crashes::COLUMNS, &|row| seal.map_or(Ok(()), |seal| crashes::crash(seal, row).map(drop))),
    ];
    let mut dropped = Vec::new();
    for (name, columns, check) in checks {
        let Some(table) = tables.iter().find(|table| table.name == name) else { continue };
        if delete_failing(new, table, columns, check)? > 0 {
            dropped.push(name.to_owned());
        }
    }
    Ok(dropped)
}

/// A setting in clear is understood by itself, a sealed one when it opens.
fn attribute(seal: Option<&Seal>, row: &Row<'_>) -> Result<(), Fault> {
    let sealed: Option<Vec<u8>> = row.get(3)?;
    match seal {
        None if sealed.is_some() => Ok(()),
        seal => integrations::attribute(seal, row, &mut AttributeValues::default()),
    }
}

/// Whether the key opens anything here.
fn proven(new: &Connection, seal: &Seal) -> Result<bool, Fault> {
    if opening::check_value(new)?.is_some_and(|check| opening::fits(seal, &check)) {
        return Ok(true);
    }
    for (table, columns) in
        [("attributes WHERE sealed IS NOT NULL", integrations::ATTRIBUTE_COLUMNS), ("kv", kv::COLUMNS)]
    {
        let mut select = new.prepare(&format!("SELECT {columns} FROM {table}"))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let opens = if table == "kv" { kv::check(seal, row) } else { attribute(Some(seal), row) };
            if opens.is_ok() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn delete_failing(new: &Connection, table: &Table, columns: &str, check: &Check<'_>) -> Result<usize, Fault> {
    let key = table.key.join(", ");
    let first = columns.split(',').count();
    let mut select = new.prepare(&format!("SELECT {columns}, {key} FROM {}", table.name))?;
    let mut failing: Vec<Vec<Value>> = Vec::new();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if check(row).is_err() {
            let key = (0..table.key.len()).map(|column| row.get(first + column));
            failing.push(key.collect::<rusqlite::Result<_>>()?);
        }
    }
    drop(rows);
    let same: Vec<_> = table.key.iter().map(|column| format!("{column} = ?")).collect();
    let mut delete = new.prepare(&format!("DELETE FROM {} WHERE {}", table.name, same.join(" AND ")))?;
    for key in &failing {
        delete.execute(params_from_iter(key))?;
    }
    Ok(failing.len())
}

/// Deletes the rows whose parent was not saved, children of children too.
pub(super) fn orphans(new: &Connection, tables: &[Table]) -> Result<(), Fault> {
    loop {
        let mut deleted = 0;
        for table in tables {
            let mut references = new.prepare("SELECT \"from\", \"table\", \"to\" FROM pragma_foreign_key_list(?1)")?;
            let references = references
                .query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<rusqlite::Result<Vec<(String, String, String)>>>()?;
            for (from, parent, to) in references {
                let orphaned = format!("DELETE FROM {} WHERE {from} NOT IN (SELECT {to} FROM {parent})", table.name);
                deleted += new.execute(&orphaned, [])?;
            }
        }
        if deleted == 0 {
            return Ok(());
        }
    }
}
