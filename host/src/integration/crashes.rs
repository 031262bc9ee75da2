//! The crash record: what a gateway leaves behind, without what is secret, kept and counted.
//!
//! Every text in it goes through the same redaction as diagnostics. What was printed while an integration is being set
//! up is left out: what a person typed there is known to nobody here yet.

use std::fmt;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::diagnostics::{self, Redaction};
use super::ground::Base;
use crate::clock::Clock;
use crate::gateway::{Crash, Fall, Witness};
use crate::log::{HostLog, LogLine, LogQuery};
use crate::store::{MovedRow, Store, StoreError};

/// Lines of the log that are kept with a crash.
const LINES: usize = 200;

/// A crash with what led to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CrashRecord {
    /// What is known of it.
    #[serde(flatten)]
    pub crash: Crash,
    /// The integration's last lines of the log, oldest first.
    #[serde(default)]
    pub lines: Vec<LogLine>,
}

/// Keeps crashes. Cheap to clone.
#[derive(Clone)]
pub(super) struct CrashBook {
    store: Store,
    clock: Clock,
    /// The gateway belongs to a flow or a probe.
    provisional: bool,
}

impl fmt::Debug for CrashBook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashBook").field("provisional", &self.provisional).finish_non_exhaustive()
    }
}

impl CrashBook {
    /// A witness for gateways that run, or that only try something out.
    pub(super) fn witness(store: &Store, clock: &Clock, provisional: bool) -> Arc<dyn Witness> {
        Arc::new(Self::new(store, clock, provisional))
    }

    pub(super) fn new(store: &Store, clock: &Clock, provisional: bool) -> Self {
        Self { store: store.clone(), clock: clock.clone(), provisional }
    }

    /// Keeps a crash; its number.
    pub(super) async fn keep(&self, id: &IntegrationId, mut crash: Crash) -> Result<i64, StoreError> {
        let fold = crash.fold();
        let lines = if self.provisional {
            crash.reason.cause = None;
            Vec::new()
        } else {
            let redaction = Redaction::new(diagnostics::kept_secrets(&self.store, id).await?);
            redact(&mut crash, &redaction);
            lines_of(id, &redaction)
        };
        let record = serde_json::to_string(&CrashRecord { crash, lines }).unwrap_or_default();
        self.store.crash_keep(id, fold, self.clock.now_ms(), record).await
    }
}

impl Witness for CrashBook {
    fn crashed(&self, integration: &IntegrationId, crash: Crash) {
        let (signal, place) = (crash.signal.clone(), crash.place.as_ref().map(ToString::to_string));
        let place = place.unwrap_or_else(|| "unknown".to_owned());
        // This is a blocking thread, so that it may wait.
        match tokio::runtime::Handle::current().block_on(self.keep(integration, crash)) {
            Ok(number) => tracing::error!(%integration, crash = number, signal, place, "crash recorded"),
            Err(error) => tracing::error!(%integration, signal, place, %error, "a crash could not be recorded"),
        }
    }
}

/// What follows when the daemon before this one died by a plugin's code in its own process: the crash is recorded, and
/// that integration runs in a worker from now on. All others start as ever.
pub(super) async fn after_a_fall(base: &Base) -> Result<(), StoreError> {
    let Some(fall) = Fall::take(&base.home.flight_file()) else { return Ok(()) };
    let signal = fall.signal();
    let Some(culprit) = fall.culprit.clone() else {
        tracing::error!(signal, "the daemon before this one died by a fault, and no plugin's code was at it");
        return Ok(());
    };
    let id = &culprit.integration;
    let during = culprit.call.as_ref().map_or_else(String::new, |call| format!(" during {}", call.op));
    tracing::error!(integration = %id, signal, "the daemon before this one died by its code: it runs in a worker now");
    let why = format!(
        "It brought the daemon down ({signal}{during}) and runs in a worker since, against the configuration; \
         gatehouse integration move-back {id} undoes that."
    );
    base.store
        .moved_save(MovedRow { integration_id: id.clone(), at_ms: base.clock.now_ms(), why: why.clone() })
        .await?;
    base.moved.write().insert(id.clone(), why);
    if let Some(plugin) = base.plugins.generation(&culprit.sha256).await {
        let found = culprit.clone();
        let read = tokio::task::spawn_blocking(move || fall.crash(&found, &plugin)).await;
        if let Ok(crash) = read {
            CrashBook::new(&base.store, &base.clock, false).keep(id, crash).await?;
        }
    }
    Ok(())
}

fn redact(crash: &mut Crash, redaction: &Redaction) {
    crash.reason.sentence = redaction.text(&crash.reason.sentence);
    let texts = crash.reason.cause.iter_mut().chain(crash.thread.iter_mut());
    for text in texts {
        *text = redaction.text(text);
    }
}

/// The last lines about an integration.
fn lines_of(id: &IntegrationId, redaction: &Redaction) -> Vec<LogLine> {
    let Some(log) = HostLog::installed() else { return Vec::new() };
    let query = LogQuery { integration: Some(id.clone()), limit: Some(LINES), ..LogQuery::default() };
    let redacted = |line: &Arc<LogLine>| {
        let mut line = LogLine::clone(line);
        line.message = redaction.text(&line.message);
        line.fields =
            line.fields.into_iter().map(|(key, value)| (redaction.text(&key), redaction.text(&value))).collect();
        line
    };
    log.read(&query).lines.iter().map(redacted).collect()
}
