//! The default activation flow, and what every flow has in common.

use std::collections::BTreeMap;

use gatehouse_plugin_api::attribute::{AttributeValue, AttributeValues, FieldErrors, PlainValue};
use gatehouse_plugin_api::error::{CallError, ErrorCode};
use gatehouse_plugin_api::flow::StepKind;
use gatehouse_plugin_api::manifest::Capability;
use gatehouse_plugin_api::message::{Attributes, Connection, ConnectionResult};
use gatehouse_plugin_api::ops;

use super::rig::{Act, Rig, Script, ScriptedGateway, errors, fail, hass_specs, hass_values, id, plugin, reply, values};
use crate::config::Config;
use crate::integration::{Actual, FlowBegin, FlowInput, FlowKind, FlowState, OperationError};
use crate::plugin::Staged;
use crate::reason::ReasonCode;
use crate::store::Desired;

async fn with_hass(script: Script) -> Rig {
    let rig = Rig::new().await;
    let hass = plugin("hass", "1.0.0", hass_specs());
    rig.script(&hass, script);
    rig.plugins.put(&hass);
    rig
}

#[tokio::test]
async fn a_form_from_the_specs_leads_to_a_running_integration_that_a_restart_keeps() {
    let rig = with_hass(Script::default()).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let FlowState::Step { step, defaults } = &flow.state else { panic!("{flow:?}") };
    assert!(matches!(&step.kind, StepKind::Form { fields, errors } if fields.len() == 3 && errors.is_empty()));
    assert_eq!(defaults, &BTreeMap::from([("every".to_owned(), PlainValue::Integer(30))]));
    assert!(rig.integrations.list().is_empty());
    let flow = rig.answer(&flow, hass_values()).await.unwrap();
    assert_eq!(flow.state, FlowState::Done { info_message: "HASS is activated.".into() });
    let view = rig.view("hass");
    assert_eq!((view.actual, view.desired, view.title.as_str()), (Actual::Running, Desired::On, "HASS"));
    assert_eq!(view.attributes["token"], PlainValue::Text("********".into()));
    // The flow's worker and the integration's own are two, and only the second is left.
    assert_eq!((rig.launches(), rig.alive().len()), (2, 1));
    let calls = rig.gateways()[0].calls.lock().clone();
    assert_eq!(calls, ["activate", "validate_configuration", "test_connection"]);

    let hass = plugin("hass", "1.0.0", hass_specs());
    let rig = rig.restarted(&[hass]).await;
    let view = rig.until("hass", "running").await;
    assert_eq!(view.info_message, "HASS is activated.");
    let supervised = rig.integrations.0.find(&id("hass")).unwrap();
    let token = supervised.settings().get("token").cloned();
    assert!(matches!(token, Some(AttributeValue::Secret(secret)) if secret.expose() == "hunter2"));
}

#[tokio::test]
async fn wrong_fields_show_the_form_again_and_nothing_is_saved() {
    let rig = with_hass(Script::default()).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("url", "pi:8123"), ("every", "0"), ("evry", "1")], &[])).await.unwrap();
    let errors = errors(&flow);
    for (field, part) in [
        ("url", "is not an absolute URL"),
        ("token", "is required"),
        ("every", "0 is less than 1"),
        ("base", "did you mean \"every\"?"),
    ] {
        assert!(errors[field].contains(part), "{field}: {errors:?}");
    }
    assert!(rig.integrations.list().is_empty());
    let flow = rig.answer(&flow, hass_values()).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }));
}

#[tokio::test]
async fn what_the_plugin_finds_wrong_stands_at_its_field() {
    let wrong = |request: Attributes, _: &ScriptedGateway| {
        let every = request.attributes.get("every").cloned();
        if every == Some(AttributeValue::Plain(PlainValue::Integer(30))) {
            return reply(&FieldErrors::from([("every".to_owned(), "is too often for this upstream".to_owned())]));
        }
        Act::Fail(CallError::new(ErrorCode::BadConfiguration, "these two do not go together"))
    };
    let rig = with_hass(Script::default().on(ops::VALIDATE_CONFIGURATION, wrong)).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, hass_values()).await.unwrap();
    assert_eq!(errors(&flow)["every"], "is too often for this upstream");
    let mut other = hass_values();
    other.set_plain("every", PlainValue::Integer(60));
    let flow = rig.answer(&flow, other).await.unwrap();
    assert_eq!(errors(&flow)["base"], "these two do not go together");
}

#[tokio::test]
async fn a_failed_connection_test_is_told_and_can_be_repaired() {
    for (outcome, sentence) in [
        (Connection::CannotConnect, "it cannot be reached: so it says"),
        (Connection::BadCredentials, "it refused the credentials: so it says"),
        (Connection::WrongVersion, "it has a version that the plugin does not speak: so it says"),
        (Connection::Other, "the connection could not be tested: so it says"),
    ] {
        let test = move |_: Attributes, _: &ScriptedGateway| {
            reply(&ConnectionResult { outcome, message: "so it says".into() })
        };
        let rig = with_hass(Script::default().on(ops::TEST_CONNECTION, test)).await;
        let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
        let flow = rig.answer(&flow, hass_values()).await.unwrap();
        assert_eq!(errors(&flow), FieldErrors::from([("base".into(), sentence.into())]));
        assert!(rig.integrations.list().is_empty());
    }
}

#[tokio::test]
async fn without_settings_a_confirmation_says_what_it_needs() {
    let rig = Rig::new().await;
    let mut manifest = plugin("meter", "1.0.0", vec![]).manifest().clone();
    manifest.poll_interval_ms = Some(5_000);
    manifest.capabilities = vec![Capability::Read { path: "/proc".into() }];
    let meter = Staged::imagined(manifest, "meter-1");
    rig.script(&meter, Script::default().failing(ops::VALIDATE_CONFIGURATION, 1, ErrorCode::Panicked));
    rig.plugins.put(&meter);
    let flow = rig.begin(FlowKind::Activate, "meter").await.unwrap();
    let description = |flow: &crate::integration::FlowView| match &flow.state {
        FlowState::Step { step, .. } => {
            assert_eq!(step.kind, StepKind::Confirm);
            step.description.clone()
        }
        other => panic!("{other:?}"),
    };
    let words = description(&flow);
    for part in ["Watches things.", "every 5s", "- read /proc"] {
        assert!(words.contains(part), "{words}");
    }
    let error = rig.answer(&flow, values(&[("x", "1")], &[])).await.unwrap_err();
    assert_eq!(error.to_string(), "the step \"confirm\" takes no values; given were x");
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert!(description(&flow).starts_with("It did not work: not today"), "{flow:?}");
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
}

#[tokio::test]
async fn one_that_does_not_start_is_activated_all_the_same_and_says_so() {
    let rig = with_hass(Script::default().failing(ops::START, 1, ErrorCode::Transient)).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, hass_values()).await.unwrap();
    let FlowState::Done { info_message } = &flow.state else { panic!("{flow:?}") };
    assert!(
        info_message.starts_with("HASS is activated. It does not run yet (retrying): not today."),
        "{info_message}"
    );
    assert_eq!(rig.view("hass").info_message, "HASS is activated.");
}

#[tokio::test]
async fn a_stale_step_conflicts_and_an_abort_leaves_nothing() {
    let rig = with_hass(Script::default()).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let stale = rig.integrations.flow_answer(&flow.flow_id, "host", FlowInput::default()).await.unwrap_err();
    assert_eq!(stale, OperationError::Conflict("the step \"host\" is not shown any more: answer \"settings\"".into()));
    let second = rig.begin(FlowKind::Activate, "hass").await.unwrap_err();
    assert!(matches!(&second, OperationError::Conflict(sentence) if sentence.contains(&flow.flow_id)), "{second}");
    rig.integrations.flow_abort(&flow.flow_id).await.unwrap();
    assert!(matches!(rig.integrations.flow_view(&flow.flow_id), Err(OperationError::NotFound { .. })));
    assert!(matches!(rig.integrations.flow_abort(&flow.flow_id).await, Err(OperationError::NotFound { .. })));
    assert!(rig.alive().is_empty() && rig.integrations.list().is_empty());
}

#[tokio::test]
async fn a_flow_that_nobody_answers_expires_with_its_worker() {
    let rig = with_hass(Script::default()).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    rig.advance(800_000);
    let flow = rig.answer(&flow, values(&[], &[])).await.unwrap();
    rig.advance(800_000);
    assert!(rig.integrations.flow_view(&flow.flow_id).is_ok(), "an answer keeps it");
    rig.advance(200_000);
    rig.wait_for("its end", || rig.integrations.flow_view(&flow.flow_id).is_err()).await;
    rig.wait_for("its worker's end", || rig.alive().is_empty()).await;
    assert!(rig.begin(FlowKind::Activate, "hass").await.is_ok());
}

#[tokio::test]
async fn two_instances_of_a_type_are_two_integrations() {
    let rig = with_hass(Script::default()).await;
    rig.activate("hass", hass_values()).await;
    let flow = rig.begin_instance("hass", "hass-cabin").await.unwrap();
    rig.answer(&flow, values(&[("url", "http://cabin:8123")], &[("token", "t")])).await.unwrap();
    let views = rig.integrations.list();
    let titles: Vec<_> = views.iter().map(|view| (view.id.as_str(), view.title.as_str())).collect();
    assert_eq!(titles, [("hass", "HASS"), ("hass-cabin", "HASS (hass-cabin)")]);
    assert_eq!(rig.alive().len(), 2);
    rig.integrations.pause(&id("hass")).await.unwrap();
    assert_eq!(rig.view("hass-cabin").actual, Actual::Running);
    assert_ne!(views[0].attributes["url"], views[1].attributes["url"]);
}

#[tokio::test]
async fn types_and_integrations_share_one_namespace() {
    let rig = with_hass(Script::default()).await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.activate("hass", hass_values()).await;
    let flow = rig.begin_instance("hass", "cabin").await.unwrap();
    rig.answer(&flow, hass_values()).await.unwrap();
    for (of, name, part) in [
        ("hue", "hass", "an integration of the type hass has it"),
        ("hue", "cabin", "an integration of the type hass has it"),
        ("hass", "hue", "a plugin in the plugins folder provides a type of this name"),
    ] {
        let error = rig.begin_instance(of, name).await.unwrap_err();
        assert!(matches!(&error, OperationError::Conflict(sentence) if sentence.contains(part)), "{error}");
    }
    let error = rig.begin_instance("hass", "cabin").await.unwrap_err();
    assert!(matches!(&error, OperationError::Conflict(sentence) if sentence.contains("in use has it")), "{error}");
    let error = rig.begin(FlowKind::Activate, "hsas").await.unwrap_err();
    assert_eq!(error.to_string(), "the integration type \"hsas\" does not exist: did you mean \"hass\"?");
    rig.plugins.take("hue", super::rig::reason(ReasonCode::NotElf, "it is not an ELF file"));
    let error = rig.begin(FlowKind::Activate, "hue").await.unwrap_err();
    assert!(matches!(&error, OperationError::Unavailable(sentence) if sentence.contains("not an ELF")), "{error}");
    let nothing = FlowBegin { kind: FlowKind::Activate, integration_type: None, integration: None, take_over: false };
    assert!(matches!(rig.integrations.flow_begin(nothing).await, Err(OperationError::Invalid { .. })));
}

#[tokio::test]
async fn activating_again_changes_settings_and_keeps_the_secret_that_was_not_given() {
    let rig = with_hass(Script::default()).await;
    rig.activate("hass", hass_values()).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let FlowState::Step { defaults, .. } = &flow.state else { panic!("{flow:?}") };
    assert_eq!(defaults.keys().collect::<Vec<_>>(), ["every", "url"]);
    rig.answer(&flow, values(&[("url", "http://other:8123")], &[])).await.unwrap();
    let view = rig.until("hass", "running").await;
    assert_eq!(view.attributes["url"], PlainValue::Text("http://other:8123".into()));
    let settings = rig.integrations.0.find(&id("hass")).unwrap().settings();
    assert!(matches!(settings.get("token"), Some(AttributeValue::Secret(secret)) if secret.expose() == "hunter2"));
    assert_eq!(rig.alive().len(), 1);
    assert_eq!(rig.gateway().count(ops::START), 1);
}

#[tokio::test]
async fn a_plugin_that_does_not_launch_aborts_the_flow_with_its_reason() {
    let rig = with_hass(Script::not_launching(ReasonCode::ConstructorFailed)).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let aborted = FlowState::Aborted { code: "constructor_failed".into(), message: "it does not open".into() };
    assert_eq!(flow.state, aborted);
    // An ended flow is in nobody's way.
    assert!(rig.begin(FlowKind::Activate, "hass").await.is_ok());
}

#[tokio::test]
async fn in_process_is_for_those_that_the_configuration_names() {
    let mut config = Config::default();
    let one = crate::config::OneIntegration { hosting: Some(crate::gateway::Hosting::InProcess), ..Default::default() };
    config.integration.insert("hue-fast".into(), one);
    let rig = Rig::with(config).await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    let flow = rig.begin_instance("hue", "hue-fast").await.unwrap();
    let FlowState::Step { step, .. } = &flow.state else { panic!("{flow:?}") };
    assert_eq!((step.step_id.as_str(), &step.kind), ("in_process", &StepKind::Confirm));
    assert!(step.description.contains("a crash of it is a crash of the whole daemon"), "{}", step.description);
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    rig.answer(&flow, AttributeValues::default()).await.unwrap();
    let again = rig.begin(FlowKind::Activate, "hue-fast").await.unwrap();
    let FlowState::Step { step, .. } = &again.state else { panic!("{again:?}") };
    assert_eq!(step.step_id, "confirm", "not asked again while it is in use");
    let hosting = |name: &str| (rig.view(name).hosting, rig.view(name).pid.is_some());
    assert_eq!(hosting("hue"), (crate::gateway::Hosting::Isolated, true));
    assert_eq!(hosting("hue-fast"), (crate::gateway::Hosting::InProcess, false));
}

#[tokio::test]
async fn an_error_of_the_gateway_ends_the_flow() {
    let refuse = |_: gatehouse_plugin_api::flow::FlowRequest, _: &ScriptedGateway| {
        fail(ErrorCode::Refused, "this house has one already")
    };
    let rig = with_hass(Script::default().on(ops::ACTIVATE, refuse)).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let aborted = FlowState::Aborted { code: "refused".into(), message: "this house has one already".into() };
    assert_eq!(flow.state, aborted);
}
