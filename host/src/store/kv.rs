//! What integrations keep for themselves: key-value data and secrets, all values sealed.

use gatehouse_plugin_api::ids::IntegrationId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::Fault;
use super::seal::{Place, SEALED_MORE, Seal};
use super::{KvSpace, Store, StoreError};

pub(super) const COLUMNS: &str = "integration_id, space, key, sealed";

impl KvSpace {
    fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Secrets => "secrets",
        }
    }

    fn place<'a>(self, id: &'a IntegrationId, key: &'a str) -> Place<'a> {
        let table = match self {
            Self::Data => "kv.data",
            Self::Secrets => "kv.secrets",
        };
        Place { table, integration: id.as_str(), key }
    }
}

impl Store {
    /// A value of the key-value store of an integration (sealed at rest).
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kv_get(&self, id: &IntegrationId, space: KvSpace, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (id, key, store) = (id.clone(), key.to_owned(), self.clone());
        self.read("reading a kept value", move |connection| {
            let sealed: Option<Vec<u8>> = connection
                .prepare_cached("SELECT sealed FROM kv WHERE integration_id = ?1 AND space = ?2 AND key = ?3")?
                .query_row(params![id.as_str(), space.word(), key], |row| row.get(0))
                .optional()?;
            sealed.map(|sealed| store.seal().open(space.place(&id, &key), &sealed)).transpose()
        })
        .await
    }

    /// Sets or (with `None`) deletes a value; resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kv_set(
        &self,
        id: &IntegrationId,
        space: KvSpace,
        key: &str,
        value: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        let (id, key, store) = (id.clone(), key.to_owned(), self.clone());
        self.write("keeping a value", move |connection| {
            put(connection, store.seal(), &id, space, &key, value.as_deref())
        })
        .await
    }

    /// The bytes of all keys and values of an integration, of both spaces.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn kv_bytes(&self, id: &IntegrationId) -> Result<u64, StoreError> {
        let id = id.clone();
        self.read("counting kept values", move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT octet_length(key), octet_length(sealed) FROM kv WHERE integration_id = ?1")?;
            let sizes = statement.query_map([id.as_str()], |row| Ok(plain_bytes(row.get(0)?, row.get(1)?)))?;
            Ok(sizes.sum::<rusqlite::Result<u64>>()?)
        })
        .await
    }

    /// The bytes of one key and its value; 0 when it is not kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kv_bytes_of(&self, id: &IntegrationId, space: KvSpace, key: &str) -> Result<u64, StoreError> {
        let (id, key) = (id.clone(), key.to_owned());
        self.read("counting a kept value", move |connection| {
            let size = connection
                .prepare_cached(
                    "SELECT octet_length(key), octet_length(sealed) FROM kv WHERE integration_id = ?1 AND space = ?2 AND key = ?3",
                )?
                .query_row(params![id.as_str(), space.word(), key], |row| Ok(plain_bytes(row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(size.unwrap_or(0))
        })
        .await
    }

    /// The keys with a prefix, sorted.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn kv_keys(&self, id: &IntegrationId, space: KvSpace, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (id, prefix) = (id.clone(), prefix.to_owned());
        self.read("reading the keys of kept values", move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key FROM kv WHERE integration_id = ?1 AND space = ?2 AND key >= ?3 ORDER BY key",
            )?;
            let mut rows = statement.query(params![id.as_str(), space.word(), prefix])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                let key: String = row.get(0)?;
                // Sorted by bytes: behind the last key with the prefix comes no other.
                if !key.starts_with(&prefix) {
                    break;
                }
                keys.push(key);
            }
            Ok(keys)
        })
        .await
    }

    /// Deletes all values of a space.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kv_clear(&self, id: &IntegrationId, space: KvSpace) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("deleting kept values", move |connection| {
            connection
                .prepare_cached("DELETE FROM kv WHERE integration_id = ?1 AND space = ?2")?
                .execute(params![id.as_str(), space.word()])?;
            Ok(())
        })
        .await
    }
}

/// What a plugin counts of a row: without what sealing adds.
fn plain_bytes(key: i64, sealed: i64) -> u64 {
    key.unsigned_abs() + sealed.unsigned_abs().saturating_sub(SEALED_MORE)
}

/// Whether a row holds a value that opens.
pub(super) fn check(seal: &Seal, row: &Row<'_>) -> Result<(), Fault> {
    let (id, word, key): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let at = format!("kv {id}/{key}");
    let id = IntegrationId::new(&id).map_err(|error| Fault::row(&at, error))?;
    let space = [KvSpace::Data, KvSpace::Secrets].into_iter().find(|space| space.word() == word);
    let space = space.ok_or_else(|| Fault::row(&at, format!("{word:?} is no space")))?;
    seal.open(space.place(&id, &key), &row.get::<_, Vec<u8>>(3)?).map(drop)
}

/// Sets or deletes a value within a transaction.
pub(super) fn put(
    connection: &Connection,
    seal: &Seal,
    id: &IntegrationId,
    space: KvSpace,
    key: &str,
    value: Option<&[u8]>,
) -> Result<(), Fault> {
    match value {
        Some(value) => {
            let sealed = seal.seal(space.place(id, key), value)?;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO kv (integration_id, space, key, sealed) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![id.as_str(), space.word(), key, sealed])?;
        }
        None => {
            connection
                .prepare_cached("DELETE FROM kv WHERE integration_id = ?1 AND space = ?2 AND key = ?3")?
                .execute(params![id.as_str(), space.word(), key])?;
        }
    }
    Ok(())
}
