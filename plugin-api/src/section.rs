//! The manifest section, written by a `const fn`: MessagePack behind a magic, a length and a checksum.
//!
//! serde cannot run while a crate compiles, and a `&'static str` in a link section would be a relocation instead of
//! bytes. So the manifest is encoded here into one array, exactly as `rmp-serde` writes a
//! [`Manifest`](crate::manifest::Manifest) with named fields; a test holds the two together.

use crate::manifest::{CapabilityConst, HEADER_BYTES, MAGIC, MAX_BYTES, ManifestConst, checksum};
use crate::settings::{AttributeSpecConst, DefaultConst, ValueTypeConst};

/// The bytes that the section of this manifest takes: the length of the array for [`encode`].
pub const fn size(manifest: &ManifestConst) -> usize {
    let mut nowhere = [];
    let mut sink = Sink { out: &mut nowhere, at: HEADER_BYTES };
    write_manifest(&mut sink, manifest);
    assert!(sink.at - HEADER_BYTES <= MAX_BYTES, "the manifest is larger than 1 MiB: shorten its texts");
    sink.at
}

/// The section's content. `N` is [`size`] of the same manifest.
///
/// # Panics
/// When it is not.
pub const fn encode<const N: usize>(manifest: &ManifestConst) -> [u8; N] {
    let mut bytes = [0; N];
    let mut sink = Sink { out: &mut bytes, at: HEADER_BYTES };
    write_manifest(&mut sink, manifest);
    assert!(sink.at == N, "the array has another size than the manifest");
    let sum = checksum(bytes.split_at(HEADER_BYTES).1);
    let mut header = Sink { out: &mut bytes, at: 0 };
    header.raw(&MAGIC);
    header.raw(&((N - HEADER_BYTES) as u32).to_le_bytes());
    header.raw(&sum.to_le_bytes());
    bytes
}

/// Where bytes go. What lies beyond `out` is only counted, so an empty one measures.
struct Sink<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Sink<'_> {
    const fn raw(&mut self, bytes: &[u8]) {
        let end = self.at + bytes.len();
        if end <= self.out.len() {
            self.out.split_at_mut(self.at).1.split_at_mut(bytes.len()).0.copy_from_slice(bytes);
        }
        self.at = end;
    }

    /// A format byte and a big-endian number of `width` bytes.
    const fn tagged(&mut self, tag: u8, number: u64, width: usize) {
        self.raw(&[tag]);
        self.raw(number.to_be_bytes().split_at(8 - width).1);
    }

    const fn nil(&mut self) {
        self.raw(&[0xc0]);
    }

    const fn boolean(&mut self, value: bool) {
        self.raw(&[0xc2 + value as u8]);
    }

    const fn unsigned(&mut self, number: u64) {
        match number {
            0..=0x7f => self.raw(&[number as u8]),
            0x80..=0xff => self.tagged(0xcc, number, 1),
            0x100..=0xffff => self.tagged(0xcd, number, 2),
            0x1_0000..=0xffff_ffff => self.tagged(0xce, number, 4),
            _ => self.tagged(0xcf, number, 8),
        }
    }

    const fn signed(&mut self, number: i64) {
        match number {
            0.. => self.unsigned(number as u64),
            -32..0 => self.raw(&[number as u8]),
            -0x80..-32 => self.tagged(0xd0, number as u64, 1),
            -0x8000..-0x80 => self.tagged(0xd1, number as u64, 2),
            -0x8000_0000..-0x8000 => self.tagged(0xd2, number as u64, 4),
            _ => self.tagged(0xd3, number as u64, 8),
        }
    }

    const fn float(&mut self, number: f64) {
        self.tagged(0xcb, number.to_bits(), 8);
    }

    const fn text_header(&mut self, length: usize) {
        match length {
            0..32 => self.raw(&[0xa0 | length as u8]),
            32..0x100 => self.tagged(0xd9, length as u64, 1),
            0x100..0x1_0000 => self.tagged(0xda, length as u64, 2),
            _ => self.tagged(0xdb, length as u64, 4),
        }
    }

    const fn text(&mut self, text: &str) {
        self.text_header(text.len());
        self.raw(text.as_bytes());
    }

    const fn list(&mut self, length: usize) {
        match length {
            0..16 => self.raw(&[0x90 | length as u8]),
            16..0x1_0000 => self.tagged(0xdc, length as u64, 2),
            _ => self.tagged(0xdd, length as u64, 4),
        }
    }

    const fn map(&mut self, length: usize) {
        match length {
            0..16 => self.raw(&[0x80 | length as u8]),
            _ => self.tagged(0xde, length as u64, 2),
        }
    }

    const fn text_field(&mut self, key: &str, text: &str) {
        self.text(key);
        self.text(text);
    }

    const fn optional_unsigned(&mut self, key: &str, number: Option<u64>) {
        self.text(key);
        match number {
            Some(number) => self.unsigned(number),
            None => self.nil(),
        }
    }

    const fn optional_float(&mut self, key: &str, number: Option<f64>) {
        self.text(key);
        match number {
            Some(number) => self.float(number),
            None => self.nil(),
        }
    }
}

// Keep the order of fields as in the structs that are read: the bytes are compared with theirs.
const fn write_manifest(sink: &mut Sink<'_>, manifest: &ManifestConst) {
    sink.map(17);
    sink.text_field("id", manifest.id);
    sink.text_field("label", manifest.label);
    sink.text_field("description", manifest.description);
    sink.text_field("version", manifest.version);
    sink.text_field("api_version", manifest.api_version);
    sink.text("abi_epoch");
    sink.unsigned(manifest.abi_epoch as u64);
    sink.text("attributes");
    sink.list(manifest.attributes.len());
    let mut at = 0;
    while at < manifest.attributes.len() {
        write_attribute(sink, &manifest.attributes[at]);
        at += 1;
    }
    sink.text("capabilities");
    sink.list(manifest.capabilities.len());
    at = 0;
    while at < manifest.capabilities.len() {
        write_capability(sink, &manifest.capabilities[at]);
        at += 1;
    }
    sink.text("required_ops");
    sink.list(manifest.required_ops.len());
    at = 0;
    while at < manifest.required_ops.len() {
        sink.unsigned(manifest.required_ops[at].number as u64);
        at += 1;
    }
    sink.optional_unsigned("poll_interval_ms", manifest.poll_interval_ms);
    sink.text_field("panic_strategy", manifest.panic_strategy);
    sink.text_field("target", manifest.target);
    sink.text_field("rustc", manifest.rustc);
    write_cpu_features(sink, manifest.cpu_features);
    write_authors(sink, manifest.authors);
    sink.text_field("licence", manifest.licence);
    sink.text_field("homepage", manifest.homepage);
}

const fn write_cpu_features(sink: &mut Sink<'_>, features: &[(&str, bool)]) {
    let (mut at, mut count) = (0, 0);
    while at < features.len() {
        count += features[at].1 as usize;
        at += 1;
    }
    sink.text("cpu_features");
    sink.list(count);
    at = 0;
    while at < features.len() {
        if features[at].1 {
            sink.text(features[at].0);
        }
        at += 1;
    }
}

/// Cargo separates authors by colons; a person reads commas.
const fn write_authors(sink: &mut Sink<'_>, authors: &str) {
    let bytes = authors.as_bytes();
    let (mut at, mut colons) = (0, 0);
    while at < bytes.len() {
        colons += (bytes[at] == b':') as usize;
        at += 1;
    }
    sink.text("authors");
    sink.text_header(bytes.len() + colons);
    at = 0;
    while at < bytes.len() {
        if bytes[at] == b':' {
            sink.raw(b", ");
        } else {
            sink.raw(&[bytes[at]]);
        }
        at += 1;
    }
}

const fn write_attribute(sink: &mut Sink<'_>, spec: &AttributeSpecConst) {
    sink.map(7);
    sink.text_field("key", spec.key);
    sink.text_field("label", spec.label);
    sink.text_field("help", spec.help);
    sink.text("value_type");
    write_value_type(sink, &spec.value_type);
    sink.text("required");
    sink.boolean(spec.required);
    sink.text("editable");
    sink.boolean(spec.editable);
    sink.text("default");
    match spec.default {
        None => sink.nil(),
        Some(DefaultConst::Bool(value)) => sink.boolean(value),
        Some(DefaultConst::Integer(value)) => sink.signed(value),
        Some(DefaultConst::Number(value)) => sink.float(value),
        Some(DefaultConst::Text(value)) => sink.text(value),
    }
}

const fn write_value_type(sink: &mut Sink<'_>, value_type: &ValueTypeConst) {
    let (kind, fields) = match value_type {
        ValueTypeConst::Text => ("text", 0),
        ValueTypeConst::Number { .. } => ("number", 3),
        ValueTypeConst::Switch => ("switch", 0),
        ValueTypeConst::Choice(_) => ("choice", 1),
        ValueTypeConst::Url => ("url", 0),
        ValueTypeConst::FilePath => ("file_path", 0),
        ValueTypeConst::Secret => ("secret", 0),
        ValueTypeConst::Duration { .. } => ("duration", 2),
    };
    sink.map(1 + fields);
    sink.text_field("kind", kind);
    match value_type {
        ValueTypeConst::Number { min, max, integer } => {
            sink.optional_float("min", *min);
            sink.optional_float("max", *max);
            sink.text("integer");
            sink.boolean(*integer);
        }
        ValueTypeConst::Choice(options) => {
            sink.text("options");
            sink.list(options.len());
            let mut at = 0;
            while at < options.len() {
                sink.map(2);
                sink.text_field("value", options[at].0);
                sink.text_field("label", options[at].1);
                at += 1;
            }
        }
        ValueTypeConst::Duration { min_ms, max_ms } => {
            sink.optional_unsigned("min_ms", *min_ms);
            sink.optional_unsigned("max_ms", *max_ms);
        }
        _ => {}
    }
}

const fn write_capability(sink: &mut Sink<'_>, capability: &CapabilityConst) {
    match *capability {
        CapabilityConst::Network { host, port } => write_address(sink, "network", host, port),
        CapabilityConst::Udp { host, port } => write_address(sink, "udp", host, port),
        CapabilityConst::Listen { port } => {
            sink.map(2);
            sink.text_field("kind", "listen");
            sink.text("port");
            sink.unsigned(port as u64);
        }
        CapabilityConst::Multicast => {
            sink.map(1);
            sink.text_field("kind", "multicast");
        }
        CapabilityConst::Read { path } => write_path(sink, "read", path),
        CapabilityConst::Device { path } => write_path(sink, "device", path),
        CapabilityConst::Execute { path } => write_path(sink, "execute", path),
    }
}

const fn write_address(sink: &mut Sink<'_>, kind: &str, host: &str, port: u16) {
    sink.map(3);
    sink.text_field("kind", kind);
    sink.text_field("host", host);
    sink.text("port");
    sink.unsigned(port as u64);
}

const fn write_path(sink: &mut Sink<'_>, kind: &str, path: &str) {
    sink.map(2);
    sink.text_field("kind", kind);
    sink.text_field("path", path);
}
