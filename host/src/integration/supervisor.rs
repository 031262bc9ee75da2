//! One task per integration: hears inputs, steps the lifecycle, performs its effects, publishes what it is.
//!
//! The task owns the integration's row and state; everybody else holds a [`Supervised`] and sends an [`Input`].
//! Launching, polling, trying out and stopping run as tasks beside it and come back as inputs with their epoch, so
//! that the outcome of an attempt that was given up changes nothing.

mod bring_up;
mod choosing;
mod crossing;
mod effects;
mod handle;
mod holding;
mod inputs;
mod news;
mod publish;
mod revoked;
mod synchronize;
mod upgrading;
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
pub(super) use handle::{Entered, Supervised};
pub(super) use inputs::{Activation, Came, Change, Hold, Input};

use self::bring_up::{BroughtUp, failure_of_call};
use self::choosing::Remembered;
use self::crossing::Turns;
use self::handle::Shared;
use self::inputs::Reply;
use self::upgrading::{GoingBack, UnderWay};
use super::OperationError;
use super::ground::{Base, PluginNow};
use super::lifecycle::{self, Life, Moment, Policy, Presence};
use super::upgrade::{self, Upgrade};
use super::view::{IntegrationView, LifecycleEvent};
use crate::gateway::Exchanges;
use crate::plugin::Staged;
use crate::reason::{Reason, ReasonCode};
use crate::store::{IntegrationRow, Trial, UpgradeRow};

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
    /// Where a new generation stands.
    upgrade: Upgrade,
    /// What the integration is held to, as it is saved.
    held: UpgradeRow,
    held_unsaved: bool,
    /// A new generation that is started beside the one in use.
    crossing: Option<UnderWay>,
    /// People who wait until it has taken over, or not.
    crossing_waits: Vec<Reply>,
    /// The candidate waits for the next start of the one in use to be tried.
    untried: bool,
    /// A start put a generation on trial.
    trial_began: bool,
    /// The generation in use failed on trial: done once the input is through.
    going_back: Option<GoingBack>,
    epoch: u64,
    /// The last epoch that was given out.
    epochs: u64,
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
        base.meters.begin(&row.id);
        let (life, effects) = Life::begin(row.desired, presence, moment(&base));
        let shared = Arc::new(Shared {
            running: RwLock::new(None),
            settings: RwLock::new(row.attributes.clone()),
            turn: Arc::default(),
            turns: Arc::<Turns>::default(),
            unique_id: RwLock::new(row.unique_id.clone()),
            newer: RwLock::new(None),
            exchanges: Exchanges::new(base.clock.clone()),
            failures: RwLock::default(),
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
            upgrade: Upgrade::default(),
            held: UpgradeRow::default(),
            held_unsaved: false,
            crossing: None,
            crossing_waits: Vec::new(),
            untried: false,
            trial_began: false,
            going_back: None,
            epoch: 0,
            epochs: 0,
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

    async fn run(mut self, mut heard: mpsc::UnboundedReceiver<Input>, mut first: Vec<lifecycle::Effect>) {
        let (presence, refused) = match self.remember().await {
            Remembered::File => (None, None),
            Remembered::Nothing(reason) => (Some(Presence::Refused(reason)), None),
            Remembered::Copy(reason) => (Some(Presence::Here), Some(reason)),
        };
        if let Some(presence) = presence {
            (self.life, first) = Life::begin(self.row.desired, presence, moment(&self.base));
        }
        self.log_transition(None);
        self.announce();
        self.perform(first);
        if let Some(reason) = refused {
            self.refused(reason);
        }
        self.follow_up().await;
        let clock = self.base.clock.clone();
        let mut due_at_ms = None;
        let mut timer = Box::pin(clock.sleep(Duration::ZERO));
        loop {
            let of_upgrade = self.upgrade.due_at_ms().filter(|_| self.running().is_some());
            let due = self.life.due_at_ms(&self.policy).into_iter().chain(of_upgrade).min();
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
                    self.time_is_up().await;
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
            self.follow_up().await;
        }
    }

    async fn time_is_up(&mut self) {
        let now_ms = self.base.clock.now_ms();
        if self.running().is_some() && self.upgrade.due_at_ms().is_some_and(|due| due <= now_ms) {
            self.upgrade_step(upgrade::Input::TimerDue);
        }
        if self.life.due_at_ms(&self.policy).is_some_and(|due| due <= now_ms) {
            self.step(lifecycle::Input::TimerDue);
        }
        self.follow_up().await;
    }

    /// What an input left to be written.
    async fn follow_up(&mut self) {
        self.go_back().await;
        self.save_good().await;
        self.save_held().await;
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
            Input::Restart(reply) => {
                self.waiting.push(reply);
                self.step(lifecycle::Input::RestartNeeded);
            }
            Input::Synchronize(reply) => {
                self.synchronize(Some(reply));
                self.announce();
            }
            Input::Hold(hold, reply) => self.hold(hold, reply).await,
            Input::Revoked(sha256, reason) => self.revoked(&sha256, reason),
            Input::Plugin(now) => self.plugin_now(now).await,
            Input::KeepsTooMuch(reason) if self.running().is_some() && self.life.holds_gateway() => self.ended(reason),
            Input::KeepsTooMuch(_) => {}
            Input::Crossed(epoch, crossed) => self.crossed(epoch, crossed).await,
            // It is in the database, whatever became of the start.
            Input::Came(_, Came::TrialBegan(trial)) => self.trial_began(*trial),
            Input::TriedOut(sha256, outcome) => self.tried_out(&sha256, outcome),
            Input::Came(epoch, came) if epoch == self.epoch => self.came(came),
            // A gateway that came up after its attempt was given up runs for nobody.
            Input::Came(_, Came::BroughtUp(BroughtUp::Started(running))) => self.discard(running),
            Input::Came(..) => {}
        }
        Next::Go
    }

    fn tried_out(&mut self, sha256: &str, outcome: Result<(), Reason>) {
        if self.candidate.as_ref().is_none_or(|candidate| candidate.sha256() != sha256) {
            return;
        }
        let how = self.candidate.as_ref().map_or(upgrade::How::Beside, |candidate| self.how(candidate));
        if let Err(reason) = &outcome {
            self.note_need(reason);
        }
        self.upgrade_step(upgrade::Input::Tried(outcome.map(|()| how)));
    }

    fn trial_began(&mut self, trial: Trial) {
        self.row.last_good_sha256 = Some(trial.to.sha256.clone());
        self.held.trial = Some(trial);
        self.trial_began = true;
    }

    /// What ran has ended, or is ended here.
    fn ended(&mut self, reason: Reason) {
        if let Some(running) = self.let_go() {
            self.discard(running);
        }
        if !self.failed_on_trial(&reason, lifecycle::Input::Ended(reason.clone())) {
            self.leave_upgrade();
            self.step(lifecycle::Input::Ended(reason));
        }
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
                if goes_back {
                    self.put_on_trial();
                    let otherwise = lifecycle::Input::StartFailed { failure, reason: reason.clone(), goes_back: false };
                    if self.failed_on_trial(&reason, otherwise) {
                        return;
                    }
                }
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
            Came::Ended(exit) => self.ended(exit.reason),
            Came::Polled(Ok(())) => {
                self.succeeded();
                self.upgrade_polled(Ok(()));
                self.step(lifecycle::Input::PollOk);
            }
            // The gateway's end is heard of by itself.
            Came::Polled(Err(error)) if error.code == ErrorCode::Gone => {}
            Came::Polled(Err(error)) => {
                let (failure, reason) = failure_of_call(&error, "a poll", ReasonCode::PollFailed);
                self.upgrade_polled(Err((failure, &reason)));
                if self.going_back.is_some() {
                    return;
                }
                self.step(lifecycle::Input::PollFailed(failure, reason));
            }
            Came::SyncLasts => self.sync_lasts(),
            Came::Synchronized(_) if stopping => {}
            Came::Synchronized(outcome) => self.synchronized(outcome),
            Came::News(news) => self.news(&news),
            Came::TrialBegan(trial) => self.trial_began(*trial),
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
