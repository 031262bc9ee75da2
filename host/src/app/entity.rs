//! Entities and states: listed, looked at, named, set, and their history.

use std::collections::HashMap;
use std::sync::Arc;

use gatehouse_plugin_api::attribute::FieldErrors;
use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId, NAME_MAX_BYTES, StateAddress};
use gatehouse_plugin_api::message::StateDeclaration;
use gatehouse_plugin_api::value::{StateKind, Value};

use super::view::{self, Availability, ControlAnswer, ControlRequest, EntityState, EntityStream, History, State};
use super::{App, is_running};
use crate::entity::{Attachment, Entity, HistoryPage, LiveState, name_key};
use crate::integration::{Image, OperationError};
use crate::nearest::did_you_mean;

/// The most rows of history that are given at once.
const HISTORY_MAX_ROWS: usize = 100_000;
/// The rows given when nothing is said.
const HISTORY_ROWS: usize = 1_000;
/// The time back that is given when nothing is said.
const HISTORY_BACK_MS: i64 = 24 * 3_600_000;

/// Which part of a state's history is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistorySpan {
    /// From when on; 24 hours before the end when absent.
    pub since_ms: Option<i64>,
    /// Until when; now when absent.
    pub until_ms: Option<i64>,
    /// At most this many rows, the newest ones; 1,000 when absent.
    pub limit: Option<usize>,
}

impl App {
    /// Entities of one integration or of all, by address; hidden ones with `all`.
    ///
    /// # Errors
    /// `NotFound` when there is no such integration.
    pub fn entity_list(
        &self,
        integration: Option<&IntegrationId>,
        all: bool,
    ) -> Result<Vec<view::Entity>, OperationError> {
        let running = self.running();
        Ok(self.entities_of(integration, all)?.iter().map(|entity| entity_view(entity, &running)).collect())
    }

    /// One entity.
    ///
    /// # Errors
    /// `NotFound`, with the nearest address.
    pub fn entity_get(&self, address: &EntityAddress) -> Result<view::Entity, OperationError> {
        Ok(entity_view(&*self.entity_found(address)?, &self.running()))
    }

    /// Gives an entity a person's own name; an empty one takes the plugin's again.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` when the name is too long or holds a control character.
    pub async fn entity_name(&self, address: &EntityAddress, label: &str) -> Result<view::Entity, OperationError> {
        let label = label.trim();
        let problem = if label.len() > NAME_MAX_BYTES {
            Some(format!("is longer than {NAME_MAX_BYTES} bytes"))
        } else if label.chars().any(char::is_control) {
            Some("holds a control character".to_owned())
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(invalid("label", problem));
        }
        let label = Some(label.to_owned()).filter(|label| !label.is_empty());
        let address = self.entity_found(address)?.address.clone();
        self.ground().house.label_set(&address, label).await?;
        self.entity_get(&address)
    }

    /// An entity's image as it is now.
    ///
    /// # Errors
    /// `NotFound`; `Unavailable` when its integration does not run; `Gateway`, `unsupported` when it has none.
    pub async fn entity_snapshot(&self, address: &EntityAddress) -> Result<Image, OperationError> {
        let address = self.entity_found(address)?.address.clone();
        self.integrations().snapshot(&address).await
    }

    /// Where an entity's stream is.
    ///
    /// # Errors
    /// As [`App::entity_snapshot`].
    pub async fn entity_stream(&self, address: &EntityAddress) -> Result<EntityStream, OperationError> {
        let address = self.entity_found(address)?.address.clone();
        let url = self.integrations().stream(&address).await?.to_string();
        Ok(EntityStream { address, url })
    }

    /// States of one integration or of all, by address; those of hidden entities left out.
    ///
    /// # Errors
    /// `NotFound` when there is no such integration.
    pub fn state_list(&self, integration: Option<&IntegrationId>) -> Result<Vec<State>, OperationError> {
        let running = self.running();
        let mut live: HashMap<_, _> =
            self.ground().house.live_states().into_iter().map(|state| (state.address.clone(), state)).collect();
        let mut states = Vec::new();
        for entity in self.entities_of(integration, false)? {
            for declared in &entity.declaration.states {
                let address = StateAddress { entity: entity.address.clone(), state: declared.name.clone() };
                // The listing leaves out detached entities' values, which are still to be seen.
                let live = live.remove(&address).or_else(|| self.ground().house.live_state(&address));
                states.push(state_view(&entity, declared, address, live.as_deref(), availability(&entity, &running)));
            }
        }
        Ok(states)
    }

    /// One state with its last value.
    ///
    /// # Errors
    /// `NotFound`, with the nearest address.
    pub fn state_get(&self, address: &StateAddress) -> Result<State, OperationError> {
        let (entity, declared) = self.state_found(address)?;
        let runs = self.integrations().actual(&entity.address.integration).is_some_and(is_running);
        let online = runs && entity.attachment == Attachment::Attached;
        let availability = if online { Availability::Online } else { Availability::Offline };
        let address = StateAddress { entity: entity.address.clone(), state: declared.name.clone() };
        let live = self.ground().house.live_state(&address);
        Ok(state_view(&entity, &declared, address, live.as_deref(), availability))
    }

    /// Sets a state.
    ///
    /// # Errors
    /// `NotFound`, `Invalid` (read-only, wrong value), `Unavailable`, `Gateway`.
    pub async fn state_control(
        &self,
        address: &StateAddress,
        request: ControlRequest,
    ) -> Result<ControlAnswer, OperationError> {
        let (entity, declared) = self.state_found(address)?;
        let address = StateAddress { entity: entity.address.clone(), state: declared.name.clone() };
        if !declared.controllable {
            let message = format!("{address} cannot be set: it is only sensed");
            return Err(OperationError::Invalid { message, fields: FieldErrors::new() });
        }
        let value = wanted_value(&address, &declared.kind, &request)?;
        if !request.payload.is_null() && !request.payload.is_object() {
            return Err(invalid("payload", "must be a JSON object".to_owned()));
        }
        let value = self.integrations().control(&address, value, request.payload).await?;
        Ok(ControlAnswer { value, state: self.state_get(&address)? })
    }

    /// The history of a state.
    ///
    /// # Errors
    /// `NotFound`, with the nearest address; `Invalid` when the span ends before it begins; `Store`.
    pub async fn state_history(&self, address: &StateAddress, span: HistorySpan) -> Result<History, OperationError> {
        let (entity, declared) = self.state_found(address)?;
        let address = StateAddress { entity: entity.address.clone(), state: declared.name.clone() };
        let until_ms = span.until_ms.unwrap_or_else(|| self.ground().clock.now_ms());
        let since_ms = span.since_ms.unwrap_or_else(|| until_ms.saturating_sub(HISTORY_BACK_MS));
        if since_ms > until_ms {
            return Err(invalid("since_ms", format!("{since_ms} is after until_ms {until_ms}")));
        }
        let limit = span.limit.unwrap_or(HISTORY_ROWS);
        if limit == 0 || limit > HISTORY_MAX_ROWS {
            return Err(invalid("limit", format!("{limit} is not between 1 and {HISTORY_MAX_ROWS}")));
        }
        let HistoryPage { rows, older } = self.ground().house.history(&address, since_ms, until_ms, limit).await?;
        let unit = unit_of(&declared.kind).to_owned();
        let known_until_ms = match self.integrations().view(&address.entity.integration) {
            Ok(view) if !is_running(view.actual) => until_ms.min(view.since_ms),
            _ => until_ms,
        };
        Ok(History { address, kind: declared.kind, unit, since_ms, until_ms, known_until_ms, rows, older })
    }

    fn entities_of(&self, integration: Option<&IntegrationId>, all: bool) -> Result<Vec<Arc<Entity>>, OperationError> {
        if let Some(id) = integration {
            self.integrations().view(id)?;
        }
        let mut entities = self.ground().house.entities();
        entities.retain(|entity| {
            integration.is_none_or(|id| entity.address.integration == *id)
                && (all || entity.attachment != Attachment::Hidden)
        });
        Ok(entities)
    }

    fn entity_found(&self, address: &EntityAddress) -> Result<Arc<Entity>, OperationError> {
        self.ground().house.entity(address).ok_or_else(|| {
            let known: Vec<_> = self.ground().house.entities().iter().map(|e| e.address.to_string()).collect();
            let hint = did_you_mean(&address.to_string(), known.iter().map(String::as_str));
            OperationError::NotFound { what: format!("the entity {address}"), hint }
        })
    }

    fn state_found(&self, address: &StateAddress) -> Result<(Arc<Entity>, StateDeclaration), OperationError> {
        let entity = self.ground().house.entity(&address.entity).ok_or_else(|| {
            let entities = self.ground().house.entities();
            let states = entities.iter().flat_map(|entity| {
                let names = entity.declaration.states.iter().map(|state| &state.name);
                names.map(|name| format!("{}/{name}", entity.address))
            });
            let known: Vec<String> = states.collect();
            let hint = did_you_mean(&address.to_string(), known.iter().map(String::as_str));
            OperationError::NotFound { what: format!("the state {address}"), hint }
        })?;
        let wanted = name_key(address.state.as_str());
        let declared = entity.declaration.states.iter().find(|state| name_key(state.name.as_str()) == wanted);
        match declared.cloned() {
            Some(declared) => Ok((entity, declared)),
            None => {
                let names = entity.declaration.states.iter().map(|state| state.name.as_str());
                let hint = format!(": {} has {}", entity.address, names.collect::<Vec<_>>().join(", "));
                Err(OperationError::NotFound { what: format!("the state {address}"), hint })
            }
        }
    }

    /// Which integrations run.
    fn running(&self) -> HashMap<IntegrationId, bool> {
        self.integrations().list().iter().map(|view| (view.id.clone(), is_running(view.actual))).collect()
    }
}

fn availability(entity: &Entity, running: &HashMap<IntegrationId, bool>) -> Availability {
    let runs = running.get(&entity.address.integration).copied().unwrap_or(false);
    if runs && entity.attachment == Attachment::Attached { Availability::Online } else { Availability::Offline }
}

fn entity_view(entity: &Entity, running: &HashMap<IntegrationId, bool>) -> view::Entity {
    let declaration = &entity.declaration;
    let states = declaration.states.iter().map(|state| EntityState {
        address: StateAddress { entity: entity.address.clone(), state: state.name.clone() },
        label: or_name(&state.label, state.name.as_str()),
        kind: state.kind.clone(),
        sensed: state.sensed,
        controllable: state.controllable,
    });
    view::Entity {
        address: entity.address.clone(),
        label: entity_label(entity),
        entity_type: declaration.entity_type.clone(),
        attachment: entity.attachment,
        created_at_ms: entity.created_at_ms,
        availability: availability(entity, running),
        states: states.collect(),
    }
}

fn state_view(
    entity: &Entity,
    declared: &StateDeclaration,
    address: StateAddress,
    live: Option<&LiveState>,
    availability: Availability,
) -> State {
    State {
        entity_label: entity_label(entity),
        label: or_name(&declared.label, declared.name.as_str()),
        unit: unit_of(&declared.kind).to_owned(),
        kind: declared.kind.clone(),
        text: live.map(|state| state.value.to_string()).unwrap_or_default(),
        value: live.map(|state| state.value.clone()),
        changed_at_ms: live.map(|state| state.changed_at_ms),
        last_seen_ms: live.map(|state| state.last_seen_ms),
        availability,
        sensed: declared.sensed,
        controllable: declared.controllable,
        address,
    }
}

fn entity_label(entity: &Entity) -> String {
    match &entity.person_label {
        Some(label) => label.clone(),
        None => or_name(&entity.declaration.label, entity.declaration.name.as_str()),
    }
}

fn or_name(label: &str, name: &str) -> String {
    if label.is_empty() { name } else { label }.to_owned()
}

fn unit_of(kind: &StateKind) -> &str {
    match kind {
        StateKind::Number { unit, .. } => unit,
        _ => "",
    }
}

fn wanted_value(address: &StateAddress, kind: &StateKind, request: &ControlRequest) -> Result<Value, OperationError> {
    let (field, read) = match (&request.value, &request.text) {
        (Some(value), None) => ("value", kind.check(value).map(|()| value.clone())),
        (None, Some(text)) => ("text", kind.parse(text)),
        (None, None) => return Err(invalid("value", "is missing: give value or text".to_owned())),
        (Some(_), Some(_)) => return Err(invalid("text", "cannot stand beside value: give one of them".to_owned())),
    };
    read.map_err(|problem| OperationError::Invalid {
        message: format!("{address}: {problem}"),
        fields: FieldErrors::from([(field.to_owned(), problem)]),
    })
}

fn invalid(field: &str, problem: String) -> OperationError {
    OperationError::Invalid {
        message: format!("{field} {problem}"),
        fields: FieldErrors::from([(field.to_owned(), problem)]),
    }
}
