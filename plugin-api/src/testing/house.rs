//! The house itself: opens gateways, asks them, and shows what they did.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use gatehouse_abi::{GatewayHandle, HostHandle, gateway_box, host_box};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FlowDriver;
use super::host::{Desk, HostSide};
use super::world::{World, place};
use crate::attribute::{AttributeValues, FieldErrors};
use crate::context::{Clock, VirtualTime};
use crate::error::{CallError, ErrorCode};
use crate::gateway::IntegrationGateway;
use crate::ids::{EntityName, IntegrationId, StateName};
use crate::manage::{ManageReply, ManageRequest, Method, PaneReply, PaneRequest};
use crate::message::{
    Attributes, ConnectionResult, Control, ControlOutcome, Diagnostics, EntityDeclaration, Health, Instance, LogFilter,
    LogRecord, Progress, Reading, SyncOutcome,
};
use crate::ops::{self, Op, Side};
use crate::value::Value;
use crate::{Secret, runtime, wire};

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

/// What [`House::start`] takes: values, or `()` for none.
pub trait IntoValues {
    /// The values.
    fn into_values(self) -> AttributeValues;
}

impl IntoValues for AttributeValues {
    fn into_values(self) -> AttributeValues {
        self
    }
}

impl IntoValues for () {
    fn into_values(self) -> AttributeValues {
        AttributeValues::default()
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

    /// Starts the integration with these values; `()` for none.
    ///
    /// # Errors
    /// The gateway's; `bad_configuration` names the fields.
    pub fn start(&self, values: impl IntoValues) -> Result<(), CallError> {
        self.call(&ops::START, &Attributes { attributes: values.into_values() })
    }

    /// Stops the integration.
    ///
    /// # Errors
    /// The gateway's.
    pub fn stop(&self) -> Result<(), CallError> {
        self.call(&ops::STOP, &())
    }

    /// One monitor cycle.
    ///
    /// # Errors
    /// The gateway's.
    pub fn poll(&self) -> Result<(), CallError> {
        self.call(&ops::POLL, &())
    }

    /// Sets one state, checked first as a host does; a value in the outcome counts as a reading.
    ///
    /// # Errors
    /// `not_found`, `refused` as a host would, and the gateway's.
    pub fn control(&self, entity: &str, state: &str, value: impl Into<Value>) -> Result<ControlOutcome, CallError> {
        let value = value.into();
        let invalid = |error: crate::ids::BadName| CallError::new(ErrorCode::NotFound, error.to_string());
        let (entity, state) = (EntityName::new(entity).map_err(invalid)?, StateName::new(state).map_err(invalid)?);
        self.check_control(&entity, &state, &value)?;
        let request = Control { entity: entity.clone(), state: state.clone(), value, payload: serde_json::Value::Null };
        let outcome: ControlOutcome = self.call(&ops::CONTROL, &request)?;
        if let Some(value) = outcome.value.clone() {
            let now_ms = self.now_ms();
            self.desk.world().accept(vec![Reading { entity, state, value, at_ms: None }], now_ms);
            self.desk.ring();
        }
        Ok(outcome)
    }

    fn check_control(&self, entity: &EntityName, state: &StateName, value: &Value) -> Result<(), CallError> {
        let missing = || CallError::new(ErrorCode::NotFound, format!("there is no {entity}/{state}"));
        let known = self.entity(entity.as_str()).ok_or_else(missing)?;
        let declared = known.states.iter().find(|s| s.name.as_str().eq_ignore_ascii_case(state.as_str()));
        let declared = declared.ok_or_else(missing)?;
        let refused = |problem: String| CallError::new(ErrorCode::Refused, format!("{entity}/{state} {problem}"));
        if !declared.controllable {
            return Err(refused("cannot be set".to_owned()));
        }
        declared.kind.check(value).map_err(refused)
    }

    /// A flow of activation, not begun.
    pub fn activation(&self) -> FlowDriver<'_> {
        FlowDriver::new(self, &ops::ACTIVATE, AttributeValues::default())
    }

    /// A flow of deactivation of an integration with these attributes, not begun.
    pub fn deactivation(&self, values: impl IntoValues) -> FlowDriver<'_> {
        FlowDriver::new(self, &ops::DEACTIVATE, values.into_values())
    }

    /// Asks for a page: GET with these parameters.
    ///
    /// # Errors
    /// The gateway's.
    pub fn page(&self, params: &[(&str, &str)]) -> Result<ManageReply, CallError> {
        self.call(&ops::MANAGE, &ManageRequest { method: Method::Get, params: text_map(params), form: BTreeMap::new() })
    }

    /// Sends a form to a page: POST with these parameters and fields.
    ///
    /// # Errors
    /// The gateway's.
    pub fn send_form(&self, params: &[(&str, &str)], form: &[(&str, &str)]) -> Result<ManageReply, CallError> {
        self.call(&ops::MANAGE, &ManageRequest { method: Method::Post, params: text_map(params), form: text_map(form) })
    }

    /// A template of the gateway's by name.
    ///
    /// # Errors
    /// The call's.
    pub fn pane(&self, name: &str) -> Result<Option<String>, CallError> {
        let reply: PaneReply = self.call(&ops::PANE, &PaneRequest { name: name.to_owned() })?;
        Ok(reply.source)
    }

    /// What is wrong with which field of these values; empty when nothing is.
    ///
    /// # Errors
    /// The gateway's.
    pub fn validate(&self, values: impl IntoValues) -> Result<FieldErrors, CallError> {
        self.call(&ops::VALIDATE_CONFIGURATION, &Attributes { attributes: values.into_values() })
    }

    /// A live probe with these values.
    ///
    /// # Errors
    /// `bad_configuration` when the values are wrong.
    pub fn test_connection(&self, values: impl IntoValues) -> Result<ConnectionResult, CallError> {
        self.call(&ops::TEST_CONNECTION, &Attributes { attributes: values.into_values() })
    }

    /// Takes a complete snapshot and says what it changed.
    ///
    /// # Errors
    /// The gateway's; `unsupported` when it declares its entities by itself.
    pub fn synchronize(&self) -> Result<SyncOutcome, CallError> {
        let before = self.desk.world().snapshots.len();
        self.call::<()>(&ops::SYNCHRONIZE, &())?;
        let world = self.desk.world();
        world.snapshots.get(before).copied().ok_or_else(|| {
            CallError::new(ErrorCode::NoReply, "the gateway answered synchronize and sent no complete snapshot")
        })
    }

    /// What helps to find a fault.
    ///
    /// # Errors
    /// The gateway's.
    pub fn diagnostics(&self) -> Result<serde_json::Value, CallError> {
        self.call::<Diagnostics>(&ops::DIAGNOSTICS, &()).map(|diagnostics| diagnostics.data)
    }

    /// Replaces the log filter.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn set_log_filter(&self, filter: &str) -> Result<(), CallError> {
        self.call(&ops::SET_LOG_FILTER, &LogFilter { filter: filter.to_owned() })
    }

    /// Keeps back the answers about readings (`true`), or gives them all and keeps back no more: a busy host.
    pub fn hold_readings(&self, hold: bool) {
        self.hold(&[ops::EMIT.number, ops::EMIT_DURABLE.number, ops::FLUSH.number], hold);
    }

    /// The same for the answers about log events.
    pub fn hold_log(&self, hold: bool) {
        self.hold(&[ops::LOG.number], hold);
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

    /// The folder that the gateway may write to.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir.0
    }

    /// The entities, by lower-cased name.
    pub fn entities(&self) -> Vec<EntityDeclaration> {
        self.desk.world().entities.values().cloned().collect()
    }

    /// One entity.
    pub fn entity(&self, name: &str) -> Option<EntityDeclaration> {
        self.desk.world().entities.get(&name.to_lowercase()).cloned()
    }

    /// Every reading taken, in order; those without a time of their own have the time of arrival.
    pub fn readings(&self) -> Vec<Reading> {
        self.desk.world().readings.clone()
    }

    /// How many of the readings are committed.
    pub fn committed(&self) -> usize {
        self.desk.world().committed
    }

    /// Why readings were refused, one sentence for each.
    pub fn refused(&self) -> Vec<String> {
        self.desk.world().refused.clone()
    }

    /// A state's live value.
    pub fn state(&self, entity: &str, state: &str) -> Option<Value> {
        self.desk.world().live.get(&place(entity, state)).map(|reading| reading.value.clone())
    }

    /// A state's live value when it is a number.
    pub fn number(&self, entity: &str, state: &str) -> Option<f64> {
        match self.state(entity, state) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// What the gateway logged.
    pub fn logs(&self) -> Vec<LogRecord> {
        self.desk.world().logs.clone()
    }

    /// How many log events were dropped because too many came.
    pub fn logs_dropped(&self) -> u64 {
        self.desk.world().logs_dropped
    }

    /// The health reported last.
    pub fn health(&self) -> Health {
        self.desk.world().health.clone()
    }

    /// Every progress told.
    pub fn progress(&self) -> Vec<Progress> {
        self.desk.world().progress.clone()
    }

    /// A value of the key-value store.
    ///
    /// # Panics
    /// When what is kept is not a `T`.
    pub fn kv<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let bytes = self.desk.world().kv.get(key).cloned()?;
        Some(wire::decode(&bytes).unwrap_or_else(|error| panic!("{key:?}: {error}")))
    }

    /// A secret of the sealed store.
    pub fn secret(&self, key: &str) -> Option<Secret<String>> {
        let bytes = self.desk.world().secrets.get(key).cloned()?;
        String::from_utf8(bytes).ok().map(Secret::new)
    }

    /// How often the gateway called the host with this operation.
    pub fn calls(&self, op: &Op) -> usize {
        self.desk.world().calls.iter().filter(|number| **number == op.number).count()
    }
}

fn text_map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
