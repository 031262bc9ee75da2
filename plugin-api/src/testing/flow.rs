//! One activation or deactivation, driven as a person would: an answer to the step shown last.

use crate::attribute::AttributeValues;
use crate::error::CallError;
use crate::flow::{FlowAnswer, FlowReason, FlowReply, FlowRequest, FlowStep};
use crate::ops::Op;

use super::House;

/// A flow under way. Made by [`House::activation`] and [`House::deactivation`].
#[derive(Debug)]
pub struct FlowDriver<'a> {
    house: &'a House,
    op: &'static Op,
    attributes: AttributeValues,
    last: Option<FlowReply>,
}

impl<'a> FlowDriver<'a> {
    pub(super) fn new(house: &'a House, op: &'static Op, attributes: AttributeValues) -> Self {
        Self { house, op, attributes, last: None }
    }

    /// The first turn, without an answer.
    ///
    /// # Errors
    /// What ended the flow.
    pub fn begin(&mut self) -> Result<&FlowReply, CallError> {
        self.turn(None)
    }

    /// Fills in the form shown last.
    ///
    /// # Errors
    /// What ended the flow.
    pub fn fill(&mut self, values: AttributeValues) -> Result<&FlowReply, CallError> {
        self.answer(values, None)
    }

    /// Takes an option of the menu shown last.
    ///
    /// # Errors
    /// What ended the flow.
    pub fn choose(&mut self, option: &str) -> Result<&FlowReply, CallError> {
        self.answer(AttributeValues::default(), Some(option.to_owned()))
    }

    /// Says yes to a confirmation, "done" to an external page, or looks again at a progress.
    ///
    /// # Errors
    /// What ended the flow.
    pub fn go_on(&mut self) -> Result<&FlowReply, CallError> {
        self.answer(AttributeValues::default(), None)
    }

    /// The step shown last.
    ///
    /// # Panics
    /// When the flow shows none: it has not begun, or it ended.
    pub fn step(&self) -> &FlowStep {
        match &self.last {
            Some(FlowReply::Step(step)) => step,
            other => panic!("the flow shows no step but {other:?}"),
        }
    }

    fn answer(&mut self, values: AttributeValues, choice: Option<String>) -> Result<&FlowReply, CallError> {
        let step_id = self.step().step_id.clone();
        self.turn(Some(FlowAnswer { step_id, values, choice }))
    }

    fn turn(&mut self, answer: Option<FlowAnswer>) -> Result<&FlowReply, CallError> {
        let request = FlowRequest {
            flow_id: "flow-1".to_owned(),
            reason: FlowReason::Person,
            answer,
            attributes: self.attributes.clone(),
        };
        let reply = self.house.call(self.op, &request)?;
        Ok(self.last.insert(reply))
    }
}
