//! Crashes of gateways, folded and bounded; and who was moved out of the daemon's process because of one.

use gatehouse_plugin_api::ids::IntegrationId;
use rusqlite::{OptionalExtension as _, Row, params};

use super::error::Fault;
use super::seal::{Place, Seal};
use super::{Store, StoreError};

/// Crashes kept of one integration; equal ones count once.
pub(crate) const CRASHES_KEPT: usize = 50;

/// A crash as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashRow {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub integration_id: IntegrationId,
    /// How often it happened.
    pub count: u32,
    /// When it happened first, in milliseconds since 1970 UTC.
    pub first_at_ms: i64,
    /// When it happened last, in milliseconds since 1970 UTC.
    pub last_at_ms: i64,
    /// The newest record, as JSON.
    pub record: String,
}

/// Why an integration runs in a worker against its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedRow {
    /// The integration.
    pub integration_id: IntegrationId,
    /// Since when, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Why, in one sentence.
    pub why: String,
}

pub(super) const COLUMNS: &str = "id, integration_id, fold, count, first_at_ms, last_at_ms, record";

impl Store {
    /// Keeps a crash: an equal one (same `fold`) is counted, else it is a new row, for which the oldest may have to go.
    /// Resolves after the commit with its number.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn crash_keep(
        &self,
        id: &IntegrationId,
        fold: String,
        at_ms: i64,
        record: String,
    ) -> Result<i64, StoreError> {
        let (store, id) = (self.clone(), id.clone());
        self.write("keeping a crash", move |connection| {
            let sealed = store.seal().seal(place(&id, &fold), record.as_bytes())?;
            let number = connection
                .prepare_cached(
                    "INSERT INTO crashes (integration_id, fold, count, first_at_ms, last_at_ms, record) \
                     VALUES (?1, ?2, 1, ?3, ?3, ?4) ON CONFLICT (integration_id, fold) DO UPDATE SET \
                     count = count + 1, last_at_ms = ?3, record = ?4 RETURNING id",
                )?
                .query_row(params![id.as_str(), fold, at_ms, sealed], |row| row.get(0))?;
            connection
                .prepare_cached(
                    "DELETE FROM crashes WHERE integration_id = ?1 AND id NOT IN (SELECT id FROM crashes \
                     WHERE integration_id = ?1 ORDER BY last_at_ms DESC, id DESC LIMIT ?2)",
                )?
                .execute(params![id.as_str(), i64::try_from(CRASHES_KEPT).unwrap_or(i64::MAX)])?;
            Ok(number)
        })
        .await
    }

    /// Crashes, the latest first; of one integration alone when one is given.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn crash_list(&self, of: Option<&IntegrationId>) -> Result<Vec<CrashRow>, StoreError> {
        let (store, of) = (self.clone(), of.cloned());
        self.read("reading the crashes", move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM crashes WHERE ?1 IS NULL OR integration_id = ?1 \
                 ORDER BY last_at_ms DESC, id DESC"
            ))?;
            let mut rows = statement.query([of.as_ref().map(IntegrationId::as_str)])?;
            let mut crashes = Vec::new();
            while let Some(row) = rows.next()? {
                crashes.push(crash(store.seal(), row)?);
            }
            Ok(crashes)
        })
        .await
    }

    /// One crash by its number.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn crash_get(&self, id: i64) -> Result<Option<CrashRow>, StoreError> {
        let store = self.clone();
        self.read("reading a crash", move |connection| {
            let mut statement = connection.prepare_cached(&format!("SELECT {COLUMNS} FROM crashes WHERE id = ?1"))?;
            let mut rows = statement.query([id])?;
            rows.next()?.map(|row| crash(store.seal(), row)).transpose()
        })
        .await
    }

    /// Deletes the crashes of an integration, and that it was moved. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn crash_forget(&self, id: &IntegrationId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("deleting crashes", move |connection| {
            connection.prepare_cached("DELETE FROM crashes WHERE integration_id = ?1")?.execute([id.as_str()])?;
            connection.prepare_cached("DELETE FROM moved WHERE integration_id = ?1")?.execute([id.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Remembers that an integration runs in a worker from now on. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn moved_save(&self, moved: MovedRow) -> Result<(), StoreError> {
        self.write("moving an integration", move |connection| {
            connection
                .prepare_cached("INSERT OR REPLACE INTO moved (integration_id, at_ms, why) VALUES (?1, ?2, ?3)")?
                .execute(params![moved.integration_id.as_str(), moved.at_ms, moved.why])?;
            Ok(())
        })
        .await
    }

    /// Forgets it. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn moved_delete(&self, id: &IntegrationId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("moving an integration back", move |connection| {
            connection.prepare_cached("DELETE FROM moved WHERE integration_id = ?1")?.execute([id.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Why an integration was moved; `None` when it was not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn moved_get(&self, id: &IntegrationId) -> Result<Option<MovedRow>, StoreError> {
        let id = id.clone();
        self.read("reading who was moved", move |connection| {
            let mut statement = connection.prepare_cached("SELECT at_ms, why FROM moved WHERE integration_id = ?1")?;
            let row = statement.query_row([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(row.map(|(at_ms, why)| MovedRow { integration_id: id.clone(), at_ms, why }))
        })
        .await
    }
}

fn place<'a>(id: &'a IntegrationId, fold: &'a str) -> Place<'a> {
    Place { table: "crashes", integration: id.as_str(), key: fold }
}

pub(super) fn crash(seal: &Seal, row: &Row<'_>) -> Result<CrashRow, Fault> {
    let id: i64 = row.get(0)?;
    let at = format!("crashes {id}");
    let integration = row.get::<_, String>(1)?;
    let integration_id = IntegrationId::new(&integration).map_err(|error| Fault::row(&at, error))?;
    let fold: String = row.get(2)?;
    let opened = seal.open(place(&integration_id, &fold), &row.get::<_, Vec<u8>>(6)?)?;
    let record = String::from_utf8(opened).map_err(|_| Fault::row(&at, "the record is not text"))?;
    Ok(CrashRow {
        id,
        integration_id,
        count: u32::try_from(row.get::<_, i64>(3)?).unwrap_or(u32::MAX),
        first_at_ms: row.get(4)?,
        last_at_ms: row.get(5)?,
        record,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::CommitPolicy;

    #[tokio::test]
    async fn equal_crashes_count_the_oldest_go_and_nothing_stands_in_clear() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let policy = CommitPolicy { every: Duration::from_millis(1), rows: 100, full_durability: false };
        let database = dir.path().join("gatehouse.db");
        let store = Store::open(&database, &dir.path().join("key"), policy).expect("opens");
        let [hass, hue] = ["hass", "hue"].map(|id| IntegrationId::new(id).expect("valid"));
        let keep = async |id: &IntegrationId, fold: &str, at_ms: i64| {
            store.crash_keep(id, fold.to_owned(), at_ms, format!("{{\"printed\":\"clear text at {at_ms}\"}}")).await
        };
        let first = keep(&hass, "same", 1).await.expect("kept");
        assert_eq!(keep(&hass, "same", 9).await.expect("kept"), first);
        keep(&hue, "same", 5).await.expect("kept");
        let row = store.crash_get(first).await.expect("read").expect("there");
        assert_eq!((row.count, row.first_at_ms, row.last_at_ms), (2, 1, 9));
        assert!(row.record.contains("clear text at 9"), "{}", row.record);
        for number in 0..60 {
            keep(&hass, &format!("fold {number}"), 100 + number).await.expect("kept");
        }
        let rows = store.crash_list(Some(&hass)).await.expect("read");
        assert_eq!((rows.len(), rows[0].last_at_ms, rows[49].last_at_ms), (CRASHES_KEPT, 159, 110));
        assert_eq!(store.crash_list(None).await.expect("read").len(), CRASHES_KEPT + 1);
        assert_eq!(store.crash_get(first).await.expect("read"), None);
        let moved = MovedRow { integration_id: hass.clone(), at_ms: 7, why: "it crashed".into() };
        store.moved_save(moved.clone()).await.expect("kept");
        assert_eq!(store.moved_get(&hass).await.expect("read"), Some(moved));
        store.crash_forget(&hass).await.expect("deleted");
        assert_eq!(store.crash_list(None).await.expect("read").len(), 1);
        assert_eq!(store.moved_get(&hass).await.expect("read"), None);
        store.close().await;
        let bytes = std::fs::read(database).expect("read");
        assert!(!bytes.windows(10).any(|part| part == b"clear text"));
    }
}
