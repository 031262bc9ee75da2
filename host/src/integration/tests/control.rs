//! Setting states.

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Control, ControlOutcome, Declare, Remove};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::value::Value;

use super::deactivation::lamp;
use super::rig::{Rig, Script, ScriptedGateway, fail, id, plugin, reply};
use crate::integration::OperationError;
use crate::reason::ReasonCode;

async fn house(script: Script) -> Rig {
    let rig = Rig::new().await;
    let house = plugin("house", "1.0.0", vec![]);
    rig.script(&house, script);
    rig.plugins.put(&house);
    rig.begin_and_confirm("house").await;
    let mut sensor = lamp(false);
    sensor.name = gatehouse_plugin_api::ids::EntityName::new("door").unwrap();
    rig.gateway().ask::<_, ()>(ops::DECLARE, &Declare { entities: vec![lamp(true), sensor] }).await.unwrap();
    rig
}

async fn set(rig: &Rig, address: &str, value: Value) -> Result<Option<Value>, OperationError> {
    rig.integrations.control(&address.parse().unwrap(), value, serde_json::Value::Null).await
}

fn switched(control: Control, _: &ScriptedGateway) -> super::rig::Act {
    reply(&ControlOutcome { value: Some(control.value) })
}

#[tokio::test]
async fn a_control_reaches_the_gateway_and_its_new_value_is_a_reading() {
    let rig = house(Script::default().on(ops::CONTROL, switched)).await;
    let value = set(&rig, "house:LAMP/Power", Value::OnOff(true)).await.unwrap();
    assert_eq!(value, Some(Value::OnOff(true)));
    let live = rig.base.house.live_state(&"house:lamp/power".parse().unwrap()).unwrap();
    assert_eq!(live.value, Value::OnOff(true));
}

#[tokio::test]
async fn what_cannot_be_set_is_explained() {
    let rig = house(Script::default()).await;
    let on = || Value::OnOff(true);
    for (address, value, sentence) in [
        ("hose:lamp/power", on(), "the integration \"hose\" does not exist: did you mean \"house\"?"),
        ("house:lamb/power", on(), "the entity \"house:lamb\" does not exist: did you mean \"house:lamp\"?"),
        ("house:lamp/pwer", on(), "the state \"pwer\" of house:lamp does not exist: did you mean \"power\"?"),
        ("house:lamp/x", on(), "the state \"x\" of house:lamp does not exist: it has power"),
        ("house:door/power", on(), "house:door/power is read-only: it is sensed and cannot be set"),
        ("house:lamp/power", Value::Number(1.0), "house:lamp/power: takes on_off and got number"),
        ("house:lamp/power", on(), "house: not in the script"),
    ] {
        assert_eq!(set(&rig, address, value).await.unwrap_err().to_string(), sentence);
    }
}

#[tokio::test]
async fn one_that_does_not_run_says_why() {
    let rig = house(Script::default().on(ops::CONTROL, switched)).await;
    let refused = |error: OperationError| match error {
        OperationError::Unavailable(sentence) => sentence,
        other => panic!("{other:?}"),
    };
    rig.integrations.pause(&id("house")).await.unwrap();
    let error = set(&rig, "house:lamp/power", Value::OnOff(true)).await.unwrap_err();
    assert_eq!(refused(error), "house is paused: resume it first");
    rig.integrations.resume(&id("house")).await.unwrap();
    rig.gateway().die(ReasonCode::WorkerKilled);
    rig.until("house", "retrying").await;
    let error = set(&rig, "house:lamp/power", Value::OnOff(true)).await.unwrap_err();
    assert_eq!(refused(error), "house does not run (retrying): its process died");
    rig.deactivate("house", false).await;
    let error = set(&rig, "house:lamp/power", Value::OnOff(true)).await.unwrap_err();
    assert_eq!(refused(error), "house is off: activate it first");
}

#[tokio::test]
async fn an_entity_that_is_no_longer_listed_says_so() {
    let rig = house(Script::default().on(ops::CONTROL, switched)).await;
    let gone = Remove { entities: vec![lamp(true).name] };
    rig.gateway().ask::<_, ()>(ops::REMOVE, &gone).await.unwrap();
    let error = set(&rig, "house:lamp/power", Value::OnOff(true)).await.unwrap_err();
    assert_eq!(error.to_string(), "house:lamp cannot be set: its integration does not list it any more");
}

#[tokio::test]
async fn a_refusal_of_the_gateways_is_its_own_word() {
    let rig =
        house(Script::default().on(ops::CONTROL, |_: Control, _| fail(ErrorCode::Refused, "a child lock is set")))
            .await;
    let error = set(&rig, "house:lamp/power", Value::OnOff(true)).await.unwrap_err();
    assert!(matches!(&error, OperationError::Gateway { error, .. } if error.code == ErrorCode::Refused));
    assert_eq!(error.to_string(), "house: a child lock is set");
}
