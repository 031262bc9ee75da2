//! What is in the middle of something when it is to end: starts, stops, turns of flows, floods.

use std::sync::Arc;

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::flow::FlowRequest;
use gatehouse_plugin_api::message::{Attributes, Declare, Health, HealthStatus, KeyBlob, Progress};
use gatehouse_plugin_api::ops;
use tokio::sync::Semaphore;

use super::deactivation::lamp;
use super::rig::{Act, Rig, Script, ScriptedGateway, ask, id, plugin, reply, step_id, values};
use crate::integration::{FlowKind, FlowState, OperationError};
use crate::store::Desired;

#[tokio::test]
async fn the_daemons_end_waits_for_what_is_being_stopped() {
    let rig = Rig::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let slowly = move |(): (), _: &ScriptedGateway| Act::Held(Arc::clone(&held), Box::new(reply(&())));
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::STOP, slowly));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let gateway = rig.gateway();
    let integrations = rig.integrations.clone();
    tokio::spawn(async move { integrations.pause(&id("hue")).await });
    rig.wait_for("the stop's call", || gateway.count(ops::STOP) == 1).await;
    let integrations = rig.integrations.clone();
    let end = tokio::spawn(async move { integrations.shut_down().await });
    rig.wait_for("the end of its supervisor's inputs", || rig.integrations.0.is_closing()).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!end.is_finished(), "the daemon does not end before its gateways");
    gate.add_permits(1);
    end.await.unwrap();
    assert!(rig.alive().is_empty());
}

#[tokio::test]
async fn the_daemons_end_stops_what_is_being_started() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    rig.script(&hue, Script::default().on(ops::START, |_: Attributes, _: &ScriptedGateway| Act::Hang));
    let integrations = rig.integrations.clone();
    let resumed = tokio::spawn(async move { integrations.resume(&id("hue")).await });
    rig.wait_for("the start's call", || rig.alive().first().is_some_and(|g| g.count(ops::START) == 1)).await;
    let gateway = rig.gateway();
    rig.integrations.shut_down().await;
    assert!(!gateway.is_alive(), "nothing of it runs on");
    assert_eq!(gateway.count(ops::STOP), 1);
    assert!(resumed.await.unwrap().is_err());
}

#[tokio::test]
async fn a_turn_that_hangs_does_not_delay_the_daemons_end_nor_giving_up() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::ACTIVATE, |_: FlowRequest, _: &ScriptedGateway| Act::Hang));
    rig.plugins.put(&hue);
    let begin = |name: &'static str| {
        let integrations = rig.integrations.clone();
        tokio::spawn(async move {
            let begin = crate::integration::FlowBegin {
                kind: FlowKind::Activate,
                integration_type: Some("hue".parse().unwrap()),
                integration: Some(id(name)),
                take_over: true,
            };
            integrations.flow_begin(begin).await
        })
    };
    let asked =
        |n: u32| rig.gateways().iter().filter(|g| g.count(ops::ACTIVATE) == 1).count() == usize::try_from(n).unwrap();
    let first = begin("hue");
    rig.wait_for("the first turn", || asked(1)).await;
    let second = begin("hue");
    let ended = first.await.unwrap().unwrap();
    assert!(matches!(&ended.state, FlowState::Aborted { code, .. } if code == "aborted"), "{ended:?}");
    rig.wait_for("the second's turn", || asked(2)).await;
    assert_eq!(rig.alive().len(), 1);
    rig.integrations.shut_down().await;
    assert!(matches!(second.await.unwrap().unwrap().state, FlowState::Aborted { .. }));
    assert!(rig.alive().is_empty());
    let error = begin("hue-attic").await.unwrap().unwrap_err();
    assert_eq!(error, OperationError::Unavailable("the daemon is ending".into()));
}

#[tokio::test]
async fn a_flow_is_given_up_when_whoever_began_it_goes_away_before_its_first_step() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::ACTIVATE, |_: FlowRequest, _: &ScriptedGateway| Act::Hang));
    rig.plugins.put(&hue);
    tokio::select! {
        begun = rig.begin(FlowKind::Activate, "hue") => panic!("it hangs: {begun:?}"),
        () = rig.wait_for("its turn", || rig.gateways().iter().any(|g| g.count(ops::ACTIVATE) == 1)) => {}
    }
    rig.wait_for("the end of its worker", || rig.alive().is_empty()).await;
    rig.script(&hue, Script::default());
    rig.begin_and_confirm("hue").await;
}

#[tokio::test]
async fn a_flow_that_was_left_open_is_named_and_can_be_taken_over() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    let left = rig.begin(FlowKind::Activate, "hue").await.unwrap();
    rig.advance(130_500);
    let error = rig.begin(FlowKind::Activate, "hue").await.unwrap_err();
    let sentence = format!(
        "hue is in the middle of another activation: the flow {} was begun 2m10s ago; go on there, or give it up and \
         begin anew: gatehouse integration activate hue --take-over",
        left.flow_id
    );
    assert_eq!(error, OperationError::Conflict(sentence));
    let flow = rig.take_over(FlowKind::Activate, "hue").await.unwrap();
    assert!(matches!(rig.integrations.flow_view(&left.flow_id), Err(OperationError::NotFound { .. })));
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");

    let attic = rig.begin_instance("hue", "hue-attic").await.unwrap();
    let error = rig.begin_instance("hue", "hue-attic").await.unwrap_err().to_string();
    assert!(error.ends_with("gatehouse integration activate hue --id hue-attic --take-over"), "{error}");
    rig.integrations.flow_abort(&attic.flow_id).await.unwrap();
}

#[tokio::test]
async fn a_deletion_under_way_does_not_expire_and_is_not_taken_over() {
    let rig = Rig::new().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let slowly = move |(): (), _: &ScriptedGateway| Act::Held(Arc::clone(&held), Box::new(reply(&())));
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().on(ops::STOP, slowly));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let flow = rig.begin(FlowKind::Deactivate, "hue").await.unwrap();
    let flow = rig.answer(&flow, values(&[("mode", "all")], &[])).await.unwrap();
    let work = {
        let (integrations, flow) = (rig.integrations.clone(), flow.clone());
        tokio::spawn(async move {
            let input = crate::integration::FlowInput { values: values(&[("id", "hue")], &[]), choice: None };
            integrations.flow_answer(&flow.flow_id, "delete_all", input).await
        })
    };
    let gateway = rig.gateway();
    rig.wait_for("the stop", || gateway.count(ops::STOP) == 1).await;
    rig.advance(1_000);
    let flow = work.await.unwrap().unwrap();
    assert_eq!(step_id(&flow), "work");
    rig.advance(3_600_000);
    rig.wait_for("its new expiry", || {
        rig.integrations.flow_view(&flow.flow_id).is_ok_and(|now| now.expires_at_ms > flow.expires_at_ms)
    })
    .await;
    let error = rig.take_over(FlowKind::Activate, "hue").await.unwrap_err();
    assert_eq!(error, OperationError::Conflict("what is being deleted cannot be kept any more".into()));
    gate.add_permits(1);
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
    assert!(rig.integrations.list().is_empty());
}

#[tokio::test]
async fn of_a_flood_of_health_and_progress_the_newest_alone_waits() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    rig.until_view("hue", "idle", |view| view.progress.is_none()).await;
    let mut changes = rig.integrations.subscribe();
    let gateway = rig.gateway();
    // The supervisor comes to none of it before this task yields.
    for n in 0..10_000 {
        let message = format!("lamp {n} is away");
        gateway.tell(ops::HEALTH, &Health { status: HealthStatus::Warning, message });
        gateway.tell(ops::PROGRESS, &Progress { message: format!("{n}"), percent: None });
    }
    let view = rig.until_view("hue", "the last word", |view| view.health.message == "lamp 9999 is away").await;
    assert_eq!(view.progress.as_ref().map(|progress| progress.message.as_str()), Some("9999"));
    let mut seen = 0;
    while changes.try_recv().is_ok() {
        seen += 1;
    }
    assert_eq!(seen, 2, "one change of progress, one of health");
    // What is told after that is heard again.
    gateway.tell(ops::HEALTH, &Health { status: HealthStatus::Healthy, message: String::new() });
    let view = rig.until("hue", "running").await;
    assert_eq!(view.desired, Desired::On);
}

#[tokio::test]
async fn a_launch_that_was_given_up_is_heard_no_more() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    let (gate, before) = (Arc::new(Semaphore::new(0)), rig.launches());
    rig.script(&hue, Script::launching_at(&gate));
    let integrations = rig.integrations.clone();
    let resumed = tokio::spawn(async move { integrations.resume(&id("hue")).await });
    rig.wait_for("the launch", || rig.launches() > before).await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    resumed.await.unwrap().unwrap();
    let host = Arc::clone(rig.launcher.hosts.lock().last().unwrap());
    let error = ask::<_, ()>(&*host, ops::DECLARE, &Declare { entities: vec![lamp(true)] }).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Cancelled);
    let secret = KeyBlob { key: "token".into(), bytes: vec![1] };
    assert!(ask::<_, ()>(&*host, ops::SECRET_SET, &secret).await.is_err());
    assert!(rig.base.house.entities().is_empty());
}
