//! Texts fill what is bounded by their bytes, long before they do by their number.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use gatehouse_plugin_api::value::TEXT_MAX_BYTES;

use super::*;

/// 2025-01-01 UTC.
const NOW: i64 = 1_735_689_600_000;

struct Home {
    house: House,
    hass: IntegrationId,
    _folder: tempfile::TempDir,
}

impl Home {
    /// With texts `entity/note-0`, `entity/note-1`, …; commits come when they are asked for.
    async fn with_notes(entities: &[&str], notes: usize) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let policy = CommitPolicy { every: Duration::from_secs(3_600), rows: 1_000_000, full_durability: false };
        let (database, key) = (folder.path().join("gatehouse.db"), folder.path().join("key"));
        let store = Store::open(&database, &key, policy).expect("opens");
        let limits = ReadingLimits { queue_rows: 100_000, subscriber_rows: 100_000 };
        let house = House::open(store, Clock::system(), limits).await.expect("opens");
        let hass = IntegrationId::new("hass").expect("valid");
        let states = (0..notes).map(|n| StateDeclaration {
            name: StateName::new(&format!("note-{n}")).expect("valid"),
            label: String::new(),
            kind: StateKind::Text,
            sensed: true,
            controllable: false,
        });
        let states: Vec<_> = states.collect();
        let declarations = entities.iter().map(|name| EntityDeclaration {
            name: EntityName::new(name).expect("valid"),
            label: String::new(),
            entity_type: String::new(),
            states: states.clone(),
            previous_name: None,
        });
        house.declare(&hass, declarations.collect()).await.expect("declared");
        Self { house, hass, _folder: folder }
    }

    async fn emit(&self, readings: Vec<Reading>) -> EmitOutcome {
        self.house.emit(&self.hass, readings).await
    }

    async fn page(&self, until_ms: i64) -> HistoryPage {
        let address: StateAddress = "hass:lamp/note-0".parse().expect("valid");
        self.house.history(&address, 0, until_ms, 1_000).await.expect("read")
    }
}

/// The nth text of a note, as long as it may be.
fn text(entity: &str, note: usize, nth: usize) -> Reading {
    let (entity, state) = (EntityName::new(entity).expect("valid"), StateName::new(&format!("note-{note}")));
    let value = Value::Text(format!("{nth:<width$}", width = 1_024).repeat(TEXT_MAX_BYTES / 1_024));
    let at_ms = NOW + i64::try_from(nth).expect("small");
    Reading { entity, state: state.expect("valid"), value, at_ms: Some(at_ms) }
}

#[tokio::test]
async fn a_queue_that_is_full_of_texts_makes_emit_wait_for_a_commit() {
    let home = Home::with_notes(&["lamp"], 1).await;
    let fill = bounds::QUEUE_TEXT_MAX_BYTES / TEXT_MAX_BYTES;
    home.emit((0..fill).map(|n| text("lamp", 0, n)).collect()).await;
    let mut emit = pin!(home.emit(vec![text("lamp", 0, fill)]));
    // It does as much as it can in one turn.
    let waits = poll_fn(|cx| Poll::Ready(emit.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "there was room for more than {fill} texts");
    let (outcome, flushed) = tokio::join!(emit, home.house.flush());
    flushed.expect("committed");
    assert_eq!(outcome, EmitOutcome::default());
}

#[tokio::test]
async fn a_disk_that_stays_full_keeps_only_the_newest_texts() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let (store, house) = open(dir.path(), 100_000).await;
    let hass = IntegrationId::new("hass").expect("valid");
    house.declare(&hass, vec![lamp()]).await.expect("declared");
    store.limit_pages(Some(0)).await.expect("limited");
    let fill = bounds::QUEUE_TEXT_MAX_BYTES / TEXT_MAX_BYTES;
    let long = |n: usize| Reading { state: StateName::new("note").expect("valid"), ..text("lamp", 0, n) };
    house.emit_durable(&hass, vec![long(0)]).await.expect_err("the disk is full");
    house.emit(&hass, (1..2 * fill).map(long).collect()).await;
    store.limit_pages(None).await.expect("unlimited");
    house.flush().await.expect_err("tells of the loss");
    house.flush().await.expect("written again");
    let address: StateAddress = "hass:lamp/note".parse().expect("valid");
    let mut kept = 0;
    let mut until_ms = i64::MAX;
    loop {
        let page = house.history(&address, 0, until_ms, 10_000).await.expect("read");
        kept += page.rows.len();
        if !page.older {
            break;
        }
        until_ms = page.rows.first().expect("a page has rows").at_ms - 1;
    }
    assert_eq!(kept, fill, "the newest that had room");
}

#[tokio::test]
async fn the_ring_and_each_subscriber_are_bounded_by_texts() {
    let home = Home::with_notes(&["lamp"], 1).await;
    let start = home.house.resume_token(0);
    let mut slow = home.house.subscribe(Some(&start));
    assert!(matches!(slow.next().await, Some(StateEvent::Committed { sequence: 0 })));
    let fill = bounds::SUBSCRIBER_TEXT_MAX_BYTES / TEXT_MAX_BYTES;
    home.emit((0..fill).map(|n| text("lamp", 0, n)).collect()).await;
    let mut resumed = home.house.subscribe(Some(&start));
    assert!(matches!(resumed.next().await, Some(StateEvent::Reading(_))), "all of it is in the ring");
    home.emit(vec![text("lamp", 0, fill)]).await;
    assert!(matches!(slow.next().await, Some(StateEvent::Lagged)));
    assert!(slow.next().await.is_none());
    assert_eq!(home.house.subscribers().1, 1);
    // The ring goes back twice as far as a subscriber may be behind.
    let mut back = home.house.subscribe(Some(&start));
    assert!(matches!(back.next().await, Some(StateEvent::Reading(_))));
    home.emit((fill + 1..=2 * fill + 1).map(|n| text("lamp", 0, n)).collect()).await;
    let mut too_late = home.house.subscribe(Some(&start));
    assert!(matches!(too_late.next().await, Some(StateEvent::Reset)));
}

#[tokio::test]
async fn who_is_dropped_finds_what_it_missed() {
    let home = Home::with_notes(&["lamp"], 1).await;
    let mut slow = home.house.subscribe(None);
    home.emit(vec![text("lamp", 0, 0)]).await;
    home.house.flush().await.expect("committed");
    let mut token = None;
    while token.is_none() {
        if let Some(StateEvent::Committed { sequence: 1 }) = slow.next().await {
            token = Some(home.house.resume_token(1));
        }
    }
    let fill = bounds::SUBSCRIBER_TEXT_MAX_BYTES / TEXT_MAX_BYTES;
    home.emit((0..=fill).map(|n| text("lamp", 0, n)).collect()).await;
    assert!(matches!(slow.next().await, Some(StateEvent::Lagged)));
    drop(slow);
    // It comes back, and is too far behind only if it was away for as much again.
    let mut back = home.house.subscribe(token.as_deref());
    let mut last = 1;
    while last < 2 + fill as u64 {
        match back.next().await {
            Some(StateEvent::Reading(state)) => {
                assert_eq!(state.sequence, last + 1);
                last = state.sequence;
            }
            Some(StateEvent::Committed { sequence }) => assert!(sequence <= last, "{sequence} before it was seen"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_full_state_is_shared_by_all_who_take_it() {
    let home = Home::with_notes(&["lamp"], 3).await;
    home.emit((0..3).map(|n| text("lamp", n, n)).collect()).await;
    let mut first = home.house.subscribe(None);
    home.emit(vec![text("lamp", 0, 9)]).await;
    let mut second = home.house.subscribe(None);
    let mut seen = Vec::new();
    for subscription in [&mut first, &mut second] {
        let mut sequences = Vec::new();
        while sequences.len() < 4 {
            if let Some(StateEvent::Reading(state)) = subscription.next().await {
                sequences.push(state.sequence);
            }
        }
        seen.push(sequences);
    }
    assert_eq!(seen[0], seen[1], "both have the same state and then the reading since");
    assert_eq!(seen[0][3], 4);
}

#[tokio::test]
async fn the_last_values_of_an_integration_are_bounded_by_texts() {
    let home = Home::with_notes(&["lamp", "door"], 150).await;
    let all: Vec<_> = (0..300).map(|n| text(["lamp", "door"][n / 150], n % 150, n)).collect();
    let fill = bounds::LIVE_TEXT_MAX_BYTES / TEXT_MAX_BYTES;
    let outcome = home.emit(all).await;
    assert_eq!(outcome.refused as usize, 300 - fill);
    assert!(outcome.first_reason.contains("the most is 16777216"), "{}", outcome.first_reason);
    assert_eq!(home.house.refused(&home.hass), u64::from(outcome.refused));
    // One that takes another's place is taken, and so is what fits when one became short.
    let short = Reading { value: Value::Text("short".into()), ..text("lamp", 1, 401) };
    assert_eq!(home.emit(vec![text("lamp", 0, 400), short]).await.refused, 0);
    let again =
        home.emit(vec![text("door", 149, 402), Reading { value: Value::Text(String::new()), ..text("lamp", 2, 403) }]);
    assert_eq!(again.await.refused, 1);
    assert_eq!(home.emit(vec![text("door", 149, 404)]).await.refused, 0);
}

#[tokio::test]
async fn the_history_comes_in_pages_of_bounded_texts() {
    let home = Home::with_notes(&["lamp"], 1).await;
    let fill = bounds::HISTORY_TEXT_MAX_BYTES / TEXT_MAX_BYTES;
    home.emit((0..fill + 10).map(|n| text("lamp", 0, n)).collect()).await;
    home.house.flush().await.expect("committed");
    let newest = home.page(i64::MAX).await;
    assert_eq!((newest.rows.len(), newest.older), (fill, true));
    let first = newest.rows[0].at_ms;
    assert_eq!(first, NOW + 10);
    let oldest = home.page(first - 1).await;
    assert_eq!((oldest.rows.len(), oldest.older), (10, false));
}
