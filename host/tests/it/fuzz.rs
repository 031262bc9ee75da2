//! The fuzz targets, driven by proptest: inputs that begin as sound ones, inputs of the right shape, and noise.
//!
//! `GATEHOUSE_FUZZ_CASES` says how many inputs each target gets, or `GATEHOUSE_FUZZ_SECS` for how long;
//! `GATEHOUSE_FUZZ_SEED` repeats a run. What fails is shrunk and printed.

#![expect(clippy::print_stdout, reason = "a run is repeated by its seed")]

use std::time::{Duration, Instant};

use gatehouse_host::fuzz::{self, Target};
use gatehouse_host::gateway::codec::{self, Frame, Kind};
use gatehouse_host::reason::{Reason, ReasonCode};
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::manifest::{Capability, Manifest};
use gatehouse_plugin_api::message::{
    Declare, Emit, EntityDeclaration, Health, Key, KeyBlob, Log, LogLevel, LogRecord, Reading, StateDeclaration,
    SyncCall,
};
use gatehouse_plugin_api::value::{StateKind, Value};
use gatehouse_plugin_api::wire;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use rmpv::Value as Wire;

use crate::plugin::elf::{PluginFile, manifest_section};

/// Inputs for each target in the test command.
const CASES: u32 = 500;
/// Inputs between two looks at the clock when a run is limited by time.
const BATCH: u32 = 2_000;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Gives a target its inputs; a panic of it fails the test with the input and the seed.
fn drive(name: &str, inputs: &impl Strategy<Value = Vec<u8>>) {
    let target: Target = fuzz::TARGETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let seed = number("GATEHOUSE_FUZZ_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    });
    println!("GATEHOUSE_FUZZ_SEED={seed}");
    let until = number("GATEHOUSE_FUZZ_SECS").map(|secs| Instant::now() + Duration::from_secs(secs));
    let cases = number("GATEHOUSE_FUZZ_CASES").map_or(CASES, |cases| u32::try_from(cases).unwrap());
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut done = 0_u64;
    loop {
        let batch = if until.is_some() { BATCH } else { cases };
        let config = ProptestConfig { cases: batch, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = TestRunner::new_with_rng(config, random);
        let outcome = runner.run(inputs, |input| {
            target(&input);
            Ok(())
        });
        if let Err(failure) = outcome {
            panic!("{name} with GATEHOUSE_FUZZ_SEED={seed}: {failure}");
        }
        done += u64::from(batch);
        random = runner.new_rng();
        if until.is_none_or(|until| Instant::now() >= until) {
            break;
        }
    }
    println!("figure: {name}: {done} inputs");
}

/// A change of some bytes.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Put(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let edge = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..9),
        prop::sample::select(vec![
            vec![0xff; 8],
            vec![0; 8],
            u64::MAX.wrapping_sub(7).to_le_bytes().to_vec(),
            (1_u64 << 63).to_le_bytes().to_vec(),
            u32::MAX.to_le_bytes().to_vec(),
            u16::MAX.to_le_bytes().to_vec(),
            // Lists, maps, texts and bytes that claim 4 GiB.
            vec![0xdd, 0xff, 0xff, 0xff, 0xff],
            vec![0xdf, 0xff, 0xff, 0xff, 0xff],
            vec![0xdb, 0xff, 0xff, 0xff, 0xff],
            vec![0xc6, 0xff, 0xff, 0xff, 0xff],
            vec![0x91; 200],
            vec![0x81; 200],
        ]),
    ];
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        (any::<Index>(), edge.clone()).prop_map(|(at, bytes)| Change::Put(at, bytes)),
        (any::<Index>(), edge).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1..32_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        match change {
            Change::Flip(at, mask) => {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            Change::Put(at, new) => {
                let at = at.index(bytes.len());
                let count = new.len().min(bytes.len() - at);
                bytes[at..at + count].copy_from_slice(&new[..count]);
            }
            Change::Insert(at, new) => {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = at.index(bytes.len());
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Change::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

/// Sound inputs, most of them damaged, and noise among them.
fn near(sound: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (prop::sample::select(sound), prop::collection::vec(change(), 0..6))
        .prop_map(|(bytes, changes)| changed(bytes, &changes));
    prop_oneof![6 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..2048)]
}

/// Values of any shape, with the names that the messages have.
fn value() -> impl Strategy<Value = Vec<u8>> {
    const NAMES: &[&str] = &[
        "id",
        "label",
        "version",
        "api_version",
        "abi_epoch",
        "attributes",
        "capabilities",
        "kind",
        "host",
        "port",
        "path",
        "panic_strategy",
        "target",
        "key",
        "value_type",
        "default",
        "options",
        "readings",
        "entity",
        "state",
        "value",
        "at_ms",
        "number",
        "text",
        "on_off",
        "choice",
        "event",
        "timestamp_ms",
        "entities",
        "name",
        "states",
        "serial",
        "records",
        "level",
        "message",
        "fields",
        "dropped",
        "status",
        "percent",
        "bytes",
        "code",
        "step",
        "form",
        "menu",
        "template",
        "context",
        "outcome",
        "data",
        "media_type",
        "url",
        "sentence",
        "cause",
    ];
    let leaf = prop_oneof![
        Just(Wire::Nil),
        any::<bool>().prop_map(Wire::from),
        any::<i64>().prop_map(Wire::from),
        any::<u64>().prop_map(Wire::from),
        prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e308, 0.1]).prop_map(Wire::F64),
        "[a-z./{}:-]{0,12}".prop_map(Wire::from),
        prop::sample::select(NAMES).prop_map(Wire::from),
        prop::collection::vec(any::<u8>(), 0..16).prop_map(Wire::from),
        prop::collection::vec(any::<u8>(), 0..16).prop_map(|bytes| Wire::Ext(1, bytes)),
    ];
    let tree = leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Wire::Array),
            prop::collection::vec((prop::sample::select(NAMES).prop_map(Wire::from), inner), 0..8).prop_map(Wire::Map),
        ]
    });
    tree.prop_map(|value| {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, &value).unwrap();
        bytes
    })
}

#[test]
fn inspection_survives_any_bytes() {
    let plugin = |id: &str| PluginFile::new(id, "1.0.0");
    let mut needy = plugin("needy");
    needy.run_path = Some("$ORIGIN:/opt".to_owned());
    needy.versions = vec!["GLIBC_2.17".to_owned(), "GLIBC_ABI_DT_RELR".to_owned()];
    drive("inspection", &near(vec![plugin("house").bytes(), needy.bytes()]));
}

#[test]
fn frames_survive_any_bytes() {
    let frame = |kind, op, payload: &[u8]| codec::encode(&Frame { kind, call: 7, op, payload: payload.to_vec() });
    let stream = [
        frame(Kind::Hello, 0, b""),
        frame(Kind::Request, 1001, &[1; 300]),
        frame(Kind::Reply, 1, b"\0\xc0"),
        frame(Kind::Request, 1006, &[2; 5000]),
    ];
    let stream: Vec<Vec<u8>> = stream.into_iter().map(Result::unwrap).collect();
    let all = stream[..3].concat();
    let with_piece = |piece: u8, bytes: &[u8]| [&[piece], bytes].concat();
    drive("frames", &near(vec![with_piece(1, &all), with_piece(19, &all), with_piece(255, &stream.concat())]));
}

#[test]
fn the_manifest_survives_any_bytes() {
    let manifest = PluginFile::new("house", "1.0.0")
        .saying("attributes", serde_json::json!([{"key": "url", "label": "Address", "value_type": {"kind": "url"}}]))
        .saying("capabilities", serde_json::json!([{"kind": "network", "host": "{url}", "port": 0}, {"kind": "new"}]))
        .saying("required_ops", serde_json::json!([1001, 70_000]))
        .manifest
        .unwrap();
    let section = manifest_section(&manifest);
    let content = section[gatehouse_plugin_api::manifest::HEADER_BYTES..].to_vec();
    drive("manifest", &prop_oneof![2 => near(vec![section, content]), 1 => value()]);
}

#[test]
fn messages_survive_any_bytes() {
    drive("messages", &prop_oneof![near(sound_messages()), value()]);
}

fn sound_messages() -> Vec<Vec<u8>> {
    let entity = || "light.kitchen".parse().unwrap();
    let state = || "brightness".parse().unwrap();
    let readings = [Value::Number(0.5), Value::Text("on".to_owned()), Value::OnOff(true), Value::TimestampMs(-1)]
        .map(|value| Reading { entity: entity(), state: state(), value, at_ms: Some(1) });
    let state = StateDeclaration {
        name: state(),
        label: "Brightness".to_owned(),
        kind: StateKind::OnOff,
        sensed: true,
        controllable: true,
    };
    let declared = EntityDeclaration {
        name: entity(),
        label: String::new(),
        entity_type: "light".to_owned(),
        states: vec![state],
        previous_name: Some("light.old".parse().unwrap()),
    };
    let record = LogRecord {
        level: LogLevel::Warn,
        target: "a::b".to_owned(),
        message: "lost".to_owned(),
        fields: vec![("count".to_owned(), "3".to_owned())],
        at_ms: 1,
    };
    let error = CallError::bad_fields([("url".to_owned(), "is no URL".to_owned())].into());
    vec![
        wire::encode(&Emit { readings: readings.to_vec() }),
        wire::encode(&Declare { entities: vec![declared] }),
        wire::encode(&Log { records: vec![record], dropped: 2 }),
        wire::encode(&Health { message: "well".to_owned(), ..Health::default() }),
        wire::encode(&Key { key: "token".to_owned() }),
        wire::encode(&KeyBlob { key: "token".to_owned(), bytes: vec![1, 2, 3] }),
        wire::encode(&SyncCall { serial: Some(9) }),
        wire::encode(&error),
        wire::encode(&Reason::new(ReasonCode::OpenFailed, "x.so does not open").caused_by("no symbol")),
        wire::encode_reply::<()>(&Err(CallError::new(ErrorCode::Refused, "no"))),
        wire::encode_reply(&Ok(serde_json::json!({"data": {"a": [1, null, "b"]}}))),
    ]
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let attribute = ("[a-z][a-z_]{0,20}", any::<String>(), any::<bool>(), any::<Option<i64>>()).prop_map(
        |(key, label, required, default)| {
            let fields = serde_json::json!({"key": key, "label": label, "value_type": {"kind": "number"},
                "required": required, "default": default});
            serde_json::from_value(fields).unwrap()
        },
    );
    let capability = prop_oneof![
        (any::<String>(), any::<u16>()).prop_map(|(host, port)| Capability::Network { host, port }),
        any::<u16>().prop_map(|port| Capability::Listen { port }),
        any::<String>().prop_map(|path| Capability::Read { path }),
        Just(Capability::Multicast),
    ];
    let lists = (
        prop::collection::vec(attribute, 0..20),
        prop::collection::vec(capability, 0..20),
        prop::collection::vec(any::<u32>(), 0..40),
        prop::collection::vec(any::<String>(), 0..5),
    );
    (any::<[String; 4]>(), lists, any::<Option<u64>>()).prop_map(|(texts, lists, poll_interval_ms)| {
        let (attributes, capabilities, required_ops, cpu_features) = lists;
        let [label, description, version, authors] = texts;
        let fields = PluginFile::new("house", "1.0.0").manifest.unwrap();
        let base: Manifest = serde_json::from_value(fields).unwrap();
        Manifest {
            label,
            description,
            version,
            authors,
            attributes,
            capabilities,
            required_ops,
            cpu_features,
            poll_interval_ms,
            ..base
        }
    })
}

proptest! {
    #[test]
    fn any_manifest_reads_back_and_any_damage_to_it_is_noticed(
        manifest in manifest(), damage in prop::collection::vec((any::<Index>(), 1..=255_u8), 1..4)
    ) {
        let section = fuzz::section_of(&wire::encode(&manifest));
        prop_assert_eq!(Manifest::from_section(&section), Ok(manifest));
        let mut damaged = section.clone();
        for (at, mask) in damage {
            let at = at.index(damaged.len());
            damaged[at] ^= mask;
        }
        if damaged != section {
            prop_assert!(Manifest::from_section(&damaged).is_err());
        }
        for cut in [0, 11, 23, section.len() / 2, section.len() - 1] {
            prop_assert!(Manifest::from_section(&section[..cut]).is_err());
        }
    }
}
