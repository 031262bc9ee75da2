//! Who changed what: kept beside every change, and looked up.

use gatehouse_plugin_api::attribute::FieldErrors;

use super::App;
use crate::gateway::sys::peer;
use crate::integration::OperationError;
use crate::store::{AuditEntry, AuditQuery};

/// The most entries in one answer.
const MOST_ENTRIES: u32 = 10_000;

impl App {
    /// Who changed what, newest first.
    ///
    /// # Errors
    /// `Invalid` when the limit is out of bounds.
    pub async fn audit_list(&self, query: AuditQuery) -> Result<Vec<AuditEntry>, OperationError> {
        if query.limit == 0 || query.limit > MOST_ENTRIES {
            let problem = format!("{} is not between 1 and {MOST_ENTRIES}", query.limit);
            return Err(OperationError::Invalid {
                message: format!("limit {problem}"),
                fields: FieldErrors::from([("limit".to_owned(), problem)]),
            });
        }
        Ok(self.ground().store.audit_list(query).await?)
    }

    /// Keeps an entry: the time and the user's name are filled in here. Answers at once; an entry that cannot be
    /// written is told in the log.
    pub(crate) fn audit_keep(&self, entry: AuditEntry) {
        let ground = self.ground();
        let (store, at_ms) = (ground.store.clone(), ground.clock.now_ms());
        let keep_rows = i64::try_from(ground.config.audit.keep_rows).unwrap_or(i64::MAX);
        tokio::spawn(async move {
            let uid = entry.uid;
            let named = tokio::task::spawn_blocking(move || peer::user_name(uid)).await;
            // Without a name the number says who it was.
            let user = named.ok().and_then(Result::ok).flatten();
            if let Err(error) = store.audit_add(AuditEntry { at_ms, user, ..entry }, keep_rows).await {
                tracing::error!(error = &error as &dyn std::error::Error, "a change is missing in the audit list");
            }
        });
    }
}
