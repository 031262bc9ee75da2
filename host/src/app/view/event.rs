//! What the event stream carries, one type for each kind of event.

use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType, StateAddress};
use gatehouse_plugin_api::value::Value;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Integration, Plugin};
use crate::reason::Reason;
use crate::schema;

/// Event `state`: one reading. In batch mode the event `states` carries an array of these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReadingEvent {
    /// The state's address.
    #[schema(value_type = String)]
    pub address: StateAddress,
    /// The value.
    #[schema(value_type = schema::StateValue)]
    pub value: Value,
    /// When the value became what it is.
    pub changed_at_ms: i64,
    /// When it was last reported: equal to `changed_at_ms` when this reading changed it.
    pub last_seen_ms: i64,
    /// The reading's number in this run of the daemon; 0 when it was read from the database.
    pub sequence: u64,
}

/// Event `committed`, whose id is the resume token: every reading up to here is in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommittedEvent {
    /// The highest committed number.
    pub sequence: u64,
}

/// Event `lagged`, the last one of a stream whose reader was too slow: open it again with this token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaggedEvent {
    /// The token of the last `committed` event; `null` before the first.
    pub resume: Option<String>,
}

/// Event `missed` of the log's stream: its reader was too slow for lines that made room meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissedEvent {
    /// How many, those that were not asked for included.
    pub lines: u64,
}

/// Event `lifecycle`: an integration changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LifecycleEvent {
    /// Its id.
    #[schema(value_type = String)]
    pub id: IntegrationId,
    /// When.
    pub at_ms: i64,
    /// The integration after the change; `null` once it is deleted.
    pub integration: Option<Integration>,
}

/// Event `plugin`: a file has a new verdict, or a type has another file or none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PluginEvent {
    /// What changed.
    pub change: PluginChange,
    /// The file, for a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Plugin>,
    /// The type that is available or no longer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub integration_type: Option<IntegrationType>,
    /// The version that is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The generation that is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Why it is no longer available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What changed in the set of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PluginChange {
    /// A file has a (new) verdict.
    Verdict,
    /// A type has a (new) generation in use.
    Available,
    /// A type has no usable file any more.
    Unavailable,
    /// A generation may not run any longer.
    Revoked,
}
