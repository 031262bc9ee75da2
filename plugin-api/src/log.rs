//! `tracing` events of a gateway on their way to the host's log: filtered before they cross, never waited for.
//!
//! Each gateway thread (and each of its blocking threads) has a dispatcher of its own, so two gateways of one library
//! never mix. The first event leaves from the thread that made it, at once: what a plugin said just before it hung or
//! crashed is not lost. While that call is out, further events gather, bounded, and a task of the gateway sends them
//! together; what finds no room is counted and the number told.

mod fields;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::Notify;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context as LayerContext, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};

use crate::context::{Clock, Host};
use crate::error::{CallError, ErrorCode};
use crate::message::{Log, LogLevel, LogRecord};
use crate::{ops, wire};
use fields::Fields;

/// How many events may wait.
const QUEUE_RECORDS: usize = 1024;
/// How many go together.
const BATCH_RECORDS: usize = 256;

/// The way of one gateway's events to its host.
#[derive(Debug, Clone)]
pub(crate) struct LogForwarder {
    queue: Arc<Queue>,
    filter: Arc<RwLock<Targets>>,
    dispatch: Dispatch,
}

impl LogForwarder {
    /// A filter that cannot be read becomes `info`, which is said in the log.
    pub(crate) fn new(host: Arc<Host>, filter: &str, clock: Clock) -> Self {
        let (targets, problem) = match parse(filter) {
            Ok(targets) => (targets, None),
            Err(error) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
        };
        let queue = Arc::new(Queue { host, state: Mutex::new(State::default()), more: Notify::new() });
        let filter = Arc::new(RwLock::new(targets));
        let layer = Forward { queue: Arc::clone(&queue), filter: Arc::clone(&filter), clock };
        let dispatch = Dispatch::new(Registry::default().with(layer));
        if let Some(error) = problem {
            tracing::dispatcher::with_default(&dispatch, || {
                tracing::warn!(problem = %error, "the log filter cannot be read: info and above are logged");
            });
        }
        Self { queue, filter, dispatch }
    }

    /// To be the default of a thread.
    pub(crate) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Replaces the filter, at once and for every thread of the gateway.
    pub(crate) fn set_filter(&self, filter: &str) -> Result<(), CallError> {
        let targets = parse(filter)?;
        *self.filter.write().unwrap_or_else(PoisonError::into_inner) = targets;
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Sends what gathers, until it is dropped. To be run on the gateway's thread.
    pub(crate) fn sender(&self) -> impl Future<Output = ()> + 'static {
        let queue = Arc::clone(&self.queue);
        async move {
            loop {
                queue.more.notified().await;
                queue.send_next(false);
            }
        }
    }

    /// Sends all that is left, waiting for nothing: the gateway's last act.
    pub(crate) fn send_rest(&self) {
        while self.queue.send_next(true) {}
    }
}

fn parse(filter: &str) -> Result<Targets, CallError> {
    filter.parse().map_err(|error| {
        let message = format!("the log filter {filter:?} cannot be read ({error}): write `info` or `my_plugin=debug`");
        CallError::new(ErrorCode::InvalidRequest, message)
    })
}

#[derive(Debug)]
struct Queue {
    host: Arc<Host>,
    state: Mutex<State>,
    /// Tells the gateway's task that a reply came while events were waiting.
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<LogRecord>,
    dropped: u64,
    /// Whether a batch is on its way.
    sending: bool,
}

impl Queue {
    fn push(self: &Arc<Self>, record: LogRecord) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.waiting.len() >= QUEUE_RECORDS {
                state.dropped += 1;
                return;
            }
            state.waiting.push_back(record);
            if state.sending {
                return;
            }
        }
        self.send_next(false);
    }

    /// Posts the next batch unless one is out (or `anyway`); whether there was one.
    fn send_next(self: &Arc<Self>, anyway: bool) -> bool {
        let log = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() || (state.sending && !anyway) {
                return false;
            }
            state.sending = true;
            let count = state.waiting.len().min(BATCH_RECORDS);
            Log { records: state.waiting.drain(..count).collect(), dropped: std::mem::take(&mut state.dropped) }
        };
        if self.host.knows(&ops::LOG) {
            let queue = Arc::clone(self);
            // The answer is of no interest, an error included: a log must not log about itself.
            self.host.post(&ops::LOG, wire::encode(&log), move |_| queue.sent());
        } else {
            self.sent();
        }
        true
    }

    fn sent(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sending = false;
        if !state.waiting.is_empty() {
            self.more.notify_one();
        }
    }
}

struct Forward {
    queue: Arc<Queue>,
    filter: Arc<RwLock<Targets>>,
    clock: Clock,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Forward {
    fn enabled(&self, metadata: &Metadata<'_>, _: LayerContext<'_, S>) -> bool {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        filter.would_enable(metadata.target(), metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let filter = self.filter.read().unwrap_or_else(PoisonError::into_inner);
        let most = filter.iter().map(|(_, level)| level).chain(filter.default_level()).max();
        Some(most.unwrap_or(LevelFilter::OFF))
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: LayerContext<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: LayerContext<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: LayerContext<'_, S>) {
        let mut own = Fields::default();
        event.record(&mut own);
        let mut fields = own.values;
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer.values.iter().cloned());
            }
        }
        let metadata = event.metadata();
        self.queue.push(LogRecord {
            level: level(*metadata.level()),
            target: metadata.target().to_owned(),
            message: own.message,
            fields,
            at_ms: self.clock.now_ms(),
        });
    }
}

fn level(level: Level) -> LogLevel {
    match level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}
