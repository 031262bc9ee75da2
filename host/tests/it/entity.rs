//! The house as integrations, people and subscribers meet it, on a real database.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use gatehouse_host::clock::{Clock, ManualTime};
use gatehouse_host::entity::{Attachment, House, LiveState, ReadingLimits, StateEvent, Subscription};
use gatehouse_host::store::Store;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::ids::{EntityAddress, EntityName, IntegrationId, StateAddress, StateName};
use gatehouse_plugin_api::message::{EntityDeclaration, Reading, StateDeclaration, SyncOutcome};
use gatehouse_plugin_api::value::{StateKind, Value};

mod declarations;
mod killed;
mod readings;
mod subscribers;

use crate::store::{Place, id};

const NOW: i64 = 1_750_000_000_000;
const LIMITS: ReadingLimits = ReadingLimits { queue_rows: 20_000, subscriber_rows: 100 };

struct Home {
    place: Place,
    store: Store,
    house: House,
    now: ManualTime,
}

impl Home {
    async fn new() -> Self {
        Self::with(Place::new(), LIMITS).await
    }

    async fn with(place: Place, limits: ReadingLimits) -> Self {
        let store = place.open().unwrap();
        let (clock, now) = Clock::manual(NOW);
        let house = House::open(store.clone(), clock, limits).await.unwrap();
        Self { place, store, house, now }
    }

    async fn restart(self) -> Self {
        self.store.close().await;
        drop(self.house);
        Self::with(self.place, LIMITS).await
    }

    async fn history(&self, state: &str) -> Vec<String> {
        let rows = self.house.history(&address(state), 0, i64::MAX, 1_000_000).await.unwrap().rows;
        rows.iter().map(|row| format!("{}={}", row.at_ms - NOW, row.value)).collect()
    }

    async fn emit(&self, readings: Vec<Reading>) {
        let outcome = self.house.emit_durable(&id("virtual"), readings).await.unwrap();
        assert_eq!(outcome.refused, 0, "{}", outcome.first_reason);
    }
}

fn address(text: &str) -> StateAddress {
    text.parse().unwrap()
}

fn entity_address(text: &str) -> EntityAddress {
    text.parse().unwrap()
}

fn state(name: &str, kind: StateKind) -> StateDeclaration {
    StateDeclaration {
        name: StateName::new(name).unwrap(),
        label: String::new(),
        kind,
        sensed: true,
        controllable: false,
    }
}

/// An entity with a state of every kind.
fn entity(name: &str) -> EntityDeclaration {
    EntityDeclaration {
        name: EntityName::new(name).unwrap(),
        label: String::new(),
        entity_type: "device".into(),
        states: vec![
            state("level", StateKind::Number { unit: "%".into(), min: Some(0.0), max: Some(100.0) }),
            state("note", StateKind::Text),
            state("power", StateKind::OnOff),
            state("mode", StateKind::Choice { options: vec!["eco".into(), "boost".into()] }),
            state("button", StateKind::Event { events: vec![] }),
            state("since", StateKind::Timestamp),
        ],
        previous_name: None,
    }
}

fn renamed(name: &str, previous: &str) -> EntityDeclaration {
    EntityDeclaration { previous_name: Some(EntityName::new(previous).unwrap()), ..entity(name) }
}

fn reading(state: &str, value: Value) -> Reading {
    let (entity, state) = state.split_once('/').unwrap();
    Reading { entity: EntityName::new(entity).unwrap(), state: StateName::new(state).unwrap(), value, at_ms: None }
}

fn at(state: &str, value: Value, at_ms: i64) -> Reading {
    Reading { at_ms: Some(at_ms), ..reading(state, value) }
}

fn levels(values: std::ops::Range<u32>) -> Vec<Reading> {
    values.map(|value| reading("lamp/level", f64::from(value).into())).collect()
}

async fn next(subscription: &mut Subscription) -> StateEvent {
    subscription.next().await.expect("the stream goes on")
}

/// `reset`, `lagged`, `committed N`, `lamp/power=on#N`.
fn shown(event: &StateEvent) -> String {
    match event {
        StateEvent::Reset => "reset".into(),
        StateEvent::Lagged => "lagged".into(),
        StateEvent::Committed { sequence } => format!("committed {sequence}"),
        StateEvent::Reading(live) => format!("{}={}#{}", live.address, live.value, live.sequence),
    }
}

/// Everything up to the commit of a sequence number; commits themselves are left out.
async fn until_committed(subscription: &mut Subscription, sequence: u64) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = next(subscription).await;
        match event {
            StateEvent::Committed { sequence: committed } if committed >= sequence => return seen,
            StateEvent::Committed { .. } => {}
            event => seen.push(shown(&event)),
        }
    }
}

fn live(home: &Home, state: &str) -> Arc<LiveState> {
    home.house.live_state(&address(state)).unwrap()
}
