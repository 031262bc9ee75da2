//! Who is trusted: listed, added, revoked.

use axum::extract::State;
use axum::{Extension, Json};

use crate::api::audit::Target;
use crate::api::errors::ApiError;
use crate::api::extract::Given;
use crate::api::types::{Problem, Trust, TrustRequest};
use crate::app::App;

/// What every change of the lists answers.
type Changed = Result<(Extension<Target>, Json<Trust>), ApiError>;

/// Which plugins are let in: the policy, the keys and files that are trusted, those that are revoked.
#[utoipa::path(get, path = "/v1/trust", tag = "trust",
    responses((status = 200, body = Trust), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn trust_list(State(app): State<App>) -> Json<Trust> {
    Json(app.trust_list())
}

/// Trusts a key, or lists a file by its SHA-256; what was revoked is so no longer.
#[utoipa::path(post, path = "/v1/trust", tag = "trust", request_body = TrustRequest,
    responses((status = 200, body = Trust), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn trust_add(State(app): State<App>, Given(request): Given<TrustRequest>) -> Changed {
    let target = Target(request.item.clone());
    Ok((Extension(target), Json(app.trust_add(request).await?)))
}

/// Revokes a key or a file: it wins over all that is trusted, and what runs of it is stopped.
#[utoipa::path(post, path = "/v1/trust/revocations", tag = "trust", request_body = TrustRequest,
    responses((status = 200, body = Trust), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn trust_revoke(State(app): State<App>, Given(request): Given<TrustRequest>) -> Changed {
    let target = Target(request.item.clone());
    Ok((Extension(target), Json(app.trust_revoke(request).await?)))
}
