//! Entities: listed, looked at, named.

use axum::Json;
use axum::extract::State;
use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Answer;
use crate::api::extract::{Asked, Given, Named, flag, parsed};
use crate::api::types::{Entity, EntityPatch, Problem};
use crate::app::App;

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
