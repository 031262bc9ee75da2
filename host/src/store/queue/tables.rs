//! What a batch of readings changes in the tables.

use rusqlite::{Connection, params};

use super::{Effect, ReadingRow};
use crate::store::error::Fault;
use crate::store::values;

/// Writes a batch; returns the next ordinal.
pub(in crate::store) fn write(connection: &Connection, rows: &[ReadingRow], first_ordinal: i64) -> Result<i64, Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO readings (state_id, at_ms, ordinal, kind, number, whole, text) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let mut update = connection.prepare_cached(
        "UPDATE states SET kind = ?2, number = ?3, whole = ?4, text = ?5, changed_at_ms = ?6, last_seen_ms = ?7 WHERE id = ?1",
    )?;
    // By state, so that rows which become neighbours are written together and a state's last value once.
    let mut order: Vec<(i64, u32)> = rows.iter().zip(0_u32..).map(|(row, index)| (row.state_id, index)).collect();
    order.sort_unstable();
    let mut orphans = 0_u64;
    for run in order.chunk_by(|a, b| a.0 == b.0) {
        let mut last = None;
        for &(state_id, index) in run {
            let row = &rows[index as usize];
            if row.effect == Effect::Gone {
                continue;
            }
            if row.effect != Effect::Backfilled {
                last = Some(&row.live);
            }
            if row.effect == Effect::Seen {
                continue;
            }
            let (kind, number, whole, text) = values::columns(&row.live.value);
            let ordinal = first_ordinal + i64::from(index);
            match insert.execute(params![state_id, row.live.last_seen_ms, ordinal, kind, number, whole, text]) {
                Ok(_) => {}
                // Its state was deleted meanwhile: one reading must not hold up all others for ever.
                Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                    orphans += 1
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(live) = last {
            let (kind, number, whole, text) = values::columns(&live.value);
            let (changed, seen) = (live.changed_at_ms, live.last_seen_ms);
            update.execute(params![run[0].0, kind, number, whole, text, changed, seen])?;
        }
    }
    if orphans > 0 {
        tracing::warn!(orphans, "readings of deleted states were left out");
    }
    let next = first_ordinal + i64::try_from(rows.len()).unwrap_or(0);
    connection
        .prepare_cached("INSERT OR REPLACE INTO home (name, value) VALUES ('next_ordinal', ?1)")?
        .execute([next])?;
    Ok(next)
}
