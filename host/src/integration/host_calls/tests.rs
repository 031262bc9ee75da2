//! One generation's calls: bounds, order, refusals.

#![allow(clippy::unwrap_used, reason = "tests")]

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Declare, Emit, EmitOutcome, Key, KeyBlob, Keys, MaybeBlob, Reading, Remove};
use gatehouse_plugin_api::ops::{self, Op};
use gatehouse_plugin_api::value::Value;

use crate::integration::FlowKind;
use crate::integration::tests::{Rig, lamp, plugin};

async fn running() -> Rig {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    rig
}

fn on(value: bool) -> Emit {
    let lamp = lamp(true);
    let (entity, state) = (lamp.name, lamp.states[0].name.clone());
    Emit { readings: vec![Reading { entity, state, value: Value::OnOff(value), at_ms: None }] }
}

fn declare() -> Declare {
    Declare { entities: vec![lamp(true)] }
}

#[tokio::test]
async fn a_declaration_is_in_force_before_the_readings_after_it() {
    let rig = running().await;
    let gateway = rig.gateway();
    gateway.tell(ops::DECLARE, &declare());
    for n in 0..50 {
        gateway.tell(ops::EMIT, &on(n % 2 == 0));
    }
    let outcome: EmitOutcome = gateway.ask(ops::EMIT_DURABLE, &on(true)).await.unwrap();
    assert_eq!(outcome, EmitOutcome::default());
    gateway.ask::<_, ()>(ops::FLUSH, &()).await.unwrap();
    let address = "hue:lamp/power".parse().unwrap();
    assert_eq!(rig.base.house.history(&address, 0, i64::MAX, 100).await.unwrap().rows.len(), 51);
}

#[tokio::test]
async fn what_was_not_declared_is_refused_and_counted() {
    let rig = running().await;
    let outcome: EmitOutcome = rig.gateway().ask(ops::EMIT, &on(true)).await.unwrap();
    assert_eq!(outcome.refused, 1);
    let missing = Remove { entities: vec![lamp(true).name] };
    let error = rig.gateway().ask::<_, ()>(ops::REMOVE, &missing).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn the_stores_keep_what_they_are_given_apart_and_bounded() {
    let rig = running().await;
    let gateway = rig.gateway();
    let blob = |key: &str, bytes: Vec<u8>| KeyBlob { key: key.into(), bytes };
    gateway.ask::<_, ()>(ops::KV_SET, &blob("room/1", vec![1])).await.unwrap();
    gateway.ask::<_, ()>(ops::KV_SET, &blob("room/2", vec![2])).await.unwrap();
    gateway.ask::<_, ()>(ops::KV_DELETE, &Key { key: "room/1".into() }).await.unwrap();
    let keys: Keys = gateway.ask(ops::KV_KEYS, &Key { key: "room/".into() }).await.unwrap();
    assert_eq!(keys.keys, ["room/2"]);
    let secret: MaybeBlob = gateway.ask(ops::SECRET_GET, &Key { key: "room/2".into() }).await.unwrap();
    assert_eq!(secret.bytes, None);
    for (key, bytes) in [("", vec![]), (&*"k".repeat(256), vec![]), ("large", vec![0; 1024 * 1024 + 1])] {
        let error = gateway.ask::<_, ()>(ops::KV_SET, &blob(key, bytes)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Refused);
    }
}

#[tokio::test]
async fn unknown_operations_and_broken_requests_are_answered() {
    let rig = running().await;
    let gateway = rig.gateway();
    let unknown = Op { number: 4_711, ..ops::EMIT };
    assert_eq!(gateway.ask::<_, ()>(unknown, &()).await.unwrap_err().code, ErrorCode::Unsupported);
    assert_eq!(gateway.ask::<_, ()>(ops::START, &()).await.unwrap_err().code, ErrorCode::Unsupported);
    for op in [ops::EMIT, ops::DECLARE, ops::REMOVE, ops::LOG, ops::HEALTH, ops::KV_GET, ops::KV_SET] {
        let error = gateway.ask::<_, ()>(op, &"nonsense").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest, "{}", op.name);
    }
    let error = gateway.ask::<_, ()>(ops::EMIT, &vec![0_u32; 1_500_000]).await;
    assert!(error.is_err());
}

#[tokio::test]
async fn a_flood_is_refused_and_what_was_taken_is_done() {
    let rig = running().await;
    let gateway = rig.gateway();
    gateway.ask::<_, ()>(ops::DECLARE, &declare()).await.unwrap();
    // Nothing is worked off before this task yields.
    let asked: Vec<_> = (0..2_000)
        .map(|_| {
            let gateway = std::sync::Arc::clone(&gateway);
            async move { gateway.ask::<_, EmitOutcome>(ops::EMIT, &on(true)).await }
        })
        .collect();
    let answers = futures_util::future::join_all(asked).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((taken.len(), refused.len()), (1_024, 976));
    assert!(refused.iter().all(|answer| answer.as_ref().is_err_and(|error| error.code == ErrorCode::Refused)));
}

#[tokio::test]
async fn during_a_flow_nothing_reaches_the_house() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin(FlowKind::Activate, "hue").await.unwrap();
    let error = rig.gateway().ask::<_, ()>(ops::DECLARE, &declare()).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Refused);
    assert!(rig.base.house.entities().is_empty());
}
