//! A plugin under the strictest settings keeps its manifest: no unsafe code, settings from another crate, fat LTO,
//! stripped. The file is read as the host reads it, without running anything.

use std::fs;

use gatehouse_plugin_api::attribute::{AttributeSpec, ChoiceOption, PlainValue, ValueType};
use gatehouse_plugin_api::ids::IntegrationType;
use gatehouse_plugin_api::manifest::{Capability, Manifest, SECTION};
use gatehouse_plugin_api::ops;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection};

use crate::fixture::Fixture;

fn attribute(key: &str, label: &str, value_type: ValueType) -> AttributeSpec {
    AttributeSpec {
        key: key.into(),
        label: label.into(),
        help: String::new(),
        value_type,
        required: true,
        editable: true,
        default: None,
    }
}

#[test]
fn a_stripped_plugin_with_fat_lto_carries_every_field_of_its_manifest() {
    let file = Fixture::from_checkout("strict").release().build("strict_house");
    let bytes = fs::read(&file).expect("the built file");
    let elf = ElfFile64::<object::Endianness>::parse(&*bytes).expect("an ELF file");
    assert!(elf.section_by_name(".symtab").is_none(), "the file was not stripped");
    let section = elf.section_by_name(SECTION).expect("the section survives");
    let manifest = Manifest::from_section(section.data().expect("its bytes")).expect("a manifest");

    let option = |value: &str, label: &str| ChoiceOption { value: value.into(), label: label.into() };
    let expected = Manifest {
        id: IntegrationType::new("strict-house").expect("valid"),
        label: "Strict house".into(),
        description: "From the package".into(),
        version: "3.2.1-rc.1".into(),
        api_version: ops::API_VERSION.into(),
        abi_epoch: gatehouse_abi::ABI_EPOCH,
        attributes: vec![
            AttributeSpec {
                help: "With its port.".into(),
                ..attribute("api_base_url", "Address of the house", ValueType::Url)
            },
            attribute("token", "Access token", ValueType::Secret),
            AttributeSpec {
                required: false,
                editable: false,
                default: Some(PlainValue::Integer(5_400_000)),
                ..attribute(
                    "look_every",
                    "Time between two looks",
                    ValueType::Duration { min_ms: Some(1000), max_ms: Some(172_800_000) },
                )
            },
            AttributeSpec {
                required: false,
                default: Some(PlainValue::Integer(4)),
                ..attribute(
                    "looks",
                    "Most looks at once",
                    ValueType::Number { min: Some(1.0), max: Some(64.0), integer: true },
                )
            },
            AttributeSpec {
                required: false,
                default: Some(PlainValue::Text("very_closely".into())),
                ..attribute(
                    "look",
                    "How to look",
                    ValueType::Choice {
                        options: vec![
                            option("gently", "Once in a while"),
                            option("very_closely", "As often as the house answers"),
                        ],
                    },
                )
            },
            AttributeSpec { required: false, ..attribute("left_out", "Rooms to leave out", ValueType::Text) },
        ],
        capabilities: vec![
            Capability::Network { host: "{api_base_url}".into(), port: 0 },
            Capability::Network { host: "updates.example.org".into(), port: 443 },
            Capability::Udp { host: "*".into(), port: 1900 },
            Capability::Listen { port: 8080 },
            Capability::Multicast,
            Capability::Read { path: "/proc/meminfo".into() },
            Capability::Device { path: "/dev/ttyUSB0".into() },
            Capability::Execute { path: "/usr/bin/true".into() },
        ],
        required_ops: vec![ops::EMIT_DURABLE.number, ops::SECRET_SET.number],
        poll_interval_ms: Some(90_000),
        panic_strategy: "unwind".into(),
        // The two that depend on the compiler that runs the test; the features are checked below.
        target: manifest.target.clone(),
        rustc: manifest.rustc.clone(),
        cpu_features: manifest.cpu_features.clone(),
        authors: "First Author <first@example.org>, Second Author".into(),
        licence: "MIT OR Apache-2.0".into(),
        homepage: "https://example.org/strict-house".into(),
    };
    assert_eq!(manifest, expected);
    assert!(manifest.target.starts_with(std::env::consts::ARCH), "{}", manifest.target);
    assert!(manifest.rustc.starts_with("1."), "{}", manifest.rustc);
    let baseline = if cfg!(target_arch = "x86_64") { "sse2" } else { "neon" };
    assert!(manifest.cpu_features.iter().any(|feature| feature == baseline), "{:?}", manifest.cpu_features);
}
