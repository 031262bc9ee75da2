//! What one generation of a gateway asks of the host: decoded, bounded, kept in order, forwarded.
//!
//! Calls come on a connection's reader task or on a plugin's thread and must return at once. What only tells
//! something (log, health, progress) is taken on the spot. The rest goes into one of two lanes, each a task that
//! works its calls off in order: one for entities and readings, so that a `declare` is in force before the `emit`
//! after it, and one for the key-value stores. A lane that is full refuses, so a flood costs its sender alone.
//!
//! After a switch the generation is retired: what it had asked before is still done, what comes later is dropped and
//! counted. Before it the new generation is held: what it asks is kept until it takes over.

mod held;
mod kept;
mod lanes;
mod snapshots;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ids::IntegrationId;
use gatehouse_plugin_api::message::{Health, Log, Progress};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::wire;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use self::held::Held;
use self::snapshots::{Snapshots, SyncWindow};
use crate::gateway::{HostCalls, HostReply};
use crate::integration::ground::Base;
use crate::log;
use crate::metrics::Meter;
use crate::store::KvSpace;

/// Calls that one lane holds.
const LANE_CALLS: usize = 1_024;
/// Bytes that all waiting calls of one generation hold together.
const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// The largest single request: a chunk of a snapshot of 1 MiB and its frame, with room to grow.
const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// The longest sentence of a health or progress report that is kept, in characters.
const SENTENCE_CHARS: usize = 1_000;

/// What a gateway tells by itself.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// How it is.
    Health(Health),
    /// How far long work has come.
    Progress(Progress),
    /// A reading was taken.
    Reading,
}

/// Calls of a generation that wait in the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// About entities and readings.
    pub house_calls: usize,
    /// About the key-value stores.
    pub store_calls: usize,
    /// The bytes of all their requests.
    pub bytes: usize,
}

/// What this generation may do.
pub(super) enum Access {
    /// Everything; what it tells goes to its supervisor.
    Full(Box<dyn Fn(Told) + Send + Sync>),
    /// Nothing that outlives it: a flow or a probe. Its stores are an overlay, kept only when the flow is done.
    Provisional(Mutex<Overlay>),
}

/// Values written during a flow; `None` is a deletion.
pub(super) type Overlay = HashMap<(KvSpace, String), Option<Vec<u8>>>;

/// One generation's side of the host. Cheap to clone.
#[derive(Clone)]
pub(super) struct HostSide(Arc<Parts>);

struct Parts {
    id: IntegrationId,
    base: Arc<Base>,
    access: Access,
    open: AtomicBool,
    dropped: AtomicU64,
    waiting_bytes: Arc<AtomicUsize>,
    house_lane: mpsc::Sender<lanes::Job>,
    store_lane: mpsc::Sender<lanes::Job>,
    snapshots: Snapshots,
    /// There until it has taken over: its readings and declarations.
    held: Mutex<Option<Held>>,
    /// There until it has taken over: its kept values.
    aside: Mutex<Option<Overlay>>,
    /// How much is kept, once it was asked.
    kept: Mutex<Option<kept::Kept>>,
    /// Something held waits for a commit.
    wants_commit: Notify,
    /// Another generation has taken over: its store is closed, whatever waits there.
    replaced: AtomicBool,
    meter: Arc<Meter>,
}

impl HostSide {
    /// A new generation's side, with its lanes running.
    pub(super) fn new(id: IntegrationId, base: Arc<Base>, access: Access) -> Self {
        let (house_lane, house_jobs) = mpsc::channel(LANE_CALLS);
        let (store_lane, store_jobs) = mpsc::channel(LANE_CALLS);
        let meter = base.meters.of(&id);
        let side = Self(Arc::new(Parts {
            id,
            base,
            access,
            open: AtomicBool::new(true),
            dropped: AtomicU64::new(0),
            waiting_bytes: Arc::default(),
            house_lane,
            store_lane,
            snapshots: Snapshots::default(),
            held: Mutex::default(),
            aside: Mutex::default(),
            kept: Mutex::default(),
            wants_commit: Notify::new(),
            replaced: AtomicBool::new(false),
            meter,
        }));
        lanes::run_house(Arc::downgrade(&side.0), house_jobs);
        lanes::run_store(Arc::downgrade(&side.0), store_jobs);
        side
    }

    /// A side for a flow or a probe, with what was stored aside before.
    pub(super) fn provisional(id: IntegrationId, base: Arc<Base>, overlay: Overlay) -> Self {
        Self::new(id, base, Access::Provisional(Mutex::new(overlay)))
    }

    /// Refuses everything from now on; resolves when all that was asked before is done.
    pub(super) async fn retire(&self) {
        self.0.open.store(false, Ordering::SeqCst);
        for lane in [&self.0.house_lane, &self.0.store_lane] {
            let (done, drained) = oneshot::channel();
            if lane.send(lanes::Job::Mark(done)).await.is_ok() {
                // The lane ends only with its side, which is borrowed here.
                let _ = drained.await;
            }
        }
    }

    /// Calls dropped because they came after the switch.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// What waits in the lanes.
    pub(super) fn waiting(&self) -> Waiting {
        let waits = |lane: &mpsc::Sender<lanes::Job>| lane.max_capacity() - lane.capacity();
        Waiting {
            house_calls: waits(&self.0.house_lane),
            store_calls: waits(&self.0.store_lane),
            bytes: self.0.waiting_bytes.load(Ordering::Relaxed),
        }
    }

    /// Waits until no other snapshot is asked for. Parts of the next are taken until what is returned is dropped.
    pub(super) async fn sync_window(&self) -> SyncWindow<'_> {
        self.0.snapshots.open().await
    }

    /// Takes out what a flow wrote into its stores.
    pub(super) fn take_overlay(&self) -> Overlay {
        match &self.0.access {
            Access::Full(_) => Overlay::new(),
            Access::Provisional(overlay) => std::mem::take(&mut overlay.lock()),
        }
    }
}

impl Parts {
    /// Drops and counts a call that comes after the switch.
    fn drop_late(&self, reply: HostReply) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.meter.calls_dropped.add(1);
        refuse(reply, ErrorCode::Cancelled, "this generation of the plugin is stopped: its calls are dropped");
    }

    fn tell(&self, told: Told) {
        if let Access::Full(tell) = &self.access {
            tell(told);
        }
    }

    /// What is told and answered on the spot; `None` when the operation belongs to a lane.
    fn answer_at_once(&self, op: &Op, request: &[u8]) -> Option<Result<(), CallError>> {
        let answer = if *op == ops::LOG {
            wire::decode::<Log>(request).map(|batch| {
                self.meter.log_dropped.add(batch.dropped);
                log::forward(&self.id, batch);
            })
        } else if *op == ops::HEALTH {
            wire::decode::<Health>(request).map(|mut health| {
                shorten(&mut health.message);
                if let Some(health) = self.hold_health(health) {
                    self.tell(Told::Health(health));
                }
            })
        } else if *op == ops::PROGRESS {
            wire::decode::<Progress>(request).map(|mut progress| {
                shorten(&mut progress.message);
                self.tell(Told::Progress(progress));
            })
        } else {
            return None;
        };
        Some(answer)
    }
}

fn shorten(sentence: &mut String) {
    if let Some((at, _)) = sentence.char_indices().nth(SENTENCE_CHARS) {
        sentence.truncate(at);
        sentence.push('…');
    }
}

fn refuse(reply: HostReply, code: ErrorCode, message: impl Into<String>) {
    reply.complete::<()>(&Err(CallError::new(code, message)));
}

impl HostCalls for HostSide {
    fn call(&self, op: u32, request: Vec<u8>, reply: HostReply) {
        let parts = &self.0;
        let Some(op) = ops::by_number(op).filter(|op| op.side() == ops::Side::Host) else {
            parts.meter.calls_refused.add(1);
            refuse(reply, ErrorCode::Unsupported, format!("this host does not know the operation {op}"));
            return;
        };
        if !parts.open.load(Ordering::SeqCst) {
            parts.drop_late(reply);
            return;
        }
        if request.len() > REQUEST_BYTES {
            let (bytes, name) = (request.len(), op.name);
            parts.meter.calls_refused.add(1);
            let message = format!("{name} with {bytes} bytes is too large: at most {REQUEST_BYTES}, send it in parts");
            refuse(reply, ErrorCode::Refused, message);
            return;
        }
        if let Some(answer) = parts.answer_at_once(op, &request) {
            reply.complete(&answer);
            return;
        }
        let serial = parts.snapshots.awaited().filter(|_| snapshots::is_part(op));
        if serial.is_none() && snapshots::is_part(op) && matches!(parts.access, Access::Full(_)) {
            parts.dropped.fetch_add(1, Ordering::Relaxed);
            parts.meter.calls_dropped.add(1);
            reply.complete::<()>(&Err(snapshots::unasked(op)));
            return;
        }
        let waits = lanes::Waits::new(&parts.waiting_bytes, request.len());
        if waits.before() > WAITING_BYTES {
            parts.meter.calls_refused.add(1);
            refuse(reply, ErrorCode::Refused, "too much waits already: await the answers before asking more");
            return;
        }
        let lane = if lanes::is_for_store(op) { &parts.store_lane } else { &parts.house_lane };
        if let Err(error) = lane.try_send(lanes::Job::Call { op, request, reply, waits, serial })
            && let lanes::Job::Call { reply, .. } = error.into_inner()
        {
            parts.meter.calls_refused.add(1);
            refuse(reply, ErrorCode::Refused, "too many calls wait already: await the answers before asking more");
        }
    }
}

impl fmt::Debug for HostSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSide").field("id", &self.0.id).field("dropped", &self.dropped()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
