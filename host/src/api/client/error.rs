//! Why a request was not answered, in sentences.

use std::io;
use std::path::{Path, PathBuf};

use crate::api::types::Problem;
use crate::home::Home;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no daemon serves {home}: start it with `{start}`")]
    NoDaemon {
        /// The home.
        home: PathBuf,
        /// The command that starts it.
        start: String,
    },
    /// The socket is another user's.
    #[error(
        "the socket {socket} belongs to another user: run this as the user that runs the daemon, or name your own home with GATEHOUSE_HOME"
    )]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// Connecting failed otherwise.
    #[error("cannot connect to {socket}")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The daemon answered with an error.
    #[error("{}", problem.message)]
    Answer {
        /// The HTTP status.
        status: u16,
        /// What it said.
        problem: Problem,
    },
    /// The connection ended before the answer did.
    #[error("the daemon hung up before it had answered ({problem}): see `gatehouse status`, and the daemon's log")]
    Broken {
        /// The transport's word.
        problem: String,
    },
    /// The path or a header of the request is not one.
    #[error("{path:?} cannot be asked for: {problem}")]
    BadRequest {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The answer is not what was expected: the daemon has another version.
    #[error(
        "the answer to {path} cannot be read ({problem}): the daemon is of another version, restart it from this binary"
    )]
    Unreadable {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ClientError {
    /// What the daemon said, when it said something.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Answer { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The stable code: the daemon's, or `no_daemon`, `denied`, `connection` when there was no answer.
    pub fn code(&self) -> &str {
        match self {
            Self::Answer { problem, .. } => &problem.code,
            Self::NoDaemon { .. } => "no_daemon",
            Self::Denied { .. } => "denied",
            Self::Connect { .. } | Self::Broken { .. } => "connection",
            Self::BadRequest { .. } => "bad_request",
            Self::Unreadable { .. } => "unreadable",
        }
    }

    /// The HTTP status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    pub(super) fn connecting(home: &Home, socket: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Self::NoDaemon { home: home.root().to_owned(), start: start_command(home) }
            }
            io::ErrorKind::PermissionDenied => Self::Denied { socket: socket.to_owned() },
            _ => Self::Connect { socket: socket.to_owned(), source },
        }
    }

    pub(super) fn broken(error: &hyper::Error) -> Self {
        let mut problem = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(source) = cause {
            problem = format!("{problem}: {source}");
            cause = source.source();
        }
        Self::Broken { problem }
    }
}

/// The command that starts a daemon for `home`, as it can be typed.
fn start_command(home: &Home) -> String {
    let binary = std::env::current_exe().map_or_else(|_| "gatehouse".to_owned(), |path| path.display().to_string());
    if Home::find(None).is_ok_and(|default| default == *home) {
        format!("{binary} serve")
    } else {
        format!("GATEHOUSE_HOME={} {binary} serve", home.root().display())
    }
}
