//! Reading the upstream's entities: after a start, on demand, when it fails, when a plugin does not do it.

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Declare, EntityDeclaration, SyncOutcome};
use gatehouse_plugin_api::ops;

use super::rig::{Act, Rig, Script, ScriptedGateway, fail, id, plugin, polling, reply};
use crate::integration::OperationError;
use crate::reason::ReasonCode;

/// Answers with a complete snapshot of these entities, as a plugin does.
fn listing(names: &'static [&'static str]) -> impl Fn((), &ScriptedGateway) -> Act + Send + Sync + 'static {
    move |(), gateway| {
        let entities = names.iter().map(|name| EntityDeclaration {
            name: name.parse().unwrap(),
            previous_name: None,
            label: (*name).to_owned(),
            entity_type: String::new(),
            states: Vec::new(),
        });
        gateway.tell(ops::SYNC_BEGIN, &());
        gateway.tell(ops::SYNC_CHUNK, &Declare { entities: entities.collect() });
        Act::After(ops::SYNC_END)
    }
}

#[tokio::test]
async fn a_start_ends_with_the_first_import_and_a_person_can_ask_for_more() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, listing(&["lamp", "plug"])));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.until_view("hue", "the first import's end", |view| view.progress.is_none()).await;
    assert_eq!(rig.gateway().count(ops::SYNCHRONIZE), 1);
    let outcome = rig.integrations.synchronize(&id("hue")).await.unwrap();
    assert_eq!(outcome, SyncOutcome::default());
}

#[tokio::test]
async fn one_that_declares_by_itself_runs_all_the_same_and_says_so_when_asked() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    rig.until_view("hue", "well and idle", |view| view.actual.word() == "running" && view.progress.is_none()).await;
    assert_eq!(rig.gateway().count(ops::SYNCHRONIZE), 1);
    let error = rig.integrations.synchronize(&id("hue")).await.unwrap_err();
    assert!(matches!(&error, OperationError::Gateway { error, .. } if error.code == ErrorCode::Unsupported), "{error}");
    rig.integrations.pause(&id("hue")).await.unwrap();
    let error = rig.integrations.synchronize(&id("hue")).await.unwrap_err();
    assert_eq!(error, OperationError::Unavailable("hue is paused: resume it first".into()));
    let error = rig.integrations.synchronize(&id("hu")).await.unwrap_err();
    assert!(matches!(error, OperationError::NotFound { .. }), "{error}");
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
    rig.script(&hue, Script::default().on(ops::SYNCHRONIZE, |(): (), _: &ScriptedGateway| reply(&())));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let view = rig.until("hue", "degraded").await;
    assert!(view.reason.sentence.contains("without sending a complete snapshot"), "{}", view.reason);
    rig.integrations.pause(&id("hue")).await.unwrap();

    let slow = polling("slow", 5_000);
    rig.script(&slow, Script::default().on(ops::SYNCHRONIZE, |(): (), _: &ScriptedGateway| Act::Hang));
    rig.plugins.put(&slow);
    rig.begin_and_confirm("slow").await;
    rig.wait_for("a poll beside the import", || rig.gateway().count(ops::POLL) == 1).await;
    let view = rig.until_view("slow", "the import's progress", |view| view.progress.is_some()).await;
    assert_eq!(view.actual.word(), "running");
    let view = rig.integrations.pause(&id("slow")).await.unwrap();
    assert_eq!((view.actual.word(), &view.progress), ("paused", &None));

    let late = plugin("late", "1.0.0", vec![]);
    rig.script(
        &late,
        Script::default().on(ops::SYNCHRONIZE, |(): (), _: &ScriptedGateway| fail(ErrorCode::Deadline, "late")),
    );
    rig.plugins.put(&late);
    rig.begin_and_confirm("late").await;
    assert_eq!(rig.until("late", "degraded").await.reason.code, ReasonCode::DeadlineMissed);
}
