//! What a gateway may do: emit readings, declare entities, keep values and secrets, report health.

mod clock;
mod entity;
mod host;
mod readings;
mod store;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

pub use clock::Clock;
pub use entity::{Declarable, Entity, State};
pub use store::{Kv, Secrets};

pub(crate) use clock::VirtualTime;
pub(crate) use host::Host;
pub(crate) use readings::ReadingSender;

use crate::error::{CallError, ErrorCode, Result};
use crate::ids::{EntityName, IntegrationId, StateName};
use crate::message::{Declare, Health, HealthStatus, Instance, Progress, Reading, Remove};
use crate::ops;
use crate::runtime::chunks;
use crate::value::Value;
use readings::ReadingQueue;

/// The gateway's hold on its host.
///
/// Cheap to clone; `Send` and `Sync`, so it goes to tasks and to blocking threads alike. Its async methods wait for
/// the host without blocking the thread; they need the gateway's tokio runtime (any task of the gateway is inside it;
/// a blocking thread uses `tokio::runtime::Handle::current().block_on`).
///
/// # Errors
/// All of them fail alike: `unsupported` when this host does not know the operation, `deadline` when it does not
/// answer in the operation's time, `cancelled` once the gateway has ended, and what the host itself refuses.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    integration_id: IntegrationId,
    data_dir: PathBuf,
    host: Arc<Host>,
    readings: ReadingQueue,
    /// Of the gateway's whole life.
    life: CancellationToken,
    /// Of the time from `start` to `stop`: a child of `life`, a new one at each start.
    run: Mutex<CancellationToken>,
    clock: Clock,
}

impl Context {
    pub(crate) fn new(host: Arc<Host>, instance: &Instance, clock: Clock) -> (Self, ReadingSender) {
        let (readings, sender) = readings::queue(Arc::clone(&host));
        let life = CancellationToken::new();
        let shared = Shared {
            integration_id: instance.integration_id.clone(),
            data_dir: PathBuf::from(&instance.data_dir),
            host,
            readings,
            run: Mutex::new(life.child_token()),
            life,
            clock,
        };
        (Self { shared: Arc::new(shared) }, sender)
    }

    pub(crate) fn host(&self) -> &Host {
        &self.shared.host
    }

    /// At `start`: work may go on again.
    pub(crate) fn begin(&self) {
        let mut run = self.shared.run.lock().unwrap_or_else(PoisonError::into_inner);
        if run.is_cancelled() {
            *run = self.shared.life.child_token();
        }
    }

    /// At `stop`: work ends.
    pub(crate) fn cancel(&self) {
        self.cancellation().cancel();
    }

    /// At the gateway's end.
    pub(crate) fn end(&self) {
        self.shared.life.cancel();
    }

    /// The integration that this gateway serves.
    pub fn integration_id(&self) -> &IntegrationId {
        &self.shared.integration_id
    }

    /// A folder of the integration's own, absolute and there: the only one to write to.
    pub fn data_dir(&self) -> &Path {
        &self.shared.data_dir
    }

    /// The time, real or, in tests, virtual.
    pub fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// Queues one reading. Resolves at once while there is room; with 4096 readings or 8 MiB of texts and names
    /// waiting, when there is again: that is the back-pressure.
    ///
    /// The first reading goes to the host at once; those that come while it is on its way go together. Queued is not
    /// kept: see [`Context::flush`]. The host refuses a reading of a state that was not declared or cannot have the
    /// value; that is logged once for each reason, with a count.
    ///
    /// # Errors
    /// `refused` for a text of more than 64 KiB; `cancelled` once the gateway has ended.
    pub async fn emit(&self, reading: Reading) -> Result<()> {
        Ok(self.shared.readings.push(reading).await?)
    }

    /// As [`Context::emit`], from names and a value, at the time of arrival.
    ///
    /// # Errors
    /// As [`Context::emit`], and `refused` for a name that cannot be one.
    pub async fn emit_value(&self, entity: &str, state: &str, value: impl Into<Value>) -> Result<()> {
        let reading =
            Reading { entity: entity_name(entity)?, state: state_name(state)?, value: value.into(), at_ms: None };
        self.emit(reading).await
    }

    /// As [`Context::emit`], many in their order.
    ///
    /// # Errors
    /// As [`Context::emit`]; those before the failure are queued.
    pub async fn emit_all(&self, readings: impl IntoIterator<Item = Reading>) -> Result<()> {
        for reading in readings {
            self.emit(reading).await?;
        }
        Ok(())
    }

    /// Sends these readings, after all that were queued before, and resolves when they are committed: they survive
    /// the death of every process. Any number of them: they go in parts of at most 5000 readings and half a MiB, a few
    /// of which are on their way at once.
    ///
    /// # Errors
    /// `refused` when any of them was refused (a text of more than 64 KiB, an undeclared state), with how many and
    /// why; the others are committed. A failure of the store is the host's error; any of them may be committed then.
    pub async fn emit_durable(&self, readings: impl IntoIterator<Item = Reading>) -> Result<()> {
        let readings: Vec<Reading> = readings.into_iter().collect();
        let total = readings.len();
        let outcome = self.shared.readings.push_durable(readings).await?;
        if outcome.refused == 0 {
            return Ok(());
        }
        let message = format!("{} of {total} readings were refused: {}", outcome.refused, outcome.first_reason);
        Err(CallError::new(ErrorCode::Refused, message).into())
    }

    /// Resolves when everything emitted before is committed. Called by the runtime at the end of `stop`.
    ///
    /// Readings that the host refused by itself (see [`Context::emit`]) are no failure of a flush.
    ///
    /// # Errors
    /// Why a batch emitted before did not reach the host at all, told to the flushes that wait when it is told first;
    /// the store's failure. What else was emitted before is committed as far as the store can.
    pub async fn flush(&self) -> Result<()> {
        let taken = self.shared.readings.taken().await;
        let committed: Result<(), CallError> = self.host().call(&ops::FLUSH, &()).await;
        Ok(taken.and(committed)?)
    }

    /// Adds or updates these entities and touches no others. A reading emitted after it resolved finds its state.
    ///
    /// Takes [`Entity`] builders or finished declarations, of any number.
    ///
    /// # Errors
    /// `refused` for a name that cannot be one, or two that are equal lower-cased; nothing is declared then.
    pub async fn declare<E: Declarable>(&self, entities: impl IntoIterator<Item = E>) -> Result<()> {
        let entities = entities.into_iter().map(Declarable::into_declaration).collect::<Result<_>>()?;
        for entities in chunks::split(entities, chunks::CHUNK_MAX_BYTES)? {
            self.host().call::<_, ()>(&ops::DECLARE, &Declare { entities }).await?;
        }
        Ok(())
    }

    /// Detaches these entities: what a person made of them, and their history, stay and reattach when they return.
    /// Readings emitted before arrive before.
    ///
    /// # Errors
    /// `refused` for a name that cannot be one; a name that is not there is no error.
    pub async fn remove<N: AsRef<str>>(&self, names: impl IntoIterator<Item = N>) -> Result<()> {
        let entities = names.into_iter().map(|name| entity_name(name.as_ref())).collect::<Result<_>>()?;
        self.shared.readings.sent().await?;
        Ok(self.host().call(&ops::REMOVE, &Remove { entities }).await?)
    }

    /// A small key-value store of the integration's own; sealed at rest, kept across restarts and upgrades.
    pub fn kv(&self) -> Kv {
        Kv::new(Arc::clone(&self.shared.host))
    }

    /// The sealed store for what the plugin obtains itself (tokens, session keys).
    pub fn secrets(&self) -> Secrets {
        Secrets::new(Arc::clone(&self.shared.host))
    }

    /// Reports how well the integration is, with one sentence for a person (empty when there is nothing to say).
    ///
    /// # Errors
    /// See [`Context`].
    pub async fn health(&self, status: HealthStatus, message: impl Into<String>) -> Result<()> {
        Ok(self.host().call(&ops::HEALTH, &Health { status, message: message.into() }).await?)
    }

    /// Tells how far long work (a first import) has come; `percent` from 0 to 100 when known.
    ///
    /// # Errors
    /// See [`Context`].
    pub async fn progress(&self, message: impl Into<String>, percent: Option<f64>) -> Result<()> {
        Ok(self.host().call(&ops::PROGRESS, &Progress { message: message.into(), percent }).await?)
    }

    /// Resolves when the integration is being stopped, or its gateway dropped.
    pub async fn cancelled(&self) {
        self.cancellation().cancelled_owned().await;
    }

    /// The token of the present run: cancelled at `stop`, a new one at the next `start`.
    pub fn cancellation(&self) -> CancellationToken {
        self.shared.run.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn bad_name(error: &dyn std::fmt::Display) -> crate::Error {
    crate::Error::refused(error.to_string())
}

fn entity_name(name: &str) -> Result<EntityName> {
    EntityName::new(name).map_err(|error| bad_name(&error))
}

fn state_name(name: &str) -> Result<StateName> {
    StateName::new(name).map_err(|error| bad_name(&error))
}
