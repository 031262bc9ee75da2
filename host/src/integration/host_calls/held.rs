//! A generation that has not taken over yet: what it asks of the host is held, bounded, until it does.
//!
//! Readings are held by their last value per state, declarations in their order, kept values in an overlay that no other
//! generation reads. What asks for a commit (`emit_durable`, `flush`) is answered only after the release, because
//! "acknowledged" means that it is in the database: nothing of a generation that never takes over is.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::message::{Declare, Emit, EmitOutcome, Health, Reading, Remove};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::wire;
use tokio::sync::oneshot;

use super::lanes::{Job, answer_after_flush};
use super::{Access, HostSide, Overlay, Parts, Told};
use crate::entity::name_key;
use crate::gateway::HostReply;
use crate::store::Written;

/// The most states whose last value is held.
const STATES: usize = 100_000;
/// The most declarations that are held.
const CHANGES: usize = 1_024;
/// The most bytes of readings and declarations that are held.
const BYTES: usize = 16 * 1024 * 1024;

/// What a generation asked for and what is not done yet.
#[derive(Default)]
pub(super) struct Held {
    /// By state, with the place in the order of arrival and its moment.
    readings: BTreeMap<(String, String), (u64, i64, Reading)>,
    changes: Vec<(Change, usize)>,
    health: Option<Health>,
    /// Who waits for a commit.
    waiting: Vec<(HostReply, Option<EmitOutcome>)>,
    arrived: u64,
    bytes: usize,
}

enum Change {
    Declare(Declare),
    Remove(Remove),
}

/// The turn of an old generation's key-value store: over when dropped.
#[derive(Debug)]
pub(in crate::integration) struct Pause(oneshot::Sender<bool>);

impl Pause {
    /// The generation is replaced: what it still asks of its store is refused.
    pub(in crate::integration) fn replaced(self) {
        // A lane that is gone asks no more.
        let _ = self.0.send(true);
    }
}

/// What a new generation kept in its overlay, while nothing more is added to it.
#[derive(Debug)]
pub(in crate::integration) struct Kept {
    /// The values, to be written by the switch.
    pub(in crate::integration) written: Vec<Written>,
    committed: oneshot::Sender<bool>,
}

impl Kept {
    /// They are in the database: the generation's store is the database from now on.
    pub(in crate::integration) fn committed(self) {
        // As above.
        let _ = self.committed.send(true);
    }
}

impl HostSide {
    /// A side whose readings, declarations and kept values are held until [`HostSide::release`].
    pub(in crate::integration) fn held(
        id: gatehouse_plugin_api::ids::IntegrationId,
        base: Arc<crate::integration::ground::Base>,
        tell: Box<dyn Fn(Told) + Send + Sync>,
    ) -> Self {
        let side = Self::new(id, base, Access::Full(tell));
        *side.0.held.lock() = Some(Held::default());
        *side.0.aside.lock() = Some(Overlay::new());
        side
    }

    /// Resolves when something waits for a commit that only the release brings.
    pub(in crate::integration) async fn waits_for_commit(&self) {
        self.0.wants_commit.notified().await;
    }

    /// Holds its key-value store still; what it asks waits. For the old generation, during the switch.
    pub(in crate::integration) async fn pause_store(&self) -> Pause {
        let (turn, over) = oneshot::channel();
        let (reached, is_still) = oneshot::channel();
        if self.0.store_lane.send(Job::Still { reached, over }).await.is_ok() {
            // The lane ends only with its side, which is borrowed here.
            let _ = is_still.await;
        }
        Pause(turn)
    }

    /// What it kept aside; its store stands still until that is committed, or goes on aside when it is not.
    pub(in crate::integration) async fn take_kept(&self) -> Kept {
        let (written, taken) = oneshot::channel();
        let (committed, commit) = oneshot::channel();
        let asked = self.0.store_lane.send(Job::Kept { written, committed: commit }).await;
        let written = match asked {
            Ok(()) => taken.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        Kept { written, committed }
    }

    /// Refuses everything from now on, at once; what was asked before is still done.
    pub(in crate::integration) fn shut(&self) {
        self.0.open.store(false, Ordering::SeqCst);
    }

    /// It has taken over: what is held is done, in its order, and everything later as usual.
    pub(in crate::integration) async fn release(&self) {
        let (done, released) = oneshot::channel();
        if self.0.house_lane.send(Job::Release(done)).await.is_ok() {
            let _ = released.await;
        }
    }
}

impl Parts {
    /// Keeps the health of a generation that has not taken over; gives it back when it has.
    pub(super) fn hold_health(&self, health: Health) -> Option<Health> {
        match self.held.lock().as_mut() {
            Some(held) => {
                held.health = Some(health);
                None
            }
            None => Some(health),
        }
    }

    /// Holds a call; gives its reply back when nothing is held.
    pub(super) fn hold(&self, op: &Op, request: &[u8], reply: HostReply) -> Option<HostReply> {
        let mut held = self.held.lock();
        let Some(held) = held.as_mut() else { return Some(reply) };
        match *op {
            ops::EMIT => reply.complete(&held.emit(request, self.base.clock.now_ms())),
            ops::EMIT_DURABLE => match held.emit(request, self.base.clock.now_ms()) {
                Ok(outcome) => held.waiting.push((reply, Some(outcome))),
                Err(error) => reply.complete::<()>(&Err(error)),
            },
            ops::FLUSH => held.waiting.push((reply, None)),
            ops::DECLARE => {
                let change = wire::decode(request).map(Change::Declare);
                reply.complete(&change.and_then(|change| held.change(change, request.len())));
            }
            ops::REMOVE => {
                let change = wire::decode(request).map(Change::Remove);
                reply.complete(&change.and_then(|change| held.change(change, request.len())));
            }
            _ => return Some(reply),
        }
        if !held.waiting.is_empty() {
            self.wants_commit.notify_one();
        }
        None
    }
}

impl Held {
    fn emit(&mut self, request: &[u8], now_ms: i64) -> Result<EmitOutcome, CallError> {
        let emit: Emit = wire::decode(request)?;
        let mut outcome = EmitOutcome::default();
        for reading in emit.readings {
            let key = |name: &str| name_key(name).into_owned();
            let key = (key(reading.entity.as_str()), key(reading.state.as_str()));
            let new = reading.value.text_bytes();
            let old = self.readings.get(&key).map(|(_, _, held)| held.value.text_bytes());
            let full = old.is_none() && self.readings.len() >= STATES;
            if full || self.bytes + new > BYTES + old.unwrap_or(0) {
                if outcome.refused == 0 {
                    outcome.first_reason =
                        "this version has not taken over yet, and no more of its readings are held".to_owned();
                }
                outcome.refused += 1;
                continue;
            }
            self.bytes = self.bytes + new - old.unwrap_or(0);
            self.arrived += 1;
            self.readings.insert(key, (self.arrived, now_ms, reading));
        }
        Ok(outcome)
    }

    fn change(&mut self, change: Change, bytes: usize) -> Result<(), CallError> {
        if self.changes.len() >= CHANGES || self.bytes + bytes > BYTES {
            let message = "this version has not taken over yet, and no more of its declarations are held";
            return Err(CallError::new(ErrorCode::Refused, message));
        }
        self.bytes += bytes;
        self.changes.push((change, bytes));
        Ok(())
    }
}

/// Does what was held; runs on the house lane, so that everything asked later comes after it.
pub(super) async fn release(parts: &Arc<Parts>) {
    let Some(held) = parts.held.lock().take() else { return };
    if let Some(health) = held.health {
        parts.tell(Told::Health(health));
    }
    let (house, id) = (&parts.base.house, &parts.id);
    for (change, _) in held.changes {
        let done = match change {
            Change::Declare(declare) => house.declare(id, declare.entities).await.map(drop),
            Change::Remove(remove) => house.remove(id, remove.entities).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a declaration that was held until the switch was refused");
        }
    }
    let mut readings: Vec<_> = held.readings.into_values().collect();
    readings.sort_unstable_by_key(|(arrived, ..)| *arrived);
    let now_ms = parts.base.clock.now_ms();
    // The moment of the value, not that of the switch.
    let dated = |(_, at_ms, reading): (u64, i64, Reading)| Reading {
        at_ms: reading.at_ms.or_else(|| (at_ms < now_ms).then_some(at_ms)),
        ..reading
    };
    if !readings.is_empty() {
        let count = readings.len() as u64;
        let outcome = house.emit(id, readings.into_iter().map(dated).collect()).await;
        parts.meter.readings.add(count.saturating_sub(u64::from(outcome.refused)));
        parts.meter.readings_refused.add(u64::from(outcome.refused));
        if outcome.refused > 0 {
            tracing::warn!(refused = outcome.refused, reason = outcome.first_reason, "held readings were refused");
        }
        parts.tell(Told::Reading);
    }
    for (reply, outcome) in held.waiting {
        match outcome {
            Some(outcome) => answer_after_flush(parts, Ok(outcome), reply),
            None => answer_after_flush(parts, Ok(()), reply),
        }
    }
}

/// Stands still on the store lane of an old generation until the switch is done or given up.
pub(super) async fn stand_still(parts: &Weak<Parts>, reached: oneshot::Sender<()>, over: oneshot::Receiver<bool>) {
    let _ = reached.send(());
    if over.await == Ok(true)
        && let Some(parts) = parts.upgrade()
    {
        parts.replaced.store(true, Ordering::SeqCst);
    }
}

/// Hands out what was kept aside and waits until it is committed; on the store lane of a new generation.
pub(super) async fn hand_out(
    parts: &Weak<Parts>,
    written: oneshot::Sender<Vec<Written>>,
    committed: oneshot::Receiver<bool>,
) {
    let Some(kept) = parts.upgrade().map(|parts| {
        let aside = parts.aside.lock();
        let values = aside.iter().flatten();
        values.map(|((space, key), value)| (*space, key.clone(), value.clone())).collect()
    }) else {
        return;
    };
    let _ = written.send(kept);
    if committed.await == Ok(true)
        && let Some(parts) = parts.upgrade()
    {
        *parts.aside.lock() = None;
    }
}
