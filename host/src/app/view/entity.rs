//! Entities, their states and the states' history.

use gatehouse_plugin_api::ids::{EntityAddress, StateAddress};
use gatehouse_plugin_api::value::{StateKind, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::entity::{Attachment, HistoryRow};
use crate::schema;

/// An entity with its states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Entity {
    /// Its address, `INTEGRATION:ENTITY`.
    #[schema(value_type = String)]
    pub address: EntityAddress,
    /// Its name for a person: their own, else the plugin's, else the plain name.
    pub label: String,
    /// What it is: `light`, `thermostat`, `door`, …; may be empty.
    pub entity_type: String,
    /// Whether its upstream still has it.
    pub attachment: Attachment,
    /// When it was first declared.
    pub created_at_ms: i64,
    /// Whether its integration runs.
    pub availability: Availability,
    /// Its states, as declared.
    pub states: Vec<EntityState>,
}

/// One state of an entity, as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntityState {
    /// Its address, `INTEGRATION:ENTITY/STATE`.
    #[schema(value_type = String)]
    pub address: StateAddress,
    /// Its name for a person.
    pub label: String,
    /// What values it has.
    #[schema(value_type = schema::StateKind)]
    pub kind: StateKind,
    /// Whether readings of it come.
    pub sensed: bool,
    /// Whether it can be set.
    pub controllable: bool,
}

/// Where an entity's stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntityStream {
    /// The entity.
    #[schema(value_type = String)]
    pub address: EntityAddress,
    /// The stream's own address, for a program that shows it; it may hold a password.
    pub url: String,
}

/// Changes what a person made of an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EntityPatch {
    /// The person's own name for it; empty takes the plugin's again.
    pub label: String,
}

/// Whether what is shown is being kept up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Its integration runs.
    Online,
    /// Its integration does not run, or no longer has it.
    Offline,
}

/// A state with its last value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct State {
    /// Its address, `INTEGRATION:ENTITY/STATE`.
    #[schema(value_type = String)]
    pub address: StateAddress,
    /// The entity's name for a person.
    pub entity_label: String,
    /// The state's name for a person.
    pub label: String,
    /// What values it has.
    #[schema(value_type = schema::StateKind)]
    pub kind: StateKind,
    /// The unit as printed; empty for anything but a number with a unit.
    pub unit: String,
    /// The last value; `null` before the first reading.
    #[schema(value_type = Option<schema::StateValue>)]
    pub value: Option<Value>,
    /// The value as a person reads it, without its unit; empty when there is none.
    pub text: String,
    /// When the value became what it is.
    pub changed_at_ms: Option<i64>,
    /// When it was last reported, equal or not.
    pub last_seen_ms: Option<i64>,
    /// Whether its integration runs.
    pub availability: Availability,
    /// Whether readings of it come.
    pub sensed: bool,
    /// Whether it can be set.
    pub controllable: bool,
}

/// Sets a state, by `value` or by `text`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::StateValue>)]
    pub value: Option<Value>,
    /// The value as a person types it, read by the state's kind: `on`, `21.5`, `heat`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// More for the plugin alone (a transition time, say): an object.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    #[schema(value_type = Option<Object>)]
    pub payload: serde_json::Value,
}

/// What came of setting a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ControlAnswer {
    /// The state's new value, when the plugin knew it at once; else the event stream brings it.
    #[schema(value_type = Option<schema::StateValue>)]
    pub value: Option<Value>,
    /// The state as it is now.
    pub state: State,
}

/// The history of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// The state's address.
    #[schema(value_type = String)]
    pub address: StateAddress,
    /// What values it has.
    #[schema(value_type = schema::StateKind)]
    pub kind: StateKind,
    /// The unit as printed; may be empty.
    pub unit: String,
    /// From when on.
    pub since_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// Until when the last value is known to hold: `until_ms`, or earlier when the integration ceased to run.
    pub known_until_ms: i64,
    /// Readings, oldest first; when there are more than the limit, or than 8 MiB of text, the newest ones.
    pub rows: Vec<HistoryRow>,
    /// Whether older readings of the span were left out: ask again with `until_ms` at the first row's time, which
    /// gives the rows of that very time once more.
    pub older: bool,
}
