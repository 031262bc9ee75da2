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

#[tokio::test]
async fn every_kind_of_value_survives_a_restart() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    let values = [
        ("level", Value::Number(21.5)),
        ("note", Value::Text("näh".into())),
        ("power", Value::OnOff(true)),
        ("mode", Value::Choice("eco".into())),
        ("button", Value::Event("pressed".into())),
        ("since", Value::TimestampMs(NOW - 5)),
    ];
    home.emit(values.iter().map(|(state, value)| reading(&format!("lamp/{state}"), value.clone())).collect()).await;
    let before = home.house.live_states();
    assert_eq!(before.len(), 6);

    let home = home.restart().await;
    for (state, value) in values {
        let live = live(&home, &format!("virtual:lamp/{state}"));
        assert_eq!((&live.value, live.sequence, live.last_seen_ms), (&value, 0, NOW));
        let history =
            home.house.history(&address(&format!("virtual:lamp/{state}")), 0, i64::MAX, 10).await.unwrap().rows;
        assert_eq!(history.into_iter().map(|row| row.value).collect::<Vec<_>>(), [value]);
    }
    let addresses = |states: &[Arc<LiveState>]| states.iter().map(|s| s.address.to_string()).collect::<Vec<_>>();
    assert_eq!(addresses(&home.house.live_states()), addresses(&before));
    assert!(addresses(&before).is_sorted());
}

#[tokio::test]
async fn an_unchanged_value_adds_no_row_and_moves_last_seen() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    for (value, at_ms) in [(1.0, 0), (1.0, 10), (1.0, 20), (2.0, 30), (2.0, 40), (1.0, 50)] {
        home.emit(vec![at("lamp/level", Value::Number(value), NOW + at_ms)]).await;
    }
    home.emit(vec![at("lamp/level", Value::Number(1.0), NOW + 60)]).await;
    for (n, text) in [(0, "ring"), (1, "ring"), (1, "ring")] {
        home.emit(vec![at("lamp/button", Value::Event(text.into()), NOW + n)]).await;
    }
    let home = home.restart().await;
    assert_eq!(home.history("virtual:lamp/level").await, ["0=1", "30=2", "50=1"]);
    assert_eq!(home.history("virtual:lamp/button").await, ["0=ring", "1=ring", "1=ring"]);
    let live = live(&home, "virtual:lamp/level");
    assert_eq!((live.changed_at_ms, live.last_seen_ms), (NOW + 50, NOW + 60));
}

#[tokio::test]
async fn history_gives_the_newest_rows_of_a_span_oldest_first() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    home.emit((0..10).map(|n| at("lamp/level", f64::from(n).into(), NOW + i64::from(n))).collect()).await;
    let lamp = address("virtual:LAMP/Level");
    let rows = home.house.history(&lamp, NOW + 2, NOW + 8, 3).await.unwrap().rows;
    assert_eq!(rows.iter().map(|row| row.at_ms - NOW).collect::<Vec<_>>(), [6, 7, 8]);
    assert!(home.house.history(&address("virtual:lamp/nothing"), 0, i64::MAX, 3).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn subscribers_and_history_see_one_order_even_within_a_millisecond() {
    let home = Home::with(Place::new(), ReadingLimits { queue_rows: 700, subscriber_rows: 10_000 }).await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    let mut subscription = home.house.subscribe(None);
    assert_eq!(shown(&next(&mut subscription).await), "reset");
    home.house.emit(&id("virtual"), levels(0..3_000)).await;
    home.house.flush().await.unwrap();
    let seen = until_committed(&mut subscription, 3_000).await;
    let expected: Vec<_> = (0..3_000).map(|n| format!("virtual:lamp/level={n}#{}", n + 1)).collect();
    assert_eq!(seen, expected);
    let history = home.history("virtual:lamp/level").await;
    assert_eq!(history, (0..3_000).map(|n| format!("0={n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_token_resumes_and_an_unknown_or_old_one_resets() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    home.emit(levels(0..10)).await;
    let token = home.house.resume_token(10);
    home.emit(levels(20..23)).await;

    let mut resumed = home.house.subscribe(Some(&token));
    let seen = until_committed(&mut resumed, 13).await;
    assert_eq!(seen, ["virtual:lamp/level=20#11", "virtual:lamp/level=21#12", "virtual:lamp/level=22#13"]);

    for unknown in ["", "nonsense", "0123456789abcdef:10", &token.replace(":10", ":9999"), &token.replace(":10", ":x")]
    {
        let seen = until_committed(&mut home.house.subscribe(Some(unknown)), 13).await;
        assert_eq!(seen, ["reset", "virtual:lamp/level=22#13"], "{unknown:?}");
    }
    let seen = until_committed(&mut home.house.subscribe(None), 13).await;
    assert_eq!(seen, ["reset", "virtual:lamp/level=22#13"]);

    // The ring holds 100 readings.
    home.emit(levels(0..90)).await;
    assert!(!until_committed(&mut home.house.subscribe(Some(&token)), 103).await.contains(&"reset".to_owned()));
    home.emit(levels(200..211)).await;
    let seen = until_committed(&mut home.house.subscribe(Some(&token)), 114).await;
    assert_eq!(seen, ["reset", "virtual:lamp/level=210#114"]);

    let home = home.restart().await;
    let mut other_boot = home.house.subscribe(Some(&token));
    assert_eq!(shown(&next(&mut other_boot).await), "reset");
    assert_eq!(shown(&next(&mut other_boot).await), "virtual:lamp/level=210#0");
}

#[tokio::test]
async fn a_slow_subscriber_is_dropped_with_a_token_and_misses_nothing() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    let mut slow = home.house.subscribe(None);
    home.emit(levels(0..60)).await;
    home.emit(levels(100..160)).await;

    let (mut seen, mut committed) = (Vec::new(), 0);
    let last = loop {
        match next(&mut slow).await {
            StateEvent::Committed { sequence } => committed = sequence,
            StateEvent::Lagged => break shown(&StateEvent::Lagged),
            event => seen.push(shown(&event)),
        }
    };
    assert_eq!(last, "lagged");
    assert!(slow.next().await.is_none());
    assert_eq!(committed, 60);
    assert!((60..120).contains(&(seen.len() - 1)), "{}", seen.len());

    let again = until_committed(&mut home.house.subscribe(Some(&home.house.resume_token(committed))), 120).await;
    assert_eq!(again.first().map(String::as_str), Some("virtual:lamp/level=100#61"));
    assert_eq!(again.len(), 60);
}

#[tokio::test]
async fn subscriptions_end_with_the_house() {
    let home = Home::new().await;
    let (mut a, mut b) = (home.house.subscribe(None), home.house.subscribe(None));
    home.house.close_subscriptions();
    while a.next().await.is_some() {}
    drop(home.house);
    while b.next().await.is_some() {}
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_counted_and_told() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp"), entity("gone")]).await.unwrap();
    home.house.remove(&id("virtual"), vec![EntityName::new("gone").unwrap()]).await.unwrap();
    let cases = [
        (reading("lamp/nothing", true.into()), "no state \"nothing\""),
        (reading("door/power", true.into()), "the entity \"door\" has no state"),
        (reading("gone/power", true.into()), "is detached"),
        (reading("lamp/power", 1.0.into()), "takes on_off and got number"),
        (reading("lamp/level", f64::NAN.into()), "finite"),
        (reading("lamp/level", f64::INFINITY.into()), "finite"),
        (reading("lamp/mode", Value::Choice("warp".into())), "not one of eco, boost"),
        (reading("lamp/note", Value::Text("x".repeat(65_537))), "65537 bytes"),
        (reading("lamp/button", Value::Event("x".repeat(65_537))), "65537 bytes"),
        (at("lamp/power", true.into(), 946_684_799_999), "before the year 2000"),
        (at("lamp/power", true.into(), NOW + 86_400_001), "more than a day ahead"),
    ];
    for (n, (bad, part)) in (1..).zip(cases) {
        let outcome = home.house.emit(&id("virtual"), vec![reading("lamp/power", true.into()), bad]).await;
        assert_eq!(outcome.refused, 1);
        assert!(outcome.first_reason.contains(part), "{}", outcome.first_reason);
        assert_eq!(home.house.refused(&id("virtual")), n);
    }
    let fine = vec![
        // What a sensor sees may lie beyond what may be set.
        reading("LAMP/Level", 140.0.into()),
        reading("lamp/note", Value::Text("x".repeat(65_536))),
        at("lamp/power", false.into(), NOW + 86_400_000),
    ];
    home.emit(fine).await;
    assert_eq!(home.house.emit(&id("other"), vec![reading("lamp/power", true.into())]).await.refused, 1);
    assert_eq!(home.house.refused(&id("other")), 1);
}

#[tokio::test]
async fn a_reading_of_the_past_goes_into_the_history_alone() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    home.emit(vec![reading("lamp/level", 5.0.into())]).await;
    let mut subscription = home.house.subscribe(Some(&home.house.resume_token(1)));
    home.emit(vec![at("lamp/level", 4.0.into(), NOW - 3_600_000), reading("lamp/level", 6.0.into())]).await;
    assert_eq!(until_committed(&mut subscription, 3).await, ["virtual:lamp/level=6#3"]);
    // A clock that was set back does not freeze the state.
    home.now.store(NOW - 600_000, Ordering::SeqCst);
    home.emit(vec![at("lamp/level", 7.0.into(), NOW - 600_000)]).await;
    assert_eq!(live(&home, "virtual:lamp/level").value, Value::Number(7.0));
    assert_eq!(home.history("virtual:lamp/level").await, ["-3600000=4", "-600000=7", "0=5", "0=6"]);
}

#[tokio::test]
async fn reattaching_and_renaming_keep_history_and_labels() {
    let home = Home::new().await;
    let virtual_ = id("virtual");
    home.house.synchronize(&virtual_, vec![entity("lamp"), entity("door")]).await.unwrap();
    home.emit(vec![reading("lamp/level", 1.0.into()), reading("door/level", 2.0.into())]).await;
    let labelled = home.house.label_set(&entity_address("virtual:lamp"), Some("Reading lamp".into())).await.unwrap();
    assert!(labelled);
    assert!(!home.house.label_set(&entity_address("virtual:none"), None).await.unwrap());

    let outcome = home.house.synchronize(&virtual_, vec![entity("door")]).await.unwrap();
    assert_eq!(outcome, SyncOutcome { detached: 1, ..SyncOutcome::default() });
    let lamp = home.house.entity(&entity_address("virtual:lamp")).unwrap();
    assert_eq!(lamp.attachment, Attachment::Detached);
    assert_eq!(home.house.live_states().len(), 1, "a detached entity is not live");

    let home = home.restart().await;
    let outcome = home.house.declare(&virtual_, vec![renamed("Desk-Lamp", "lamp")]).await.unwrap();
    assert_eq!(outcome, SyncOutcome { reconnected: 1, ..SyncOutcome::default() });
    assert!(home.house.entity(&entity_address("virtual:lamp")).is_none());
    let lamp = home.house.entity(&entity_address("virtual:desk-lamp")).unwrap();
    assert_eq!((lamp.person_label.as_deref(), lamp.attachment), (Some("Reading lamp"), Attachment::Attached));
    assert_eq!(live(&home, "virtual:desk-lamp/level").address.to_string(), "virtual:Desk-Lamp/level");
    home.emit(vec![reading("desk-lamp/level", 3.0.into())]).await;
    assert_eq!(home.history("virtual:desk-lamp/level").await, ["0=1", "0=3"]);

    // The integration is switched off: what a person touched stays to be seen.
    home.house.detach_all(&virtual_).await.unwrap();
    let home = home.restart().await;
    let attachments: Vec<_> = home.house.entities().iter().map(|entity| entity.attachment).collect();
    assert_eq!(attachments, [Attachment::Detached, Attachment::Hidden]);
    let outcome = home.house.synchronize(&virtual_, vec![entity("desk-lamp"), entity("door")]).await.unwrap();
    assert_eq!(outcome, SyncOutcome { reconnected: 2, ..SyncOutcome::default() });
    assert_eq!(home.history("virtual:door/level").await, ["0=2"]);
}

#[tokio::test]
async fn a_state_that_comes_back_has_its_history_and_one_of_another_kind_no_value() {
    let home = Home::new().await;
    let virtual_ = id("virtual");
    home.house.declare(&virtual_, vec![entity("lamp")]).await.unwrap();
    home.emit(vec![reading("lamp/level", 1.0.into())]).await;
    let mut less = entity("lamp");
    less.states.retain(|state| state.name.as_str() != "level");
    home.house.declare(&virtual_, vec![less]).await.unwrap();
    assert!(home.house.live_states().is_empty());
    assert_eq!(home.house.emit(&virtual_, vec![reading("lamp/level", 2.0.into())]).await.refused, 1);
    assert_eq!(home.history("virtual:lamp/level").await, ["0=1"]);
    home.house.declare(&virtual_, vec![entity("lamp")]).await.unwrap();
    assert_eq!(live(&home, "virtual:lamp/level").value, Value::Number(1.0));
    let mut other = entity("lamp");
    other.states[0].kind = StateKind::Text;
    home.house.declare(&virtual_, vec![other]).await.unwrap();
    assert!(home.house.live_state(&address("virtual:lamp/level")).is_none());
    home.emit(vec![reading("lamp/level", "low".into())]).await;
    assert_eq!(home.history("virtual:lamp/level").await, ["0=1", "0=low"]);
}

#[tokio::test]
async fn declarations_out_of_bounds_are_refused_whole_and_named() {
    let home = Home::new().await;
    let virtual_ = id("virtual");
    let with = |change: &dyn Fn(&mut EntityDeclaration)| {
        let mut lamp = entity("lamp");
        change(&mut lamp);
        vec![entity("sound"), lamp]
    };
    let many = |count: usize| (0..count).map(|n| state(&format!("s{n}"), StateKind::Text)).collect::<Vec<_>>();
    let cases = [
        (vec![entity("lamp"), entity("LAMP")], "\"lamp\" and \"LAMP\""),
        (vec![renamed("a", "old"), renamed("b", "OLD")], "\"a\" and \"b\""),
        (with(&|lamp| lamp.label = "x".repeat(256)), "label of 256 bytes"),
        (with(&|lamp| lamp.label = "a\u{1b}[31m".into()), "control character"),
        (with(&|lamp| lamp.entity_type = "x".repeat(65)), "entity type of 65 bytes"),
        (with(&|lamp| lamp.states = many(201)), "201 states"),
        (with(&|lamp| lamp.states.push(state("Power", StateKind::OnOff))), "two states named \"Power\""),
        (with(&|lamp| lamp.states[0].kind = StateKind::Choice { options: vec![] }), "without options"),
        (with(&|lamp| lamp.states[0].kind = StateKind::number(&"x".repeat(33))), "unit of 33 bytes"),
        (
            with(&|lamp| {
                lamp.states[0].kind = StateKind::Number { unit: String::new(), min: Some(2.0), max: Some(1.0) };
            }),
            "least value 2 above its greatest value 1",
        ),
    ];
    for (entities, part) in cases {
        let error = home.house.declare(&virtual_, entities).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        assert!(error.message.contains(part), "{error}");
        assert!(home.house.entities().is_empty());
    }
    let error = home.house.remove(&virtual_, vec![EntityName::new("lamp").unwrap()]).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(error.message.contains("\"lamp\""), "{error}");
}

#[tokio::test]
async fn no_integration_has_more_than_ten_thousand_entities() {
    let home = Home::new().await;
    let plain = |n: usize| EntityDeclaration { states: Vec::new(), ..entity(&format!("e{n}")) };
    home.house.synchronize(&id("virtual"), (0..10_000).map(plain).collect()).await.unwrap();
    let error = home.house.declare(&id("virtual"), vec![plain(10_000)]).await.unwrap_err();
    assert!(error.message.contains("10001 entities; the most is 10000"), "{error}");
    home.house.declare(&id("virtual"), vec![plain(9_999)]).await.unwrap();
    home.house.declare(&id("other"), vec![plain(10_000)]).await.unwrap();
    // Others may take the place of those that go.
    let outcome = home.house.synchronize(&id("virtual"), (10_000..20_000).map(plain).collect()).await.unwrap();
    assert_eq!((outcome.created, outcome.detached), (10_000, 10_000));
}

#[tokio::test]
async fn a_declaration_whose_caller_went_away_is_carried_out() {
    let home = Home::new().await;
    let virtual_ = id("virtual");
    let mut abandoned = Box::pin(home.house.declare(&virtual_, vec![entity("lamp")]));
    assert!(abandoned.as_mut().now_or_never().is_none());
    drop(abandoned);
    let outcome = home.house.declare(&virtual_, vec![entity("lamp")]).await.unwrap();
    assert_eq!(outcome, SyncOutcome::default(), "nothing is left to do");
    assert_eq!(home.restart().await.house.entities().len(), 1);
}

#[tokio::test]
async fn emit_waits_while_the_queue_is_full() {
    let home = Home::with(Place::new(), ReadingLimits { queue_rows: 100, subscriber_rows: 100 }).await;
    let virtual_ = id("virtual");
    home.house.declare(&virtual_, vec![entity("lamp")]).await.unwrap();
    // Another connection holds the database: nothing can be committed meanwhile.
    let raw = rusqlite::Connection::open(home.place.database()).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut emit = Box::pin(home.house.emit(&virtual_, levels(0..350)));
    assert!(emit.as_mut().now_or_never().is_none(), "250 of 350 readings or more have no room");
    raw.execute_batch("COMMIT").unwrap();
    assert_eq!(emit.await.refused, 0);
    home.house.flush().await.unwrap();
    assert_eq!(home.history("virtual:lamp/level").await.len(), 350);
}

#[tokio::test]
async fn old_readings_expire_but_never_the_newest_of_a_state() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp"), entity("door")]).await.unwrap();
    let mut readings: Vec<_> = (0..5_000).map(|n| at("lamp/level", f64::from(n).into(), NOW + i64::from(n))).collect();
    readings.extend((0..3).map(|n| at("door/level", f64::from(n).into(), NOW)));
    home.emit(readings).await;
    assert_eq!(home.store.readings_expire(NOW).await.unwrap(), 0);
    assert_eq!(home.store.readings_expire(NOW + 4_990).await.unwrap(), 4_992);
    assert_eq!(home.history("virtual:lamp/level").await.len(), 10);
    assert_eq!(home.history("virtual:door/level").await, ["0=2"]);
    assert_eq!(home.store.readings_expire(NOW + 1_000_000).await.unwrap(), 9);
    assert_eq!(home.history("virtual:lamp/level").await, ["4999=4999"]);
    assert_eq!(live(&home, "virtual:lamp/level").value, Value::Number(4_999.0));
}

#[tokio::test]
async fn deleting_an_integrations_entities_leaves_those_of_others() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp"), entity("door")]).await.unwrap();
    home.house.declare(&id("other"), vec![entity("lamp")]).await.unwrap();
    home.emit(levels(0..5_000)).await;
    home.house.emit(&id("other"), levels(0..3)).await;
    let (calls, rows) = (AtomicU64::new(0), AtomicU64::new(0));
    home.house
        .delete_all(&id("virtual"), &|deleted| {
            calls.fetch_add(1, Ordering::SeqCst);
            rows.store(deleted, Ordering::SeqCst);
        })
        .await
        .unwrap();
    assert!(calls.into_inner() >= 3, "in batches");
    assert_eq!(rows.into_inner(), 5_002);
    let home = home.restart().await;
    assert_eq!(home.house.entities().len(), 1);
    assert_eq!(home.history("other:lamp/level").await.len(), 3);
    assert!(home.history("virtual:lamp/level").await.is_empty());
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    assert!(home.history("virtual:lamp/level").await.is_empty());
}

const CHILD: &str = "GATEHOUSE_TEST_EMITS_IN";

/// The child: emits durably for ever and says how many readings were acknowledged.
async fn emit_until_killed(folder: &str) {
    let home = Home::with(Place::at(folder), LIMITS).await;
    let virtual_: IntegrationId = id("virtual");
    home.house.declare(&virtual_, vec![entity("lamp")]).await.unwrap();
    let mut out = std::io::stdout();
    for batch in 0_u32.. {
        home.house.emit_durable(&virtual_, levels(batch * 10..batch * 10 + 10)).await.unwrap();
        writeln!(out, "acknowledged {}", batch * 10 + 10).unwrap();
        out.flush().unwrap();
    }
}

#[tokio::test]
async fn acknowledged_readings_survive_kill_9() {
    if let Ok(folder) = std::env::var(CHILD) {
        return emit_until_killed(&folder).await;
    }
    let place = Place::new();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["entity::acknowledged_readings_survive_kill_9", "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, place.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    let mut killed = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // The test runner's own words may stand before the first one on its line.
        if let Some((_, count)) = line.unwrap().split_once("acknowledged ").filter(|(_, n)| n.parse::<usize>().is_ok())
        {
            acknowledged = count.parse().unwrap();
        }
        if acknowledged >= 500 && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    assert!(!child.wait().unwrap().success() && acknowledged >= 500, "killed after {acknowledged}");
    let home = Home::with(place, LIMITS).await;
    let history = home.history("virtual:lamp/level").await;
    assert!(history.len() >= acknowledged, "{} of {acknowledged}", history.len());
    let values = history.iter().map(|row| row.split_once('=').unwrap().1.parse::<usize>().unwrap());
    assert!(values.eq(0..history.len()), "each once and in order");
}

#[tokio::test]
async fn a_stream_outlives_a_cancelled_wait() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    let mut subscription = home.house.subscribe(None);
    until_committed(&mut subscription, 0).await;
    assert!(tokio::time::timeout(Duration::from_millis(1), subscription.next()).await.is_err());
    home.emit(levels(0..1)).await;
    assert_eq!(until_committed(&mut subscription, 1).await, ["virtual:lamp/level=0#1"]);
}
