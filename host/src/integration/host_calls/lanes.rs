//! The two lanes of one generation: its calls, worked off in the order in which they came.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::message::{Declare, Emit, EmitOutcome, Key, KeyBlob, Keys, MaybeBlob, Remove};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::wire;
use tokio::sync::{mpsc, oneshot};

use super::{Access, Overlay, Parts, Told, held, kept};
use crate::gateway::HostReply;
use crate::store::{KvSpace, StoreError, Written};

/// The largest value of a key-value store, in bytes.
const VALUE_BYTES: usize = 1024 * 1024;
/// The longest key, in bytes.
const KEY_BYTES: usize = 255;
/// The most that a gateway may keep before its activation is done.
const OVERLAY_BYTES: usize = 16 * 1024 * 1024;

/// What a lane works off.
pub(super) enum Job {
    /// One call; with the snapshot that was waited for when a part of one came.
    Call { op: &'static Op, request: Vec<u8>, reply: HostReply, waits: Waits, serial: Option<u64> },
    /// Tell when everything before is done.
    Mark(oneshot::Sender<()>),
    /// Do what was held, and everything later as usual.
    Release(oneshot::Sender<()>),
    /// Stand still until the switch is done (`true`) or given up.
    Still { reached: oneshot::Sender<()>, over: oneshot::Receiver<bool> },
    /// Hand out what was kept aside, and stand still until it is committed (`true`) or not.
    Kept { written: oneshot::Sender<Vec<Written>>, committed: oneshot::Receiver<bool> },
}

/// The bytes of one waiting call, counted while it waits.
pub(super) struct Waits {
    total: Arc<AtomicUsize>,
    bytes: usize,
    before: usize,
}

impl Waits {
    pub(super) fn new(total: &Arc<AtomicUsize>, bytes: usize) -> Self {
        let before = total.fetch_add(bytes, Ordering::Relaxed);
        Self { total: Arc::clone(total), bytes, before }
    }

    /// The bytes that waited when this call came.
    pub(super) fn before(&self) -> usize {
        self.before
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Whether an operation goes to the key-value stores.
pub(super) fn is_for_store(op: &Op) -> bool {
    (ops::KV_GET.number..=ops::SECRET_DELETE.number).contains(&op.number)
}

/// Works off entities and readings until the generation's side is dropped.
pub(super) fn run_house(parts: Weak<Parts>, mut jobs: mpsc::Receiver<Job>) {
    tokio::spawn(async move {
        let mut arriving = None;
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Mark(done) => drop(done.send(())),
                Job::Release(done) => {
                    let Some(parts) = parts.upgrade() else { return };
                    held::release(&parts).await;
                    let _ = done.send(());
                }
                // For the other lane.
                Job::Still { .. } | Job::Kept { .. } => {}
                Job::Call { op, request, reply, waits, serial } => {
                    let Some(parts) = parts.upgrade() else { return };
                    if matches!(parts.access, Access::Provisional(_)) {
                        let message = format!("{} is not possible before the integration is activated", op.name);
                        reply.complete::<()>(&Err(CallError::new(ErrorCode::Refused, message)));
                    } else if let Some(serial) = serial {
                        match parts.take_part(op, serial, &request, &mut arriving).await {
                            Ok(Some(outcome)) => reply.complete(&Ok(outcome)),
                            Ok(None) => reply.complete(&Ok(())),
                            Err(error) => reply.complete::<()>(&Err(error)),
                        }
                    } else if let Some(reply) = parts.hold(op, &request, reply) {
                        house_call(&parts, op, &request, reply).await;
                    }
                    drop(waits);
                }
            }
        }
    });
}

async fn house_call(parts: &Arc<Parts>, op: &Op, request: &[u8], reply: HostReply) {
    let (house, id) = (&parts.base.house, &parts.id);
    match *op {
        ops::EMIT => reply.complete(&emit(parts, request).await),
        ops::EMIT_DURABLE => {
            let outcome = emit(parts, request).await;
            // Queued in order; the wait for the commit holds up nothing behind it.
            answer_after_flush(parts, outcome, reply);
        }
        ops::FLUSH => answer_after_flush(parts, Ok(()), reply),
        ops::DECLARE => {
            let done = match wire::decode::<Declare>(request) {
                Ok(declare) => house.declare(id, declare.entities).await.map(drop),
                Err(error) => Err(error),
            };
            reply.complete(&done);
        }
        ops::REMOVE => {
            let done = match wire::decode::<Remove>(request) {
                Ok(remove) => house.remove(id, remove.entities).await,
                Err(error) => Err(error),
            };
            reply.complete(&done);
        }
        _ => {
            let message = format!("this host does not perform {}", op.name);
            reply.complete::<()>(&Err(CallError::new(ErrorCode::Unsupported, message)));
        }
    }
}

async fn emit(parts: &Parts, request: &[u8]) -> Result<EmitOutcome, CallError> {
    let emit: Emit = wire::decode(request)?;
    let readings = emit.readings.len();
    let outcome = parts.base.house.emit(&parts.id, emit.readings).await;
    let refused = u64::from(outcome.refused);
    parts.meter.readings_refused.add(refused);
    parts.meter.readings.add((readings as u64).saturating_sub(refused));
    if (outcome.refused as usize) < readings {
        parts.tell(Told::Reading);
    }
    Ok(outcome)
}

pub(super) fn answer_after_flush<T: serde::Serialize + Send + 'static>(
    parts: &Arc<Parts>,
    outcome: Result<T, CallError>,
    reply: HostReply,
) {
    let house = parts.base.house.clone();
    tokio::spawn(async move {
        let outcome = match outcome {
            Ok(outcome) => house.flush().await.map(|()| outcome),
            Err(error) => Err(error),
        };
        reply.complete(&outcome);
    });
}

/// Works off the key-value stores until the generation's side is dropped.
pub(super) fn run_store(parts: Weak<Parts>, mut jobs: mpsc::Receiver<Job>) {
    tokio::spawn(async move {
        while let Some(job) = jobs.recv().await {
            match job {
                Job::Mark(done) => drop(done.send(())),
                Job::Still { reached, over } => held::stand_still(&parts, reached, over).await,
                Job::Kept { written, committed } => held::hand_out(&parts, written, committed).await,
                // For the other lane.
                Job::Release(_) => {}
                Job::Call { op, request, reply, waits, .. } => {
                    let Some(parts) = parts.upgrade() else { return };
                    if parts.replaced.load(Ordering::SeqCst) {
                        parts.drop_late(reply);
                        continue;
                    }
                    store_call(&parts, op, &request, reply).await;
                    drop(waits);
                }
            }
        }
    });
}

async fn store_call(parts: &Parts, op: &Op, request: &[u8], reply: HostReply) {
    let space = if op.number >= ops::SECRET_GET.number { KvSpace::Secrets } else { KvSpace::Data };
    match *op {
        ops::KV_GET | ops::SECRET_GET => reply.complete(&get(parts, space, request).await),
        ops::KV_SET | ops::SECRET_SET => {
            let done = match wire::decode::<KeyBlob>(request) {
                Ok(KeyBlob { key, bytes }) => set(parts, space, key, Some(bytes)).await,
                Err(error) => Err(error),
            };
            reply.complete(&done);
        }
        ops::KV_DELETE | ops::SECRET_DELETE => {
            let done = match wire::decode::<Key>(request) {
                Ok(Key { key }) => set(parts, space, key, None).await,
                Err(error) => Err(error),
            };
            reply.complete(&done);
        }
        _ => reply.complete(&keys(parts, space, request).await),
    }
}

async fn get(parts: &Parts, space: KvSpace, request: &[u8]) -> Result<MaybeBlob, CallError> {
    let Key { key } = wire::decode(request)?;
    let written = parts.overlay(|overlay| overlay.get(&(space, key.clone())).cloned()).flatten();
    let bytes = match written {
        Some(written) => written,
        None => parts.base.store.kv_get(&parts.id, space, &key).await.map_err(store_failed)?,
    };
    Ok(MaybeBlob { bytes })
}

async fn set(parts: &Parts, space: KvSpace, key: String, value: Option<Vec<u8>>) -> Result<(), CallError> {
    let refused = |message| Err(CallError::new(ErrorCode::Refused, message));
    if key.is_empty() || key.len() > KEY_BYTES {
        return refused(format!("the key has {} bytes: from 1 to {KEY_BYTES} are possible", key.len()));
    }
    if let Some(bytes) = value.as_ref().map(Vec::len)
        && bytes > VALUE_BYTES
    {
        return refused(format!("the value of {key:?} has {bytes} bytes: at most {VALUE_BYTES} are possible"));
    }
    let aside = parts.overlay(|overlay| {
        let kept = overlay.iter().filter(|((at, name), _)| (*at, name) != (space, &key));
        let bytes: usize = kept.map(|((_, key), value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        if bytes + key.len() + value.as_ref().map_or(0, Vec::len) > OVERLAY_BYTES {
            return refused(format!("before it is in use at most {OVERLAY_BYTES} bytes are kept"));
        }
        overlay.insert((space, key.clone()), value.clone());
        Ok(())
    });
    match aside {
        Some(done) => done,
        None => {
            let after = match &value {
                Some(value) => {
                    let bytes = (key.len() + value.len()) as u64;
                    Some(kept::make_room(parts, space, &key, bytes).await?)
                }
                None => None,
            };
            parts.base.store.kv_set(&parts.id, space, &key, value).await.map_err(store_failed)?;
            kept::written(parts, after);
            Ok(())
        }
    }
}

async fn keys(parts: &Parts, space: KvSpace, request: &[u8]) -> Result<Keys, CallError> {
    let Key { key: prefix } = wire::decode(request)?;
    let stored = parts.base.store.kv_keys(&parts.id, space, &prefix).await.map_err(store_failed)?;
    let mut keys: HashSet<String> = stored.into_iter().collect();
    parts.overlay(|overlay| {
        for ((_, key), value) in overlay.iter().filter(|((at, key), _)| *at == space && key.starts_with(&prefix)) {
            if value.is_some() {
                keys.insert(key.clone());
            } else {
                keys.remove(key);
            }
        }
    });
    let mut keys: Vec<String> = keys.into_iter().collect();
    keys.sort_unstable();
    Ok(Keys { keys })
}

impl Parts {
    /// What is kept aside from the database: during a flow, or until the generation has taken over.
    fn overlay<T>(&self, with: impl FnOnce(&mut Overlay) -> T) -> Option<T> {
        match &self.access {
            Access::Provisional(overlay) => Some(with(&mut overlay.lock())),
            Access::Full(_) => self.aside.lock().as_mut().map(with),
        }
    }
}

/// The plugin learns that it failed, not how the host's database is made.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
pub(super) fn store_failed(error: StoreError) -> CallError {
    tracing::error!(%error, "a plugin's key-value store could not be used");
    CallError::new(ErrorCode::Transient, "the host's database could not be used: try again later")
}
