//! States: listed, looked at, set, and their history.

use axum::Json;
use axum::extract::State as Shared;
use gatehouse_plugin_api::ids::{IntegrationId, StateAddress};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::api::extract::{Asked, Given, Named, parsed};
use crate::api::types::{ControlAnswer, ControlRequest, History, Problem, State};
use crate::app::{App, HistorySpan};

/// Which states.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StateQuery {
    /// Of this integration only.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>)]
    integration: Option<IntegrationId>,
}

/// States with their last values.
#[utoipa::path(get, path = "/v1/states", tag = "states", params(StateQuery),
    responses((status = 200, body = Vec<State>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn state_list(Shared(app): Shared<App>, Asked(query): Asked<StateQuery>) -> Answer<Vec<State>> {
    Ok(Json(app.state_list(query.integration.as_ref())?))
}

/// One state with its last value.
#[utoipa::path(get, path = "/v1/states/{address}", tag = "states",
    params(("address" = String, Path, description = "INTEGRATION:ENTITY/STATE, percent-encoded (`/` as `%2F`)")),
    responses((status = 200, body = State), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn state_get(Shared(app): Shared<App>, Named(address): Named<StateAddress>) -> Answer<State> {
    Ok(Json(app.state_get(&address)?))
}

/// Sets a state through its integration; answers when the plugin did it.
#[utoipa::path(post, path = "/v1/states/{address}/control", tag = "states", request_body = ControlRequest,
    params(("address" = String, Path, description = "INTEGRATION:ENTITY/STATE, percent-encoded (`/` as `%2F`)")),
    responses((status = 200, body = ControlAnswer), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn state_control(
    Shared(app): Shared<App>,
    Named(address): Named<StateAddress>,
    Given(request): Given<ControlRequest>,
) -> Answer<ControlAnswer> {
    Ok(Json(app.state_control(&address, request).await?))
}

/// Which part of a state's history.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// From when on; 24 hours before `until_ms` when absent.
    since_ms: Option<i64>,
    /// Until when; now when absent.
    until_ms: Option<i64>,
    /// At most this many rows, the newest ones; 1,000 when absent, 100,000 at most.
    limit: Option<usize>,
}

/// The history of a state, oldest first.
#[utoipa::path(get, path = "/v1/states/{address}/history", tag = "states",
    params(("address" = String, Path, description = "INTEGRATION:ENTITY/STATE, percent-encoded (`/` as `%2F`)"),
        HistoryQuery),
    responses((status = 200, body = History), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn state_history(
    Shared(app): Shared<App>,
    Named(address): Named<StateAddress>,
    Asked(query): Asked<HistoryQuery>,
) -> Answer<History> {
    let HistoryQuery { since_ms, until_ms, limit } = query;
    Ok(Json(app.state_history(&address, HistorySpan { since_ms, until_ms, limit }).await?))
}
