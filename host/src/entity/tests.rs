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

#[tokio::test]
async fn a_full_disk_stops_acknowledgments_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, house) = open(dir.path(), 100).await;
    let hass = IntegrationId::new("hass").expect("valid");
    let state = StateDeclaration {
        name: StateName::new("note").expect("valid"),
        label: String::new(),
        kind: StateKind::Text,
        sensed: true,
        controllable: false,
    };
    let lamp = EntityDeclaration {
        name: EntityName::new("lamp").expect("valid"),
        label: String::new(),
        entity_type: String::new(),
        states: vec![state],
        previous_name: None,
    };
    house.declare(&hass, vec![lamp]).await.expect("declared");
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
