//! Deactivation: SAFE, ALL, and a plugin's own flow before it.

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::flow::{FlowDone, FlowReply, FlowRequest, FlowStep, StepKind};
use gatehouse_plugin_api::ids::{EntityName, StateName};
use gatehouse_plugin_api::message::{
    Declare, Emit, EmitOutcome, EntityDeclaration, Key, KeyBlob, MaybeBlob, Reading, StateDeclaration,
};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::value::{StateKind, Value};

use super::rig::{
    Rig, Script, ScriptedGateway, errors, hass_specs, hass_values, id, plugin, reason, reply, step_id, values,
};
use crate::entity::Attachment;
use crate::integration::supervisor::Input;
use crate::integration::{Actual, FlowKind, FlowState, OperationError};
use crate::reason::ReasonCode;
use crate::store::{Desired, KvSpace};

pub(in crate::integration) fn lamp(controllable: bool) -> EntityDeclaration {
    let power = StateDeclaration {
        name: StateName::new("power").unwrap(),
        label: String::new(),
        kind: StateKind::OnOff,
        sensed: true,
        controllable,
    };
    EntityDeclaration {
        name: EntityName::new("lamp").unwrap(),
        label: String::new(),
        entity_type: "light".into(),
        states: vec![power],
        previous_name: None,
    }
}

async fn in_use() -> Rig {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hass", "1.0.0", hass_specs()));
    rig.activate("hass", hass_values()).await;
    let gateway = rig.gateway();
    gateway.ask::<_, ()>(ops::DECLARE, &Declare { entities: vec![lamp(true)] }).await.unwrap();
    let (entity, state) = (lamp(true).name, lamp(true).states[0].name.clone());
    let reading = Reading { entity, state, value: Value::OnOff(true), at_ms: None };
    gateway.ask::<_, EmitOutcome>(ops::EMIT_DURABLE, &Emit { readings: vec![reading] }).await.unwrap();
    for op in [ops::KV_SET, ops::SECRET_SET] {
        gateway.ask::<_, ()>(op, &KeyBlob { key: "k".into(), bytes: vec![1] }).await.unwrap();
    }
    rig
}

#[tokio::test]
async fn safe_erases_settings_and_secrets_keeps_the_rest_and_activation_takes_it_up_again() {
    let rig = in_use().await;
    let flow = rig.begin(FlowKind::Deactivate, "hass").await.unwrap();
    let FlowState::Step { step, .. } = &flow.state else { panic!("{flow:?}") };
    for part in ["3 settings", "1 entity with 1 state and 1 reading", "SAFE", "ALL"] {
        assert!(step.description.contains(part), "{}", step.description);
    }
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    let done = "hass is off; its settings are erased, its history stays.";
    assert_eq!(flow.state, FlowState::Done { info_message: done.into() });
    let view = rig.view("hass");
    assert_eq!((view.actual, view.desired, view.attributes.len()), (Actual::Off, Desired::Off, 0));
    assert!(rig.alive().is_empty());
    let attachments = || rig.base.house.entities().iter().map(|e| e.attachment).collect::<Vec<_>>();
    assert_eq!(attachments(), [Attachment::Hidden]);
    let kept = |space| rig.base.store.kv_get(&view.id, space, "k");
    assert_eq!(kept(KvSpace::Data).await.unwrap(), Some(vec![1]));
    assert_eq!(kept(KvSpace::Secrets).await.unwrap(), None);

    rig.activate("hass", hass_values()).await;
    rig.gateway().ask::<_, ()>(ops::DECLARE, &Declare { entities: vec![lamp(true)] }).await.unwrap();
    assert_eq!(attachments(), [Attachment::Attached]);
}

#[tokio::test]
async fn settings_can_be_kept() {
    let rig = in_use().await;
    rig.deactivate("hass", true).await;
    assert_eq!(rig.view("hass").attributes.len(), 3);
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
}

#[tokio::test]
async fn all_deletes_every_trace_once_the_id_is_typed() {
    let rig = in_use().await;
    let mut events = rig.integrations.subscribe();
    let flow = rig.begin(FlowKind::Deactivate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("mode", "all")], &[])).await.unwrap();
    assert_eq!(step_id(&flow), "delete_all");
    let flow = rig.answer(&flow, values(&[("id", "hue")], &[])).await.unwrap();
    assert_eq!(errors(&flow)["id"], "is not \"hass\"");
    assert_eq!(rig.view("hass").actual, Actual::Running);
    let flow = rig.answer(&flow, values(&[("id", "hass")], &[])).await.unwrap();
    let done = "hass and everything of it is deleted.";
    assert_eq!(flow.state, FlowState::Done { info_message: done.into() });
    assert!(rig.integrations.list().is_empty() && rig.base.house.entities().is_empty());
    assert!(rig.base.store.integration_list().await.unwrap().is_empty());
    assert!(!rig.base.home.data_dir(&id("hass")).exists());
    let mut last = events.recv().await.unwrap();
    while let Ok(event) = events.try_recv() {
        last = event;
    }
    assert!(last.integration.is_none());

    rig.activate("hass", hass_values()).await;
    let got: MaybeBlob = rig.gateway().ask(ops::KV_GET, &Key { key: "k".into() }).await.unwrap();
    assert_eq!(got.bytes, None);
}

#[tokio::test]
async fn it_goes_without_its_plugin_too() {
    let rig = in_use().await;
    rig.plugins.take("hass", reason(ReasonCode::FileGone, "gone"));
    rig.until("hass", "missing").await;
    rig.deactivate("hass", false).await;
    assert_eq!(rig.view("hass").actual, Actual::Off);
    let restarted = rig.restarted(&[]).await;
    assert_eq!(restarted.view("hass").desired, Desired::Off);
}

#[tokio::test]
async fn a_plugins_own_questions_come_first_and_its_words_stand_at_the_end() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let own = |request: FlowRequest, _: &ScriptedGateway| {
        reply(&match request.answer {
            None => FlowReply::Step(FlowStep {
                step_id: "sure".into(),
                title: "Sure?".into(),
                description: String::new(),
                kind: StepKind::Confirm,
            }),
            Some(_) => {
                FlowReply::Done(FlowDone { info_message: "The bridge forgot us.".into(), ..FlowDone::default() })
            }
        })
    };
    rig.script(&hue, Script::default().on(ops::DEACTIVATE, own));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let flow = rig.begin(FlowKind::Deactivate, "hue").await.unwrap();
    assert_eq!(step_id(&flow), "sure");
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert_eq!(step_id(&flow), "deactivate");
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    let FlowState::Done { info_message } = &flow.state else { panic!("{flow:?}") };
    assert!(info_message.starts_with("The bridge forgot us. hue is off"), "{info_message}");
}

#[tokio::test]
async fn a_stop_that_fails_keeps_nobody_from_deactivating() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().failing(ops::STOP, 1, ErrorCode::Panicked));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.deactivate("hue", false).await;
    assert!(rig.alive().is_empty());
    let error = rig.begin(FlowKind::Deactivate, "nothing").await.unwrap_err();
    assert!(matches!(error, OperationError::NotFound { .. }));
}

#[tokio::test]
async fn what_is_in_use_is_neither_erased_nor_deleted() {
    let rig = in_use().await;
    let hass = rig.integrations.0.find(&id("hass")).unwrap();
    for paused in [false, true] {
        if paused {
            rig.integrations.pause(&id("hass")).await.unwrap();
        }
        let error = rig.integrations.0.delete(&id("hass")).await.unwrap_err();
        let now = if paused { "paused" } else { "running" };
        let refused = OperationError::Conflict(format!("hass is in use ({now}): it must be off before that"));
        assert_eq!(error, refused);
        assert_eq!(hass.ask(Input::Erase).await.unwrap_err(), refused);
    }
    let row = &rig.base.store.integration_list().await.unwrap()[0];
    assert_eq!(row.attributes.0.len(), 3);
    assert_eq!(rig.base.store.kv_get(&id("hass"), KvSpace::Secrets, "k").await.unwrap(), Some(vec![1]));
}
