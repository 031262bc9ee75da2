//! The one error that crosses the boundary, and the author's way to make it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::attribute::FieldErrors;

/// Why a call failed, as a stable code: the host decides what to do by this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The other side does not know the operation.
    Unsupported,
    /// The other side dropped the reply without an answer.
    NoReply,
    /// No answer came in time.
    Deadline,
    /// The code behind the call panicked.
    Panicked,
    /// The request could not be read, or names what is not there.
    InvalidRequest,
    /// It may work later: the upstream is away, the network is down.
    Transient,
    /// The upstream refused the credentials: a person must give new ones.
    BadCredentials,
    /// A setting is wrong: a person must change it; `fields` says which.
    BadConfiguration,
    /// What was named does not exist.
    NotFound,
    /// The request was understood and is not allowed.
    Refused,
    /// The gateway's process or library is gone.
    Gone,
    /// The call was cancelled because its side is stopping.
    Cancelled,
    /// A code that this side does not know yet, or anything else.
    #[serde(other)]
    Other,
}

impl ErrorCode {
    /// The code's word, as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsupported => "unsupported",
            Self::NoReply => "no_reply",
            Self::Deadline => "deadline",
            Self::Panicked => "panicked",
            Self::InvalidRequest => "invalid_request",
            Self::Transient => "transient",
            Self::BadCredentials => "bad_credentials",
            Self::BadConfiguration => "bad_configuration",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::Cancelled => "cancelled",
            Self::Other => "other",
        }
    }
}

/// An error as it crosses the boundary, in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// One sentence for a person: what was wrong and what to do.
    pub message: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "FieldErrors::is_empty")]
    pub fields: FieldErrors,
    /// `file:line:column` of a panic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

impl CallError {
    /// An error with a code and a sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: FieldErrors::new(), location: None }
    }

    /// `bad_configuration` with what is wrong with which field; the message names them all.
    pub fn bad_fields(fields: FieldErrors) -> Self {
        let message =
            fields.iter().map(|(field, problem)| format!("{field}: {problem}")).collect::<Vec<_>>().join("; ");
        Self { fields, ..Self::new(ErrorCode::BadConfiguration, message) }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(location) = &self.location {
            write!(f, " (at {location})")?;
        }
        Ok(())
    }
}

impl std::error::Error for CallError {}

/// What an author's methods return as their error.
///
/// Every `std::error::Error` converts into it by `?` and counts as transient: the host tries again later.
/// The other constructors say that trying again is of no use until a person acts.
pub struct Error(CallError);

/// The result of an author's methods.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// It may work later; the host retries with growing pauses.
    pub fn transient(message: impl Into<String>) -> Self {
        Self(CallError::new(ErrorCode::Transient, message))
    }

    /// The upstream refused the credentials; the host asks a person for new ones.
    pub fn bad_credentials(message: impl Into<String>) -> Self {
        Self(CallError::new(ErrorCode::BadCredentials, message))
    }

    /// One setting is wrong; the host shows the sentence beside that field.
    pub fn bad_configuration(field: impl Into<String>, message: impl Into<String>) -> Self {
        let (field, message) = (field.into(), message.into());
        let mut error = CallError::new(ErrorCode::BadConfiguration, format!("{field}: {message}"));
        error.fields.insert(field, message);
        Self(error)
    }

    /// What was named does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self(CallError::new(ErrorCode::NotFound, message))
    }

    /// Understood, and not allowed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self(CallError::new(ErrorCode::Refused, message))
    }

    /// The operation is not one of this plugin's.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self(CallError::new(ErrorCode::Unsupported, message))
    }

    /// The error's code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.0.code.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn std::error::Error> = Box::new(error);
        match error.downcast::<CallError>() {
            Ok(call) => Self(*call),
            Err(other) => {
                let mut message = other.to_string();
                let mut source = other.source();
                while let Some(cause) = source {
                    message.push_str(": ");
                    message.push_str(&cause.to_string());
                    source = cause.source();
                }
                Self::transient(message)
            }
        }
    }
}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        error.0
    }
}
