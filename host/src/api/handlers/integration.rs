//! Integrations: looked at, paused, resumed, set.

use axum::Json;
use axum::extract::State;
use gatehouse_plugin_api::ids::IntegrationId;

use super::Answer;
use crate::api::extract::{Given, Named};
use crate::api::types::{
    AttributesPatch, Diagnostics, Explanation, Integration, LogLevelAnswer, LogLevelRequest, Problem, SyncAnswer,
};
use crate::app::App;

/// Every integration.
#[utoipa::path(get, path = "/v1/integrations", tag = "integrations",
    responses((status = 200, body = Vec<Integration>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_list(State(app): State<App>) -> Json<Vec<Integration>> {
    Json(app.integration_list())
}

/// One integration.
#[utoipa::path(get, path = "/v1/integrations/{id}", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = Integration), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_get(State(app): State<App>, Named(id): Named<IntegrationId>) -> Answer<Integration> {
    Ok(Json(app.integration_get(&id)?))
}

/// Pauses an integration; answers when it is paused.
#[utoipa::path(post, path = "/v1/integrations/{id}/pause", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = Integration), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_pause(State(app): State<App>, Named(id): Named<IntegrationId>) -> Answer<Integration> {
    Ok(Json(app.integration_pause(&id).await?))
}

/// Resumes an integration; answers when it runs, or when it is known why not.
#[utoipa::path(post, path = "/v1/integrations/{id}/resume", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = Integration), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_resume(State(app): State<App>, Named(id): Named<IntegrationId>) -> Answer<Integration> {
    Ok(Json(app.integration_resume(&id).await?))
}

/// Why it is as it is: what is wanted, what is, since when, why, the last exchange, the next try, what can be done.
#[utoipa::path(get, path = "/v1/integrations/{id}/explain", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = Explanation), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_explain(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
) -> Answer<Explanation> {
    Ok(Json(app.integration_explain(&id).await?))
}

/// Runs it in the daemon again, after a crash of the daemon moved it to a worker; answers when it does.
#[utoipa::path(post, path = "/v1/integrations/{id}/move-back", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = Integration), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_move_back(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
) -> Answer<Integration> {
    Ok(Json(app.integration_move_back(&id).await?))
}

/// Reads the upstream's entities again; answers when they are applied.
#[utoipa::path(post, path = "/v1/integrations/{id}/synchronize", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = SyncAnswer), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_synchronize(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
) -> Answer<SyncAnswer> {
    Ok(Json(app.integration_synchronize(&id).await?))
}

/// What helps to find a fault: the integration, and what its plugin says of itself, without secrets.
#[utoipa::path(get, path = "/v1/integrations/{id}/diagnostics", tag = "integrations",
    params(("id" = String, Path, description = "The integration")),
    responses((status = 200, body = Diagnostics), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_diagnostics(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
) -> Answer<Diagnostics> {
    Ok(Json(app.integration_diagnostics(&id).await?))
}

/// Logs more or less of an integration, at once and until the daemon restarts.
#[utoipa::path(post, path = "/v1/integrations/{id}/log-level", tag = "integrations",
    params(("id" = String, Path, description = "The integration")), request_body = LogLevelRequest,
    responses((status = 200, body = LogLevelAnswer), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_log_level(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
    Given(wanted): Given<LogLevelRequest>,
) -> Answer<LogLevelAnswer> {
    Ok(Json(app.integration_log_level(&id, wanted).await?))
}

/// Changes settings; those not named stay as they are.
#[utoipa::path(patch, path = "/v1/integrations/{id}/attributes", tag = "integrations",
    params(("id" = String, Path, description = "The integration")), request_body = AttributesPatch,
    responses((status = 200, body = Integration), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn integration_set(
    State(app): State<App>,
    Named(id): Named<IntegrationId>,
    Given(patch): Given<AttributesPatch>,
) -> Answer<Integration> {
    Ok(Json(app.integration_set(&id, patch).await?))
}
