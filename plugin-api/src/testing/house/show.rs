//! What the gateway did, as a test looks at it.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::House;
use crate::message::{EntityDeclaration, Health, LogRecord, Progress, Reading};
use crate::ops::Op;
use crate::testing::world::place;
use crate::value::Value;
use crate::{Secret, wire};

impl House {
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
