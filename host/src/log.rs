//! The host's log: what the daemon and its plugins say, on standard error and in memory for whoever asks.
//!
//! One line is built once, from a `tracing` event or from a plugin's record, and goes three ways: standard error, the
//! ring in memory, and everybody who follows. A plugin's records do not pass `tracing` again: they were filtered before
//! they crossed and have a time, a target and fields of their own.

mod layer;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::{self, LogLevel};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use utoipa::ToSchema;

use crate::config;
use crate::schema;

/// Lines that a follower may lag behind before it misses some.
const FOLLOW_LINES: usize = 1024;

/// Records of one batch of a plugin that are kept.
const BATCH_RECORDS_MAX: usize = 10_000;
/// Fields of one record of a plugin that are kept.
const FIELDS_MAX: usize = 64;
/// The longest text of a plugin's record that is kept whole, in bytes.
const TEXT_MAX_BYTES: usize = 8 * 1024;

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
    /// With a number above this one.
    pub after: Option<u64>,
    /// At most this many, the newest ones.
    pub limit: Option<usize>,
}

impl LogQuery {
    /// Whether a line is meant, its place in the log aside.
    pub fn matches(&self, line: &LogLine) -> bool {
        self.integration.as_ref().is_none_or(|id| line.integration.as_ref() == Some(id))
            && self.level.is_none_or(|level| line.level >= level)
            && self.after.is_none_or(|after| line.sequence > after)
    }
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
    /// The process logs somewhere else already.
    #[error("the process has a log already")]
    Taken(#[source] TryInitError),
}

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HostLog(Arc<LogParts>);

#[derive(Debug)]
struct LogParts {
    ring: Mutex<Ring>,
    followers: broadcast::Sender<Arc<LogLine>>,
    dropped: AtomicU64,
    /// The least level that goes to standard error; `None` writes nothing there.
    stderr_from: Option<LogLevel>,
}

#[derive(Debug)]
struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    keep: usize,
    next: u64,
}

impl HostLog {
    /// A log in memory alone, of at most `keep_lines` lines.
    pub fn in_memory(keep_lines: usize) -> Self {
        Self::new(keep_lines, None)
    }

    fn new(keep_lines: usize, stderr_from: Option<LogLevel>) -> Self {
        let ring = Ring { lines: VecDeque::new(), keep: keep_lines.max(1), next: 1 };
        let (followers, _) = broadcast::channel(FOLLOW_LINES);
        Self(Arc::new(LogParts { ring: Mutex::new(ring), followers, dropped: AtomicU64::new(0), stderr_from }))
    }

    /// Makes this process's log: everything traced, and what [`forward`] brings, goes to standard error and memory.
    ///
    /// # Errors
    /// When the filter cannot be read, or the process has a log already.
    pub fn install(config: &config::Log) -> Result<Self, LogError> {
        let filter = EnvFilter::try_new(&config.filter)
            .map_err(|error| LogError::Filter { filter: config.filter.clone(), problem: error.to_string() })?;
        let log = Self::new(config.keep_lines, Some(stderr_from(config)));
        tracing_subscriber::registry()
            .with(filter)
            .with(layer::LineLayer::new(log.clone()))
            .try_init()
            .map_err(LogError::Taken)?;
        // Cannot be set twice: `try_init` succeeds once in a process.
        let _ = INSTALLED.set(log.clone());
        Ok(log)
    }

    /// The lines in memory that are meant, oldest first.
    pub fn lines(&self, query: &LogQuery) -> Vec<Arc<LogLine>> {
        let ring = self.0.ring.lock();
        let matching = ring.lines.iter().rev().filter(|line| query.matches(line));
        let mut lines: Vec<_> = matching.take(query.limit.unwrap_or(usize::MAX)).cloned().collect();
        lines.reverse();
        lines
    }

    /// The lines in memory that are meant, and every line from then on (the caller sorts out which are meant).
    pub fn follow(&self, query: &LogQuery) -> (Vec<Arc<LogLine>>, broadcast::Receiver<Arc<LogLine>>) {
        let following = self.0.followers.subscribe();
        (self.lines(query), following)
    }

    /// Lines in memory, lines that made room for newer ones, and events that plugins' side dropped.
    pub fn counts(&self) -> LogCounts {
        let ring = self.0.ring.lock();
        let kept = ring.lines.len() as u64;
        LogCounts { kept, displaced: ring.next - 1 - kept, dropped: self.0.dropped.load(Ordering::Relaxed) }
    }

    /// Writes a line; its number is given here.
    fn write(&self, mut line: LogLine) {
        // The number is given, the line kept and sent on under one lock, so that all see the lines in the same order.
        let mut ring = self.0.ring.lock();
        line.sequence = ring.next;
        ring.next += 1;
        let line = Arc::new(line);
        if ring.lines.len() == ring.keep {
            ring.lines.pop_front();
        }
        ring.lines.push_back(Arc::clone(&line));
        // Nobody follows: fine.
        let _ = self.0.followers.send(Arc::clone(&line));
        drop(ring);
        if self.0.stderr_from.is_some_and(|from| line.level >= from) {
            let mut stderr = std::io::stderr().lock();
            let text = format_line(&line, stderr.is_terminal());
            // Standard error is gone with the terminal or is full: the line is still in memory.
            let _ = stderr.write_all(text.as_bytes());
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

/// Takes a batch of a plugin's records into the process's log; does nothing in a process without one. Does not block
/// but for writing to standard error.
pub fn forward(integration: &IntegrationId, batch: message::Log) {
    if let Some(log) = INSTALLED.get() {
        log.take(integration, batch);
    }
}

impl HostLog {
    /// Takes a batch of a plugin's records: at most so many, each text at most so long.
    pub fn take(&self, integration: &IntegrationId, batch: message::Log) {
        let excess = batch.records.len().saturating_sub(BATCH_RECORDS_MAX);
        let dropped = batch.dropped.saturating_add(excess as u64);
        for record in batch.records.into_iter().take(BATCH_RECORDS_MAX) {
            let fields = record.fields.into_iter().take(FIELDS_MAX);
            self.write(LogLine {
                sequence: 0,
                at_ms: record.at_ms,
                level: record.level,
                target: clipped(record.target),
                integration: Some(integration.clone()),
                message: clipped(record.message),
                fields: fields.map(|(name, value)| (clipped(name), clipped(value))).collect(),
            });
        }
        if dropped > 0 {
            self.0.dropped.fetch_add(dropped, Ordering::Relaxed);
            tracing::warn!(%integration, dropped, "log events of a plugin were dropped: too many came");
        }
    }
}

/// A text of a plugin, cut where it is too long.
fn clipped(mut text: String) -> String {
    if text.len() > TEXT_MAX_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_MAX_BYTES));
        text.push('…');
    }
    text
}

/// The line as it stands on a terminal or in a journal.
fn format_line(line: &LogLine, coloured: bool) -> String {
    let (level, colour) = match line.level {
        LogLevel::Trace => ("TRACE", "35"),
        LogLevel::Debug => ("DEBUG", "34"),
        LogLevel::Info => (" INFO", "32"),
        LogLevel::Warn => (" WARN", "33"),
        LogLevel::Error => ("ERROR", "31"),
    };
    let time = jiff::Timestamp::from_millisecond(line.at_ms).unwrap_or_default();
    let mut text = if coloured {
        format!("\x1b[2m{time:.3}\x1b[0m \x1b[{colour}m{level}\x1b[0m ")
    } else {
        format!("{time:.3} {level} ")
    };
    if let Some(integration) = &line.integration {
        // Writing to a String cannot fail; the same below.
        let _ = write!(text, "{integration}: ");
    }
    push_printable(&mut text, &line.message);
    for (name, value) in &line.fields {
        text.push(' ');
        push_printable(&mut text, name);
        text.push('=');
        if value.is_empty() || value.contains(char::is_whitespace) {
            let _ = write!(text, "{value:?}");
        } else {
            push_printable(&mut text, value);
        }
    }
    text.push('\n');
    text
}

/// A plugin's words must not move the cursor or begin a line of their own.
fn push_printable(text: &mut String, words: &str) {
    for c in words.chars() {
        if c.is_control() {
            text.extend(c.escape_default());
        } else {
            text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> IntegrationId {
        IntegrationId::new(id).expect("valid")
    }

    fn batch(level: LogLevel, message: &str) -> message::Log {
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
        let lines = log.lines(&LogQuery::default());
        assert_eq!(lines.iter().map(|line| line.sequence).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(log.counts(), LogCounts { kept: 2, displaced: 3, dropped: 0 });
    }

    #[test]
    fn lines_are_found_by_integration_level_and_number() {
        let log = HostLog::in_memory(10);
        log.take(&id("a"), batch(LogLevel::Info, "one"));
        log.take(&id("b"), batch(LogLevel::Error, "two"));
        log.take(&id("a"), batch(LogLevel::Warn, "three"));
        let found = |query: LogQuery| log.lines(&query).iter().map(|l| l.message.clone()).collect::<Vec<_>>();
        assert_eq!(found(LogQuery { integration: Some(id("a")), ..LogQuery::default() }), ["one", "three"]);
        assert_eq!(found(LogQuery { level: Some(LogLevel::Warn), ..LogQuery::default() }), ["two", "three"]);
        assert_eq!(found(LogQuery { after: Some(2), ..LogQuery::default() }), ["three"]);
        assert_eq!(found(LogQuery { limit: Some(1), ..LogQuery::default() }), ["three"]);
    }

    #[tokio::test]
    async fn followers_get_what_comes_after() {
        let log = HostLog::in_memory(10);
        log.take(&id("a"), batch(LogLevel::Info, "before"));
        let (lines, mut following) = log.follow(&LogQuery::default());
        log.take(&id("a"), batch(LogLevel::Info, "after"));
        assert_eq!(lines.len(), 1);
        assert_eq!(following.recv().await.expect("a line").message, "after");
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
        let lines = log.lines(&LogQuery::default());
        let line = lines.first().expect("a line");
        assert_eq!(line.integration, Some(id("hass")));
        assert_eq!((line.level, line.message.as_str()), (LogLevel::Warn, "start failed"));
        assert_eq!(line.fields.get("attempt").map(String::as_str), Some("2"));
        assert_eq!(line.fields.get("generation").map(String::as_str), Some("abc"));
    }

    #[test]
    fn a_flood_of_a_plugin_is_bounded_and_counted() {
        let log = HostLog::in_memory(10);
        let mut flood = batch(LogLevel::Info, &"ä".repeat(TEXT_MAX_BYTES));
        flood.records = vec![flood.records.remove(0); BATCH_RECORDS_MAX + 5];
        flood.dropped = 2;
        log.take(&id("hass"), flood);
        assert_eq!(log.counts().dropped, 7);
        let line = log.lines(&LogQuery { limit: Some(1), ..LogQuery::default() }).remove(0);
        assert!(line.message.len() <= TEXT_MAX_BYTES + '…'.len_utf8(), "{}", line.message.len());
    }

    #[test]
    fn a_line_reads_well_and_stays_one_line() {
        let log = HostLog::in_memory(1);
        log.take(&id("hass"), batch(LogLevel::Warn, "two\nlines\x1b[2J"));
        let line = log.lines(&LogQuery::default()).remove(0);
        assert_eq!(
            format_line(&line, false),
            "2023-11-14T22:13:20.000Z  WARN hass: two\\nlines\\u{1b}[2J lamp=\"the red one\"\n"
        );
    }
}
