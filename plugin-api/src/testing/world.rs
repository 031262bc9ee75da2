//! What the host in memory knows, and what each operation does to it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use gatehouse_abi::ReplyHandle;
use serde::Serialize;

use crate::error::{CallError, ErrorCode};
use crate::message::{
    Declare, Emit, EmitOutcome, EntityDeclaration, Health, Key, KeyBlob, Keys, Log, LogRecord, MaybeBlob, Progress,
    Reading, Remove, SyncCall, SyncChunk, SyncOutcome,
};
use crate::{ops, wire};

/// A state's place: entity and state, lower-cased.
type Place = (String, String);

/// All that a gateway told its host.
#[derive(Default)]
pub(super) struct World {
    pub(super) entities: BTreeMap<String, EntityDeclaration>,
    pub(super) readings: Vec<Reading>,
    pub(super) live: HashMap<Place, Reading>,
    pub(super) refused: Vec<String>,
    /// How many of `readings` are committed.
    pub(super) committed: usize,
    pub(super) logs: Vec<LogRecord>,
    pub(super) logs_dropped: u64,
    pub(super) health: Health,
    pub(super) progress: Vec<Progress>,
    pub(super) kv: BTreeMap<String, Vec<u8>>,
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    /// The snapshot on its way, and the call that it belongs to.
    pub(super) snapshot: Option<(SyncCall, Vec<EntityDeclaration>)>,
    /// How often a snapshot was asked for: the number of the last call.
    pub(super) sync_serial: u64,
    pub(super) snapshots: Vec<SyncOutcome>,
    /// The calls so far, by operation.
    pub(super) calls: Vec<u32>,
    /// Operations that this host does not know.
    pub(super) without: Vec<u32>,
    /// The operations whose answers are kept back.
    pub(super) holding: Vec<u32>,
    pub(super) held: Vec<(u32, ReplyHandle, Vec<u8>)>,
    /// What the next calls of an operation are answered with.
    pub(super) failing: Vec<(u32, CallError)>,
}

/// What helps to see why a test failed; the stores stay out of it.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("entities", &self.entities.keys().collect::<Vec<_>>())
            .field("live", &self.live.values().map(|r| (&r.entity, &r.state, &r.value)).collect::<Vec<_>>())
            .field("readings", &self.readings.len())
            .field("refused", &self.refused)
            .field("committed", &self.committed)
            .field("health", &self.health)
            .field("progress", &self.progress)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

pub(super) fn place(entity: &str, state: &str) -> Place {
    (entity.to_lowercase(), state.to_lowercase())
}

fn ok<T: Serialize>(body: T) -> Result<Vec<u8>, CallError> {
    Ok(wire::encode_reply::<T>(&Ok(body)))
}

impl World {
    /// Performs one operation; the reply's bytes.
    pub(super) fn perform(&mut self, op: u32, request: &[u8], now_ms: i64) -> Vec<u8> {
        self.calls.push(op);
        self.answer(op, request, now_ms).unwrap_or_else(|error| wire::encode_reply::<()>(&Err(error)))
    }

    fn answer(&mut self, op: u32, request: &[u8], now_ms: i64) -> Result<Vec<u8>, CallError> {
        if self.without.contains(&op) {
            return Err(CallError::new(ErrorCode::Unsupported, format!("this host knows no operation {op}")));
        }
        if let Some(at) = self.failing.iter().position(|(failing, _)| *failing == op) {
            return Err(self.failing.remove(at).1);
        }
        if op == ops::EMIT.number {
            ok(self.accept(wire::decode::<Emit>(request)?.readings, now_ms))
        } else if op == ops::EMIT_DURABLE.number {
            let outcome = self.accept(wire::decode::<Emit>(request)?.readings, now_ms);
            self.committed = self.readings.len();
            ok(outcome)
        } else if op == ops::FLUSH.number {
            self.committed = self.readings.len();
            ok(())
        } else if op == ops::DECLARE.number {
            let entities = wire::decode::<Declare>(request)?.entities;
            names_apart(&entities)?;
            for entity in entities {
                self.upsert(entity);
            }
            ok(())
        } else if op == ops::REMOVE.number {
            for name in wire::decode::<Remove>(request)?.entities {
                self.detach(&name.as_str().to_lowercase());
            }
            ok(())
        } else if op == ops::LOG.number {
            let log: Log = wire::decode(request)?;
            self.logs.extend(log.records);
            self.logs_dropped += log.dropped;
            ok(())
        } else if op == ops::HEALTH.number {
            self.health = wire::decode(request)?;
            ok(())
        } else if op == ops::PROGRESS.number {
            self.progress.push(wire::decode(request)?);
            ok(())
        } else if let Some(answer) = self.stores(op, request) {
            answer
        } else {
            self.synchronize(op, request)
        }
    }

    fn stores(&mut self, op: u32, request: &[u8]) -> Option<Result<Vec<u8>, CallError>> {
        let sealed = [ops::SECRET_GET, ops::SECRET_SET, ops::SECRET_DELETE].iter().any(|known| known.number == op);
        let store = if sealed { &mut self.secrets } else { &mut self.kv };
        let key = || wire::decode::<Key>(request).map(|key| key.key);
        Some(if op == ops::KV_GET.number || op == ops::SECRET_GET.number {
            key().and_then(|key| ok(MaybeBlob { bytes: store.get(&key).cloned() }))
        } else if op == ops::KV_SET.number || op == ops::SECRET_SET.number {
            wire::decode::<KeyBlob>(request).and_then(|blob| {
                store.insert(blob.key, blob.bytes);
                ok(())
            })
        } else if op == ops::KV_DELETE.number || op == ops::SECRET_DELETE.number {
            key().and_then(|key| {
                store.remove(&key);
                ok(())
            })
        } else if op == ops::KV_KEYS.number {
            key().and_then(|prefix| {
                ok(Keys { keys: store.keys().filter(|key| key.starts_with(&prefix)).cloned().collect() })
            })
        } else {
            return None;
        })
    }

    fn synchronize(&mut self, op: u32, request: &[u8]) -> Result<Vec<u8>, CallError> {
        if op == ops::SYNC_BEGIN.number {
            let call = wire::decode::<SyncCall>(request)?;
            self.awaited(call)?;
            self.snapshot = Some((call, Vec::new()));
            ok(())
        } else if op == ops::SYNC_CHUNK.number {
            let chunk = wire::decode::<SyncChunk>(request)?;
            let call = SyncCall { serial: chunk.serial };
            let mut entities = self.take_snapshot(call)?;
            entities.extend(chunk.entities);
            self.snapshot = Some((call, entities));
            ok(())
        } else if op == ops::SYNC_END.number {
            let entities = self.take_snapshot(wire::decode(request)?)?;
            names_apart(&entities)?;
            let outcome = self.apply(entities);
            self.snapshots.push(outcome);
            ok(outcome)
        } else {
            Err(CallError::new(ErrorCode::Unsupported, format!("this host knows no operation {op}")))
        }
    }

    /// Whether the last call of `synchronize` is the one meant.
    fn awaited(&self, call: SyncCall) -> Result<(), CallError> {
        if call.serial == Some(self.sync_serial) {
            return Ok(());
        }
        let message = format!("this snapshot is of call {:?}, and {} is waited for", call.serial, self.sync_serial);
        Err(CallError::new(ErrorCode::Refused, message))
    }

    fn take_snapshot(&mut self, of: SyncCall) -> Result<Vec<EntityDeclaration>, CallError> {
        self.awaited(of)?;
        let begun = self.snapshot.take().filter(|(call, _)| *call == of).map(|(_, entities)| entities);
        begun.ok_or_else(|| CallError::new(ErrorCode::InvalidRequest, "no snapshot was begun"))
    }

    fn apply(&mut self, entities: Vec<EntityDeclaration>) -> SyncOutcome {
        let mut outcome = SyncOutcome::default();
        let mut listed = Vec::new();
        for entity in entities {
            let name = entity.name.as_str().to_lowercase();
            match self.entities.get(&name) {
                None => outcome.created += 1,
                Some(known) if *known != entity => outcome.updated += 1,
                Some(_) => {}
            }
            listed.push(name);
            self.upsert(entity);
        }
        let gone: Vec<String> = self.entities.keys().filter(|name| !listed.contains(name)).cloned().collect();
        for name in gone {
            outcome.detached += 1;
            self.detach(&name);
        }
        outcome
    }

    fn upsert(&mut self, entity: EntityDeclaration) {
        let name = entity.name.as_str().to_lowercase();
        if let Some(before) = &entity.previous_name {
            self.entities.remove(&before.as_str().to_lowercase());
        }
        self.live.retain(|(of, state), _| {
            *of != name || entity.states.iter().any(|known| known.name.as_str().to_lowercase() == *state)
        });
        self.entities.insert(name, entity);
    }

    fn detach(&mut self, name: &str) {
        self.entities.remove(name);
        self.live.retain(|(of, _), _| of != name);
    }

    /// Takes readings as a host does: those of undeclared states and wrong kinds are refused.
    pub(super) fn accept(&mut self, readings: Vec<Reading>, now_ms: i64) -> EmitOutcome {
        let mut outcome = EmitOutcome::default();
        for mut reading in readings {
            match self.check(&reading) {
                Ok(()) => {
                    reading.at_ms.get_or_insert(now_ms);
                    let place = place(reading.entity.as_str(), reading.state.as_str());
                    self.live.insert(place, reading.clone());
                    self.readings.push(reading);
                }
                Err(reason) => {
                    outcome.refused += 1;
                    if outcome.first_reason.is_empty() {
                        outcome.first_reason.clone_from(&reason);
                    }
                    self.refused.push(reason);
                }
            }
        }
        outcome
    }

    fn check(&self, reading: &Reading) -> Result<(), String> {
        let Reading { entity, state, value, .. } = reading;
        let known = self.entities.get(&entity.as_str().to_lowercase());
        let known = known.ok_or_else(|| format!("{entity} is not declared"))?;
        let declared = known.states.iter().find(|s| s.name.as_str().eq_ignore_ascii_case(state.as_str()));
        let declared = declared.ok_or_else(|| format!("{entity}/{state} is not declared"))?;
        declared.kind.check(value).map_err(|problem| format!("{entity}/{state} {problem}"))
    }
}

fn names_apart(entities: &[EntityDeclaration]) -> Result<(), CallError> {
    let mut seen = HashMap::new();
    for entity in entities {
        if let Some(other) = seen.insert(entity.name.as_str().to_lowercase(), &entity.name) {
            let message = format!("{other} and {} are one name when lower-cased: name them apart", entity.name);
            return Err(CallError::new(ErrorCode::Refused, message));
        }
    }
    Ok(())
}
