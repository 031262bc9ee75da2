//! Panics of the daemon as log lines: one sentence with its place, in memory as well, and written without waiting for
//! standard error.

use std::backtrace::{Backtrace, BacktraceStatus};

/// Takes the place of the standard hook, which writes to standard error on the thread that panics.
pub(super) fn hook() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let words = payload.downcast_ref::<&str>().copied();
        let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
        let at = info.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(words, at, thread, %backtrace, "a part of the daemon failed");
        } else {
            tracing::error!(words, at, thread, "a part of the daemon failed");
        }
    }));
}
