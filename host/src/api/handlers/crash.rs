//! Crashes: listed and looked at.

use axum::Json;
use axum::extract::State;
use gatehouse_plugin_api::ids::IntegrationId;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::api::extract::{Asked, Named, parsed};
use crate::api::types::{CrashReport, CrashSummary, Problem};
use crate::app::App;

/// Which crashes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Crashes {
    /// Of this integration only.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>)]
    integration: Option<IntegrationId>,
}

/// Crashes, the latest first; equal ones are one.
#[utoipa::path(get, path = "/v1/crashes", tag = "crashes", params(Crashes),
    responses((status = 200, body = Vec<CrashSummary>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn crash_list(State(app): State<App>, Asked(asked): Asked<Crashes>) -> Answer<Vec<CrashSummary>> {
    Ok(Json(app.crash_list(asked.integration.as_ref()).await?))
}

/// One crash, with the last lines of the log.
#[utoipa::path(get, path = "/v1/crashes/{id}", tag = "crashes",
    params(("id" = String, Path, description = "The crash's number")),
    responses((status = 200, body = CrashReport), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn crash_get(State(app): State<App>, Named(id): Named<CrashNumber>) -> Answer<CrashReport> {
    Ok(Json(app.crash_get(id.0).await?))
}

/// A crash's number as it stands in a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CrashNumber(i64);

impl std::str::FromStr for CrashNumber {
    type Err = gatehouse_plugin_api::ids::BadName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // What is no number is the number of no crash.
        Ok(Self(text.parse().unwrap_or(-1)))
    }
}
