//! The payloads and the operation table as first published: what shipped plugins send is read for ever.
//!
//! `payloads.golden` holds one message of each type as version 1.0 wrote it, `operations.golden` every operation.
//! Lines are added to them, never changed: a line that no longer holds is a plugin that no longer runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Debug, Write as _};

use gatehouse_plugin_api::attribute::{
    AttributeSpec, AttributeValues, ChoiceOption, FieldErrors, PlainValue, ValueType,
};
use gatehouse_plugin_api::flow::{FlowAnswer, FlowDone, FlowReason, FlowReply, FlowRequest, FlowStep, StepKind};
use gatehouse_plugin_api::ids::{EntityName, IntegrationId, StateName};
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest, Method, PaneReply, PaneRequest};
use gatehouse_plugin_api::message::*;
use gatehouse_plugin_api::{CallError, ErrorCode, Secret, StateKind, Value, ops, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

const PAYLOADS: &str = include_str!("../payloads.golden");
const OPERATIONS: &str = include_str!("../operations.golden");

/// Whether a message is a struct, whose fields may grow, or an enum, whose variants may.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Struct,
    Enum,
}
use Shape::{Enum, Struct};

#[derive(Default)]
struct Frozen {
    golden: BTreeMap<&'static str, Vec<u8>>,
    missing: String,
}

impl Frozen {
    fn read() -> Self {
        let bytes = |hex: &str| {
            let digits = hex.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("ASCII"));
            digits.map(|pair| u8::from_str_radix(pair, 16).expect("two hexadecimal digits")).collect()
        };
        let golden = PAYLOADS.lines().map(|line| line.split_once(' ').expect("a name and its bytes"));
        Self { golden: golden.map(|(name, hex)| (name, bytes(hex))).collect(), missing: String::new() }
    }

    /// The published bytes still mean `sample`, and still do with a field that only a later version knows.
    fn check<T: Serialize + DeserializeOwned + Debug>(&mut self, name: &'static str, shape: Shape, sample: &T) {
        let Some(published) = self.golden.remove(name) else {
            let hex: String = wire::encode(sample).iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(self.missing, "{name} {hex}").expect("a String takes all");
            return;
        };
        let read = |bytes: &[u8]| wire::decode::<T>(bytes).map(|message| format!("{message:?}"));
        assert_eq!(read(&published), Ok(format!("{sample:?}")), "{name}");
        if shape == Struct {
            assert_eq!(read(&with_a_later_field(&published)), Ok(format!("{sample:?}")), "{name} with a later field");
        }
    }

    fn end(self) {
        assert!(self.missing.is_empty(), "add these lines to payloads.golden:\n{}", self.missing);
        assert!(self.golden.is_empty(), "payloads that are no longer tried: {:?}", self.golden.keys());
    }
}

/// The map of a message with one more pair at its end.
fn with_a_later_field(message: &[u8]) -> Vec<u8> {
    let mut longer = message.to_vec();
    match &mut longer[..] {
        [header @ 0x80..=0x8e, ..] => *header += 1,
        // The form of maps whose length the writer did not know at first.
        [0xde, _, low, ..] => *low += 1,
        other => panic!("not a map: {other:?}"),
    }
    longer.extend(wire::encode(&"added_later"));
    longer.extend(wire::encode(&[Some(1), None]));
    longer
}

fn entity() -> EntityName {
    EntityName::new("Light.Kitchen/1").expect("valid")
}

fn state() -> StateName {
    StateName::new("brightness").expect("valid")
}

fn attributes() -> AttributeValues {
    let mut values = AttributeValues::default();
    values.set_plain("api_base_url", PlainValue::Text("http://pi:8123".into()));
    values.set_plain("every", PlainValue::Integer(30_000));
    values.set_plain("verify", PlainValue::Bool(true));
    values.set_plain("factor", PlainValue::Number(0.5));
    values.set_secret("token", Secret::new("s3cret".into()));
    values
}

fn texts() -> BTreeMap<String, String> {
    BTreeMap::from([("room".to_owned(), "kitchen".to_owned())])
}

fn specs() -> Vec<AttributeSpec> {
    let option = ChoiceOption { value: "fast".into(), label: "Fast".into() };
    [
        ValueType::Text,
        ValueType::Number { min: Some(1.0), max: None, integer: true },
        ValueType::Switch,
        ValueType::Choice { options: vec![option] },
        ValueType::Url,
        ValueType::FilePath,
        ValueType::Secret,
        ValueType::Duration { min_ms: Some(1000), max_ms: None },
    ]
    .map(|value_type| AttributeSpec {
        key: "key".into(),
        label: "Label".into(),
        help: "Help".into(),
        value_type,
        required: true,
        editable: false,
        default: Some(PlainValue::Integer(5)),
    })
    .into()
}

fn readings() -> Vec<Reading> {
    let values = [
        Value::Number(21.5),
        Value::Text("text".into()),
        Value::OnOff(true),
        Value::Choice("auto".into()),
        Value::Event("pressed".into()),
        Value::TimestampMs(1_700_000_000_000),
    ];
    values.map(|value| Reading { entity: entity(), state: state(), value, at_ms: Some(1_700_000_000_000) }).into()
}

fn declarations() -> Vec<EntityDeclaration> {
    let kinds = [
        StateKind::Number { unit: "%".into(), min: Some(0.0), max: Some(100.0) },
        StateKind::Text,
        StateKind::OnOff,
        StateKind::Choice { options: vec!["auto".into()] },
        StateKind::Event { events: vec!["pressed".into()] },
        StateKind::Timestamp,
    ];
    let states = kinds.map(|kind| StateDeclaration {
        name: state(),
        label: "Label".into(),
        kind,
        sensed: true,
        controllable: true,
    });
    vec![EntityDeclaration {
        name: entity(),
        label: "Label".into(),
        entity_type: "light".into(),
        states: states.into(),
        previous_name: Some(entity()),
    }]
}

fn step(kind: StepKind) -> FlowReply {
    FlowReply::Step(FlowStep { step_id: "pair".into(), title: "Pair".into(), description: "Press it.".into(), kind })
}

#[test]
fn messages_of_shipped_plugins_and_hosts_are_read_for_ever() {
    let mut frozen = Frozen::read();
    frozen.check(
        "instance",
        Struct,
        &Instance {
            integration_id: IntegrationId::new("hass-cabin").expect("valid"),
            host_api_version: "1.0.0".into(),
            host_ops: vec![1001, 1002],
            data_dir: "/var/lib".into(),
            log_filter: "info".into(),
        },
    );
    if let Some(published) = frozen.golden.get("attributes") {
        // Compared by value: what is printed masks the secret.
        assert_eq!(wire::decode::<Attributes>(published).expect("readable").attributes, attributes());
    }
    frozen.check("attributes", Struct, &Attributes { attributes: attributes() });
    let fields = FieldErrors::from([("url".to_owned(), "is wrong".to_owned())]);
    frozen.check(
        "call_error",
        Struct,
        &CallError {
            fields: fields.clone(),
            location: Some("src/lib.rs:1:2".into()),
            ..CallError::new(ErrorCode::BadConfiguration, "a sentence")
        },
    );
    frozen.check("field_errors", Enum, &fields);
    let outcome = ConnectionResult { outcome: Connection::BadCredentials, message: "no".into() };
    frozen.check("connection_result", Struct, &outcome);
    let payload = serde_json::json!({"transition": 2});
    frozen.check(
        "control",
        Struct,
        &Control { entity: entity(), state: state(), value: Value::Number(50.0), payload: payload.clone() },
    );
    frozen.check("control_outcome", Struct, &ControlOutcome { value: Some(Value::OnOff(true)) });
    frozen.check("settings_outcome", Enum, &SettingsOutcome::Applied);
    frozen.check("diagnostics", Struct, &Diagnostics { data: payload.clone() });
    frozen.check("entity_ref", Struct, &EntityRef { entity: entity() });
    frozen.check("snapshot", Struct, &Snapshot { media_type: "image/jpeg".into(), bytes: vec![0, 255] });
    frozen.check("stream", Struct, &Stream { url: "rtsp://cam/1".into() });
    frozen.check("blob", Struct, &Blob { bytes: vec![1, 2, 3] });
    frozen.check("log_filter", Struct, &LogFilter { filter: "info".into() });
    frozen.check("emit", Struct, &Emit { readings: readings() });
    frozen.check("emit_outcome", Struct, &EmitOutcome { refused: 2, first_reason: "not declared".into() });
    frozen.check("declare", Struct, &Declare { entities: declarations() });
    frozen.check("remove", Struct, &Remove { entities: vec![entity()] });
    frozen.check("sync_call", Struct, &SyncCall { serial: Some(7) });
    frozen.check("sync_chunk", Struct, &SyncChunk { entities: declarations(), serial: Some(7) });
    frozen.check("sync_outcome", Struct, &SyncOutcome { created: 1, updated: 2, reconnected: 3, detached: 4 });
    let record = LogRecord {
        level: LogLevel::Warn,
        target: "house".into(),
        message: "late".into(),
        fields: vec![("ms".into(), "5".into())],
        at_ms: 1_700_000_000_000,
    };
    frozen.check("log", Struct, &Log { records: vec![record], dropped: 3 });
    frozen.check("health", Struct, &Health { status: HealthStatus::Warning, message: "slow".into() });
    frozen.check("progress", Struct, &Progress { message: "reading".into(), percent: Some(12.5) });
    frozen.check("key", Struct, &Key { key: "last".into() });
    frozen.check("key_blob", Struct, &KeyBlob { key: "last".into(), bytes: vec![9] });
    frozen.check("maybe_blob", Struct, &MaybeBlob { bytes: Some(vec![9]) });
    frozen.check("keys", Struct, &Keys { keys: vec!["a".into(), "b".into()] });

    let answer = FlowAnswer { step_id: "pair".into(), values: attributes(), choice: Some("local".into()) };
    frozen.check(
        "flow_request",
        Struct,
        &FlowRequest {
            flow_id: "f1".into(),
            reason: FlowReason::Reauthenticate,
            answer: Some(answer),
            attributes: attributes(),
        },
    );
    frozen.check("flow_reply_default", Enum, &FlowReply::Default);
    frozen.check("flow_reply_form", Enum, &step(StepKind::Form { fields: specs(), errors: fields }));
    let options = vec![ChoiceOption { value: "local".into(), label: "Local".into() }];
    frozen.check("flow_reply_menu", Enum, &step(StepKind::Menu { options }));
    frozen.check("flow_reply_confirm", Enum, &step(StepKind::Confirm));
    frozen.check("flow_reply_progress", Enum, &step(StepKind::Progress { message: "m".into(), percent: Some(5.0) }));
    frozen.check("flow_reply_external", Enum, &step(StepKind::External { url: "https://hub/pair".into() }));
    frozen.check("flow_reply_abort", Enum, &FlowReply::Abort { code: "no_hub".into(), message: "none".into() });
    let done = FlowDone {
        attributes: attributes(),
        title: "Cabin".into(),
        unique_id: Some("00:11".into()),
        info_message: "3 lamps".into(),
    };
    frozen.check("flow_reply_done", Enum, &FlowReply::Done(done));

    frozen.check("manage_request", Struct, &ManageRequest { method: Method::Post, params: texts(), form: texts() });
    frozen.check("manage_template", Enum, &ManageReply::Template { name: "panes/a.html".into(), context: payload });
    frozen.check("manage_redirect", Enum, &ManageReply::Redirect { params: texts() });
    let file = ManageReply::File { name: "a.csv".into(), media_type: "text/csv".into(), bytes: vec![65] };
    frozen.check("manage_file", Enum, &file);
    frozen.check("manage_message", Enum, &ManageReply::Message { error: true, text: "no".into() });
    frozen.check("pane_request", Struct, &PaneRequest { name: "panes/a.html".into() });
    frozen.check("pane_reply", Struct, &PaneReply { source: Some("<p>".into()) });
    frozen.end();
}

#[test]
fn a_snapshot_without_a_number_is_read_and_written_as_version_1_0_did() {
    for bytes in [wire::encode(&()), wire::encode(&SyncCall::default())] {
        assert_eq!(wire::decode::<SyncCall>(&bytes), Ok(SyncCall { serial: None }));
    }
    let (declare, chunk) = (Declare { entities: declarations() }, SyncChunk { entities: declarations(), serial: None });
    assert_eq!(wire::encode(&chunk), wire::encode(&declare));
    assert_eq!(wire::decode(&wire::encode(&declare)), Ok(chunk));
}

#[test]
fn an_operation_keeps_its_number_and_name_for_ever() {
    let now: BTreeSet<String> =
        ops::TABLE.iter().map(|op| format!("{} {} since 1.{}", op.number, op.name, op.since_minor)).collect();
    let published: BTreeSet<String> = OPERATIONS.lines().map(str::to_owned).collect();
    let gone: Vec<_> = published.difference(&now).collect();
    assert!(gone.is_empty(), "published operations that changed or are gone: {gone:#?}");
    let new: Vec<_> = now.difference(&published).collect();
    assert!(new.is_empty(), "add these lines to operations.golden: {new:#?}");
}
