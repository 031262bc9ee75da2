//! Bringing a gateway up and taking it down, as tasks of their own beside the supervisor.

use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::attribute::{AttributeValues, FieldErrors};
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::Attributes;
use gatehouse_plugin_api::ops;
use tokio_util::sync::CancellationToken;

use super::crossing::Turns;
use super::upgrading::generation_of;
use crate::clock::Clock;
use crate::gateway::{Confinement, Exchanges, Exit, Gateway, Hosting, Onlooker};
use crate::integration::folders;
use crate::integration::ground::Base;
use crate::integration::host_calls::{HostSide, Overlay};
use crate::integration::lifecycle::Failure;
use crate::integration::manage::Panes;
use crate::plugin::Staged;
use crate::reason::{Reason, ReasonCode};
use crate::store::{StoreError, Trial, UpgradeRow};

/// A gateway with all that belongs to its generation. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::integration) struct Running {
    /// The gateway.
    pub(in crate::integration) gateway: Arc<dyn Gateway>,
    /// Its staged copy.
    pub(in crate::integration) plugin: Staged,
    /// Its side of the host.
    pub(in crate::integration) host: HostSide,
    /// What its worker may do.
    pub(in crate::integration) confinement: Confinement,
    /// Its templates, as far as they were asked for.
    pub(in crate::integration) panes: Arc<Panes>,
}

/// How bringing up ended.
#[derive(Debug)]
pub(in crate::integration) enum BroughtUp {
    /// It runs.
    Started(Running),
    /// It does not, and nothing of it is left. With the generation that ran well before, if there is another one.
    Failed { failure: Failure, reason: Reason, before: Option<Staged> },
    /// It was to be stopped before it ran; with the reason when it had to be killed.
    Cancelled(Option<Reason>),
}

/// What to bring up.
pub(super) struct BringUp {
    pub(super) base: Arc<Base>,
    pub(super) id: IntegrationId,
    pub(super) plugin: Staged,
    pub(super) hosting: Hosting,
    pub(super) attributes: AttributeValues,
    /// The content that ran well last, when it is another one.
    pub(super) good: Option<String>,
    /// What the integration is held to, and until when a trial lasts: when one is to begin.
    pub(super) trial: Option<BeginTrial>,
    pub(super) host: HostSide,
    /// The record of its calls.
    pub(super) exchanges: Exchanges,
    pub(super) cancel: CancellationToken,
}

/// How a trial begins with a start.
pub(super) struct BeginTrial {
    pub(super) held: UpgradeRow,
    pub(super) until_ms: i64,
    pub(super) told: Box<dyn FnOnce(Trial) + Send + Sync>,
}

impl BringUp {
    /// Waits for its turn, launches and starts.
    pub(super) async fn run(self) -> BroughtUp {
        let mut this = self;
        let before = match &this.good {
            Some(sha256) => this.base.plugins.generation(sha256).await,
            None => None,
        };
        if let (Some(before), Some(begin)) = (&before, this.trial.take())
            && let Err(error) = this.begin_trial(before, begin).await
        {
            let sentence = "the data from before the new version could not be kept";
            let reason = Reason::new(ReasonCode::StartFailed, sentence).caused_by(error);
            return BroughtUp::Failed { failure: Failure::Passing, reason, before: None };
        }
        match this.start().await {
            BroughtUp::Failed { failure, reason, .. } => BroughtUp::Failed { failure, reason, before },
            other => other,
        }
    }

    /// Puts it on trial: from now on the next start of the daemon knows what to go back to.
    async fn begin_trial(&self, before: &Staged, begin: BeginTrial) -> Result<(), StoreError> {
        let BeginTrial { held, until_ms, told } = begin;
        let trial = Trial { from: generation_of(before), to: generation_of(&self.plugin), until_ms };
        let held = UpgradeRow { trial: Some(trial.clone()), ..held };
        self.base.store.upgrade_switch(&self.id, held, Vec::new()).await?;
        told(trial);
        Ok(())
    }

    /// Without a trial.
    pub(super) async fn start(self) -> BroughtUp {
        let Self { base, id, plugin, hosting, attributes, host, exchanges, cancel, .. } = self;
        let failed = |failure, reason| BroughtUp::Failed { failure, reason, before: None };
        let turn = tokio::select! {
            biased;
            () = cancel.cancelled() => return BroughtUp::Cancelled(None),
            turn = base.starts.acquire() => turn,
        };
        if let Err(reason) = folders::fits(&base, &id).await {
            return failed(Failure::Passing, reason);
        }
        let mut launch = match base.launch_of(&id, &plugin, hosting, &attributes) {
            Ok(launch) => launch,
            // No other attempt finds another kernel or another configuration.
            Err(reason) if reason.code == ReasonCode::SandboxIncomplete => {
                return failed(Failure::Incompatible, reason);
            }
            Err(reason) => return failed(Failure::Passing, reason),
        };
        launch.onlooker = Onlooker { exchanges, witness: Some(base.witness(false)) };
        let confinement = launch.confinement.clone();
        let launched = tokio::select! {
            biased;
            // What was launched so far is dropped with the launch. Code of it that goes on all the same is heard no more.
            () = cancel.cancelled() => {
                host.retire().await;
                return BroughtUp::Cancelled(None);
            }
            launched = base.launcher.launch(launch, Arc::new(host.clone())) => launched,
        };
        let gateway = match launched {
            Ok(gateway) => gateway,
            Err(reason) => {
                host.retire().await;
                return failed(failure_of_launch(&base, &plugin, &reason).await, reason);
            }
        };
        base.problems.forget(plugin.sha256());
        let running = Running { gateway, plugin, host, confinement, panes: Arc::default() };
        let request = Attributes { attributes };
        let started = tokio::select! {
            biased;
            () = cancel.cancelled() => return BroughtUp::Cancelled(running.take_down(&base).await),
            started = running.gateway.call::<_, ()>(&ops::START, &request) => started,
        };
        drop(turn);
        match started {
            Ok(()) => BroughtUp::Started(running),
            Err(error) => {
                let (failure, mut reason) = failure_of_call(&error, "start", ReasonCode::StartFailed);
                if error.code == ErrorCode::Gone {
                    reason = running.gateway.ended().await.reason;
                }
                running.discard(&base).await;
                failed(failure, reason)
            }
        }
    }
}

impl Running {
    /// Asks it to stop, ends it, and waits until all that it had asked before is done. The reason when it was killed.
    pub(super) async fn take_down(self, base: &Base) -> Option<Reason> {
        let within = Duration::from_millis(base.config.integrations.stop_within_ms);
        let asked = self.gateway.call_within::<_, ()>(&ops::STOP, &(), within).await;
        let late = asked.as_ref().is_err_and(|error| error.code == ErrorCode::Deadline);
        if let Err(error) = &asked
            // A generation that was replaced is asked to stop when the host does nothing more for it.
            && !matches!(error.code, ErrorCode::Unsupported | ErrorCode::Gone | ErrorCode::Cancelled)
        {
            tracing::warn!(error = %error, code = error.code.as_str(), "stopping reported a failure");
        }
        let exit = self.gateway.close(if late { Duration::ZERO } else { within }).await;
        self.host.retire().await;
        if late {
            let limit = gatehouse_plugin_api::duration::format_ms(base.config.integrations.stop_within_ms);
            let sentence = format!("it did not stop within {limit} and was killed");
            return Some(Reason::new(ReasonCode::KilledAtStop, sentence));
        }
        (exit.reason.code == ReasonCode::KilledAtStop).then_some(exit.reason)
    }

    /// Ends one that did not come to run.
    pub(in crate::integration) async fn discard(&self, base: &Base) -> Exit {
        let exit = self.gateway.close(Duration::from_millis(base.config.integrations.stop_within_ms)).await;
        self.host.retire().await;
        exit
    }
}

/// Polls at an interval until dropped; a cycle that takes longer than the interval has missed its deadline, so two
/// never overlap.
pub(super) async fn poll(
    gateway: Arc<dyn Gateway>,
    clock: Clock,
    interval: Duration,
    turns: Arc<Turns>,
    told: impl Fn(Result<(), CallError>) + Send,
) {
    loop {
        // Not in the middle of a switch.
        let turn = turns.background.read().await;
        let pause = clock.sleep(interval);
        told(gateway.call_within::<_, ()>(&ops::POLL, &(), interval).await);
        drop(turn);
        pause.await;
    }
}

/// Launches a generation in a worker of its own and has it check settings; ends it in any case.
///
/// # Errors
/// Why it does not open, or what is wrong with which setting.
pub(in crate::integration) async fn try_out(
    base: &Arc<Base>,
    id: &IntegrationId,
    plugin: &Staged,
    attributes: &AttributeValues,
) -> Result<(), Unfit> {
    let host = HostSide::provisional(id.clone(), Arc::clone(base), Overlay::new());
    let launch = base.launch_of(id, plugin, Hosting::Isolated, attributes).map_err(Unfit::Launch)?;
    let confinement = launch.confinement.clone();
    let gateway = match base.launcher.launch(launch, Arc::new(host.clone())).await {
        Ok(gateway) => gateway,
        Err(reason) => {
            host.retire().await;
            failure_of_launch(base, plugin, &reason).await;
            return Err(Unfit::Launch(reason));
        }
    };
    let running = Running { gateway, plugin: plugin.clone(), host, confinement, panes: Arc::default() };
    let checked = validate(&running.gateway, attributes).await;
    running.discard(base).await;
    match checked {
        Ok(fields) if fields.is_empty() => Ok(()),
        Ok(fields) => Err(Unfit::Settings(fields)),
        Err(error) => {
            let (_, reason) = failure_of_call(&error, "checking its settings", ReasonCode::StartFailed);
            Err(Unfit::Launch(reason))
        }
    }
}

/// Why a generation is not fit to run.
#[derive(Debug)]
pub(in crate::integration) enum Unfit {
    /// It does not open, or not answer.
    Launch(Reason),
    /// It finds settings wrong.
    Settings(FieldErrors),
}

/// Has a gateway check settings: what is wrong with which field.
///
/// # Errors
/// When the check itself failed. Settings that its struct does not take are fields, not an error.
pub(in crate::integration) async fn validate(
    gateway: &Arc<dyn Gateway>,
    attributes: &AttributeValues,
) -> Result<FieldErrors, CallError> {
    let request = Attributes { attributes: attributes.clone() };
    match gateway.call::<_, FieldErrors>(&ops::VALIDATE_CONFIGURATION, &request).await {
        Err(error) if error.code == ErrorCode::Unsupported => Ok(FieldErrors::new()),
        Err(error) if error.code == ErrorCode::BadConfiguration => Ok(fields_of(&error)),
        other => other,
    }
}

/// The fields that an error names, or its sentence for the whole.
pub(in crate::integration) fn fields_of(error: &CallError) -> FieldErrors {
    if error.fields.is_empty() {
        FieldErrors::from([(crate::integration::attributes::BASE.to_owned(), error.message.clone())])
    } else {
        error.fields.clone()
    }
}

/// What a failed launch asks for. What is wrong with the file itself becomes its verdict; a constructor may fail for
/// one integration alone.
pub(in crate::integration) async fn failure_of_launch(base: &Base, plugin: &Staged, reason: &Reason) -> Failure {
    match reason.code {
        ReasonCode::OpenFailed | ReasonCode::OtherAbi | ReasonCode::LayoutMismatch | ReasonCode::ManifestDisagrees => {
            base.plugins.report(plugin, reason.clone()).await;
            Failure::Incompatible
        }
        _ => Failure::Passing,
    }
}

/// What a failed call asks for, and its reason.
pub(super) fn failure_of_call(error: &CallError, doing: &str, otherwise: ReasonCode) -> (Failure, Reason) {
    let (failure, code) = match error.code {
        ErrorCode::BadCredentials => (Failure::Credentials, ReasonCode::BadCredentials),
        ErrorCode::BadConfiguration => (Failure::Configuration, ReasonCode::BadConfiguration),
        ErrorCode::Panicked => (Failure::Passing, ReasonCode::Panicked),
        ErrorCode::Deadline => (Failure::Passing, ReasonCode::DeadlineMissed),
        _ => (Failure::Passing, otherwise),
    };
    let sentence = match error.code {
        ErrorCode::Panicked => format!("{doing} panicked: {error}"),
        ErrorCode::Deadline => format!("{doing} did not end in time"),
        _ => error.to_string(),
    };
    (failure, Reason::new(code, sentence))
}
