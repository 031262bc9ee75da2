//! Setting one controllable state: found in the house, checked, forwarded, its new value taken as a reading.

use gatehouse_plugin_api::ids::{EntityAddress, StateAddress};
use gatehouse_plugin_api::message::{Control, ControlOutcome, EntityDeclaration, Reading, StateDeclaration};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::value::Value;

use super::registry::Registry;
use super::view::{Actual, IntegrationView};
use super::{OperationError, supervisor::Supervised};
use crate::entity::Attachment;
use crate::store::Desired;

/// Sets a state through its gateway; the new value when the gateway knows it at once.
pub(super) async fn set(
    registry: &Registry,
    address: &StateAddress,
    value: Value,
    payload: serde_json::Value,
) -> Result<Option<Value>, OperationError> {
    let integration = registry.find(&address.entity.integration)?;
    let (declaration, state) = find_state(registry, address)?;
    if !state.controllable {
        return Err(OperationError::invalid(format!("{address} is read-only: it is sensed and cannot be set")));
    }
    state.kind.check(&value).map_err(|problem| OperationError::invalid(format!("{address}: {problem}")))?;
    let running = integration.enter().await.ok_or_else(|| not_running(&integration.view()))?;
    let request = Control { entity: declaration.name.clone(), state: state.name.clone(), value, payload };
    let failed =
        |error| OperationError::of_call(&address.entity.integration, error, &format!("{address} was being set"));
    let outcome: ControlOutcome = running.gateway.call(&ops::CONTROL, &request).await.map_err(failed)?;
    integration.succeeded(registry.base().clock.now_ms());
    if let Some(value) = &outcome.value {
        take_as_reading(registry, &integration, &request, value.clone()).await;
    }
    Ok(outcome.value)
}

async fn take_as_reading(registry: &Registry, integration: &Supervised, request: &Control, value: Value) {
    let id = integration.view().id.clone();
    let reading = Reading { entity: request.entity.clone(), state: request.state.clone(), value, at_ms: None };
    let outcome = registry.base().house.emit(&id, vec![reading]).await;
    let meter = registry.base().meters.of(&id);
    meter.readings.add(u64::from(outcome.refused == 0));
    meter.readings_refused.add(u64::from(outcome.refused));
    if outcome.refused > 0 {
        tracing::warn!(integration = %id, reason = outcome.first_reason, "the new value of a control was refused");
    }
}

fn find_state(
    registry: &Registry,
    address: &StateAddress,
) -> Result<(EntityDeclaration, StateDeclaration), OperationError> {
    let house = &registry.base().house;
    let Some(entity) = house.entity(&address.entity) else {
        let entities = house.entities();
        let names: Vec<String> = entities
            .iter()
            .filter(|entity| entity.address.integration == address.entity.integration)
            .map(|entity| entity.address.to_string())
            .collect();
        return Err(no_such("entity", &address.entity, &names));
    };
    if entity.attachment != Attachment::Attached {
        return Err(not_attached(registry, &address.entity, "set"));
    }
    let wanted = address.state.as_str().to_lowercase();
    let declaration = entity.declaration.clone();
    match declaration.states.iter().find(|state| state.name.as_str().to_lowercase() == wanted).cloned() {
        Some(state) => Ok((declaration, state)),
        None => {
            let names = declaration.states.iter().map(|state| state.name.as_str());
            let mut error = OperationError::not_found("state", address.state.as_str(), names.clone());
            if let OperationError::NotFound { what, hint } = &mut error {
                *what = format!("{what} of {}", address.entity);
                if hint.is_empty() {
                    *hint = format!(": it has {}", names.collect::<Vec<_>>().join(", "));
                }
            }
            Err(error)
        }
    }
}

fn no_such(kind: &str, address: &EntityAddress, names: &[String]) -> OperationError {
    OperationError::not_found(kind, &address.to_string(), names.iter().map(String::as_str))
}

/// Why nothing can be asked of an entity that is not attached; `what` is what it cannot be: `set`.
pub(super) fn not_attached(registry: &Registry, address: &EntityAddress, what: &str) -> OperationError {
    let off = registry.find(&address.integration).map(|integration| integration.view());
    match off {
        // Its entities are put aside with it: that it is off says more.
        Ok(view) if view.desired == Desired::Off => not_running(&view),
        _ => OperationError::Unavailable(format!(
            "{address} cannot be {what}: its integration does not list it any more"
        )),
    }
}

/// Why nothing can be asked of it now.
pub(super) fn not_running(view: &IntegrationView) -> OperationError {
    let id = &view.id;
    OperationError::Unavailable(match view.actual {
        Actual::Off => format!("{id} is off: activate it first"),
        Actual::Paused => format!("{id} is paused: resume it first"),
        Actual::Starting => format!("{id} is being started: try again in a moment"),
        Actual::Stopping => format!("{id} is being stopped"),
        actual => format!("{id} does not run ({}): {}", actual.word(), view.reason),
    })
}
