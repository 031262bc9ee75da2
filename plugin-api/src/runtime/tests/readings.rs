//! Readings: order, batches, back-pressure, commits, refusals.

use std::cell::Cell;
use std::rc::Rc;

use super::declare_meter;
use crate::error::{CallError, ErrorCode, Result};
use crate::ids::{EntityName, StateName};
use crate::message::{Control, ControlOutcome, Reading};
use crate::testing::House;
use crate::tokio::task::spawn_local;
use crate::{Context, Entity, IntegrationGateway, State, Value, ops};

const TOTAL: u32 = 10_000;

fn count(n: u32) -> Reading {
    Reading {
        entity: EntityName::new("meter").expect("a name"),
        state: StateName::new("count").expect("a name"),
        value: Value::Number(f64::from(n)),
        at_ms: None,
    }
}

/// Emits as many readings as it can, in a task; says how many were taken.
struct Flood {
    context: Context,
    taken: Rc<Cell<u32>>,
}

/// As [`Flood`], with long texts.
struct Torrent(Flood);

impl IntegrationGateway for Torrent {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self(Flood::new(context))
    }
    async fn start(&self, _: ()) -> Result<()> {
        self.0.context.declare([Entity::new("meter").state(State::text("count"))]).await
    }
    async fn poll(&self) -> Result<()> {
        let (context, taken) = (self.0.context.clone(), Rc::clone(&self.0.taken));
        spawn_local(async move {
            for n in 0..500 {
                if context.emit(long(n, 60_000)).await.is_ok() {
                    taken.set(taken.get() + 1);
                }
            }
        });
        Ok(())
    }
    async fn diagnostics(&self) -> Result<serde_json::Value> {
        self.0.diagnostics().await
    }
}

#[test]
fn long_texts_fill_the_queue_by_their_bytes() {
    let mut house = House::open::<Torrent>();
    house.start(()).unwrap();
    house.hold_readings(true);
    house.poll().unwrap();
    // Eight MiB wait, and half a MiB is on its way.
    house.wait_for("the queue is full", |house| taken(house) >= 8 * 1024 * 1024 / 61_000);
    for _ in 0..50 {
        assert!(taken(&house) <= (8 * 1024 * 1024 + 512 * 1024) / 60_000 + 1, "{}", taken(&house));
    }
    house.hold_readings(false);
    house.wait_for("all arrived", |house| house.readings().len() == 500);
    house.hold_readings(true);
    house.poll().unwrap();
    house.wait_for("the queue is full again", |house| taken(house) > 600);
    // What waits for room at the end ends too.
    house.close();
}

impl IntegrationGateway for Flood {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self { context, taken: Rc::default() }
    }
    async fn start(&self, _: ()) -> Result<()> {
        declare_meter(&self.context).await
    }
    async fn poll(&self) -> Result<()> {
        let (context, taken) = (self.context.clone(), Rc::clone(&self.taken));
        spawn_local(async move {
            for n in 0..TOTAL {
                if context.emit(count(n)).await.is_ok() {
                    taken.set(taken.get() + 1);
                }
            }
        });
        Ok(())
    }
    async fn diagnostics(&self) -> Result<serde_json::Value> {
        Ok(serde_json::json!(self.taken.get()))
    }
}

fn taken(house: &House) -> u64 {
    house.diagnostics().unwrap().as_u64().unwrap()
}

#[test]
fn a_busy_host_makes_emit_wait_and_loses_nothing() {
    let house = House::open::<Flood>();
    house.start(()).unwrap();
    house.hold_readings(true);
    house.poll().unwrap();
    house.wait_for("the queue is full", |house| taken(house) >= 4096);
    // The queue, one batch on its way and no more, however long it is looked at.
    for _ in 0..50 {
        assert!(taken(&house) <= 4096 + 1000, "{}", taken(&house));
    }
    house.hold_readings(false);
    house.wait_for("all arrived", |house| house.readings().len() == TOTAL as usize);
    assert!(house.readings().iter().zip(0..).all(|(reading, n)| reading.value == Value::Number(f64::from(n))));
    assert!(house.calls(&ops::EMIT) < TOTAL as usize / 10, "readings travel in batches");
}

#[test]
fn stop_commits_what_was_emitted() {
    let house = House::open::<Flood>();
    house.start(()).unwrap();
    house.poll().unwrap();
    house.wait_for("all taken", |house| taken(house) == u64::from(TOTAL));
    house.stop().unwrap();
    assert_eq!(house.readings().len(), TOTAL as usize);
    assert_eq!(house.committed(), TOTAL as usize);
}

/// Does with readings and entities what the control's value says.
struct Orderly(Context);

impl IntegrationGateway for Orderly {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self(context)
    }
    async fn start(&self, _: ()) -> Result<()> {
        self.0.declare([Entity::new("desk").state(State::text("task").controllable())]).await
    }
    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        let context = &self.0;
        match control.value.to_string().as_str() {
            "declare, emit, remove" => {
                for n in 0..20 {
                    declare_meter(context).await?;
                    context.emit_all((0..50).map(|m| count(n * 50 + m))).await?;
                    context.remove(["meter"]).await?;
                }
            }
            "durable" => {
                declare_meter(context).await?;
                context.emit_all((0..5).map(count)).await?;
                context.emit_durable([count(5), count(6)]).await?;
            }
            "durable refused" => context.emit_durable([count(1)]).await?,
            "refused" => {
                for _ in 0..25 {
                    context.emit_value("nowhere", "count", 1.0).await?;
                }
                context.flush().await?;
                context.emit_value("desk", "task", 2.0).await?;
                context.flush().await?;
            }
            "emit, flush" => {
                declare_meter(context).await?;
                context.emit(count(1)).await?;
                context.flush().await?;
            }
            "emit, flush twice at once" => {
                declare_meter(context).await?;
                context.emit(count(1)).await?;
                let (one, other) = tokio::join!(context.flush(), context.flush());
                return Ok(ControlOutcome { value: Some(Value::Text(format!("{one:?} {other:?}"))) });
            }
            "emit, remove, flush" => {
                declare_meter(context).await?;
                context.emit(count(1)).await?;
                context.remove(["meter"]).await?;
                context.flush().await?;
            }
            "durable, much" => {
                context.declare([Entity::new("meter").state(State::text("count"))]).await?;
                context.emit_durable((0..200).map(|n| long(n, 60_000))).await?;
            }
            "durable, too long" => {
                context.declare([Entity::new("meter").state(State::text("count"))]).await?;
                context.emit_durable([long(1, 10), long(2, 64 * 1024 + 1), long(3, 64 * 1024)]).await?;
            }
            "too long" => context.emit(long(1, 64 * 1024 + 1)).await?,
            "bad name" => context.emit_value("", "count", 1.0).await?,
            "no flush" => context.flush().await?,
            "twins" => context.declare([Entity::new("Lamp"), Entity::new("lamp")]).await?,
            other => panic!("no task {other}"),
        }
        Ok(ControlOutcome::default())
    }
}

/// A text of so many bytes.
fn long(n: u32, bytes: usize) -> Reading {
    Reading { value: Value::Text(n.to_string() + &" ".repeat(bytes - n.to_string().len())), ..count(n) }
}

fn orderly() -> House {
    let house = House::open::<Orderly>();
    house.start(()).unwrap();
    house
}

#[test]
fn declarations_readings_and_removals_keep_their_order() {
    let house = orderly();
    house.control("desk", "task", "declare, emit, remove").unwrap();
    assert_eq!(house.refused(), Vec::<String>::new());
    assert_eq!(house.readings().len(), 1000);
    assert!(house.entity("meter").is_none());
}

#[test]
fn durable_readings_come_after_the_queued_and_are_committed() {
    let house = orderly();
    house.control("desk", "task", "durable").unwrap();
    let values: Vec<_> = house.readings().into_iter().map(|reading| reading.value.to_string()).collect();
    assert_eq!(values, ["0", "1", "2", "3", "4", "5", "6"]);
    assert_eq!(house.committed(), 7);
    house.call::<()>(&ops::STOP, &()).unwrap();
}

#[test]
fn a_batch_that_failed_as_a_whole_fails_the_next_flush() {
    let house = orderly();
    house.fail_next(&ops::EMIT, CallError::new(ErrorCode::Transient, "too much waits"));
    let error = house.control("desk", "task", "emit, flush").unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Transient, "too much waits"));
    house.control("desk", "task", "emit, flush").unwrap();
    assert_eq!((house.readings().len(), house.committed()), (1, 1));
    house.fail_next(&ops::EMIT, CallError::new(ErrorCode::Transient, "too much waits"));
    let both = house.control("desk", "task", "emit, flush twice at once").unwrap().value.unwrap().to_string();
    assert_eq!(both.matches("too much waits").count(), 2, "{both}");
    house.fail_next(&ops::FLUSH, CallError::new(ErrorCode::Transient, "the disk is full"));
    assert!(house.control("desk", "task", "emit, flush").is_err());
}

#[test]
fn a_removal_does_not_keep_a_flush_from_hearing_of_a_failure() {
    let house = orderly();
    house.fail_next(&ops::EMIT, CallError::new(ErrorCode::Transient, "too much waits"));
    let error = house.control("desk", "task", "emit, remove, flush").unwrap_err();
    assert_eq!(error.message, "too much waits");
}

#[test]
fn durable_readings_of_any_size_go_in_parts_and_are_all_committed() {
    let house = orderly();
    house.control("desk", "task", "durable, much").unwrap();
    assert_eq!((house.readings().len(), house.committed()), (200, 200));
    // Twelve MB in parts of half a MiB and one text more at most.
    assert!((20..=24).contains(&house.calls(&ops::EMIT_DURABLE)), "{}", house.calls(&ops::EMIT_DURABLE));
    house.fail_next(&ops::EMIT_DURABLE, CallError::new(ErrorCode::Transient, "the disk is full"));
    let error = house.control("desk", "task", "durable, much").unwrap_err();
    assert_eq!(error.message, "the disk is full");
}

#[test]
fn a_text_that_is_too_long_is_refused_by_itself() {
    let house = orderly();
    let error = house.control("desk", "task", "durable, too long").unwrap_err();
    assert_eq!(error.code, ErrorCode::Refused);
    let sentence = "1 of 3 readings were refused: meter/count: its text has 65537 bytes; the most is 65536";
    assert_eq!(error.message, sentence);
    assert_eq!(house.committed(), 2);
    assert_eq!(house.control("desk", "task", "too long").unwrap_err().code, ErrorCode::Refused);
}

#[test]
fn refused_readings_are_told() {
    let house = orderly();
    let error = house.control("desk", "task", "durable refused").unwrap_err();
    assert_eq!(error.code, ErrorCode::Refused);
    assert_eq!(error.message, "1 of 1 readings were refused: meter is not declared");
    house.control("desk", "task", "refused").unwrap();
    assert_eq!(house.refused().len(), 27);
    house.wait_for("the refusals are logged", |house| {
        house.logs().iter().filter(|record| record.message == "the host refused readings").count() >= 2
    });
    assert!(house.logs().len() <= 6, "once for each reason, then by tens: {:?}", house.logs());
    assert_eq!(house.control("desk", "task", "bad name").unwrap_err().code, ErrorCode::Refused);
    let twins = house.control("desk", "task", "twins").unwrap_err();
    assert!(twins.message.contains("Lamp and lamp"), "{twins}");
}

#[test]
fn what_an_older_host_lacks_is_said() {
    let house = House::builder().without(&ops::EMIT_DURABLE).without(&ops::FLUSH).without(&ops::LOG).open::<Orderly>();
    house.start(()).unwrap();
    for task in ["durable", "no flush"] {
        let error = house.control("desk", "task", task).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unsupported);
        assert!(error.message.contains("update Gatehouse"), "{error}");
    }
    house.stop().unwrap();
    assert_eq!(house.readings().len(), 5);
}
