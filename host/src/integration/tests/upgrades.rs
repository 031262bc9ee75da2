//! Upgrades: side by side, held until the switch, on trial, and back.

use std::sync::Arc;
use std::time::Duration;

use gatehouse_plugin_api::error::ErrorCode;
use gatehouse_plugin_api::manifest::Capability;
use gatehouse_plugin_api::message::{
    Attributes, Blob, Control, ControlOutcome, Declare, Emit, EmitOutcome, Key, KeyBlob, MaybeBlob, Reading,
};
use gatehouse_plugin_api::ops;
use gatehouse_plugin_api::value::Value;
use tokio::sync::Semaphore;

use super::deactivation::lamp;
use super::rig::{Act, Rig, Script, ScriptedGateway, fail, id, plugin, reply};
use crate::integration::{Actual, IntegrationView, NextStep};
use crate::plugin::Staged;
use crate::reason::ReasonCode;
use crate::store::KvSpace;

fn version(version: &str) -> Staged {
    plugin("hue", version, vec![])
}

fn wanting(version: &str, capabilities: Vec<Capability>) -> Staged {
    let mut manifest = self::version(version).manifest().clone();
    manifest.capabilities = capabilities;
    Staged::imagined(manifest, &format!("hue-{version}"))
}

fn emit(on: bool) -> Emit {
    let lamp = lamp(true);
    let (entity, state) = (lamp.name.clone(), lamp.states[0].name.clone());
    Emit { readings: vec![Reading { entity, state, value: Value::OnOff(on), at_ms: None }] }
}

fn declare() -> Declare {
    Declare { entities: vec![lamp(true)] }
}

async fn running(first: &Staged) -> Rig {
    let rig = Rig::new().await;
    rig.plugins.put(first);
    rig.begin_and_confirm("hue").await;
    rig
}

fn runs(version: &'static str) -> impl Fn(&IntegrationView) -> bool {
    move |view| view.actual == Actual::Running && view.version.as_deref() == Some(version)
}

async fn lives(rig: &Rig, count: usize) -> Vec<Arc<ScriptedGateway>> {
    rig.wait_for("the gateways that live", || rig.alive().len() == count).await;
    rig.alive()
}

/// Waits until the newest gateway was asked this.
async fn asked(rig: &Rig, generation: &str, op: ops::Op) -> Arc<ScriptedGateway> {
    let of = |rig: &Rig| {
        let all = rig.gateways();
        all.into_iter().rev().find(|it| it.launch.plugin.sha256() == generation && it.count(op) > 0)
    };
    rig.wait_for("the question", || of(rig).is_some()).await;
    of(rig).unwrap()
}

#[tokio::test]
async fn the_state_is_handed_over_between_the_last_call_of_the_old_and_the_first_of_the_new() {
    let rig = running(&version("0.9.0")).await;
    let give = |(): (), _: &ScriptedGateway| reply(&Blob { bytes: b"where I was".to_vec() });
    rig.script(&version("1.0.0"), Script::default().on(ops::EXPORT_STATE, give));
    rig.plugins.put(&version("1.0.0"));
    rig.until_view("hue", "version 1", runs("1.0.0")).await;
    let old = asked(&rig, "hue-1.0.0", ops::START).await;
    let take = |state: Blob, _: &ScriptedGateway| {
        assert_eq!(state.bytes, b"where I was");
        reply(&())
    };
    rig.script(&version("2.0.0"), Script::default().on(ops::IMPORT_STATE, take));
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    let new = asked(&rig, "hue-2.0.0", ops::IMPORT_STATE).await;
    assert_eq!(new.calls.lock()[..2], ["start", "import_state"]);
    lives(&rig, 1).await;
    assert_eq!(old.calls.lock().iter().rev().take(2).copied().collect::<Vec<_>>(), ["stop", "export_state"]);
}

#[tokio::test]
async fn calls_are_held_only_so_long_for_the_state_and_the_switch_goes_on_without() {
    let late = |(): (), _: &ScriptedGateway| fail(ErrorCode::Deadline, "export_state took too long");
    let rig = running(&version("0.9.0")).await;
    rig.script(&version("1.0.0"), Script::default().on(ops::EXPORT_STATE, late));
    rig.plugins.put(&version("1.0.0"));
    rig.until_view("hue", "version 1", runs("1.0.0")).await;
    let old = asked(&rig, "hue-1.0.0", ops::START).await;
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    assert_eq!(old.within.lock()["export_state"], Duration::from_millis(500));
    assert_eq!(asked(&rig, "hue-2.0.0", ops::START).await.count(ops::IMPORT_STATE), 0);

    let give = |(): (), _: &ScriptedGateway| reply(&Blob { bytes: b"where I was".to_vec() });
    rig.script(&version("3.0.0"), Script::default().on(ops::EXPORT_STATE, give));
    rig.plugins.put(&version("3.0.0"));
    rig.until_view("hue", "version 3", runs("3.0.0")).await;
    let never = |_: Blob, _: &ScriptedGateway| fail(ErrorCode::Deadline, "import_state took too long");
    rig.script(&version("4.0.0"), Script::default().on(ops::IMPORT_STATE, never));
    rig.plugins.put(&version("4.0.0"));
    let view = rig.until_view("hue", "version 3 again", |view| view.reason.code == ReasonCode::WentBack).await;
    assert_eq!(view.version.as_deref(), Some("3.0.0"));
    assert!(view.reason.sentence.contains("taking over the state did not end in time"), "{}", view.reason);
    let new = asked(&rig, "hue-4.0.0", ops::IMPORT_STATE).await;
    assert_eq!(new.within.lock()["import_state"], Duration::from_millis(500));
}

#[tokio::test]
async fn what_the_new_one_reads_and_keeps_is_held_until_it_takes_over() {
    let rig = running(&version("1.0.0")).await;
    let old = rig.gateway();
    old.ask::<_, ()>(ops::DECLARE, &declare()).await.unwrap();
    old.ask::<_, EmitOutcome>(ops::EMIT, &emit(true)).await.unwrap();
    old.ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"old".to_vec() }).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let start = move |_: Attributes, _: &ScriptedGateway| Act::Held(Arc::clone(&held), Box::new(reply(&())));
    rig.script(&version("2.0.0"), Script::default().on(ops::START, start));
    rig.plugins.put(&version("2.0.0"));
    let new = asked(&rig, "hue-2.0.0", ops::START).await;
    new.ask::<_, ()>(ops::DECLARE, &declare()).await.unwrap();
    new.ask::<_, EmitOutcome>(ops::EMIT, &emit(true)).await.unwrap();
    new.ask::<_, EmitOutcome>(ops::EMIT, &emit(false)).await.unwrap();
    new.ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"new".to_vec() }).await.unwrap();
    // The one that runs goes on as if it were alone.
    let live = || rig.base.house.live_states()[0].value.clone();
    assert_eq!(live(), Value::OnOff(true));
    let kept: MaybeBlob = old.ask(ops::KV_GET, &Key { key: "mark".into() }).await.unwrap();
    assert_eq!(kept.bytes.unwrap(), b"old");
    gate.add_permits(1);
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    rig.wait_for("the held reading", || live() == Value::OnOff(false)).await;
    let kept = rig.base.store.kv_get(&id("hue"), KvSpace::Data, "mark").await.unwrap();
    assert_eq!(kept.unwrap(), b"new");
    lives(&rig, 1).await;
}

#[tokio::test]
async fn calls_wait_for_the_switch_and_none_fails() {
    let rig = running(&version("1.0.0")).await;
    rig.gateway().ask::<_, ()>(ops::DECLARE, &declare()).await.unwrap();
    let answer = |control: Control, _: &ScriptedGateway| reply(&ControlOutcome { value: Some(control.value) });
    for n in 2..12 {
        let next = version(&format!("{n}.0.0"));
        rig.script(&next, Script::default().on(ops::CONTROL, answer));
    }
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    let mut answered = 0;
    for n in 3..12 {
        let name = format!("{n}.0.0");
        rig.plugins.put(&version(&name));
        while rig.view("hue").version.as_deref() != Some(name.as_str()) {
            let address = "hue:lamp/power".parse().unwrap();
            let set = rig.integrations.control(&address, Value::OnOff(answered % 2 == 0), serde_json::Value::Null);
            assert_eq!(set.await.unwrap(), Some(Value::OnOff(answered % 2 == 0)));
            answered += 1;
        }
    }
    assert!(answered > 0);
    lives(&rig, 1).await;
}

#[tokio::test]
async fn a_call_in_flight_is_waited_for_and_the_new_one_with_it() {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let slow = move |_: Control, _: &ScriptedGateway| {
        Act::Held(Arc::clone(&held), Box::new(reply(&ControlOutcome { value: None })))
    };
    let rig = Rig::new().await;
    rig.script(&version("1.0.0"), Script::default().on(ops::CONTROL, slow));
    rig.plugins.put(&version("1.0.0"));
    rig.begin_and_confirm("hue").await;
    rig.gateway().ask::<_, ()>(ops::DECLARE, &declare()).await.unwrap();
    let integrations = rig.integrations.clone();
    let call = tokio::spawn(async move {
        let address = "hue:lamp/power".parse().unwrap();
        integrations.control(&address, Value::OnOff(true), serde_json::Value::Null).await
    });
    asked(&rig, "hue-1.0.0", ops::CONTROL).await;
    rig.plugins.put(&version("2.0.0"));
    asked(&rig, "hue-2.0.0", ops::START).await;
    // Time passes until the new one is given up, and is told of.
    let waits = |view: &IntegrationView| view.upgrade.next.as_ref().is_some_and(|it| it.step == NextStep::Waits);
    while !waits(&rig.view("hue")) {
        rig.advance(1_000);
        tokio::task::yield_now().await;
    }
    let view = rig.view("hue");
    assert_eq!((view.version.as_deref(), view.reason.code), (Some("1.0.0"), ReasonCode::UpgradeWaits));
    assert!(!call.is_finished());
    gate.add_permits(1);
    call.await.unwrap().unwrap();
    // Tried again by itself.
    rig.advance(300_000);
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
}

#[tokio::test]
async fn who_asks_for_a_commit_at_its_start_is_started_alone() {
    let rig = running(&version("1.0.0")).await;
    let old = rig.gateway();
    let start = |_: Attributes, gateway: &ScriptedGateway| {
        // What a start of the SDK's would wait for.
        gateway.tell(ops::FLUSH, &());
        reply(&())
    };
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let first = std::sync::atomic::AtomicBool::new(true);
    let start = move |attributes: Attributes, gateway: &ScriptedGateway| {
        let act = start(attributes, gateway);
        if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Act::Held(Arc::clone(&held), Box::new(act));
        }
        assert!(!old.is_alive(), "the old one has stopped first");
        act
    };
    rig.script(&version("2.0.0"), Script::default().on(ops::START, start));
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    drop(gate);
}

#[tokio::test]
async fn what_needs_a_device_is_started_alone() {
    let device = || vec![Capability::Device { path: "/dev/ttyUSB0".into() }];
    let rig = running(&wanting("1.0.0", device())).await;
    let old = rig.gateway();
    let start = {
        let old = Arc::clone(&old);
        move |_: Attributes, _: &ScriptedGateway| {
            assert!(!old.is_alive());
            reply(&())
        }
    };
    let new = wanting("2.0.0", device());
    rig.script(&new, Script::default().on(ops::START, start));
    rig.plugins.put(&new);
    let view = rig.until_view("hue", "version 2", runs("2.0.0")).await;
    assert!(view.upgrade.trial.is_some(), "{:?}", view.upgrade);
    assert_eq!(old.count(ops::EXPORT_STATE), 0);
}

#[tokio::test]
async fn a_failure_on_trial_goes_back_with_the_data_from_before_and_is_pinned_until_a_higher_version() {
    let rig = running(&version("1.0.0")).await;
    let old = rig.gateway();
    for op in [ops::KV_SET, ops::SECRET_SET] {
        old.ask::<_, ()>(op, &KeyBlob { key: "mark".into(), bytes: b"old".to_vec() }).await.unwrap();
    }
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    let new = asked(&rig, "hue-2.0.0", ops::START).await;
    for op in [ops::KV_SET, ops::SECRET_SET] {
        new.ask::<_, ()>(op, &KeyBlob { key: "mark".into(), bytes: b"new".to_vec() }).await.unwrap();
        new.ask::<_, ()>(op, &KeyBlob { key: "more".into(), bytes: b"new".to_vec() }).await.unwrap();
    }
    new.die(ReasonCode::WorkerKilled);
    let view = rig.until_view("hue", "version 1 again", runs("1.0.0")).await;
    assert_eq!(view.reason.code, ReasonCode::WentBack);
    assert!(view.reason.sentence.contains("its process died"), "{}", view.reason);
    let pin = view.upgrade.pin.clone().unwrap();
    assert_eq!((pin.version.as_str(), pin.failed_version.as_deref()), ("1.0.0", Some("2.0.0")));
    for space in [KvSpace::Data, KvSpace::Secrets] {
        let store = &rig.base.store;
        assert_eq!(store.kv_get(&id("hue"), space, "mark").await.unwrap().unwrap(), b"old");
        assert_eq!(store.kv_keys(&id("hue"), space, "").await.unwrap(), ["mark"]);
    }
    // The same version with other content waits, a lower one too; a higher one does not.
    let same = Staged::imagined(version("2.0.0").manifest().clone(), "hue-2.0.0-anew");
    for held_back in [same, version("1.5.0")] {
        rig.plugins.put(&held_back);
        let is_pinned = |view: &IntegrationView| {
            let next = view.upgrade.next.as_ref();
            next.is_some_and(|it| it.generation == held_back.sha256() && it.step == NextStep::Waits)
        };
        let view = rig.until_view("hue", "pinned", is_pinned).await;
        assert_eq!(view.reason.code, ReasonCode::Pinned);
    }
    rig.plugins.put(&version("2.0.1"));
    let view = rig.until_view("hue", "the corrected version", runs("2.0.1")).await;
    assert_eq!(view.upgrade.pin, None);
}

#[tokio::test]
async fn a_trial_ends_by_time_and_a_failure_after_it_is_an_ordinary_one() {
    let rig = running(&version("1.0.0")).await;
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    let view = rig.until_view("hue", "its trial", |view| view.upgrade.trial.is_some()).await;
    assert_eq!(view.upgrade.trial.as_ref().unwrap().from_version, "1.0.0");
    rig.advance(600_000);
    rig.until_view("hue", "the end of the trial", |view| view.upgrade.trial.is_none()).await;
    lives(&rig, 1).await[0].die(ReasonCode::WorkerKilled);
    let view = rig.until("hue", "retrying").await;
    assert_eq!(view.reason.code, ReasonCode::WorkerKilled);
}

#[tokio::test]
async fn a_trial_goes_on_after_a_restart_and_its_failure_goes_back() {
    let rig = running(&version("1.0.0")).await;
    rig.gateway().ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"old".to_vec() }).await.unwrap();
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    let new = asked(&rig, "hue-2.0.0", ops::START).await;
    new.ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"new".to_vec() }).await.unwrap();
    let rig = rig.restarted(&[version("1.0.0"), version("2.0.0")]).await;
    let view = rig.until_view("hue", "version 2", runs("2.0.0")).await;
    assert_eq!(view.upgrade.trial.as_ref().unwrap().from_version, "1.0.0");
    lives(&rig, 1).await[0].die(ReasonCode::WorkerKilled);
    rig.until_view("hue", "version 1 again", runs("1.0.0")).await;
    let kept = rig.base.store.kv_get(&id("hue"), KvSpace::Data, "mark").await.unwrap();
    assert_eq!(kept.unwrap(), b"old");
    // And stays, whatever the folder has, after another restart.
    let rig = rig.restarted(&[version("1.0.0"), version("2.0.0")]).await;
    let view = rig.until_view("hue", "version 1 still", runs("1.0.0")).await;
    assert_eq!(view.upgrade.next.as_ref().unwrap().version, "2.0.0");
}

#[tokio::test]
async fn more_than_was_granted_waits_for_a_yes() {
    let rig = running(&version("1.0.0")).await;
    let more = wanting("2.0.0", vec![Capability::Network { host: "192.0.2.7".into(), port: 80 }]);
    rig.plugins.put(&more);
    let waits = |view: &IntegrationView| view.reason.code == ReasonCode::WantsMore;
    let view = rig.until_view("hue", "its reason", waits).await;
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("1.0.0")));
    assert_eq!(view.upgrade.next.as_ref().unwrap().wants, ["connect to 192.0.2.7, port 80"]);
    let launches = rig.launches();
    // Nothing of it runs before the yes, after a restart of the daemon either.
    let rig = rig.restarted(&[version("1.0.0"), more.clone()]).await;
    rig.until_view("hue", "version 1", runs("1.0.0")).await;
    assert!(rig.launches() == 1 && launches > 0);
    let view = rig.integrations.allow(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("2.0.0")));
    let again = rig.integrations.allow(&id("hue")).await.unwrap_err();
    assert!(again.to_string().contains("waits for a yes"), "{again}");
    // The same wish again is no other one.
    let same = wanting("3.0.0", more.manifest().capabilities.clone());
    rig.plugins.put(&same);
    rig.until_view("hue", "version 3", runs("3.0.0")).await;
}

#[tokio::test]
async fn pinned_it_stays_and_unpinned_it_goes_on() {
    let rig = running(&version("1.0.0")).await;
    rig.integrations.pin(&id("hue")).await.unwrap();
    rig.plugins.put(&version("2.0.0"));
    let view = rig.until_view("hue", "pinned", |view| view.reason.code == ReasonCode::Pinned).await;
    assert_eq!(view.version.as_deref(), Some("1.0.0"));
    let view = rig.integrations.unpin(&id("hue")).await.unwrap();
    assert_eq!((view.version.as_deref(), &view.upgrade.pin), (Some("2.0.0"), &None));
    assert!(rig.integrations.unpin(&id("hue")).await.is_err());
}

#[tokio::test]
async fn a_person_goes_back_on_trial_with_the_data_and_later_without() {
    let rig = running(&version("1.0.0")).await;
    rig.gateway().ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"1".to_vec() }).await.unwrap();
    rig.plugins.put(&version("2.0.0"));
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    let new = asked(&rig, "hue-2.0.0", ops::START).await;
    new.ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"2".to_vec() }).await.unwrap();
    let mark = async |rig: &Rig| rig.base.store.kv_get(&id("hue"), KvSpace::Data, "mark").await.unwrap().unwrap();
    let view = rig.integrations.roll_back(&id("hue"), None).await.unwrap();
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("1.0.0")));
    assert_eq!(mark(&rig).await, b"1");
    rig.integrations.unpin(&id("hue")).await.unwrap();
    rig.until_view("hue", "version 2", runs("2.0.0")).await;
    rig.advance(600_000);
    rig.until_view("hue", "the end of the trial", |view| view.upgrade.trial.is_none()).await;
    let new = lives(&rig, 1).await.remove(0);
    new.ask::<_, ()>(ops::KV_SET, &KeyBlob { key: "mark".into(), bytes: b"2".to_vec() }).await.unwrap();
    let view = rig.integrations.roll_back(&id("hue"), Some("1.0.0".into())).await.unwrap();
    assert_eq!((view.version.as_deref(), view.upgrade.pin.is_some()), (Some("1.0.0"), true));
    assert_eq!(mark(&rig).await, b"2");
    let refused = rig.integrations.roll_back(&id("hue"), Some("7.0.0".into())).await.unwrap_err();
    assert!(refused.to_string().contains("2.0.0"), "{refused}");
}

#[tokio::test]
async fn a_pause_in_the_middle_gives_the_new_one_up_and_leaves_nothing() {
    let rig = running(&version("1.0.0")).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let start = move |_: Attributes, _: &ScriptedGateway| Act::Held(Arc::clone(&held), Box::new(reply(&())));
    rig.script(&version("2.0.0"), Script::default().on(ops::START, start));
    rig.plugins.put(&version("2.0.0"));
    asked(&rig, "hue-2.0.0", ops::START).await;
    let view = rig.integrations.pause(&id("hue")).await.unwrap();
    assert_eq!(view.actual, Actual::Paused);
    rig.wait_for("nothing that lives", || rig.alive().is_empty()).await;
    gate.add_permits(10);
    let view = rig.integrations.resume(&id("hue")).await.unwrap();
    assert_eq!((view.actual, view.version.as_deref()), (Actual::Running, Some("2.0.0")));
    assert!(view.upgrade.trial.is_some());
}

#[tokio::test]
async fn a_poll_that_panics_on_trial_goes_back_and_one_that_meets_no_upstream_does_not() {
    let polled = |version: &str| {
        let mut manifest = self::version(version).manifest().clone();
        manifest.poll_interval_ms = Some(1_000);
        Staged::imagined(manifest, &format!("hue-{version}"))
    };
    for (code, back) in [(ErrorCode::Panicked, true), (ErrorCode::Transient, false)] {
        let rig = running(&polled("1.0.0")).await;
        rig.script(&polled("2.0.0"), Script::default().on(ops::POLL, move |(): (), _| fail(code, "no")));
        rig.plugins.put(&polled("2.0.0"));
        if back {
            let view = rig.until_view("hue", "version 1 again", |v| v.reason.code == ReasonCode::WentBack).await;
            assert!(view.reason.sentence.contains("2.0.0 failed on trial"), "{}", view.reason);
            rig.until_view("hue", "version 1 again", runs("1.0.0")).await;
        } else {
            let view = rig.until("hue", "degraded").await;
            assert_eq!(view.version.as_deref(), Some("2.0.0"));
        }
    }
}
