//! A plugin's log events, as events of the host's own log under the integration's name.

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::{Log, LogLevel, LogRecord};

/// The longest text of one event that is kept, in bytes.
const TEXT_BYTES: usize = 8 * 1024;
/// Events of one batch that are kept.
const BATCH_RECORDS: usize = 10_000;

/// Logs a batch with the target `plugin`; the event's own target and fields are fields.
pub(super) fn forward(id: &IntegrationId, log: Log) {
    let too_many = u64::try_from(log.records.len().saturating_sub(BATCH_RECORDS)).unwrap_or(u64::MAX);
    for record in log.records.into_iter().take(BATCH_RECORDS) {
        event(id, &record);
    }
    let dropped = log.dropped.saturating_add(too_many);
    if dropped > 0 {
        tracing::warn!(target: "plugin", integration = %id, dropped, "log events of the plugin were dropped: too many came");
    }
}

fn event(id: &IntegrationId, record: &LogRecord) {
    let joined = record.fields.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
    let (message, fields) = (clip(&record.message), clip(&joined));
    let plugin_target = record.target.as_str();
    // The level of an event is a constant of its call site.
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(target: "plugin", integration = %id, plugin_target, fields, at_ms = record.at_ms, "{message}")
        };
    }
    match record.level {
        LogLevel::Trace => at!(trace),
        LogLevel::Debug => at!(debug),
        LogLevel::Info => at!(info),
        LogLevel::Warn => at!(warn),
        LogLevel::Error => at!(error),
    }
}

fn clip(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
