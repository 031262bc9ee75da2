//! Changing settings of what is in use.

use gatehouse_plugin_api::attribute::{AttributeSpec, AttributeValue, FieldErrors, PlainValue, ValueType};
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Attributes, SettingsOutcome};
use gatehouse_plugin_api::ops;

use super::rig::{Rig, Script, ScriptedGateway, hass_specs, hass_values, id, plugin, reply, spec, values};
use crate::integration::{Actual, OperationError};

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
