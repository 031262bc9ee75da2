//! Subscribers: one order, tokens, and one that is too slow.

use super::*;

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

    // The ring holds 200 readings: as many again as a subscriber may be behind.
    home.emit(levels(0..90)).await;
    home.emit(levels(200..297)).await;
    assert!(!until_committed(&mut home.house.subscribe(Some(&token)), 200).await.contains(&"reset".to_owned()));
    home.emit(levels(300..301)).await;
    let seen = until_committed(&mut home.house.subscribe(Some(&token)), 201).await;
    assert_eq!(seen.len(), 191, "{seen:?}");
    home.emit(levels(400..410)).await;
    let seen = until_committed(&mut home.house.subscribe(Some(&token)), 211).await;
    assert_eq!(seen, ["reset", "virtual:lamp/level=409#211"]);

    let home = home.restart().await;
    let mut other_boot = home.house.subscribe(Some(&token));
    assert_eq!(shown(&next(&mut other_boot).await), "reset");
    assert_eq!(shown(&next(&mut other_boot).await), "virtual:lamp/level=409#0");
}

#[tokio::test]
async fn a_slow_subscriber_is_dropped_with_a_token_and_misses_nothing() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    let mut slow = home.house.subscribe(None);
    home.emit(levels(0..60)).await;
    until_committed(&mut slow, 60).await;
    // It may be 100 readings behind.
    home.emit(levels(100..160)).await;
    home.emit(levels(200..260)).await;
    assert_eq!(shown(&next(&mut slow).await), "lagged");
    assert!(slow.next().await.is_none());

    let again = until_committed(&mut home.house.subscribe(Some(&home.house.resume_token(60))), 180).await;
    assert_eq!(again.first().map(String::as_str), Some("virtual:lamp/level=100#61"));
    assert_eq!(again.len(), 120);
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
async fn a_stream_outlives_a_cancelled_wait() {
    let home = Home::new().await;
    home.house.declare(&id("virtual"), vec![entity("lamp")]).await.unwrap();
    let mut subscription = home.house.subscribe(None);
    until_committed(&mut subscription, 0).await;
    assert!(tokio::time::timeout(Duration::from_millis(1), subscription.next()).await.is_err());
    home.emit(levels(0..1)).await;
    assert_eq!(until_committed(&mut subscription, 1).await, ["virtual:lamp/level=0#1"]);
}
