//! What is in the house: entities with their states, live values, readings on their way to the history.

pub mod bounds;
mod difference;
mod names;
mod readings;
mod registry;
mod stream;
mod sync;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::ids::{EntityAddress, EntityName, IntegrationId, StateAddress};
use gatehouse_plugin_api::message::{EmitOutcome, EntityDeclaration, Reading, SyncOutcome};
use gatehouse_plugin_api::value::Value;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use self::names::name_key;
use self::registry::Registry;
use self::stream::Hub;
pub use self::stream::Subscription;
use self::sync::Wish;
use crate::clock::Clock;
use crate::store::{ReadingQueue, Store, StoreError};

/// Whether an entity's upstream still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// The integration has it.
    Attached,
    /// The integration no longer lists it, or is off; history stays and it reattaches by its key.
    Detached,
    /// Detached and untouched by any person: not shown unless asked for.
    Hidden,
}

/// An entity as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// Its address.
    pub address: EntityAddress,
    /// What its plugin declared last.
    pub declaration: EntityDeclaration,
    /// The name that a person gave it, which makes it touched: it is never hidden.
    pub person_label: Option<String>,
    /// Whether its upstream still has it.
    pub attachment: Attachment,
    /// When it was first declared, in milliseconds since 1970 UTC.
    pub created_at_ms: i64,
}

/// The last value of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveState {
    /// The state's address; shared, because every reading carries it.
    pub address: Arc<StateAddress>,
    /// The value.
    pub value: Value,
    /// When the value became what it is, in milliseconds since 1970 UTC.
    pub changed_at_ms: i64,
    /// When it was last reported, equal or not.
    pub last_seen_ms: i64,
    /// The reading's sequence number in this boot of the daemon; 0 when it was read from the database.
    pub sequence: u64,
}

/// One row of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryRow {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The value.
    #[schema(value_type = crate::schema::StateValue)]
    pub value: Value,
}

/// A part of a state's history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// The newest rows of the span, oldest first.
    pub rows: Vec<HistoryRow>,
    /// Whether the span has older rows, which did not fit.
    pub older: bool,
}

/// Bounds of the readings' way; all from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadingLimits {
    /// Readings queued for the store before `emit` waits.
    pub queue_rows: usize,
    /// Readings per subscriber before it is dropped with a resume token.
    pub subscriber_rows: usize,
}

/// The house: registry, live values and the readings pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub struct House(Arc<HouseParts>);

#[derive(Debug)]
struct HouseParts {
    store: Store,
    clock: Clock,
    queue: ReadingQueue,
    core: Mutex<Core>,
    /// One declaration at a time per integration.
    gates: Mutex<HashMap<IntegrationId, Arc<tokio::sync::Mutex<()>>>>,
}

/// What changes with every reading, under one lock: the order of the readings is the order of taking it.
#[derive(Debug)]
struct Core {
    registry: Registry,
    hub: Hub,
    sequence: u64,
}

impl HouseParts {
    fn gate(&self, integration: &IntegrationId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.gates.lock().entry(integration.clone()).or_default())
    }
}

/// One thing a subscriber sees.
#[derive(Debug, Clone)]
pub enum StateEvent {
    /// The resume token was unknown: the full state follows.
    Reset,
    /// A state has a reading (changed or seen again), in order.
    Reading(Arc<LiveState>),
    /// Everything up to this sequence number is committed: the resume token is `boot:sequence`.
    Committed {
        /// The highest committed sequence number.
        sequence: u64,
    },
    /// The subscriber was too slow and is dropped; resume with the last token.
    Lagged,
}

impl House {
    /// Loads entities and last values and starts the pipeline.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(store: Store, clock: Clock, limits: ReadingLimits) -> Result<Self, StoreError> {
        let mut registry = Registry::default();
        for row in store.entity_list().await? {
            registry.put(row);
        }
        let hub = Hub::new(crate::boot::new_boot(), limits.subscriber_rows);
        let core = Mutex::new(Core { registry, hub, sequence: 0 });
        Ok(Self(Arc::new_cyclic(|weak: &Weak<HouseParts>| {
            let (weak_parts, weak) = (weak.clone(), weak.clone());
            let on_commit = move |sequence| {
                if let Some(parts) = weak.upgrade() {
                    parts.core.lock().hub.committed(sequence);
                }
            };
            let remembering = weak_parts.clone();
            store.remember(Arc::new(move || {
                let parts = remembering.upgrade();
                parts.map(|parts| parts.core.lock().registry.rows()).unwrap_or_default()
            }));
            let queue = store.readings(limits.queue_rows, Arc::new(on_commit));
            HouseParts { store, clock, queue, core, gates: Mutex::default() }
        })))
    }

    /// Ends every subscription after what is queued; readings go on.
    pub fn close_subscriptions(&self) {
        self.0.core.lock().hub.close();
    }

    /// Adds or updates these entities and no others (`declare`), persisted when it resolves.
    ///
    /// # Errors
    /// `invalid_request` when two names are equal lower-cased, or a declaration is out of bounds; `transient` when the
    /// database cannot be written.
    pub async fn declare(
        &self,
        integration: &IntegrationId,
        entities: Vec<EntityDeclaration>,
    ) -> Result<SyncOutcome, CallError> {
        sync::apply(&self.0, integration, Wish::Declare(entities)).await
    }

    /// Detaches these entities.
    ///
    /// # Errors
    /// `not_found` names the first that is not there; `transient` when the database cannot be written.
    pub async fn remove(&self, integration: &IntegrationId, entities: Vec<EntityName>) -> Result<(), CallError> {
        sync::apply(&self.0, integration, Wish::Remove(entities)).await.map(|_| ())
    }

    /// Applies a complete snapshot: detaches what it does not list.
    ///
    /// # Errors
    /// As `declare`.
    pub async fn synchronize(
        &self,
        integration: &IntegrationId,
        entities: Vec<EntityDeclaration>,
    ) -> Result<SyncOutcome, CallError> {
        sync::apply(&self.0, integration, Wish::Synchronize(entities)).await
    }

    /// Detaches all entities of an integration that is switched off: touched ones stay, untouched ones are hidden.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn detach_all(&self, integration: &IntegrationId) -> Result<(), StoreError> {
        sync::detach_all(&self.0, integration).await
    }

    /// Deletes entities and readings of an integration in batches; `progress` gets the rows deleted so far.
    ///
    /// # Errors
    /// When the database cannot be written, a full disk included; what is left stands as it did, and calling it again
    /// goes on.
    pub async fn delete_all(
        &self,
        integration: &IntegrationId,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        let gate = self.0.gate(integration);
        let _alone = gate.lock().await;
        // First, so that no reading comes for a row that is being deleted. Those on their way are not waited for: on a full
        // disk they cannot be written, and this is what makes room.
        let states = {
            let mut core = self.0.core.lock();
            let states = core.registry.state_ids(integration);
            core.registry.forget(integration);
            states
        };
        let deleted = self.0.store.entities_delete(integration, self.0.queue.without(states), progress).await;
        if deleted.is_err() {
            let left = self.0.store.entity_list().await?;
            let mut core = self.0.core.lock();
            left.into_iter().filter(|row| row.integration == *integration).for_each(|row| core.registry.put(row));
        }
        deleted
    }

    /// Gives an entity a person's own name, or with `None` the plugin's again; persisted when it resolves. `false` when
    /// there is no such entity.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn label_set(&self, address: &EntityAddress, label: Option<String>) -> Result<bool, StoreError> {
        sync::label(&self.0, address, label).await
    }

    /// Every entity, detached and hidden ones included, sorted by address.
    pub fn entities(&self) -> Vec<Arc<Entity>> {
        let mut entities = self.0.core.lock().registry.entities();
        entities.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        entities
    }

    /// One entity.
    pub fn entity(&self, address: &EntityAddress) -> Option<Arc<Entity>> {
        self.0.core.lock().registry.find(address).map(|known| Arc::clone(&known.entity))
    }

    /// Every live value of attached entities, sorted by address.
    pub fn live_states(&self) -> Vec<Arc<LiveState>> {
        let mut live = self.0.core.lock().registry.live();
        live.sort_unstable_by(|a, b| a.address.cmp(&b.address));
        live
    }

    /// The last value of one state, that of a detached entity too.
    pub fn live_state(&self, address: &StateAddress) -> Option<Arc<LiveState>> {
        let core = self.0.core.lock();
        core.registry.find(&address.entity)?.slot(address.state.as_str())?.live.clone()
    }

    /// Takes readings: bounds check, sequence number, live value, subscribers, queue. Resolves when queued.
    pub async fn emit(&self, integration: &IntegrationId, readings: Vec<Reading>) -> EmitOutcome {
        readings::emit(&self.0, integration, readings).await
    }

    /// As `emit`, resolves after the commit.
    ///
    /// # Errors
    /// `transient` when the commit failed.
    pub async fn emit_durable(
        &self,
        integration: &IntegrationId,
        readings: Vec<Reading>,
    ) -> Result<EmitOutcome, CallError> {
        let outcome = self.emit(integration, readings).await;
        self.flush().await?;
        Ok(outcome)
    }

    /// Resolves when everything queued before is committed.
    ///
    /// # Errors
    /// `transient` when the commit failed.
    pub async fn flush(&self) -> Result<(), CallError> {
        self.0.queue.committed().await.map_err(|error| sync::store_failed(&error))
    }

    /// How many readings of an integration were refused since the daemon started.
    pub fn refused(&self, integration: &IntegrationId) -> u64 {
        self.0.core.lock().registry.room(integration).map_or(0, |room| room.refused)
    }

    /// Attached entities, and states that have a value.
    pub fn counts(&self) -> (u64, u64) {
        self.0.core.lock().registry.counts()
    }

    /// Open subscriptions, and how many were ended so far because they were too slow.
    pub fn subscribers(&self) -> (u64, u64) {
        self.0.core.lock().hub.counts()
    }

    /// The resume token of a committed sequence number, `boot:sequence`: what [`House::subscribe`] takes.
    pub fn resume_token(&self, sequence: u64) -> String {
        self.0.core.lock().hub.token(sequence)
    }

    /// Subscribes. With a token of this boot that is recent enough the stream goes on behind it; without one, or with
    /// an unknown one, it begins with `Reset` and the full state.
    pub fn subscribe(&self, resume: Option<&str>) -> Subscription {
        let mut core = self.0.core.lock();
        let Core { registry, hub, sequence } = &mut *core;
        hub.subscribe(resume, *sequence, registry.version(), || {
            let mut live = registry.live();
            live.sort_unstable_by(|a, b| a.address.cmp(&b.address));
            live
        })
    }

    /// The history of a state, oldest first: the newest rows, at most `limit`, with at most
    /// [`bounds::HISTORY_TEXT_MAX_BYTES`] of texts together; empty for an unknown state.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(
        &self,
        address: &StateAddress,
        since_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let id = {
            let core = self.0.core.lock();
            core.registry.find(&address.entity).and_then(|known| known.slot(address.state.as_str())).map(|slot| slot.id)
        };
        match id {
            Some(id) => self.0.store.readings_of(id, since_ms, until_ms, limit).await,
            None => Ok(HistoryPage { rows: Vec::new(), older: false }),
        }
    }
}

#[cfg(test)]
mod tests;
