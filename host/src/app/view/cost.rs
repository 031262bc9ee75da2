//! What everything costs.

use gatehouse_plugin_api::ids::IntegrationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::gateway::Hosting;
use crate::metrics::ProcessCost;

/// What the daemon and each integration cost up to one moment. Counts begin with the daemon's start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Costs {
    /// The moment.
    pub at_ms: i64,
    /// The daemon's own process, integrations that run in it included.
    pub daemon: DaemonCost,
    /// The integrations, by id.
    pub integrations: Vec<IntegrationCost>,
}

/// What the daemon's own process costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DaemonCost {
    /// Its process.
    pub process: ProcessUse,
    /// Readings that wait to be written to the history.
    pub history_waiting: u64,
    /// Readings given up because the history could not be written.
    pub history_lost: u64,
    /// Streams of events that are open.
    pub subscribers: u64,
    /// Streams that were ended because their reader was too slow.
    pub subscribers_lagged: u64,
}

/// What one integration costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntegrationCost {
    /// Its id.
    #[schema(value_type = String)]
    pub id: IntegrationId,
    /// What it does now, in one word (`running`, `retrying`, …).
    pub state: String,
    /// How it is run.
    pub hosting: Hosting,
    /// Its workers' process ids: usually one, none while it does not run and in-process.
    pub pids: Vec<u32>,
    /// Its workers' processor time, of those that ended too.
    pub cpu_ms: u64,
    /// Its workers' processes together; `null` without one.
    pub process: Option<ProcessUse>,
    /// Calls of the gateway, heartbeats aside.
    pub calls: u64,
    /// Of a hundred calls, ninety-nine took no longer, in microseconds; `null` before the first.
    pub call_p99_us: Option<u64>,
    /// Readings taken.
    pub readings: u64,
    /// Readings refused: undeclared, out of bounds or too much.
    pub readings_refused: u64,
    /// Calls of the plugin refused: no room, too large or not understood.
    pub calls_refused: u64,
    /// Calls of the plugin that came after it was stopped or replaced.
    pub calls_dropped: u64,
    /// Log events that the plugin's side dropped because too many came.
    pub log_dropped: u64,
    /// What the sandbox refused.
    pub sandbox_refusals: u64,
    /// How often it came to run.
    pub starts: u64,
    /// How often its worker ended without being asked to.
    pub crashes: u64,
    /// Calls of the plugin that wait in the daemon.
    pub waiting_calls: u64,
    /// The bytes of their requests.
    pub waiting_bytes: u64,
}

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ProcessUse {
    /// Processor time since it began.
    pub cpu_ms: u64,
    /// Memory in use, what is shared with other processes included.
    pub memory_bytes: u64,
    /// Memory with what is shared counted by its part; only when it was asked for.
    pub proportional_bytes: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// Open descriptors; `null` when they may not be looked at.
    pub descriptors: Option<u64>,
}

impl From<ProcessCost> for ProcessUse {
    fn from(cost: ProcessCost) -> Self {
        Self {
            cpu_ms: u64::try_from(cost.cpu.as_millis()).unwrap_or(u64::MAX),
            memory_bytes: cost.resident_bytes,
            proportional_bytes: cost.proportional_bytes,
            threads: cost.threads,
            descriptors: cost.descriptors,
        }
    }
}
