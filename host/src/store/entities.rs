//! Entities with their states and last values: loaded once at start, changed in one transaction per declaration.

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::EntityDeclaration;
use gatehouse_plugin_api::value::Value;
use rusqlite::{Connection, Row, params};

use super::error::Fault;
use super::verdicts::{from_json, from_word, json, to_word};
use super::{Store, StoreError, values};
use crate::entity::{Attachment, name_key};

/// An entity as it is kept.
#[derive(Debug)]
pub(crate) struct EntityRow {
    pub(crate) id: i64,
    pub(crate) integration: IntegrationId,
    pub(crate) declaration: EntityDeclaration,
    pub(crate) attachment: Attachment,
    pub(crate) created_at_ms: i64,
    pub(crate) person_label: Option<String>,
    /// Every state that it ever had.
    pub(crate) states: Vec<StateRow>,
}

/// A state as it is kept.
#[derive(Debug)]
pub(crate) struct StateRow {
    pub(crate) id: i64,
    pub(crate) name_key: String,
    pub(crate) last: Option<LastValue>,
}

/// A state's last value.
#[derive(Debug)]
pub(crate) struct LastValue {
    pub(crate) value: Value,
    pub(crate) changed_at_ms: i64,
    pub(crate) last_seen_ms: i64,
}

/// One change of what is in the house.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EntityChange {
    /// A new one, attached.
    Create { declaration: EntityDeclaration, created_at_ms: i64 },
    /// Another declaration, under the same or a new name; attached.
    Declare { id: i64, declaration: EntityDeclaration },
    /// Another attachment.
    Attach { id: i64, attachment: Attachment },
}

pub(super) const COLUMNS: &str = "id, integration_id, declaration, attachment, created_at_ms, person_label";
pub(super) const STATE_COLUMNS: &str = "id, name_key, kind, number, whole, text, changed_at_ms, last_seen_ms";

impl Store {
    /// Every entity of every integration.
    pub(crate) async fn entity_list(&self) -> Result<Vec<EntityRow>, StoreError> {
        self.read("reading the entities", |connection| {
            let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM entities ORDER BY id"))?;
            let mut rows = statement.query([])?;
            let mut entities = Vec::new();
            while let Some(row) = rows.next()? {
                entities.push(entity(connection, row)?);
            }
            Ok(entities)
        })
        .await
    }

    /// Applies changes, all or none; resolves after the commit with the rows that were created or declared.
    pub(crate) async fn entity_apply(
        &self,
        integration: &IntegrationId,
        changes: Vec<EntityChange>,
    ) -> Result<Vec<EntityRow>, StoreError> {
        let integration = integration.clone();
        self.write("saving entities", move |connection| {
            let mut rows = Vec::new();
            for change in &changes {
                if let Some(id) = apply(connection, &integration, change)? {
                    let mut statement =
                        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM entities WHERE id = ?1"))?;
                    let mut found = statement.query([id])?;
                    if let Some(row) = found.next()? {
                        rows.push(entity(connection, row)?);
                    }
                }
            }
            Ok(rows)
        })
        .await
    }

    /// Keeps a person's own name of an entity; resolves after the commit.
    pub(crate) async fn entity_label(&self, id: i64, label: Option<String>) -> Result<(), StoreError> {
        self.write("saving an entity's name", move |connection| {
            connection
                .prepare_cached("UPDATE entities SET person_label = ?2 WHERE id = ?1")?
                .execute(params![id, label])?;
            Ok(())
        })
        .await
    }
}

fn apply(connection: &Connection, integration: &IntegrationId, change: &EntityChange) -> Result<Option<i64>, Fault> {
    match change {
        EntityChange::Create { declaration, created_at_ms } => {
            connection
                .prepare_cached(
                    "INSERT INTO entities (integration_id, name_key, declaration, attachment, created_at_ms) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    integration.as_str(),
                    name_key(declaration.name.as_str()),
                    json("entities", declaration)?,
                    to_word(&Attachment::Attached),
                    created_at_ms,
                ])?;
            let id = connection.last_insert_rowid();
            add_states(connection, id, declaration)?;
            Ok(Some(id))
        }
        EntityChange::Declare { id, declaration } => {
            connection
                .prepare_cached("UPDATE entities SET name_key = ?2, declaration = ?3, attachment = ?4 WHERE id = ?1")?
                .execute(params![
                    id,
                    name_key(declaration.name.as_str()),
                    json("entities", declaration)?,
                    to_word(&Attachment::Attached),
                ])?;
            add_states(connection, *id, declaration)?;
            Ok(Some(*id))
        }
        EntityChange::Attach { id, attachment } => {
            connection
                .prepare_cached("UPDATE entities SET attachment = ?2 WHERE id = ?1")?
                .execute(params![id, to_word(attachment)])?;
            Ok(None)
        }
    }
}

/// States that a declaration no longer has keep their rows, because their history stays.
fn add_states(connection: &Connection, entity_id: i64, declaration: &EntityDeclaration) -> Result<(), Fault> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO states (entity_id, name_key) VALUES (?1, ?2) ON CONFLICT (entity_id, name_key) DO NOTHING",
    )?;
    for state in &declaration.states {
        insert.execute(params![entity_id, name_key(state.name.as_str())])?;
    }
    Ok(())
}

pub(super) fn entity(connection: &Connection, row: &Row<'_>) -> Result<EntityRow, Fault> {
    let id: i64 = row.get(0)?;
    let at = format!("entities {id}");
    Ok(EntityRow {
        id,
        integration: IntegrationId::new(&row.get::<_, String>(1)?).map_err(|error| Fault::row(&at, error))?,
        declaration: from_json(&at, &row.get::<_, String>(2)?)?,
        attachment: from_word(&at, row.get(3)?)?,
        created_at_ms: row.get(4)?,
        person_label: row.get(5)?,
        states: states(connection, id)?,
    })
}

fn states(connection: &Connection, entity_id: i64) -> Result<Vec<StateRow>, Fault> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {STATE_COLUMNS} FROM states WHERE entity_id = ?1"))?;
    let mut rows = statement.query([entity_id])?;
    let mut states = Vec::new();
    while let Some(row) = rows.next()? {
        states.push(state(row)?);
    }
    Ok(states)
}

pub(super) fn state(row: &Row<'_>) -> Result<StateRow, Fault> {
    let id = row.get(0)?;
    let last = match (values::read(row, 2, || format!("states {id}"))?, row.get(6)?, row.get(7)?) {
        (Some(value), Some(changed_at_ms), Some(last_seen_ms)) => {
            Some(LastValue { value, changed_at_ms, last_seen_ms })
        }
        _ => None,
    };
    Ok(StateRow { id, name_key: row.get(1)?, last })
}

/// Writes an entity as it was under its number, and the states of it that are not there.
pub(super) fn put_back(connection: &Connection, row: &EntityRow) -> Result<(), Fault> {
    connection
        .prepare_cached(&format!(
            "INSERT OR IGNORE INTO entities ({COLUMNS}, name_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        ))?
        .execute(params![
            row.id,
            row.integration.as_str(),
            json("entities", &row.declaration)?,
            to_word(&row.attachment),
            row.created_at_ms,
            row.person_label,
            name_key(row.declaration.name.as_str()),
        ])?;
    let mut insert = connection.prepare_cached(&format!(
        "INSERT OR IGNORE INTO states ({STATE_COLUMNS}, entity_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
    ))?;
    for state in &row.states {
        let last = state.last.as_ref();
        let (kind, number, whole, text) = match last.map(|last| values::columns(&last.value)) {
            Some((kind, number, whole, text)) => (Some(kind), number, whole, text),
            None => (None, None, None, None),
        };
        let (changed, seen) = (last.map(|last| last.changed_at_ms), last.map(|last| last.last_seen_ms));
        insert.execute(params![state.id, state.name_key, kind, number, whole, text, changed, seen, row.id])?;
    }
    Ok(())
}
