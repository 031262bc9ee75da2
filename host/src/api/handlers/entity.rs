//! Entities: listed, looked at, named, and their images and streams.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::api::errors::ApiError;
use crate::api::extract::{Asked, Given, Named, flag, parsed};
use crate::api::types::{Entity, EntityPatch, EntityStream, Problem};
use crate::app::App;
use crate::integration::Image;

/// Which entities.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntityQuery {
    /// Of this integration only.
    #[serde(default, deserialize_with = "parsed")]
    #[param(value_type = Option<String>)]
    integration: Option<IntegrationId>,
    /// Hidden ones too: those that their upstream no longer has and no person touched.
    #[serde(default, deserialize_with = "flag")]
    #[param(required = false)]
    all: bool,
}

/// Entities with their states as declared.
#[utoipa::path(get, path = "/v1/entities", tag = "entities", params(EntityQuery),
    responses((status = 200, body = Vec<Entity>), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn entity_list(State(app): State<App>, Asked(query): Asked<EntityQuery>) -> Answer<Vec<Entity>> {
    Ok(Json(app.entity_list(query.integration.as_ref(), query.all)?))
}

/// One entity.
#[utoipa::path(get, path = "/v1/entities/{address}", tag = "entities",
    params(("address" = String, Path, description = "INTEGRATION:ENTITY, percent-encoded")),
    responses((status = 200, body = Entity), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn entity_get(State(app): State<App>, Named(address): Named<EntityAddress>) -> Answer<Entity> {
    Ok(Json(app.entity_get(&address)?))
}

/// Gives an entity a person's own name.
#[utoipa::path(patch, path = "/v1/entities/{address}", tag = "entities", request_body = EntityPatch,
    params(("address" = String, Path, description = "INTEGRATION:ENTITY, percent-encoded")),
    responses((status = 200, body = Entity), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn entity_name(
    State(app): State<App>,
    Named(address): Named<EntityAddress>,
    Given(patch): Given<EntityPatch>,
) -> Answer<Entity> {
    Ok(Json(app.entity_name(&address, &patch.label).await?))
}

/// An entity's image as it is now: a camera's, say.
#[utoipa::path(get, path = "/v1/entities/{address}/snapshot", tag = "entities",
    params(("address" = String, Path, description = "INTEGRATION:ENTITY, percent-encoded")),
    responses((status = 200, description = "The image, of at most 8 MiB", content_type = "image/*"),
        (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn entity_snapshot(
    State(app): State<App>,
    Named(address): Named<EntityAddress>,
) -> Result<Response, ApiError> {
    Ok(shown(app.entity_snapshot(&address).await?))
}

/// Where an entity's stream is.
#[utoipa::path(get, path = "/v1/entities/{address}/stream", tag = "entities",
    params(("address" = String, Path, description = "INTEGRATION:ENTITY, percent-encoded")),
    responses((status = 200, body = EntityStream), (status = "default", description = "Refused", body = Problem)))]
pub(crate) async fn entity_stream(
    State(app): State<App>,
    Named(address): Named<EntityAddress>,
) -> Answer<EntityStream> {
    Ok(Json(app.entity_stream(&address).await?))
}

/// An image from somewhere else, which a browser must take for nothing but an image: SVG can hold scripts.
fn shown(image: Image) -> Response {
    let headers = [
        (header::CONTENT_TYPE, image.media_type),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"),
        (header::CONTENT_DISPOSITION, "inline"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, image.bytes).into_response()
}
