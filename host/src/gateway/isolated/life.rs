//! The life of a worker: the task that owns its process, from its spawn until it is reaped.
//!
//! It launches, then waits for the first thing that can end the worker (the process itself, a broken connection, a
//! missed heartbeat, a wish to close), sees the process dead and reaped, fails what is still waiting and tells why.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::wire;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;
use tracing::Instrument;

use super::Isolated;
use super::connection::{Connection, ReadEnd};
use super::ending::Death;
use super::memory::OomCount;
use super::output::{self, LastLines};
use super::process::{Birth, Process};
use crate::gateway::answer::{clipped, in_words};
use crate::gateway::codec::{Frame, Kind};
use crate::gateway::crash_page::{self, LastWord};
use crate::gateway::loader;
use crate::gateway::order::{Hello, Order};
use crate::gateway::sandbox::{self, Refusals};
use crate::gateway::sys::Ended;
use crate::gateway::{Crash, Exit, Gateway, GatewayTiming, HostCalls, Hosting, Launch};
use crate::metrics::Meter;
use crate::reason::{Reason, ReasonCode};

/// How long a worker whose last handle was dropped may take to end.
const GRACE_AT_DROP: Duration = Duration::from_secs(1);
/// How long what a dead worker has written is still read, when something keeps its end of the channel open; and how
/// long a worker that closed its channel may take to end.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Control frames that a worker may send ahead: it has two to send.
const CONTROL_FRAMES: usize = 2;

/// The worker's life, from its spawn until it is reaped.
pub(super) async fn run(
    launch: Launch,
    host: Arc<dyn HostCalls>,
    mut launched: oneshot::Sender<Result<Arc<dyn Gateway>, Reason>>,
) {
    let subject = launch.instance.integration_id.to_string();
    let mut worker = match Worker::start(&launch, host).await {
        Ok(worker) => worker,
        Err(error) => {
            let sentence = format!("{subject}: the worker process could not be started");
            // Nobody waiting any more is as well.
            let _ = launched.send(Err(Reason::new(ReasonCode::WorkerNotStarted, sentence).caused_by(error)));
            return;
        }
    };
    let made = tokio::select! {
        made = worker.make(&launch) => made,
        () = launched.closed() => {
            Err(Reason::new(ReasonCode::AsWanted, format!("{subject}: no longer wanted")).into())
        }
    };
    if let Err(end) = made {
        let reason = worker.bury(&launch, end).await;
        let _ = launched.send(Err(reason));
        return;
    }
    let (close, wishes) = mpsc::unbounded_channel();
    let (ended, exit) = watch::channel(None);
    let connection = Arc::clone(&worker.connection);
    let refusals = worker.refusals.clone();
    let gateway = Isolated {
        pid: worker.process.pid(),
        meter: Arc::clone(&launch.meter),
        refusals,
        connection,
        exchanges: launch.onlooker.exchanges.clone(),
        close,
        exit,
    };
    tracing::debug!(pid = gateway.pid, "worker running");
    // When nobody takes it, its drop is the wish to close.
    let _ = launched.send(Ok(Arc::new(gateway)));
    let end = worker.watch(&subject, launch.timing, wishes).await;
    let reason = worker.bury(&launch, end).await;
    tracing::debug!(code = %reason.code, "worker ended");
    // Whoever hears of the end finds nothing of it left.
    drop(worker);
    ended.send_replace(Some(Exit { reason }));
}

/// What ended a worker, before all is known of it.
enum End {
    /// The host had a reason of its own to end it, or was told one.
    Because(Reason),
    /// It died by itself; with the beginning of the sentence that says so.
    Died(String, Ended),
}

impl From<Reason> for End {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

/// The process with everything that serves it.
struct Worker {
    process: Process,
    connection: Arc<Connection>,
    control: mpsc::Receiver<Frame>,
    reader: JoinHandle<ReadEnd>,
    printed: LastLines,
    tasks: JoinSet<()>,
    output: AbortHandle,
    refusals: Refusals,
    oom_count: OomCount,
    crash_page: Option<OwnedFd>,
    born: Instant,
    /// Its plugin is built so that a panic ends the process.
    panic_aborts: bool,
    meter: Arc<Meter>,
}

impl Worker {
    async fn start(launch: &Launch, host: Arc<dyn HostCalls>) -> std::io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (output, pipe) = output::pipe()?;
        let crash_page = crash_page::create()?;
        let birth = Birth {
            crash_page: crash_page.try_clone()?,
            channel: OwnedFd::from(theirs),
            output,
            integration_id: launch.instance.integration_id.to_string(),
            data_dir: launch.instance.data_dir.clone(),
        };
        let process = Process::spawn(birth).await?;
        let connection = Arc::new(Connection::new(UnixStream::from_std(ours)?));
        let (frames, control) = mpsc::channel(CONTROL_FRAMES);
        let reader = tokio::spawn(Arc::clone(&connection).read(host, frames).in_current_span());
        let printed = LastLines::default();
        let mut tasks = JoinSet::new();
        let output = tasks.spawn(output::log(pipe, printed.clone()).in_current_span());
        let writing = Arc::clone(&connection);
        tasks.spawn(async move { writing.write_backlog().await });
        let oom_count = OomCount::of(process.pid());
        let panic_aborts = launch.plugin.manifest().panic_strategy == "abort";
        let refusals = Refusals::default();
        let crash_page = Some(crash_page);
        let meter = Arc::clone(&launch.meter);
        let refused = refusals.clone();
        meter.worker_began(process.pid(), move || refused.list().iter().map(|refusal| refusal.count).sum());
        Ok(Self {
            process,
            connection,
            control,
            reader,
            printed,
            tasks,
            output,
            refusals,
            oom_count,
            crash_page,
            born: Instant::now(),
            panic_aborts,
            meter,
        })
    }

    /// From the launch order to a made gateway.
    async fn make(&mut self, launch: &Launch) -> Result<(), End> {
        let file = launch.plugin.file_name().to_owned();
        let within = launch.timing.launch_within;
        let order = wire::encode(&Order::of(launch));
        let greet = async {
            self.tell(&file, Kind::Launch, &order)?;
            let hello = self.expect(&file, Kind::Hello).await?;
            self.guard(&file, launch, &hello)?;
            // By now it is in the control group in which it stays.
            self.oom_count = OomCount::of(self.process.pid());
            self.tell(&file, Kind::Go, &[])?;
            self.expect(&file, Kind::Ready).await.map(drop)
        };
        tokio::time::timeout(within, greet).await.unwrap_or_else(|_| {
            let sentence = format!("{file}: its gateway was not made within {}", in_words(within));
            Err(Reason::new(ReasonCode::DeadlineMissed, sentence).into())
        })
    }

    /// Takes over the descriptor where the worker's filter asks, and answers it from now on.
    fn guard(&mut self, file: &str, launch: &Launch, hello: &Frame) -> Result<(), Reason> {
        let failed = |error: std::io::Error| {
            let sentence = format!("{file}: the worker's sandbox could not be taken charge of");
            Reason::new(ReasonCode::WorkerNotStarted, sentence).caused_by(error)
        };
        let hello: Hello = wire::decode(&hello.payload).map_err(|error| failed(std::io::Error::other(error)))?;
        // A worker on a kernel that lacks a part has nothing to ask.
        if let Some(listener) = hello.listener {
            let listener = self.process.descriptor(listener).map_err(failed)?;
            let worker = (self.process.pid(), self.process.pidfd());
            let (confinement, refusals) = (launch.confinement.clone(), self.refusals.clone());
            self.tasks.spawn(sandbox::answer(listener, worker, confinement, refusals).in_current_span());
        }
        Ok(())
    }

    fn tell(&self, file: &str, kind: Kind, payload: &[u8]) -> Result<(), Reason> {
        self.connection.send(kind, 0, 0, payload).map_err(|error| {
            Reason::new(ReasonCode::WorkerNotStarted, format!("{file}: the worker could not be told")).caused_by(error)
        })
    }

    /// The next control frame, which must be of this kind.
    async fn expect(&mut self, file: &str, kind: Kind) -> Result<Frame, End> {
        match self.control.recv().await {
            Some(frame) if frame.kind == kind => Ok(frame),
            Some(frame) if frame.kind == Kind::Refused => {
                // The worker's word: with a plugin in it, it need not be the loader's.
                let broken =
                    |what| Reason::new(ReasonCode::ProtocolBroken, format!("{file}: the worker's refusal {what}"));
                let refused = match wire::decode::<Reason>(&frame.payload) {
                    Ok(refused) if loader::REFUSALS.contains(&refused.code) => refused,
                    Ok(refused) => broken("is none of a loader's").caused_by(refused.code),
                    Err(error) => broken("cannot be read").caused_by(error),
                };
                Err(clipped(refused).into())
            }
            Some(frame) => {
                let sentence = format!("{file}: the worker sent {:?} in place of {kind:?}", frame.kind);
                Err(Reason::new(ReasonCode::ProtocolBroken, sentence).into())
            }
            // The reader has ended.
            None => Err(match tokio::time::timeout(AFTERMATH, self.process.ended()).await {
                Ok(ended) => End::Died(format!("{file}: while the plugin was opened its worker"), ended),
                Err(_) => broken(file, &ReadEnd::Closed).into(),
            }),
        }
    }

    /// Waits for whatever ends the gateway first; leaves a process that is dead or is to be killed.
    async fn watch(
        &mut self,
        subject: &str,
        timing: GatewayTiming,
        mut wishes: mpsc::UnboundedReceiver<Duration>,
    ) -> End {
        let died = |ended| End::Died(format!("{subject}: its worker"), ended);
        tokio::select! {
            biased;
            grace = wishes.recv() => self.close(subject, grace.unwrap_or(GRACE_AT_DROP), &mut wishes).await,
            ended = self.process.ended() => died(ended),
            end = &mut self.reader => match end {
                // It may be dying: then the process says more.
                Ok(ReadEnd::Closed) => match tokio::time::timeout(AFTERMATH, self.process.ended()).await {
                    Ok(ended) => died(ended),
                    Err(_) => broken(subject, &ReadEnd::Closed).into(),
                },
                Ok(end) => broken(subject, &end).into(),
                Err(_) => broken(subject, &ReadEnd::Closed).into(),
            },
            () = heartbeat(&self.connection, timing, &self.meter) => {
                let within = in_words(timing.heartbeat_within);
                let sentence = format!("{subject}: its gateway did not answer for {within} and its worker was killed");
                Reason::new(ReasonCode::HeartbeatMissed, sentence).into()
            }
        }
    }

    /// Asks the worker to end and waits for it; a later wish may shorten the wait.
    async fn close(&self, subject: &str, grace: Duration, wishes: &mut mpsc::UnboundedReceiver<Duration>) -> End {
        self.connection.fail_calls(&CallError::new(ErrorCode::Gone, format!("{subject}: it is being ended")));
        let mut end = pin!(async {
            self.connection.close_half().await;
            self.process.ended().await
        });
        let mut until = Instant::now() + grace;
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut end => break Some(ended),
                Some(shorter) = wishes.recv() => until = until.min(Instant::now() + shorter),
                () = tokio::time::sleep_until(until) => break None,
            }
        };
        match ended {
            Some(Ended::Exited(0)) => Reason::new(ReasonCode::AsWanted, format!("{subject}: ended as wanted")).into(),
            Some(ended) => End::Died(format!("{subject}: when it was to end its worker"), ended),
            None => {
                let sentence =
                    format!("{subject}: it did not end within {} and its worker was killed", in_words(grace));
                Reason::new(ReasonCode::KilledAtStop, sentence).into()
            }
        }
    }

    /// Sees the process dead and reaped, takes what it still said, and fails what waits; tells the reason with its
    /// cause.
    async fn bury(&mut self, launch: &Launch, end: End) -> Reason {
        let exchanges = &launch.onlooker.exchanges;
        let calls = match &end {
            End::Because(reason) if reason.code == ReasonCode::HeartbeatMissed => exchanges.holding(),
            _ => exchanges.in_flight(),
        };
        self.process.kill();
        self.process.ended().await;
        let cpu_ms = self.process.used().map_or(0, |used| used.cpu_ms);
        self.meter.worker_ended(self.process.pid(), Duration::from_millis(cpu_ms));
        // Readings and answers that it wrote before its end, and its last lines; a child of its own may hold the
        // channel or the pipe open.
        let drained = async {
            if !self.reader.is_finished() {
                let _ = (&mut self.reader).await;
            }
            while !self.output.is_finished() {
                self.tasks.join_next().await;
            }
        };
        let _ = tokio::time::timeout(AFTERMATH, drained).await;
        if !self.reader.is_finished() {
            self.reader.abort();
            let _ = (&mut self.reader).await;
        }
        let printed = self.printed.text();
        let word = self.crash_page.take().and_then(LastWord::read);
        let (reason, killed_by) = match end {
            End::Because(reason) => {
                // Killed by the daemon: what it was at is worth as much as with a signal of its own.
                let hurt = matches!(reason.code, ReasonCode::HeartbeatMissed | ReasonCode::ProtocolBroken);
                if hurt {
                    self.meter.crashes.add(1);
                }
                (reason, hurt.then_some(rustix::process::Signal::KILL.as_raw()))
            }
            End::Died(who, ended) => {
                self.meter.crashes.add(1);
                let oom_killed = self.oom_count.rose();
                let (printed, panic_aborts, word) = (printed.clone(), self.panic_aborts, word.as_ref());
                let death = Death { ended, oom_killed, printed, panic_aborts, word };
                (death.reason(&who), if let Ended::Killed(signal) = ended { Some(signal) } else { None })
            }
        };
        self.connection.fail_calls(&CallError::new(ErrorCode::Gone, reason.sentence.clone()));
        self.connection.break_off();
        self.tasks.shutdown().await;
        let cause = match reason.code {
            ReasonCode::AsWanted | ReasonCode::KilledAtStop => None,
            _ => printed,
        };
        let reason = match cause {
            Some(cause) if reason.cause.is_none() => reason.caused_by(cause),
            _ => reason,
        };
        if let Some(signal) = killed_by {
            let mut crash = Crash::new(reason.clone(), signal, &launch.plugin, Hosting::Isolated);
            crash.calls = calls;
            crash.used = self.process.used();
            crash.lived_ms = u64::try_from(self.born.elapsed().as_millis()).ok();
            launch.onlooker.report(launch, crash, word);
        }
        reason
    }
}

/// Resolves when the gateway's thread has not answered in time.
async fn heartbeat(connection: &Connection, timing: GatewayTiming, meter: &Meter) {
    let ping = wire::encode(&());
    loop {
        tokio::time::sleep(timing.heartbeat_every).await;
        let began = Instant::now();
        let answer = connection.call(ops::PING.number, ping.clone(), timing.heartbeat_within).await;
        meter.called(&ops::PING, began.elapsed(), &answer);
        // Any answer shows a thread that runs, but for `cancelled`: so answers the call of a thread that is gone. A
        // connection that is gone is for others to tell.
        if answer.is_err_and(|error| matches!(error.code, ErrorCode::Deadline | ErrorCode::Cancelled)) {
            return;
        }
    }
}

fn broken(subject: &str, end: &ReadEnd) -> Reason {
    let cause = std::error::Error::source(end).map_or_else(|| end.to_string(), |source| format!("{end}: {source}"));
    Reason::new(ReasonCode::ProtocolBroken, format!("{subject}: its worker broke the connection and was killed"))
        .caused_by(cause)
}
