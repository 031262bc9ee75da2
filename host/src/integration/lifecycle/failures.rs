//! How often an integration failed, and with it how long it rests before it is tried again.

use gatehouse_plugin_api::duration::format_ms;

use super::{Moment, Policy};
use crate::integration::{Actual, FailedOnce};
use crate::reason::{Reason, ReasonCode};

/// The failures of one integration.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Failures {
    /// Failures within the quarantine's window.
    counting: Vec<FailedOnce>,
    /// Failures since they were forgiven last.
    attempt: u32,
    quarantined: bool,
}

impl Failures {
    /// Those within the quarantine's window, oldest first.
    pub(super) fn counting(&self) -> &[FailedOnce] {
        &self.counting
    }

    pub(super) fn are_forgiven(&self) -> bool {
        self.attempt == 0 && !self.quarantined
    }

    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }

    /// Counts one more; the state that follows of it, and why.
    pub(super) fn one_more(&mut self, reason: Reason, at: Moment, policy: &Policy) -> (Actual, Reason) {
        let window = millis(policy.quarantine_within_ms);
        self.counting.retain(|failed| at.now_ms.saturating_sub(failed.at_ms) <= window);
        self.counting.push(FailedOnce { at_ms: at.now_ms, reason: reason.clone() });
        self.attempt += 1;
        let failures = u32::try_from(self.counting.len()).unwrap_or(u32::MAX);
        if self.quarantined || failures >= policy.quarantine_failures {
            self.quarantined = true;
            let next_at_ms = at.now_ms.saturating_add(spread(policy.quarantine_retry_ms, at.chance));
            let window = format_ms(policy.quarantine_within_ms);
            let reason = Reason {
                code: ReasonCode::Quarantined,
                sentence: format!(
                    "it failed {} times (the limit is {} in {window}) and is tried again only now and then; the last time: {}",
                    self.attempt, policy.quarantine_failures, reason.sentence
                ),
                cause: reason.cause,
            };
            (Actual::Quarantined { next_at_ms }, reason)
        } else {
            let index = (self.attempt as usize - 1).min(policy.backoff_ms.len().saturating_sub(1));
            let pause = policy.backoff_ms.get(index).copied().unwrap_or(1_000);
            let next_at_ms = at.now_ms.saturating_add(spread(pause, at.chance));
            (Actual::Retrying { attempt: self.attempt, next_at_ms }, reason)
        }
    }
}

/// A pause made a fifth shorter to a fifth longer, so that many integrations do not retry in step.
fn spread(pause_ms: u64, chance: f64) -> i64 {
    let factor = 0.8 + 0.4 * chance.clamp(0.0, 1.0);
    millis((pause_ms as f64 * factor).round() as u64)
}

pub(super) fn millis(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
