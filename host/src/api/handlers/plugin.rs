//! Plugin files and their verdicts.

use axum::Json;
use axum::extract::State;

use super::Answer;
use crate::api::extract::Named;
use crate::api::types::{Plugin, Problem};
use crate::app::App;

/// Every plugin file ever seen, with what was decided about it.
#[utoipa::path(get, path = "/v1/plugins", tag = "plugins",
    responses((status = 200, body = Vec<Plugin>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_list(State(app): State<App>) -> Json<Vec<Plugin>> {
    Json(app.plugin_list())
}

/// One plugin file, by its name in the folder or by the integration type it provides.
#[utoipa::path(get, path = "/v1/plugins/{name}", tag = "plugins",
    params(("name" = String, Path, description = "A file name or an integration type")),
    responses((status = 200, body = Plugin), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn plugin_get(State(app): State<App>, Named(name): Named<String>) -> Answer<Plugin> {
    Ok(Json(app.plugin_get(&name)?))
}
