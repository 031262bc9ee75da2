//! The audit list: who changed what, when, and how it went. Bounded by number and by age.

use rusqlite::{ToSql, params};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Store, StoreError};

/// One change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The user's number.
    pub uid: u32,
    /// The user's name at that time, when the system had one.
    pub user: Option<String>,
    /// The way: `socket`.
    pub via: String,
    /// The operation: `integration_pause`.
    pub operation: String,
    /// What it was asked of: an integration, an address, a flow and its step, a key; may be empty.
    pub target: String,
    /// `done`, `refused` or `failed`.
    pub outcome: String,
}

/// Which entries are meant; what is absent says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Of this user, by name or number.
    pub user: Option<String>,
    /// Of this operation.
    pub operation: Option<String>,
    /// Of this target.
    pub target: Option<String>,
    /// From when on.
    pub since_ms: Option<i64>,
    /// Until when, exclusive.
    pub until_ms: Option<i64>,
    /// The most entries, the newest ones.
    pub limit: u32,
}

impl Store {
    /// Keeps an entry and lets go of those beyond the newest `keep_rows`. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn audit_add(&self, entry: AuditEntry, keep_rows: i64) -> Result<(), StoreError> {
        self.write("writing the audit list", move |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO audit (at_ms, uid, user, via, operation, target, outcome) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    entry.at_ms,
                    entry.uid,
                    entry.user,
                    entry.via,
                    entry.operation,
                    entry.target,
                    entry.outcome
                ])?;
            let oldest = connection.last_insert_rowid().saturating_sub(keep_rows);
            connection.prepare_cached("DELETE FROM audit WHERE id <= ?1")?.execute([oldest])?;
            Ok(())
        })
        .await
    }

    /// Entries, newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn audit_list(&self, query: AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        self.read("reading the audit list", move |connection| {
            let uid = query.user.as_deref().and_then(|user| user.parse::<u32>().ok());
            let values: [&dyn ToSql; 7] =
                [&query.user, &uid, &query.operation, &query.target, &query.since_ms, &query.until_ms, &query.limit];
            let mut statement = connection.prepare_cached(
                "SELECT at_ms, uid, user, via, operation, target, outcome FROM audit \
                 WHERE (?1 IS NULL OR user = ?1 OR uid = ?2) AND (?3 IS NULL OR operation = ?3) \
                 AND (?4 IS NULL OR target = ?4) AND (?5 IS NULL OR at_ms >= ?5) AND (?6 IS NULL OR at_ms < ?6) \
                 ORDER BY id DESC LIMIT ?7",
            )?;
            let entries = statement.query_map(values, |row| {
                Ok(AuditEntry {
                    at_ms: row.get(0)?,
                    uid: row.get(1)?,
                    user: row.get(2)?,
                    via: row.get(3)?,
                    operation: row.get(4)?,
                    target: row.get(5)?,
                    outcome: row.get(6)?,
                })
            })?;
            Ok(entries.collect::<rusqlite::Result<_>>()?)
        })
        .await
    }

    /// Deletes entries from before a moment; answers how many.
    ///
    /// # Errors
    /// When they cannot be deleted.
    pub async fn audit_expire(&self, before_ms: i64) -> Result<usize, StoreError> {
        self.write("expiring the audit list", move |connection| {
            Ok(connection.prepare_cached("DELETE FROM audit WHERE at_ms < ?1")?.execute([before_ms])?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::time::Duration;

    use super::*;
    use crate::store::CommitPolicy;

    fn entry(at_ms: i64, user: &str, operation: &str, target: &str) -> AuditEntry {
        let (user, via) = (Some(user.to_owned()), "socket".to_owned());
        let (operation, target, outcome) = (operation.to_owned(), target.to_owned(), "done".to_owned());
        AuditEntry { at_ms, uid: 1000, user, via, operation, target, outcome }
    }

    #[tokio::test]
    async fn entries_are_found_by_what_is_known_of_them_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let policy = CommitPolicy { every: Duration::from_millis(1), rows: 100, full_durability: false };
        let store = Store::open(&dir.path().join("gatehouse.db"), &dir.path().join("key"), policy).unwrap();
        for (at_ms, user, operation, target) in [
            (1, "ann", "integration_pause", "hass"),
            (2, "ben", "integration_pause", "garden"),
            (3, "ann", "state_control", "hass:lamp/power"),
            (4, "ann", "integration_resume", "hass"),
        ] {
            store.audit_add(entry(at_ms, user, operation, target), 3).await.unwrap();
        }
        let found = async |query: AuditQuery| {
            let query = AuditQuery { limit: if query.limit == 0 { 100 } else { query.limit }, ..query };
            store.audit_list(query).await.unwrap().iter().map(|entry| entry.at_ms).collect::<Vec<_>>()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found(AuditQuery::default()).await, [4, 3, 2], "the first made room");
        assert_eq!(found(AuditQuery { limit: 1, ..AuditQuery::default() }).await, [4]);
        assert_eq!(found(AuditQuery { user: text("ben"), ..AuditQuery::default() }).await, [2]);
        assert_eq!(found(AuditQuery { user: text("1000"), ..AuditQuery::default() }).await, [4, 3, 2]);
        assert_eq!(found(AuditQuery { target: text("hass"), ..AuditQuery::default() }).await, [4]);
        let between = AuditQuery { since_ms: Some(3), until_ms: Some(4), ..AuditQuery::default() };
        assert_eq!(found(between).await, [3]);
        assert_eq!(store.audit_expire(4).await.unwrap(), 2);
        assert_eq!(found(AuditQuery { operation: text("integration_resume"), ..AuditQuery::default() }).await, [4]);
    }
}
