//! What is known in memory: entities by integration and lower-cased name, their states with the last value.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gatehouse_plugin_api::ids::{EntityAddress, IntegrationId, StateAddress, StateName};
use gatehouse_plugin_api::value::StateKind;

use super::{Attachment, Entity, LiveState, name_key};
use crate::store::{EntityRow, LastValue, StateRow};

/// Everything that is known, by integration.
#[derive(Debug, Default)]
pub(super) struct Registry {
    rooms: HashMap<IntegrationId, Room>,
    /// Another one whenever there is something else than before, values aside.
    version: u64,
}

/// What one integration has.
#[derive(Debug, Default)]
pub(super) struct Room {
    entities: HashMap<Box<str>, Known>,
    /// Where an entity of the database stands, which a renaming changes.
    keys: HashMap<i64, Box<str>>,
    /// Readings refused since the daemon started.
    pub(super) refused: u64,
    /// The bytes of the texts of all last values.
    pub(super) texts: usize,
}

/// An entity with all states that it ever had.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) entity: Arc<Entity>,
    states: HashMap<Box<str>, Slot>,
}

/// A state and its last value.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: i64,
    pub(super) address: Arc<StateAddress>,
    /// As declared; `None` when the declaration no longer has it.
    pub(super) kind: Option<StateKind>,
    pub(super) live: Option<Arc<LiveState>>,
}

impl Slot {
    fn row(&self, name_key: &str) -> StateRow {
        let last = self.live.as_ref().map(|live| LastValue {
            value: live.value.clone(),
            changed_at_ms: live.changed_at_ms,
            last_seen_ms: live.last_seen_ms,
        });
        StateRow { id: self.id, name_key: name_key.to_owned(), last }
    }
}

impl Known {
    pub(super) fn slot(&self, state: &str) -> Option<&Slot> {
        self.states.get(name_key(state).as_ref())
    }

    pub(super) fn slot_mut(&mut self, state: &str) -> Option<&mut Slot> {
        self.states.get_mut(name_key(state).as_ref())
    }

    pub(super) fn attached(&self) -> bool {
        self.entity.attachment == Attachment::Attached
    }

    /// The values of declared states.
    fn live(&self) -> impl Iterator<Item = &Arc<LiveState>> {
        self.states.values().filter(|slot| slot.kind.is_some()).filter_map(|slot| slot.live.as_ref())
    }

    fn change(&mut self, change: impl FnOnce(&mut Entity)) {
        let mut entity = Entity::clone(&self.entity);
        change(&mut entity);
        self.entity = Arc::new(entity);
    }
}

impl Room {
    pub(super) fn get_mut(&mut self, entity: &str) -> Option<&mut Known> {
        self.entities.get_mut(name_key(entity).as_ref())
    }

    pub(super) fn get(&self, entity: &str) -> Option<&Known> {
        self.entities.get(name_key(entity).as_ref())
    }

    pub(super) fn known(&self) -> impl Iterator<Item = &Known> {
        self.entities.values()
    }
}

fn texts(states: &HashMap<Box<str>, Slot>) -> usize {
    states.values().filter_map(|slot| slot.live.as_ref()).map(|live| live.value.text_bytes()).sum()
}

impl Registry {
    pub(super) fn room(&self, integration: &IntegrationId) -> Option<&Room> {
        self.rooms.get(integration)
    }

    /// The room of an integration; made when there is none, so that its refused readings are counted.
    pub(super) fn room_or_new(&mut self, integration: &IntegrationId) -> &mut Room {
        if !self.rooms.contains_key(integration) {
            self.rooms.insert(integration.clone(), Room::default());
        }
        self.rooms.get_mut(integration).expect("it was there or was put there")
    }

    /// The states that an integration ever had, by their ids in the database.
    pub(super) fn state_ids(&self, integration: &IntegrationId) -> HashSet<i64> {
        let known = self.rooms.get(integration).into_iter().flat_map(Room::known);
        known.flat_map(|known| known.states.values().map(|slot| slot.id)).collect()
    }

    pub(super) fn forget(&mut self, integration: &IntegrationId) {
        self.version += 1;
        self.rooms.remove(integration);
    }

    pub(super) fn find(&self, address: &EntityAddress) -> Option<&Known> {
        self.rooms.get(&address.integration)?.entities.get(name_key(address.entity.as_str()).as_ref())
    }

    /// Takes a row as it is in the database now; values in memory are newer than the row's and stay.
    pub(super) fn put(&mut self, row: EntityRow) {
        self.version += 1;
        let room = self.room_or_new(&row.integration);
        let key = name_key(row.declaration.name.as_str()).into_owned().into_boxed_str();
        let old = room.keys.insert(row.id, key.clone());
        // What stays is counted again below.
        let mut before = old.and_then(|old| room.entities.remove(&old)).map(|known| known.states).unwrap_or_default();
        room.texts -= texts(&before);
        let address = EntityAddress { integration: row.integration, entity: row.declaration.name.clone() };
        let declared: HashMap<_, _> =
            row.declaration.states.iter().map(|state| (name_key(state.name.as_str()), state)).collect();
        let mut states = HashMap::with_capacity(row.states.len());
        for state in row.states {
            let declaration = declared.get(state.name_key.as_str());
            let name = match declaration {
                Some(declaration) => declaration.name.clone(),
                None => match StateName::new(&state.name_key) {
                    Ok(name) => name,
                    Err(_) => continue,
                },
            };
            let address = Arc::new(StateAddress { entity: address.clone(), state: name });
            let kind = declaration.map(|declaration| declaration.kind.clone());
            let live = match before.remove(state.name_key.as_str()).and_then(|slot| slot.live) {
                Some(live) if live.address == address => Some(live),
                Some(live) => Some(Arc::new(LiveState { address: Arc::clone(&address), ..LiveState::clone(&live) })),
                None => state.last.map(|last| {
                    Arc::new(LiveState {
                        address: Arc::clone(&address),
                        value: last.value,
                        changed_at_ms: last.changed_at_ms,
                        last_seen_ms: last.last_seen_ms,
                        sequence: 0,
                    })
                }),
            };
            // A state that is of another kind now has no value until it is reported.
            let live = live.filter(|live| kind.as_ref().is_none_or(|kind| kind.word() == live.value.kind_word()));
            states.insert(state.name_key.into_boxed_str(), Slot { id: state.id, address, kind, live });
        }
        drop(declared);
        room.texts += texts(&states);
        let entity = Arc::new(Entity {
            address,
            declaration: row.declaration,
            person_label: row.person_label,
            attachment: row.attachment,
            created_at_ms: row.created_at_ms,
        });
        room.entities.insert(key, Known { id: row.id, entity, states });
    }

    /// Attaches or detaches an entity by its id in the database.
    pub(super) fn attach(&mut self, integration: &IntegrationId, changes: &HashMap<i64, Attachment>) {
        self.version += 1;
        let Some(room) = self.rooms.get_mut(integration) else { return };
        for (id, attachment) in changes {
            let known = room.keys.get(id).and_then(|key| room.entities.get_mut(key));
            if let Some(known) = known {
                known.change(|entity| entity.attachment = *attachment);
            }
        }
    }

    /// Gives an entity a person's own name.
    pub(super) fn label(&mut self, address: &EntityAddress, label: Option<String>) {
        let room = self.rooms.get_mut(&address.integration);
        if let Some(known) = room.and_then(|room| room.get_mut(address.entity.as_str())) {
            known.change(|entity| entity.person_label = label);
        }
    }

    /// Changes with everything but values.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Attached entities, and their states that have a value.
    pub(super) fn counts(&self) -> (u64, u64) {
        let attached = || self.rooms.values().flat_map(Room::known).filter(|known| known.attached());
        (attached().count() as u64, attached().flat_map(Known::live).count() as u64)
    }

    /// Everything as it is kept in the database.
    pub(super) fn rows(&self) -> Vec<EntityRow> {
        let row = |known: &Known| EntityRow {
            id: known.id,
            integration: known.entity.address.integration.clone(),
            declaration: known.entity.declaration.clone(),
            attachment: known.entity.attachment,
            created_at_ms: known.entity.created_at_ms,
            person_label: known.entity.person_label.clone(),
            states: known.states.iter().map(|(key, slot)| slot.row(key)).collect(),
        };
        self.rooms.values().flat_map(Room::known).map(row).collect()
    }

    /// Every entity, in no order.
    pub(super) fn entities(&self) -> Vec<Arc<Entity>> {
        self.rooms.values().flat_map(Room::known).map(|known| Arc::clone(&known.entity)).collect()
    }

    /// The last values of the declared states of attached entities, in no order.
    pub(super) fn live(&self) -> Vec<Arc<LiveState>> {
        let attached = self.rooms.values().flat_map(Room::known).filter(|known| known.attached());
        attached.flat_map(Known::live).cloned().collect()
    }
}
