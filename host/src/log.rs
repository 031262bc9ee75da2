//! The host's log: what the daemon and its plugins say, on standard error and in memory for whoever asks.
//!
//! One line is built once, from a `tracing` event or from a plugin's record, bounded, and goes two ways: to the writer
//! of standard error and into the ring in memory, from which everybody who follows reads. A plugin's records do not pass
//! `tracing` again: they were filtered before they crossed and have a time, a target and fields of their own.

mod bound;
mod follow;
mod layer;
mod levels;
mod output;
mod panics;
mod ring;
mod text;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::{self, LogLevel};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _};
use utoipa::ToSchema;

use self::output::Output;
use self::ring::Ring;
use crate::config;
use crate::schema;

pub use follow::{LogEvent, LogFollower};
pub use levels::Levels;

/// Records of one batch of a plugin that are kept.
const BATCH_RECORDS_MAX: usize = 10_000;

/// Where plugins' records go: the log that was installed.
static INSTALLED: OnceLock<HostLog> = OnceLock::new();

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its number since the daemon started; without gaps.
    pub sequence: u64,
    /// When.
    pub at_ms: i64,
    /// Its level.
    #[schema(value_type = schema::LogLevel)]
    pub level: LogLevel,
    /// The module that wrote it.
    pub target: String,
    /// The integration that it is about, when it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub integration: Option<IntegrationId>,
    /// The message, without its fields.
    pub message: String,
    /// The fields of the event and of the spans around it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

/// Which lines are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Of this integration only.
    pub integration: Option<IntegrationId>,
    /// Of this level or a graver one.
    pub level: Option<LogLevel>,
    /// Behind this place, `boot:sequence`. One that the log does not know (the daemon was restarted) is told, and
    /// counts as none.
    pub after: Option<String>,
    /// At most this many, the newest ones.
    pub limit: Option<usize>,
}

impl LogQuery {
    /// Whether a line is meant, its place in the log aside.
    pub fn matches(&self, line: &LogLine) -> bool {
        self.integration.as_ref().is_none_or(|id| line.integration.as_ref() == Some(id))
            && self.level.is_none_or(|level| line.level >= level)
    }
}

/// See [`HostLog::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRead {
    /// The lines, oldest first.
    pub lines: Vec<Arc<LogLine>>,
    /// The place to go on behind.
    pub resume: String,
    /// The place asked for is unknown: these are all the lines there are.
    pub reset: bool,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error("log.filter {filter:?} cannot be read ({problem}): write a level, or MODULE=LEVEL pairs with commas")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The thread that writes to standard error cannot be started.
    #[error("the thread that writes the log to standard error cannot be started")]
    Writer(#[source] std::io::Error),
    /// The process logs somewhere else already.
    #[error("the process has a log already")]
    Taken(#[source] TryInitError),
}

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostLog(Arc<LogParts>);

#[derive(Debug)]
struct LogParts {
    /// Tells this run of the daemon from every other in the places that are handed out.
    boot: String,
    ring: Mutex<Ring>,
    /// The newest line's number; followers wait for it to change.
    newest: watch::Sender<u64>,
    dropped: AtomicU64,
    stderr: Option<Stderr>,
    levels: Levels,
}

#[derive(Debug)]
struct Stderr {
    output: Output,
    /// The least level that goes there.
    from: LogLevel,
}

impl HostLog {
    /// A log in memory alone, of at most `keep_lines` lines and the bytes of the default configuration.
    pub fn in_memory(keep_lines: usize) -> Self {
        let defaults = config::Log::default();
        Self::new(keep_lines, defaults.keep_bytes(), None)
    }

    fn new(keep_lines: usize, keep_bytes: usize, stderr: Option<Stderr>) -> Self {
        Self(Arc::new(LogParts {
            boot: crate::boot::new_boot(),
            ring: Mutex::new(Ring::new(keep_lines, keep_bytes)),
            newest: watch::Sender::new(0),
            dropped: AtomicU64::new(0),
            stderr,
            levels: Levels::default(),
        }))
    }

    /// Makes this process's log: everything traced, what [`forward`] brings, and every panic goes to standard error and
    /// memory. Writing never waits for standard error; [`HostLog::close`] does.
    ///
    /// # Errors
    /// When the filter cannot be read, or the process has a log already.
    pub fn install(config: &config::Log) -> Result<Self, LogError> {
        let filter = EnvFilter::try_new(&config.filter)
            .map_err(|error| LogError::Filter { filter: config.filter.clone(), problem: error.to_string() })?;
        let output = Output::stderr().map_err(LogError::Writer)?;
        let stderr = Stderr { output, from: stderr_from(config) };
        let log = Self::new(config.keep_lines, config.keep_bytes(), Some(stderr));
        let chosen = levels::Chosen::new(filter, log.levels());
        tracing_subscriber::registry()
            .with(layer::LineLayer::behind(log.clone(), chosen.clone()).with_filter(chosen))
            .try_init()
            .map_err(LogError::Taken)?;
        panics::hook();
        // Cannot be set twice: `try_init` succeeds once in a process.
        let _ = INSTALLED.set(log.clone());
        Ok(log)
    }

    /// The filters of single integrations.
    pub fn levels(&self) -> Levels {
        self.0.levels.clone()
    }

    /// The process's log, once it has one.
    pub(crate) fn installed() -> Option<Self> {
        INSTALLED.get().cloned()
    }

    /// The lines in memory that are meant, oldest first.
    pub fn read(&self, query: &LogQuery) -> LogRead {
        let ring = self.0.ring.lock();
        let (after, reset) = self.after(&ring, query);
        let matching = ring.after(after).rev().filter(|line| query.matches(line));
        let mut lines: Vec<_> = matching.take(query.limit.unwrap_or(usize::MAX)).cloned().collect();
        lines.reverse();
        LogRead { lines, resume: self.place(ring.newest()), reset }
    }

    /// The number behind which a query begins, and whether the place it names is unknown.
    fn after(&self, ring: &Ring, query: &LogQuery) -> (u64, bool) {
        let Some(place) = &query.after else { return (0, false) };
        let known = place.rsplit_once(':').filter(|(boot, _)| *boot == self.0.boot);
        let known = known.and_then(|(_, sequence)| sequence.parse().ok()).filter(|at| *at <= ring.newest());
        (known.unwrap_or(0), known.is_none())
    }

    /// The place of a line, `boot:sequence`: what [`LogQuery::after`] takes.
    pub fn place(&self, sequence: u64) -> String {
        format!("{}:{sequence}", self.0.boot)
    }

    /// Lines in memory, lines that made room for newer ones, and events that plugins' side dropped.
    pub fn counts(&self) -> LogCounts {
        let ring = self.0.ring.lock();
        let kept = ring.len();
        let displaced = ring.newest() - kept;
        LogCounts { kept, displaced, dropped: self.0.dropped.load(Ordering::Relaxed) }
    }

    /// Writes a line; its number is given here.
    fn write(&self, mut line: LogLine) {
        bound::line(&mut line);
        // The number is given, the line kept and handed on under one lock, so that all see the lines in the same order.
        let mut ring = self.0.ring.lock();
        let line = ring.push(line);
        if let Some(stderr) = self.0.stderr.as_ref().filter(|stderr| line.level >= stderr.from) {
            stderr.output.push(Arc::clone(&line));
        }
        drop(ring);
        self.0.newest.send_if_modified(|newest| {
            let newer = *newest < line.sequence;
            *newest = (*newest).max(line.sequence);
            newer
        });
    }

    /// Waits until standard error took what was written, at most this long. Blocks.
    pub fn close(&self, within: Duration) {
        if let Some(stderr) = &self.0.stderr {
            stderr.output.drain(within);
        }
    }
}

/// On a terminal `serve` announces what comes and goes in its own lines; the same once more as log lines would bury
/// what a person has to see. They are in memory all the same, and whoever sets a filter sees all that it lets through.
fn stderr_from(config: &config::Log) -> LogLevel {
    let terminal = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    if terminal && *config.filter == config::Log::default().filter { LogLevel::Warn } else { LogLevel::Trace }
}

/// See [`HostLog::counts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines in memory.
    pub kept: u64,
    /// Lines that made room for newer ones.
    pub displaced: u64,
    /// Events that plugins' side dropped because too many came.
    pub dropped: u64,
}

/// Takes a batch of a plugin's records into the process's log; does nothing in a process without one. Does not
/// block.
pub fn forward(integration: &IntegrationId, batch: message::Log) {
    if let Some(log) = INSTALLED.get() {
        log.take(integration, batch);
    }
}

/// The filter that was set for an integration while this process runs; `None` in a process without a log.
pub fn filter_of(integration: &IntegrationId) -> Option<String> {
    INSTALLED.get()?.0.levels.get(integration)
}

/// Forgets what was set for an integration that is deleted.
pub fn forget(integration: &IntegrationId) {
    if let Some(log) = INSTALLED.get()
        && log.0.levels.get(integration).is_some()
    {
        // Taking one away reads nothing.
        let _ = log.0.levels.set(integration, None);
    }
}

impl HostLog {
    /// Takes a batch of a plugin's records: at most so many.
    pub fn take(&self, integration: &IntegrationId, batch: message::Log) {
        let excess = batch.records.len().saturating_sub(BATCH_RECORDS_MAX);
        let dropped = batch.dropped.saturating_add(excess as u64);
        for record in batch.records.into_iter().take(BATCH_RECORDS_MAX) {
            self.write(LogLine {
                sequence: 0,
                at_ms: record.at_ms,
                level: record.level,
                target: record.target,
                integration: Some(integration.clone()),
                message: record.message,
                fields: record.fields.into_iter().collect(),
            });
        }
        if dropped > 0 {
            self.0.dropped.fetch_add(dropped, Ordering::Relaxed);
            tracing::warn!(%integration, dropped, "log events of a plugin were dropped: too many came");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text::format_line;
    use super::*;

    pub(super) fn id(id: &str) -> IntegrationId {
        IntegrationId::new(id).expect("valid")
    }

    pub(super) fn batch(level: LogLevel, message: &str) -> message::Log {
        let record = message::LogRecord {
            level,
            target: "plugin".into(),
            message: message.into(),
            fields: vec![("lamp".into(), "the red one".into())],
            at_ms: 1_700_000_000_000,
        };
        message::Log { records: vec![record], dropped: 0 }
    }

    #[test]
    fn old_lines_make_room() {
        let log = HostLog::in_memory(2);
        for n in 1..=5 {
            log.take(&id("hass"), batch(LogLevel::Info, &n.to_string()));
        }
        let lines = log.read(&LogQuery::default()).lines;
        assert_eq!(lines.iter().map(|line| line.sequence).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(log.counts(), LogCounts { kept: 2, displaced: 3, dropped: 0 });
    }

    #[test]
    fn lines_are_found_by_integration_level_and_number() {
        let log = HostLog::in_memory(10);
        log.take(&id("a"), batch(LogLevel::Info, "one"));
        log.take(&id("b"), batch(LogLevel::Error, "two"));
        log.take(&id("a"), batch(LogLevel::Warn, "three"));
        let found = |query: LogQuery| log.read(&query).lines.iter().map(|l| l.message.clone()).collect::<Vec<_>>();
        assert_eq!(found(LogQuery { integration: Some(id("a")), ..LogQuery::default() }), ["one", "three"]);
        assert_eq!(found(LogQuery { level: Some(LogLevel::Warn), ..LogQuery::default() }), ["two", "three"]);
        assert_eq!(found(LogQuery { after: Some(log.place(2)), ..LogQuery::default() }), ["three"]);
        assert_eq!(found(LogQuery { limit: Some(1), ..LogQuery::default() }), ["three"]);
    }

    #[test]
    fn events_carry_the_integration_of_their_span() {
        let log = HostLog::in_memory(10);
        let subscriber = tracing_subscriber::registry().with(layer::LineLayer::new(log.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("integration", integration = %id("hass"), generation = "abc");
            let _inside = span.enter();
            tracing::warn!(attempt = 2, "start failed");
        });
        let lines = log.read(&LogQuery::default()).lines;
        let line = lines.first().expect("a line");
        assert_eq!(line.integration, Some(id("hass")));
        assert_eq!((line.level, line.message.as_str()), (LogLevel::Warn, "start failed"));
        assert_eq!(line.fields.get("attempt").map(String::as_str), Some("2"));
        assert_eq!(line.fields.get("generation").map(String::as_str), Some("abc"));
    }

    #[test]
    fn a_place_of_another_boot_gives_all_lines_and_says_so() {
        let (log, before) = (HostLog::in_memory(10), HostLog::in_memory(10));
        log.take(&id("a"), batch(LogLevel::Info, "one"));
        let read = log.read(&LogQuery { after: Some(before.place(1)), ..LogQuery::default() });
        assert_eq!((read.lines.len(), read.reset, read.resume), (1, true, log.place(1)));
        let read = log.read(&LogQuery { after: Some(log.place(1)), ..LogQuery::default() });
        assert_eq!((read.lines.len(), read.reset), (0, false));
    }

    #[test]
    fn a_flood_of_a_plugin_is_bounded_and_counted() {
        let log = HostLog::in_memory(10);
        let mut flood = batch(LogLevel::Info, &"ä".repeat(500_000));
        flood.records = vec![flood.records.remove(0); 5];
        log.take(&id("hass"), flood);
        let lines = log.read(&LogQuery::default()).lines;
        assert!(lines.iter().all(|line| line.message.len() < 10_000), "{}", lines[0].message.len());
        let mut flood = batch(LogLevel::Info, "again");
        flood.records = vec![flood.records.remove(0); BATCH_RECORDS_MAX + 5];
        flood.dropped = 2;
        log.take(&id("hass"), flood);
        assert_eq!(log.counts().dropped, 7);
    }

    #[test]
    fn a_line_reads_well_and_stays_one_line() {
        let log = HostLog::in_memory(1);
        log.take(&id("hass"), batch(LogLevel::Warn, "two\nlines\x1b[2J"));
        let line = log.read(&LogQuery::default()).lines.remove(0);
        assert_eq!(
            format_line(&line, false),
            "2023-11-14T22:13:20.000Z  WARN hass: two\\nlines\\u{1b}[2J lamp=\"the red one\"\n"
        );
    }
}
