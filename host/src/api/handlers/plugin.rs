//! Plugin files and their verdicts.

use axum::Json;
use axum::extract::State;

use super::Answer;
use crate::api::extract::{Given, Named};
use crate::api::types::{Integration, Plugin, PluginVersion, Problem, RollbackRequest};
use crate::app::App;

/// Every plugin file ever seen, with what was decided about it.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins",
    responses((status = 200, body = Vec<Plugin>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_list(State(app): State<App>) -> Json<Vec<Plugin>> {
    Json(app.plugin_list().await)
}

/// One plugin file, by its name in the folder or by the integration type it provides.
#[utoipa::path(get, path = "/v1/plugins/{name}", tag = "plugins",
    params(("name" = String, Path, description = "A file name or an integration type")),
    responses((status = 200, body = Plugin), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_get(State(app): State<App>, Named(name): Named<String>) -> Answer<Plugin> {
    Ok(Json(app.plugin_get(&name).await?))
}

/// The versions of a plugin whose copies are kept, the newest copy first.
#[utoipa::path(get, path = "/v1/plugins/{name}/versions", tag = "plugins",
    params(("name" = String, Path, description = "An integration, an integration type or a file name")),
    responses((status = 200, body = Vec<PluginVersion>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_versions(State(app): State<App>, Named(name): Named<String>) -> Answer<Vec<PluginVersion>> {
    Ok(Json(app.plugin_versions(&name).await?))
}

/// Goes back to an earlier version of a plugin and stays there.
#[utoipa::path(post, path = "/v1/plugins/{name}/rollback", tag = "plugins",
    params(("name" = String, Path, description = "An integration, or a type: all integrations of it")),
    request_body = RollbackRequest,
    responses((status = 200, body = Vec<Integration>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_rollback(
    State(app): State<App>,
    Named(name): Named<String>,
    Given(request): Given<RollbackRequest>,
) -> Answer<Vec<Integration>> {
    Ok(Json(app.plugin_rollback(&name, request.to).await?))
}

/// Stays with the version of a plugin that is in use.
#[utoipa::path(post, path = "/v1/plugins/{name}/pin", tag = "plugins",
    params(("name" = String, Path, description = "An integration, or a type: all integrations of it")),
    responses((status = 200, body = Vec<Integration>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_pin(State(app): State<App>, Named(name): Named<String>) -> Answer<Vec<Integration>> {
    Ok(Json(app.plugin_pin(&name).await?))
}

/// Goes on to the newest version of a plugin.
#[utoipa::path(post, path = "/v1/plugins/{name}/unpin", tag = "plugins",
    params(("name" = String, Path, description = "An integration, or a type: all integrations of it")),
    responses((status = 200, body = Vec<Integration>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_unpin(State(app): State<App>, Named(name): Named<String>) -> Answer<Vec<Integration>> {
    Ok(Json(app.plugin_unpin(&name).await?))
}

/// Allows what the newest version of a plugin wants beyond what was granted.
#[utoipa::path(post, path = "/v1/plugins/{name}/allow", tag = "plugins",
    params(("name" = String, Path, description = "An integration, or a type: all integrations of it")),
    responses((status = 200, body = Vec<Integration>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_allow(State(app): State<App>, Named(name): Named<String>) -> Answer<Vec<Integration>> {
    Ok(Json(app.plugin_allow(&name).await?))
}
