//! The upgrade of one integration: a pure function from state and input to state and effects, beside its lifecycle.
//!
//! ```text
//! idle ─found→ trying ─fit→ beside ─took over→ (on trial) idle
//!        │        │            └─must be alone→ replacing ─started→ (on trial) idle
//!        │        ├─unfit→ idle, told
//!        │        └─settings missing→ waits ─saved→ trying
//!        ├─wants more→ waits ─allowed→ trying
//!        └─pinned→ waits ─unpinned→ trying
//! beside ─no moment without a call in flight→ waits ─time→ trying
//! on trial ─failure→ goes back, pinned;  ─time→ over
//! ```
//!
//! A trial runs beside all of it: a third generation may be tried while the second is on trial, and the second may
//! fail meanwhile. Nothing here reads a clock or calls; the supervisor performs the effects.

use crate::reason::{Reason, ReasonCode};

/// Bounds of an upgrade; all from the configuration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) trial_ms: i64,
    pub(super) retry_ms: i64,
}

/// Polls that fail in a row until a generation on trial counts as failed.
const POLLS: u32 = 3;

/// Where a new generation stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Stage {
    /// There is none, or none that is worth another attempt.
    #[default]
    Idle,
    /// It is opened in a worker of its own and checks the settings.
    Trying,
    /// It waits, for a person or for a while.
    Waits { reason: Reason, retry_at_ms: Option<i64> },
    /// It is started beside the one in use and takes over as soon as it can.
    Beside,
    /// The one in use stops first.
    Replacing,
}

/// A generation in use that has to prove itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnTrial {
    pub(super) until_ms: i64,
    polls_failed: u32,
}

/// The state.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Upgrade {
    pub(super) stage: Stage,
    pub(super) trial: Option<OnTrial>,
}

/// How a new generation takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It starts beside the one in use.
    Beside,
    /// The one in use stops first.
    Alone,
}

/// What happens to it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    /// There is a new generation beside the one in use; what keeps it from being tried, if anything.
    Found(Option<Reason>),
    /// It was tried in a worker of its own.
    Tried(Result<How, Reason>),
    /// It did not come up beside the one in use, or ended there.
    NotUp(Reason),
    /// It asks for what it only gets once it is alone.
    MustBeAlone,
    /// There was no moment without a call in flight.
    Busy(Reason),
    /// It has taken over.
    TookOver,
    /// There is no new generation any more, or nothing beside which it could be.
    Gone,
    /// The generation in use failed.
    Failed(Reason),
    /// A poll of the generation in use failed, or did not.
    Polled(Result<(), Reason>),
    /// The moment of [`Upgrade::due_at_ms`] has come.
    TimerDue,
}

/// What the supervisor does next.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    /// Try the new generation in a worker of its own.
    Try,
    /// Start it beside the one in use and switch.
    Cross,
    /// Stop the one in use and start the new one.
    Replace,
    /// Give up what was started beside.
    GiveUp,
    /// Back to the generation before, with its data.
    GoBack(Reason),
    /// The trial is over: the shadow is needed no longer.
    EndTrial,
    /// Tell that it does not come up and why; it is not tried again before it changes.
    Unfit(Reason),
    /// Tell of it, or no longer.
    Tell(Option<Reason>),
}

impl Upgrade {
    /// A generation that was on trial when the daemon ended still is.
    pub(super) fn resume(until_ms: Option<i64>) -> Self {
        Self { stage: Stage::Idle, trial: until_ms.map(|until_ms| OnTrial { until_ms, polls_failed: 0 }) }
    }

    /// The next state and what to do, in order.
    #[must_use]
    pub(super) fn step(mut self, input: Input, now_ms: i64, patience: Patience) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        match input {
            Input::Found(hindrance) => {
                self.give_up(&mut effects);
                match hindrance {
                    None => {
                        self.stage = Stage::Trying;
                        effects.extend([Effect::Tell(None), Effect::Try]);
                    }
                    Some(reason) => self.wait(reason, None, &mut effects),
                }
            }
            // Settings that a person gave were checked by the new generation itself.
            Input::Tried(Ok(how)) if matches!(self.stage, Stage::Trying | Stage::Waits { .. }) => {
                effects.push(Effect::Tell(None));
                self.take(how, &mut effects);
            }
            Input::Tried(Err(reason)) if self.stage == Stage::Trying => {
                self.unfit(reason, &mut effects);
            }
            Input::NotUp(reason) if self.stage == Stage::Beside => {
                self.unfit(reason, &mut effects);
            }
            Input::MustBeAlone if self.stage == Stage::Beside => self.take(How::Alone, &mut effects),
            Input::Busy(reason) if self.stage == Stage::Beside => {
                self.wait(reason, Some(now_ms.saturating_add(patience.retry_ms)), &mut effects);
            }
            Input::TookOver => {
                self.stage = Stage::Idle;
                self.trial = Some(OnTrial { until_ms: now_ms.saturating_add(patience.trial_ms), polls_failed: 0 });
            }
            Input::Gone => {
                self.give_up(&mut effects);
                self.stage = Stage::Idle;
            }
            Input::Failed(reason) => self.fail(reason, &mut effects),
            Input::Polled(Ok(())) => {
                if let Some(trial) = &mut self.trial {
                    trial.polls_failed = 0;
                }
            }
            Input::Polled(Err(reason)) => {
                let failed = self.trial.as_mut().map_or(0, |trial| {
                    trial.polls_failed += 1;
                    trial.polls_failed
                });
                if failed >= POLLS {
                    self.fail(reason, &mut effects);
                }
            }
            Input::TimerDue => self.look_at_the_time(now_ms, &mut effects),
            // What comes too late for the state it was meant for.
            Input::Tried(_) | Input::NotUp(_) | Input::MustBeAlone | Input::Busy(_) => {}
        }
        (self, effects)
    }

    /// When [`Input::TimerDue`] is wanted, in milliseconds since 1970 UTC.
    pub(super) fn due_at_ms(&self) -> Option<i64> {
        let retry = match &self.stage {
            Stage::Waits { retry_at_ms, .. } => *retry_at_ms,
            _ => None,
        };
        retry.into_iter().chain(self.trial.map(|trial| trial.until_ms)).min()
    }

    fn take(&mut self, how: How, effects: &mut Vec<Effect>) {
        let (stage, effect) = match how {
            How::Beside => (Stage::Beside, Effect::Cross),
            How::Alone => (Stage::Replacing, Effect::Replace),
        };
        self.stage = stage;
        effects.push(effect);
    }

    fn wait(&mut self, reason: Reason, retry_at_ms: Option<i64>, effects: &mut Vec<Effect>) {
        effects.push(Effect::Tell(Some(reason.clone())));
        self.stage = Stage::Waits { reason, retry_at_ms };
    }

    fn unfit(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        if reason.code == ReasonCode::BadConfiguration {
            let sentence =
                format!("its new version waits for settings, and the version before runs: {}", reason.sentence);
            let waits = Reason { code: ReasonCode::UpgradeNeedsConfig, sentence, cause: reason.cause };
            self.wait(waits, None, effects);
        } else {
            self.stage = Stage::Idle;
            effects.push(Effect::Unfit(reason));
        }
    }

    fn fail(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        if self.trial.take().is_some() {
            self.give_up(effects);
            self.stage = Stage::Idle;
            effects.push(Effect::GoBack(reason));
        }
    }

    fn give_up(&self, effects: &mut Vec<Effect>) {
        if self.stage == Stage::Beside {
            effects.push(Effect::GiveUp);
        }
    }

    fn look_at_the_time(&mut self, now_ms: i64, effects: &mut Vec<Effect>) {
        if self.trial.is_some_and(|trial| trial.until_ms <= now_ms) {
            self.trial = None;
            effects.push(Effect::EndTrial);
        }
        if let Stage::Waits { retry_at_ms: Some(at_ms), .. } = self.stage
            && at_ms <= now_ms
        {
            self.stage = Stage::Trying;
            effects.push(Effect::Try);
        }
    }
}

#[cfg(test)]
mod tests;
