//! One gateway's thread: made with its runtime, fed by a queue, ended with a bound.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc as blocking};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use gatehouse_abi::{CallSide, HostHandle, ReplyHandle};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::dispatch;
use super::panics::{self, Caught};
use crate::context::{Clock, Context, Host};
use crate::error::{CallError, ErrorCode};
use crate::gateway::IntegrationGateway;
use crate::log::LogForwarder;
use crate::message::Instance;
use crate::ops::Op;
use crate::{ops, wire};

/// How long dropping a gateway waits for its thread.
const JOIN_BOUND: Duration = Duration::from_secs(5);
/// How long the thread, at its end, waits for blocking work that the author started.
const BLOCKING_BOUND: Duration = Duration::from_secs(2);
/// How long a blocking thread stays when it has nothing to do.
const BLOCKING_IDLE: Duration = Duration::from_secs(10);
/// Linux keeps fifteen bytes of a thread's name.
const THREAD_NAME_BYTES: usize = 15;

/// One call on its way to the thread.
struct Call {
    op: u32,
    request: Vec<u8>,
    reply: Reply,
    /// When it came, by [`Clock::elapsed`].
    came: Duration,
}

/// A reply that says why when it is dropped without an answer.
pub(super) struct Reply(Option<ReplyHandle>);

impl Reply {
    pub(super) fn complete(mut self, bytes: Vec<u8>) {
        self.give(bytes);
    }

    fn give(&mut self, bytes: Vec<u8>) {
        if let Some(reply) = self.0.take() {
            reply.complete(bytes);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.0.is_some() {
            let error = CallError::new(ErrorCode::Cancelled, "the gateway ended before it answered");
            self.give(wire::encode_reply::<()>(&Err(error)));
        }
    }
}

/// The answering side of one gateway. Dropping it ends the gateway.
pub(crate) struct GatewayThread {
    calls: Option<mpsc::UnboundedSender<Call>>,
    clock: Clock,
    ending: Arc<AtomicBool>,
    /// Disconnects when the thread has nothing left to do.
    ended: Mutex<blocking::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GatewayThread {
    /// Starts the thread and waits until the gateway is made on it.
    pub(super) fn spawn<G: IntegrationGateway>(
        host: HostHandle,
        instance: Instance,
        clock: Clock,
    ) -> Result<Self, CallError> {
        let failed = |what: &str, why: &dyn std::fmt::Display| {
            CallError::new(ErrorCode::Transient, format!("{what} could not be made: {why}"))
        };
        let (calls, queue) = mpsc::unbounded_channel();
        let (made, was_made) = blocking::channel();
        let (end, ended) = blocking::channel();
        let ending = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ending);
        let timing = clock.clone();
        let thread = std::thread::Builder::new()
            .name(thread_name(instance.integration_id.as_str()))
            .spawn(move || {
                let work = || match Prepared::new(host, &instance, clock) {
                    Ok(prepared) => prepared.live::<G>(queue, &until, &made),
                    Err(error) => {
                        let _ = made.send(Err(failed("the gateway's runtime", &error)));
                    }
                };
                panics::watch_thread();
                if let Err(panic) = panics::catch(work) {
                    tracing::error!(panic = %panic, "the gateway's thread ended by a panic");
                }
                drop(end);
            })
            .map_err(|error| failed("the gateway's thread", &error))?;
        let gateway =
            Self { calls: Some(calls), clock: timing, ending, ended: Mutex::new(ended), thread: Some(thread) };
        match was_made.recv() {
            Ok(Ok(())) => Ok(gateway),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(CallError::new(ErrorCode::Gone, "the gateway's thread ended before the gateway was made")),
        }
    }
}

impl CallSide for GatewayThread {
    fn call(&self, op: u32, request: Vec<u8>, reply: ReplyHandle) {
        let call = Call { op, request, reply: Reply(Some(reply)), came: self.clock.elapsed() };
        if let Some(calls) = &self.calls {
            // A thread that is gone leaves the call to be dropped here, which answers `cancelled`.
            let _ = calls.send(call);
        }
    }
}

impl Drop for GatewayThread {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Closing the queue wakes the thread.
        self.calls = None;
        let Some(thread) = self.thread.take() else { return };
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        let ended = self.ended.get_mut().map(|ended| ended.recv_timeout(JOIN_BOUND));
        if matches!(ended, Ok(Err(blocking::RecvTimeoutError::Disconnected))) {
            // Only the thread-locals are left to be dropped.
            let _ = thread.join();
        }
    }
}

fn thread_name(integration: &str) -> String {
    // A slug is ASCII: every byte is a place to cut.
    format!("gw-{integration}").chars().take(THREAD_NAME_BYTES).collect()
}

/// What the thread has before there is a gateway.
struct Prepared {
    runtime: LocalRuntime,
    context: Context,
    log: LogForwarder,
    feeder: crate::context::ReadingSender,
}

impl Prepared {
    fn new(host: HostHandle, instance: &Instance, clock: Clock) -> std::io::Result<Self> {
        let host = Arc::new(Host::new(host, instance));
        let log = LogForwarder::new(Arc::clone(&host), &instance.log_filter, clock.clone());
        let dispatch = log.dispatch().clone();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name(thread_name(instance.integration_id.as_str()))
            .thread_keep_alive(BLOCKING_IDLE)
            .on_thread_start(move || {
                panics::watch_thread();
                // For the whole life of the blocking thread.
                std::mem::forget(tracing::dispatcher::set_default(&dispatch));
            })
            .build_local(LocalOptions::default())?;
        let (context, feeder) = Context::new(host, instance, clock);
        Ok(Self { runtime, context, log, feeder })
    }

    fn live<G: IntegrationGateway>(
        self,
        mut queue: mpsc::UnboundedReceiver<Call>,
        ending: &AtomicBool,
        made: &blocking::Sender<Result<(), CallError>>,
    ) {
        let Self { runtime, context, log, feeder } = self;
        let logged = tracing::dispatcher::set_default(log.dispatch());
        let gateway = runtime.block_on(async {
            tokio::task::spawn_local(feeder.run());
            tokio::task::spawn_local(log.sender());
            let gateway = match panics::catch(|| G::new(context.clone())) {
                Ok(gateway) => Rc::new(gateway),
                Err(panic) => {
                    let _ = made.send(Err(panic));
                    return None;
                }
            };
            if made.send(Ok(())).is_err() {
                return Some(gateway);
            }
            let mut polling = None;
            while let Some(call) = queue.recv().await {
                if ending.load(Ordering::Acquire) {
                    break;
                }
                serve(&gateway, &context, &log, &mut polling, call).await;
            }
            Some(gateway)
        });
        queue.close();
        while queue.try_recv().is_ok() {}
        context.end();
        // The gateway first, while its runtime still exists for what its drop may want; then the tasks, which may
        // hold it too; their drops' panics are caught by the runtime.
        let _ = panics::catch(|| {
            let _inside = runtime.enter();
            drop(gateway);
        });
        let _ = panics::catch(|| runtime.shutdown_timeout(BLOCKING_BOUND));
        log.send_rest();
        drop(logged);
    }
}

fn bytes(done: Result<Vec<u8>, CallError>) -> Vec<u8> {
    done.unwrap_or_else(|panic| wire::encode_reply::<()>(&Err(panic)))
}

/// When a call must be done, or `None` for one that only the next of its kind ends.
///
/// The host waits for a `poll` as long as its interval, which is the manifest's and unknown here.
fn deadline(op: u32) -> Option<&'static Op> {
    ops::by_number(op).filter(|op| op.number != ops::POLL.number)
}

fn too_late(op: &Op) -> CallError {
    let message = format!("{} was not done within {:?} and was given up", op.name, op.deadline);
    CallError::new(ErrorCode::Deadline, message)
}

/// Performs one call: at once if it can be, else as a task that ends at the operation's deadline, when nobody waits
/// for it any more: what it would still do, it would do to a host that believes it undone.
async fn serve<G: IntegrationGateway>(
    gateway: &Rc<G>,
    context: &Context,
    log: &LogForwarder,
    polling: &mut Option<AbortHandle>,
    call: Call,
) {
    let Call { op, request, reply, came } = call;
    match panics::catch(|| dispatch::immediate::<G>(log, op, &request)) {
        Ok(None) => {}
        Ok(Some(answer)) => return reply.complete(answer),
        Err(panic) => return reply.complete(bytes(Err(panic))),
    }
    let waited = context.clock().elapsed().saturating_sub(came);
    let deadline = deadline(op).map(|op| (op, op.deadline.saturating_sub(waited)));
    if let Some((op, Duration::ZERO)) = deadline {
        // The thread was blocked for so long.
        return reply.complete(bytes(Err(too_late(op))));
    }
    // When the host asks for the next cycle, nobody waits for the one before.
    if op == ops::POLL.number
        && let Some(late) = polling.take()
    {
        late.abort();
    }
    let mut work = Caught::new(dispatch::perform(Rc::clone(gateway), context.clone(), op, request));
    let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut work).poll(cx))).await;
    if let Poll::Ready(done) = first {
        return reply.complete(bytes(done));
    }
    let clock = context.clock().clone();
    // Its first poll as a task leaves the task's own waker behind, so nothing is lost in between.
    let task = tokio::task::spawn_local(async move {
        let done = match deadline {
            None => (&mut work).await,
            Some((op, left)) => tokio::select! {
                biased;
                done = &mut work => done,
                () = clock.sleep(left) => Err(too_late(op)),
            },
        };
        // Before the answer: who has it can rely on nothing being done any more.
        drop(work);
        reply.complete(bytes(done));
    });
    if op == ops::POLL.number {
        *polling = Some(task.abort_handle());
    }
}
