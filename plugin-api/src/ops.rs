//! The one table of operations: number, name, since which minor version, deadline.
//!
//! Numbers are never reused. Below 1000 the host asks the gateway, from 1000 on the gateway asks the host.

use std::time::Duration;

/// The version of the vocabulary: the same major number always understands.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Who performs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The plugin's gateway, asked by the host.
    Gateway,
    /// The host, asked by the plugin.
    Host,
}

/// One operation of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// The number that crosses the boundary.
    pub number: u32,
    /// The name in logs and documentation.
    pub name: &'static str,
    /// The minor version of the vocabulary that introduced it.
    pub since_minor: u32,
    /// How long the asking side waits. What a gateway has not done by then is dropped where it stands.
    pub deadline: Duration,
}

impl Op {
    /// Which side performs it.
    pub const fn side(&self) -> Side {
        if self.number < 1000 { Side::Gateway } else { Side::Host }
    }
}

macro_rules! ops {
    ($( $(#[$doc:meta])* $const:ident = $number:literal, $name:literal, since $since:literal, $millis:expr; )*) => {
        $( $(#[$doc])* pub const $const: Op = Op {
            number: $number, name: $name, since_minor: $since, deadline: Duration::from_millis($millis),
        }; )*

        /// Every operation, by number.
        pub const TABLE: &[Op] = &[$($const),*];
    };
}

const SECOND: u64 = 1000;

ops! {
    /// Is the gateway's thread alive? `()` → `()`.
    PING = 1, "ping", since 0, 5 * SECOND;
    /// [`crate::flow::FlowRequest`] → [`crate::flow::FlowReply`].
    ACTIVATE = 2, "activate", since 0, 30 * SECOND;
    /// [`crate::flow::FlowRequest`] → [`crate::flow::FlowReply`].
    DEACTIVATE = 3, "deactivate", since 0, 30 * SECOND;
    /// [`crate::manage::ManageRequest`] → [`crate::manage::ManageReply`].
    MANAGE = 4, "manage", since 0, 30 * SECOND;
    /// [`crate::manage::PaneRequest`] → [`crate::manage::PaneReply`]: a template of the plugin's by name.
    PANE = 5, "pane", since 0, SECOND;
    /// [`crate::message::Attributes`] → [`crate::attribute::FieldErrors`].
    VALIDATE_CONFIGURATION = 6, "validate_configuration", since 0, SECOND;
    /// [`crate::message::Attributes`] → [`crate::message::ConnectionResult`].
    TEST_CONNECTION = 7, "test_connection", since 0, 5 * SECOND;
    /// [`crate::message::Attributes`] → `()`.
    START = 8, "start", since 0, 30 * SECOND;
    /// `()` → `()`.
    STOP = 9, "stop", since 0, 10 * SECOND;
    /// `()` → `()`; the deadline is the poll interval, this one when there is none.
    POLL = 10, "poll", since 0, 60 * SECOND;
    /// [`crate::message::Control`] → [`crate::message::ControlOutcome`].
    CONTROL = 11, "control", since 0, 10 * SECOND;
    /// [`crate::message::SyncCall`] → `()`; the entities go by [`SYNC_BEGIN`], [`SYNC_CHUNK`], [`SYNC_END`] before
    /// the reply.
    SYNCHRONIZE = 12, "synchronize", since 0, 300 * SECOND;
    /// [`crate::message::Attributes`] → [`crate::message::SettingsOutcome`].
    SETTINGS_CHANGED = 13, "settings_changed", since 0, 10 * SECOND;
    /// `()` → [`crate::message::Diagnostics`].
    DIAGNOSTICS = 14, "diagnostics", since 0, 5 * SECOND;
    /// [`crate::message::EntityRef`] → [`crate::message::Snapshot`].
    SNAPSHOT = 15, "snapshot", since 0, 10 * SECOND;
    /// [`crate::message::EntityRef`] → [`crate::message::Stream`].
    STREAM = 16, "stream", since 0, 10 * SECOND;
    /// `()` → [`crate::message::Blob`].
    EXPORT_STATE = 17, "export_state", since 0, 5 * SECOND;
    /// [`crate::message::Blob`] → `()`.
    IMPORT_STATE = 18, "import_state", since 0, 5 * SECOND;
    /// [`crate::message::LogFilter`] → `()`: takes the place of the filter in [`crate::message::Instance`], which is
    /// in force from the gateway's first line on.
    SET_LOG_FILTER = 19, "set_log_filter", since 0, SECOND;

    /// [`crate::message::Emit`] → [`crate::message::EmitOutcome`] once the host has queued them.
    EMIT = 1001, "emit", since 0, 60 * SECOND;
    /// [`crate::message::Emit`] → [`crate::message::EmitOutcome`] once they are committed.
    EMIT_DURABLE = 1002, "emit_durable", since 0, 60 * SECOND;
    /// `()` → `()` once everything emitted before is committed.
    FLUSH = 1003, "flush", since 0, 60 * SECOND;
    /// [`crate::message::Declare`] → `()`.
    DECLARE = 1004, "declare", since 0, 10 * SECOND;
    /// [`crate::message::Remove`] → `()`.
    REMOVE = 1005, "remove", since 0, 10 * SECOND;
    /// [`crate::message::Log`] → `()`.
    LOG = 1006, "log", since 0, 10 * SECOND;
    /// [`crate::message::Health`] → `()`.
    HEALTH = 1007, "health", since 0, 10 * SECOND;
    /// [`crate::message::Progress`] → `()`.
    PROGRESS = 1008, "progress", since 0, 10 * SECOND;
    /// [`crate::message::Key`] → [`crate::message::MaybeBlob`].
    KV_GET = 1009, "kv_get", since 0, 10 * SECOND;
    /// [`crate::message::KeyBlob`] → `()`, after the commit.
    KV_SET = 1010, "kv_set", since 0, 10 * SECOND;
    /// [`crate::message::Key`] → `()`.
    KV_DELETE = 1011, "kv_delete", since 0, 10 * SECOND;
    /// [`crate::message::Key`] as a prefix → [`crate::message::Keys`].
    KV_KEYS = 1012, "kv_keys", since 0, 10 * SECOND;
    /// [`crate::message::Key`] → [`crate::message::MaybeBlob`].
    SECRET_GET = 1013, "secret_get", since 0, 10 * SECOND;
    /// [`crate::message::KeyBlob`] → `()`, after the commit.
    SECRET_SET = 1014, "secret_set", since 0, 10 * SECOND;
    /// [`crate::message::Key`] → `()`.
    SECRET_DELETE = 1015, "secret_delete", since 0, 10 * SECOND;
    /// [`crate::message::SyncCall`] → `()`: the start of a complete snapshot.
    SYNC_BEGIN = 1016, "sync_begin", since 0, 10 * SECOND;
    /// [`crate::message::SyncChunk`] of at most 1 MiB → `()`.
    SYNC_CHUNK = 1017, "sync_chunk", since 0, 10 * SECOND;
    /// [`crate::message::SyncCall`] → [`crate::message::SyncOutcome`], once applied.
    SYNC_END = 1018, "sync_end", since 0, 30 * SECOND;
}

/// The operation of a number, if this side knows it.
pub fn by_number(number: u32) -> Option<&'static Op> {
    TABLE.iter().find(|op| op.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_ordered() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].number < pair[1].number, "{} after {}", pair[1].name, pair[0].name);
        }
        let mut names: Vec<_> = TABLE.iter().map(|op| op.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
    }
}
