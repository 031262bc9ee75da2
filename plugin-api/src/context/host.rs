//! The host as async calls: encode, post, await the reply for as long as the operation's deadline.

use std::fmt;

use gatehouse_abi::{HostHandle, ReplySink};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::error::{CallError, ErrorCode};
use crate::message::Instance;
use crate::ops::Op;
use crate::wire;

/// The host that a gateway belongs to, and which operations it knows.
pub(crate) struct Host {
    handle: HostHandle,
    ops: Vec<u32>,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("ops", &self.ops).finish_non_exhaustive()
    }
}

impl Host {
    pub(crate) fn new(handle: HostHandle, instance: &Instance) -> Self {
        Self { handle, ops: instance.host_ops.clone() }
    }

    /// Whether the host performs `op`.
    pub(crate) fn knows(&self, op: &Op) -> bool {
        self.ops.contains(&op.number)
    }

    /// Posts a call; `sink` gets the reply's bytes. Returns at once.
    pub(crate) fn post(&self, op: &Op, request: Vec<u8>, sink: impl ReplySink) {
        self.handle.call(op.number, request, sink);
    }

    /// Calls the host and waits for at most the operation's deadline.
    pub(crate) async fn call<Q: Serialize, R: DeserializeOwned>(&self, op: &Op, request: &Q) -> Result<R, CallError> {
        match tokio::time::timeout(op.deadline, self.call_patiently(op, request)).await {
            Ok(reply) => reply,
            Err(_) => {
                let message = format!("the host did not answer {} within {} s", op.name, op.deadline.as_secs());
                Err(CallError::new(ErrorCode::Deadline, message))
            }
        }
    }

    /// Calls the host and waits as long as it takes: a late reply is back-pressure.
    pub(crate) async fn call_patiently<Q: Serialize, R: DeserializeOwned>(
        &self,
        op: &Op,
        request: &Q,
    ) -> Result<R, CallError> {
        if !self.knows(op) {
            let message = format!("this host does not know the operation {}: update Gatehouse to use it", op.name);
            return Err(CallError::new(ErrorCode::Unsupported, message));
        }
        let (sink, reply) = oneshot::channel();
        self.post(op, wire::encode(request), move |bytes| {
            let _ = sink.send(bytes);
        });
        wire::decode_reply(reply.await.ok().flatten().as_deref())
    }
}
