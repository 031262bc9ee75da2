//! Which snapshot of the upstream's entities is waited for: parts of any other are refused.
//!
//! The host asks for one at a time and numbers its calls. Parts are taken while their call is open and carry its number;
//! what comes after its deadline belongs to nobody, whatever is asked next.

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::message::{EntityDeclaration, SyncCall, SyncChunk, SyncOutcome};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::wire;
use parking_lot::Mutex;

use super::Parts;
use crate::entity::bounds;

/// The most entities in one snapshot: no integration may have more.
const ENTITIES: usize = bounds::ENTITIES_MAX;
/// The most bytes of the chunks of one snapshot.
const BYTES: usize = 64 * 1024 * 1024;

/// One generation's snapshots, as its callers and its lane share them.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    /// One is asked for at a time.
    turn: tokio::sync::Mutex<()>,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    /// The number of the last call.
    serial: u64,
    /// The last call is waited for.
    open: bool,
    /// What its complete snapshot changed.
    done: Option<SyncOutcome>,
}

/// A call for a snapshot that is waited for; what comes after it is dropped is too late.
#[derive(Debug)]
pub(in crate::integration) struct SyncWindow<'a> {
    serial: u64,
    snapshots: &'a Snapshots,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Snapshots {
    /// Waits until no other snapshot is asked for, and opens the next call.
    pub(super) async fn open(&self) -> SyncWindow<'_> {
        let turn = self.turn.lock().await;
        let mut asked = self.asked.lock();
        asked.serial += 1;
        asked.open = true;
        asked.done = None;
        SyncWindow { serial: asked.serial, snapshots: self, _turn: turn }
    }

    /// The number of the call that is waited for now.
    pub(super) fn awaited(&self) -> Option<u64> {
        let asked = self.asked.lock();
        asked.open.then_some(asked.serial)
    }

    fn done(&self, serial: u64, outcome: SyncOutcome) {
        let mut asked = self.asked.lock();
        if asked.open && asked.serial == serial {
            asked.done = Some(outcome);
        }
    }
}

impl SyncWindow<'_> {
    /// What to ask the gateway.
    pub(in crate::integration) fn request(&self) -> SyncCall {
        SyncCall { serial: Some(self.serial) }
    }

    /// What its complete snapshot changed, if there was one.
    pub(in crate::integration) fn outcome(self) -> Option<SyncOutcome> {
        self.snapshots.asked.lock().done.take()
    }
}

impl Drop for SyncWindow<'_> {
    fn drop(&mut self) {
        self.snapshots.asked.lock().open = false;
    }
}

/// Whether an operation brings a part of a snapshot.
pub(super) fn is_part(op: &Op) -> bool {
    (ops::SYNC_BEGIN.number..=ops::SYNC_END.number).contains(&op.number)
}

/// The refusal of a part that nobody waits for.
pub(super) fn unasked(op: &Op) -> CallError {
    let message = format!("{} belongs to no synchronize that is waited for: it is dropped", op.name);
    CallError::new(ErrorCode::Refused, message)
}

/// A snapshot on its way: its entities so far and the bytes they came in.
#[derive(Debug)]
pub(super) struct Arriving {
    serial: u64,
    entities: Vec<EntityDeclaration>,
    bytes: usize,
}

impl Parts {
    /// Takes one part; `serial` is the call that was open when it came. The answer to an end is what it changed.
    ///
    /// # Errors
    /// When it belongs to another call, comes out of order or is too much.
    pub(super) async fn take_part(
        &self,
        op: &Op,
        serial: u64,
        request: &[u8],
        arriving: &mut Option<Arriving>,
    ) -> Result<Option<SyncOutcome>, CallError> {
        let (of, entities) = if *op == ops::SYNC_CHUNK {
            let SyncChunk { entities, serial } = wire::decode(request)?;
            (serial, entities)
        } else {
            (wire::decode::<SyncCall>(request)?.serial, Vec::new())
        };
        // Its call may have ended while it waited here.
        if of.is_some_and(|of| of != serial) || self.snapshots.awaited() != Some(serial) {
            return Err(unasked(op));
        }
        if *op == ops::SYNC_BEGIN {
            *arriving = Some(Arriving { serial, entities, bytes: 0 });
            return Ok(None);
        }
        let Some(mut begun) = arriving.take().filter(|begun| begun.serial == serial) else {
            let message = format!("{} came without sync_begin before it", op.name);
            return Err(CallError::new(ErrorCode::InvalidRequest, message));
        };
        if *op == ops::SYNC_END {
            let outcome = self.base.house.synchronize(&self.id, begun.entities).await?;
            self.snapshots.done(serial, outcome);
            return Ok(Some(outcome));
        }
        begun.bytes += request.len();
        if begun.entities.len() + entities.len() > ENTITIES || begun.bytes > BYTES {
            let message = format!("the snapshot has more than {ENTITIES} entities or {BYTES} bytes and is given up");
            return Err(CallError::new(ErrorCode::Refused, message));
        }
        begun.entities.extend(entities);
        *arriving = Some(begun);
        Ok(None)
    }
}
