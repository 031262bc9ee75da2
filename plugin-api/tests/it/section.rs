//! The manifest section: what the `const fn` writes is, byte for byte, what serde writes and reads.

use gatehouse_plugin_api::attribute::PlainValue;
use gatehouse_plugin_api::manifest::{
    Capability, CapabilityConst, HEADER_BYTES, Manifest, ManifestConst, ManifestError,
};
use gatehouse_plugin_api::settings::{AttributeSpecConst, DefaultConst, ValueTypeConst};
use gatehouse_plugin_api::{ops, section};

const SMALL: ManifestConst = ManifestConst {
    id: "my-house",
    label: "My house",
    description: "Reads and sets what is in my house.",
    version: "1.2.3",
    abi_epoch: 1,
    attributes: &[
        attribute("name", ValueTypeConst::Text, Some(DefaultConst::Text("Haus Müller"))),
        attribute(
            "limit",
            ValueTypeConst::Number { min: Some(-1.5), max: None, integer: false },
            Some(DefaultConst::Number(0.25)),
        ),
        attribute("verify", ValueTypeConst::Switch, Some(DefaultConst::Bool(true))),
        attribute("speed", ValueTypeConst::Choice(&[("fast", "Fast"), ("slow", "Slow")]), None),
        attribute("url", ValueTypeConst::Url, None),
        attribute("log", ValueTypeConst::FilePath, None),
        attribute("token", ValueTypeConst::Secret, None),
        attribute("every", ValueTypeConst::Duration { min_ms: Some(1), max_ms: Some(u64::MAX) }, None),
    ],
    capabilities: &[
        CapabilityConst::Network { host: "{url}", port: 0 },
        CapabilityConst::Udp { host: "*", port: 65_535 },
        CapabilityConst::Listen { port: 200 },
        CapabilityConst::Multicast,
        CapabilityConst::Read { path: "/proc" },
        CapabilityConst::Device { path: "/dev/ttyUSB0" },
        CapabilityConst::Execute { path: "/bin/true" },
    ],
    required_ops: &[ops::EMIT, ops::EMIT_DURABLE],
    poll_interval_ms: Some(30_000),
    panic_strategy: "unwind",
    cpu_features: &[("sse2", true), ("avx2", false), ("fma", true)],
    authors: "A. Author <a@example.org>:B. Author",
    licence: "MIT",
    homepage: "https://example.org",
    ..ManifestConst::EMPTY
};
static SMALL_SECTION: [u8; section::size(&SMALL)] = section::encode(&SMALL);

const fn attribute(key: &'static str, value_type: ValueTypeConst, default: Option<DefaultConst>) -> AttributeSpecConst {
    AttributeSpecConst { key, label: "Label", help: "", value_type, required: true, editable: false, default }
}

fn read(content: &[u8]) -> Manifest {
    let manifest = Manifest::from_section(content).expect("a manifest");
    assert_eq!(&content[HEADER_BYTES..], rmp_serde::to_vec_named(&manifest).expect("encodes"));
    manifest
}

/// The array's length is a constant, so other sizes are tried in one that holds them all.
fn encode(manifest: &ManifestConst) -> Manifest {
    const LARGEST: usize = 200_000;
    let rest = section::size(&ManifestConst { homepage: "", ..*manifest });
    // The homepage fills the array up to its length; a text of more than 64 KiB has a header of five bytes, not one.
    let filler: &str = "x".repeat(LARGEST - rest - 4).leak();
    let filled = ManifestConst { homepage: filler, ..*manifest };
    assert_eq!(section::size(&filled), LARGEST);
    let read = read(&section::encode::<LARGEST>(&filled));
    assert_eq!(read.homepage, filler);
    read
}

#[test]
fn the_constant_reads_back_field_by_field() {
    let manifest = read(&SMALL_SECTION);
    assert_eq!(manifest.id.as_str(), "my-house");
    assert_eq!(manifest.description, "Reads and sets what is in my house.");
    assert_eq!(manifest.version, "1.2.3");
    assert_eq!(manifest.api_version, ops::API_VERSION);
    let specs: Vec<_> = SMALL.attributes.iter().map(AttributeSpecConst::to_spec).collect();
    assert_eq!(manifest.attributes, specs);
    assert_eq!(manifest.capabilities[0], Capability::Network { host: "{url}".into(), port: 0 });
    assert_eq!(manifest.capabilities[3], Capability::Multicast);
    assert_eq!(manifest.capabilities[6], Capability::Execute { path: "/bin/true".into() });
    assert_eq!(manifest.required_ops, [1001, 1002]);
    assert_eq!(manifest.poll_interval_ms, Some(30_000));
    assert_eq!(manifest.cpu_features, ["sse2", "fma"]);
    assert_eq!(manifest.authors, "A. Author <a@example.org>, B. Author");
    assert!(manifest.target.contains("linux"), "{}", manifest.target);
    assert!(!manifest.rustc.is_empty());
}

#[test]
fn every_width_of_number_is_written_as_serde_writes_it() {
    let edges = [
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x100,
        0xffff,
        0x1_0000,
        0xffff_ffff,
        0x1_0000_0000,
        i64::MAX,
        -1,
        -32,
        -33,
        -0x80,
        -0x81,
        -0x8000,
        -0x8001,
        -0x8000_0000,
        -0x8000_0001,
        i64::MIN,
    ];
    let attributes: Vec<_> = edges
        .iter()
        .map(|edge| {
            let any = ValueTypeConst::Number { min: None, max: None, integer: true };
            attribute("number", any, Some(DefaultConst::Integer(*edge)))
        })
        .collect();
    let manifest = encode(&ManifestConst { attributes: attributes.leak(), ..SMALL });
    let read: Vec<_> = manifest.attributes.iter().map(|spec| spec.default.clone()).collect();
    assert_eq!(read, edges.map(|edge| Some(PlainValue::Integer(edge))));
}

#[test]
fn every_length_of_text_and_list_is_written_as_serde_writes_it() {
    for length in [0, 31, 32, 255, 256, 65_535, 65_536] {
        let text: &str = "t".repeat(length).leak();
        let manifest = encode(&ManifestConst { description: text, ..SMALL });
        assert_eq!(manifest.description, text);
    }
    for length in [0, 15, 16, 1000] {
        let attributes = vec![attribute("text", ValueTypeConst::Text, None); length].leak();
        let manifest = encode(&ManifestConst { attributes, ..SMALL });
        assert_eq!(manifest.attributes.len(), length);
    }
}

#[test]
fn damage_is_told_from_absence() {
    let good = SMALL_SECTION;
    let with = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        Manifest::from_section(&bytes)
    };
    assert_eq!(with(0, b'X'), Err(ManifestError::Magic));
    assert_eq!(with(HEADER_BYTES + 40, 0xff), Err(ManifestError::Checksum));
    assert_eq!(with(15, 0x7f), Err(ManifestError::Large(0x7f00_0000 + good.len() - HEADER_BYTES)));
    let cut = Manifest::from_section(&good[..good.len() - 1]);
    assert_eq!(cut, Err(ManifestError::Short { found: good.len() - 1, expected: good.len() }));
    assert!(matches!(Manifest::from_section(&[]), Err(ManifestError::Short { .. })));
}

#[test]
fn a_newer_manifest_with_fields_unknown_here_is_read() {
    let mut fields: serde_json::Map<String, serde_json::Value> =
        rmp_serde::from_slice(&SMALL_SECTION[HEADER_BYTES..]).expect("a map");
    fields.insert("added_later".to_owned(), serde_json::json!({"any": ["thing"]}));
    let capabilities = fields["capabilities"].as_array_mut().expect("a list");
    capabilities.push(serde_json::json!({"kind": "bluetooth", "address": "any"}));
    let manifest: Manifest =
        rmp_serde::from_slice(&rmp_serde::to_vec_named(&fields).expect("encodes")).expect("still a manifest");
    assert_eq!(manifest.capabilities.last(), Some(&Capability::Unknown));
}
