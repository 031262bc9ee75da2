//! Panics in every kind of place: an error with message and line, and the gateway goes on.

use std::future::pending;

use crate::error::{CallError, ErrorCode, Result};
use crate::manage::{PaneReply, PaneRequest};
use crate::message::{Control, ControlOutcome};
use crate::testing::House;
use crate::tokio::task::{spawn_local, yield_now};
use crate::{Context, Entity, IntegrationGateway, State, Value, ops};

struct InNew;
impl IntegrationGateway for InNew {
    type Settings = ();
    fn new(_: Context) -> Self {
        panic!("no room at the inn")
    }
    async fn start(&self, _: ()) -> Result<()> {
        Ok(())
    }
}

/// Panics in the way that the control's value names.
struct Clumsy(Context);

struct PanicsInDrop;
impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("dropped badly");
    }
}

impl IntegrationGateway for Clumsy {
    type Settings = ();
    fn new(context: Context) -> Self {
        Self(context)
    }
    async fn start(&self, _: ()) -> Result<()> {
        let state = State::text("way").controllable();
        self.0.declare([Entity::new("clumsy").state(state)]).await
    }
    async fn stop(&self) -> Result<()> {
        self.0.emit_value("clumsy", "way", "stopped").await?;
        panic!("fell over the doorstep")
    }
    fn panes() -> &'static [(&'static str, &'static str)] {
        panic!("the pages fell")
    }
    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        match control.value.to_string().as_str() {
            "at once" => panic!("fell at once"),
            "later" => {
                yield_now().await;
                panic!("fell {}", "later")
            }
            "value" => std::panic::panic_any(7_u32),
            "drop" => {
                let _guard = PanicsInDrop;
                yield_now().await;
            }
            "task" => {
                spawn_local(async { panic!("a task fell") });
            }
            "abort" => {
                let task = spawn_local(async {
                    let _guard = PanicsInDrop;
                    pending::<()>().await;
                });
                yield_now().await;
                task.abort();
                let _ = task.await;
            }
            "blocking" => {
                tokio::task::spawn_blocking(|| panic!("fell on a blocking thread")).await?;
            }
            _ => {}
        }
        Ok(ControlOutcome { value: Some(control.value) })
    }
}

impl Drop for Clumsy {
    fn drop(&mut self) {
        panic!("the gateway dropped badly");
    }
}

fn started() -> House {
    let house = House::open::<Clumsy>();
    house.start(()).unwrap();
    house
}

fn fall(house: &House, way: &str) -> CallError {
    house.control("clumsy", "way", way).unwrap_err()
}

#[track_caller]
fn check(error: &CallError, message: &str) {
    assert_eq!(error.code, ErrorCode::Panicked);
    assert_eq!(error.message, message);
    let location = error.location.as_deref().unwrap();
    let mut parts = location.rsplitn(3, ':');
    assert!(parts.next().unwrap().parse::<u32>().is_ok(), "{location}");
    assert!(parts.next().unwrap().parse::<u32>().is_ok(), "{location}");
    assert!(parts.next().unwrap().ends_with("panics.rs"), "{location}");
}

#[test]
fn a_panic_in_new_fails_the_construction() {
    let error = House::builder().try_open::<InNew>().unwrap_err();
    check(&error, "no room at the inn");
}

#[test]
fn panics_before_and_after_an_await_are_errors_with_their_place() {
    let house = started();
    check(&fall(&house, "at once"), "fell at once");
    check(&fall(&house, "later"), "fell later");
    check(&fall(&house, "value"), "a panic whose value is not text");
    house.control("clumsy", "way", "none").unwrap();
    assert_eq!(house.state("clumsy", "way"), Some(Value::Text("none".into())));
}

#[test]
fn a_panic_over_a_page_leaves_the_thread_alive() {
    let house = started();
    let asked = PaneRequest { name: "panes/any.html".into() };
    check(&house.call::<PaneReply>(&ops::PANE, &asked).unwrap_err(), "the pages fell");
    house.control("clumsy", "way", "none").unwrap();
}

#[test]
fn what_was_emitted_before_a_panic_in_stop_arrives() {
    let house = started();
    check(&house.call::<()>(&ops::STOP, &()).unwrap_err(), "fell over the doorstep");
    assert_eq!(house.state("clumsy", "way"), Some(Value::Text("stopped".into())));
}

#[test]
fn a_panic_in_the_drop_of_a_future_is_an_error() {
    check(&fall(&started(), "drop"), "dropped badly");
}

#[test]
fn panics_of_tasks_are_logged_and_the_gateway_goes_on() {
    let house = started();
    house.control("clumsy", "way", "task").unwrap();
    house.control("clumsy", "way", "abort").unwrap();
    let error = fall(&house, "blocking");
    assert!(error.message.contains("fell on a blocking thread"), "{error}");
    for what in ["a task fell", "dropped badly", "fell on a blocking thread"] {
        house.wait_for(what, |house| {
            house.logs().iter().any(|r| r.fields.iter().any(|(name, value)| name == "panic" && value == what))
        });
    }
    house.call::<()>(&ops::PING, &()).unwrap();
}

#[test]
fn a_panic_in_the_drop_of_the_gateway_ends_nothing_else() {
    let mut house = started();
    house.close();
    let logged = house.logs();
    let said = |text: &str| logged.iter().any(|r| r.fields.iter().any(|(_, value)| value == text));
    assert!(said("the gateway dropped badly"), "{logged:?}");
}
