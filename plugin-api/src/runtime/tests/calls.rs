//! Calls: which method gets them, what overlaps, what is refused.

use std::cell::{Cell, RefCell};

use gatehouse_plugin_api_macros::Settings;

use super::UNKNOWN;
use crate::attribute::{AttributeValues, FieldErrors};
use crate::error::{Error, ErrorCode, Result};
use crate::flow::{FlowDone, FlowReply, FlowRequest, FlowStep, StepKind};
use crate::ids::EntityName;
use crate::manage::{ManageReply, ManageRequest, Method};
use crate::message::{
    Connection, ConnectionResult, Control, ControlOutcome, EntityDeclaration, EntityRef, SettingsOutcome, Snapshot,
    Stream,
};
use crate::testing::House;
use crate::tokio::sync::Notify;
use crate::{Context, Entity, IntegrationGateway, State, Value, ops};

#[derive(Debug, Settings)]
struct Range {
    /// The least.
    least: f64,
    /// The greatest.
    greatest: f64,
}

/// A gateway that answers every operation.
struct Whole {
    context: Context,
    range: RefCell<Option<Range>>,
    go_on: Notify,
    polls: Cell<u32>,
    runs: Cell<u32>,
}

impl IntegrationGateway for Whole {
    type Settings = Range;
    fn new(context: Context) -> Self {
        Self { context, range: RefCell::new(None), go_on: Notify::new(), polls: Cell::new(0), runs: Cell::new(0) }
    }
    async fn start(&self, settings: Range) -> Result<()> {
        self.range.replace(Some(settings));
        self.runs.set(self.runs.get() + 1);
        assert!(!self.context.cancellation().is_cancelled(), "a new run has a new token");
        let dial = Entity::new("dial").state(State::number("value", "").controllable());
        self.context.declare([dial]).await
    }
    async fn stop(&self) -> Result<()> {
        self.context.cancelled().await;
        Ok(())
    }
    async fn poll(&self) -> Result<()> {
        self.go_on.notified().await;
        self.polls.set(self.polls.get() + 1);
        Ok(())
    }
    async fn control(&self, control: Control) -> Result<ControlOutcome> {
        self.go_on.notify_one();
        Ok(ControlOutcome { value: Some(control.value) })
    }
    async fn activate(&self, request: FlowRequest) -> Result<FlowReply> {
        match request.answer {
            None => Ok(FlowReply::Step(FlowStep {
                step_id: "sure".into(),
                title: "Sure?".into(),
                description: String::new(),
                kind: StepKind::Confirm,
            })),
            Some(answer) => {
                let info_message = format!("answered {}", answer.step_id);
                Ok(FlowReply::Done(FlowDone { info_message, ..FlowDone::default() }))
            }
        }
    }
    async fn manage(&self, request: ManageRequest) -> Result<ManageReply> {
        match request.method {
            Method::Get => Ok(ManageReply::Template {
                name: "panes/one.html".into(),
                context: serde_json::json!({ "rows": [1, 2.5, "three", null, true] }),
            }),
            Method::Post => Ok(ManageReply::Redirect { params: request.form }),
        }
    }
    fn panes() -> &'static [(&'static str, &'static str)] {
        &[("panes/one.html", "<p>{{ rows }}</p>")]
    }
    async fn validate_configuration(&self, settings: &Range) -> Result<FieldErrors> {
        let mut problems = FieldErrors::new();
        if settings.least > settings.greatest {
            problems.insert("least".into(), "is greater than the greatest".into());
        }
        Ok(problems)
    }
    async fn test_connection(&self, settings: Range) -> Result<ConnectionResult> {
        if settings.greatest > 100.0 {
            return Err(Error::bad_credentials("not with this key"));
        }
        Err(std::io::Error::other("nobody there").into())
    }
    async fn synchronize(&self) -> Result<Vec<EntityDeclaration>> {
        (0..6000)
            .map(|n| {
                let label = "a rather long label that makes the snapshot larger than one chunk ".repeat(4);
                Entity::new(format!("thing-{n}")).label(label).state(State::on_off("power")).build()
            })
            .collect()
    }
    async fn settings_changed(&self, settings: Range) -> Result<SettingsOutcome> {
        self.range.replace(Some(settings));
        Ok(SettingsOutcome::Applied)
    }
    async fn diagnostics(&self) -> Result<serde_json::Value> {
        let greatest = self.range.borrow().as_ref().map(|range| range.greatest);
        Ok(serde_json::json!({ "greatest": greatest, "polls": self.polls.get(), "runs": self.runs.get() }))
    }
    async fn snapshot(&self, entity: EntityName) -> Result<Snapshot> {
        Ok(Snapshot { media_type: "image/png".into(), bytes: entity.as_str().as_bytes().to_vec() })
    }
    async fn stream(&self, entity: EntityName) -> Result<String> {
        Ok(format!("rtsp://camera/{entity}"))
    }
    async fn export_state(&self) -> Result<Vec<u8>> {
        Ok(vec![0, 159, 255])
    }
}

/// A gateway with nothing but what is required.
struct Bare;
impl IntegrationGateway for Bare {
    type Settings = ();
    fn new(_: Context) -> Self {
        Self
    }
    async fn start(&self, _: ()) -> Result<()> {
        Ok(())
    }
}

fn range(least: f64, greatest: f64) -> AttributeValues {
    AttributeValues::default().with("least", least).with("greatest", greatest)
}

#[test]
fn control_and_ping_are_answered_while_a_poll_waits() {
    let house = House::open::<Whole>();
    house.start(range(0.0, 1.0)).unwrap();
    let mut poll = house.post::<()>(&ops::POLL, &());
    house.call::<()>(&ops::PING, &()).unwrap();
    assert!(poll.is_out());
    house.control("dial", "value", 3.0).unwrap();
    poll.wait().unwrap();
    assert_eq!(house.number("dial", "value"), Some(3.0));
    assert_eq!(house.diagnostics().unwrap()["polls"], 1);
}

#[test]
fn a_poll_that_is_late_is_dropped_when_the_next_begins() {
    let house = House::open::<Whole>();
    house.start(range(0.0, 1.0)).unwrap();
    let late = house.post::<()>(&ops::POLL, &());
    let next = house.post::<()>(&ops::POLL, &());
    assert_eq!(late.wait().unwrap_err().code, ErrorCode::Cancelled);
    house.control("dial", "value", 3.0).unwrap();
    next.wait().unwrap();
    assert_eq!(house.diagnostics().unwrap()["polls"], 1);
}

#[test]
fn unknown_operations_are_unsupported() {
    let house = House::open::<Bare>();
    for op in [&UNKNOWN, &ops::EMIT] {
        assert_eq!(house.call::<()>(op, &()).unwrap_err().code, ErrorCode::Unsupported);
    }
    assert_eq!(house.synchronize().unwrap_err().code, ErrorCode::Unsupported);
}

#[test]
fn an_unreadable_request_is_named() {
    let error = House::open::<Whole>().call::<()>(&ops::CONTROL, &"nonsense").unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidRequest);
    assert!(error.message.starts_with("control: "), "{error}");
}

#[test]
fn wrong_settings_start_nothing_and_are_told_by_field() {
    let house = House::open::<Whole>();
    let error = house.start(range(2.0, 1.0)).unwrap_err();
    assert_eq!(error.code, ErrorCode::BadConfiguration);
    assert_eq!(error.fields["least"], "is greater than the greatest");
    assert!(house.entities().is_empty());
    assert_eq!(house.validate(range(2.0, 1.0)).unwrap().len(), 1);
    let missing = house.validate(AttributeValues::default().with("least", 1.0)).unwrap();
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["greatest"]);
    assert!(house.validate(range(1.0, 2.0)).unwrap().is_empty());
    assert_eq!(house.test_connection(range(2.0, 1.0)).unwrap_err().code, ErrorCode::BadConfiguration);
}

#[test]
fn probes_that_fail_say_how() {
    let house = House::open::<Whole>();
    let away = house.test_connection(range(0.0, 1.0)).unwrap();
    assert_eq!((away.outcome, away.message.as_str()), (Connection::CannotConnect, "nobody there"));
    let refused = house.test_connection(range(0.0, 101.0)).unwrap();
    assert_eq!(refused.outcome, Connection::BadCredentials);
    assert_eq!(House::open::<Bare>().test_connection(()).unwrap().outcome, Connection::Ok);
}

#[test]
fn a_snapshot_larger_than_a_chunk_arrives_whole() {
    let house = House::open::<Whole>();
    let outcome = house.synchronize().unwrap();
    assert_eq!(outcome.created, 6000);
    assert!(house.calls(&ops::SYNC_CHUNK) > 1);
    assert_eq!(house.synchronize().unwrap().created, 0);
}

#[test]
fn the_remaining_operations_reach_their_methods() {
    let house = House::open::<Whole>();
    let whole = EntityRef { entity: EntityName::new("cam").unwrap() };
    assert_eq!(house.call::<Snapshot>(&ops::SNAPSHOT, &whole).unwrap().bytes, b"cam");
    assert_eq!(house.call::<Stream>(&ops::STREAM, &whole).unwrap().url, "rtsp://camera/cam");
    let state: crate::message::Blob = house.call(&ops::EXPORT_STATE, &()).unwrap();
    assert_eq!(state.bytes, [0, 159, 255]);
    house.call::<()>(&ops::IMPORT_STATE, &state).unwrap();
    let changed = crate::message::Attributes { attributes: range(0.0, 9.0) };
    assert_eq!(house.call::<SettingsOutcome>(&ops::SETTINGS_CHANGED, &changed).unwrap(), SettingsOutcome::Applied);
    assert_eq!(house.diagnostics().unwrap()["greatest"], 9.0);
    assert_eq!(house.pane("panes/one.html").unwrap().as_deref(), Some("<p>{{ rows }}</p>"));
    assert_eq!(house.pane("panes/two.html").unwrap(), None);
}

#[test]
fn flows_and_pages_cross_unchanged() {
    let house = House::open::<Whole>();
    let mut flow = house.activation();
    flow.begin().unwrap();
    assert_eq!((flow.step().step_id.as_str(), &flow.step().kind), ("sure", &StepKind::Confirm));
    let FlowReply::Done(done) = flow.go_on().unwrap() else { panic!("not done") };
    assert_eq!(done.info_message, "answered sure");
    assert!(matches!(house.deactivation(()).begin().unwrap(), FlowReply::Default));
    let ManageReply::Template { context, .. } = house.page(&[]).unwrap() else { panic!("no template") };
    assert_eq!(context, serde_json::json!({ "rows": [1, 2.5, "three", null, true] }));
    let ManageReply::Redirect { params } = house.send_form(&[], &[("a", "b")]).unwrap() else { panic!("none") };
    assert_eq!(params["a"], "b");
}

#[test]
fn each_run_has_a_token_of_its_own() {
    let house = House::open::<Whole>();
    for _ in 0..2 {
        house.start(range(0.0, 1.0)).unwrap();
        house.stop().unwrap();
    }
    assert_eq!(house.diagnostics().unwrap()["runs"], 2);
}

#[test]
fn a_state_that_cannot_be_set_is_refused_by_the_house() {
    let house = House::open::<Whole>();
    house.start(range(0.0, 1.0)).unwrap();
    assert_eq!(house.control("dial", "colour", "red").unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(house.control("dial", "value", Value::OnOff(true)).unwrap_err().code, ErrorCode::Refused);
}
