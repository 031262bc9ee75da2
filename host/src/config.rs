//! The one configuration file, `gatehouse.toml`: every key optional, checked with line numbers.
//!
//! The structs here are what the daemon reads; `keys` is the table of what may stand in the file (range, meaning),
//! from which `check`, `config show` and `docs/config.md` are made. A test holds both against each other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod check;
pub mod keys;
mod show;

pub use check::Problem;
pub use show::{reference, show};

use crate::gateway::{GatewayTiming, Hosting};

/// Everything that can be configured. All intervals go down to milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[plugins]`
    pub plugins: Plugins,
    /// `[integrations]`
    pub integrations: Integrations,
    /// `[history]`
    pub history: History,
    /// `[log]`
    pub log: Log,
    /// `[trust]`
    pub trust: Trust,
    /// `[access]`
    pub access: Access,
    /// `[api]`
    pub api: Api,
    /// `[audit]`
    pub audit: Audit,
    /// `[integration.ID]`: keys of one integration.
    pub integration: BTreeMap<String, OneIntegration>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: std::io::Error,
    },
    /// The file has mistakes, all of them listed.
    #[error("{}", sentences(path, problems))]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

fn sentences(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    lines.join("\n")
}

impl Config {
    /// Reads a configuration from text.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        check::parse(text)
    }

    /// Reads the file; a file that is not there counts as an empty one when `optional`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path, optional: bool) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        };
        Self::parse(&text).map_err(|problems| ConfigError::Wrong { path: path.to_owned(), problems })
    }
}

/// `[plugins]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plugins {
    /// How long a file must rest (size and time of change unmoved) before it is looked at.
    pub stable_for_ms: u64,
    /// How often the folder is listed even when nothing was notified.
    pub rescan_every_ms: u64,
    /// The largest file that is looked at, in MiB.
    pub max_file_mb: u64,
    /// Generations of a plugin that are kept beside those in use, to go back to.
    pub keep_generations: usize,
}

impl Default for Plugins {
    fn default() -> Self {
        Self { stable_for_ms: 100, rescan_every_ms: 30_000, max_file_mb: 100, keep_generations: 3 }
    }
}

/// `[integrations]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Integrations {
    /// The pauses between attempts to start, in milliseconds; the last one repeats.
    pub backoff_ms: Vec<u64>,
    /// How long an integration must be well before its failures are forgiven.
    pub forgive_after_ms: u64,
    /// Failures within `quarantine_within_ms` that put it into quarantine.
    pub quarantine_failures: u32,
    /// See `quarantine_failures`.
    pub quarantine_within_ms: u64,
    /// The pause between attempts in quarantine.
    pub quarantine_retry_ms: u64,
    /// From spawn to a constructed gateway.
    pub launch_within_ms: u64,
    /// Between two heartbeats.
    pub heartbeat_every_ms: u64,
    /// How long a heartbeat may stay unanswered.
    pub heartbeat_within_ms: u64,
    /// How long `stop` may take before the gateway is killed.
    pub stop_within_ms: u64,
    /// How long a flow waits for a person.
    pub flow_expires_ms: u64,
    /// How many start at once.
    pub start_parallel: usize,
    /// How long a new version that has taken over is on trial: a failure goes back to the version before.
    pub trial_ms: u64,
    /// How long calls are held for the calls in flight to end, at the switch to a new version.
    pub switch_hold_ms: u64,
    /// How long calls are held at most for the state in memory to be given, and as long again for it to be taken.
    pub switch_state_ms: u64,
    /// How long a new version that has started waits for a moment to take over before it is given up.
    pub switch_within_ms: u64,
    /// When a new version that was given up is tried again.
    pub switch_retry_ms: u64,
    /// The most that an integration keeps in its key-value store and secrets together, in MiB.
    pub store_mb: u64,
    /// The most that an integration may have in its data folder, in MiB.
    pub data_mb: u64,
    /// How often the data folders are looked at.
    pub data_check_every_ms: u64,
    /// What to do on a kernel that lacks a part of the sandbox.
    pub sandbox: Sandboxing,
    /// The most memory of one worker, where control groups hold it.
    pub worker_memory_mb: u64,
    /// The most threads of one worker, where control groups hold them.
    pub worker_threads: u32,
}

impl Default for Integrations {
    fn default() -> Self {
        Self {
            backoff_ms: vec![1_000, 2_000, 5_000, 15_000, 60_000, 300_000],
            forgive_after_ms: 600_000,
            quarantine_failures: 5,
            quarantine_within_ms: 900_000,
            quarantine_retry_ms: 900_000,
            launch_within_ms: 10_000,
            heartbeat_every_ms: 5_000,
            heartbeat_within_ms: 15_000,
            stop_within_ms: 10_000,
            flow_expires_ms: 900_000,
            start_parallel: 8,
            trial_ms: 600_000,
            switch_hold_ms: 50,
            switch_state_ms: 500,
            switch_within_ms: 60_000,
            switch_retry_ms: 300_000,
            store_mb: 64,
            data_mb: 1_024,
            data_check_every_ms: 60_000,
            sandbox: Sandboxing::BestEffort,
            worker_memory_mb: 1_024,
            worker_threads: 512,
        }
    }
}

/// What to do on a kernel that lacks a part of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sandboxing {
    /// Run plugins with what there is.
    BestEffort,
    /// Run none.
    Require,
}

impl Integrations {
    /// The part that gateways need.
    pub fn gateway_timing(&self) -> GatewayTiming {
        GatewayTiming {
            launch_within: Duration::from_millis(self.launch_within_ms),
            heartbeat_every: Duration::from_millis(self.heartbeat_every_ms),
            heartbeat_within: Duration::from_millis(self.heartbeat_within_ms),
        }
    }
}

/// `[history]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct History {
    /// How long readings are kept, in days; 0 keeps them for ever.
    pub keep_days: u64,
    /// How often old readings are deleted.
    pub expire_every_ms: u64,
    /// How often every page of the database is read to see whether it is damaged.
    pub check_every_ms: u64,
    /// The longest time between a reading and its commit.
    pub commit_every_ms: u64,
    /// The most readings in one commit.
    pub commit_rows: usize,
    /// `process`: survives the death of the daemon; `full`: survives power loss.
    pub durability: Durability,
    /// Readings queued for the database before `emit` waits.
    pub queue_rows: usize,
    /// Readings queued for one subscriber before it is dropped with a resume token.
    pub subscriber_rows: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            keep_days: 30,
            expire_every_ms: 3_600_000,
            check_every_ms: 21_600_000,
            commit_every_ms: 20,
            commit_rows: 5_000,
            durability: Durability::Process,
            queue_rows: 20_000,
            // More than the database's queue: a burst that the queue takes is not lost on a subscriber that reads.
            subscriber_rows: 50_000,
        }
    }
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of the process.
    Process,
    /// Power loss.
    Full,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What is logged, in `tracing_subscriber::EnvFilter` syntax.
    pub filter: String,
    /// What plugins may log, in the same syntax.
    pub plugin_filter: String,
    /// Lines kept in memory for `gatehouse log`.
    pub keep_lines: usize,
    /// Mebibytes that these lines may take.
    pub keep_mb: usize,
}

impl Log {
    /// What the lines in memory may take, in bytes.
    pub fn keep_bytes(&self) -> usize {
        self.keep_mb.saturating_mul(1024 * 1024)
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), plugin_filter: "info".into(), keep_lines: 2_000, keep_mb: 4 }
    }
}

/// `[trust]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Trust {
    /// What is let in.
    pub policy: TrustPolicy,
    /// minisign public keys.
    pub keys: Vec<String>,
    /// SHA-256 of files, in hex.
    pub hashes: Vec<String>,
}

/// Which plugins are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrustPolicy {
    /// All that lie in the plugins folder.
    #[default]
    Any,
    /// Those signed with a trusted key, and listed ones.
    Signed,
    /// Listed ones alone.
    Listed,
}

/// `[access]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Groups whose members may look.
    pub read_groups: Vec<String>,
    /// Groups whose members may look and change.
    pub control_groups: Vec<String>,
}

/// `[api]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// Connections served at once; more are refused with a sentence.
    pub connections: usize,
    /// How long the head of a request may take, and how long a connection may stay idle.
    pub head_within_ms: u64,
    /// How long the body of a request may take.
    pub body_within_ms: u64,
    /// How long a reader may take nothing of what it is sent.
    pub write_within_ms: u64,
}

impl Default for Api {
    fn default() -> Self {
        Self { connections: 2_048, head_within_ms: 10_000, body_within_ms: 30_000, write_within_ms: 30_000 }
    }
}

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// How long entries are kept, in days; 0 keeps them until there are too many.
    pub keep_days: u64,
    /// The most entries; the oldest make room.
    pub keep_rows: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { keep_days: 365, keep_rows: 100_000 }
    }
}

/// `[integration.ID]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct OneIntegration {
    /// `isolated` (default) or `in_process`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosting: Option<Hosting>,
    /// What this integration's plugin may log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Its plugin's openings of files are noted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_trace: Option<bool>,
}
