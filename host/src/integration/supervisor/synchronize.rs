//! Asking the running gateway for the upstream's entities: after each start, and whenever a person wants it.

use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::message::{Progress, SyncOutcome};
use gatehouse_plugin_api::ops;
use tokio::sync::oneshot;

use super::bring_up::{Running, failure_of_call};
use super::{Came, Supervisor};
use crate::integration::{OperationError, control, lifecycle};
use crate::reason::ReasonCode;

/// How long a snapshot may take before it is shown as progress: most plugins are done by then, or have none to give.
const SHOWN_AFTER: Duration = Duration::from_millis(300);
/// What is told then, as long as the gateway says nothing more precise.
const UNDER_WAY: &str = "reading the entities from the upstream";

/// The answer to a person who wants a snapshot.
pub(super) type SyncReply = oneshot::Sender<Result<SyncOutcome, OperationError>>;

impl Supervisor {
    /// Asks for a snapshot beside everything else; `reply` is answered whatever becomes of this attempt.
    pub(super) fn synchronize(&mut self, reply: Option<SyncReply>) {
        let Some(running) = self.running() else {
            if let Some(reply) = reply {
                // Who no longer waits needs no answer.
                let _ = reply.send(Err(control::not_running(&self.view.borrow())));
            }
            return;
        };
        self.synchronizing += 1;
        let clock = self.base.clock.clone();
        self.beside(async move {
            clock.sleep(SHOWN_AFTER).await;
            Came::SyncLasts
        });
        let (id, turns) = (self.row.id.clone(), Arc::clone(&self.shared.turns));
        self.beside(async move {
            let outcome = {
                // Not in the middle of a switch.
                let _turn = turns.background.read().await;
                snapshot(&running).await
            };
            if let Some(reply) = reply {
                let answer = outcome.clone().map_err(|error| match error.code {
                    ErrorCode::Unsupported => {
                        OperationError::Conflict(format!("{id} has no list of entities to give: {}", error.message))
                    }
                    _ => OperationError::of_call(&id, error, "it was synchronized"),
                });
                let _ = reply.send(answer);
            }
            Came::Synchronized(outcome)
        });
    }

    /// A snapshot takes long enough to be told of.
    pub(super) fn sync_lasts(&mut self) {
        if self.synchronizing > 0 {
            self.sync_shown = true;
            self.announce();
        }
    }

    /// What work is under way: by the gateway's own word, else a snapshot that lasts.
    pub(super) fn progress(&self) -> Option<Progress> {
        let snapshot = || Progress { message: UNDER_WAY.to_owned(), percent: None };
        self.progress.clone().or_else(|| self.sync_shown.then(snapshot))
    }

    /// Takes the gateway's word on its progress. What it begins to tell during a snapshot is the snapshot's, and ends
    /// with it; what it told of before is other work.
    pub(super) fn progress_told(&mut self, told: Progress) {
        let of_snapshot = self.synchronizing > 0 && (self.progress.is_none() || self.progress_of_sync);
        self.progress = Some(told).filter(|told| told.percent.is_none_or(|done| done < 100.0));
        self.progress_of_sync = of_snapshot && self.progress.is_some();
        self.announce();
    }

    /// No snapshot is under way any more, and nothing of one is shown.
    pub(super) fn sync_over(&mut self) {
        self.synchronizing = 0;
        self.sync_shown = false;
        if std::mem::take(&mut self.progress_of_sync) {
            self.progress = None;
        }
    }

    /// Takes what came of a snapshot: it changes how the integration is, never whether it runs.
    pub(super) fn synchronized(&mut self, outcome: Result<SyncOutcome, CallError>) {
        self.synchronizing = self.synchronizing.saturating_sub(1);
        if self.synchronizing == 0 {
            self.sync_over();
        }
        match outcome {
            Ok(SyncOutcome { created, updated, reconnected, detached }) => {
                tracing::info!(created, updated, reconnected, detached, "synchronized");
                self.succeeded();
                self.step(lifecycle::Input::Synchronized(Ok(())));
            }
            // One that declares its entities by itself; the end of a gateway is heard of by itself.
            Err(error) if matches!(error.code, ErrorCode::Unsupported | ErrorCode::Gone) => self.announce(),
            Err(error) => {
                let (_, reason) = failure_of_call(&error, "reading the entities", ReasonCode::SynchronizeFailed);
                tracing::warn!(%reason, code = reason.code.as_str(), "synchronizing failed");
                self.step(lifecycle::Input::Synchronized(Err(reason)));
            }
        }
    }
}

/// One complete snapshot, applied; one at a time for each generation.
async fn snapshot(running: &Running) -> Result<SyncOutcome, CallError> {
    let window = running.host.sync_window().await;
    running.gateway.call::<_, ()>(&ops::SYNCHRONIZE, &window.request()).await?;
    window.outcome().ok_or_else(|| {
        CallError::new(ErrorCode::NoReply, "the plugin answered synchronize without sending a complete snapshot")
    })
}
