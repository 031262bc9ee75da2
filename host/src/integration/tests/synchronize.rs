//! Reading the upstream's entities: after a start, on demand, when it fails, when a plugin does not do it.

use gatehouse_plugin_api::error::ErrorCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gatehouse_plugin_api::message::{EntityDeclaration, Progress, SyncCall, SyncChunk, SyncOutcome};
use gatehouse_plugin_api::ops;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::rig::{Act, Rig, Script, ScriptedGateway, fail, id, plugin, polling, reply};
use crate::integration::OperationError;
use crate::integration::supervisor::Input;
use crate::reason::ReasonCode;

/// Answers with a complete snapshot of these entities, as a plugin does.
fn listing(names: &'static [&'static str]) -> impl Fn(SyncCall, &ScriptedGateway) -> Act + Send + Sync + 'static {
    move |call, gateway| list(call, names, gateway)
}

fn list(call: SyncCall, names: &[&str], gateway: &ScriptedGateway) -> Act {
    gateway.tell(ops::SYNC_BEGIN, &call);
    gateway.tell(ops::SYNC_CHUNK, &chunk(call, names));
    Act::After(ops::SYNC_END, call)
}

fn chunk(call: SyncCall, names: &[&str]) -> SyncChunk {
    let entities = names.iter().map(|name| EntityDeclaration {
        name: name.parse().unwrap(),
        previous_name: None,
        label: (*name).to_owned(),
        entity_type: String::new(),
        states: Vec::new(),
    });
    SyncChunk { entities: entities.collect(), serial: call.serial }
}

#[tokio::test]
async fn a_start_ends_with_the_first_import_and_a_person_can_ask_for_more() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, listing(&["lamp", "plug"])));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.wait_for("the first import", || rig.base.house.entities().len() == 2).await;
    assert_eq!(rig.gateway().count(ops::SYNCHRONIZE), 1);
    let outcome = rig.integrations.synchronize(&id("hue")).await.unwrap();
    assert_eq!(outcome, SyncOutcome::default());
}

#[tokio::test]
async fn one_that_declares_by_itself_runs_all_the_same_and_says_so_when_asked() {
    let rig = Rig::new().await;
    let mut changes = rig.integrations.subscribe();
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    rig.until("hue", "running").await;
    rig.wait_for("the first attempt", || rig.gateway().count(ops::SYNCHRONIZE) == 1).await;
    let error = rig.integrations.synchronize(&id("hue")).await.unwrap_err();
    assert!(
        matches!(&error, OperationError::Conflict(told) if told.starts_with("hue has no list of entities to give")),
        "{error}"
    );
    rig.integrations.pause(&id("hue")).await.unwrap();
    let error = rig.integrations.synchronize(&id("hue")).await.unwrap_err();
    assert_eq!(error, OperationError::Unavailable("hue is paused: resume it first".into()));
    let error = rig.integrations.synchronize(&id("hu")).await.unwrap_err();
    assert!(matches!(error, OperationError::NotFound { .. }), "{error}");
    rig.advance(300);
    rig.integrations.resume(&id("hue")).await.unwrap();
    // It has no import, so none is ever shown.
    while let Ok(change) = changes.try_recv() {
        assert_eq!(change.integration.unwrap().progress, None);
    }
}

#[tokio::test]
async fn an_import_that_fails_degrades_until_one_succeeds_whatever_polls_say() {
    let rig = Rig::new().await;
    let meter = polling("meter", 5_000);
    let script = Script::default().on(ops::SYNCHRONIZE, listing(&["meter"]));
    rig.script(&meter, script.failing(ops::SYNCHRONIZE, 1, ErrorCode::Transient));
    rig.plugins.put(&meter);
    rig.begin_and_confirm("meter").await;
    let view = rig.until("meter", "degraded").await;
    assert_eq!((view.reason.code, view.progress.is_none()), (ReasonCode::SynchronizeFailed, true));
    let launches = rig.launches();
    rig.advance(5_000);
    rig.wait_for("a second poll", || rig.gateway().count(ops::POLL) == 2).await;
    assert_eq!(rig.view("meter").actual.word(), "degraded");
    let outcome = rig.integrations.synchronize(&id("meter")).await.unwrap();
    assert_eq!((outcome.created, outcome.detached), (1, 0));
    rig.until("meter", "running").await;
    assert_eq!(rig.launches(), launches);
}

#[tokio::test]
async fn an_answer_without_a_snapshot_is_an_error_and_a_late_import_holds_nothing_up() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, |_: SyncCall, _: &ScriptedGateway| reply(&())));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let view = rig.until("hue", "degraded").await;
    assert!(view.reason.sentence.contains("without sending a complete snapshot"), "{}", view.reason);
    rig.integrations.pause(&id("hue")).await.unwrap();

    let slow = polling("slow", 5_000);
    rig.script(&slow, Script::default().on(ops::SYNCHRONIZE, |_: SyncCall, _: &ScriptedGateway| Act::Hang));
    rig.plugins.put(&slow);
    rig.begin_and_confirm("slow").await;
    rig.wait_for("a poll beside the import", || rig.gateway().count(ops::POLL) == 1).await;
    assert_eq!(rig.view("slow").progress, None);
    rig.advance(300);
    let view = rig.until_view("slow", "the import's progress", |view| view.progress.is_some()).await;
    assert_eq!(view.actual.word(), "running");
    let view = rig.integrations.pause(&id("slow")).await.unwrap();
    assert_eq!((view.actual.word(), &view.progress), ("paused", &None));

    let late = plugin("late", "1.0.0", vec![]);
    rig.script(
        &late,
        Script::default().on(ops::SYNCHRONIZE, |_: SyncCall, _: &ScriptedGateway| fail(ErrorCode::Deadline, "late")),
    );
    rig.plugins.put(&late);
    rig.begin_and_confirm("late").await;
    assert_eq!(rig.until("late", "degraded").await.reason.code, ReasonCode::DeadlineMissed);
}

#[tokio::test]
async fn what_the_upstream_has_no_longer_is_detached() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let asked = AtomicUsize::new(0);
    let fewer = move |call: SyncCall, gateway: &ScriptedGateway| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => list(call, &["lamp", "plug", "door"], gateway),
        1 => list(call, &["lamp"], gateway),
        _ => list(call, &["lamp", "plug", "bell"], gateway),
    };
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, fewer));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.wait_for("the first import", || rig.base.house.entities().len() == 3).await;
    let outcome = rig.integrations.synchronize(&id("hue")).await.unwrap();
    assert_eq!(outcome, SyncOutcome { detached: 2, ..SyncOutcome::default() });
    let outcome = rig.integrations.synchronize(&id("hue")).await.unwrap();
    assert_eq!(outcome, SyncOutcome { created: 1, reconnected: 1, ..SyncOutcome::default() });
}

#[tokio::test]
async fn what_comes_after_its_deadline_is_dropped_and_joins_no_later_snapshot() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let calls = Arc::new(Mutex::new(Vec::new()));
    let gate = Arc::new(Semaphore::new(0));
    let (seen, held) = (Arc::clone(&calls), Arc::clone(&gate));
    let late = move |call: SyncCall, gateway: &ScriptedGateway| {
        seen.lock().push(call);
        gateway.tell(ops::SYNC_BEGIN, &call);
        gateway.tell(ops::SYNC_CHUNK, &chunk(call, &["lamp"]));
        if call.serial == Some(1) {
            return fail(ErrorCode::Deadline, "late");
        }
        Act::Held(Arc::clone(&held), Box::new(Act::After(ops::SYNC_END, call)))
    };
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, late));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.until("hue", "degraded").await;
    let (gateway, first) = (rig.gateway(), calls.lock()[0]);
    let refused = |answer: Result<(), gatehouse_plugin_api::error::CallError>| {
        let error = answer.unwrap_err();
        assert_eq!(error.code, ErrorCode::Refused);
        assert!(error.message.contains("belongs to no synchronize that is waited for"), "{error}");
    };
    // Nothing is waited for.
    for call in [first, SyncCall::default()] {
        refused(gateway.ask(ops::SYNC_CHUNK, &chunk(call, &["plug"])).await);
        refused(gateway.ask(ops::SYNC_END, &call).await);
        refused(gateway.ask(ops::SYNC_BEGIN, &call).await);
    }
    // Another one is.
    let integrations = rig.integrations.clone();
    let second = tokio::spawn(async move { integrations.synchronize(&id("hue")).await });
    rig.wait_for("the second call", || calls.lock().len() == 2).await;
    refused(gateway.ask(ops::SYNC_CHUNK, &chunk(first, &["plug"])).await);
    refused(gateway.ask(ops::SYNC_BEGIN, &first).await);
    refused(gateway.ask(ops::SYNC_END, &first).await);
    gate.add_permits(1);
    assert_eq!(second.await.unwrap().unwrap().created, 1);
    let names: Vec<String> = rig.base.house.entities().iter().map(|entity| entity.address.to_string()).collect();
    assert_eq!(names, ["hue:lamp"]);
    rig.until("hue", "running").await;
}

#[tokio::test]
async fn parts_out_of_order_are_refused_and_one_that_knows_no_numbers_is_understood() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let gate = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&gate);
    let script = move |_: SyncCall, _: &ScriptedGateway| Act::Held(Arc::clone(&held), Box::new(reply(&())));
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, script));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.until("hue", "degraded").await;
    let integrations = rig.integrations.clone();
    let asked = tokio::spawn(async move { integrations.synchronize(&id("hue")).await });
    let gateway = rig.gateway();
    rig.wait_for("the call", || gateway.count(ops::SYNCHRONIZE) == 2).await;
    let unnumbered = SyncCall::default();
    let error = gateway.ask::<_, ()>(ops::SYNC_CHUNK, &chunk(unnumbered, &["lamp"])).await.unwrap_err();
    assert_eq!(error.message, "sync_chunk came without sync_begin before it");
    gateway.ask::<_, ()>(ops::SYNC_BEGIN, &unnumbered).await.unwrap();
    for name in ["lamp", "plug"] {
        gateway.ask::<_, ()>(ops::SYNC_CHUNK, &chunk(unnumbered, &[name])).await.unwrap();
    }
    let outcome: SyncOutcome = gateway.ask(ops::SYNC_END, &unnumbered).await.unwrap();
    assert_eq!(outcome.created, 2);
    assert!(gateway.ask::<_, SyncOutcome>(ops::SYNC_END, &unnumbered).await.is_err());
    gate.add_permits(1);
    assert_eq!(asked.await.unwrap().unwrap(), outcome);
}

#[tokio::test]
async fn the_end_of_a_snapshot_ends_its_own_progress_and_no_other() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let gate = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&gate);
    let slowly = move |call: SyncCall, gateway: &ScriptedGateway| {
        Act::Held(Arc::clone(&held), Box::new(list(call, &["lamp"], gateway)))
    };
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, slowly));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let gateway = rig.gateway();
    rig.wait_for("the first import", || rig.base.house.entities().len() == 1).await;
    #[expect(clippy::async_yields_async, reason = "the call goes on beside the test, which waits for it later")]
    let synchronize = |calls: usize| {
        let integrations = rig.integrations.clone();
        let gateway = Arc::clone(&gateway);
        async move {
            let asked = tokio::spawn(async move { integrations.synchronize(&id("hue")).await });
            while gateway.count(ops::SYNCHRONIZE) < calls {
                tokio::task::yield_now().await;
            }
            asked
        }
    };
    let told = |message: &str| Progress { message: message.to_owned(), percent: Some(30.0) };
    let shown = |message: &'static str| {
        rig.until_view("hue", message, move |view| view.progress.as_ref().is_some_and(|now| now.message == message))
    };

    let asked = synchronize(2).await;
    gateway.ask::<_, ()>(ops::PROGRESS, &told("12 of 40 lamps")).await.unwrap();
    shown("12 of 40 lamps").await;
    gate.add_permits(1);
    asked.await.unwrap().unwrap();
    rig.until_view("hue", "no progress", |view| view.progress.is_none()).await;

    gateway.ask::<_, ()>(ops::PROGRESS, &told("a new firmware")).await.unwrap();
    shown("a new firmware").await;
    let asked = synchronize(3).await;
    gate.add_permits(1);
    asked.await.unwrap().unwrap();
    // Its end was heard before this is asked.
    rig.integrations.0.find(&id("hue")).unwrap().ask(Input::Erase).await.unwrap_err();
    assert_eq!(rig.view("hue").progress, Some(told("a new firmware")));
    gateway.ask::<_, ()>(ops::PROGRESS, &Progress { percent: Some(100.0), ..told("") }).await.unwrap();
    rig.until_view("hue", "no progress", |view| view.progress.is_none()).await;
}

#[tokio::test]
async fn one_that_ends_meanwhile_is_told_once() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let died = |_: SyncCall, _: &ScriptedGateway| fail(ErrorCode::Gone, "hue: its worker was killed");
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, died));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let error = rig.integrations.synchronize(&id("hue")).await.unwrap_err();
    assert_eq!(error, OperationError::Unavailable("hue ended while it was synchronized: try again".to_owned()));
}
