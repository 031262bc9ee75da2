//! The frames between host and worker: a header of 17 bytes, then the payload exactly as the boundary has it.
//!
//! `length of the payload (u32), kind (u8), call id (u64), operation (u32)`, little-endian. Nothing is encoded twice:
//! the payload of a request or a reply is the byte string that the plugin's boundary takes or gives. The functions
//! here are pure; they read what a worker wrote, so every byte string has a result and none a panic.

use std::fmt;

/// The bytes of a header.
pub const HEADER_BYTES: usize = 17;

/// The largest payload unless a [`Decoder`] is told otherwise. A flow of larger things goes in chunks.
pub const MAX_PAYLOAD_BYTES: usize = 16 * 1024 * 1024;

/// Memory set aside for a payload before its bytes have come: what a header claims costs nothing.
const FIRST_RESERVE_BYTES: usize = 64 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A call, of either side.
    Request = 1,
    /// The answer to a call, its status byte included.
    Reply = 2,
    /// A call was dropped without an answer.
    NoReply = 3,
    /// Host → worker, first of all: what to open.
    Launch = 4,
    /// Worker → host: the launch order is read and the process is restricted; nothing of the plugin has run.
    Hello = 5,
    /// Host → worker: open the plugin now.
    Go = 6,
    /// Worker → host: the gateway is made.
    Ready = 7,
    /// Worker → host: the plugin was not opened; the payload is the reason.
    Refused = 8,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Request,
            2 => Self::Reply,
            3 => Self::NoReply,
            4 => Self::Launch,
            5 => Self::Hello,
            6 => Self::Go,
            7 => Self::Ready,
            8 => Self::Refused,
            _ => return None,
        })
    }
}

/// One frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// Which call; each side numbers its own calls.
    pub call: u64,
    /// The operation's number; 0 where there is none.
    pub op: u32,
    /// The payload, untouched.
    pub payload: Vec<u8>,
}

impl fmt::Debug for Frame {
    // Payloads may hold secrets: their length is all that is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} op {} ({} bytes)", self.kind, self.call, self.op, self.payload.len())
    }
}

/// Why bytes are not frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The kind is none of [`Kind`].
    #[error("a frame has the unknown kind {0}")]
    UnknownKind(u8),
    /// The payload is larger than the bound.
    #[error("a frame announces {announced} bytes; the most is {max}")]
    TooLarge {
        /// What the header says.
        announced: usize,
        /// The bound.
        max: usize,
    },
}

/// The header of a frame with `payload_bytes` of payload.
///
/// # Errors
/// [`CodecError::TooLarge`] when the payload is over `max`: the other side would refuse it.
pub fn header(
    kind: Kind,
    call: u64,
    op: u32,
    payload_bytes: usize,
    max: usize,
) -> Result<[u8; HEADER_BYTES], CodecError> {
    let too_large = CodecError::TooLarge { announced: payload_bytes, max };
    let length = u32::try_from(payload_bytes).map_err(|_| too_large)?;
    if payload_bytes > max {
        return Err(too_large);
    }
    let mut bytes = [0; HEADER_BYTES];
    bytes[0..4].copy_from_slice(&length.to_le_bytes());
    bytes[4] = kind as u8;
    bytes[5..13].copy_from_slice(&call.to_le_bytes());
    bytes[13..17].copy_from_slice(&op.to_le_bytes());
    Ok(bytes)
}

/// A whole frame as bytes.
///
/// # Errors
/// As [`header`], with [`MAX_PAYLOAD_BYTES`].
pub fn encode(frame: &Frame) -> Result<Vec<u8>, CodecError> {
    let header = header(frame.kind, frame.call, frame.op, frame.payload.len(), MAX_PAYLOAD_BYTES)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + frame.payload.len());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&frame.payload);
    Ok(bytes)
}

/// Puts frames together from bytes that come in pieces of any size.
pub struct Decoder {
    max: usize,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    body: Option<(Frame, usize)>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decoder({:?}, {} header bytes)", self.body.as_ref().map(|(frame, _)| frame), self.header_filled)
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(MAX_PAYLOAD_BYTES)
    }
}

impl Decoder {
    /// A decoder that refuses payloads over `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { max, header: [0; HEADER_BYTES], header_filled: 0, body: None }
    }

    /// Takes bytes from the front of `bytes` up to the end of one frame, and gives that frame if it is whole.
    /// `None` means that all the bytes were taken and more are needed.
    ///
    /// # Errors
    /// The stream cannot be read any further after one.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, CodecError> {
        if self.body.is_none() {
            let take = bytes.len().min(HEADER_BYTES - self.header_filled);
            let (head, rest) = bytes.split_at(take);
            self.header[self.header_filled..self.header_filled + take].copy_from_slice(head);
            self.header_filled += take;
            *bytes = rest;
            if self.header_filled < HEADER_BYTES {
                return Ok(None);
            }
            self.body = Some(self.begin()?);
            self.header_filled = 0;
        }
        let Some((frame, length)) = &mut self.body else { return Ok(None) };
        let take = bytes.len().min(*length - frame.payload.len());
        let (part, rest) = bytes.split_at(take);
        frame.payload.extend_from_slice(part);
        *bytes = rest;
        Ok(if frame.payload.len() == *length { self.body.take().map(|(frame, _)| frame) } else { None })
    }

    /// Are there bytes of a frame that is not whole yet?
    pub fn is_inside_frame(&self) -> bool {
        self.header_filled > 0 || self.body.is_some()
    }

    fn begin(&self) -> Result<(Frame, usize), CodecError> {
        let h = &self.header;
        let length = u32::from_le_bytes([h[0], h[1], h[2], h[3]]) as usize;
        let kind = Kind::from_byte(h[4]).ok_or(CodecError::UnknownKind(h[4]))?;
        if length > self.max {
            return Err(CodecError::TooLarge { announced: length, max: self.max });
        }
        let call = u64::from_le_bytes([h[5], h[6], h[7], h[8], h[9], h[10], h[11], h[12]]);
        let op = u32::from_le_bytes([h[13], h[14], h[15], h[16]]);
        let payload = Vec::with_capacity(length.min(FIRST_RESERVE_BYTES));
        Ok((Frame { kind, call, op, payload }, length))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Vec<Frame>> {
        let frame = (1_u8..=8, any::<u64>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(|(kind, call, op, payload)| Frame { kind: Kind::from_byte(kind).unwrap(), call, op, payload });
        prop::collection::vec(frame, 0..8)
    }

    fn decode_all(decoder: &mut Decoder, mut bytes: &[u8], out: &mut Vec<Frame>) -> Result<(), CodecError> {
        while let Some(frame) = decoder.next(&mut bytes)? {
            out.push(frame);
        }
        assert!(bytes.is_empty());
        Ok(())
    }

    proptest! {
        #[test]
        fn frames_survive_any_cutting(frames in frames(), piece in 1_usize..64) {
            let bytes: Vec<u8> = frames.iter().flat_map(|frame| encode(frame).unwrap()).collect();
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for part in bytes.chunks(piece) {
                decode_all(&mut decoder, part, &mut found).unwrap();
            }
            prop_assert_eq!(found, frames);
            prop_assert!(!decoder.is_inside_frame());
        }

        #[test]
        fn any_bytes_have_a_result(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode_all(&mut Decoder::new(100), &bytes, &mut Vec::new());
        }
    }

    #[test]
    fn refuses_unknown_kinds_and_large_frames() {
        let mut bytes = encode(&Frame { kind: Kind::Go, call: 1, op: 0, payload: vec![0; 11] }).unwrap();
        let read = |bytes: &[u8]| Decoder::new(10).next(&mut &*bytes);
        assert_eq!(read(&bytes), Err(CodecError::TooLarge { announced: 11, max: 10 }));
        bytes[4] = 99;
        assert_eq!(read(&bytes), Err(CodecError::UnknownKind(99)));
        let too_large = Err(CodecError::TooLarge { announced: 11, max: 10 });
        assert_eq!(header(Kind::Request, 1, 1, 11, 10), too_large);
    }

    #[test]
    fn an_announced_size_costs_no_memory_before_its_bytes_come() {
        let head = header(Kind::Request, 1, 1, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES).unwrap();
        let mut decoder = Decoder::default();
        assert_eq!(decoder.next(&mut &head[..]), Ok(None));
        assert!(decoder.body.as_ref().unwrap().0.payload.capacity() <= FIRST_RESERVE_BYTES);
    }
}
