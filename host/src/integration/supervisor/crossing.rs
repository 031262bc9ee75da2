//! The way of a new generation to its switch: started beside the old one, waiting for a moment, handing over the state.
//!
//! It ends with the new generation ready and every call held, and the supervisor makes the switch itself, so that no
//! wish of a person falls into the middle of it. `docs/adr/0008-a-switch-in-one-step.md` tells why in this order.

use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::duration::format_ms;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::Blob;
use gatehouse_plugin_api::ops;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio_util::sync::CancellationToken;

use super::bring_up::{BringUp, BroughtUp, Running, failure_of_call};
use crate::clock::Clock;
use crate::integration::ground::Base;
use crate::integration::lifecycle::Failure;
use crate::reason::{Reason, ReasonCode};

/// How long polls and snapshots under way are waited for; nothing that a person asked for waits meanwhile.
const BACKGROUND_WITHIN: Duration = Duration::from_secs(10);
/// The longest pause between two attempts to find a moment.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// Who speaks with the gateway in use: calls and background work each hold a turn, a switch waits for all to end.
///
/// Both locks are fair: while a switch waits for those in flight, those that come later wait behind it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Calls of people, settings and flows.
    pub(super) calls: Arc<RwLock<()>>,
    /// Polls and snapshots.
    pub(super) background: Arc<RwLock<()>>,
}

/// The moment in which nobody speaks with the gateway; over when dropped.
#[derive(Debug)]
pub(in crate::integration) struct Moment {
    _background: OwnedRwLockWriteGuard<()>,
    _calls: OwnedRwLockWriteGuard<()>,
    since: tokio::time::Instant,
}

impl Moment {
    /// How long it has lasted.
    pub(super) fn lasted(&self) -> Duration {
        self.since.elapsed()
    }
}

/// A new generation that has taken over the state; every call is held.
#[derive(Debug)]
pub(in crate::integration) struct Ready {
    pub(super) new: Running,
    pub(super) moment: Moment,
}

/// How a way to a switch ended.
#[derive(Debug)]
pub(in crate::integration) enum Crossed {
    /// It can be switched to.
    Ready(Box<Ready>),
    /// It did not come up, or ended; nothing of it is left.
    NotUp(Reason),
    /// It asked for a commit while it starts, which it gets only once it has taken over; nothing of it is left.
    MustBeAlone,
    /// Calls were in flight all the time; nothing of it is left.
    Busy(Reason),
    /// It was given up; nothing of it is left.
    GivenUp,
}

/// What goes to a switch.
pub(super) struct Crossing {
    pub(super) base: Arc<Base>,
    pub(super) bring_up: BringUp,
    pub(super) old: Running,
    pub(super) turns: Arc<Turns>,
    pub(super) cancel: CancellationToken,
}

impl Crossing {
    pub(super) async fn run(self) -> Crossed {
        let Self { base, bring_up, old, turns, cancel } = self;
        let host = bring_up.host.clone();
        let mut brought_up = std::pin::pin!(bring_up.start());
        let outcome = tokio::select! {
            biased;
            outcome = &mut brought_up => outcome,
            () = host.waits_for_commit() => {
                cancel.cancel();
                if let BroughtUp::Started(new) = brought_up.await {
                    new.take_down(&base).await;
                }
                return Crossed::MustBeAlone;
            }
        };
        let new = match outcome {
            BroughtUp::Started(new) => new,
            BroughtUp::Failed { failure, reason, .. } => return Crossed::NotUp(of_settings(failure, reason)),
            BroughtUp::Cancelled(_) => return Crossed::GivenUp,
        };
        let found = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Crossed::GivenUp),
            exit = new.gateway.ended() => Err(Crossed::NotUp(exit.reason)),
            moment = moment(&base, &turns) => moment.map_err(Crossed::Busy),
        };
        let moment = match found {
            Ok(moment) => moment,
            Err(crossed) => {
                new.take_down(&base).await;
                return crossed;
            }
        };
        let within = Duration::from_millis(base.config.integrations.switch_state_ms);
        let handed_over = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Crossed::GivenUp),
            handed_over = hand_over(&old, &new, within) => handed_over.map_err(Crossed::NotUp),
        };
        match handed_over {
            Ok(()) => Crossed::Ready(Box::new(Ready { new, moment })),
            Err(crossed) => {
                drop(moment);
                new.take_down(&base).await;
                crossed
            }
        }
    }
}

/// A configuration that only the start found wrong is told as one that the check found wrong.
fn of_settings(failure: Failure, reason: Reason) -> Reason {
    match failure {
        Failure::Configuration => Reason { code: ReasonCode::BadConfiguration, ..reason },
        _ => reason,
    }
}

/// Waits for a moment without a call in flight, again and again.
async fn moment(base: &Base, turns: &Turns) -> Result<Moment, Reason> {
    let (clock, config) = (&base.clock, &base.config.integrations);
    let hold = Duration::from_millis(config.switch_hold_ms);
    let over = clock.sleep(Duration::from_millis(config.switch_within_ms));
    let found = async {
        let mut pause = hold;
        loop {
            if let Some(moment) = attempt(clock, turns, hold).await {
                return moment;
            }
            clock.sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    };
    tokio::select! {
        biased;
        moment = found => Ok(moment),
        () = over => {
            let (hold, within) = (format_ms(config.switch_hold_ms), format_ms(config.switch_within_ms));
            let sentence = format!(
                "its new version is ready and the version before runs on: for {within} there was no moment in which \
                 the calls in flight ended within {hold}"
            );
            Err(Reason::new(ReasonCode::UpgradeWaits, sentence))
        }
    }
}

async fn attempt(clock: &Clock, turns: &Turns, hold: Duration) -> Option<Moment> {
    let background = tokio::select! {
        biased;
        turn = Arc::clone(&turns.background).write_owned() => turn,
        () = clock.sleep(BACKGROUND_WITHIN) => return None,
    };
    let since = tokio::time::Instant::now();
    tokio::select! {
        biased;
        calls = Arc::clone(&turns.calls).write_owned() => {
            Some(Moment { _background: background, _calls: calls, since })
        }
        () = clock.sleep(hold) => None,
    }
}

/// The old generation's state, given to the new one; giving and taking have this long each, since all calls are held. The
/// switch goes on without, unless that broke the new one.
async fn hand_over(old: &Running, new: &Running, within: Duration) -> Result<(), Reason> {
    let state = match old.gateway.call_within::<_, Blob>(&ops::EXPORT_STATE, &(), within).await {
        Ok(state) if state.bytes.is_empty() => return Ok(()),
        Ok(state) => state,
        Err(error) if error.code == ErrorCode::Unsupported => return Ok(()),
        Err(error) => {
            tracing::warn!(%error, "the version before gave no state: the switch goes on without");
            return Ok(());
        }
    };
    match new.gateway.call_within::<_, ()>(&ops::IMPORT_STATE, &state, within).await {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.code, ErrorCode::Gone | ErrorCode::Panicked | ErrorCode::Deadline) => {
            let (_, reason) = failure_of_call(&error, "taking over the state", ReasonCode::StartFailed);
            Err(reason)
        }
        Err(error) => {
            if error.code != ErrorCode::Unsupported {
                tracing::warn!(%error, "the new version took no state: the switch goes on without");
            }
            Ok(())
        }
    }
}
