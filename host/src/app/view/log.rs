//! The daemon's log as it is kept in memory.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::log::LogLine;

/// The lines in memory that were asked for, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// The lines.
    pub lines: Vec<LogLine>,
    /// Older lines that made room for newer ones since the start.
    pub displaced: u64,
}
