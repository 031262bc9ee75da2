//! The thread a gateway lives on: from the constructor of the root module to an answering gateway.
//!
//! One operating-system thread per gateway, with one current-thread tokio runtime. The host posts a call to an
//! unbounded queue and returns; the thread polls the call's future once where it stands and, only when it has to
//! wait, gives it to the runtime as a task of its own. So a short call costs one wake-up in each direction, and a
//! slow `poll` delays neither a `control` nor a `ping`. Nothing of one gateway is shared with another of the same
//! library: the log, the record of the last panic and the runtime belong to the thread.
//!
//! Rejected: one runtime for all gateways of a library (a gateway that blocks would stop its neighbours, and their
//! logs would mix), a multi-thread runtime (authors' state would have to be `Send`), spinning before parking (a
//! home server has few processors and better uses for them).

pub(crate) mod chunks;
mod dispatch;
mod panics;
mod thread;

#[cfg(test)]
mod tests;

use gatehouse_abi::HostHandle;
use gatehouse_abi::export::{Bytes, Constructed, construct};

use crate::context::Clock;
use crate::error::CallError;
use crate::gateway::IntegrationGateway;
use crate::message::Instance;
use crate::wire;

pub(crate) use thread::GatewayThread;

/// Makes the gateway of one integration: what `export_integration!` puts into the root module.
///
/// Called on a thread of the host's; returns once `G::new` has run on the gateway's own thread. The error is the
/// MessagePack of a [`CallError`]: the instance could not be read, the thread or its runtime could not be made, or
/// `G::new` panicked. Dropping the gateway cancels its context, drops `G` on its own thread and joins that thread,
/// waiting for at most five seconds.
#[doc(hidden)]
pub fn new_gateway<G: IntegrationGateway>(host: gatehouse_abi::HostBox, instance: Bytes) -> Constructed {
    construct(host, instance, |host, instance| open::<G>(host, &instance, Clock::system()))
}

/// As [`new_gateway`], in plain Rust and with a clock of choice.
pub(crate) fn open<G: IntegrationGateway>(
    host: HostHandle,
    instance: &[u8],
    clock: Clock,
) -> Result<GatewayThread, Vec<u8>> {
    let opened: Result<GatewayThread, CallError> =
        wire::decode::<Instance>(instance).and_then(|instance| GatewayThread::spawn::<G>(host, instance, clock));
    opened.map_err(|error| wire::encode(&error))
}
