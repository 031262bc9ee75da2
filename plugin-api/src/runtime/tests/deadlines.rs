//! What happens to a call that nobody waits for any more.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use crate::error::{ErrorCode, Result};
use crate::message::{Attributes, Connection, ConnectionResult, Control, ControlOutcome, EntityDeclaration};
use crate::testing::House;
use crate::tokio::sync::Notify;
use crate::{Context, Entity, IntegrationGateway, State, ops};

/// Whose `synchronize` and `control` wait for a `poll`.
struct Slow {
    context: Context,
    go_on: Notify,
    dropped: Arc<AtomicBool>,
}

/// Says that what held it is gone.
struct Held(Arc<AtomicBool>);
impl Drop for Held {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Slow {
    async fn wait(&self) {
        let _held = Held(Arc::clone(&self.dropped));
        self.go_on.notified().await;
    }
}

impl IntegrationGateway for Slow {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self { context, go_on: Notify::new(), dropped: Arc::default() }
    }
    async fn start(&self, _: ()) -> Result<()> {
        let dial = Entity::new("dial").state(State::on_off("power").controllable());
        self.context.declare([dial]).await
    }
    async fn poll(&self) -> Result<()> {
        self.go_on.notify_waiters();
        Ok(())
    }
    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        self.wait().await;
        self.context.emit_value("dial", "power", control.value.clone()).await?;
        Ok(ControlOutcome::default())
    }
    async fn synchronize(&self) -> Result<Vec<EntityDeclaration>> {
        self.wait().await;
        Ok(vec![Entity::new("new").build()?])
    }
    async fn diagnostics(&self) -> Result<serde_json::Value> {
        Ok(serde_json::json!(self.dropped.swap(false, Ordering::SeqCst)))
    }
}

#[test]
fn a_late_synchronize_is_dropped_and_sends_nothing_any_more() {
    let house = House::open::<Slow>();
    house.start(()).unwrap();
    let late = house.post_synchronize();
    house.advance(ops::SYNCHRONIZE.deadline);
    let error = late.wait().unwrap_err();
    assert_eq!(error.code, ErrorCode::Deadline);
    assert_eq!(error.message, "synchronize was not done within 300s and was given up");
    assert_eq!(house.diagnostics().unwrap(), true);
    let next = house.post_synchronize();
    house.call::<()>(&ops::PING, &()).unwrap();
    house.poll().unwrap();
    next.wait().unwrap();
    assert_eq!(house.calls(&ops::SYNC_BEGIN), 1, "the late call began no snapshot");
    assert!(house.entity("new").is_some());
}

#[test]
fn every_late_call_is_dropped() {
    let house = House::open::<Slow>();
    house.start(()).unwrap();
    let control = serde_json::json!({ "entity": "dial", "state": "power", "value": { "on_off": true } });
    let mut late = house.post::<ControlOutcome>(&ops::CONTROL, &control);
    house.advance(ops::CONTROL.deadline / 2);
    assert!(late.is_out());
    house.advance(ops::CONTROL.deadline / 2);
    assert_eq!(late.wait().unwrap_err().code, ErrorCode::Deadline);
    house.poll().unwrap();
    house.stop().unwrap();
    assert!(house.readings().is_empty());
}

/// Whose `start` blocks its thread until the test goes on; counts the probes.
struct Blocking {
    probes: Cell<u32>,
}
static BLOCKED: Barrier = Barrier::new(2);

impl IntegrationGateway for Blocking {
    type Settings = ();
    fn new(_: Context) -> Self {
        Self { probes: Cell::new(0) }
    }
    async fn start(&self, _: ()) -> Result<()> {
        BLOCKED.wait();
        Ok(())
    }
    async fn test_connection(&self, _: ()) -> Result<ConnectionResult> {
        self.probes.set(self.probes.get() + 1);
        Ok(ConnectionResult { outcome: Connection::Ok, message: String::new() })
    }
    async fn diagnostics(&self) -> Result<serde_json::Value> {
        Ok(serde_json::json!(self.probes.get()))
    }
}

#[test]
fn a_call_that_waited_too_long_behind_a_blocked_thread_is_not_begun() {
    let house = House::open::<Blocking>();
    let start = house.post::<()>(&ops::START, &Attributes::default());
    let late = house.post::<ConnectionResult>(&ops::TEST_CONNECTION, &Attributes::default());
    house.advance_blocked(ops::TEST_CONNECTION.deadline);
    let in_time = house.post::<ConnectionResult>(&ops::TEST_CONNECTION, &Attributes::default());
    BLOCKED.wait();
    start.wait().unwrap();
    assert_eq!(late.wait().unwrap_err().code, ErrorCode::Deadline);
    in_time.wait().unwrap();
    assert_eq!(house.diagnostics().unwrap(), 1);
}
