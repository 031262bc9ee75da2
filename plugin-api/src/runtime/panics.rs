//! Panics as errors: what was said and where, for calls, for tasks and for drops.
//!
//! A panic that reached the boundary would end the process. The hook, installed once per library in front of the one
//! that was there, notes message and place in a thread-local; whoever catches the unwinding takes the note.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};

use crate::error::{CallError, ErrorCode};

thread_local! {
    /// Whether this thread is a gateway's, or one of its blocking threads.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<CallError>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Notes the panics of this thread from now on, and reports each to the gateway's log.
pub(crate) fn watch_thread() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.try_with(Cell::get).unwrap_or(false) {
                note(info);
            }
            before(info);
        }));
    });
    WATCHED.set(true);
}

fn note(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic whose value is not text");
    let location = info.location().map(ToString::to_string);
    tracing::error!(
        target: "gatehouse_plugin_api::panic",
        panic = message,
        location = location.as_deref().unwrap_or("unknown"),
        "the plugin panicked"
    );
    let error = CallError { location, ..CallError::new(ErrorCode::Panicked, message) };
    // Not there while the thread's own storage is being dropped: then nobody asks for the note any more.
    let _ = LAST.try_with(|last| last.replace(Some(error)));
}

/// Runs `work`; a panic comes back as the error it is, with `file:line:column`.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, CallError> {
    LAST.take();
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let noted = LAST.take();
        // A payload whose own drop panics must not take the thread with it.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        noted.unwrap_or_else(|| CallError::new(ErrorCode::Panicked, "a panic that left no message"))
    })
}

/// A future whose panics, in `poll` and in its drop, are errors.
pub(super) struct Caught<T> {
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
}

impl<T> Caught<T> {
    pub(super) fn new(future: impl Future<Output = T> + 'static) -> Self {
        Self { future: Some(Box::pin(future)) }
    }
}

impl<T> Future for Caught<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.future.as_mut() else {
            return Poll::Ready(Err(CallError::new(ErrorCode::Gone, "the call was answered before")));
        };
        let result = match catch(|| future.as_mut().poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(panic),
        };
        let future = self.future.take();
        let dropped = catch(|| drop(future));
        Poll::Ready(result.and_then(|value| dropped.map(|()| value)))
    }
}

impl<T> Drop for Caught<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            let _ = catch(|| drop(future));
        }
    }
}
