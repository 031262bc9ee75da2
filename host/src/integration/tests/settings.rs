//! Changing settings of what is in use.

use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValue, FieldErrors, PlainValue, ValueType};
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Attributes, SettingsOutcome};
use gatehouse_plugin_api::ops;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::rig::{Act, Rig, Script, ScriptedGateway, hass_specs, hass_values, id, plugin, reply, spec, values};
use crate::integration::supervisor::Input;
use crate::integration::{Actual, OperationError};
use crate::store::Desired;

async fn in_use(script: Script) -> Rig {
    let rig = Rig::new().await;
    let mut specs = hass_specs();
    specs.push(AttributeSpec { required: false, editable: false, ..spec("site", ValueType::Text) });
    let hass = plugin("hass", "1.0.0", specs);
    rig.script(&hass, script);
    rig.plugins.put(&hass);
    let mut given = hass_values();
    given.set_plain("site", PlainValue::Text("attic".into()));
    rig.activate("hass", given).await;
    rig
}

#[tokio::test]
async fn what_is_given_is_merged_and_applied_live() {
    let applied = |_: Attributes, _: &ScriptedGateway| reply(&SettingsOutcome::Applied);
    let rig = in_use(Script::default().on(ops::SETTINGS_CHANGED, applied)).await;
    let gateway = rig.gateway();
    let view = rig.integrations.set(&id("hass"), values(&[("every", "5")], &[])).await.unwrap();
    assert_eq!(view.attributes["every"], PlainValue::Integer(5));
    assert_eq!(view.attributes["url"], PlainValue::Text("http://pi:8123".into()));
    assert!(gateway.is_alive() && gateway.count(ops::SETTINGS_CHANGED) == 1);
    let row = &rig.base.store.integration_list().await.unwrap()[0];
    assert!(matches!(row.attributes.get("token"), Some(AttributeValue::Secret(token)) if token.expose() == "hunter2"));
}

#[tokio::test]
async fn a_gateway_that_cannot_apply_them_is_started_again() {
    let rig = in_use(Script::default()).await;
    let before = rig.gateway();
    let view = rig.integrations.set(&id("hass"), values(&[("every", "5")], &[])).await.unwrap();
    assert_eq!(view.actual, Actual::Running);
    assert!(!before.is_alive());
    assert_eq!(rig.gateway().count(ops::START), 1);
}

#[tokio::test]
async fn wrong_settings_are_refused_by_field_and_nothing_changes() {
    let wrong = |request: Attributes, _: &ScriptedGateway| {
        let mut fields = FieldErrors::new();
        if request.attributes.get("every") == Some(&AttributeValue::Plain(PlainValue::Integer(7))) {
            fields.insert("every".into(), "is unlucky".into());
        }
        reply(&fields)
    };
    let rig = in_use(Script::default().on(ops::VALIDATE_CONFIGURATION, wrong)).await;
    for (given, sentence) in [
        (values(&[("every", "0")], &[]), "every 0 is less than 1, the least allowed"),
        (values(&[("every", "7")], &[]), "every is unlucky"),
        (values(&[("evry", "7")], &[]), "evry is not known here: did you mean \"every\"?"),
        (
            values(&[("site", "cellar")], &[]),
            "site cannot be changed in use: deactivate the integration and activate it anew",
        ),
        (
            values(&[("token", "shown")], &[]),
            "token is a secret and must be given as one, not as a value that may be shown",
        ),
        (values(&[], &[("url", "x")]), "url takes a URL, as text, not a secret"),
    ] {
        let error = rig.integrations.set(&id("hass"), given).await.unwrap_err();
        assert_eq!(error.to_string(), sentence);
        assert!(matches!(error, OperationError::Invalid { fields, .. } if fields.len() == 1));
    }
    assert_eq!(rig.view("hass").attributes["every"], PlainValue::Integer(30));
    assert_eq!(rig.gateway().count(ops::SETTINGS_CHANGED), 0);
}

#[tokio::test]
async fn saved_settings_start_what_waited_for_them() {
    let rig = in_use(Script::default()).await;
    let hass = rig.gateway().launch.plugin.clone();
    rig.integrations.pause(&id("hass")).await.unwrap();
    rig.script(&hass, Script::default().failing(ops::START, 1, ErrorCode::BadConfiguration));
    rig.integrations.resume(&id("hass")).await.unwrap();
    assert_eq!(rig.view("hass").actual, Actual::NeedsConfig);
    let view = rig.integrations.set(&id("hass"), values(&[("every", "5")], &[])).await.unwrap();
    assert_eq!(view.actual, Actual::Running);
}

#[tokio::test]
async fn one_that_is_paused_keeps_new_settings_and_stays_paused() {
    let rig = in_use(Script::default()).await;
    rig.integrations.pause(&id("hass")).await.unwrap();
    let view = rig.integrations.set(&id("hass"), values(&[("every", "5")], &[])).await.unwrap();
    assert_eq!((view.actual, &view.attributes["every"]), (Actual::Paused, &PlainValue::Integer(5)));
    // The plugin's own check ran in a worker that is gone.
    assert!(rig.alive().is_empty());
}

#[tokio::test]
async fn of_two_changes_at_once_none_is_lost() {
    let rig = in_use(Script::default()).await;
    let name = id("hass");
    let (one, other) = tokio::join!(
        rig.integrations.set(&name, values(&[("every", "5")], &[])),
        rig.integrations.set(&name, values(&[("url", "http://attic:8123")], &[])),
    );
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    let row = &rig.base.store.integration_list().await.unwrap()[0];
    assert_eq!(row.attributes.get("every"), Some(&AttributeValue::Plain(PlainValue::Integer(5))));
    let url = AttributeValue::Plain(PlainValue::Text("http://attic:8123".into()));
    assert_eq!(row.attributes.get("url"), Some(&url));
}

#[tokio::test]
async fn a_gateway_is_told_in_the_order_in_which_settings_were_saved() {
    let gate = Arc::new(Semaphore::new(0));
    let told = Arc::new(Mutex::new(Vec::new()));
    let (held, heard) = (Arc::clone(&gate), Arc::clone(&told));
    let slowly = move |request: Attributes, _: &ScriptedGateway| {
        heard.lock().push(request.attributes.shown()["every"].clone());
        Act::Held(Arc::clone(&held), Box::new(reply(&SettingsOutcome::Applied)))
    };
    let rig = in_use(Script::default().on(ops::SETTINGS_CHANGED, slowly)).await;
    let changes: Vec<_> = ["5", "6", "7"]
        .into_iter()
        .map(|every| {
            let integrations = rig.integrations.clone();
            tokio::spawn(async move { integrations.set(&id("hass"), values(&[("every", every)], &[])).await })
        })
        .collect();
    let saved = || rig.integrations.0.find(&id("hass")).unwrap().settings().shown()["every"].clone();
    rig.wait_for("the last change, saved", || saved() == PlainValue::Integer(7)).await;
    assert_eq!(*told.lock(), [PlainValue::Integer(5)]);
    gate.add_permits(2);
    for change in changes {
        assert_eq!(change.await.unwrap().unwrap().attributes["every"], PlainValue::Integer(7));
    }
    assert_eq!(*told.lock(), [PlainValue::Integer(5), PlainValue::Integer(7)]);
}

#[tokio::test]
async fn what_was_erased_is_not_written_back_by_a_change_that_began_before() {
    let gate = Arc::new(Semaphore::new(1));
    let held = Arc::clone(&gate);
    let slowly =
        move |_: Attributes, _: &ScriptedGateway| Act::Held(Arc::clone(&held), Box::new(reply(&FieldErrors::new())));
    let rig = in_use(Script::default().on(ops::VALIDATE_CONFIGURATION, slowly)).await;
    let gateway = rig.gateway();
    let (integrations, before) = (rig.integrations.clone(), gateway.count(ops::VALIDATE_CONFIGURATION));
    let change = tokio::spawn(async move { integrations.set(&id("hass"), values(&[("every", "5")], &[])).await });
    rig.wait_for("the check", || gateway.count(ops::VALIDATE_CONFIGURATION) > before).await;
    rig.deactivate("hass", false).await;
    gate.add_permits(1);
    let refused = OperationError::Conflict("hass is off: activate it first".into());
    assert_eq!(change.await.unwrap().unwrap_err(), refused);
    let row = &rig.base.store.integration_list().await.unwrap()[0];
    assert_eq!((row.attributes.0.len(), row.desired), (0, Desired::Off));
}

#[tokio::test]
async fn one_that_was_switched_off_meanwhile_is_neither_resumed_nor_paused() {
    let rig = in_use(Script::default()).await;
    let hass = rig.integrations.0.find(&id("hass")).unwrap();
    let (off, on, paused) = tokio::join!(
        hass.ask(|reply| Input::Want(Desired::Off, reply)),
        hass.ask(|reply| Input::Want(Desired::On, reply)),
        hass.ask(|reply| Input::Want(Desired::Paused, reply)),
    );
    assert_eq!(off.unwrap().actual, Actual::Off);
    let refused = OperationError::Conflict("hass is off: activate it first".into());
    assert_eq!((on.unwrap_err(), paused.unwrap_err()), (refused.clone(), refused));
    assert!(rig.alive().is_empty());
}
