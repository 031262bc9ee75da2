//! Flows as people see them: how one is opened, answered and ends.

use std::collections::BTreeMap;

use gatehouse_plugin_api::attribute::{AttributeValues, PlainValue};
use gatehouse_plugin_api::flow::FlowStep;
use gatehouse_plugin_api::ids::{IntegrationId, IntegrationType};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema;

/// Which way a flow goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowKind {
    /// Makes or reconfigures an integration.
    Activate,
    /// Switches one off.
    Deactivate,
}

/// Opens a flow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowBegin {
    /// Which way.
    pub kind: FlowKind,
    /// The type to activate, when there is no integration yet.
    #[serde(default)]
    pub integration_type: Option<IntegrationType>,
    /// The integration: the one to deactivate or reconfigure, or the wanted id of the new one.
    #[serde(default)]
    pub integration: Option<IntegrationId>,
    /// Gives up the flow that the integration has open, if there is one, and begins a new one in its place.
    #[serde(default)]
    pub take_over: bool,
}

/// What a person answers to a step.
#[derive(Debug, Clone, Default)]
pub struct FlowInput {
    /// Values of a form.
    pub values: AttributeValues,
    /// The option of a menu.
    pub choice: Option<String>,
}

/// A flow as a person sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowView {
    /// Its id.
    pub flow_id: String,
    /// Which way.
    pub kind: FlowKind,
    /// The type.
    pub integration_type: IntegrationType,
    /// The integration, or the id it will have.
    pub integration: IntegrationId,
    /// The step to answer, or how it ended.
    pub state: FlowState,
    /// When it is given up, in milliseconds since 1970 UTC.
    pub expires_at_ms: i64,
}

/// Where a flow is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// A step waits for its answer.
    Step {
        /// The step.
        #[schema(value_type = schema::FlowStep)]
        step: FlowStep,
        /// Values to offer, by field.
        #[schema(value_type = BTreeMap<String, schema::PlainValue>)]
        defaults: BTreeMap<String, PlainValue>,
    },
    /// It ended well.
    Done {
        /// The sentence for the person.
        info_message: String,
    },
    /// It ended without effect.
    Aborted {
        /// A stable word.
        code: String,
        /// The sentence for the person.
        message: String,
    },
}
