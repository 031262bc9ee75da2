//! Why an operation on an integration was not done.

use gatehouse_plugin_api::attribute::FieldErrors;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ids::IntegrationId;

use super::attributes;
use crate::nearest::did_you_mean;

/// Why an operation on an integration was not done. `api::errors` maps it to a status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// What was named does not exist.
    #[error("{what} does not exist{hint}")]
    NotFound {
        /// The thing, with its kind: `the integration "lamp"`.
        what: String,
        /// Empty, or `: did you mean …?`.
        hint: String,
    },
    /// It exists already, or another operation is in its way, or the step is stale.
    #[error("{0}")]
    Conflict(String),
    /// The input is wrong.
    #[error("{message}")]
    Invalid {
        /// The sentence.
        message: String,
        /// What is wrong with which field.
        fields: FieldErrors,
    },
    /// It cannot be done in the present state (offline, paused, read-only).
    #[error("{0}")]
    Unavailable(String),
    /// The gateway answered with an error.
    #[error("{integration}: {error}")]
    Gateway {
        /// The integration.
        integration: IntegrationId,
        /// What it answered.
        error: CallError,
    },
    /// The database failed.
    #[error("{0}")]
    Store(String),
}

impl OperationError {
    /// What became of a call to its gateway; `doing` says what was going on when that ended meanwhile: `its image was
    /// taken`.
    pub(super) fn of_call(id: &IntegrationId, error: CallError, doing: &str) -> Self {
        match error.code {
            ErrorCode::Gone => Self::Unavailable(format!("{id} ended while {doing}: try again")),
            _ => Self::Gateway { integration: id.clone(), error },
        }
    }

    /// `what` does not exist; the hint names the nearest of those that do.
    pub(super) fn not_found<'a>(kind: &str, name: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::NotFound { what: format!("the {kind} {name:?}"), hint: did_you_mean(name, names) }
    }

    /// Wrong fields, all named in the sentence.
    pub(super) fn fields(fields: FieldErrors) -> Self {
        Self::Invalid { message: attributes::sentence(&fields), fields }
    }

    /// Wrong input that is not a field's.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), fields: FieldErrors::new() }
    }
}

/// The refusal of what needs an integration that is in use.
pub(super) fn is_off(id: &IntegrationId) -> OperationError {
    OperationError::Conflict(format!("{id} is off: activate it first"))
}
