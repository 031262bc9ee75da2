//! Crashes, and the chain that leads to how an integration is.

use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use gatehouse_plugin_api::message::Health;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::{Exchange, Hosting, InFlight, Place, Refusal};
use crate::integration::{Actual, CrashRecord, FailedOnce};
use crate::plugin::Decision;
use crate::reason::Reason;
use crate::schema;
use crate::store::{CrashRow, Desired};

/// A crash in short; equal ones are one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashSummary {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    #[schema(value_type = String)]
    pub integration: IntegrationId,
    /// How often it happened.
    pub count: u32,
    /// When it happened first.
    pub first_at_ms: i64,
    /// When it happened last.
    pub last_at_ms: i64,
    /// Why, as the integration's state said it.
    pub reason: Reason,
    /// The signal's name.
    pub signal: String,
    /// Where; `null` when the location is unknown.
    pub place: Option<Place>,
    /// The operation in flight that began last.
    pub op: Option<String>,
    /// How it was run.
    pub hosting: Hosting,
}

/// A crash with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashReport {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    #[schema(value_type = String)]
    pub integration: IntegrationId,
    /// How often it happened.
    pub count: u32,
    /// When it happened first.
    pub first_at_ms: i64,
    /// When it happened last: what follows is of that time.
    pub last_at_ms: i64,
    /// What to do.
    pub advice: String,
    /// What is known of it, with the last lines of the log.
    #[serde(flatten)]
    pub record: CrashRecord,
}

impl CrashReport {
    /// From its row; `None` for a record in a form that is no longer read.
    pub fn new(row: CrashRow) -> Option<Self> {
        let record: CrashRecord = serde_json::from_str(&row.record).ok()?;
        Some(Self {
            id: row.id,
            integration: row.integration_id,
            count: row.count,
            first_at_ms: row.first_at_ms,
            last_at_ms: row.last_at_ms,
            advice: record.crash.reason.code.advice().to_owned(),
            record,
        })
    }

    /// In short.
    pub fn summary(self) -> CrashSummary {
        let crash = self.record.crash;
        CrashSummary {
            id: self.id,
            integration: self.integration,
            count: self.count,
            first_at_ms: self.first_at_ms,
            last_at_ms: self.last_at_ms,
            reason: crash.reason,
            signal: crash.signal,
            place: crash.place,
            op: crash.calls.into_iter().next().map(|call| call.op),
            hosting: crash.hosting,
        }
    }
}

/// Why an integration is as it is: the chain from the wish to what can be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The integration.
    #[schema(value_type = String)]
    pub id: IntegrationId,
    /// Its type.
    #[schema(value_type = String)]
    pub integration_type: IntegrationType,
    /// When this was asked.
    pub at_ms: i64,
    /// What a person wants.
    pub desired: Desired,
    /// What is.
    pub actual: Actual,
    /// Since when.
    pub since_ms: i64,
    /// Why.
    pub reason: Reason,
    /// What that asks for, in one sentence; empty when there is nothing to do.
    pub advice: String,
    /// When it is tried again by itself.
    pub next_retry_ms: Option<i64>,
    /// Its own word on how it is.
    #[schema(value_type = schema::Health)]
    pub health: Health,
    /// How it is run.
    pub hosting: Hosting,
    /// Why it is run so against its configuration; empty when it is not.
    pub moved: String,
    /// The worker's process id.
    pub pid: Option<u32>,
    /// The plugin's file, and what was decided about it.
    pub file: Option<PluginFile>,
    /// The running generation's SHA-256.
    pub generation: Option<String>,
    /// The last successful poll, control or reading.
    pub last_success_ms: Option<i64>,
    /// The last call to its gateway that came back.
    pub last_exchange: Option<Exchange>,
    /// Calls to its gateway that have not come back, the newest first.
    pub in_flight: Vec<InFlight>,
    /// Failures that count at present, oldest first.
    pub failures: Vec<FailedOnce>,
    /// So many of them within the window make a quarantine.
    pub failures_limit: u32,
    /// The window.
    pub failures_within_ms: u64,
    /// What the sandbox refused to the running generation.
    pub refusals: Vec<Refusal>,
    /// The last crash.
    pub last_crash: Option<CrashSummary>,
    /// What a person can do now, the most useful first.
    pub can_do: Vec<CanDo>,
}

/// A plugin's file as the explanation needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginFile {
    /// Its name.
    pub name: String,
    /// Its version, where it could be read.
    pub version: Option<String>,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
}

/// Something a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CanDo {
    /// What it does.
    pub what: String,
    /// The command's words after `gatehouse`.
    pub command: Vec<String>,
}
