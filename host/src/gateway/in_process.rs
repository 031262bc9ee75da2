//! A gateway in the daemon's own process: the same boundary, no process between.
//!
//! Opt-in for plugins that are trusted like the daemon itself. What cannot be had here: a crash is the daemon's, a
//! blocked thread cannot be killed (the heartbeat only reports it), and a library never leaves the memory, so every
//! further generation adds to [`mapped_generations`]. The plugin's code runs on its own threads and on one short-lived
//! thread each for making and ending a gateway, never on the runtime's.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gatehouse_abi::{CallSide, GatewayHandle, ReplyHandle};
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::manage::PaneRequest;
use gatehouse_plugin_api::message::{Health, HealthStatus};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::wire;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::answer::{body, in_words, late, within_bounds};
use super::flight::Seat;
use super::{Exchanges, Exit, Gateway, GatewayTiming, HostCalls, HostReply, Hosting, Launch, loader, sys};
use crate::metrics::Meter;
use crate::reason::{Reason, ReasonCode};

static MAPPED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// How many plugin generations are mapped into this process. They stay until it ends.
pub fn mapped_generations() -> usize {
    MAPPED.lock().len()
}

/// A gateway in this process.
struct InProcess {
    subject: String,
    held: Arc<Held>,
    exchanges: Exchanges,
    exit: watch::Sender<Option<Exit>>,
}

/// The gateway itself; its heartbeat holds this too.
struct Held {
    /// Read for the moment of a call, so that whoever takes it is the one who drops it.
    gateway: RwLock<Option<GatewayHandle>>,
    seat: Arc<Seat>,
    closed: CancellationToken,
    meter: Arc<Meter>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InProcess({})", self.subject)
    }
}

/// Opens the plugin and makes its gateway, both on a thread of their own.
pub(super) async fn launch(launch: Launch, host: Arc<dyn HostCalls>) -> Result<Arc<dyn Gateway>, Reason> {
    let subject = launch.instance.integration_id.to_string();
    let exchanges = launch.onlooker.exchanges.clone();
    let (timing, file) = (launch.timing, launch.plugin.file_name().to_owned());
    let meter = Arc::clone(&launch.meter);
    let (made, outcome) = oneshot::channel();
    let side = HostSide(Arc::clone(&host));
    let seat = Arc::new(Seat::take(&launch));
    let making = Arc::clone(&seat);
    let make = move || {
        making.is_mine();
        // Nobody waiting any more: the gateway is dropped here, where that may take its time.
        let _ = made.send(make(&launch, side));
    };
    on_thread("gateway launch", make).map_err(|error| {
        Reason::new(ReasonCode::ConstructorFailed, format!("{file}: no thread could be made for it")).caused_by(error)
    })?;
    let gateway = match tokio::time::timeout(timing.launch_within, outcome).await {
        Ok(Ok(made)) => made?,
        Ok(Err(_)) => {
            return Err(Reason::new(ReasonCode::ConstructorFailed, format!("{file}: its start-up code panicked")));
        }
        Err(_) => {
            let sentence = format!("{file}: its gateway was not made within {}", in_words(timing.launch_within));
            return Err(Reason::new(ReasonCode::DeadlineMissed, sentence));
        }
    };
    let on_board = Arc::clone(&seat);
    // Answered on the gateway's own thread before anything else has its turn.
    gateway.call(ops::PANE.number, wire::encode(&PaneRequest { name: String::new() }), move |_| {
        sys::crash::alternate_stack();
        on_board.is_mine();
    });
    let held = Arc::new(Held { gateway: RwLock::new(Some(gateway)), seat, closed: CancellationToken::new(), meter });
    tokio::spawn(heartbeat(Arc::clone(&held), timing, host).in_current_span());
    Ok(Arc::new(InProcess { subject, held, exchanges, exit: watch::Sender::new(None) }))
}

fn make(launch: &Launch, side: HostSide) -> Result<GatewayHandle, Reason> {
    let plugin = &launch.plugin;
    let loaded = loader::open(plugin.path(), plugin.file_name(), plugin.section());
    MAPPED.lock().insert(plugin.path().to_owned());
    loaded?.construct(side, wire::encode(&launch.instance))
}

#[async_trait]
impl Gateway for InProcess {
    fn hosting(&self) -> Hosting {
        Hosting::InProcess
    }

    fn pid(&self) -> Option<u32> {
        None
    }

    async fn call_bytes(&self, op: &Op, request: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, CallError> {
        self.exchanges.call(op.name, self.held.call(op, request, deadline)).await
    }

    async fn ended(&self) -> Exit {
        let mut exit = self.exit.subscribe();
        loop {
            if let Some(exit) = &*exit.borrow_and_update() {
                return exit.clone();
            }
            // The sender is this gateway's own, so it cannot be gone.
            let _ = exit.changed().await;
        }
    }

    async fn close(&self, grace: Duration) -> Exit {
        if let Some(dropped) = self.held.end() {
            let (exit, subject) = (self.exit.clone(), self.subject.clone());
            // Not within this future: the end is told even when nobody waits for it any more.
            tokio::spawn(async move {
                let reason = match tokio::time::timeout(grace, dropped).await {
                    Ok(_) => Reason::new(ReasonCode::AsWanted, format!("{subject}: ended as wanted")),
                    Err(_) => Reason::new(
                        ReasonCode::KilledAtStop,
                        format!(
                            "{subject}: it did not end within {}; its thread is left behind in the daemon",
                            in_words(grace)
                        ),
                    ),
                };
                exit.send_replace(Some(Exit { reason }));
            });
        }
        self.ended().await
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        // Nobody can wait for the end of a gateway that nobody holds.
        drop(self.held.end());
    }
}

impl Held {
    async fn call(&self, op: &Op, request: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, CallError> {
        let began = Instant::now();
        let answer = self.ask(op, request, deadline).await;
        self.meter.called(op, began.elapsed(), &answer);
        answer
    }

    async fn ask(&self, op: &Op, request: Vec<u8>, deadline: Duration) -> Result<Vec<u8>, CallError> {
        // No frame limits anything here; the bound is kept so that a plugin behaves alike in a worker.
        within_bounds("the request", request.len())?;
        let (answer, answered) = oneshot::channel();
        {
            let gateway = self.gateway.read();
            let gateway = gateway.as_ref().ok_or_else(gone)?;
            if op.number != ops::PING.number {
                self.seat.begins(op.number);
            }
            gateway.call(op.number, request, move |reply| {
                // Late, after its caller went.
                let _ = answer.send(reply);
            });
        }
        tokio::select! {
            biased;
            answer = tokio::time::timeout(deadline, answered) => match answer {
                Ok(Ok(Some(reply))) => match within_bounds("the answer", reply.len()).and_then(|()| body(reply)) {
                    // The plugin's word for being ended; whoever ended it says so itself, as for a worker.
                    Err(error) if error.code == ErrorCode::Cancelled && self.closed.is_cancelled() => Err(gone()),
                    answer => answer,
                },
                Ok(Ok(None) | Err(_)) if self.closed.is_cancelled() => Err(gone()),
                Ok(Ok(None) | Err(_)) => Err(wire::split_reply(None).expect_err("no reply is an error")),
                Err(_) => Err(late(deadline)),
            },
            () = self.closed.cancelled() => Err(gone()),
        }
    }

    /// Takes the gateway out and drops it on a thread of its own, as often as asked but once; what is given resolves
    /// when it is dropped.
    fn end(&self) -> Option<oneshot::Receiver<()>> {
        let gateway = self.gateway.write().take()?;
        self.closed.cancel();
        let (done, dropped) = oneshot::channel();
        let end = move || {
            drop(gateway);
            let _ = done.send(());
        };
        if let Err(error) = on_thread("gateway end", end) {
            tracing::warn!(%error, "no thread could be made to end a gateway on");
        }
        Some(dropped)
    }
}

/// Reports a gateway's thread that does not answer, and that it answers again; more is not possible here.
async fn heartbeat(held: Arc<Held>, timing: GatewayTiming, host: Arc<dyn HostCalls>) {
    let ping = wire::encode(&());
    let mut is_missed = false;
    let beat = async {
        loop {
            tokio::time::sleep(timing.heartbeat_every).await;
            let answer = held.call(&ops::PING, ping.clone(), timing.heartbeat_within).await;
            let is_late = answer.is_err_and(|error| error.code == ErrorCode::Deadline);
            if is_late != is_missed {
                is_missed = is_late;
                report(&*host, is_missed, timing.heartbeat_within);
            }
        }
    };
    tokio::select! {
        () = held.closed.cancelled() => {}
        () = beat => {}
    }
}

/// Reports on behalf of a gateway that cannot do so itself: a missed heartbeat is a change of health.
fn report(host: &dyn HostCalls, is_missed: bool, within: Duration) {
    let health = if is_missed {
        tracing::warn!(within = in_words(within), "heartbeat missed: the gateway's thread is blocked");
        let message = format!("its thread has not answered for {}; in-process it cannot be ended", in_words(within));
        Health { status: HealthStatus::Error, message }
    } else {
        tracing::info!("the gateway's thread answers again");
        Health { status: HealthStatus::Healthy, message: String::new() }
    };
    host.call(ops::HEALTH.number, wire::encode(&health), HostReply::new(drop));
}

fn gone() -> CallError {
    CallError::new(ErrorCode::Gone, "the gateway has ended")
}

fn on_thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// The host, as a plugin in this process calls it.
struct HostSide(Arc<dyn HostCalls>);

impl CallSide for HostSide {
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        if let Err(error) = within_bounds("the request", request.len()) {
            return reply.complete(wire::encode_reply::<()>(&Err(error)));
        }
        let reply = HostReply::new(move |answer| {
            if let Some(bytes) = answer {
                reply.complete(bytes);
            }
        });
        self.0.call(op, request, reply);
    }
}
