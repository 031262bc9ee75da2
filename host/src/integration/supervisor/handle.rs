//! A supervisor as seen from outside: asked by inputs, read without waiting for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gatehouse_plugin_api::attribute::AttributeValues;
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::Supervisor;
use super::bring_up::Running;
use super::crossing::Turns;
use super::inputs::Input;
use crate::gateway::Exchanges;
use crate::integration::OperationError;
use crate::integration::ground::Base;
use crate::integration::view::{Actual, FailedOnce, IntegrationView, LifecycleEvent};
use crate::plugin::Staged;
use crate::store::IntegrationRow;

/// An integration's supervisor, as seen from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::integration) struct Supervised {
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    pub(super) view: watch::Receiver<Arc<IntegrationView>>,
    pub(super) shared: Arc<Shared>,
}

/// The turn to change an integration's settings; over once it is dropped.
#[derive(Debug)]
pub(in crate::integration) struct SettingsTurn {
    _alone: tokio::sync::OwnedMutexGuard<()>,
}

/// The gateway in use, and the turn to speak with it.
#[derive(Debug)]
pub(in crate::integration) struct Entered {
    running: Running,
    _turn: tokio::sync::OwnedRwLockReadGuard<()>,
}

impl std::ops::Deref for Entered {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// What is read without asking the task.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) running: RwLock<Option<Running>>,
    pub(super) settings: RwLock<AttributeValues>,
    /// Whose turn it is to change settings: held from reading them until the change is saved.
    pub(super) turn: Arc<tokio::sync::Mutex<()>>,
    /// Who speaks with the gateway in use.
    pub(super) turns: Arc<Turns>,
    pub(super) unique_id: RwLock<Option<String>>,
    pub(super) newer: RwLock<Option<Staged>>,
    /// The record of the calls to its gateways.
    pub(super) exchanges: Exchanges,
    /// Failures that count at present.
    pub(super) failures: RwLock<Vec<FailedOnce>>,
    /// 0 when there was none.
    pub(super) last_success_ms: AtomicI64,
}

impl Supervised {
    /// Begins to supervise an integration that has a row.
    pub(in crate::integration) fn begin(
        base: Arc<Base>,
        row: IntegrationRow,
        events: broadcast::Sender<LifecycleEvent>,
    ) -> Self {
        Supervisor::begin(base, row, events)
    }

    /// The integration as it is now.
    pub(in crate::integration) fn view(&self) -> Arc<IntegrationView> {
        let view = Arc::clone(&self.view.borrow());
        let last_success_ms = Some(self.shared.last_success_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0);
        if view.last_success_ms == last_success_ms {
            return view;
        }
        Arc::new(IntegrationView { last_success_ms, ..IntegrationView::clone(&view) })
    }

    /// What it does now.
    pub(in crate::integration) fn actual(&self) -> Actual {
        self.view.borrow().actual
    }

    /// The gateway that runs now.
    pub(in crate::integration) fn running(&self) -> Option<Running> {
        self.shared.running.read().clone()
    }

    /// The gateway that runs now, for a call: held for a moment while a new generation takes over, and kept from being
    /// switched away until it is dropped. One task enters once at a time.
    pub(in crate::integration) async fn enter(&self) -> Option<Entered> {
        let turn = Arc::clone(&self.shared.turns.calls).read_owned().await;
        self.running().map(|running| Entered { running, _turn: turn })
    }

    /// Its settings, secrets included: for a gateway, never for an answer.
    pub(in crate::integration) fn settings(&self) -> AttributeValues {
        self.shared.settings.read().clone()
    }

    /// Waits for the turn to change its settings. Who has it reads them, checks the change and hands the turn over with
    /// it, so that no change is made from settings that are not the newest.
    pub(in crate::integration) async fn settings_turn(&self) -> SettingsTurn {
        SettingsTurn { _alone: Arc::clone(&self.shared.turn).lock_owned().await }
    }

    /// The newer generation that waits for settings while an earlier one is in use: settings are for it.
    pub(in crate::integration) fn newer(&self) -> Option<Staged> {
        self.shared.newer.read().clone()
    }

    /// The record of the calls to its gateways.
    pub(in crate::integration) fn exchanges(&self) -> &Exchanges {
        &self.shared.exchanges
    }

    /// Failures that count at present, oldest first.
    pub(in crate::integration) fn failures(&self) -> Vec<FailedOnce> {
        self.shared.failures.read().clone()
    }

    /// The upstream's own identity.
    pub(in crate::integration) fn unique_id(&self) -> Option<String> {
        self.shared.unique_id.read().clone()
    }

    /// Something of it worked just now.
    pub(in crate::integration) fn succeeded(&self, now_ms: i64) {
        self.shared.last_success_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Hands an input over; lost when the supervisor has ended.
    pub(in crate::integration) fn send(&self, input: Input) {
        let _ = self.inputs.send(input);
    }

    /// Hands an input over and waits for its answer.
    pub(in crate::integration) async fn ask<T>(
        &self,
        input: impl FnOnce(oneshot::Sender<Result<T, OperationError>>) -> Input,
    ) -> Result<T, OperationError> {
        let (reply, answer) = oneshot::channel();
        self.send(input(reply));
        answer.await.unwrap_or_else(|_| Err(OperationError::Unavailable("the integration is gone".to_owned())))
    }

    /// Stops it for the daemon's end; its desired state stays.
    pub(in crate::integration) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        self.send(Input::Close(reply));
        // One that has ended already is closed.
        let _ = closed.await;
    }
}
