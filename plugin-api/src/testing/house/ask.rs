//! What a host asks of a gateway, one method for each operation.

use std::collections::BTreeMap;

use super::{House, Waiting};
use crate::attribute::{AttributeValues, FieldErrors};
use crate::error::{CallError, ErrorCode};
use crate::ids::{EntityName, StateName};
use crate::manage::{ManageReply, ManageRequest, Method, PaneReply, PaneRequest};
use crate::message::{
    Attributes, ConnectionResult, Control, ControlOutcome, Diagnostics, LogFilter, Reading, SyncCall, SyncOutcome,
};
use crate::ops;
use crate::testing::FlowDriver;
use crate::value::Value;

/// What [`House::start`] takes: values, or `()` for none.
pub trait IntoValues {
    /// The values.
    fn into_values(self) -> AttributeValues;
}

impl IntoValues for AttributeValues {
    fn into_values(self) -> AttributeValues {
        self
    }
}

impl IntoValues for () {
    fn into_values(self) -> AttributeValues {
        AttributeValues::default()
    }
}

impl House {
    /// Starts the integration with these values; `()` for none.
    ///
    /// # Errors
    /// The gateway's; `bad_configuration` names the fields.
    pub fn start(&self, values: impl IntoValues) -> Result<(), CallError> {
        self.call(&ops::START, &Attributes { attributes: values.into_values() })
    }

    /// Stops the integration.
    ///
    /// # Errors
    /// The gateway's.
    pub fn stop(&self) -> Result<(), CallError> {
        self.call(&ops::STOP, &())
    }

    /// One monitor cycle.
    ///
    /// # Errors
    /// The gateway's.
    pub fn poll(&self) -> Result<(), CallError> {
        self.call(&ops::POLL, &())
    }

    /// Sets one state, checked first as a host does; a value in the outcome counts as a reading.
    ///
    /// # Errors
    /// `not_found`, `refused` as a host would, and the gateway's.
    pub fn control(&self, entity: &str, state: &str, value: impl Into<Value>) -> Result<ControlOutcome, CallError> {
        let value = value.into();
        let invalid = |error: crate::ids::BadName| CallError::new(ErrorCode::NotFound, error.to_string());
        let (entity, state) = (EntityName::new(entity).map_err(invalid)?, StateName::new(state).map_err(invalid)?);
        self.check_control(&entity, &state, &value)?;
        let request = Control { entity: entity.clone(), state: state.clone(), value, payload: serde_json::Value::Null };
        let outcome: ControlOutcome = self.call(&ops::CONTROL, &request)?;
        if let Some(value) = outcome.value.clone() {
            let now_ms = self.now_ms();
            self.desk.world().accept(vec![Reading { entity, state, value, at_ms: None }], now_ms);
            self.desk.ring();
        }
        Ok(outcome)
    }

    fn check_control(&self, entity: &EntityName, state: &StateName, value: &Value) -> Result<(), CallError> {
        let missing = || CallError::new(ErrorCode::NotFound, format!("there is no {entity}/{state}"));
        let known = self.entity(entity.as_str()).ok_or_else(missing)?;
        let declared = known.states.iter().find(|s| s.name.as_str().eq_ignore_ascii_case(state.as_str()));
        let declared = declared.ok_or_else(missing)?;
        let refused = |problem: String| CallError::new(ErrorCode::Refused, format!("{entity}/{state} {problem}"));
        if !declared.controllable {
            return Err(refused("cannot be set".to_owned()));
        }
        declared.kind.check(value).map_err(refused)
    }

    /// A flow of activation, not begun.
    pub fn activation(&self) -> FlowDriver<'_> {
        FlowDriver::new(self, &ops::ACTIVATE, AttributeValues::default())
    }

    /// A flow of deactivation of an integration with these attributes, not begun.
    pub fn deactivation(&self, values: impl IntoValues) -> FlowDriver<'_> {
        FlowDriver::new(self, &ops::DEACTIVATE, values.into_values())
    }

    /// Asks for a page: GET with these parameters.
    ///
    /// # Errors
    /// The gateway's.
    pub fn page(&self, params: &[(&str, &str)]) -> Result<ManageReply, CallError> {
        self.call(&ops::MANAGE, &ManageRequest { method: Method::Get, params: text_map(params), form: BTreeMap::new() })
    }

    /// Sends a form to a page: POST with these parameters and fields.
    ///
    /// # Errors
    /// The gateway's.
    pub fn send_form(&self, params: &[(&str, &str)], form: &[(&str, &str)]) -> Result<ManageReply, CallError> {
        self.call(&ops::MANAGE, &ManageRequest { method: Method::Post, params: text_map(params), form: text_map(form) })
    }

    /// A template of the gateway's by name.
    ///
    /// # Errors
    /// The call's.
    pub fn pane(&self, name: &str) -> Result<Option<String>, CallError> {
        let reply: PaneReply = self.call(&ops::PANE, &PaneRequest { name: name.to_owned() })?;
        Ok(reply.source)
    }

    /// What is wrong with which field of these values; empty when nothing is.
    ///
    /// # Errors
    /// The gateway's.
    pub fn validate(&self, values: impl IntoValues) -> Result<FieldErrors, CallError> {
        self.call(&ops::VALIDATE_CONFIGURATION, &Attributes { attributes: values.into_values() })
    }

    /// A live probe with these values.
    ///
    /// # Errors
    /// `bad_configuration` when the values are wrong.
    pub fn test_connection(&self, values: impl IntoValues) -> Result<ConnectionResult, CallError> {
        self.call(&ops::TEST_CONNECTION, &Attributes { attributes: values.into_values() })
    }

    /// Takes a complete snapshot and says what it changed.
    ///
    /// # Errors
    /// The gateway's; `unsupported` when it declares its entities by itself.
    pub fn synchronize(&self) -> Result<SyncOutcome, CallError> {
        let before = self.desk.world().snapshots.len();
        self.post_synchronize().wait()?;
        let world = self.desk.world();
        world.snapshots.get(before).copied().ok_or_else(|| {
            CallError::new(ErrorCode::NoReply, "the gateway answered synchronize and sent no complete snapshot")
        })
    }

    /// Asks for a complete snapshot and returns at once.
    ///
    /// # Panics
    /// When the gateway was closed.
    pub fn post_synchronize(&self) -> Waiting<()> {
        let serial = {
            let mut world = self.desk.world();
            world.sync_serial += 1;
            world.sync_serial
        };
        self.post(&ops::SYNCHRONIZE, &SyncCall { serial: Some(serial) })
    }

    /// What helps to find a fault.
    ///
    /// # Errors
    /// The gateway's.
    pub fn diagnostics(&self) -> Result<serde_json::Value, CallError> {
        self.call::<Diagnostics>(&ops::DIAGNOSTICS, &()).map(|diagnostics| diagnostics.data)
    }

    /// Replaces the log filter.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn set_log_filter(&self, filter: &str) -> Result<(), CallError> {
        self.call(&ops::SET_LOG_FILTER, &LogFilter { filter: filter.to_owned() })
    }
}

fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
