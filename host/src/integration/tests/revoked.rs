//! Generations that may not run any longer: unlike a refused file, nothing of them goes on.

use gatehouse_plugin_api::ops;

use super::rig::{Rig, hass_specs, plugin};
use crate::integration::{Actual, FlowKind, OperationError};
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
    let is = |view: &crate::integration::IntegrationView| {
        view.actual == Actual::Running && view.version.as_deref() == Some("0.9.0")
    };
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
