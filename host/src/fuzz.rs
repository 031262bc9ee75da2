//! What untrusted bytes meet, as functions over bytes that panic when a promise is broken.
//!
//! One function for each door: a file in the plugins folder, the frames of a worker, a manifest, the payloads of a
//! worker. The same functions are driven by proptest in the test command and by cargo-fuzz from the folder `fuzz`. No
//! result of theirs is used: whatever the bytes, they return.

use gatehouse_plugin_api::attribute::FieldErrors;
use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::flow::{FlowReply, FlowRequest};
use gatehouse_plugin_api::manage::{ManageReply, ManageRequest, PaneReply, PaneRequest};
use gatehouse_plugin_api::manifest::{self, Manifest};
use gatehouse_plugin_api::message::{
    Attributes, Blob, ConnectionResult, Control, ControlOutcome, Declare, Diagnostics, Emit, EmitOutcome, EntityRef,
    Health, Instance, Key, KeyBlob, Keys, Log, LogFilter, MaybeBlob, Progress, Remove, SettingsOutcome, Snapshot,
    Stream, SyncCall, SyncChunk, SyncOutcome,
};
use gatehouse_plugin_api::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::gateway::codec::{self, CodecError, Decoder, Frame};
use crate::plugin::inspection::inspect_bytes;
use crate::reason::Reason;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target with its name, which is also the name of its driver in `fuzz/fuzz_targets`.
pub const TARGETS: &[(&str, Target)] =
    &[("inspection", inspection), ("frames", frames), ("manifest", manifest_section), ("messages", messages)];

/// The bytes as a plugin file: see [`inspected`].
///
/// # Panics
/// As [`inspected`].
pub fn inspection(bytes: &[u8]) {
    // Any verdict will do.
    let _ = inspected(bytes);
}

/// The verdict on bytes as a plugin file. An accepted one says what its own bytes say to another reader.
///
/// # Errors
/// The reason for which a file with this content is refused.
///
/// # Panics
/// When a file is accepted with another manifest than its section holds.
pub fn inspected(bytes: &[u8]) -> Result<Manifest, Reason> {
    let accepted = inspect_bytes("fuzz.so", bytes)?;
    let content = own_section(bytes).expect("an accepted file has a manifest section");
    let said = Manifest::from_section(content).expect("an accepted file's manifest can be read");
    assert_eq!(wire::encode(&accepted), wire::encode(&said), "accepted with another manifest than its own");
    Ok(accepted)
}

/// The manifest's section, found without the reader that inspection uses. Offsets by the System V ABI, chapter 4.
fn own_section(bytes: &[u8]) -> Option<&[u8]> {
    let number = |at: usize, width: usize| {
        let bytes = bytes.get(at..at.checked_add(width)?)?;
        usize::try_from(bytes.iter().rev().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte))).ok()
    };
    let range = |header: usize| {
        let start = number(header + 24, 8)?;
        bytes.get(start..start.checked_add(number(header + 32, 8)?)?)
    };
    let header = |index: usize| number(40, 8)?.checked_add(index.checked_mul(64)?);
    // A file with very many sections keeps their number and the index of their names in the first one.
    let first = header(0)?;
    let count = match number(60, 2)? {
        0 => number(first + 32, 8)?,
        count => count,
    };
    let names = match number(62, 2)? {
        0xffff => number(first + 40, 4)?,
        index => index,
    };
    let names = range(header(names)?)?;
    let name = format!("{}\0", manifest::SECTION);
    let is_it = |at: &usize| {
        let offset = number(*at, 4).unwrap_or(usize::MAX);
        names.get(offset..).is_some_and(|rest| rest.starts_with(name.as_bytes()))
    };
    (0..count).map_while(header).find(is_it).and_then(range)
}

/// The largest payload that [`frames`] lets through.
const FRAME_PAYLOAD_BYTES: usize = 4096;

/// The first byte says how the others are cut into pieces; those are a stream of frames. However it is cut, the same
/// frames come out, the same error ends it, and a frame written again is what was read.
///
/// # Panics
/// When cutting changes the result, or a frame is larger than allowed.
pub fn frames(bytes: &[u8]) {
    let Some((piece, stream)) = bytes.split_first() else { return };
    let whole = decode_stream(stream, stream.len().max(1));
    assert_eq!(whole, decode_stream(stream, usize::from(*piece).max(1)), "the result depends on how the bytes come");
    let mut written = Vec::new();
    for frame in &whole.0 {
        assert!(frame.payload.len() <= FRAME_PAYLOAD_BYTES, "a frame of {} bytes", frame.payload.len());
        written.extend(codec::encode(frame).expect("what was read can be written"));
    }
    assert!(stream.starts_with(&written), "frames written again are not what was read");
}

fn decode_stream(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<CodecError>) {
    let (mut decoder, mut found) = (Decoder::new(FRAME_PAYLOAD_BYTES), Vec::new());
    for mut bytes in stream.chunks(piece) {
        loop {
            match decoder.next(&mut bytes) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(bytes.is_empty(), "bytes were neither taken nor refused");
    }
    (found, None)
}

/// The bytes as a manifest's section, and as the content of one whose header is right.
///
/// # Panics
/// When a manifest does not survive being written and read again.
pub fn manifest_section(bytes: &[u8]) {
    for section in [bytes.to_vec(), section_of(bytes)] {
        if let Ok(manifest) = Manifest::from_section(&section) {
            let written = wire::encode(&manifest);
            let read = Manifest::from_section(&section_of(&written)).expect("a manifest that was read can be written");
            assert_eq!(wire::encode(&read), written, "a manifest changes when it is written and read again");
        }
    }
}

/// A section with that content and a header that fits.
pub fn section_of(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    [&manifest::MAGIC[..], &length.to_le_bytes(), &manifest::checksum(content).to_le_bytes(), content].concat()
}

/// The bytes as the payload of every message that crosses between host and worker, and as a reply.
///
/// # Panics
/// When a message does not survive being written and read again.
pub fn messages(bytes: &[u8]) {
    for read in MESSAGES {
        read(bytes);
    }
    if let Err(error) = wire::split_reply(Some(bytes)) {
        survives(&error);
    }
}

/// One reader for each type.
const MESSAGES: &[Target] = &[
    // What a gateway answers.
    message::<FlowReply>,
    message::<ManageReply>,
    message::<PaneReply>,
    message::<FieldErrors>,
    message::<ConnectionResult>,
    message::<ControlOutcome>,
    message::<SettingsOutcome>,
    message::<Diagnostics>,
    message::<Snapshot>,
    message::<Stream>,
    message::<Blob>,
    message::<CallError>,
    message::<Reason>,
    // What a gateway asks.
    message::<Emit>,
    message::<Declare>,
    message::<Remove>,
    message::<Log>,
    message::<Health>,
    message::<Progress>,
    message::<Key>,
    message::<KeyBlob>,
    message::<SyncCall>,
    message::<SyncChunk>,
    // What the host says: a plugin reads it by the same functions.
    message::<Instance>,
    message::<FlowRequest>,
    message::<ManageRequest>,
    message::<PaneRequest>,
    message::<Attributes>,
    message::<Control>,
    message::<EntityRef>,
    message::<LogFilter>,
    message::<EmitOutcome>,
    message::<MaybeBlob>,
    message::<Keys>,
    message::<SyncOutcome>,
];

fn message<T: Serialize + DeserializeOwned>(bytes: &[u8]) {
    if let Ok(message) = wire::decode::<T>(bytes) {
        survives(&message);
    }
}

fn survives<T: Serialize + DeserializeOwned>(message: &T) {
    let written = wire::encode(message);
    let name = std::any::type_name::<T>();
    match wire::decode::<T>(&written) {
        Ok(read) => assert_eq!(wire::encode(&read), written, "{name} changes when it is written and read again"),
        // A default that is written explicitly may add values to a message at the very bound.
        Err(error) => assert!(written.len() > wire::MAX_VALUES, "{name} cannot be read again: {}", error.message),
    }
}
