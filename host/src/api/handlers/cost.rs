//! Who costs what: as JSON, and as the text that Prometheus reads.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::api::errors::ApiError;
use crate::api::extract::{Asked, flag};
use crate::api::types::{Costs, Problem};
use crate::app::App;

/// How closely to look.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CostQuery {
    /// With each process's proportional memory, for which the kernel takes about a millisecond each.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    proportional: bool,
}

/// What the daemon and each integration cost: processor, memory, calls, readings, refusals, queues.
#[utoipa::path(get, path = "/v1/costs", tag = "daemon", params(CostQuery),
    responses((status = 200, body = Costs), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn cost_list(State(app): State<App>, Asked(query): Asked<CostQuery>) -> Answer<Costs> {
    Ok(Json(app.cost_list(query.proportional).await?))
}

/// The same as Prometheus reads it.
#[utoipa::path(get, path = "/v1/metrics", tag = "daemon",
    responses((status = 200, description = "Prometheus text, version 0.0.4", content_type = "text/plain", body = String),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn metrics_get(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], app.metrics_get().await?))
}
