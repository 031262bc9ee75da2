//! Faults of the channel to the host: frames that the worker did not write.
//!
//! A frame is `length (u32), kind (u8), call (u64), operation (u32)`, little-endian, and the payload.

use std::os::fd::RawFd;

use gatehouse_plugin_api::wire;

const REQUEST: u8 = 1;
const REPLY: u8 = 2;
const NO_REPLY: u8 = 3;
const LAUNCH: u8 = 4;
const READY: u8 = 7;
const REFUSED: u8 = 8;

/// Operations of the host's, and some that are none.
const OPERATIONS: &[u32] = &[
    0,
    1,
    8,
    18,
    999,
    1000,
    1001,
    1002,
    1003,
    1004,
    1005,
    1006,
    1007,
    1008,
    1009,
    1010,
    1011,
    1012,
    1013,
    1014,
    1015,
    1016,
    1017,
    1018,
    1999,
    u32::MAX,
];

/// Does what the name says; `false` when it is of another kind.
pub(crate) fn strike(kind: &str) -> bool {
    match kind {
        "frame-unknown" => send(99, 1, 0, b"zoo"),
        "frame-too-large" => write(&header(u32::MAX, REQUEST, 1, 1006)),
        "frame-unasked" => send(REPLY, u64::MAX, 0, &[0]),
        "frame-order" => send(LAUNCH, 0, 0, &[]),
        "frame-greetings" => (0..3).for_each(|_| send(READY, 0, 0, &[])),
        "frame-swallows" => write(&header(16 << 20, REQUEST, 1, 1006)),
        "frame-noise" => write(&noise(4_096)),
        "reply-twice" => replies_twice(),
        "ready-early" => {
            send(READY, 0, 0, &[]);
            crate::endings::strike("sleep");
        }
        "refuses-as-wanted" => refuse("as_wanted"),
        "refuses-as-layout" => refuse("layout_mismatch"),
        "requests-hostile" => hostile_requests(),
        _ => return false,
    }
    true
}

/// The channel's: the first socket of the process.
pub(crate) fn descriptor() -> RawFd {
    let is_socket = |fd: &RawFd| {
        let target = std::fs::read_link(format!("/proc/self/fd/{fd}"));
        target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    (3..1_024).find(is_socket).expect("a worker has a channel")
}

fn header(length: u32, kind: u8, call: u64, op: u32) -> Vec<u8> {
    [&length.to_le_bytes()[..], &[kind], &call.to_le_bytes(), &op.to_le_bytes()].concat()
}

fn send(kind: u8, call: u64, op: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("small");
    write(&[&header(length, kind, call, op), payload].concat());
}

fn write(mut bytes: &[u8]) {
    let channel = descriptor();
    while !bytes.is_empty() {
        // SAFETY: the bytes are there. That the descriptor is somebody else's is the fault.
        let written = unsafe { libc::write(channel, bytes.as_ptr().cast(), bytes.len()) };
        let Ok(written) = usize::try_from(written) else { return };
        bytes = &bytes[written..];
    }
}

/// Bytes without any sense, the same every time.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..count).map(|_| next()).collect()
}

/// Answers the first call, which was answered long ago, again and again.
fn replies_twice() {
    for kind in [REPLY, REPLY, NO_REPLY] {
        send(kind, 1, 8, &wire::encode_reply::<()>(&Ok(())));
    }
}

/// Says in the loader's place why the plugin cannot be opened.
fn refuse(code: &str) {
    let reason = std::collections::BTreeMap::from([("code", code), ("sentence", "the zoo says so")]);
    send(REFUSED, 0, 0, &wire::encode(&reason));
    crate::endings::strike("sleep");
}

/// Every operation with payloads that no library writes.
fn hostile_requests() {
    // MessagePack: an array of one in an array of one in …; sizes of which nothing follows; text that is no UTF-8.
    let deep = vec![0x91; 1 << 20];
    let deep_maps = [0x81, 0xA1, b'x'].repeat(1 << 18);
    let payloads: &[&[u8]] = &[
        &[],
        &deep,
        &deep_maps,
        &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0xDF, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0xDB, 0xFF, 0xFF, 0xFF, 0xFF],
        &[0xC6, 0xFF, 0xFF, 0xFF, 0xFF],
        b"\x81\xA8readings\xDD\xFF\xFF\xFF\xFF",
        b"\x81\xA7records\x91\x85\xA5level\xA4info\xA6target\xA1z\xA7message\xA3\xFF\xFE\xFD\xA6fields\x90\xA5at_ms\x00",
        b"\x82\xA6status\xA7healthy\xA7message\xA4\xC3\x28\xA0\xA1",
        b"\x82\xA3key\xA2\xFF\xFF\xA5bytes\xC4\x01\x00",
        b"\x81\xA8entities\x91\xA2\xFF\xFF",
        b"zoo",
    ];
    let mut call = 1 << 40;
    for &op in OPERATIONS {
        for payload in payloads {
            call += 1;
            send(REQUEST, call, op, payload);
        }
    }
}
