//! What needs a hand inside: a disk that is full while readings come.

use std::path::Path;
use std::time::Duration;

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::ids::{EntityName, StateName};
use gatehouse_plugin_api::message::StateDeclaration;
use gatehouse_plugin_api::value::StateKind;

use super::*;
use crate::store::CommitPolicy;

mod bytes;

async fn open(folder: &Path, queue_rows: usize) -> (Store, House) {
    let policy = CommitPolicy { every: Duration::from_millis(20), rows: 5_000, full_durability: false };
    let store = Store::open(&folder.join("gatehouse.db"), &folder.join("key"), policy).expect("opens");
    let limits = ReadingLimits { queue_rows, subscriber_rows: 10_000 };
    let house = House::open(store.clone(), Clock::system(), limits).await.expect("opens");
    (store, house)
}

fn note(text: String) -> Reading {
    let (entity, state) = (EntityName::new("lamp").expect("valid"), StateName::new("note").expect("valid"));
    Reading { entity, state, value: Value::Text(text), at_ms: None }
}

fn lamp() -> EntityDeclaration {
    let state = StateDeclaration {
        name: StateName::new("note").expect("valid"),
        label: String::new(),
        kind: StateKind::Text,
        sensed: true,
        controllable: false,
    };
    EntityDeclaration {
        name: EntityName::new("lamp").expect("valid"),
        label: String::new(),
        entity_type: String::new(),
        states: vec![state],
        previous_name: None,
    }
}

#[tokio::test]
async fn a_full_disk_stops_acknowledgments_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, house) = open(dir.path(), 100).await;
    let hass = IntegrationId::new("hass").expect("valid");
    house.declare(&hass, vec![lamp()]).await.expect("declared");
    house.emit_durable(&hass, vec![note("before".into())]).await.expect("written");

    store.limit_pages(Some(0)).await.expect("limited");
    let page_filler = |n: usize| note(format!("{n} {}", "x".repeat(4_000)));
    let error = house.emit_durable(&hass, (0..50).map(page_filler).collect()).await.expect_err("not acknowledged");
    assert_eq!(error.code, ErrorCode::Transient);
    assert!(error.message.contains("disk is full") && error.message.contains("make room"), "{error}");

    // Values and subscribers go on, and nobody waits for a queue that cannot be emptied.
    let mut subscription = house.subscribe(None);
    house.emit(&hass, (50..500).map(page_filler).collect()).await;
    let address: StateAddress = "hass:lamp/note".parse().expect("valid");
    let live = house.live_state(&address).expect("there");
    assert!(live.value.to_string().starts_with("499 "), "{}", live.value);
    let mut seen = 0;
    while seen < 450 {
        if let Some(StateEvent::Reading(live)) = subscription.next().await {
            seen += usize::from(live.sequence > 51);
        }
    }

    store.limit_pages(None).await.expect("unlimited");
    // What had no room is in no history: whoever asks next is told so, once.
    house.flush().await.expect_err("readings were lost");
    house.emit_durable(&hass, vec![note("after".into())]).await.expect("written again");
    let history = house.history(&address, 0, i64::MAX, 1_000).await.expect("read").rows;
    let first_words: Vec<_> = history.iter().map(|row| row.value.to_string()).collect();
    assert_eq!(first_words.first().map(String::as_str), Some("before"));
    assert_eq!(first_words.last().map(String::as_str), Some("after"));
    assert!(first_words.iter().any(|text| text.starts_with("499 ")), "the newest that had room were kept");
    assert!(history.len() >= 100, "{}", history.len());
}

#[tokio::test]
async fn a_full_disk_does_not_hold_up_a_deletion_which_is_what_makes_room() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, house) = open(dir.path(), 1_000).await;
    let (hass, hue) = (IntegrationId::new("hass").expect("valid"), IntegrationId::new("hue").expect("valid"));
    for id in [&hass, &hue] {
        house.declare(id, vec![lamp()]).await.expect("declared");
    }
    let long = |n: usize| note(format!("{n} {}", "x".repeat(4_000)));
    house.emit_durable(&hass, (0..50).map(long).collect()).await.expect("written");
    store.limit_pages(Some(0)).await.expect("limited");
    house.emit_durable(&hass, (50..100).map(long).collect()).await.expect_err("no room");
    // Both wait for room.
    house.emit(&hue, vec![note("kept".into())]).await;
    house.delete_all(&hass, &|_| {}).await.expect("deleted");
    assert!(house.entities().iter().all(|entity| entity.address.integration == hue));
    // With what it freed the others are written, and nothing of what waited is written for the deleted ones.
    house.flush().await.expect("written again");
    house.declare(&hass, vec![lamp()]).await.expect("declared anew");
    let history = |address: &str| {
        let (house, address) = (house.clone(), address.parse::<StateAddress>().expect("valid"));
        async move { house.history(&address, 0, i64::MAX, 1_000).await.expect("read").rows.len() }
    };
    assert_eq!((history("hass:lamp/note").await, history("hue:lamp/note").await), (0, 1));
}

#[tokio::test]
async fn a_deletion_that_fails_says_so_and_goes_on_when_asked_again() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, house) = open(dir.path(), 1_000).await;
    let hass = IntegrationId::new("hass").expect("valid");
    house.declare(&hass, vec![lamp()]).await.expect("declared");
    house.emit_durable(&hass, vec![note("before".into())]).await.expect("written");
    store.refuse_deletions(true).await.expect("refused");
    let error = house.delete_all(&hass, &|_| {}).await.expect_err("refused");
    assert!(error.to_string().contains("deleting entities and readings"), "{error}");
    // It stands as it did, and can be taken up again as it is.
    assert_eq!(house.entities().len(), 1);
    let address: StateAddress = "hass:lamp/note".parse().expect("valid");
    assert!(house.live_state(&address).is_some());
    house.declare(&hass, vec![lamp()]).await.expect("declared again");
    store.refuse_deletions(false).await.expect("allowed");
    house.delete_all(&hass, &|_| {}).await.expect("deleted");
    assert!(house.entities().is_empty());
}
