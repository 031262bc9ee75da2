//! The history of states: reading it, and deleting it in batches that never hold up other writes for long.

use gatehouse_plugin_api::ids::IntegrationId;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::Fault;
use super::{Store, StoreError, values};
use crate::entity::bounds::HISTORY_TEXT_MAX_BYTES;
use crate::entity::{HistoryPage, HistoryRow};

/// Rows deleted in one transaction.
const DELETED_AT_ONCE: usize = 2_000;
/// States looked at in one transaction, even when there is nothing to delete.
const STATES_AT_ONCE: usize = 500;

impl Store {
    /// The rows of a state from `since_ms` to `until_ms`, both included: the newest that fit, oldest first.
    pub(crate) async fn readings_of(
        &self,
        state_id: i64,
        since_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        self.read("reading the history", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT at_ms, kind, number, whole, text FROM readings \
                 WHERE state_id = ?1 AND at_ms BETWEEN ?2 AND ?3 ORDER BY at_ms DESC, ordinal DESC LIMIT ?4",
            )?;
            // One more, to know whether there is more.
            let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
            let mut rows = statement.query(params![state_id, since_ms, until_ms, most])?;
            let mut history = Vec::new();
            let mut room = HISTORY_TEXT_MAX_BYTES;
            let mut older = false;
            while let Some(row) = rows.next()? {
                if history.len() == limit {
                    older = true;
                    break;
                }
                let at_ms = row.get(0)?;
                let place = || format!("readings {state_id} at {at_ms}");
                if let Some(value) = values::read(row, 1, place)? {
                    match room.checked_sub(value.text_bytes()) {
                        Some(left) => room = left,
                        None => {
                            older = true;
                            break;
                        }
                    }
                    history.push(HistoryRow { at_ms, value });
                }
            }
            history.reverse();
            Ok(HistoryPage { rows: history, older })
        })
        .await
    }

    /// How many readings the history has of an integration.
    pub(crate) async fn readings_count(&self, integration: &IntegrationId) -> Result<u64, StoreError> {
        let id = integration.clone();
        self.read("counting readings", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT COUNT(*) FROM entities JOIN states ON states.entity_id = entities.id \
                 JOIN readings ON readings.state_id = states.id WHERE entities.integration_id = ?1",
            )?;
            let count: i64 = statement.query_row([id.as_str()], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
        .await
    }

    /// Deletes readings older than a moment, in batches, but never the newest of a state; returns how many.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn readings_expire(&self, older_than_ms: i64) -> Result<u64, StoreError> {
        let (mut total, mut from) = (0, 0);
        loop {
            let (deleted, next) = self
                .write("deleting old readings", move |connection| expire_some(connection, older_than_ms, from))
                .await?;
            total += deleted;
            match next {
                Some(state_id) => from = state_id,
                None => return Ok(total),
            }
        }
    }

    /// Deletes entities and readings of an integration in batches; `progress` gets the rows deleted so far. `first` runs
    /// on the writer's thread before each batch.
    pub(crate) async fn entities_delete(
        &self,
        integration: &IntegrationId,
        first: impl Fn() + Clone + Send + 'static,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let mut total = 0;
        loop {
            let id = integration.clone();
            let first = first.clone();
            let work = move |connection: &Connection| {
                first();
                delete_some(connection, &id)
            };
            let deleted = self.write("deleting entities and readings", work).await?;
            if deleted == 0 {
                return Ok(());
            }
            total += deleted;
            progress(total);
        }
    }
}

/// Deletes one batch from the states with an id of at least `from`; returns the count and where to go on.
fn expire_some(connection: &Connection, older_than_ms: i64, from: i64) -> Result<(u64, Option<i64>), Fault> {
    let mut states = connection.prepare_cached("SELECT id FROM states WHERE id >= ?1 ORDER BY id LIMIT ?2")?;
    let mut newest = connection.prepare_cached(
        "SELECT at_ms, ordinal FROM readings WHERE state_id = ?1 ORDER BY at_ms DESC, ordinal DESC LIMIT 1",
    )?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM readings WHERE state_id = ?1 AND (at_ms, ordinal) IN (\
           SELECT at_ms, ordinal FROM readings WHERE state_id = ?1 AND at_ms < ?2 AND (at_ms, ordinal) < (?3, ?4) \
           ORDER BY at_ms, ordinal LIMIT ?5)",
    )?;
    let ids = states
        .query_map(params![from, limit(STATES_AT_ONCE)], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut room = DELETED_AT_ONCE;
    for &state_id in &ids {
        let Some((at_ms, ordinal)) =
            newest.query_row([state_id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?
        else {
            continue;
        };
        let deleted = delete.execute(params![state_id, older_than_ms, at_ms, ordinal, limit(room)])?;
        room -= deleted;
        if room == 0 {
            return Ok((DELETED_AT_ONCE as u64, Some(state_id)));
        }
    }
    let next = if ids.len() == STATES_AT_ONCE { ids.last().map(|id| id + 1) } else { None };
    Ok(((DELETED_AT_ONCE - room) as u64, next))
}

/// Deletes one batch of what an integration has: readings first, then the entities themselves; 0 when nothing is left.
fn delete_some(connection: &Connection, integration: &IntegrationId) -> Result<u64, Fault> {
    let entity: Option<i64> = connection
        .prepare_cached("SELECT id FROM entities WHERE integration_id = ?1 LIMIT 1")?
        .query_row([integration.as_str()], |row| row.get(0))
        .optional()?;
    let Some(entity) = entity else { return Ok(0) };
    let mut room = DELETED_AT_ONCE;
    let states = connection
        .prepare_cached("SELECT id FROM states WHERE entity_id = ?1")?
        .query_map([entity], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<i64>>>()?;
    let mut delete = connection.prepare_cached(
        "DELETE FROM readings WHERE state_id = ?1 AND (at_ms, ordinal) IN (\
           SELECT at_ms, ordinal FROM readings WHERE state_id = ?1 ORDER BY at_ms, ordinal LIMIT ?2)",
    )?;
    for state_id in states {
        room -= delete.execute(params![state_id, limit(room)])?;
        if room == 0 {
            return Ok(DELETED_AT_ONCE as u64);
        }
    }
    connection.prepare_cached("DELETE FROM entities WHERE id = ?1")?.execute([entity])?;
    Ok((DELETED_AT_ONCE - room) as u64 + 1)
}

fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
