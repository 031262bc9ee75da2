//! Starting, failing, retrying, stopping, coming back.

use gatehouse_plugin_api::attribute::AttributeValues;
use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::message::{Health, HealthStatus};
use gatehouse_plugin_api::ops;

use super::rig::{Rig, Script, fail, id, plugin, polling, reason};
use crate::config::Config;
use crate::integration::{Actual, OperationError};
use crate::reason::ReasonCode;
use crate::store::Desired;

#[tokio::test]
async fn a_failing_start_is_retried_with_growing_pauses_until_quarantine_and_a_person_lifts_it() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.script(&hue, Script::default().failing(ops::START, 6, ErrorCode::Transient));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let view = rig.until("hue", "retrying").await;
    assert_eq!((view.reason.code, view.reason.sentence.as_str()), (ReasonCode::StartFailed, "not today"));
    for attempt in 2..=4 {
        rig.advance(20_000);
        rig.until_view(
            "hue",
            "the next attempt",
            |view| matches!(view.actual, Actual::Retrying { attempt: n, .. } if n == attempt),
        )
        .await;
    }
    rig.advance(20_000);
    let view = rig.until("hue", "quarantined").await;
    assert_eq!(view.health.status, HealthStatus::Error);
    rig.advance(1_200_000);
    rig.until_view("hue", "a slow attempt", |view| view.reason.sentence.contains("failed 6 times")).await;
    let view = rig.integrations.resume(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.desired), (Actual::Running, Desired::On));
    assert_eq!(rig.alive().len(), 1);
}

#[tokio::test]
async fn a_worker_that_dies_is_started_again() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    let first = rig.gateway();
    first.die(ReasonCode::HeartbeatMissed);
    let view = rig.until("hue", "retrying").await;
    assert_eq!((view.reason.code, view.health.status), (ReasonCode::HeartbeatMissed, HealthStatus::Error));
    assert_eq!(view.pid, None);
    rig.advance(2_000);
    let view = rig.until("hue", "running").await;
    assert_eq!(view.pid, Some(rig.gateway().number));
    assert_ne!(first.number, rig.gateway().number);
}

#[tokio::test]
async fn credentials_and_settings_that_are_refused_wait_for_a_person() {
    for (code, state) in [(ErrorCode::BadCredentials, "needs_auth"), (ErrorCode::BadConfiguration, "needs_config")] {
        let rig = Rig::new().await;
        let hue = plugin("hue", "1.0.0", vec![]);
        rig.script(&hue, Script::default().failing(ops::START, 1, code));
        rig.plugins.put(&hue);
        rig.begin_and_confirm("hue").await;
        rig.until("hue", state).await;
        assert!(rig.alive().is_empty());
        rig.advance(10_000_000);
        assert_eq!(rig.view("hue").actual.word(), state);
        rig.begin_and_confirm("hue").await;
        assert_eq!(rig.view("hue").actual, Actual::Running);
    }
}

#[tokio::test]
async fn pause_and_resume_keep_the_row_and_survive_a_restart() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let view = rig.integrations.pause(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.health.status), (Actual::Paused, HealthStatus::Disabled));
    assert!(rig.alive().is_empty());
    assert_eq!(rig.gateways().last().unwrap().count(ops::STOP), 1);

    let rig = rig.restarted(std::slice::from_ref(&hue)).await;
    assert_eq!((rig.view("hue").actual, rig.launches()), (Actual::Paused, 0));
    rig.integrations.resume(&id("hue")).await.unwrap();
    let rig = rig.restarted(&[hue]).await;
    rig.until("hue", "running").await;
}

#[tokio::test]
async fn shutting_down_stops_gateways_and_changes_no_desire() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let gateway = rig.gateway();
    let rig = rig.restarted(&[hue]).await;
    assert_eq!((gateway.is_alive(), gateway.count(ops::STOP)), (false, 1));
    assert_eq!(rig.view("hue").desired, Desired::On);
}

#[tokio::test]
async fn a_plugin_file_that_goes_stops_it_and_its_return_starts_it() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.plugins.take("hue", reason(ReasonCode::FileGone, "gone"));
    let view = rig.until("hue", "missing").await;
    assert_eq!((view.reason.code, view.desired), (ReasonCode::PluginMissing, Desired::On));
    assert!(rig.alive().is_empty());
    let view = rig.integrations.resume(&id("hue")).await.unwrap();
    assert_eq!(view.actual, Actual::Missing);
    rig.plugins.put(&hue);
    rig.until("hue", "running").await;
}

#[tokio::test]
async fn polls_come_at_their_interval_and_failures_degrade() {
    let rig = Rig::new().await;
    let meter = polling("meter", 5_000);
    rig.script(&meter, Script::default().failing(ops::POLL, 1, ErrorCode::Transient));
    rig.plugins.put(&meter);
    rig.begin_and_confirm("meter").await;
    let view = rig.until("meter", "degraded").await;
    assert_eq!((view.reason.code, view.health.status), (ReasonCode::PollFailed, HealthStatus::Error));
    rig.advance(4_999);
    assert_eq!(rig.gateway().count(ops::POLL), 1);
    rig.advance(1);
    let view = rig.until("meter", "running").await;
    assert_eq!(view.health.status, HealthStatus::Healthy);
    assert_eq!(rig.gateway().count(ops::POLL), 2);
}

#[tokio::test]
async fn a_poll_that_is_refused_for_its_credentials_stops_the_gateway() {
    let rig = Rig::new().await;
    let meter = polling("meter", 5_000);
    rig.script(&meter, Script::default().failing(ops::POLL, 1, ErrorCode::BadCredentials));
    rig.plugins.put(&meter);
    rig.begin_and_confirm("meter").await;
    rig.until("meter", "needs_auth").await;
    rig.wait_for("the end of its gateway", || rig.alive().is_empty()).await;
}

#[tokio::test]
async fn what_a_gateway_says_of_its_health_is_seen() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    let health = Health { status: HealthStatus::Warning, message: "one lamp is away".into() };
    rig.gateway().ask::<_, ()>(ops::HEALTH, &health).await.unwrap();
    let view = rig.until("hue", "degraded").await;
    assert_eq!((view.health.clone(), view.reason.code), (health, ReasonCode::ReportedUnhealthy));
    let well = Health { status: HealthStatus::Healthy, message: String::new() };
    rig.gateway().ask::<_, ()>(ops::HEALTH, &well).await.unwrap();
    rig.until("hue", "running").await;
}

#[tokio::test]
async fn stopping_late_is_killed_told_and_recoverable() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    let late = |(): (), _: &super::rig::ScriptedGateway| fail(ErrorCode::Deadline, "late");
    rig.script(&hue, Script::default().on(ops::STOP, late));
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let view = rig.integrations.pause(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.reason.code), (Actual::Paused, ReasonCode::KilledAtStop));
    assert!(rig.alive().is_empty());
    assert_eq!(rig.integrations.resume(&id("hue")).await.unwrap().actual, Actual::Running);
}

#[tokio::test]
async fn a_start_that_hangs_can_be_given_up() {
    let rig = Rig::new().await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    rig.integrations.pause(&id("hue")).await.unwrap();
    let hang = |_: gatehouse_plugin_api::message::Attributes, _: &super::rig::ScriptedGateway| super::rig::Act::Hang;
    rig.script(&hue, Script::default().on(ops::START, hang));
    let integrations = rig.integrations.clone();
    let resumed = tokio::spawn(async move { integrations.resume(&id("hue")).await });
    rig.until("hue", "starting").await;
    rig.wait_for("the start's call", || rig.alive().first().is_some_and(|g| g.count(ops::START) == 1)).await;
    let view = rig.integrations.pause(&id("hue")).await.unwrap();
    assert_eq!(view.actual, Actual::Paused);
    assert!(resumed.await.unwrap().is_ok());
    assert!(rig.alive().is_empty());
}

#[tokio::test]
async fn no_more_start_at_once_than_the_configuration_allows() {
    let mut config = Config::default();
    config.integrations.start_parallel = 1;
    let rig = Rig::with(config).await;
    let hue = plugin("hue", "1.0.0", vec![]);
    rig.plugins.put(&hue);
    rig.begin_and_confirm("hue").await;
    let flow = rig.begin_instance("hue", "hue-attic").await.unwrap();
    rig.answer(&flow, AttributeValues::default()).await.unwrap();
    for name in ["hue", "hue-attic"] {
        rig.integrations.pause(&id(name)).await.unwrap();
    }
    let hang = |_: gatehouse_plugin_api::message::Attributes, _: &super::rig::ScriptedGateway| super::rig::Act::Hang;
    rig.script(&hue, Script::default().on(ops::START, hang));
    for name in ["hue", "hue-attic"] {
        let integrations = rig.integrations.clone();
        let name = id(name);
        tokio::spawn(async move { integrations.resume(&name).await });
    }
    rig.until("hue", "starting").await;
    rig.until("hue-attic", "starting").await;
    rig.wait_for("one start", || rig.alive().len() == 1).await;
    rig.script(&hue, Script::default());
    rig.alive()[0].die(ReasonCode::WorkerExited);
    rig.until_view("hue-attic", "its turn", |_| rig.alive().len() == 1).await;
}

#[tokio::test]
async fn an_integration_that_is_off_cannot_be_paused_and_unknown_names_find_their_nearest() {
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    let error = rig.integrations.pause(&id("hu")).await.unwrap_err();
    assert_eq!(error.to_string(), "the integration \"hu\" does not exist: did you mean \"hue\"?");
    rig.deactivate("hue", false).await;
    let error = rig.integrations.resume(&id("hue")).await.unwrap_err();
    assert_eq!(error, OperationError::Conflict("hue is off: activate it first".into()));
}

#[tokio::test]
async fn its_data_folder_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let rig = Rig::new().await;
    rig.plugins.put(&plugin("hue", "1.0.0", vec![]));
    rig.begin_and_confirm("hue").await;
    let folder = rig.base.home.data_dir(&id("hue"));
    assert_eq!(rig.gateway().launch.instance.data_dir, folder.to_string_lossy());
    assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
}
