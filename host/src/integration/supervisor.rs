//! One task per integration: hears inputs, steps the lifecycle, performs its effects, publishes what it is.
//!
//! The task owns the integration's row and state; everybody else holds a [`Supervised`] and sends an [`Input`].
//! Launching, polling, trying out and stopping run as tasks beside it and come back as inputs with their epoch, so
//! that the outcome of an attempt that was given up changes nothing.

mod bring_up;
mod effects;
mod handle;
mod inputs;
mod news;
mod publish;
mod revoked;
mod synchronize;
mod wishes;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Progress, SettingsOutcome};
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

pub(super) use bring_up::{Running, Unfit, failure_of_launch, fields_of, try_out, validate};
pub(super) use handle::Supervised;
pub(super) use inputs::{Activation, Came, Change, Input};

use self::bring_up::{BroughtUp, failure_of_call};
use self::handle::Shared;
use self::inputs::Reply;
use super::OperationError;
use super::ground::{Base, PluginNow};
use super::lifecycle::{self, Life, Moment, Policy, Presence};
use super::view::{IntegrationView, LifecycleEvent};
use crate::plugin::Staged;
use crate::reason::{Reason, ReasonCode};
use crate::store::IntegrationRow;

struct Supervisor {
    base: Arc<Base>,
    policy: Policy,
    row: IntegrationRow,
    life: Life,
    /// What the next start uses.
    plugin: Option<Staged>,
    /// What ran well before, while something newer is being started.
    previous: Option<Staged>,
    /// A new generation that waits for its trial, or failed it or its start.
    candidate: Option<Staged>,
    /// The content of the candidate that found the settings wrong.
    wants_settings: Option<String>,
    /// The good generation changed and the row is not saved yet: what it was before.
    good_before: Option<Option<String>>,
    /// The new generation takes the place of one that ran until now.
    switching: bool,
    epoch: u64,
    cancel: CancellationToken,
    /// Cancelled when the daemon ends.
    ending: CancellationToken,
    /// What holds a gateway beside this task: being started, taken down, tried out. The daemon's end waits for it.
    gateways: TaskTracker,
    poll: Option<AbortHandle>,
    /// By the gateway's own word.
    progress: Option<Progress>,
    /// That word began during a snapshot.
    progress_of_sync: bool,
    /// Snapshots under way.
    synchronizing: u32,
    /// One of them has lasted long enough to be told of.
    sync_shown: bool,
    /// Contents that were loaded into this process: their libraries stay mapped.
    mapped: BTreeSet<String>,
    /// People who wait until it is settled.
    waiting: Vec<Reply>,
    /// People who wait until the running gateway has taken their settings.
    applying: Vec<Reply>,
    /// Whether the running gateway is being told of settings.
    telling: bool,
    /// Settings that were saved meanwhile: it is told of them next.
    untold: Option<AttributeValues>,
    shared: Arc<Shared>,
    view: watch::Sender<Arc<IntegrationView>>,
    events: broadcast::Sender<LifecycleEvent>,
    inputs: mpsc::UnboundedSender<Input>,
}

/// Whether the task goes on.
enum Next {
    Go,
    End,
    /// It ends with the daemon.
    Close(oneshot::Sender<()>),
}

impl Supervisor {
    fn begin(base: Arc<Base>, row: IntegrationRow, events: broadcast::Sender<LifecycleEvent>) -> Supervised {
        let (plugin, presence) = match base.plugins.plugin_now(&row.integration_type) {
            PluginNow::Here(plugin) => (Some(plugin.clone()), Presence::Here),
            PluginNow::Missing(reason) => (None, Presence::Missing(reason)),
            PluginNow::Refused(reason) => (None, Presence::Refused(reason)),
        };
        let (life, effects) = Life::begin(row.desired, presence, moment(&base));
        let shared = Arc::new(Shared {
            running: RwLock::new(None),
            settings: RwLock::new(row.attributes.clone()),
            turn: Arc::default(),
            unique_id: RwLock::new(row.unique_id.clone()),
            newer: RwLock::new(None),
            last_success_ms: AtomicI64::new(0),
        });
        let (inputs, heard) = mpsc::unbounded_channel();
        let span = tracing::info_span!("integration", integration = %row.id);
        let first = publish::at_rest(&row, &life, base.hosting(&row.id), plugin.as_ref());
        let (view, seen) = watch::channel(Arc::new(first));
        let supervisor = Self {
            policy: Policy::from(&base.config.integrations),
            row,
            life,
            plugin,
            previous: None,
            candidate: None,
            wants_settings: None,
            good_before: None,
            switching: false,
            epoch: 0,
            cancel: CancellationToken::new(),
            ending: CancellationToken::new(),
            gateways: TaskTracker::new(),
            poll: None,
            progress: None,
            progress_of_sync: false,
            synchronizing: 0,
            sync_shown: false,
            mapped: BTreeSet::new(),
            waiting: Vec::new(),
            applying: Vec::new(),
            telling: false,
            untold: None,
            shared: Arc::clone(&shared),
            view,
            events,
            inputs: inputs.clone(),
            base,
        };
        tokio::spawn(supervisor.run(heard, effects).instrument(span));
        Supervised { inputs, view: seen, shared }
    }

    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<Input>, first: Vec<lifecycle::Effect>) {
        self.log_transition(None);
        self.announce();
        self.perform(first);
        let clock = self.base.clock.clone();
        let mut due_at_ms = None;
        let mut timer = Box::pin(clock.sleep(Duration::ZERO));
        loop {
            let due = self.life.due_at_ms(&self.policy);
            // A new timer only for a new moment: other inputs do not push it away.
            if due != due_at_ms {
                due_at_ms = due;
                let pause = due.map_or(0, |due| due.saturating_sub(clock.now_ms()).max(0));
                timer = Box::pin(clock.sleep(Duration::from_millis(pause.unsigned_abs())));
            }
            let input = tokio::select! {
                biased;
                input = heard.recv() => input,
                () = &mut timer, if due_at_ms.is_some() => {
                    due_at_ms = None;
                    self.step(lifecycle::Input::TimerDue);
                    continue;
                }
            };
            // This task holds a sender itself, so the channel does not close before it ends.
            let Some(input) = input else { return };
            match self.hear(input).await {
                Next::Go => {}
                Next::End => return,
                Next::Close(reply) => {
                    self.close(heard).await;
                    let _ = reply.send(());
                    return;
                }
            }
            self.save_good().await;
        }
    }

    async fn hear(&mut self, input: Input) -> Next {
        match input {
            Input::Want(desired, reply) => self.want(desired, reply).await,
            Input::Settings(change, turn, reply) => self.settings(*change, turn, reply).await,
            Input::Activate(activation, turn, reply) => self.activate(*activation, turn, reply).await,
            Input::Erase(reply) => {
                let erased = match self.in_use() {
                    Some(refused) => Err(refused),
                    None => self.erase().await,
                };
                self.announce();
                // Who no longer waits needs no answer; the same holds below.
                let _ = reply.send(erased.map(|()| Arc::clone(&self.view.borrow())));
            }
            Input::Delete(reply) => {
                let deleted = match self.in_use() {
                    Some(refused) => Err(refused),
                    None => self.base.store.integration_delete(&self.row.id).await.map_err(OperationError::from),
                };
                let gone = deleted.is_ok();
                if gone {
                    self.announce_deletion();
                }
                let _ = reply.send(deleted);
                return if gone { Next::End } else { Next::Go };
            }
            Input::Close(reply) => return Next::Close(reply),
            Input::Synchronize(reply) => {
                self.synchronize(Some(reply));
                self.announce();
            }
            Input::Plugin(now) => self.plugin_now(now),
            Input::Revoked(sha256, reason) => self.revoked(&sha256, reason),
            Input::TriedOut(sha256, outcome) => self.tried_out(&sha256, outcome),
            Input::Came(epoch, came) if epoch == self.epoch => self.came(came),
            // A gateway that came up after its attempt was given up runs for nobody.
            Input::Came(_, Came::BroughtUp(BroughtUp::Started(running))) => self.discard(running),
            Input::Came(..) => {}
        }
        Next::Go
    }

    fn plugin_now(&mut self, now: PluginNow) {
        match now {
            PluginNow::Here(plugin) => {
                let known = |known: &Option<Staged>| known.as_ref().is_some_and(|k| k.sha256() == plugin.sha256());
                let new = !known(&self.plugin) && !known(&self.candidate);
                // The file that runs is back in its place: what was tried instead does not matter any more.
                let back = known(&self.plugin);
                let old = if new && self.running().is_some() && self.life.holds_gateway() {
                    self.candidate.replace(plugin)
                } else if new {
                    self.base.let_go_of(self.candidate.take());
                    self.plugin.replace(plugin)
                } else if back {
                    self.candidate.take()
                } else {
                    None
                };
                self.base.let_go_of(old);
                self.step(lifecycle::Input::PluginHere { new });
            }
            PluginNow::Missing(reason) => {
                self.candidate = None;
                self.plugin = None;
                self.step(lifecycle::Input::PluginGone(reason));
            }
            PluginNow::Refused(reason) => {
                self.candidate = None;
                // What runs may be started again from its staged copy.
                if !self.life.holds_gateway() {
                    self.plugin = None;
                }
                self.step(lifecycle::Input::PluginRefused(reason));
            }
        }
    }

    fn tried_out(&mut self, sha256: &str, outcome: Result<(), Reason>) {
        if self.candidate.as_ref().is_none_or(|candidate| candidate.sha256() != sha256) {
            return;
        }
        match &outcome {
            Ok(()) => self.take_newer(),
            Err(reason) => self.note_need(reason),
        }
        self.step(lifecycle::Input::Probed(outcome));
    }

    /// The next start is that of the newer generation.
    fn take_newer(&mut self) {
        self.switching = self.running().is_some();
        self.plugin = self.candidate.take();
    }

    /// Whether the candidate failed for want of other settings.
    fn note_need(&mut self, failed: &Reason) {
        let of_settings = failed.code == ReasonCode::BadConfiguration;
        self.wants_settings = self.candidate.as_ref().filter(|_| of_settings).map(|it| it.sha256().to_owned());
    }

    /// The newer generation that waits for settings while an earlier one is in use.
    fn newer(&self) -> Option<&Staged> {
        self.candidate.as_ref().filter(|it| self.wants_settings.as_deref() == Some(it.sha256()))
    }

    fn came(&mut self, came: Came) {
        let stopping = !self.life.holds_gateway();
        match came {
            Came::BroughtUp(BroughtUp::Started(running)) if stopping => self.take_down(running),
            Came::BroughtUp(BroughtUp::Started(running)) => self.started(running),
            Came::BroughtUp(BroughtUp::Failed { .. }) if stopping => {
                self.step(lifecycle::Input::Stopped { late: None })
            }
            Came::BroughtUp(BroughtUp::Failed { failure, reason, before }) => {
                self.previous = before;
                let goes_back = self.goes_back(&reason);
                let why = reason.clone();
                self.step(lifecycle::Input::StartFailed { failure, reason, goes_back });
                if goes_back {
                    self.note_need(&why);
                    self.announce();
                }
            }
            Came::BroughtUp(BroughtUp::Cancelled(late)) | Came::TakenDown(late) => {
                if let Some(late) = &late {
                    tracing::warn!(reason = %late, "it had to be killed");
                }
                self.step(lifecycle::Input::Stopped { late });
            }
            Came::Ended(_) if stopping => {}
            Came::Ended(exit) => {
                if let Some(running) = self.let_go() {
                    self.discard(running);
                }
                self.step(lifecycle::Input::Ended(exit.reason));
            }
            Came::Polled(Ok(())) => {
                self.succeeded();
                self.step(lifecycle::Input::PollOk);
            }
            // The gateway's end is heard of by itself.
            Came::Polled(Err(error)) if error.code == ErrorCode::Gone => {}
            Came::Polled(Err(error)) => {
                let (failure, reason) = failure_of_call(&error, "a poll", ReasonCode::PollFailed);
                self.step(lifecycle::Input::PollFailed(failure, reason));
            }
            Came::SyncLasts => self.sync_lasts(),
            Came::Synchronized(_) if stopping => {}
            Came::Synchronized(outcome) => self.synchronized(outcome),
            Came::News(news) => self.news(&news),
            Came::SettingsTaken(taken) => {
                self.telling = false;
                if let (Ok(SettingsOutcome::Applied), Some(values), Some(running)) =
                    (&taken, self.untold.take(), self.running())
                {
                    self.tell_settings(running, values);
                    return;
                }
                self.waiting.append(&mut self.applying);
                if taken == Ok(SettingsOutcome::Applied) {
                    self.announce();
                    self.answer_waiting();
                } else {
                    self.step(lifecycle::Input::RestartNeeded);
                }
            }
        }
    }

    /// Steps the lifecycle, performs what it asks for, tells everybody.
    fn step(&mut self, input: lifecycle::Input) {
        let before = self.life.clone();
        let (life, effects) = before.clone().step(input, moment(&self.base), &self.policy);
        self.life = life;
        self.log_transition(Some(&before));
        self.perform(effects);
        self.announce();
        self.answer_waiting();
    }

    fn running(&self) -> Option<Running> {
        self.shared.running.read().clone()
    }

    fn succeeded(&self) {
        self.shared.last_success_ms.store(self.base.clock.now_ms(), Ordering::Relaxed);
    }
}

fn moment(base: &Base) -> Moment {
    let mut bytes = [0_u8; 2];
    // Without the system's randomness retries are not spread, and nothing else is worse.
    let chance = match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 0.5,
    };
    Moment { now_ms: base.clock.now_ms(), chance }
}
