//! What the lifecycle asks for, done: starting, stopping, trying out, remembering.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::message::{Attributes, SettingsOutcome};
use gatehouse_plugin_api::ops;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::bring_up::{self, BeginTrial, BringUp, BroughtUp, Running, Unfit};
use super::crossing::Crossed;
use super::news::News;
use super::{Came, Input, Supervisor};
use crate::gateway::Hosting;
use crate::integration::attributes;
use crate::integration::host_calls::{Access, HostSide, Told};
use crate::integration::lifecycle::{self, Effect};
use crate::integration::upgrade;
use crate::reason::{Reason, ReasonCode};

impl Supervisor {
    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start => self.start(),
                Effect::StartPrevious => {
                    // The generation that failed its start stays away until its file changes again.
                    self.switching = false;
                    if let Some(previous) = self.previous.take() {
                        self.candidate = self.plugin.replace(previous);
                    }
                    self.start();
                }
                Effect::Stop => self.stop(),
                Effect::Probe => self.found(),
                Effect::KeepGood => self.keep_good(),
            }
        }
    }

    fn start(&mut self) {
        self.epochs += 1;
        self.epoch = self.epochs;
        self.trial_began = false;
        self.waiting.append(&mut self.applying);
        self.telling = false;
        self.untold = None;
        self.cancel = CancellationToken::new();
        self.sync_over();
        self.progress = None;
        // A start is only asked for with a plugin; without one there is nothing to do but to wait for it.
        let Some(plugin) = self.plugin.clone() else { return };
        let hosting = self.base.hosting(&self.row.id);
        self.row.hosting = hosting;
        let on_trial = self.held.trial.as_ref().filter(|trial| trial.to.sha256 == plugin.sha256());
        let good = match on_trial {
            Some(trial) => Some(trial.from.sha256.clone()),
            None => self.row.last_good_sha256.clone().filter(|good| *good != plugin.sha256()),
        };
        let trial = (on_trial.is_none() && good.is_some()).then(|| {
            let (epoch, inputs) = (self.epoch, self.inputs.clone());
            let told = move |trial| drop(inputs.send(Input::Came(epoch, Came::TrialBegan(Box::new(trial)))));
            BeginTrial { held: self.held.clone(), until_ms: self.trial_until(), told: Box::new(told) }
        });
        if hosting == Hosting::InProcess {
            self.mapped.insert(plugin.sha256().to_owned());
        }
        let exchanges = self.shared.exchanges.of_another();
        exchanges.take_over();
        let bring_up = BringUp {
            base: Arc::clone(&self.base),
            id: self.row.id.clone(),
            attributes: attributes::known(&plugin.manifest().attributes, &self.row.attributes),
            plugin,
            hosting,
            good,
            trial,
            host: self.host_side(self.epoch, false),
            exchanges,
            cancel: self.cancel.clone(),
        };
        self.with_gateway(async move { Came::BroughtUp(bring_up.run().await) });
    }

    /// Whether a failed start goes back: at a switch in any case, else only where the new code is to blame.
    pub(super) fn goes_back(&self, reason: &Reason) -> bool {
        let outer = [ReasonCode::StartFailed, ReasonCode::BadCredentials, ReasonCode::BadConfiguration];
        self.previous.is_some() && (self.switching || !outer.contains(&reason.code))
    }

    /// The host's side of a generation that starts under this epoch; `held` until it has taken over.
    pub(super) fn host_side(&self, epoch: u64, held: bool) -> HostSide {
        let inputs = self.inputs.clone();
        let (shared, clock, news) = (Arc::clone(&self.shared), self.base.clock.clone(), Arc::<News>::default());
        let tell = move |told| match told {
            Told::Reading => shared.last_success_ms.store(clock.now_ms(), Ordering::Relaxed),
            told => news.keep(told, epoch, &inputs),
        };
        let (id, base) = (self.row.id.clone(), Arc::clone(&self.base));
        if held {
            HostSide::held(id, base, Box::new(tell))
        } else {
            HostSide::new(id, base, Access::Full(Box::new(tell)))
        }
    }

    /// Runs something beside this task; its outcome comes back under today's epoch.
    pub(super) fn beside(&self, work: impl Future<Output = Came> + Send + 'static) {
        tokio::spawn(self.reporting(work));
    }

    /// As `beside`, for work that holds a gateway nobody else holds: the daemon's end waits for it.
    fn with_gateway(&self, work: impl Future<Output = Came> + Send + 'static) {
        self.gateways.spawn(self.reporting(work));
    }

    fn reporting(
        &self,
        work: impl Future<Output = Came> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (epoch, inputs) = (self.epoch, self.inputs.clone());
        let work = async move {
            let came = work.await;
            let _ = inputs.send(Input::Came(epoch, came));
        };
        work.in_current_span()
    }

    pub(super) fn started(&mut self, running: Running) {
        *self.shared.running.write() = Some(running.clone());
        self.put_on_trial();
        self.attend(&running);
        self.step(lifecycle::Input::Started);
        if self.untried {
            self.found();
        }
    }

    /// A trial that began with the start of this generation counts from here.
    pub(super) fn put_on_trial(&mut self) {
        if std::mem::take(&mut self.trial_began) {
            let until_ms = self.trial_until();
            if let Some(trial) = &mut self.held.trial {
                trial.until_ms = until_ms;
                self.held_unsaved = true;
            }
            self.upgrade_step(upgrade::Input::TookOver);
        }
    }

    /// Watches, reads and polls the generation in use.
    pub(super) fn attend(&mut self, running: &Running) {
        let gateway = Arc::clone(&running.gateway);
        self.beside(async move { Came::Ended(gateway.ended().await) });
        self.base.meters.of(&self.row.id).starts.add(1);
        self.succeeded();
        self.synchronize(None);
        if let Some(interval_ms) = running.plugin.manifest().poll_interval_ms.filter(|ms| *ms > 0) {
            let (epoch, inputs) = (self.epoch, self.inputs.clone());
            let told = move |polled| drop(inputs.send(Input::Came(epoch, Came::Polled(polled))));
            let interval = Duration::from_millis(interval_ms);
            let turns = Arc::clone(&self.shared.turns);
            let poll = bring_up::poll(Arc::clone(&running.gateway), self.base.clock.clone(), interval, turns, told);
            self.poll = Some(tokio::spawn(poll.in_current_span()).abort_handle());
        }
    }

    /// Stops what runs, or gives up what is being started.
    fn stop(&mut self) {
        self.leave_upgrade();
        match self.let_go() {
            Some(running) => self.take_down(running),
            None => self.cancel.cancel(),
        }
    }

    /// Takes the running gateway out of everybody's reach and ends its polls.
    pub(super) fn let_go(&mut self) -> Option<Running> {
        if let Some(poll) = self.poll.take() {
            poll.abort();
        }
        self.sync_over();
        self.progress = None;
        self.shared.running.write().take()
    }

    pub(super) fn take_down(&self, running: Running) {
        let base = Arc::clone(&self.base);
        self.with_gateway(async move {
            let host = running.host.clone();
            let late = running.take_down(&base).await;
            let dropped = host.dropped();
            if dropped > 0 {
                tracing::info!(dropped, "calls of the stopped generation were dropped");
            }
            Came::TakenDown(late)
        });
    }

    /// Ends a gateway that runs for nobody.
    pub(super) fn discard(&self, running: Running) {
        let base = Arc::clone(&self.base);
        self.gateways.spawn(async move { running.discard(&base).await }.in_current_span());
    }

    pub(super) fn try_out(&self) {
        let Some(candidate) = self.candidate.clone() else { return };
        let (base, id) = (Arc::clone(&self.base), self.row.id.clone());
        let attributes = attributes::known(&candidate.manifest().attributes, &self.row.attributes);
        let (inputs, ending) = (self.inputs.clone(), self.ending.clone());
        let work = async move {
            let tried = tokio::select! {
                biased;
                // A trial that is dropped kills its worker.
                () = ending.cancelled() => return,
                tried = bring_up::try_out(&base, &id, &candidate, &attributes) => tried,
            };
            let outcome = match tried {
                Ok(()) => Ok(()),
                Err(Unfit::Launch(reason)) => Err(reason),
                Err(Unfit::Settings(fields)) => {
                    Err(Reason::new(ReasonCode::BadConfiguration, attributes::sentence(&fields)))
                }
            };
            let _ = inputs.send(Input::TriedOut(candidate.sha256().to_owned(), outcome));
        };
        self.gateways.spawn(work.in_current_span());
    }

    /// What runs is good: it is what a later switch goes back to.
    fn keep_good(&mut self) {
        self.switching = false;
        if self.held.granted.is_none()
            && let Some(plugin) = &self.plugin
        {
            self.held.granted = Some(plugin.manifest().capabilities.clone());
            self.held_unsaved = true;
        }
        let sha256 = self.plugin.as_ref().map(|plugin| plugin.sha256().to_owned());
        if self.row.last_good_sha256 != sha256 {
            self.good_before = Some(std::mem::replace(&mut self.row.last_good_sha256, sha256));
        }
    }

    /// Saves the row when another generation became the good one; the copy before it is needed no longer then.
    pub(super) async fn save_good(&mut self) {
        let Some(before) = self.good_before.take() else { return };
        match (self.save().await, before) {
            (Err(error), _) => tracing::error!(%error, "the good generation could not be remembered"),
            (Ok(()), Some(before)) => {
                let plugins = Arc::clone(&self.base.plugins);
                tokio::spawn(async move { plugins.release(&before).await });
            }
            (Ok(()), None) => {}
        }
    }

    /// Tells the running gateway of settings, one after the other in the order in which they were saved; of several that
    /// wait it is told the newest.
    pub(super) fn tell_settings(&mut self, running: Running, attributes: AttributeValues) {
        if self.telling {
            self.untold = Some(attributes);
            return;
        }
        self.telling = true;
        let turns = Arc::clone(&self.shared.turns);
        self.beside(async move {
            // Whoever takes over meanwhile has them from its start.
            let _turn = turns.calls.read().await;
            let request = Attributes { attributes };
            Came::SettingsTaken(running.gateway.call::<_, SettingsOutcome>(&ops::SETTINGS_CHANGED, &request).await)
        });
    }

    /// The daemon ends: stops within its bound, whatever state this is in. Nothing of it runs when this resolves.
    pub(super) async fn close(mut self, mut heard: mpsc::UnboundedReceiver<Input>) {
        self.ending.cancel();
        self.cancel.cancel();
        self.leave_upgrade();
        if let Some(running) = self.let_go() {
            running.take_down(&self.base).await;
        }
        self.gateways.close();
        self.gateways.wait().await;
        // One that came up in the very moment is in nobody's hands yet. Whoever asked hears of the end by the loss of
        // the answer.
        heard.close();
        while let Ok(input) = heard.try_recv() {
            match input {
                Input::Came(_, Came::BroughtUp(BroughtUp::Started(running))) => {
                    drop(running.take_down(&self.base).await)
                }
                Input::Crossed(_, Crossed::Ready(ready)) => drop(ready.new.take_down(&self.base).await),
                _ => {}
            }
        }
    }
}
