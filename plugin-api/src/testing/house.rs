//! The house itself: opens a gateway, calls it, and moves its time.

mod ask;
mod show;

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use gatehouse_abi::{GatewayHandle, HostHandle, gateway_box, host_box};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use ask::IntoValues;

use super::host::{Desk, HostSide};
use super::world::World;
use crate::context::{Clock, VirtualTime};
use crate::error::{CallError, ErrorCode};
use crate::gateway::IntegrationGateway;
use crate::ids::IntegrationId;
use crate::message::Instance;
use crate::ops::{self, Op, Side};
use crate::{runtime, wire};

/// How long [`House::wait_for`] waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest pause between two looks of [`House::wait_for`] when the gateway tells nothing.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How many rounds without news make a gateway quiet.
const QUIET_ROUNDS: u32 = 8;
/// Where the virtual clock begins: 2025-06-16 00:00:00 UTC, a Monday.
const BEGIN_MS: i64 = 1_750_032_000_000;

static HOUSES: AtomicU32 = AtomicU32::new(0);

/// How a house is to be, before it is opened.
#[derive(Debug)]
pub struct Builder {
    integration_id: String,
    log_filter: String,
    now_ms: i64,
    world: World,
}

impl Builder {
    /// The integration's id; `test` when it is not said.
    #[must_use]
    pub fn integration_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.integration_id);
        self
    }

    /// Which log events cross; `debug` when it is not said.
    #[must_use]
    pub fn log_filter(mut self, filter: &str) -> Self {
        filter.clone_into(&mut self.log_filter);
        self
    }

    /// Where the clock stands, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn clock_at(mut self, now_ms: i64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// An operation that this host does not know, as an older one would not.
    #[must_use]
    pub fn without(mut self, op: &Op) -> Self {
        self.world.without.push(op.number);
        self
    }

    /// Opens the house with a gateway in it.
    ///
    /// # Errors
    /// Why the gateway could not be made: its `new` panicked, say.
    ///
    /// # Panics
    /// When the integration id cannot be one, or no temporary folder can be made.
    pub fn try_open<G: IntegrationGateway>(self) -> Result<House, CallError> {
        let nth = HOUSES.fetch_add(1, Ordering::Relaxed);
        let data_dir = std::env::temp_dir().join(format!("gatehouse-house-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&data_dir).expect("a folder for the integration's data can be made");
        let host_ops = ops::TABLE
            .iter()
            .filter(|op| op.side() == Side::Host && !self.world.without.contains(&op.number))
            .map(|op| op.number)
            .collect();
        let instance = Instance {
            integration_id: IntegrationId::new(&self.integration_id).expect("the integration id can be one"),
            host_api_version: ops::API_VERSION.to_owned(),
            host_ops,
            data_dir: data_dir.to_string_lossy().into_owned(),
            log_filter: self.log_filter,
        };
        let desk = Desk::new(self.world, VirtualTime::new(self.now_ms));
        let mut house = House { desk, gateway: None, instance, data_dir: Folder(data_dir) };
        house.reopen::<G>()?;
        Ok(house)
    }

    /// As [`Builder::try_open`].
    ///
    /// # Panics
    /// With the reason why the gateway could not be made.
    pub fn open<G: IntegrationGateway>(self) -> House {
        self.try_open::<G>().unwrap_or_else(|error| panic!("the gateway could not be made: {error}"))
    }
}

/// A host in memory with one gateway. See [`crate::testing`].
pub struct House {
    desk: Arc<Desk>,
    gateway: Option<GatewayHandle>,
    instance: Instance,
    data_dir: Folder,
}

impl fmt::Debug for House {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("House").field("desk", &self.desk).finish_non_exhaustive()
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A call under way.
#[derive(Debug)]
pub struct Waiting<R> {
    op: &'static str,
    deadline: Duration,
    answer: blocking::Receiver<Option<Vec<u8>>>,
    /// The answer that [`Waiting::is_out`] found.
    found: Option<Option<Vec<u8>>>,
    kind: PhantomData<R>,
}

impl<R: DeserializeOwned> Waiting<R> {
    /// Waits for the answer, at most for the operation's deadline.
    ///
    /// # Errors
    /// The gateway's, or `deadline`.
    pub fn wait(self) -> Result<R, CallError> {
        let late = || CallError::new(ErrorCode::Deadline, format!("the gateway did not answer {}", self.op));
        let bytes = match self.found {
            Some(bytes) => bytes,
            None => self.answer.recv_timeout(self.deadline).map_err(|_| late())?,
        };
        wire::decode_reply(bytes.as_deref())
    }

    /// Whether the answer is still out. Never blocks.
    pub fn is_out(&mut self) -> bool {
        if self.found.is_none() {
            self.found = self.answer.try_recv().ok();
        }
        self.found.is_none()
    }
}

impl House {
    /// How the house is to be.
    pub fn builder() -> Builder {
        Builder {
            integration_id: "test".to_owned(),
            log_filter: "debug".to_owned(),
            now_ms: BEGIN_MS,
            world: World::default(),
        }
    }

    /// A house with a gateway in it.
    ///
    /// # Panics
    /// With the reason why the gateway could not be made.
    pub fn open<G: IntegrationGateway>() -> Self {
        Self::builder().open::<G>()
    }

    /// Ends the gateway, if there is one, and makes a new one with the same entities and stores: a restart.
    ///
    /// # Errors
    /// Why the gateway could not be made.
    pub fn reopen<G: IntegrationGateway>(&mut self) -> Result<(), CallError> {
        self.close();
        let host = HostHandle::from(host_box(HostSide(Arc::clone(&self.desk))));
        let clock = Clock::virtual_time(Arc::clone(&self.desk.time));
        let thread = runtime::open::<G>(host, &wire::encode(&self.instance), clock)
            .map_err(|bytes| wire::decode::<CallError>(&bytes).unwrap_or_else(|error| error))?;
        self.gateway = Some(GatewayHandle::from(gateway_box(thread)));
        Ok(())
    }

    /// Drops the gateway, as a host does that has no more use for it.
    pub fn close(&mut self) {
        self.gateway = None;
    }

    /// Posts a call and returns at once.
    ///
    /// # Panics
    /// When the gateway was closed.
    pub fn post<R: DeserializeOwned>(&self, op: &Op, request: &impl Serialize) -> Waiting<R> {
        let gateway = self.gateway.as_ref().expect("the gateway is open");
        let (sink, answer) = blocking::channel();
        gateway.call(op.number, wire::encode(request), move |bytes| {
            let _ = sink.send(bytes);
        });
        Waiting { op: op.name, deadline: op.deadline, answer, found: None, kind: PhantomData }
    }

    /// Calls the gateway and waits for its answer.
    ///
    /// # Errors
    /// The gateway's, or `deadline`.
    pub fn call<R: DeserializeOwned>(&self, op: &Op, request: &impl Serialize) -> Result<R, CallError> {
        self.post(op, request).wait()
    }

    /// Keeps back the answers about readings (`true`), or gives them all and keeps back no more: a busy host.
    pub fn hold_readings(&self, hold: bool) {
        self.hold(&[ops::EMIT.number, ops::EMIT_DURABLE.number, ops::FLUSH.number], hold);
    }

    /// The same for the answers about log events.
    pub fn hold_log(&self, hold: bool) {
        self.hold(&[ops::LOG.number], hold);
    }

    /// Answers the next call of an operation of the host's with this error, and does not perform it. Several wait for
    /// several calls.
    pub fn fail_next(&self, op: &Op, error: CallError) {
        self.desk.world().failing.push((op.number, error));
    }

    fn hold(&self, numbers: &[u32], hold: bool) {
        let free: Vec<_> = {
            let mut world = self.desk.world();
            world.holding.retain(|op| !numbers.contains(op));
            if hold {
                world.holding.extend(numbers);
                return;
            }
            world.held.extract_if(.., |(op, ..)| numbers.contains(op)).collect()
        };
        for (_, reply, bytes) in free {
            reply.complete(bytes);
        }
    }

    /// Moves the clock; what sleeps on it wakes.
    ///
    /// Before and after, the gateway gets the time to do what it can do without time going by, so that a task that is
    /// about to sleep does, and what it does when it wakes can be seen. Work on blocking threads is not waited for.
    pub fn advance(&self, by: Duration) {
        self.settle();
        self.desk.time.advance(by);
        self.settle();
    }

    /// Moves the clock while the gateway's thread is blocked.
    #[cfg(test)]
    pub(crate) fn advance_blocked(&self, by: Duration) {
        self.desk.time.advance(by);
    }

    /// Lets the gateway's tasks run until they tell the host nothing new.
    fn settle(&self) {
        if self.gateway.is_none() {
            return;
        }
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS {
            let seen = self.desk.changes();
            // A ping is answered after every task that is ready had its turn.
            if self.call::<()>(&ops::PING, &()).is_err() {
                return;
            }
            quiet = if self.desk.changes() == seen { quiet + 1 } else { 0 };
        }
    }

    /// Where the clock stands, in milliseconds since 1970 UTC.
    pub fn now_ms(&self) -> i64 {
        self.desk.time.now_ms()
    }

    /// Waits until `condition` holds, looking again at everything the gateway tells.
    ///
    /// # Panics
    /// When it does not hold within twenty seconds; the message says `what` was awaited.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let seen = self.desk.changes();
            if condition(self) {
                return;
            }
            assert!(Instant::now() < until, "{what}: not so after {PATIENCE:?}; the house knows {:?}", self.desk);
            self.desk.wait_change(seen, LOOK_AGAIN);
        }
    }
}
