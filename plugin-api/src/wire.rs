//! Payload bytes: MessagePack with named fields, and the one byte before a reply that says ok or error.
//!
//! Types grow by optional fields only; unknown fields are ignored by both sides.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{CallError, ErrorCode};

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
/// `invalid_request`, with the decoder's reason.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    rmp_serde::from_slice(bytes)
        .map_err(|error| CallError::new(ErrorCode::InvalidRequest, format!("a message could not be read: {error}")))
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
}
