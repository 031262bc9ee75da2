//! The answering side of the host in memory: one lock, and a bell that rings at every change.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gatehouse_abi::{CallSide, ReplyHandle};

use super::world::World;
use crate::context::VirtualTime;

/// What house and gateway share.
#[derive(Debug)]
pub(super) struct Desk {
    world: Mutex<World>,
    changes: Mutex<u64>,
    changed: Condvar,
    pub(super) time: Arc<VirtualTime>,
}

impl Desk {
    pub(super) fn new(world: World, time: Arc<VirtualTime>) -> Arc<Self> {
        Arc::new(Self { world: Mutex::new(world), changes: Mutex::new(0), changed: Condvar::new(), time })
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ring(&self) {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.changed.notify_all();
    }

    pub(super) fn changes(&self) -> u64 {
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something changed since `seen`, for at most `bound`.
    pub(super) fn wait_change(&self, seen: u64, bound: Duration) {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = self.changed.wait_timeout_while(changes, bound, |now| *now == seen);
    }
}

/// The host side that a gateway is given.
pub(super) struct HostSide(pub(super) Arc<Desk>);

impl CallSide for HostSide {
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        let now_ms = self.0.time.now_ms();
        let ready = {
            let mut world = self.0.world();
            let bytes = world.perform(op, &request, now_ms);
            if world.holding.contains(&op) {
                world.held.push((op, reply, bytes));
                None
            } else {
                Some((reply, bytes))
            }
        };
        self.0.ring();
        if let Some((reply, bytes)) = ready {
            reply.complete(bytes);
        }
    }
}
