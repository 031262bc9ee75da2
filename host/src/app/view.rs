//! What the operations take and answer, as plain data that has one JSON form.
//!
//! Inputs refuse fields that they do not know; answers grow by fields only, so a reader ignores what it does not know.
//! Times are milliseconds since 1970 UTC (`…_ms`). Secrets appear masked.

mod cost;
mod crash;
mod entity;
mod event;
mod flow;
mod integration;
mod log;
mod plugin;
mod status;
mod trust;

pub use cost::{Costs, DaemonCost, IntegrationCost, ProcessUse};
pub use crash::{CanDo, CrashReport, CrashSummary, Explanation, PluginFile};
pub use entity::{
    Availability, ControlAnswer, ControlRequest, Entity, EntityPatch, EntityState, EntityStream, History, State,
};
pub use event::{CommittedEvent, LaggedEvent, LifecycleEvent, MissedEvent, PluginChange, PluginEvent, ReadingEvent};
pub use flow::{Flow, FlowAnswerRequest, FlowBeginRequest, GivenValue, GivenValues};
pub use integration::{AttributesPatch, Diagnostics, Integration, ManageAnswer, SyncAnswer};
pub use log::{LogLevelAnswer, LogLevelRequest, LogPage};
pub use plugin::{Plugin, PluginVersion, PluginsFolder, RollbackRequest};
pub use status::{LogStatus, Status};
pub use trust::{Trust, TrustEntry, TrustRequest};

pub use crate::gateway::{Missing, Refusal, UndeclaredPath};
pub use crate::log::LogLine;
pub use crate::store::AuditEntry;
