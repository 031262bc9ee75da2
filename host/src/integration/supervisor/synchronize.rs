//! Asking the running gateway for the upstream's entities: after each start, and whenever a person wants it.

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::message::{Progress, SyncOutcome};
use gatehouse_plugin_api::ops;
use tokio::sync::oneshot;

use super::bring_up::{Running, failure_of_call};
use super::{Came, Supervisor};
use crate::integration::{OperationError, control, lifecycle};
use crate::reason::ReasonCode;

/// What is told while the gateway reads from its upstream and says nothing more precise.
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
        self.progress = Some(Progress { message: UNDER_WAY.to_owned(), percent: None });
        let id = self.row.id.clone();
        self.beside(async move {
            let outcome = snapshot(&running).await;
            if let Some(reply) = reply {
                let answer = outcome.clone().map_err(|error| OperationError::Gateway { integration: id, error });
                let _ = reply.send(answer);
            }
            Came::Synchronized(outcome)
        });
    }

    /// Takes what came of a snapshot: it changes how the integration is, never whether it runs.
    pub(super) fn synchronized(&mut self, outcome: Result<SyncOutcome, CallError>) {
        self.synchronizing = self.synchronizing.saturating_sub(1);
        if self.synchronizing == 0 {
            self.progress = None;
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

/// One complete snapshot, applied; one at a time for each generation, for the host keeps their chunks apart by order.
async fn snapshot(running: &Running) -> Result<SyncOutcome, CallError> {
    let _turn = running.host.sync_turn().await;
    // What an earlier call that missed its deadline brought after all is not this one's.
    let _ = running.host.take_synced();
    running.gateway.call::<_, ()>(&ops::SYNCHRONIZE, &()).await?;
    running.host.take_synced().ok_or_else(|| {
        CallError::new(ErrorCode::NoReply, "the plugin answered synchronize without sending a complete snapshot")
    })
}
