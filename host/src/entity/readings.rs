//! The way of a reading: bounds check, sequence number, live value, subscribers, queue of the history.

use std::pin::pin;
use std::sync::Arc;

use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::{EmitOutcome, Reading};
use gatehouse_plugin_api::value::Value;
use parking_lot::MutexGuard;

use super::bounds::{LIVE_TEXT_MAX_BYTES, check_reading, check_time};
use super::registry::Room;
use super::{Core, HouseParts, LiveState};
use crate::store::{Effect, ReadingRow};

/// Readings taken under one lock: whoever asks for a live value does not wait longer than for these.
const CHUNK: usize = 256;
/// A reading that is older than the last one and than this is of the past, and not the state's value now. Younger
/// ones are: clocks differ, and a clock that was set back must not freeze the state.
const BACKFILL_AFTER_MS: i64 = 60_000;

/// Takes readings; resolves when they are queued.
pub(super) async fn emit(parts: &HouseParts, integration: &IntegrationId, readings: Vec<Reading>) -> EmitOutcome {
    let mut outcome = EmitOutcome::default();
    let mut readings = readings.into_iter();
    let mut rows = Vec::with_capacity(readings.len().min(CHUNK));
    while readings.len() > 0 {
        let mut made_room = pin!(parts.queue.made_room());
        // Before the look at the room, or a commit between the two would go unnoticed.
        made_room.as_mut().enable();
        let took = {
            let mut core = parts.core.lock();
            let room = parts.queue.room(integration).min(CHUNK);
            if room > 0 {
                let now_ms = parts.clock.now_ms();
                core.take(integration, readings.by_ref().take(room), now_ms, &mut rows, &mut outcome);
                // Under the lock: the queue's order is that of the sequence numbers.
                parts.queue.push(&mut rows);
            }
            // To whoever waits, if anybody: a flood would have it again before that one woke.
            MutexGuard::unlock_fair(core);
            room > 0
        };
        if !took {
            made_room.await;
        }
    }
    outcome
}

impl Core {
    fn take(
        &mut self,
        integration: &IntegrationId,
        readings: impl Iterator<Item = Reading>,
        now_ms: i64,
        rows: &mut Vec<ReadingRow>,
        outcome: &mut EmitOutcome,
    ) {
        let room = self.registry.room_or_new(integration);
        let mut shown = Vec::with_capacity(readings.size_hint().0);
        let refused_before = outcome.refused;
        for reading in readings {
            match accept(room, reading, now_ms, self.sequence + 1) {
                Ok(row) => {
                    self.sequence += 1;
                    if row.effect != Effect::Backfilled {
                        shown.push(Arc::clone(&row.live));
                    }
                    rows.push(row);
                }
                Err(refused) => {
                    if outcome.refused == 0 {
                        outcome.first_reason = refused.sentence(integration);
                    }
                    outcome.refused += 1;
                }
            }
        }
        room.refused += u64::from(outcome.refused - refused_before);
        self.hub.publish(&shown);
    }
}

/// A reading that is not taken, and why; the sentence is made for the first one only.
struct Refused {
    reading: Reading,
    problem: Problem,
}

enum Problem {
    Undeclared,
    Detached,
    Wrong(String),
}

impl Refused {
    fn sentence(&self, integration: &IntegrationId) -> String {
        let (entity, state) = (self.reading.entity.as_str(), self.reading.state.as_str());
        match &self.problem {
            Problem::Undeclared => {
                format!("{integration}: the entity {entity:?} has no state {state:?}: declare it before its readings")
            }
            Problem::Detached => {
                format!("{integration}: the entity {entity:?} is detached: declare it again before its readings")
            }
            Problem::Wrong(problem) => {
                format!("{integration}: the state {state:?} of the entity {entity:?} {problem}")
            }
        }
    }
}

fn accept(room: &mut Room, reading: Reading, now_ms: i64, sequence: u64) -> Result<ReadingRow, Box<Refused>> {
    let refuse = |reading, problem| Err(Box::new(Refused { reading, problem }));
    let mut texts = room.texts;
    let Some(known) = room.get_mut(reading.entity.as_str()) else { return refuse(reading, Problem::Undeclared) };
    if !known.attached() {
        return refuse(reading, Problem::Detached);
    }
    let Some(slot) = known.slot_mut(reading.state.as_str()) else { return refuse(reading, Problem::Undeclared) };
    let Some(kind) = &slot.kind else { return refuse(reading, Problem::Undeclared) };
    let checked = check_reading(kind, &reading.value)
        .and_then(|()| reading.at_ms.map_or(Ok(()), |at_ms| check_time(at_ms, now_ms)));
    if let Err(problem) = checked {
        return refuse(reading, Problem::Wrong(problem));
    }
    let at_ms = reading.at_ms.unwrap_or(now_ms);
    let effect = match &slot.live {
        Some(live) if at_ms < live.last_seen_ms && at_ms < now_ms - BACKFILL_AFTER_MS => Effect::Backfilled,
        Some(live) if live.value == reading.value && !matches!(reading.value, Value::Event(_)) => Effect::Seen,
        _ => Effect::Changed,
    };
    let text_bytes = reading.value.text_bytes();
    if effect == Effect::Changed {
        texts = texts - slot.live.as_ref().map_or(0, |live| live.value.text_bytes()) + text_bytes;
        if text_bytes > 0 && texts > LIVE_TEXT_MAX_BYTES {
            return refuse(
                reading,
                Problem::Wrong(format!(
                    "got a text with which the integration's states would have {texts} bytes; the most is {LIVE_TEXT_MAX_BYTES}"
                )),
            );
        }
    }
    let changed_at_ms = match (&slot.live, effect) {
        (Some(live), Effect::Seen) => live.changed_at_ms,
        _ => at_ms,
    };
    let live = Arc::new(LiveState {
        address: Arc::clone(&slot.address),
        value: reading.value,
        changed_at_ms,
        last_seen_ms: at_ms,
        sequence,
    });
    if effect != Effect::Backfilled {
        slot.live = Some(Arc::clone(&live));
    }
    let state_id = slot.id;
    room.texts = texts;
    // Bounded by the check before.
    let text_bytes = u32::try_from(text_bytes).unwrap_or(u32::MAX);
    Ok(ReadingRow { state_id, effect, text_bytes, live })
}
