//! The JSON contract of the control socket: what the operations take and answer, and how a refusal looks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::app::view::*;

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
