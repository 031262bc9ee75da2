//! What a flow is about: the integration it changes, or the type and id of the one it makes.

use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};

use super::quoted;
use crate::integration::OperationError;
use crate::integration::flow_view::{FlowBegin, FlowKind};
use crate::integration::ground::PluginNow;
use crate::integration::registry::Registry;
use crate::integration::supervisor::Supervised;
use crate::plugin::Staged;
use crate::store::Desired;

/// What a flow is about.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) integration_type: IntegrationType,
    pub(super) id: IntegrationId,
    /// Its plugin; a deactivation goes without one.
    pub(super) plugin: Option<Staged>,
    /// The integration, when it exists.
    pub(super) existing: Option<Supervised>,
}

/// Finds what is meant; types and integrations share one namespace.
pub(super) fn find(registry: &Registry, begin: &FlowBegin) -> Result<Target, OperationError> {
    let id = match (&begin.integration, &begin.integration_type) {
        (Some(id), _) => id.clone(),
        (None, Some(integration_type)) => integration_type.clone().into(),
        (None, None) => return Err(OperationError::invalid("name the integration, or the type of a new one")),
    };
    match begin.kind {
        FlowKind::Deactivate => {
            let existing = registry.find(&id)?;
            let integration_type = existing.view().integration_type.clone();
            let plugin = match registry.base().plugins.plugin_now(&integration_type) {
                PluginNow::Here(plugin) => Some(plugin),
                PluginNow::Missing(_) | PluginNow::Refused(_) => existing.running().map(|running| running.plugin),
            };
            Ok(Target { integration_type, id, plugin, existing: Some(existing) })
        }
        FlowKind::Activate => to_activate(registry, begin, id),
    }
}

fn to_activate(registry: &Registry, begin: &FlowBegin, id: IntegrationId) -> Result<Target, OperationError> {
    let existing = registry.get(&id);
    let of = existing.as_ref().map(|existing| existing.view().integration_type.clone());
    let integration_type = match (&of, &begin.integration_type) {
        (Some(of), Some(wanted)) if of != wanted => {
            return Err(taken(&id, &format!("an integration of the type {of} has it")));
        }
        // The type and an id ask for a new one; an id alone, or a type alone, sets up what is there.
        (Some(of), Some(_))
            if id.as_str() != of.as_str() && in_use(existing.as_ref()) && begin.integration.is_some() =>
        {
            return Err(taken(&id, "an integration in use has it, to set that one up anew name it alone"));
        }
        (Some(of), _) => of.clone(),
        (None, Some(wanted)) => wanted.clone(),
        (None, None) => IntegrationType::new(id.as_str()).map_err(|bad| OperationError::invalid(bad.to_string()))?,
    };
    let plugins = &registry.base().plugins;
    let types = plugins.types();
    if existing.is_none() && id.as_str() != integration_type.as_str() && types.iter().any(|t| t.as_str() == id.as_str())
    {
        return Err(taken(&id, "a plugin in the plugins folder provides a type of this name"));
    }
    let plugin = match plugins.plugin_now(&integration_type) {
        PluginNow::Here(plugin) => plugin,
        PluginNow::Refused(reason) => return Err(OperationError::Unavailable(reason.to_string())),
        PluginNow::Missing(reason) if existing.is_some() => {
            return Err(OperationError::Unavailable(reason.to_string()));
        }
        PluginNow::Missing(_) => {
            let names = types.iter().map(IntegrationType::as_str);
            return Err(OperationError::not_found("integration type", integration_type.as_str(), names));
        }
    };
    Ok(Target { integration_type, id, plugin: Some(plugin), existing })
}

fn in_use(existing: Option<&Supervised>) -> bool {
    existing.is_some_and(|existing| existing.view().desired != Desired::Off)
}

/// The sentence for an id that is in use.
pub(super) fn taken(id: &IntegrationId, by: &str) -> OperationError {
    OperationError::Conflict(format!("the id {} is taken: {by}; choose another one", quoted(id)))
}
