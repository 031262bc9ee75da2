//! Which generation each integration is held to, and the shadow of its data while a new one is on trial.
//!
//! The shadow is a copy of the rows as they are, sealed values with their seals: nothing is opened to copy it. It is
//! brought up to date by difference, so that the copy made ahead of a switch leaves little to do in the transaction of
//! the switch itself.

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::manifest::Capability;
use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::error::Fault;
use super::integrations::attributes;
use super::kv::put;
use super::verdicts::{from_json, json};
use super::{KvSpace, Store, StoreError};

/// A generation as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationRow {
    /// Its content.
    pub sha256: String,
    /// Its version.
    pub version: String,
}

/// An integration that stays with one generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The generation it stays with.
    pub to: GenerationRow,
    /// The generation that failed, when no person pinned it: a higher version than this one lifts the pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<GenerationRow>,
    /// Why, in one sentence.
    pub why: String,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: i64,
}

/// A generation on trial: until it is over the shadow is kept and a failure goes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The generation before, to which a failure goes back.
    pub from: GenerationRow,
    /// The generation on trial.
    pub to: GenerationRow,
    /// When it is over, in milliseconds since 1970 UTC.
    pub until_ms: i64,
}

/// What an integration is held to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpgradeRow {
    /// The capabilities that a person granted; `None` when nobody was asked yet.
    pub granted: Option<Vec<Capability>>,
    /// The generation it stays with.
    pub pin: Option<Pin>,
    /// The generation on trial.
    pub trial: Option<Trial>,
}

/// A value that a generation wrote before it took over; `None` is a deletion.
pub(crate) type Written = (KvSpace, String, Option<Vec<u8>>);

pub(super) const COLUMNS: &str = "granted, pin, trial, integration_id";

impl Store {
    /// What an integration is held to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn upgrade_get(&self, id: &IntegrationId) -> Result<UpgradeRow, StoreError> {
        let id = id.clone();
        self.read("reading what an integration is held to", move |connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM upgrades WHERE integration_id = ?1"))?;
            let mut rows = statement.query([id.as_str()])?;
            match rows.next()? {
                Some(row) => held_to(row),
                None => Ok(UpgradeRow::default()),
            }
        })
        .await
    }

    /// What each integration is held to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn upgrade_list(&self) -> Result<Vec<UpgradeRow>, StoreError> {
        self.read("reading what integrations are held to", move |connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM upgrades"))?;
            let mut rows = statement.query([])?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(held_to(row)?);
            }
            Ok(all)
        })
        .await
    }

    /// Keeps what an integration is held to; without a trial its shadow is dropped. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn upgrade_save(&self, id: &IntegrationId, held: UpgradeRow) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("saving what an integration is held to", move |connection| {
            if held.trial.is_none() {
                drop_shadow(connection, &id)?;
            }
            save(connection, &id, &held)
        })
        .await
    }

    /// Copies settings and key-value data to the shadow ahead of a switch.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn shadow_copy(&self, id: &IntegrationId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("copying settings and kept values", move |connection| shadow(connection, &id)).await
    }

    /// The switch, in one transaction: the shadow is what there is now, then what the new generation wrote is in
    /// force, and `held.trial` is on. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written: nothing has changed then.
    pub(crate) async fn upgrade_switch(
        &self,
        id: &IntegrationId,
        held: UpgradeRow,
        written: Vec<Written>,
    ) -> Result<(), StoreError> {
        let (id, store) = (id.clone(), self.clone());
        self.write("switching to another generation", move |connection| {
            shadow(connection, &id)?;
            for (space, key, value) in &written {
                put(connection, store.seal(), &id, *space, key, value.as_deref())?;
            }
            if let Some(trial) = &held.trial {
                good(connection, &id, &trial.to)?;
            }
            save(connection, &id, &held)
        })
        .await
    }

    /// Going back, in one transaction: settings and key-value data are what they were before the trial, `to` is the
    /// good generation again. What the settings are now.
    ///
    /// # Errors
    /// When it cannot be written: nothing has changed then.
    pub(crate) async fn upgrade_undo(
        &self,
        id: &IntegrationId,
        to: GenerationRow,
        held: UpgradeRow,
    ) -> Result<AttributeValues, StoreError> {
        let (id, store) = (id.clone(), self.clone());
        self.write("going back to the generation before", move |connection| {
            for (live, kept) in [("attributes", "shadow_attributes"), ("kv", "shadow_kv")] {
                connection.execute(&format!("DELETE FROM {live} WHERE integration_id = ?1"), [id.as_str()])?;
                let columns = columns(live);
                let back =
                    format!("INSERT INTO {live} ({columns}) SELECT {columns} FROM {kept} WHERE integration_id = ?1");
                connection.execute(&back, [id.as_str()])?;
            }
            drop_shadow(connection, &id)?;
            good(connection, &id, &to)?;
            save(connection, &id, &held)?;
            attributes(connection, store.seal(), &id)
        })
        .await
    }
}

fn columns(table: &str) -> &'static str {
    match table {
        "kv" => "integration_id, space, key, sealed",
        _ => "integration_id, key, plain, sealed",
    }
}

/// Makes the shadow equal to what there is, touching only the rows that differ.
fn shadow(connection: &Connection, id: &IntegrationId) -> Result<(), Fault> {
    for (live, kept, same) in [
        ("attributes", "shadow_attributes", "k.key = l.key AND k.plain IS l.plain AND k.sealed IS l.sealed"),
        ("kv", "shadow_kv", "k.space = l.space AND k.key = l.key AND k.sealed = l.sealed"),
    ] {
        let columns = columns(live);
        let gone = format!(
            "DELETE FROM {kept} AS k WHERE k.integration_id = ?1 AND NOT EXISTS \
             (SELECT 1 FROM {live} AS l WHERE l.integration_id = k.integration_id AND {same})"
        );
        connection.prepare_cached(&gone)?.execute([id.as_str()])?;
        let new = format!(
            "INSERT INTO {kept} ({columns}) SELECT {columns} FROM {live} AS l WHERE l.integration_id = ?1 AND NOT EXISTS \
             (SELECT 1 FROM {kept} AS k WHERE k.integration_id = l.integration_id AND {same})"
        );
        connection.prepare_cached(&new)?.execute([id.as_str()])?;
    }
    Ok(())
}

fn drop_shadow(connection: &Connection, id: &IntegrationId) -> Result<(), Fault> {
    for table in ["shadow_attributes", "shadow_kv"] {
        let gone = format!("DELETE FROM {table} WHERE integration_id = ?1");
        connection.prepare_cached(&gone)?.execute([id.as_str()])?;
    }
    Ok(())
}

fn good(connection: &Connection, id: &IntegrationId, generation: &GenerationRow) -> Result<(), Fault> {
    connection
        .prepare_cached("UPDATE integrations SET last_good_sha256 = ?2 WHERE id = ?1")?
        .execute(params![id.as_str(), generation.sha256])?;
    Ok(())
}

fn save(connection: &Connection, id: &IntegrationId, held: &UpgradeRow) -> Result<(), Fault> {
    let granted = held.granted.as_ref().map(|granted| json("upgrades", granted)).transpose()?;
    let pin = held.pin.as_ref().map(|pin| json("upgrades", pin)).transpose()?;
    let trial = held.trial.as_ref().map(|trial| json("upgrades", trial)).transpose()?;
    connection
        .prepare_cached(
            "INSERT INTO upgrades (integration_id, granted, pin, trial) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (integration_id) DO UPDATE SET granted = ?2, pin = ?3, trial = ?4",
        )?
        .execute(params![id.as_str(), granted, pin, trial])?;
    Ok(())
}

pub(super) fn held_to(row: &Row<'_>) -> Result<UpgradeRow, Fault> {
    let at = format!("upgrades {}", row.get::<_, String>(3)?);
    let text = |column: usize| row.get::<_, Option<String>>(column);
    Ok(UpgradeRow {
        granted: text(0)?.map(|text| from_json(&at, &text)).transpose()?,
        pin: text(1)?.map(|text| from_json(&at, &text)).transpose()?,
        trial: text(2)?.map(|text| from_json(&at, &text)).transpose()?,
    })
}

#[cfg(test)]
mod tests;
