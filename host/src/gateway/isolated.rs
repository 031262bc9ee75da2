//! A gateway in a worker process of its own: launched, called, watched and ended from here.
//!
//! One task lives as long as the worker and owns its process ([`life`]). Everybody else holds the connection and a way
//! to wish for the end; when the last such handle is dropped, that is the wish.

mod connection;
mod ending;
mod family;
mod group;
mod life;
mod memory;
mod output;
mod process;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::ops::Op;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::Instrument;

use self::connection::Connection;
use self::ending::Death;
use super::crash_page::LastWord;
use super::sandbox::Refusals;
use super::sys::Ended;
use super::{Exchanges, Exit, Gateway, HostCalls, Hosting, Launch, Refusal, UndeclaredPath};
use crate::metrics::Meter;
use crate::reason::{Reason, ReasonCode};

pub use self::family::is_of_a_worker;
#[cfg(test)]
pub(crate) use self::family::joined as worker_joined;
pub use self::group::{Bounds, bound_workers, unbounded};
pub use self::process::set_worker_program;

/// A gateway in a worker.
pub(super) struct Isolated {
    pid: u32,
    meter: Arc<Meter>,
    refusals: Refusals,
    connection: Arc<Connection>,
    exchanges: Exchanges,
    close: mpsc::UnboundedSender<Duration>,
    exit: watch::Receiver<Option<Exit>>,
}

impl fmt::Debug for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isolated(pid {})", self.pid)
    }
}

/// Starts a worker and waits until its gateway is made.
pub(super) async fn launch(launch: Launch, host: Arc<dyn HostCalls>) -> Result<Arc<dyn Gateway>, Reason> {
    let (launched, outcome) = oneshot::channel();
    let subject = launch.instance.integration_id.to_string();
    tokio::spawn(life::run(launch, host, launched).in_current_span());
    outcome.await.unwrap_or_else(|_| {
        Err(Reason::new(ReasonCode::WorkerNotStarted, format!("{subject}: the daemon is shutting down")))
    })
}

#[async_trait]
impl Gateway for Isolated {
    fn hosting(&self) -> Hosting {
        Hosting::Isolated
    }

    fn pid(&self) -> Option<u32> {
        Some(self.pid)
    }

    fn refusals(&self) -> Vec<Refusal> {
        self.refusals.list()
    }

    fn undeclared_paths(&self) -> Vec<UndeclaredPath> {
        self.refusals.paths()
    }

    async fn call_bytes(&self, op: &Op, request: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, CallError> {
        let began = Instant::now();
        let answer = self.exchanges.call(op.name, self.connection.call(op.number, request, deadline)).await;
        self.meter.called(op, began.elapsed(), &answer);
        answer
    }

    async fn ended(&self) -> Exit {
        let mut exit = self.exit.clone();
        let ended = exit.wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        // The sender goes without a word only when the runtime shuts down, which ends the worker as well.
        ended.unwrap_or_else(|| Exit { reason: Reason::new(ReasonCode::AsWanted, "the daemon is shutting down") })
    }

    async fn close(&self, grace: Duration) -> Exit {
        // Nobody there to take the wish: it has ended.
        let _ = self.close.send(grace);
        self.ended().await
    }
}

/// The reason of a death of which only its last word is known; `who` begins the sentence.
pub(super) fn reason_of(who: &str, word: &LastWord) -> Reason {
    let ended = Ended::Killed(word.signal);
    Death { ended, oom_killed: false, printed: None, panic_aborts: false, word: Some(word) }.reason(who)
}
