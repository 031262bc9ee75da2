//! The lifecycle of one integration: a pure function from state and input to state and effects.
//!
//! ```text
//! (no plugin) missing │ incompatible      off
//! on: starting → running ⇄ degraded
//!     starting/running ─transient→ retrying{attempt, next_at} → starting
//!                      ─bad credentials→ needs_auth ─flow→ starting
//!                      ─bad configuration→ needs_config ─saved→ starting
//!                      ─5 failures in 15 min→ quarantined ─slow retry or new version→ starting
//! any → stopping → paused │ off;  stopping past its deadline → killed, reported, still recoverable
//! ```
//!
//! Nothing here reads a clock, sleeps or calls: the supervisor brings the moment and performs the effects. There is
//! no state that only a restart of the daemon can leave; a test walks all of them. A timer is no effect but a
//! property of the state ([`Life::due_at_ms`]), so that none can be left running or be forgotten.

mod failures;
mod words;

use gatehouse_plugin_api::message::{Health, HealthStatus};

use self::failures::{Failures, millis};
pub(super) use self::words::{Effect, Failure, Input, Moment, Policy, Presence};
use super::{Actual, FailedOnce};
use crate::reason::{Reason, ReasonCode};
use crate::store::Desired;

/// What follows when it is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    AsWanted,
    Need(Failure, Reason),
}

/// The state of one integration.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Life {
    /// What a person wants.
    pub(super) desired: Desired,
    /// What is.
    pub(super) actual: Actual,
    /// Why.
    pub(super) reason: Reason,
    /// Since when `actual` is what it is, in milliseconds since 1970 UTC.
    pub(super) since_ms: i64,
    presence: Presence,
    failures: Failures,
    well_since_ms: Option<i64>,
    then: Then,
    /// What to tell of the generation while it runs.
    note: Option<Reason>,
    /// The gateway's own word on how it is.
    told: Option<Health>,
    /// Why the last poll failed.
    poll_trouble: Option<Reason>,
    /// Why the last snapshot did not come.
    sync_trouble: Option<Reason>,
    polled_well: bool,
}

impl Life {
    /// The state at the daemon's start, and what to do first.
    pub(super) fn begin(desired: Desired, presence: Presence, at: Moment) -> (Self, Vec<Effect>) {
        let mut life = Self {
            desired,
            actual: Actual::Off,
            reason: deactivated(),
            since_ms: at.now_ms,
            presence,
            failures: Failures::default(),
            well_since_ms: None,
            then: Then::AsWanted,
            note: None,
            told: None,
            poll_trouble: None,
            sync_trouble: None,
            polled_well: false,
        };
        let mut effects = Vec::new();
        life.settle(&mut effects);
        (life, effects)
    }

    /// The next state and what to do.
    #[must_use]
    pub(super) fn step(mut self, input: Input, at: Moment, policy: &Policy) -> (Self, Vec<Effect>) {
        let mut effects = Vec::new();
        let before = self.actual;
        self.take(input, at, policy, &mut effects);
        if std::mem::discriminant(&before) != std::mem::discriminant(&self.actual) {
            self.since_ms = at.now_ms;
        }
        (self, effects)
    }

    /// When [`Input::TimerDue`] is wanted, in milliseconds since 1970 UTC.
    pub(super) fn due_at_ms(&self, policy: &Policy) -> Option<i64> {
        match self.actual {
            Actual::Retrying { next_at_ms, .. } | Actual::Quarantined { next_at_ms } => Some(next_at_ms),
            Actual::Running if !self.failures.are_forgiven() => {
                self.well_since_ms.map(|since| since.saturating_add(millis(policy.forgive_after_ms)))
            }
            _ => None,
        }
    }

    /// How it is, by its own word where it has one.
    pub(super) fn health(&self) -> Health {
        match self.actual {
            Actual::Off | Actual::Paused => Health { status: HealthStatus::Disabled, message: String::new() },
            Actual::Starting | Actual::Stopping => Health::default(),
            Actual::Running | Actual::Degraded => match (self.trouble(), &self.told) {
                (Some(trouble), _) => Health { status: HealthStatus::Error, message: trouble.to_string() },
                (None, Some(told)) => told.clone(),
                (None, None) if self.polled_well => Health { status: HealthStatus::Healthy, message: String::new() },
                (None, None) => Health::default(),
            },
            Actual::Missing
            | Actual::Incompatible
            | Actual::Retrying { .. }
            | Actual::NeedsAuth
            | Actual::NeedsConfig
            | Actual::Quarantined { .. } => Health { status: HealthStatus::Error, message: self.reason.to_string() },
        }
    }

    /// Whether a gateway runs or is being started.
    pub(super) fn holds_gateway(&self) -> bool {
        matches!(self.actual, Actual::Starting | Actual::Running | Actual::Degraded)
    }

    /// The failures that count at present, oldest first.
    pub(super) fn failures(&self) -> &[FailedOnce] {
        self.failures.counting()
    }

    fn trouble(&self) -> Option<&Reason> {
        self.poll_trouble.as_ref().or(self.sync_trouble.as_ref())
    }

    fn runs(&self) -> bool {
        matches!(self.actual, Actual::Running | Actual::Degraded)
    }

    fn stopping(&self) -> bool {
        self.actual == Actual::Stopping
    }

    fn take(&mut self, input: Input, at: Moment, policy: &Policy, effects: &mut Vec<Effect>) {
        match input {
            Input::Wanted(desired) => self.wanted(desired, effects),
            Input::PluginHere { new } => {
                self.presence = Presence::Here;
                self.note = None;
                self.plugin_here(new, effects);
                self.refresh(at);
            }
            Input::PluginGone(reason) => {
                self.presence = Presence::Missing(reason);
                self.note = None;
                self.stop_or_settle(effects);
            }
            Input::PluginRevoked(reason) => {
                self.presence = Presence::Refused(reason);
                self.note = None;
                self.stop_or_settle(effects);
            }
            Input::PluginRefused(reason) => self.plugin_refused(reason, effects),
            Input::Probed(Ok(())) if self.holds_gateway() => {
                self.note = None;
                self.stop(Then::AsWanted, effects);
            }
            Input::Probed(Ok(())) => self.plugin_here(true, effects),
            Input::Probed(Err(reason)) => self.note_on_generation(went_back("its new version does not start", &reason)),
            Input::UpgradeTold(note) => {
                self.note = note;
                self.refresh(at);
            }
            Input::Switched if self.runs() => {
                self.forget_words();
                self.note = None;
                self.well_since_ms = Some(at.now_ms);
                self.refresh(at);
                effects.push(Effect::KeepGood);
            }
            Input::WentBack { note, runs } => self.gone_back(note, runs, effects),
            Input::Started if self.actual == Actual::Starting => {
                self.well_since_ms = Some(at.now_ms);
                self.actual = Actual::Running;
                self.refresh(at);
                effects.push(Effect::KeepGood);
            }
            Input::StartFailed { reason, goes_back: true, .. } if self.actual == Actual::Starting => {
                self.note = Some(went_back("its new version failed to start", &reason));
                self.forget_words();
                effects.push(Effect::StartPrevious);
            }
            Input::StartFailed { failure, reason, .. } if self.actual == Actual::Starting => match failure {
                Failure::Passing => self.fail(reason, at, policy),
                other => self.need(other, reason),
            },
            Input::Ended(reason) if self.runs() => self.fail(reason, at, policy),
            Input::PollOk if self.runs() => {
                self.poll_trouble = None;
                self.polled_well = true;
                self.refresh(at);
            }
            Input::PollFailed(failure @ (Failure::Credentials | Failure::Configuration), reason) if self.runs() => {
                self.stop(Then::Need(failure, reason), effects);
            }
            Input::PollFailed(_, reason) if self.runs() => {
                self.poll_trouble = Some(reason);
                self.refresh(at);
            }
            Input::Synchronized(done) if self.runs() => {
                self.sync_trouble = done.err();
                self.refresh(at);
            }
            Input::HealthTold(health) if self.holds_gateway() => {
                self.told = Some(health);
                self.refresh(at);
            }
            Input::SettingsSaved if !self.holds_gateway() && !self.stopping() => {
                self.failures.forgive();
                self.settle(effects);
            }
            Input::RestartNeeded if self.holds_gateway() => self.stop(Then::AsWanted, effects),
            Input::TimerDue => match self.actual {
                Actual::Retrying { .. } | Actual::Quarantined { .. } => self.settle(effects),
                Actual::Running => self.failures.forgive(),
                _ => {}
            },
            Input::Stopped { late } if self.stopping() => self.stopped(late, effects),
            // What comes too late for the state it was meant for.
            Input::Switched
            | Input::Started
            | Input::StartFailed { .. }
            | Input::PollOk
            | Input::PollFailed(..)
            | Input::Synchronized(_)
            | Input::HealthTold(_)
            | Input::Ended(_)
            | Input::SettingsSaved
            | Input::RestartNeeded
            | Input::Stopped { .. } => {}
        }
    }

    fn wanted(&mut self, desired: Desired, effects: &mut Vec<Effect>) {
        self.desired = desired;
        self.failures.forgive();
        if self.stopping() {
            self.then = Then::AsWanted;
        } else if desired == Desired::On {
            // One that runs already is left alone.
            if !self.holds_gateway() {
                self.settle(effects);
            }
        } else {
            self.stop_or_settle(effects);
        }
    }

    fn plugin_here(&mut self, new: bool, effects: &mut Vec<Effect>) {
        let waits_for_file = matches!(self.actual, Actual::Missing | Actual::Incompatible);
        match self.actual {
            Actual::Running | Actual::Degraded if new => effects.push(Effect::Probe),
            Actual::Starting if new => self.stop(Then::AsWanted, effects),
            Actual::Running | Actual::Degraded | Actual::Starting | Actual::Stopping => {}
            _ if new || waits_for_file => {
                self.failures.forgive();
                self.settle(effects);
            }
            _ => {}
        }
    }

    /// A refused file does not end what runs from the earlier file's staged copy.
    fn plugin_refused(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        if self.holds_gateway() {
            self.note_on_generation(went_back("the file in its plugin's place was refused", &reason));
        } else {
            // What its launch found says more than the file's verdict, which came of it.
            let is_told = self.actual == Actual::Incompatible && matches!(self.presence, Presence::Here);
            self.presence = Presence::Refused(reason);
            if !self.stopping() && !is_told {
                self.settle(effects);
            }
        }
    }

    fn note_on_generation(&mut self, note: Reason) {
        if self.actual == Actual::Running {
            self.reason = note.clone();
        }
        if self.holds_gateway() {
            self.note = Some(note);
        }
    }

    /// The generation before is in the place of one that failed: it is started once nothing of that one runs.
    fn gone_back(&mut self, note: Reason, runs: bool, effects: &mut Vec<Effect>) {
        self.presence = Presence::Here;
        self.failures.forgive();
        self.note = Some(note);
        if runs {
            self.stop(Then::AsWanted, effects);
        } else if !self.stopping() {
            self.settle(effects);
        }
    }

    fn need(&mut self, failure: Failure, reason: Reason) {
        self.actual = match failure {
            Failure::Credentials => Actual::NeedsAuth,
            Failure::Configuration => Actual::NeedsConfig,
            Failure::Incompatible | Failure::Passing => Actual::Incompatible,
        };
        self.reason = reason;
    }

    fn fail(&mut self, reason: Reason, at: Moment, policy: &Policy) {
        self.well_since_ms = None;
        (self.actual, self.reason) = self.failures.one_more(reason, at, policy);
    }

    /// Running or degraded, by what polls and the gateway itself say.
    fn refresh(&mut self, at: Moment) {
        if !self.runs() {
            return;
        }
        let told = self.told.as_ref().filter(|told| matches!(told.status, HealthStatus::Warning | HealthStatus::Error));
        let ill = match (self.trouble(), told) {
            (Some(trouble), _) => Some(trouble.clone()),
            (None, Some(told)) if told.message.is_empty() => {
                Some(Reason::new(ReasonCode::ReportedUnhealthy, "it says that it is not well, and not why"))
            }
            (None, Some(told)) => Some(Reason::new(ReasonCode::ReportedUnhealthy, told.message.clone())),
            (None, None) => None,
        };
        if let Some(reason) = ill {
            self.actual = Actual::Degraded;
            self.reason = reason;
            self.well_since_ms = None;
        } else {
            self.actual = Actual::Running;
            self.reason = self.note.clone().unwrap_or_else(|| Reason::new(ReasonCode::AsWanted, "it runs"));
            self.well_since_ms.get_or_insert(at.now_ms);
        }
    }

    fn stop(&mut self, then: Then, effects: &mut Vec<Effect>) {
        self.actual = Actual::Stopping;
        self.reason = Reason::new(ReasonCode::Stopping, "it is being stopped");
        self.then = then;
        self.well_since_ms = None;
        effects.push(Effect::Stop);
    }

    fn stop_or_settle(&mut self, effects: &mut Vec<Effect>) {
        if self.holds_gateway() {
            self.stop(Then::AsWanted, effects);
        } else if !self.stopping() {
            self.settle(effects);
        }
    }

    fn stopped(&mut self, late: Option<Reason>, effects: &mut Vec<Effect>) {
        let then = std::mem::replace(&mut self.then, Then::AsWanted);
        self.settle(effects);
        if let (Then::Need(failure, reason), Actual::Starting) = (then, self.actual) {
            effects.clear();
            self.need(failure, reason);
        }
        if let (Some(late), Actual::Off | Actual::Paused) = (late, self.actual) {
            self.reason = late;
        }
    }

    /// What a generation said of itself, and what was found of it, goes with it.
    fn forget_words(&mut self) {
        self.told = None;
        self.poll_trouble = None;
        self.sync_trouble = None;
        self.polled_well = false;
    }

    /// The state that desire and plugin ask for when nothing runs.
    fn settle(&mut self, effects: &mut Vec<Effect>) {
        self.forget_words();
        (self.actual, self.reason) = match (self.desired, &self.presence) {
            (Desired::Off, _) => (Actual::Off, deactivated()),
            (_, Presence::Missing(reason)) => (Actual::Missing, reason.clone()),
            (_, Presence::Refused(reason)) => (Actual::Incompatible, reason.clone()),
            (Desired::Paused, Presence::Here) => {
                (Actual::Paused, Reason::new(ReasonCode::PausedByPerson, "a person paused it"))
            }
            (Desired::On, Presence::Here) => {
                effects.push(Effect::Start);
                (Actual::Starting, starting())
            }
        };
    }
}

fn deactivated() -> Reason {
    Reason::new(ReasonCode::Deactivated, "it is switched off")
}

fn starting() -> Reason {
    Reason::new(ReasonCode::Starting, "it is being started")
}

fn went_back(what: &str, reason: &Reason) -> Reason {
    Reason {
        code: ReasonCode::WentBack,
        sentence: format!("{what}, so the version before runs: {}", reason.sentence),
        cause: reason.cause.clone(),
    }
}

#[cfg(test)]
mod tests;
