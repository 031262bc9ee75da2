//! How a command ends when it did not do what was asked: one sentence, what to do, the exit code.

use std::fmt;
use std::io;

/// The exit code of what could not be done.
pub(super) const FAILED: u8 = 1;
/// The exit code of what was asked wrongly.
pub(super) const USAGE: u8 = 2;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something to tell.
    Told {
        /// The exit code.
        code: u8,
        /// What was wrong with which thing; may have several lines.
        message: String,
        /// What to do; may be empty.
        advice: String,
    },
    /// Everything was told already.
    Silent {
        /// The exit code.
        code: u8,
    },
    /// Whoever read the output has closed it: nothing is wrong.
    OutputClosed,
}

impl Failure {
    /// It could not be done.
    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self::Told { code: FAILED, message: message.to_string(), advice: String::new() }
    }

    /// It was asked wrongly.
    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::Told { code: USAGE, message: message.to_string(), advice: String::new() }
    }

    /// What was wrong, when there is something to tell.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Told { message, .. } => Some(message),
            Self::Silent { .. } | Self::OutputClosed => None,
        }
    }

    /// Adds what to do.
    #[must_use]
    pub(super) fn advise(mut self, what_to_do: impl fmt::Display) -> Self {
        if let Self::Told { advice, .. } = &mut self {
            if !advice.is_empty() {
                advice.push('\n');
            }
            advice.push_str(&what_to_do.to_string());
        }
        self
    }

    /// Adds another line to the message.
    #[must_use]
    pub(super) fn line(mut self, text: impl fmt::Display) -> Self {
        if let Self::Told { message, .. } = &mut self {
            message.push('\n');
            message.push_str(&text.to_string());
        }
        self
    }

    /// An error of the system's, with what was being done.
    pub(super) fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        Self::failed(format!("{doing}: {error}"))
    }
}

impl From<io::Error> for Failure {
    /// For the output alone: everything else says what it was doing.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::OutputClosed
        } else {
            Self::failed(format!("the output cannot be written: {error}"))
        }
    }
}
