//! The audit list.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::api::extract::{Asked, parsed};
use crate::api::types::{AuditEntry, Problem};
use crate::app::App;
use crate::store::AuditQuery;

/// Entries unless the query says otherwise.
const ENTRIES: u32 = 100;

/// Which entries are meant.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AuditAsked {
    /// Of this user, by name or number
    user: Option<String>,
    /// Of this operation (`integration_pause`)
    operation: Option<String>,
    /// Of this target
    target: Option<String>,
    /// From when on, in milliseconds since 1970 UTC
    #[serde(deserialize_with = "parsed")]
    since_ms: Option<i64>,
    /// Until when, exclusive
    #[serde(deserialize_with = "parsed")]
    until_ms: Option<i64>,
    /// At most this many entries, the newest ones; 100 when absent
    #[serde(deserialize_with = "parsed")]
    limit: Option<u32>,
}

/// Who changed what, when, and how it went; newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", params(AuditAsked),
    responses((status = 200, body = Vec<AuditEntry>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn audit_list(State(app): State<App>, Asked(asked): Asked<AuditAsked>) -> Answer<Vec<AuditEntry>> {
    let AuditAsked { user, operation, target, since_ms, until_ms, limit } = asked;
    let limit = limit.unwrap_or(ENTRIES);
    Ok(Json(app.audit_list(AuditQuery { user, operation, target, since_ms, until_ms, limit }).await?))
}
