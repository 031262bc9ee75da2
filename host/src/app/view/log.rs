//! The daemon's log as it is kept in memory.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::log::LogLine;

/// Which events of an integration are logged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogLevelRequest {
    /// A level, or `module=level` pairs with commas; `null` for what the configuration says.
    pub filter: Option<String>,
}

/// Which events of an integration are logged from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLevelAnswer {
    /// The filter in force.
    pub filter: String,
    /// It was set at run time, and is forgotten when the daemon restarts; else it is the configuration's.
    pub until_restart: bool,
}

/// The lines in memory that were asked for, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Older lines that made room for newer ones since the start.
    pub displaced: u64,
    /// The place behind the newest line of the log, `boot:sequence`: what `after` takes next time.
    pub resume: String,
    /// The place in `after` is unknown (the daemon was restarted): these are all the lines there are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub reset: bool,
}
