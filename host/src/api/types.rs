//! The JSON contract of the control socket: what every request and answer looks like.
//!
//! Bodies of requests refuse fields that they do not know; answers grow by fields only, so a reader ignores what it
//! does not know. Times are milliseconds since 1970 UTC (`…_ms`). Secrets appear masked.

mod entity;
mod event;
mod flow;
mod integration;
mod log;
mod plugin;
mod status;

pub use entity::{
    Availability, ControlAnswer, ControlRequest, Entity, EntityPatch, EntityState, History, State, StateList,
};
pub use event::{CommittedEvent, LifecycleEvent, PluginChange, PluginEvent, ReadingEvent};
pub use flow::{Flow, FlowAnswerRequest, FlowBeginRequest, GivenValue, GivenValues};
pub use integration::{AttributesPatch, Integration, ManageAnswer, ManageForm};
pub use log::{LogLine, LogPage};
pub use plugin::{Plugin, PluginsFolder};
pub use status::{LogStatus, Status};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was not done: the body of every answer with a status from 400 on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable word (`not_found`, `conflict`, `invalid`, `unavailable`, …); see `docs/api.md`.
    pub code: String,
    /// One sentence: what was wrong with which thing, and what to do.
    pub message: String,
    /// What is wrong with which field of the request; often empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// The answer of a request that has nothing else to say.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Done {}
