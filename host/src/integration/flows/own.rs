//! A plugin's own flow: turns asked of its gateway, and asked again of the next one when a worker dies.
//!
//! Where the integration runs, its own gateway is asked; else a worker is launched for the flow alone. The host has
//! every answer, so a gateway that has not seen this flow is told all of them first, and must come to the step that
//! the person sees.

use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::flow::{FlowAnswer, FlowReason, FlowReply, FlowRequest, FlowStep, StepKind};
use gatehouse_plugin_api::ops;

use super::flow::{Flow, GaveUp};
use crate::gateway::Hosting;
use crate::integration::flow_view::FlowKind;
use crate::integration::ground::Base;
use crate::integration::host_calls::{HostSide, Overlay};
use crate::integration::lifecycle::Failure;
use crate::integration::supervisor::{Entered, Running, failure_of_launch};
use crate::reason::Reason;

/// How often one turn is asked of another gateway after the one before died.
const RELAUNCHES: usize = 2;
/// How long a replay waits for work that goes on again, in pauses of [`PROGRESS_PAUSE`].
const PROGRESS_TURNS: usize = 120;
const PROGRESS_PAUSE: Duration = Duration::from_millis(250);

/// What passed between the flow and its gateways.
#[derive(Debug)]
pub(super) struct Exchange {
    flow_id: String,
    kind: FlowKind,
    reason: FlowReason,
    /// Everything asked so far: the opening, then the answers.
    asked: Vec<Option<FlowAnswer>>,
    /// The gateway that has seen all of it.
    told: Option<Running>,
    /// The worker of the flow's own.
    worker: Option<Running>,
}

impl Exchange {
    pub(super) fn new(flow_id: String, kind: FlowKind, reason: FlowReason) -> Self {
        Self { flow_id, kind, reason, asked: Vec::new(), told: None, worker: None }
    }

    /// Forgets the last answer; the gateway is told the others again before the next one.
    pub(super) fn take_back(&mut self) {
        self.asked.pop();
        self.told = None;
    }

    /// Ends the worker of the flow's own; what it stored aside is lost.
    pub(super) async fn let_go(&mut self, base: &Base) {
        self.told = None;
        if let Some(worker) = self.worker.take() {
            worker.discard(base).await;
        }
    }

    /// Ends the worker of the flow's own and hands over what it stored aside.
    pub(super) async fn take_overlay(&mut self, base: &Base) -> Overlay {
        let worker = self.worker.take();
        self.told = None;
        match worker {
            Some(worker) => {
                worker.discard(base).await;
                worker.host.take_overlay()
            }
            None => Overlay::new(),
        }
    }
}

impl Flow {
    /// One turn of the plugin's own flow.
    ///
    /// # Errors
    /// Why the flow is given up.
    pub(super) async fn ask(&mut self, answer: Option<FlowAnswer>) -> Result<FlowReply, GaveUp> {
        let mut last = String::new();
        for _ in 0..=RELAUNCHES {
            // No other generation takes over while this one has the question.
            let _entered = self.enter().await;
            let running = self.gateway().await?;
            match self.ask_of(&running, answer.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(Halt::GaveUp(gave_up)) => return Err(gave_up),
                Err(Halt::Died) => {}
            }
            let exit = running.gateway.ended().await;
            tracing::warn!(flow = self.exchange.flow_id, reason = %exit.reason, "the gateway of a flow ended");
            self.exchange.let_go(self.registry.base()).await;
            last = exit.reason.to_string();
            self.registry.base().problems.note(running.plugin.sha256(), &exit.reason);
        }
        Err(GaveUp::new("worker_lost", format!("the plugin ended again and again during its flow: {last}")))
    }

    /// The turn to speak with the gateway of the integration that is there, if it runs.
    pub(super) async fn enter(&self) -> Option<Entered> {
        self.target.existing.as_ref()?.enter().await
    }

    /// The gateway to ask: the running one, or a worker of the flow's own.
    ///
    /// # Errors
    /// Why the flow is given up.
    pub(super) async fn gateway(&mut self) -> Result<Running, GaveUp> {
        if let Some(running) = self.target.existing.as_ref().and_then(|existing| existing.running()) {
            return Ok(running);
        }
        if let Some(worker) = &self.exchange.worker {
            return Ok(worker.clone());
        }
        self.launch(&self.settings(), Overlay::new()).await
    }

    /// The gateway to try settings with: a worker that may do what they grant.
    ///
    /// # Errors
    /// Why the flow is given up.
    pub(super) async fn gateway_for(&mut self, settings: &AttributeValues) -> Result<Running, GaveUp> {
        let running = self.gateway().await?;
        let base = Arc::clone(self.registry.base());
        if running.confinement == base.confinement(&self.target.id, &running.plugin, settings) {
            return Ok(running);
        }
        let overlay = self.exchange.take_overlay(&base).await;
        self.launch(settings, overlay).await
    }

    /// A worker of the flow's own.
    async fn launch(&mut self, settings: &AttributeValues, overlay: Overlay) -> Result<Running, GaveUp> {
        let gone = |reason: &Reason| GaveUp::new(reason.code.as_str(), reason.to_string());
        let Some(plugin) = self.target.plugin.clone() else {
            let message = format!("the plugin of {} is not there any more", self.target.id);
            return Err(GaveUp::new("plugin_missing", message));
        };
        let base = Arc::clone(self.registry.base());
        let launch =
            base.launch_of(&self.target.id, &plugin, Hosting::Isolated, settings).map_err(|reason| gone(&reason))?;
        let confinement = launch.confinement.clone();
        let host = HostSide::provisional(self.target.id.clone(), Arc::clone(&base), overlay);
        let launched = base.launcher.launch(launch, Arc::new(host.clone())).await;
        let gateway = match launched {
            Ok(gateway) => gateway,
            Err(reason) => {
                host.retire().await;
                // A file that is wrong has its verdict then; what else went wrong has no other place.
                if failure_of_launch(&base, &plugin, &reason).await == Failure::Passing {
                    base.problems.note(plugin.sha256(), &reason);
                }
                return Err(gone(&reason));
            }
        };
        base.problems.forget(plugin.sha256());
        let worker = Running { gateway, plugin, host, confinement, panes: Arc::default() };
        self.exchange.worker = Some(worker.clone());
        Ok(worker)
    }

    /// Asks one gateway, after telling it what it missed.
    async fn ask_of(&mut self, running: &Running, answer: Option<FlowAnswer>) -> Result<FlowReply, Halt> {
        let knows = self.exchange.told.as_ref().is_some_and(|told| Arc::ptr_eq(&told.gateway, &running.gateway));
        if !knows && !self.exchange.asked.is_empty() {
            self.replay(running).await?;
        }
        let reply = self.call(running, answer.clone()).await?;
        // Looking again at work that goes on is no answer to remember.
        if !matches!(self.shown().kind, StepKind::Progress { .. }) || self.exchange.asked.is_empty() {
            self.exchange.asked.push(answer);
        }
        self.exchange.told = Some(running.clone());
        Ok(reply)
    }

    async fn call(&self, running: &Running, answer: Option<FlowAnswer>) -> Result<FlowReply, Halt> {
        let exchange = &self.exchange;
        let op = match exchange.kind {
            FlowKind::Activate => ops::ACTIVATE,
            FlowKind::Deactivate => ops::DEACTIVATE,
        };
        let request = FlowRequest {
            flow_id: exchange.flow_id.clone(),
            reason: exchange.reason,
            answer,
            attributes: self.settings(),
        };
        match running.gateway.call::<_, FlowReply>(&op, &request).await {
            // A plugin from before the operation has no flow of its own.
            Err(error) if error.code == ErrorCode::Unsupported => Ok(FlowReply::Default),
            Err(error) if error.code == ErrorCode::Gone => Err(Halt::Died),
            Err(error) => Err(Halt::GaveUp(GaveUp::answered(&error))),
            Ok(reply) => Ok(reply),
        }
    }

    /// Tells a gateway all that was asked before; it must come to the step that is shown.
    async fn replay(&self, running: &Running) -> Result<(), Halt> {
        let asked = &self.exchange.asked;
        let expected = asked.iter().skip(1).flatten().map(|answer| answer.step_id.as_str());
        let expected = expected.chain(std::iter::once(self.shown().step_id.as_str()));
        for (request, expected) in asked.iter().zip(expected) {
            let mut request = request.clone();
            let mut reached = false;
            for _ in 0..PROGRESS_TURNS {
                match self.call(running, request.clone()).await? {
                    FlowReply::Step(step) if step.step_id == expected => {
                        reached = true;
                        break;
                    }
                    FlowReply::Step(FlowStep { step_id, kind: StepKind::Progress { .. }, .. }) => {
                        self.registry.base().clock.sleep(PROGRESS_PAUSE).await;
                        request = Some(FlowAnswer { step_id, values: AttributeValues::default(), choice: None });
                    }
                    _ => return Err(strayed()),
                }
            }
            if !reached {
                return Err(strayed());
            }
        }
        Ok(())
    }
}

/// Why one gateway gave no answer.
enum Halt {
    /// It died: another one may be asked.
    Died,
    /// It said so, or strayed.
    GaveUp(GaveUp),
}

fn strayed() -> Halt {
    let message = "the plugin ended during its flow and, told the same answers again, came to another step: begin anew";
    Halt::GaveUp(GaveUp::new("worker_lost", message))
}
