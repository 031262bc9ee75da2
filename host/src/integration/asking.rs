//! One question to the gateway of an integration that runs, and what became of it as a person is told.

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::ops::Op;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::OperationError;
use super::control::not_running;
use super::registry::Registry;

/// Asks; `doing` says what was going on when the gateway ended meanwhile: `its image was taken`.
///
/// # Errors
/// `NotFound`, `Unavailable` when it does not run or ended, `Gateway`.
pub(super) async fn ask<R: DeserializeOwned + Send>(
    registry: &Registry,
    id: &IntegrationId,
    op: &Op,
    request: &(impl Serialize + Sync),
    doing: &str,
) -> Result<R, OperationError> {
    let integration = registry.find(id)?;
    let running = integration.enter().await.ok_or_else(|| not_running(&integration.view()))?;
    running.gateway.call(op, request).await.map_err(|error| OperationError::of_call(id, error, doing))
}
