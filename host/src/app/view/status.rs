//! How the daemon is.

use std::collections::BTreeMap;

use gatehouse_plugin_api::ids::IntegrationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Missing, PluginsFolder};

/// How the daemon is and where its things are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The version of the plugin vocabulary that it speaks.
    pub api_version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at_ms: i64,
    /// For how long it has been running, in milliseconds.
    pub uptime_ms: i64,
    /// The home folder.
    pub home: String,
    /// The control socket.
    pub socket: String,
    /// The database file.
    pub database: String,
    /// The database's size with its write-ahead log, in bytes.
    pub database_bytes: u64,
    /// Why readings are not written to the history at present; empty while they are. Writing goes on by itself.
    pub database_problem: String,
    /// How the database was found damaged and what was saved of it, as long as the damaged file is kept; empty else.
    #[serde(default)]
    pub database_rescue: String,
    /// The configuration file, which need not exist.
    pub config_file: String,
    /// The plugins folder and whether it can be used.
    pub plugins_folder: PluginsFolder,
    /// Plugin files by decision (`accepted`, `shadowed`, `refused`, `gone`).
    pub plugins: BTreeMap<String, u32>,
    /// Integrations by actual state (`running`, `retrying`, …).
    pub integrations: BTreeMap<String, u32>,
    /// Integrations that run in the daemon's own process, where a crash of theirs is a crash of the daemon.
    #[schema(value_type = Vec<String>)]
    pub in_process: Vec<IntegrationId>,
    /// What of the sandbox is not to be had here, and what plugins can do without it; empty when nothing is missing.
    pub sandbox_missing: Vec<Missing>,
    /// Attached entities.
    pub entities: u32,
    /// Their states, with a value or without.
    pub states: u32,
    /// The log.
    pub log: LogStatus,
}

/// How the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LogStatus {
    /// Lines in memory.
    pub kept: u64,
    /// Lines that made room for newer ones since the start.
    pub displaced: u64,
    /// Events of plugins that were dropped because too many came.
    pub dropped: u64,
}
