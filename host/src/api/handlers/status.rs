//! How the daemon is, and what it can be asked.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;

use crate::api::openapi;
use crate::api::types::{Problem, Status};
use crate::app::App;

/// How the daemon is and where its things are.
#[utoipa::path(get, path = "/v1/status", tag = "daemon",
    responses((status = 200, body = Status), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn status_get(State(app): State<App>) -> Json<Status> {
    Json(app.status_get())
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "daemon",
    responses((status = 200, description = "An OpenAPI 3.1 document", content_type = "application/json", body = Object),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn openapi_get() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], openapi::document())
}
