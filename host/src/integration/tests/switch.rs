//! Replacing a file: the new generation is tried, takes over, or the old one runs again.

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Attributes, Declare, Emit, EmitOutcome, Reading};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::value::Value;

use super::deactivation::lamp;
use super::rig::{Act, Rig, Script, ScriptedGateway, fail, hass_specs, id, plugin, reason};
use crate::config::{Config, OneIntegration};
use crate::gateway::Hosting;
use crate::integration::Actual;
use crate::plugin::Staged;
use crate::reason::ReasonCode;

fn version(version: &str) -> Staged {
    plugin("hue", version, vec![])
}

async fn running() -> Rig {
    let rig = Rig::new().await;
    rig.plugins.put(&version("1.0.0"));
    rig.begin_and_confirm("hue").await;
    rig
}

fn readings() -> Emit {
    let lamp = lamp(true);
    let (entity, state) = (lamp.name.clone(), lamp.states[0].name.clone());
    Emit { readings: vec![Reading { entity, state, value: Value::OnOff(true), at_ms: None }] }
}

#[tokio::test]
async fn a_new_version_is_tried_then_takes_over_and_the_old_copy_is_released() {
    let rig = running().await;
    let old = rig.gateway();
    rig.plugins.put(&version("2.0.0"));
    let view = rig.until_view("hue", "version 2", |v| v.version.as_deref() == Some("2.0.0")).await;
    let view = if view.actual == Actual::Running { view } else { rig.until("hue", "running").await };
    assert_eq!((view.reason.code, view.generation.as_deref()), (ReasonCode::AsWanted, Some("hue-2.0.0")));
    assert_eq!((old.is_alive(), old.count(ops::STOP)), (false, 1));
    rig.wait_for("the release", || rig.plugins.released.lock().contains(&"hue-1.0.0".to_owned())).await;
    // Flow's worker, version 1, the trial, version 2.
    let gateways = rig.gateways();
    assert_eq!(gateways.len(), 4);
    assert_eq!(*gateways[2].calls.lock(), ["validate_configuration"]);
    let rows = rig.base.store.integration_list().await.unwrap();
    assert_eq!(rows[0].last_good_sha256.as_deref(), Some("hue-2.0.0"));
}

#[tokio::test]
async fn a_new_version_that_does_not_open_leaves_the_old_running() {
    let rig = running().await;
    let old = rig.gateway();
    rig.script(&version("2.0.0"), Script::not_launching(ReasonCode::LayoutMismatch));
    rig.plugins.put(&version("2.0.0"));
    let view = rig.until_view("hue", "its reason", |view| view.reason.code == ReasonCode::WentBack).await;
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("1.0.0")));
    assert!(view.reason.sentence.contains("it does not open"), "{}", view.reason);
    assert!(old.is_alive() && old.count(ops::STOP) == 0);
    assert_eq!(*rig.plugins.reported.lock(), [("hue-2.0.0".to_owned(), ReasonCode::LayoutMismatch)]);
    // The old file put back, nothing is left of it.
    rig.plugins.put(&version("1.0.0"));
    rig.until_view("hue", "no reason", |view| view.reason.code == ReasonCode::AsWanted).await;
    assert!(old.is_alive());
}

#[tokio::test]
async fn a_new_version_that_does_not_start_gives_way_to_the_old_one() {
    for (code, told) in [
        (ErrorCode::Transient, ReasonCode::WentBack),
        (ErrorCode::Panicked, ReasonCode::WentBack),
        (ErrorCode::BadConfiguration, ReasonCode::UpgradeNeedsConfig),
    ] {
        let rig = running().await;
        let start = move |_: Attributes, _: &ScriptedGateway| fail(code, "the new code is wrong");
        rig.script(&version("2.0.0"), Script::default().on(ops::START, start));
        rig.plugins.put(&version("2.0.0"));
        let went_back =
            |view: &crate::integration::IntegrationView| view.actual == Actual::Running && view.reason.code == told;
        let view = rig.until_view("hue", "the old version", went_back).await;
        assert_eq!(view.generation.as_deref(), Some("hue-1.0.0"));
        assert!(view.reason.sentence.contains("the new code is wrong"), "{}", view.reason);
        assert_eq!(rig.gateway().launch.plugin.sha256(), "hue-1.0.0");
        // A corrected file is a new attempt.
        rig.plugins.put(&version("2.0.1"));
        rig.until_view("hue", "the corrected version", |view| {
            view.actual == Actual::Running && view.version.as_deref() == Some("2.0.1")
        })
        .await;
    }
}

#[tokio::test]
async fn the_same_content_under_another_name_changes_nothing() {
    let rig = running().await;
    let (gateway, launches) = (rig.gateway(), rig.launches());
    rig.plugins.put(&version("1.0.0"));
    // Whatever the put did has been done when the pause has its answer.
    rig.integrations.pause(&id("hue")).await.unwrap();
    assert_eq!((rig.launches(), gateway.count(ops::STOP)), (launches, 1));
}

#[tokio::test]
async fn a_refused_file_in_its_place_does_not_end_what_runs() {
    let rig = running().await;
    rig.plugins.take("hue", reason(ReasonCode::Truncated, "it ends too early"));
    let view = rig.until_view("hue", "its reason", |view| view.reason.code == ReasonCode::WentBack).await;
    assert_eq!(view.actual, Actual::Running);
    // A worker that dies then is started again from the old copy.
    rig.gateway().die(ReasonCode::WorkerKilled);
    rig.until("hue", "retrying").await;
    rig.advance(2_000);
    let view = rig.until("hue", "running").await;
    assert_eq!(view.reason.code, ReasonCode::WentBack);
}

#[tokio::test]
async fn a_new_version_lifts_quarantine_and_failing_at_once_it_does_not_come_back() {
    let rig = running().await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    rig.plugins.take("hue", reason(ReasonCode::FileGone, "no file"));
    rig.until("hue", "missing").await;
    rig.plugins.put(&version("1.0.0"));
    rig.until("hue", "paused").await;
    rig.script(&version("1.0.0"), Script::default().failing(ops::START, 5, ErrorCode::Transient));
    rig.integrations.resume(&id("hue")).await.unwrap();
    while rig.view("hue").actual.word() != "quarantined" {
        let state = rig.view("hue").actual;
        rig.advance(20_000);
        rig.until_view("hue", "the next failure", |view| {
            view.actual != state && matches!(view.actual, Actual::Retrying { .. } | Actual::Quarantined { .. })
        })
        .await;
    }
    rig.plugins.put(&version("2.0.0"));
    let view = rig.until("hue", "running").await;
    assert_eq!(view.version.as_deref(), Some("2.0.0"));
}

#[tokio::test]
async fn after_a_restart_a_version_that_panics_gives_way_to_the_one_that_ran_well() {
    let rig = running().await;
    let new = version("2.0.0");
    let rig = {
        let old = version("1.0.0");
        let rig = rig.restarted(&[old]).await;
        rig.until("hue", "running").await;
        rig
    };
    // While nothing of it runs the file is replaced.
    rig.integrations.pause(&id("hue")).await.unwrap();
    rig.script(&new, Script::default().on(ops::START, |_: Attributes, _| fail(ErrorCode::Panicked, "oh")));
    rig.plugins.put(&new);
    let view = rig.integrations.resume(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.reason.code), (Actual::Running, ReasonCode::WentBack));
    assert_eq!(view.version.as_deref(), Some("1.0.0"));
}

#[tokio::test]
async fn an_upstream_that_is_away_is_no_reason_to_go_back() {
    let rig = running().await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    rig.script(&version("2.0.0"), Script::default().failing(ops::START, 1, ErrorCode::Transient));
    rig.plugins.put(&version("2.0.0"));
    let view = rig.integrations.resume(&id("hue")).await.unwrap();
    assert!(matches!(view.actual, Actual::Retrying { .. }), "{view:?}");
    rig.advance(2_000);
    let view = rig.until("hue", "running").await;
    assert_eq!(view.version.as_deref(), Some("2.0.0"));
}

#[tokio::test]
async fn readings_of_a_replaced_generation_are_dropped_and_counted_and_none_before() {
    let rig = running().await;
    let old = rig.gateway();
    old.ask::<_, ()>(ops::DECLARE, &Declare { entities: vec![lamp(true)] }).await.unwrap();
    let outcome: EmitOutcome = old.ask(ops::EMIT_DURABLE, &readings()).await.unwrap();
    assert_eq!(outcome.refused, 0);
    assert!(rig.view("hue").last_success_ms.is_some());
    let host = rig.integrations.0.find(&id("hue")).unwrap().running().unwrap().host;
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", |view| {
        view.actual == Actual::Running && view.version.as_deref() == Some("2.0.0")
    })
    .await;
    let late = old.ask::<_, EmitOutcome>(ops::EMIT, &readings()).await.unwrap_err();
    assert_eq!(late.code, ErrorCode::Cancelled);
    assert_eq!(host.dropped(), 1);
    assert_eq!(rig.base.house.live_states().len(), 1);
}

#[tokio::test]
async fn in_process_generations_that_were_replaced_are_counted_as_leaked() {
    let mut config = Config::default();
    config
        .integration
        .insert("hue".into(), OneIntegration { hosting: Some(Hosting::InProcess), ..OneIntegration::default() });
    let rig = Rig::with(config).await;
    rig.plugins.put(&version("1.0.0"));
    rig.begin_and_confirm("hue").await;
    assert_eq!(rig.view("hue").leaked_generations, 0);
    rig.plugins.put(&version("2.0.0"));
    let view = rig
        .until_view("hue", "version 2", |v| v.actual == Actual::Running && v.version.as_deref() == Some("2.0.0"))
        .await;
    assert_eq!(view.leaked_generations, 1);
}

#[tokio::test]
async fn a_new_version_that_needs_a_setting_waits_for_it_while_the_old_runs() {
    let rig = running().await;
    let new = plugin("hue", "2.0.0", hass_specs());
    let validate = |request: Attributes, _: &ScriptedGateway| {
        if request.attributes.get("url").is_some() {
            return super::rig::reply(&gatehouse_plugin_api::attribute::FieldErrors::new());
        }
        Act::Fail(gatehouse_plugin_api::CallError::new(ErrorCode::BadConfiguration, "url is required"))
    };
    rig.script(&new, Script::default().on(ops::VALIDATE_CONFIGURATION, validate));
    rig.plugins.put(&new);
    let view = rig.until_view("hue", "its reason", |view| view.reason.code == ReasonCode::UpgradeNeedsConfig).await;
    assert_eq!((view.version.as_deref(), view.attribute_specs.len()), (Some("1.0.0"), 3));
    rig.integrations.set(&id("hue"), super::rig::hass_values()).await.unwrap();
    rig.until_view("hue", "version 2", |view| {
        view.actual == Actual::Running && view.version.as_deref() == Some("2.0.0")
    })
    .await;
}

#[tokio::test]
async fn a_file_that_turns_out_to_be_of_another_boundary_is_incompatible() {
    let rig = running().await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    rig.until("hue", "paused").await;
    rig.script(&version("1.0.0"), Script::not_launching(ReasonCode::OtherAbi));
    let launches = rig.launches();
    rig.integrations.resume(&id("hue")).await.unwrap();
    let view = rig.until_view("hue", "incompatible", |view| view.actual == Actual::Incompatible).await;
    assert_eq!(view.reason.code, ReasonCode::OtherAbi);
    assert!(view.reason.sentence.contains("it does not open"), "{}", view.reason);
    assert_eq!(*rig.plugins.reported.lock(), [("hue-1.0.0".to_owned(), ReasonCode::OtherAbi)]);
    // The file is what is wrong: it is not tried again until there is another.
    rig.advance(3_600_000);
    rig.plugins.put(&version("1.0.1"));
    rig.until_view("hue", "the other file", |view| view.actual == Actual::Running).await;
    assert_eq!(rig.gateway().launch.plugin.sha256(), "hue-1.0.1");
    assert!(rig.launches() >= launches + 2);
}

#[tokio::test]
async fn each_integration_is_told_its_own_log_filter() {
    let mut config = Config::default();
    config.log.plugin_filter = "warn".into();
    config
        .integration
        .insert("hue".into(), OneIntegration { log: Some("hue=debug".into()), ..OneIntegration::default() });
    let rig = Rig::with(config).await;
    rig.plugins.put(&version("1.0.0"));
    rig.begin_and_confirm("hue").await;
    rig.plugins.put(&plugin("nuki", "1.0.0", vec![]));
    rig.begin_and_confirm("nuki").await;
    let told = |name: &str| {
        let gateways = rig.gateways();
        let of = gateways.iter().filter(|gateway| gateway.launch.instance.integration_id == id(name));
        of.map(|gateway| gateway.launch.instance.log_filter.clone()).collect::<Vec<_>>()
    };
    assert!(told("hue").iter().all(|filter| filter == "hue=debug"), "{:?}", told("hue"));
    assert!(told("nuki").iter().all(|filter| filter == "warn"), "{:?}", told("nuki"));
    assert!(!told("hue").is_empty() && !told("nuki").is_empty());
}

/// An old version that needs a bridge and a new one that needs a URL instead; both refuse what they lack.
async fn from_bridge_to_url(start: Script) -> (Rig, Staged) {
    let needs = |key: &'static str, script: Script| {
        script.on(ops::VALIDATE_CONFIGURATION, move |request: Attributes, _: &ScriptedGateway| {
            if request.attributes.get(key).is_some() && request.attributes.0.len() == 1 {
                return super::rig::reply(&gatehouse_plugin_api::attribute::FieldErrors::new());
            }
            fail(ErrorCode::BadConfiguration, "it needs another setting")
        })
    };
    let specs = |key| vec![super::rig::spec(key, gatehouse_plugin_api::attribute::ValueType::Text)];
    let (old, new) = (plugin("hue", "1.0.0", specs("bridge")), plugin("hue", "2.0.0", specs("url")));
    let rig = Rig::new().await;
    rig.script(&old, needs("bridge", Script::default()));
    rig.script(&new, needs("url", start));
    rig.plugins.put(&old);
    rig.activate("hue", super::rig::values(&[("bridge", "attic")], &[])).await;
    rig.plugins.put(&new);
    let view = rig.until_view("hue", "its reason", |view| view.reason.code == ReasonCode::UpgradeNeedsConfig).await;
    assert_eq!((view.version.as_deref(), view.attribute_specs[0].key.as_str()), (Some("1.0.0"), "url"));
    (rig, old)
}

#[tokio::test]
async fn a_new_version_with_other_required_settings_is_configured_while_the_old_runs() {
    let (rig, _) = from_bridge_to_url(Script::default()).await;
    let old = rig.gateway();
    let url = || super::rig::values(&[("url", "http://attic")], &[]);
    let view = rig.integrations.set(&id("hue"), url()).await.unwrap();
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("2.0.0")));
    assert_eq!((old.is_alive(), old.count(ops::SETTINGS_CHANGED)), (false, 0));
    // From now on settings are the new version's alone.
    let view = rig.integrations.set(&id("hue"), url()).await.unwrap();
    assert_eq!(view.attributes.keys().collect::<Vec<_>>(), ["url"]);
}

#[tokio::test]
async fn a_new_version_that_does_not_start_with_its_settings_leaves_the_old_one_its_own() {
    let start = |_: Attributes, _: &ScriptedGateway| fail(ErrorCode::Transient, "no route");
    let (rig, old) = from_bridge_to_url(Script::default().on(ops::START, start)).await;
    let view = rig.integrations.set(&id("hue"), super::rig::values(&[("url", "http://attic")], &[])).await.unwrap();
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("1.0.0")));
    assert_eq!((view.reason.code, rig.gateway().launch.plugin.sha256()), (ReasonCode::WentBack, old.sha256()));
    // It does not want for settings now: they are the running version's.
    assert_eq!(view.attribute_specs[0].key, "bridge");
    let view = rig.integrations.set(&id("hue"), super::rig::values(&[("bridge", "cellar")], &[])).await.unwrap();
    assert_eq!(view.actual, Actual::Running);
}

#[tokio::test]
async fn where_the_sandbox_is_required_and_not_whole_nothing_runs() {
    let mut config = Config::default();
    config.integrations.sandbox = crate::config::Sandboxing::Require;
    let missing = crate::gateway::Kernel { landlock: 0, ..crate::gateway::Kernel::WHOLE };
    crate::gateway::Kernel::narrow(crate::gateway::Kernel::WHOLE);
    let rig = Rig::with(config).await;
    rig.plugins.put(&version("1.0.0"));
    rig.begin_and_confirm("hue").await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    rig.until("hue", "paused").await;
    crate::gateway::Kernel::narrow(missing);
    rig.integrations.resume(&id("hue")).await.unwrap();
    let view = rig.until_view("hue", "incompatible", |view| view.actual == Actual::Incompatible).await;
    assert_eq!(view.reason.code, ReasonCode::SandboxIncomplete);
    assert!(view.reason.sentence.contains("this kernel lacks Landlock"), "{}", view.reason);
    assert!(view.advice.contains("best_effort"), "{}", view.advice);
}
