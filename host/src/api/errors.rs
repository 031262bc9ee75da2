//! From a refusal to an answer: status, stable code, sentence, fields.

use std::any::Any;
use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::Json;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use gatehouse_plugin_api::ErrorCode;
use gatehouse_plugin_api::ids::BadName;

use super::types::Problem;
use crate::integration::OperationError;

/// An answer with a status from 400 on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    status: StatusCode,
    problem: Problem,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        let problem = Problem { code: code.to_owned(), message: message.into(), fields: BTreeMap::new() };
        Self { status, problem }
    }

    /// The request itself cannot be read.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// The caller may not.
    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Adds what is wrong with a field.
    pub(super) fn with_field(mut self, field: &str, problem: impl Into<String>) -> Self {
        self.problem.fields.insert(field.to_owned(), problem.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}

impl From<BadName> for ApiError {
    fn from(error: BadName) -> Self {
        OperationError::from(error).into()
    }
}

/// A plain text is always a name.
impl From<Infallible> for ApiError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<OperationError> for ApiError {
    fn from(error: OperationError) -> Self {
        let message = error.to_string();
        match error {
            OperationError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", message),
            OperationError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            OperationError::Invalid { fields, .. } => {
                let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message);
                error.problem.fields = fields;
                error
            }
            OperationError::Unavailable(_) => Self::new(StatusCode::CONFLICT, "unavailable", message),
            OperationError::Gateway { error: call, .. } => {
                let mut error = Self::new(gateway_status(call.code), call.code.as_str(), message);
                error.problem.fields = call.fields;
                error
            }
            OperationError::Store(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store", message),
        }
    }
}

/// The gateway stands behind the daemon as an upstream behind a proxy, except where it judges the request itself.
fn gateway_status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Deadline => StatusCode::GATEWAY_TIMEOUT,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Refused | ErrorCode::InvalidRequest | ErrorCode::BadConfiguration => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ErrorCode::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// A path that is no route.
pub(super) async fn unknown_route(uri: Uri) -> ApiError {
    let path = uri.path();
    let message = match path.strip_prefix("/v1/").and_then(|rest| rest.split_once('/')) {
        Some((collection @ ("states" | "entities"), address)) if address.contains('/') => format!(
            "{path} does not exist: an address is one part of the path, so its '/' is written %2F, for example \
             /v1/{collection}/virtual-house:lamp%2Fpower"
        ),
        _ => format!("{path} does not exist: GET /v1/openapi.json lists what does"),
    };
    ApiError::new(StatusCode::NOT_FOUND, "unknown_route", message)
}

/// A method that a route does not have.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} cannot be asked with {method}: GET /v1/openapi.json lists the methods", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "wrong_method", message)
}

/// A handler panicked: the request fails, the daemon goes on.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let words = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(panic = words, "a request's handler panicked");
    let message = "the daemon failed at this request and goes on: its log says more (gatehouse log --level error)";
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message).into_response()
}

#[cfg(test)]
mod tests {
    use gatehouse_plugin_api::CallError;
    use gatehouse_plugin_api::ids::IntegrationId;

    use super::*;

    #[test]
    fn every_refusal_has_a_status_and_a_code() {
        let gateway = |code| OperationError::Gateway {
            integration: IntegrationId::new("hass").expect("valid"),
            error: CallError::new(code, "no"),
        };
        for (error, status, code, message) in [
            (
                OperationError::NotFound { what: "the plugin \"x\"".into(), hint: ": did you mean \"y\"?".into() },
                404,
                "not_found",
                "the plugin \"x\" does not exist: did you mean \"y\"?",
            ),
            (OperationError::Conflict("the id is taken".into()), 409, "conflict", "the id is taken"),
            (
                OperationError::Invalid { message: "port is wrong".into(), fields: BTreeMap::new() },
                422,
                "invalid",
                "port is wrong",
            ),
            (OperationError::Unavailable("it is paused".into()), 409, "unavailable", "it is paused"),
            (gateway(ErrorCode::Deadline), 504, "deadline", "hass: no"),
            (gateway(ErrorCode::Refused), 422, "refused", "hass: no"),
            (gateway(ErrorCode::Panicked), 502, "panicked", "hass: no"),
            (gateway(ErrorCode::Unsupported), 501, "unsupported", "hass: no"),
            (OperationError::Store("the disk is full".into()), 500, "store", "the disk is full"),
        ] {
            let answer = ApiError::from(error);
            assert_eq!(
                (answer.status.as_u16(), answer.problem.code.as_str(), answer.problem.message.as_str()),
                (status, code, message)
            );
        }
    }
}
