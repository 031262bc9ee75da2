//! Payload bytes: MessagePack with named fields, and the one byte before a reply that says ok or error.
//!
//! Types grow by optional fields only; unknown fields are ignored by both sides.
//!
//! The other side may write what it likes, so what is read is bounded twice: by depth, because decoding and dropping a
//! nested value takes stack for every level, and by the number of values, because a value of one byte on the wire
//! takes tens of bytes in memory.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{CallError, ErrorCode};

/// The deepest nesting of lists and maps in a message.
pub const MAX_DEPTH: usize = 64;
/// The most values in a message: every list, map, key, text, number and so on is one.
pub const MAX_VALUES: usize = 512 * 1024;

const STATUS_OK: u8 = 0;
const STATUS_ERROR: u8 = 1;

/// Encodes a request.
///
/// # Panics
/// Never for the message types of this crate: they hold nothing that MessagePack cannot write.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    write(&mut bytes, message);
    bytes
}

fn write<T: Serialize>(bytes: &mut Vec<u8>, message: &T) {
    rmp_serde::encode::write_named(bytes, message).expect("message types hold only what MessagePack can write");
}

/// Decodes a request or the body of a reply.
///
/// # Errors
/// `invalid_request`, with the decoder's reason, or when the message is nested deeper than [`MAX_DEPTH`] or holds more
/// than [`MAX_VALUES`] values.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    read(bytes)
        .map_err(|problem| CallError::new(ErrorCode::InvalidRequest, format!("a message could not be read: {problem}")))
}

/// Reads a value of any type within the bounds.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    if holds_too_many_values(bytes) {
        return Err(format!("it holds more than {MAX_VALUES} values"));
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    decoder.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut decoder).map_err(|error| error.to_string())
}

/// Counts values by their headers alone. Bytes that end early hold what came before: the decoder tells the rest.
fn holds_too_many_values(mut bytes: &[u8]) -> bool {
    // Every value has at least one byte, so nothing is counted in messages of the usual size.
    if bytes.len() <= MAX_VALUES {
        return false;
    }
    let mut values = 0;
    while let Some(length) = header_and_content(bytes) {
        values += 1;
        let Some(rest) = bytes.get(length..) else { break };
        bytes = rest;
    }
    values > MAX_VALUES
}

/// The bytes up to the next value: of a list or a map its header alone. By the MessagePack specification, "Formats".
fn header_and_content(bytes: &[u8]) -> Option<usize> {
    let (&format, rest) = bytes.split_first()?;
    let length = |width: usize| Some(rest.get(..width)?.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)));
    Some(match format {
        // Small numbers, lists and maps; nil, false, true.
        0x00..=0x9f | 0xc0..=0xc3 | 0xe0..=0xff => 1,
        0xa0..=0xbf => 1 + usize::from(format & 0x1f),
        0xc4 | 0xd9 => length(1)?.saturating_add(2),
        0xc5 | 0xda => length(2)?.saturating_add(3),
        0xc6 | 0xdb => length(4)?.saturating_add(5),
        0xc7 => length(1)?.saturating_add(3),
        0xc8 => length(2)?.saturating_add(4),
        0xc9 => length(4)?.saturating_add(6),
        0xcc | 0xd0 => 2,
        0xcd | 0xd1 | 0xd4 | 0xdc | 0xde => 3,
        0xd5 => 4,
        0xca | 0xce | 0xd2 | 0xdd | 0xdf => 5,
        0xd6 => 6,
        0xcb | 0xcf | 0xd3 => 9,
        0xd7 => 10,
        0xd8 => 18,
    })
}

/// Encodes a reply: one status byte, then the body.
pub fn encode_reply<T: Serialize>(reply: &Result<T, CallError>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    match reply {
        Ok(body) => {
            bytes.push(STATUS_OK);
            write(&mut bytes, body);
        }
        Err(error) => {
            bytes.push(STATUS_ERROR);
            write(&mut bytes, error);
        }
    }
    bytes
}

/// The body of a reply; `None` (dropped unused) is `no_reply`.
///
/// # Errors
/// The error that the other side answered, or `invalid_request` when the reply cannot be read.
pub fn split_reply(reply: Option<&[u8]>) -> Result<&[u8], CallError> {
    match reply {
        None => Err(CallError::new(ErrorCode::NoReply, "the call was dropped without an answer")),
        Some([STATUS_OK, body @ ..]) => Ok(body),
        Some([STATUS_ERROR, body @ ..]) => Err(decode::<CallError>(body).unwrap_or_else(|error| error)),
        Some(_) => Err(CallError::new(ErrorCode::InvalidRequest, "a reply had no status")),
    }
}

/// Decodes a whole reply.
///
/// # Errors
/// As [`split_reply`], and `invalid_request` when the body is not a `T`.
pub fn decode_reply<T: DeserializeOwned>(reply: Option<&[u8]>) -> Result<T, CallError> {
    split_reply(reply).and_then(decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_carry_value_error_or_nothing() {
        assert_eq!(decode_reply::<u32>(Some(&encode_reply(&Ok(7_u32)))), Ok(7));
        let error = CallError::new(ErrorCode::Refused, "no");
        assert_eq!(decode_reply::<u32>(Some(&encode_reply::<u32>(&Err(error.clone())))), Err(error));
        assert_eq!(decode_reply::<u32>(None).map_err(|e| e.code), Err(ErrorCode::NoReply));
        assert_eq!(decode_reply::<u32>(Some(&[])).map_err(|e| e.code), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| {
            let mut bytes = vec![0x91; depth];
            bytes.push(0xc0);
            decode::<serde_json::Value>(&bytes).map(|_| ()).map_err(|error| error.message)
        };
        assert_eq!(nested(MAX_DEPTH - 1), Ok(()));
        let refusal = nested(100_000).expect_err("deeper than the bound");
        assert_eq!(refusal, "a message could not be read: depth limit exceeded");
    }

    #[test]
    fn many_values_of_one_byte_are_refused_and_large_texts_are_not() {
        let list = |length: u32| [&[0xdd][..], &length.to_be_bytes()].concat();
        let mut nils = list(16 * 1024 * 1024);
        nils.resize(nils.len() + 16 * 1024 * 1024, 0xc0);
        let refusal = decode::<serde_json::Value>(&nils).expect_err("too many values");
        assert!(refusal.message.contains("more than 524288 values"), "{}", refusal.message);
        let text = encode(&vec!["x".repeat(1024 * 1024); 4]);
        assert_eq!(decode::<Vec<String>>(&text).map(|texts| texts.len()), Ok(4));
    }

    #[test]
    fn every_kind_of_value_is_counted_with_its_length() {
        use rmpv::Value;
        let kinds = [
            Value::Nil,
            Value::from(5),
            Value::from(-5),
            Value::from(200),
            Value::from(-100),
            Value::from(60_000),
            Value::from(-30_000),
            Value::from(4_000_000_000_u32),
            Value::from(-2_000_000_000),
            Value::from(u64::MAX),
            Value::from(i64::MIN),
            Value::F32(1.5),
            Value::F64(1.5),
            Value::from(true),
            Value::from("a"),
            Value::from("b".repeat(40)),
            Value::from("c".repeat(300)),
            Value::from("d".repeat(70_000)),
            Value::from(&b"e"[..]),
            Value::from(vec![0; 300]),
            Value::from(vec![0; 70_000]),
            Value::Ext(1, vec![0; 1]),
            Value::Ext(1, vec![0; 2]),
            Value::Ext(1, vec![0; 4]),
            Value::Ext(1, vec![0; 8]),
            Value::Ext(1, vec![0; 16]),
            Value::Ext(1, vec![0; 3]),
            Value::Ext(1, vec![0; 300]),
            Value::Ext(1, vec![0; 70_000]),
        ];
        for kind in &kinds {
            let mut bytes = Vec::new();
            rmpv::encode::write_value(&mut bytes, kind).expect("writes");
            assert_eq!(header_and_content(&bytes), Some(bytes.len()), "{kind:?}");
        }
        for (container, header) in [
            (Value::Array(vec![Value::Nil; 3]), 1),
            (Value::Array(vec![Value::Nil; 300]), 3),
            (Value::Array(vec![Value::Nil; 70_000]), 5),
            (Value::Map(vec![(Value::Nil, Value::Nil); 3]), 1),
            (Value::Map(vec![(Value::Nil, Value::Nil); 300]), 3),
            (Value::Map(vec![(Value::Nil, Value::Nil); 70_000]), 5),
        ] {
            let mut bytes = Vec::new();
            rmpv::encode::write_value(&mut bytes, &container).expect("writes");
            assert_eq!(header_and_content(&bytes), Some(header));
        }
    }
}
