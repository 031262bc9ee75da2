//! Plain Rust on both sides of the boundary: closures and byte vectors in, boxed ABI objects out.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::RVec;

use crate::{GatewayAbi, GatewayAbi_TO, GatewayBox, HostAbi, HostAbi_TO, HostBox, ReplyAbi, ReplyAbi_TO, ReplyBox};

/// One side that answers calls: the plugin's gateway, or the host.
///
/// `call` returns at once and answers through `reply` from any thread. A panic inside it is caught and the
/// reply, dropped by the unwinding, answers "no reply".
pub trait CallSide: Send + Sync + 'static {
    /// Performs operation `op`; the answer goes through `reply`.
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle);
}

/// What is done with an answer: the bytes, or `None` when the other side dropped the reply unused.
///
/// Runs on the answering side's thread: it must neither block nor panic.
pub trait ReplySink: FnOnce(Option<Vec<u8>>) + Send + 'static {}
impl<F: FnOnce(Option<Vec<u8>>) + Send + 'static> ReplySink for F {}

/// A reply still to be given, on the side that has to give it.
pub struct ReplyHandle(ReplyBox);

impl ReplyHandle {
    /// Answers. The bytes are moved across, not copied.
    pub fn complete(self, bytes: Vec<u8>) {
        self.0.complete(RVec::from(bytes));
    }
}

/// The host, as the plugin's side calls it.
pub struct HostHandle(HostBox);

impl HostHandle {
    /// Calls the host; `sink` gets the answer.
    pub fn call(&self, op: u32, request: Vec<u8>, sink: impl ReplySink) {
        self.0.call(op, RVec::from(request), reply_box(sink));
    }
}

impl From<HostBox> for HostHandle {
    fn from(host: HostBox) -> Self {
        Self(host)
    }
}

/// A plugin's gateway, as the host's side calls it. Dropping it ends the gateway.
pub struct GatewayHandle(GatewayBox);

impl GatewayHandle {
    /// Calls the gateway; `sink` gets the answer.
    pub fn call(&self, op: u32, request: Vec<u8>, sink: impl ReplySink) {
        self.0.call(op, RVec::from(request), reply_box(sink));
    }
}

impl From<GatewayBox> for GatewayHandle {
    fn from(gateway: GatewayBox) -> Self {
        Self(gateway)
    }
}

impl fmt::Debug for ReplyHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplyHandle")
    }
}

impl fmt::Debug for HostHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostHandle")
    }
}

impl fmt::Debug for GatewayHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayHandle")
    }
}

/// Wraps an answering side as the gateway that a plugin hands to its host.
pub fn gateway_box(side: impl CallSide) -> GatewayBox {
    GatewayAbi_TO::from_value(Shim(side), TD_Opaque)
}

/// Wraps an answering side as the host that a plugin is given.
pub fn host_box(side: impl CallSide) -> HostBox {
    HostAbi_TO::from_value(Shim(side), TD_Opaque)
}

/// Wraps a sink as a reply; dropped unused, it gives the sink `None`.
pub fn reply_box(sink: impl ReplySink) -> ReplyBox {
    ReplyAbi_TO::from_value(Pending(Some(sink)), TD_Opaque)
}

struct Shim<S>(S);

impl<S: CallSide> Shim<S> {
    fn forward(&self, op: u32, request: RVec<u8>, reply: ReplyBox) {
        // The reply moves into the closure: unwinding drops it, which answers "no reply".
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.call(op, request.into_vec(), ReplyHandle(reply))));
    }
}

impl<S: CallSide> GatewayAbi for Shim<S> {
    fn call(&self, op: u32, request: RVec<u8>, reply: ReplyBox) {
        self.forward(op, request, reply);
    }
}

impl<S: CallSide> HostAbi for Shim<S> {
    fn call(&self, op: u32, request: RVec<u8>, reply: ReplyBox) {
        self.forward(op, request, reply);
    }
}

struct Pending<F: ReplySink>(Option<F>);

impl<F: ReplySink> Pending<F> {
    fn finish(&mut self, bytes: Option<Vec<u8>>) {
        if let Some(sink) = self.0.take() {
            let _ = catch_unwind(AssertUnwindSafe(|| sink(bytes)));
        }
    }
}

impl<F: ReplySink> ReplyAbi for Pending<F> {
    fn complete(mut self, bytes: RVec<u8>) {
        self.finish(Some(bytes.into_vec()));
    }
}

impl<F: ReplySink> Drop for Pending<F> {
    fn drop(&mut self) {
        self.finish(None);
    }
}
