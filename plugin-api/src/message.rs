//! The payloads of the remaining operations. Types grow by optional fields only.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attribute::AttributeValues;
use crate::ids::{EntityName, IntegrationId, StateName};
use crate::value::{StateKind, Value};

/// What a gateway is told when it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The integration that this gateway serves.
    pub integration_id: IntegrationId,
    /// The host's version of the vocabulary.
    pub host_api_version: String,
    /// The numbers of the operations that the host performs.
    pub host_ops: Vec<u32>,
    /// A folder of the integration's own, absolute and there; the only one to write to.
    pub data_dir: String,
    /// Which log events cross, in `tracing_subscriber::EnvFilter` syntax (`info`, `my_plugin=debug`).
    pub log_filter: String,
}

/// The integration's attributes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Attributes {
    /// The values by key.
    pub attributes: AttributeValues,
}

/// How a live probe of the upstream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Connection {
    /// It answers.
    Ok,
    /// It cannot be reached.
    CannotConnect,
    /// It refused the credentials.
    BadCredentials,
    /// It answers, in a version that the plugin does not speak.
    WrongVersion,
    /// Anything else.
    #[serde(other)]
    Other,
}

/// The answer of a live probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionResult {
    /// How it ended.
    pub outcome: Connection,
    /// One sentence, empty when it is well.
    #[serde(default)]
    pub message: String,
}

/// Set one state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// The entity.
    pub entity: EntityName,
    /// The state.
    pub state: StateName,
    /// The value wanted; the host has checked that the state takes it.
    pub value: Value,
    /// More for the plugin alone (a transition time, say); a JSON object or null.
    #[serde(default)]
    pub payload: serde_json::Value,
}

/// What came of a control.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ControlOutcome {
    /// The state's new value when it is known at once; the host takes it as a reading.
    #[serde(default)]
    pub value: Option<Value>,
}

/// What a gateway did with changed settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsOutcome {
    /// They are in force.
    Applied,
    /// Stop me and start me again.
    #[serde(other)]
    Restart,
}

/// What helps to find a fault; the host redacts secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diagnostics {
    /// A JSON object.
    pub data: serde_json::Value,
}

/// Names an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityRef {
    /// The entity.
    pub entity: EntityName,
}

/// A camera image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its media type (`image/jpeg`).
    pub media_type: String,
    /// Its bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// Where a camera's stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stream {
    /// Its address.
    pub url: String,
}

/// Bytes that only the plugin understands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Blob {
    /// The bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// Which log events may cross.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFilter {
    /// In `tracing_subscriber::EnvFilter` syntax.
    pub filter: String,
}

/// One value of one state at one time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The entity's name.
    pub entity: EntityName,
    /// The state's name.
    pub state: StateName,
    /// The value.
    pub value: Value,
    /// When, in milliseconds since 1970 UTC; the time of arrival when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
}

/// A batch of readings, in order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Emit {
    /// The readings.
    pub readings: Vec<Reading>,
}

/// What the host did with a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EmitOutcome {
    /// How many were refused (state not declared, value out of its kind, absurd time).
    #[serde(default)]
    pub refused: u32,
    /// Why the first of them was.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub first_reason: String,
}

/// One state of an entity, as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateDeclaration {
    /// Its name within the entity.
    pub name: StateName,
    /// Its name for a person; the plain name when empty.
    #[serde(default)]
    pub label: String,
    /// What values it has.
    pub kind: StateKind,
    /// Whether readings of it come.
    #[serde(default)]
    pub sensed: bool,
    /// Whether it can be set.
    #[serde(default)]
    pub controllable: bool,
}

/// One entity with all its states, as declared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityDeclaration {
    /// The upstream's own name of it.
    pub name: EntityName,
    /// Its name for a person; the plain name when empty.
    #[serde(default)]
    pub label: String,
    /// What it is: `light`, `thermostat`, `door`, `computer`, …; free, lower-case.
    #[serde(default)]
    pub entity_type: String,
    /// Its states.
    pub states: Vec<StateDeclaration>,
    /// The name it had before, when the upstream renamed it: history and what a person made follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_name: Option<EntityName>,
}

/// Adds or updates these entities and no others.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Declare {
    /// The entities.
    pub entities: Vec<EntityDeclaration>,
}

/// Detaches these entities.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Remove {
    /// Their names.
    pub entities: Vec<EntityName>,
}

/// The request of [`crate::ops::SYNCHRONIZE`], and what [`crate::ops::SYNC_BEGIN`] and [`crate::ops::SYNC_END`] say
/// back: which call a snapshot belongs to.
///
/// A host numbers its calls of `synchronize` and never uses a number of one gateway twice. The SDK puts the number of
/// the call that it is answering into the begin, into every chunk ([`SyncChunk`]) and into the end, so a host can
/// refuse what belongs to a call that it no longer waits for. An absent number is one that the other side does not
/// know of: a host that numbers nothing gets none back, and a plugin that knows no numbers sends none; such a snapshot
/// is told apart by its order alone. `nil`, what version 1.0 wrote in this place, reads as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Option<SyncCallFields>")]
pub struct SyncCall {
    /// The number of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
}

/// [`SyncCall`] when it is there.
#[derive(Deserialize)]
struct SyncCallFields {
    #[serde(default)]
    serial: Option<u64>,
}

impl From<Option<SyncCallFields>> for SyncCall {
    fn from(fields: Option<SyncCallFields>) -> Self {
        Self { serial: fields.and_then(|fields| fields.serial) }
    }
}

/// A part of a complete snapshot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SyncChunk {
    /// The entities.
    pub entities: Vec<EntityDeclaration>,
    /// The number of the call of `synchronize` that it belongs to; see [`SyncCall`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
}

/// What a complete snapshot changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SyncOutcome {
    /// New entities.
    pub created: u32,
    /// Known entities that changed.
    pub updated: u32,
    /// Detached entities that came back.
    pub reconnected: u32,
    /// Entities that the upstream no longer has.
    pub detached: u32,
}

/// A log event's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Payloads.
    Trace,
    /// Decisions.
    Debug,
    /// Transitions.
    Info,
    /// Degraded but handled.
    Warn,
    /// A person must act.
    Error,
}

/// One log event of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Its level.
    pub level: LogLevel,
    /// The module path.
    pub target: String,
    /// The constant message.
    pub message: String,
    /// The event's and its spans' fields, in order.
    #[serde(default)]
    pub fields: Vec<(String, String)>,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// A batch of log events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Log {
    /// The events.
    pub records: Vec<LogRecord>,
    /// How many were dropped since the last batch because too many came.
    #[serde(default)]
    pub dropped: u64,
}

/// How well an integration is, by its own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// All is well.
    Healthy,
    /// Something is not as it should be.
    Warning,
    /// It does not work.
    Error,
    /// It is switched off.
    Disabled,
    /// It has not said.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A report of health.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// How well.
    pub status: HealthStatus,
    /// One sentence; may be empty.
    #[serde(default)]
    pub message: String,
}

/// How far long work has come.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub message: String,
    /// 0 to 100 when known.
    #[serde(default)]
    pub percent: Option<f64>,
}

/// A key of the key-value store or of the sealed store, or a prefix of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The key.
    pub key: String,
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBlob {
    /// The key.
    pub key: String,
    /// The value.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// A value that may be absent.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MaybeBlob {
    /// The value.
    #[serde(with = "serde_bytes")]
    pub bytes: Option<Vec<u8>>,
}

// Both carry what a plugin keeps sealed: how much it is may be shown, what it is may not.
impl fmt::Debug for KeyBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyBlob({:?}, {} bytes)", self.key, self.bytes.len())
    }
}

impl fmt::Debug for MaybeBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaybeBlob({:?} bytes)", self.bytes.as_ref().map(Vec::len))
    }
}

/// Keys, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Keys {
    /// The keys.
    pub keys: Vec<String>,
}
