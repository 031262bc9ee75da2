//! Readings: kinds, history, order, and what is refused.

use super::*;

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
async fn one_that_fills_the_queue_leaves_room_for_the_others() {
    let home = Home::with(Place::new(), ReadingLimits { queue_rows: 1_000, subscriber_rows: 2_000 }).await;
    let (flood, second, calm) = (id("flood"), id("second"), id("calm"));
    for one in [&flood, &second, &calm] {
        home.house.declare(one, vec![entity("lamp")]).await.unwrap();
    }
    let raw = rusqlite::Connection::open(home.place.database()).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut first = Box::pin(home.house.emit(&flood, levels(0..2_000)));
    assert!(first.as_mut().now_or_never().is_none(), "it waits for a commit");
    let mut second = Box::pin(home.house.emit(&second, levels(0..2_000)));
    assert!(second.as_mut().now_or_never().is_none(), "as does this one");
    // Half of the queue and half of the rest are taken.
    let calm = home.house.emit(&calm, levels(0..100)).now_or_never();
    assert_eq!(calm.expect("it has not to wait for what the others have queued").refused, 0);
    raw.execute_batch("COMMIT").unwrap();
    assert_eq!((first.await.refused, second.await.refused), (0, 0));
    home.house.flush().await.unwrap();
    for integration in ["flood", "second"] {
        assert_eq!(home.history(&format!("{integration}:lamp/level")).await.len(), 2_000);
    }
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
