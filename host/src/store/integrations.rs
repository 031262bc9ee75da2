//! Integrations with their settings; secrets among them are sealed.

use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, PlainValue};
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::secret::Secret;
use rusqlite::{Connection, Row, params};

use super::error::Fault;
use super::seal::{Place, Seal};
use super::verdicts::{from_json, from_word, json, to_word};
use super::{IntegrationRow, Store, StoreError};

pub(super) const COLUMNS: &str = "id, integration_type, title, desired, hosting, unique_id, info_message, \
                                  created_at_ms, last_good_sha256";
pub(super) const ATTRIBUTE_COLUMNS: &str = "integration_id, key, plain, sealed";

impl Store {
    /// Keeps an integration, whole. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn integration_save(&self, row: IntegrationRow) -> Result<(), StoreError> {
        let store = self.clone();
        self.write("saving an integration", move |connection| {
            // Not `OR REPLACE`: replacing deletes the row first, and its settings with it.
            connection
                .prepare_cached(
                    "INSERT INTO integrations (id, integration_type, title, desired, hosting, unique_id, \
                     info_message, created_at_ms, last_good_sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
                     ON CONFLICT (id) DO UPDATE SET integration_type = ?2, title = ?3, desired = ?4, hosting = ?5, \
                     unique_id = ?6, info_message = ?7, created_at_ms = ?8, last_good_sha256 = ?9",
                )?
                .execute(params![
                    row.id.as_str(),
                    row.integration_type.as_str(),
                    row.title,
                    to_word(&row.desired),
                    to_word(&row.hosting),
                    row.unique_id,
                    row.info_message,
                    row.created_at_ms,
                    row.last_good_sha256,
                ])?;
            connection
                .prepare_cached("DELETE FROM attributes WHERE integration_id = ?1")?
                .execute([row.id.as_str()])?;
            let mut insert = connection.prepare_cached(
                "INSERT INTO attributes (integration_id, key, plain, sealed) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (key, value) in &row.attributes.0 {
                let (plain, sealed) = match value {
                    AttributeValue::Plain(value) => (Some(json("attributes", value)?), None),
                    AttributeValue::Secret(secret) => {
                        (None, Some(store.seal().seal(place(&row.id, key), secret.expose().as_bytes())?))
                    }
                };
                insert.execute(params![row.id.as_str(), key, plain, sealed])?;
            }
            Ok(())
        })
        .await?;
        self.0.changed.notify_one();
        Ok(())
    }

    /// Every integration, by id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn integration_list(&self) -> Result<Vec<IntegrationRow>, StoreError> {
        let store = self.clone();
        self.read("reading the integrations", move |connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM integrations ORDER BY id"))?;
            let mut rows = statement.query([])?;
            let mut integrations = Vec::new();
            while let Some(row) = rows.next()? {
                integrations.push(integration(connection, store.seal(), row)?);
            }
            Ok(integrations)
        })
        .await
    }

    /// Deletes an integration's row (ALL), its key-value data and secrets with it. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn integration_delete(&self, id: &IntegrationId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("deleting an integration", move |connection| {
            connection.prepare_cached("DELETE FROM integrations WHERE id = ?1")?.execute([id.as_str()])?;
            connection.prepare_cached("DELETE FROM kv WHERE integration_id = ?1")?.execute([id.as_str()])?;
            Ok(())
        })
        .await?;
        self.0.changed.notify_one();
        Ok(())
    }
}

fn place<'a>(id: &'a IntegrationId, key: &'a str) -> Place<'a> {
    Place { table: "attributes", integration: id.as_str(), key }
}

fn integration(connection: &Connection, seal: &Seal, row: &Row<'_>) -> Result<IntegrationRow, Fault> {
    let row = bare(row)?;
    Ok(IntegrationRow { attributes: attributes(connection, seal, &row.id)?, ..row })
}

/// Without its attributes.
pub(super) fn bare(row: &Row<'_>) -> Result<IntegrationRow, Fault> {
    let id: String = row.get(0)?;
    let at = format!("integrations {id}");
    let id = IntegrationId::new(&id).map_err(|error| Fault::row(&at, error))?;
    Ok(IntegrationRow {
        integration_type: IntegrationType::new(&row.get::<_, String>(1)?).map_err(|error| Fault::row(&at, error))?,
        title: row.get(2)?,
        desired: from_word(&at, row.get(3)?)?,
        hosting: from_word(&at, row.get(4)?)?,
        unique_id: row.get(5)?,
        info_message: row.get(6)?,
        created_at_ms: row.get(7)?,
        last_good_sha256: row.get(8)?,
        attributes: AttributeValues::default(),
        id,
    })
}

pub(super) fn attributes(connection: &Connection, seal: &Seal, id: &IntegrationId) -> Result<AttributeValues, Fault> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {ATTRIBUTE_COLUMNS} FROM attributes WHERE integration_id = ?1"))?;
    let mut rows = statement.query([id.as_str()])?;
    let mut values = AttributeValues::default();
    while let Some(row) = rows.next()? {
        attribute(Some(seal), row, &mut values)?;
    }
    Ok(values)
}

/// Reads one attribute into `values`; without a seal only one in clear.
pub(super) fn attribute(seal: Option<&Seal>, row: &Row<'_>, values: &mut AttributeValues) -> Result<(), Fault> {
    let (id, key): (String, String) = (row.get(0)?, row.get(1)?);
    let at = format!("attributes {id}/{key}");
    let id = IntegrationId::new(&id).map_err(|error| Fault::row(&at, error))?;
    let plain: Option<String> = row.get(2)?;
    if let Some(text) = plain {
        values.set_plain(&key, from_json::<PlainValue>(&at, &text)?);
    } else {
        let seal = seal.ok_or_else(|| Fault::row(&at, "it is sealed"))?;
        let opened = seal.open(place(&id, &key), &row.get::<_, Vec<u8>>(3)?)?;
        let text = String::from_utf8(opened).map_err(|_| Fault::row(&at, "the secret is not text"))?;
        values.set_secret(&key, Secret::new(text));
    }
    Ok(())
}
