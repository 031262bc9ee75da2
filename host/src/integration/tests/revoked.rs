//! Generations that may not run any longer: unlike a refused file, nothing of them goes on.

use gatehouse_plugin_api::message::KeyBlob;
use gatehouse_plugin_api::ops;

use super::rig::{Rig, ScriptedPlugins, hass_specs, id, plugin, reason};
use crate::integration::{Actual, FlowKind, IntegrationView, OperationError};
use crate::plugin::Staged;
use crate::reason::ReasonCode;
use crate::store::KvSpace;

fn version(version: &str) -> Staged {
    plugin("hue", version, vec![])
}

async fn running() -> Rig {
    let rig = Rig::new().await;
    rig.plugins.put(&version("1.0.0"));
    rig.begin_and_confirm("hue").await;
    rig
}

#[tokio::test]
async fn what_runs_is_stopped_and_comes_back_when_it_is_trusted_again() {
    let rig = running().await;
    let old = rig.gateway();
    rig.plugins.revoke(&version("1.0.0"), None);
    let view = rig.until("hue", "incompatible").await;
    assert_eq!(view.reason.code, ReasonCode::Revoked, "{}", view.reason);
    assert_eq!((old.is_alive(), old.count(ops::STOP)), (false, 1));
    assert!(rig.alive().is_empty());
    rig.plugins.put(&version("1.0.0"));
    rig.until("hue", "running").await;
}

#[tokio::test]
async fn another_file_of_the_type_takes_its_place_at_once() {
    let rig = running().await;
    rig.plugins.revoke(&version("1.0.0"), Some(&version("0.9.0")));
    let is = |view: &IntegrationView| view.actual == Actual::Running && view.version.as_deref() == Some("0.9.0");
    rig.until_view("hue", "the other version", is).await;
    assert_eq!(rig.alive().len(), 1);
}

#[tokio::test]
async fn a_generation_that_runs_in_the_place_of_a_failed_one_is_stopped_as_well() {
    let rig = running().await;
    rig.script(&version("2.0.0"), super::rig::Script::not_launching(ReasonCode::LayoutMismatch));
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "its reason", |view| view.reason.code == ReasonCode::WentBack).await;
    let old = rig.gateway();
    rig.plugins.revoke(&version("1.0.0"), None);
    rig.until("hue", "incompatible").await;
    assert!(!old.is_alive());
}

#[tokio::test]
async fn one_on_trial_gives_way_to_the_one_before_with_its_data() {
    let rig = running().await;
    let kept = || async { rig.base.store.kv_get(&id("hue"), KvSpace::Data, "mark").await.unwrap() };
    let set = |bytes: &[u8]| KeyBlob { key: "mark".into(), bytes: bytes.to_vec() };
    rig.gateway().ask::<_, ()>(ops::KV_SET, &set(b"old")).await.unwrap();
    rig.plugins.put(&version("2.0.0"));
    let view = rig.until_view("hue", "version 2", |view| view.version.as_deref() == Some("2.0.0")).await;
    assert!(view.upgrade.trial.is_some());
    rig.wait_for("the old one's end", || rig.alive().len() == 1).await;
    rig.gateway().ask::<_, ()>(ops::KV_SET, &set(b"new")).await.unwrap();

    rig.plugins.revoke(&version("2.0.0"), None);
    let is = |view: &IntegrationView| view.actual == Actual::Running && view.version.as_deref() == Some("1.0.0");
    let view = rig.until_view("hue", "version 1", is).await;
    assert_eq!(view.reason.code, ReasonCode::WentBack, "{}", view.reason);
    assert!(view.reason.sentence.contains("it is revoked"), "{}", view.reason);
    assert!(view.upgrade.trial.is_none() && view.upgrade.next.is_none(), "nothing of it waits: {:?}", view.upgrade);
    assert_eq!(kept().await.unwrap(), b"old");
    assert_eq!(rig.gateway().launch.plugin.sha256(), version("1.0.0").sha256());

    // Its file is refused from now on, and what ran well before is started from its copy even so.
    rig.integrations.pause(&id("hue")).await.unwrap();
    let view = rig.integrations.resume(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("1.0.0")));

    rig.plugins.revoke(&version("1.0.0"), None);
    rig.until("hue", "incompatible").await;
    assert!(rig.alive().is_empty());
}

#[tokio::test]
async fn one_on_trial_that_was_revoked_while_the_daemon_was_off_gives_way_at_the_start() {
    let rig = running().await;
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", |view| view.version.as_deref() == Some("2.0.0")).await;
    let rig = rig
        .restarted_where(|plugins| {
            plugins.put(&version("1.0.0"));
            plugins.put(&version("2.0.0"));
            plugins.revoke(&version("2.0.0"), None);
        })
        .await;
    let view = rig.until("hue", "running").await;
    assert_eq!((view.version.as_deref(), view.reason.code), (Some("1.0.0"), ReasonCode::WentBack), "{}", view.reason);
    assert_eq!(view.upgrade.pin.as_ref().map(|pin| pin.version.as_str()), Some("1.0.0"));
}

#[tokio::test]
async fn one_on_trial_is_stopped_where_the_one_before_may_not_run_either() {
    let rig = running().await;
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", |view| view.version.as_deref() == Some("2.0.0")).await;
    rig.plugins.revoke(&version("1.0.0"), Some(&version("2.0.0")));
    rig.plugins.revoke(&version("2.0.0"), None);
    let view = rig.until("hue", "incompatible").await;
    assert_eq!(view.reason.code, ReasonCode::Revoked, "{}", view.reason);
    rig.wait_for("nothing that lives", || rig.alive().is_empty()).await;
}

#[tokio::test]
async fn a_file_that_is_refused_at_the_start_leaves_what_ran_well_and_one_that_is_gone_does_not() {
    let refused = |because| {
        move |plugins: &ScriptedPlugins| {
            plugins.put(&version("1.0.0"));
            plugins.take("hue", reason(because, "it is not as it was"));
        }
    };
    let rig = running().await.restarted_where(refused(ReasonCode::NotElf)).await;
    let view = rig.until("hue", "running").await;
    assert_eq!(view.reason.code, ReasonCode::WentBack, "{}", view.reason);
    let rig = rig.restarted_where(refused(ReasonCode::FileGone)).await;
    rig.until("hue", "missing").await;
}

#[tokio::test]
async fn another_generation_runs_on() {
    let rig = running().await;
    let gateway = rig.gateway();
    rig.plugins.revoke(&version("0.5.0"), Some(&version("1.0.0")));
    // The change after it was heard as well: by then the revocation would have shown.
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", |view| view.version.as_deref() == Some("2.0.0")).await;
    assert_eq!(gateway.count(ops::STOP), 1, "stopped once, for the new version");
}

#[tokio::test]
async fn an_activation_by_it_is_given_up_with_its_worker() {
    let rig = Rig::new().await;
    let hass = plugin("hass", "1.0.0", hass_specs());
    rig.plugins.put(&hass);
    let flow = rig.begin(FlowKind::Activate, "hass").await.unwrap();
    assert_eq!(rig.alive().len(), 1);
    rig.plugins.revoke(&hass, None);
    rig.wait_for("the worker's end", || rig.alive().is_empty()).await;
    let gone = rig.integrations.flow_view(&flow.flow_id).unwrap_err();
    assert!(matches!(gone, OperationError::NotFound { .. }), "{gone:?}");
}
