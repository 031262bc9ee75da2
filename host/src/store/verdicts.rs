//! Verdicts: one row for every file ever seen.

use rusqlite::{Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::Fault;
use super::{Store, StoreError};
use crate::plugin::Verdict;
use crate::reason::{Reason, ReasonCode};

pub(super) const COLUMNS: &str =
    "file_name, decision, reason_code, sentence, cause, sha256, size_bytes, manifest, decided_at_ms";

impl Store {
    /// Keeps a verdict, replacing the one of the same file name. Resolves after the commit.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn verdict_save(&self, verdict: Verdict) -> Result<(), StoreError> {
        self.write("saving a verdict", move |connection| {
            let manifest = verdict.manifest.as_ref().map(|manifest| json("verdicts", manifest)).transpose()?;
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO verdicts (file_name, decision, reason_code, sentence, cause, sha256, \
                     size_bytes, manifest, decided_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(params![
                    verdict.file_name,
                    to_word(&verdict.decision),
                    verdict.reason.code.as_str(),
                    verdict.reason.sentence,
                    verdict.reason.cause,
                    verdict.sha256,
                    verdict.size_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
                    manifest,
                    verdict.decided_at_ms,
                ])?;
            Ok(())
        })
        .await
    }

    /// Every verdict, by file name.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn verdict_list(&self) -> Result<Vec<Verdict>, StoreError> {
        self.read("reading the verdicts", |connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM verdicts ORDER BY file_name"))?;
            let mut rows = statement.query([])?;
            let mut verdicts = Vec::new();
            while let Some(row) = rows.next()? {
                verdicts.push(verdict(row)?);
            }
            Ok(verdicts)
        })
        .await
    }
}

pub(super) fn verdict(row: &Row<'_>) -> Result<Verdict, Fault> {
    let file_name: String = row.get(0)?;
    let place = format!("verdicts {file_name}");
    let code: String = row.get(2)?;
    let code = ReasonCode::from_word(&code).ok_or_else(|| Fault::row(&place, format!("{code:?} is no reason code")))?;
    let manifest: Option<String> = row.get(7)?;
    Ok(Verdict {
        decision: from_word(&place, row.get(1)?)?,
        reason: Reason { code, sentence: row.get(3)?, cause: row.get(4)? },
        sha256: row.get(5)?,
        size_bytes: row.get::<_, Option<i64>>(6)?.and_then(|bytes| u64::try_from(bytes).ok()),
        // A manifest is there to be shown; one of a form that is no longer read must not hide the verdict.
        manifest: manifest.and_then(|text| serde_json::from_str(&text).ok()),
        decided_at_ms: row.get(8)?,
        file_name,
    })
}

/// A value as JSON text.
pub(super) fn json<T: Serialize>(place: &str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::row(place, error))
}

/// A value from JSON text.
pub(super) fn from_json<T: DeserializeOwned>(place: &str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::row(place, error))
}

/// The word that serde gives a plain enum's variant.
pub(super) fn to_word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => unreachable!("a plain enum is one word in JSON, not {other:?}"),
    }
}

/// The variant of a word.
pub(super) fn from_word<T: DeserializeOwned>(place: &str, word: String) -> Result<T, Fault> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|error| Fault::row(place, error))
}
