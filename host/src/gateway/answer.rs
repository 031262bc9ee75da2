//! What a call of the host's comes to: the body of a reply, or the error that says why there is none.

use std::time::Duration;

use gatehouse_plugin_api::duration::format_ms;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::wire;

use super::codec::MAX_PAYLOAD_BYTES;
use crate::reason::Reason;

/// Characters of a plugin's sentence that are kept.
const SENTENCE_CHARS: usize = 1_000;
/// Fields of a plugin's error that are kept.
const FIELDS: usize = 200;

/// A reply's body, its status byte removed.
pub(super) type Answer = Result<Vec<u8>, CallError>;

/// The body of a reply, in the memory that the reply came in.
pub(super) fn body(mut reply: Vec<u8>) -> Answer {
    wire::split_reply(Some(&reply)).map_err(of_the_plugin)?;
    reply.remove(0);
    Ok(reply)
}

/// `gone` is the host's own word for a gateway that has ended: who hears it waits for the end. A plugin that answers
/// so is there, or it could not answer. Its sentences are kept and shown again and again, so they are bounded.
fn of_the_plugin(mut error: CallError) -> CallError {
    if error.code == ErrorCode::Gone {
        error.code = ErrorCode::Other;
    }
    clip(&mut error.message);
    error.fields = std::mem::take(&mut error.fields).into_iter().take(FIELDS).collect();
    error.fields.values_mut().for_each(clip);
    error.location.iter_mut().for_each(clip);
    error
}

/// Cuts a sentence of a plugin's to a length that can be kept.
pub(crate) fn clip(sentence: &mut String) {
    if let Some((at, _)) = sentence.char_indices().nth(SENTENCE_CHARS) {
        sentence.truncate(at);
        sentence.push('…');
    }
}

/// A reason with sentences that can be kept: one that a worker gave, or that quotes a plugin.
pub(super) fn clipped(mut reason: Reason) -> Reason {
    clip(&mut reason.sentence);
    reason.cause.iter_mut().for_each(clip);
    reason
}

/// The error of a call whose answer did not come in time.
pub(super) fn late(deadline: Duration) -> CallError {
    CallError::new(ErrorCode::Deadline, format!("no answer came within {}", in_words(deadline)))
}

/// Refuses what no frame would hold.
pub(super) fn within_bounds(what: &str, bytes: usize) -> Result<(), CallError> {
    if bytes <= MAX_PAYLOAD_BYTES { Ok(()) } else { Err(too_large(what, bytes)) }
}

/// The error of a request or an answer that no frame holds.
pub(super) fn too_large(what: &str, bytes: usize) -> CallError {
    let message = format!("{what} has {bytes} bytes and the most is {MAX_PAYLOAD_BYTES}; send it in chunks");
    CallError::new(ErrorCode::InvalidRequest, message)
}

/// A duration as people write it.
pub(super) fn in_words(duration: Duration) -> String {
    format_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_cannot_say_that_it_is_gone() {
        let said = wire::encode_reply::<()>(&Err(CallError::new(ErrorCode::Gone, "I am not here")));
        let heard = body(said).expect_err("an error");
        assert_eq!((heard.code, heard.message.as_str()), (ErrorCode::Other, "I am not here"));
    }

    #[test]
    fn a_plugins_sentence_is_cut_to_what_can_be_kept() {
        let said = wire::encode_reply::<()>(&Err(CallError::new(ErrorCode::Transient, "é".repeat(100_000))));
        let heard = body(said).expect_err("an error");
        assert_eq!(heard.message.chars().count(), SENTENCE_CHARS + 1);
    }
}
