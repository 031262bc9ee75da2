//! What is in the house: entities with their states, live values, readings on their way to the history.

use std::sync::Arc;

use gatehouse_plugin_api::error::CallError;
use gatehouse_plugin_api::ids::{EntityAddress, EntityName, IntegrationId, StateAddress};
use gatehouse_plugin_api::message::{EmitOutcome, EntityDeclaration, Reading, SyncOutcome};
use gatehouse_plugin_api::value::Value;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Clock;
use crate::store::{Store, StoreError};

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
    /// The state's address.
    pub address: StateAddress,
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
struct HouseParts {}

/// A stream of what subscribers see.
#[derive(Debug)]
pub struct Subscription {}

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

#[expect(unused_variables, clippy::unused_async, reason = "being built")]
impl House {
    /// Loads entities and last values and starts the pipeline.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open(store: Store, clock: Clock, limits: ReadingLimits) -> Result<Self, StoreError> {
        todo!("entity room")
    }

    /// Adds or updates these entities and no others (`declare`), persisted when it resolves.
    ///
    /// # Errors
    /// `invalid_request` when two names are equal lower-cased, or a declaration is out of bounds.
    pub async fn declare(
        &self,
        integration: &IntegrationId,
        entities: Vec<EntityDeclaration>,
    ) -> Result<SyncOutcome, CallError> {
        todo!("entity room")
    }

    /// Detaches these entities.
    ///
    /// # Errors
    /// `not_found` names the first that is not there.
    pub async fn remove(&self, integration: &IntegrationId, entities: Vec<EntityName>) -> Result<(), CallError> {
        todo!("entity room")
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
        todo!("entity room")
    }

    /// Detaches all entities of an integration that is switched off: touched ones stay, untouched ones are hidden.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn detach_all(&self, integration: &IntegrationId) -> Result<(), StoreError> {
        todo!("entity room")
    }

    /// Deletes entities and readings of an integration in batches; `progress` gets the rows deleted so far.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn delete_all(
        &self,
        integration: &IntegrationId,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), StoreError> {
        todo!("entity room")
    }

    /// Gives an entity a person's own name, or with `None` the plugin's again; persisted when it resolves. `false` when
    /// there is no such entity.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn label_set(&self, address: &EntityAddress, label: Option<String>) -> Result<bool, StoreError> {
        todo!("entity room")
    }

    /// The resume token of a committed sequence number, `boot:sequence`: what [`House::subscribe`] takes.
    pub fn resume_token(&self, sequence: u64) -> String {
        todo!("entity room")
    }

    /// Every entity, sorted by address.
    pub fn entities(&self) -> Vec<Arc<Entity>> {
        todo!("entity room")
    }

    /// One entity.
    pub fn entity(&self, address: &EntityAddress) -> Option<Arc<Entity>> {
        todo!("entity room")
    }

    /// Every live value, sorted by address.
    pub fn live_states(&self) -> Vec<Arc<LiveState>> {
        todo!("entity room")
    }

    /// One live value.
    pub fn live_state(&self, address: &StateAddress) -> Option<Arc<LiveState>> {
        todo!("entity room")
    }

    /// Takes readings: bounds check, sequence number, live value, subscribers, queue. Resolves when queued.
    pub async fn emit(&self, integration: &IntegrationId, readings: Vec<Reading>) -> EmitOutcome {
        todo!("entity room")
    }

    /// As `emit`, resolves after the commit.
    ///
    /// # Errors
    /// When the commit failed.
    pub async fn emit_durable(
        &self,
        integration: &IntegrationId,
        readings: Vec<Reading>,
    ) -> Result<EmitOutcome, CallError> {
        todo!("entity room")
    }

    /// Resolves when everything queued before is committed.
    ///
    /// # Errors
    /// When the commit failed.
    pub async fn flush(&self) -> Result<(), CallError> {
        todo!("entity room")
    }

    /// Subscribes; with an unknown token the stream begins with `Reset` and the full state.
    pub fn subscribe(&self, resume: Option<&str>) -> Subscription {
        todo!("entity room")
    }

    /// The history of a state, oldest first, at most `limit` rows (the newest ones).
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn history(
        &self,
        address: &StateAddress,
        since_ms: i64,
        until_ms: i64,
        limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        todo!("entity room")
    }
}

#[expect(clippy::unused_async, reason = "being built")]
impl Subscription {
    /// The next event; `None` after `Lagged` or when the house is closed.
    pub async fn next(&mut self) -> Option<StateEvent> {
        todo!("entity room")
    }
}
