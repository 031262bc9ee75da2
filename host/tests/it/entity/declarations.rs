//! Entities: declared, renamed, detached, bounded, deleted.

use super::*;

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
