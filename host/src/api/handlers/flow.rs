//! Flows: opened, looked at, answered, given up.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::Answer;
use crate::api::audit::Target;
use crate::api::errors::ApiError;
use crate::api::extract::{Given, Named, NamedPair};
use crate::api::types::{Done, Flow, FlowAnswerRequest, FlowBeginRequest, Problem};
use crate::app::App;

/// Opens a flow and shows its first step.
#[utoipa::path(post, path = "/v1/flows", tag = "flows", request_body = FlowBeginRequest,
    responses((status = 201, body = Flow), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn flow_begin(
    State(app): State<App>,
    Given(request): Given<FlowBeginRequest>,
) -> Result<(StatusCode, Extension<Target>, Json<Flow>), ApiError> {
    let flow = app.flow_begin(request).await?;
    let target = Target(format!("{} {}", flow.integration, flow.flow_id));
    Ok((StatusCode::CREATED, Extension(target), Json(flow)))
}

/// A flow as it is now.
#[utoipa::path(get, path = "/v1/flows/{id}", tag = "flows",
    params(("id" = String, Path, description = "The flow")),
    responses((status = 200, body = Flow), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn flow_get(State(app): State<App>, Named(id): Named<String>) -> Answer<Flow> {
    Ok(Json(app.flow_get(&id)?))
}

/// Answers a step and shows the next one; wrong values come back as the same step with `errors`, a stale step is 409.
#[utoipa::path(post, path = "/v1/flows/{id}/steps/{step_id}", tag = "flows", request_body = FlowAnswerRequest,
    params(("id" = String, Path, description = "The flow"), ("step_id" = String, Path, description = "The step")),
    responses((status = 200, body = Flow), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn flow_answer(
    State(app): State<App>,
    NamedPair(id, step_id): NamedPair,
    Given(answer): Given<FlowAnswerRequest>,
) -> Answer<Flow> {
    Ok(Json(app.flow_answer(&id, &step_id, answer).await?))
}

/// Gives a flow up.
#[utoipa::path(delete, path = "/v1/flows/{id}", tag = "flows",
    params(("id" = String, Path, description = "The flow")),
    responses((status = 200, body = Done), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn flow_abort(State(app): State<App>, Named(id): Named<String>) -> Answer<Done> {
    app.flow_abort(&id).await?;
    Ok(Json(Done {}))
}
