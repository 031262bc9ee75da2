//! From a staged plugin to a gateway the host can call: one trait, two ways to run.

mod answer;
pub mod codec;
mod crash;
mod crash_page;
mod exchange;
mod flight;
pub mod in_process;
mod isolated;
mod loader;
mod order;
mod sandbox;
mod symbol;
pub mod sys;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::message::Instance;
use gatehouse_plugin_api::ops::Op;
use gatehouse_plugin_api::wire;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::answer::clip;
pub use self::crash::{Crash, Onlooker, Place, Used, Witness};
pub use self::exchange::{Exchange, Exchanges, InFlight};
pub use self::flight::{Culprit, Fall, keep_in as keep_flights_in};
#[cfg(test)]
pub(crate) use self::isolated::worker_joined;
pub use self::isolated::{Bounds, bound_workers, is_of_a_worker, set_worker_program, unbounded};
pub use self::sandbox::{Confinement, HeldPorts, Kernel, Missing, Refusal, Tried, UndeclaredPath, wants_more};
use crate::metrics::Meter;
use crate::plugin::Staged;
use crate::reason::Reason;

/// How a gateway is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Hosting {
    /// In a worker process of its own.
    #[default]
    Isolated,
    /// In the daemon's process: faster, and a crash of it is a crash of the daemon.
    InProcess,
}

/// How a gateway ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// `as_wanted`, `killed_at_stop`, `heartbeat_missed`, `protocol_broken`, or how its process died.
    pub reason: Reason,
}

/// A running gateway. Dropping the last handle ends it.
#[async_trait]
pub trait Gateway: Send + Sync + fmt::Debug {
    /// How it is run.
    fn hosting(&self) -> Hosting;

    /// The worker's process id; `None` in-process.
    fn pid(&self) -> Option<u32>;

    /// What it tried and may not do, since it was launched.
    fn refusals(&self) -> Vec<Refusal> {
        Vec::new()
    }

    /// Paths that it opened and did not declare, when it is traced.
    fn undeclared_paths(&self) -> Vec<UndeclaredPath> {
        Vec::new()
    }

    /// Performs an operation: request bytes in, the reply's body out (status byte removed).
    ///
    /// # Errors
    /// What the gateway answered; `deadline` when it is late; `gone` when its process died.
    async fn call_bytes(&self, op: &Op, request: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, CallError>;

    /// Resolves when the gateway has ended, by itself or by [`Gateway::close`]. May be awaited by several.
    async fn ended(&self) -> Exit;

    /// Ends the gateway: asks, waits `grace`, kills. Idempotent. The plugin's `stop` operation comes before, by the caller.
    async fn close(&self, grace: Duration) -> Exit;
}

impl dyn Gateway {
    /// Performs an operation with its own deadline.
    ///
    /// # Errors
    /// As [`Gateway::call_bytes`]; `invalid_request` when the reply cannot be read.
    pub async fn call<Q: Serialize + Sync, A: DeserializeOwned>(&self, op: &Op, request: &Q) -> Result<A, CallError> {
        self.call_within(op, request, op.deadline).await
    }

    /// Performs an operation with another deadline.
    ///
    /// # Errors
    /// As [`Gateway::call_bytes`]; `invalid_request` when the reply cannot be read.
    pub async fn call_within<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        op: &Op,
        request: &Q,
        deadline: Duration,
    ) -> Result<A, CallError> {
        let body = self.call_bytes(op, wire::encode(request), deadline).await?;
        wire::decode(&body)
    }
}

/// A reply that the host owes to a plugin. Dropped unused it answers `no_reply`.
pub struct HostReply(Option<ReplySink>);

/// Takes the bytes of an answer, or `None` when it was dropped unused.
type ReplySink = Box<dyn FnOnce(Option<Vec<u8>>) + Send>;

impl HostReply {
    /// A reply that hands its bytes (status byte included, or `None` for "dropped") to `sink`, which must not block.
    pub fn new(sink: impl FnOnce(Option<Vec<u8>>) + Send + 'static) -> Self {
        Self(Some(Box::new(sink)))
    }

    /// Answers with a value or an error.
    pub fn complete<T: Serialize>(mut self, reply: &Result<T, CallError>) {
        if let Some(sink) = self.0.take() {
            sink(Some(wire::encode_reply(reply)));
        }
    }
}

impl Drop for HostReply {
    fn drop(&mut self) {
        if let Some(sink) = self.0.take() {
            sink(None);
        }
    }
}

impl fmt::Debug for HostReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostReply")
    }
}

/// What a plugin may ask of its host: one implementation per integration generation, in `integration::host_calls`.
pub trait HostCalls: Send + Sync + 'static {
    /// Performs an operation. Called on the connection's reader task or on a plugin's thread: returns at once,
    /// answers through `reply` from anywhere. Calls come in the order in which the plugin made them.
    fn call(&self, op: u32, request: Vec<u8>, reply: HostReply);
}

/// What to launch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The generation.
    pub plugin: Staged,
    /// What the gateway is told; its data folder exists.
    pub instance: Instance,
    /// How to run it.
    pub hosting: Hosting,
    /// What a worker may do; nothing holds a plugin in the daemon's own process.
    pub confinement: Confinement,
    /// What of it the kernel has.
    pub kernel: Kernel,
    /// Bounds and intervals.
    pub timing: GatewayTiming,
    /// Who looks on.
    pub onlooker: Onlooker,
    /// What it does is counted here.
    pub meter: Arc<Meter>,
}

/// Bounds and intervals of a gateway; all from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayTiming {
    /// From spawn to a constructed gateway.
    pub launch_within: Duration,
    /// Between two heartbeats.
    pub heartbeat_every: Duration,
    /// How long a heartbeat may stay unanswered before the worker is killed.
    pub heartbeat_within: Duration,
}

/// Opens, checks and constructs. Isolated: in a new worker; in-process: on a thread of its own.
///
/// # Errors
/// The reason (`open_failed`, `layout_mismatch`, `manifest_disagrees`, `constructor_failed`, `worker_not_started`, …).
pub async fn launch(launch: Launch, host: Arc<dyn HostCalls>) -> Result<Arc<dyn Gateway>, Reason> {
    match launch.hosting {
        Hosting::Isolated => isolated::launch(launch, host).await,
        Hosting::InProcess => in_process::launch(launch, host).await,
    }
}

/// Was this process started as a worker? Looks at the first argument alone.
pub fn is_worker() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == worker::ARGUMENT)
}

/// The worker's whole life, called by `main` before anything else when [`is_worker`] says so: while there is one
/// thread and no descriptor besides the standard ones. Returns only when it could not begin.
pub fn run_worker() -> std::process::ExitCode {
    worker::run()
}
