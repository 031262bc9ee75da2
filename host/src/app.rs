//! Every operation once, as `noun_verb`; knows no HTTP. The control socket, pages and tests call this and nothing below.
//!
//! An operation takes what a person or program gave, asks the rooms below, and answers with the plain data of [`view`].
//! Whoever calls it turns [`OperationError`] into their own refusal.

mod audit;
mod cost;
mod entity;
mod explain;
pub mod feed;
mod flow;
mod given;
mod integration;
mod plugin;
mod status;
mod trust;
mod version;
pub mod view;

use std::path::PathBuf;
use std::sync::Arc;

use gatehouse_plugin_api::attribute::FieldErrors;
use gatehouse_plugin_api::ids::BadName;

use crate::causes::with_causes;
use crate::config::Config;
use crate::integration::{Actual, Ground, Integrations, OperationError};
use crate::log::{HostLog, LogFollower, LogLine, LogQuery};
use crate::metrics::Connections;
use crate::store::StoreError;

pub use entity::HistorySpan;

/// The application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct App(Arc<AppParts>);

#[derive(Debug)]
struct AppParts {
    ground: Ground,
    integrations: Integrations,
    log: HostLog,
    socket: PathBuf,
    started_at_ms: i64,
    connections: Connections,
}

impl App {
    /// Puts the operations on what was built; `socket` is only told to whoever asks.
    pub fn new(ground: Ground, integrations: Integrations, log: HostLog, socket: PathBuf) -> Self {
        let started_at_ms = ground.clock.now_ms();
        Self(Arc::new(AppParts {
            ground,
            integrations,
            log,
            socket,
            started_at_ms,
            connections: Connections::default(),
        }))
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.0.ground.config
    }

    /// Where connections are counted.
    pub(crate) fn connections(&self) -> Connections {
        self.0.connections.clone()
    }

    fn ground(&self) -> &Ground {
        &self.0.ground
    }

    fn integrations(&self) -> &Integrations {
        &self.0.integrations
    }

    /// The log's lines in memory, oldest first, and how many there were before them.
    pub fn log_get(&self, query: &LogQuery) -> view::LogPage {
        let read = self.0.log.read(query);
        let lines = read.lines.iter().map(|line| LogLine::clone(line)).collect();
        view::LogPage { lines, displaced: self.0.log.counts().displaced, resume: read.resume, reset: read.reset }
    }

    /// The log's lines in memory that are meant, then those that come.
    pub fn log_follow(&self, query: LogQuery) -> LogFollower {
        self.0.log.follow(query)
    }
}

/// Whether readings of an integration in this state can be expected.
fn is_running(actual: Actual) -> bool {
    matches!(actual, Actual::Running | Actual::Degraded)
}

impl From<BadName> for OperationError {
    fn from(error: BadName) -> Self {
        Self::Invalid { message: error.to_string(), fields: FieldErrors::new() }
    }
}

impl From<StoreError> for OperationError {
    fn from(error: StoreError) -> Self {
        Self::Store(with_causes(&error))
    }
}
