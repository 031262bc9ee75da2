//! What a call of the host's comes to: the body of a reply, or the error that says why there is none.

use std::time::Duration;

use gatehouse_plugin_api::duration::format_ms;
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::wire;

/// A reply's body, its status byte removed.
pub(super) type Answer = Result<Vec<u8>, CallError>;

/// The body of a reply, in the memory that the reply came in.
pub(super) fn body(mut reply: Vec<u8>) -> Answer {
    wire::split_reply(Some(&reply))?;
    reply.remove(0);
    Ok(reply)
}

/// The error of a call whose answer did not come in time.
pub(super) fn late(deadline: Duration) -> CallError {
    CallError::new(ErrorCode::Deadline, format!("no answer came within {}", in_words(deadline)))
}

/// A duration as people write it.
pub(super) fn in_words(duration: Duration) -> String {
    format_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
