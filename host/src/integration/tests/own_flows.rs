//! Flows of a plugin's own: shown, checked, replayed when a worker dies.

use gatehouse_plugin_api::attribute::{AttributeValues, ChoiceOption, FieldErrors, ValueType};
use gatehouse_plugin_api::flow::{FlowDone, FlowReason, FlowReply, FlowRequest, FlowStep, StepKind};
use gatehouse_plugin_api::message::{Key, KeyBlob, MaybeBlob};
use gatehouse_plugin_api::ops;

use super::rig::{Act, Rig, Script, ScriptedGateway, errors, hass_specs, plugin, reply, spec, step_id, values};
use crate::integration::{Actual, FlowInput, FlowKind, FlowState, FlowView, OperationError};
use crate::reason::ReasonCode;

fn step(step_id: &str, kind: StepKind) -> FlowReply {
    FlowReply::Step(FlowStep { step_id: step_id.into(), title: step_id.into(), description: String::new(), kind })
}

fn form(step_id: &str, fields: &[&str]) -> FlowReply {
    let fields = fields.iter().map(|key| spec(key, ValueType::Text)).collect();
    step(step_id, StepKind::Form { fields, errors: FieldErrors::new() })
}

fn menu() -> FlowReply {
    let option = |value: &str| ChoiceOption { value: value.into(), label: value.into() };
    step("how", StepKind::Menu { options: vec![option("button"), option("password")] })
}

/// Host, then a menu, then a link elsewhere, then work, then done; keeps nothing between calls.
fn pairing(request: FlowRequest, gateway: &ScriptedGateway) -> Act {
    let Some(answer) = request.answer else { return reply(&form("host", &["host"])) };
    reply(&match answer.step_id.as_str() {
        "host" => menu(),
        "how" if answer.choice.as_deref() == Some("button") => step("press", StepKind::Confirm),
        "how" => step("login", StepKind::External { url: "https://example.org/login".into() }),
        "press" | "login" => step("pair", StepKind::Progress { message: "pairing".into(), percent: None }),
        _ if gateway.count(ops::ACTIVATE) < 6 => {
            step("pair", StepKind::Progress { message: "pairing".into(), percent: Some(50.0) })
        }
        _ => FlowReply::Done(FlowDone {
            attributes: values(&[("url", "http://pi:8123")], &[("token", "paired")]),
            title: "The bridge".into(),
            unique_id: Some("bridge-1".into()),
            info_message: "Paired with the bridge.".into(),
        }),
    })
}

async fn with_flow(flow: impl Fn(FlowRequest, &ScriptedGateway) -> Act + Send + Sync + 'static) -> Rig {
    let rig = Rig::new().await;
    let hass = plugin("hass", "1.0.0", hass_specs());
    rig.script(&hass, Script::default().on(ops::ACTIVATE, flow));
    rig.plugins.put(&hass);
    rig
}

#[tokio::test]
async fn what_it_will_be_allowed_to_is_said_before_a_plugins_own_flow_asks_anything() {
    let rig = with_flow(pairing).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let FlowState::Step { step, .. } = &flow.state else { panic!("{flow:?}") };
    assert_eq!(step.step_id, "host");
    assert_eq!(step.description, "It needs nothing else from this machine.");
}

async fn choose(rig: &Rig, flow: &FlowView, choice: &str) -> Result<FlowView, OperationError> {
    let input = FlowInput { values: AttributeValues::default(), choice: Some(choice.into()) };
    rig.integrations.flow_answer(&flow.flow_id, step_id(flow), input).await
}

async fn go_on(rig: &Rig, flow: &FlowView) -> FlowView {
    rig.answer(flow, AttributeValues::default()).await.unwrap()
}

#[tokio::test]
async fn every_kind_of_step_is_shown_and_answered() {
    let rig = with_flow(pairing).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, AttributeValues::default()).await.unwrap();
    assert_eq!(errors(&flow)["host"], "is required");
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    assert_eq!(step_id(&flow), "how");
    let error = choose(&rig, &flow, "magic").await.unwrap_err();
    assert_eq!(error.to_string(), "\"magic\" is not one of button, password");
    assert!(rig.answer(&flow, AttributeValues::default()).await.is_err());
    let flow = choose(&rig, &flow, "password").await.unwrap();
    let mut flow = go_on(&rig, &flow).await;
    while matches!(flow.state, FlowState::Step { .. }) {
        assert_eq!(step_id(&flow), "pair");
        flow = go_on(&rig, &flow).await;
    }
    assert_eq!(flow.state, FlowState::Done { info_message: "Paired with the bridge.".into() });
    let view = rig.view("hass");
    assert_eq!((view.title.as_str(), view.actual), ("The bridge", Actual::Running));
    assert_eq!(view.info_message, "Paired with the bridge.");
}

#[tokio::test]
async fn a_worker_that_dies_is_replaced_and_told_the_answers_so_far() {
    let rig = with_flow(pairing).await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    rig.gateway().die(ReasonCode::WorkerKilled);
    let flow = choose(&rig, &flow, "button").await.unwrap();
    assert_eq!(step_id(&flow), "press");
    assert_eq!((rig.launches(), rig.alive().len()), (2, 1));
    // The opening and the first answer again, then the new one.
    assert_eq!(rig.gateway().count(ops::ACTIVATE), 3);
}

#[tokio::test]
async fn a_worker_that_dies_on_every_answer_ends_the_flow() {
    let rig = with_flow(|request: FlowRequest, _| match request.answer {
        None => reply(&form("host", &["host"])),
        Some(_) => Act::Die,
    })
    .await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    let FlowState::Aborted { code, message } = &flow.state else { panic!("{flow:?}") };
    assert_eq!(code, "worker_lost");
    assert!(message.contains("its process died"), "{message}");
    assert_eq!((rig.launches(), rig.alive().len()), (3, 0));
    assert!(rig.integrations.list().is_empty());
}

#[tokio::test]
async fn a_replay_that_leads_elsewhere_ends_the_flow() {
    let rig = with_flow(|request: FlowRequest, gateway| {
        reply(&match (request.answer, gateway.number) {
            (None, _) => form("host", &["host"]),
            (Some(_), 1) => menu(),
            (Some(_), _) => form("other", &["x"]),
        })
    })
    .await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    rig.gateway().die(ReasonCode::WorkerKilled);
    let flow = choose(&rig, &flow, "button").await.unwrap();
    assert!(matches!(&flow.state, FlowState::Aborted { code, .. } if code == "worker_lost"), "{flow:?}");
}

#[tokio::test]
async fn an_upstream_that_is_there_already_is_refused() {
    let one_step = |request: FlowRequest, _: &ScriptedGateway| {
        if request.answer.is_none() {
            return reply(&form("host", &["host"]));
        }
        let attributes = values(&[("url", "http://pi:8123")], &[("token", "t")]);
        let unique_id = Some("bridge-1".into());
        reply(&FlowReply::Done(FlowDone { attributes, unique_id, ..FlowDone::default() }))
    };
    let rig = with_flow(one_step).await;
    rig.activate("hass", values(&[("host", "pi")], &[])).await;
    let flow = rig.begin_instance("hass", "hass-two").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    let message = "this upstream is already configured as hass".to_owned();
    assert_eq!(flow.state, FlowState::Aborted { code: "already_configured".into(), message });
    assert_eq!(rig.integrations.list().len(), 1);
    // The same integration may go through its own flow again.
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
}

#[tokio::test]
async fn settings_that_do_not_do_show_the_last_form_again() {
    let rig = with_flow(|request: FlowRequest, _| match request.answer {
        None => reply(&form("host", &["host"])),
        Some(answer) => {
            let mut attributes = values(&[], &[("token", "t")]);
            attributes.0.insert("url".into(), answer.values.get("host").cloned().unwrap());
            reply(&FlowReply::Done(FlowDone { attributes, ..FlowDone::default() }))
        }
    })
    .await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "nonsense")], &[])).await.unwrap();
    assert!(errors(&flow)["base"].starts_with("url \"nonsense\" is not an absolute URL"), "{flow:?}");
    let flow = rig.answer(&flow, values(&[("host", "http://pi")], &[])).await.unwrap();
    assert!(matches!(flow.state, FlowState::Done { .. }), "{flow:?}");
}

#[tokio::test]
async fn a_plugins_abort_and_its_impossible_steps_end_the_flow() {
    for (answer, code) in [
        (FlowReply::Abort { code: "no_bridge".into(), message: "No bridge was found.".into() }, "no_bridge"),
        (step("", StepKind::Confirm), "bad_step"),
        (form("twice", &["a", "a"]), "bad_step"),
        (step("menu", StepKind::Menu { options: vec![] }), "bad_step"),
        (step("link", StepKind::External { url: "javascript:alert(1)".into() }), "bad_step"),
    ] {
        let rig = with_flow(move |_: FlowRequest, _| reply(&answer)).await;
        let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
        assert!(matches!(&flow.state, FlowState::Aborted { code: found, .. } if found == code), "{flow:?}");
        assert!(rig.alive().is_empty());
    }
}

#[tokio::test]
async fn what_a_flow_stores_is_kept_only_when_it_is_done() {
    let rig = with_flow(|request: FlowRequest, gateway| {
        if request.answer.is_none() {
            let key = KeyBlob { key: "session".into(), bytes: b"s3cr3t".to_vec() };
            gateway.tell(ops::SECRET_SET, &key);
            return reply(&form("host", &["host"]));
        }
        let attributes = values(&[("url", "http://pi:8123")], &[("token", "t")]);
        reply(&FlowReply::Done(FlowDone { attributes, ..FlowDone::default() }))
    })
    .await;
    let get = Key { key: "session".into() };
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let there: MaybeBlob = rig.gateway().ask(ops::SECRET_GET, &get).await.unwrap();
    assert_eq!(there.bytes.as_deref(), Some(b"s3cr3t".as_slice()));
    rig.integrations.flow_abort(&flow.flow_id).await.unwrap();

    rig.activate("hass", values(&[("host", "pi")], &[])).await;
    let there: MaybeBlob = rig.gateway().ask(ops::SECRET_GET, &get).await.unwrap();
    assert_eq!(there.bytes.as_deref(), Some(b"s3cr3t".as_slice()));
}

#[tokio::test]
async fn a_running_integration_is_asked_itself_and_told_why() {
    let reasons = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&reasons);
    let rig = with_flow(move |request: FlowRequest, _| {
        seen.lock().push((request.reason, request.attributes.0.len()));
        reply(&FlowReply::Default)
    })
    .await;
    rig.activate("hass", super::rig::hass_values()).await;
    let launches = rig.launches();
    rig.begin(FlowKind::Activate, "hass").await.unwrap();
    assert_eq!(rig.launches(), launches);
    assert_eq!(*reasons.lock(), [(FlowReason::Person, 0), (FlowReason::Reconfigure, 3)]);
}

#[tokio::test]
async fn what_a_plugin_says_at_the_end_of_its_flow_is_cut_to_what_can_be_kept() {
    let rig = with_flow(|request, _| {
        reply(&match request.answer {
            None => form("host", &["host"]),
            Some(_) => FlowReply::Done(FlowDone {
                attributes: values(&[("url", "http://pi:8123")], &[("token", "paired")]),
                title: "long ".repeat(100_000),
                info_message: "word ".repeat(100_000),
                unique_id: None,
            }),
        })
    })
    .await;
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    let flow = rig.answer(&flow, values(&[("host", "pi")], &[])).await.unwrap();
    let FlowState::Done { info_message } = &flow.state else { panic!("{flow:?}") };
    let row = &rig.base.store.integration_list().await.unwrap()[0];
    for text in [info_message, &row.info_message, &row.title] {
        assert!(text.chars().count() < 10_000 && text.ends_with('…'), "{} characters", text.chars().count());
    }
}

#[tokio::test]
async fn a_plugin_that_does_not_come_up_in_a_flow_leaves_its_reason_until_it_does() {
    for code in [ReasonCode::Panicked, ReasonCode::LayoutMismatch] {
        let rig = Rig::new().await;
        let hass = plugin("hass", "1.0.0", hass_specs());
        rig.script(&hass, Script::not_launching(code));
        rig.plugins.put(&hass);
        let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
        assert!(matches!(flow.state, FlowState::Aborted { .. }), "{flow:?}");
        let problem = || rig.integrations.launch_problem("hass-1.0.0").map(|reason| reason.code);
        let verdicts: Vec<_> = rig.plugins.reported.lock().iter().map(|(_, code)| *code).collect();
        // What is wrong with the file is its verdict.
        if code == ReasonCode::LayoutMismatch {
            assert_eq!((problem(), verdicts), (None, vec![code]));
            continue;
        }
        assert_eq!((problem(), verdicts), (Some(code), vec![]));
        rig.script(&hass, Script::default().on(ops::ACTIVATE, |_: FlowRequest, _: &ScriptedGateway| Act::Die));
        let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
        assert!(matches!(&flow.state, FlowState::Aborted { code, .. } if code == "worker_lost"), "{flow:?}");
        assert_eq!(problem(), Some(ReasonCode::WorkerKilled));
        rig.script(&hass, Script::default());
        rig.begin(FlowKind::Activate, "hass").await.unwrap();
        assert_eq!(problem(), None);
    }
}
