//! From a `tracing` event to a line: its message, its fields and those of the spans around it.

use std::collections::BTreeMap;
use std::fmt;

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::LogLevel;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::levels::Chosen;
use super::{HostLog, LogLine};
use crate::causes::with_causes;
use crate::clock::Clock;

/// The field, of an event or a span, that says which integration a line is about.
pub(super) const INTEGRATION: &str = "integration";

/// Writes every event into the log.
#[derive(Debug)]
pub(super) struct LineLayer {
    log: HostLog,
    chosen: Option<Chosen>,
    clock: Clock,
}

impl LineLayer {
    /// One that writes all that reaches it.
    pub(super) fn new(log: HostLog) -> Self {
        Self { log, chosen: None, clock: Clock::system() }
    }

    /// One that asks a filter about each event again, when it is known which integration the event is about.
    pub(super) fn behind(log: HostLog, chosen: Chosen) -> Self {
        Self { chosen: Some(chosen), ..Self::new(log) }
    }
}

/// Fields as they were recorded; kept with a span, and gathered for a line.
#[derive(Debug, Default, Clone)]
struct Fields {
    message: String,
    others: BTreeMap<String, String>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.set(field, with_causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}

impl Fields {
    fn set(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.others.insert(field.name().to_owned(), value);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LineLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        // From the outermost span inwards, so that the nearest value of a name stands.
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.others.extend(of_span.others.clone());
            }
        }
        event.record(&mut fields);
        let integration = fields.others.get(INTEGRATION).and_then(|id| IntegrationId::new(id).ok());
        if let Some(chosen) = &self.chosen
            && !chosen.passes(event.metadata(), integration.as_ref(), context)
        {
            return;
        }
        if integration.is_some() {
            fields.others.remove(INTEGRATION);
        }
        self.log.write(LogLine {
            sequence: 0,
            at_ms: self.clock.now_ms(),
            level: level(*event.metadata().level()),
            target: event.metadata().target().to_owned(),
            integration,
            message: fields.message,
            fields: fields.others,
        });
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        _ => LogLevel::Trace,
    }
}
