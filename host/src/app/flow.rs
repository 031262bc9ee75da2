//! Flows: opened, answered step by step, given up.

use gatehouse_plugin_api::attribute::{AttributeSpec, FieldErrors};
use gatehouse_plugin_api::flow::StepKind;

use super::App;
use super::given::attribute_values;
use super::view::{Flow, FlowAnswerRequest, FlowBeginRequest};
use crate::integration::{FlowBegin, FlowInput, FlowState, FlowView, OperationError};

impl App {
    /// Opens a flow and shows its first step.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`; `Invalid` when neither type nor integration is named.
    pub async fn flow_begin(&self, request: FlowBeginRequest) -> Result<Flow, OperationError> {
        if request.integration_type.is_none() && request.integration.is_none() {
            let problem = "is missing: name the type to activate, or the integration".to_owned();
            return Err(OperationError::Invalid {
                message: format!("integration_type {problem}"),
                fields: FieldErrors::from([("integration_type".to_owned(), problem)]),
            });
        }
        let FlowBeginRequest { kind, integration_type, integration, take_over } = request;
        let catalog = &self.ground().catalog;
        if integration_type.as_ref().is_some_and(|integration_type| catalog.plugin(integration_type).is_none()) {
            catalog.settle().await;
        }
        self.integrations()
            .flow_begin(FlowBegin { kind, integration_type, integration, take_over })
            .await
            .map(Flow::from)
    }

    /// A flow as it is now.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn flow_get(&self, flow_id: &str) -> Result<Flow, OperationError> {
        self.integrations().flow_view(flow_id).map(Flow::from)
    }

    /// Answers a step and shows the next. Wrong values come back as the same step with `errors`.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when the step is not the one that waits.
    pub async fn flow_answer(
        &self,
        flow_id: &str,
        step_id: &str,
        answer: FlowAnswerRequest,
    ) -> Result<Flow, OperationError> {
        let view = self.integrations().flow_view(flow_id)?;
        // A stale answer must be refused as stale, not measured against another step's fields.
        let waiting = match &view.state {
            FlowState::Step { step, .. } if step.step_id == step_id => fields_of(&step.kind),
            _ => return self.integrations().flow_answer(flow_id, step_id, FlowInput::default()).await.map(Flow::from),
        };
        match attribute_values(waiting, answer.values) {
            Ok(values) => {
                let input = FlowInput { values, choice: answer.choice };
                self.integrations().flow_answer(flow_id, step_id, input).await.map(Flow::from)
            }
            Err(errors) => with_errors(view, errors).map(Flow::from),
        }
    }

    /// Gives a flow up.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn flow_abort(&self, flow_id: &str) -> Result<(), OperationError> {
        self.integrations().flow_abort(flow_id).await
    }
}

fn fields_of(kind: &StepKind) -> &[AttributeSpec] {
    match kind {
        StepKind::Form { fields, .. } => fields,
        _ => &[],
    }
}

/// The same step with these errors; a step that has no fields to show them at becomes a refusal.
fn with_errors(mut view: FlowView, found: FieldErrors) -> Result<FlowView, OperationError> {
    if let FlowState::Step { step, .. } = &mut view.state
        && let StepKind::Form { errors, .. } = &mut step.kind
    {
        *errors = found;
        return Ok(view);
    }
    let message = "this step has no fields: answer it without values".to_owned();
    Err(OperationError::Invalid { message, fields: found })
}
