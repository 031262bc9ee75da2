//! The daemon's log as it is kept in memory.

use std::collections::BTreeMap;

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::LogLevel;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::api::schema;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number since the daemon started; without gaps.
    pub sequence: u64,
    /// When.
    pub at_ms: i64,
    /// Its level.
    #[schema(value_type = schema::LogLevel)]
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: String,
    /// The integration that it is about, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub integration: Option<IntegrationId>,
    /// The message, without its fields.
    pub message: String,
    /// The fields of the event and of the spans around it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The lines in memory that were asked for, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Older lines that made room for newer ones since the start.
    pub displaced: u64,
}
