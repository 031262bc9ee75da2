//! Activation and deactivation as an exchange of steps between a person and a gateway.
//!
//! The host owns the flow: it keeps the answers, shows the steps and, only at `done`, validates, tests, saves and
//! starts. A gateway keeps nothing that it cannot lose: when its worker dies the host replays the answers.

use serde::{Deserialize, Serialize};

use crate::attribute::{AttributeSpec, AttributeValues, ChoiceOption, FieldErrors};

/// What brought a person to the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowReason {
    /// A person activates or deactivates.
    Person,
    /// The upstream refused the credentials.
    Reauthenticate,
    /// A setting is wrong or missing.
    Reconfigure,
    /// A reason that this side does not know yet.
    #[serde(other)]
    Other,
}

/// One turn of a flow, from the host: the first has no answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowRequest {
    /// The flow, for a gateway that keeps several apart.
    pub flow_id: String,
    /// Why there is a flow.
    pub reason: FlowReason,
    /// The answer to the step shown last.
    #[serde(default)]
    pub answer: Option<FlowAnswer>,
    /// The integration's attributes so far; empty for a new one.
    #[serde(default)]
    pub attributes: AttributeValues,
}

/// What a person answered to one step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FlowAnswer {
    /// The step that was answered.
    pub step_id: String,
    /// The values of a form, checked by the host against its fields.
    #[serde(default)]
    pub values: AttributeValues,
    /// The option of a menu.
    #[serde(default)]
    pub choice: Option<String>,
}

/// A gateway's answer: its own next step, or "use the default flow".
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowReply {
    /// The gateway has no flow of its own: the host makes one from the attribute specs.
    Default,
    /// The next step.
    Step(FlowStep),
    /// The flow ended without effect.
    Abort {
        /// A stable word (`not_found`, `already_configured`).
        code: String,
        /// One sentence for a person.
        message: String,
    },
    /// The flow ended well; the host now validates, tests, saves and starts. At a deactivation it asks what to keep.
    Done(FlowDone),
}

/// A step to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlowStep {
    /// The step's name, unique within the flow.
    pub step_id: String,
    /// The heading.
    pub title: String,
    /// A few sentences above the input; may be empty.
    #[serde(default)]
    pub description: String,
    /// What is asked.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// What a step asks of the person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepKind {
    /// Fields to fill in.
    Form {
        /// The fields.
        fields: Vec<AttributeSpec>,
        /// What was wrong with the answer before.
        #[serde(default)]
        errors: FieldErrors,
    },
    /// One of several ways to go on.
    Menu {
        /// The ways.
        options: Vec<ChoiceOption>,
    },
    /// Yes, or the person aborts.
    Confirm,
    /// Work goes on; the host asks again after a moment, with an empty answer to this step.
    Progress {
        /// What is being done.
        message: String,
        /// 0 to 100 when known.
        #[serde(default)]
        percent: Option<f64>,
    },
    /// A page elsewhere to visit; the person says when it is done.
    External {
        /// The page.
        url: String,
    },
}

/// How a flow ended well.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FlowDone {
    /// The integration's attributes, whole. Ignored by deactivation.
    #[serde(default)]
    pub attributes: AttributeValues,
    /// What this integration is, for a person; the label when empty.
    #[serde(default)]
    pub title: String,
    /// The upstream's own identity: a second integration of the type with the same one is refused.
    #[serde(default)]
    pub unique_id: Option<String>,
    /// One sentence shown to the person at the end and kept with the integration.
    #[serde(default)]
    pub info_message: String,
}
