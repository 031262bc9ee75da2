//! Tables of (state, input) → (state, effects), and a walk through every state.

use std::collections::BTreeSet;

use super::*;
use crate::config;

const AT: Moment = Moment { now_ms: 1_000_000, chance: 0.5 };

fn policy() -> Policy {
    Policy::from(&config::Integrations::default())
}

fn after(ms: i64) -> Moment {
    Moment { now_ms: AT.now_ms + ms, ..AT }
}

fn why(code: ReasonCode) -> Reason {
    Reason::new(code, format!("because of {code}"))
}

fn start_failed(failure: Failure, code: ReasonCode) -> Input {
    Input::StartFailed { failure, reason: why(code), goes_back: false }
}

fn passing() -> Input {
    start_failed(Failure::Passing, ReasonCode::StartFailed)
}

fn on() -> Life {
    Life::begin(Desired::On, Presence::Here, AT).0
}

fn walk(life: Life, inputs: impl IntoIterator<Item = Input>) -> Life {
    inputs.into_iter().fold(life, |life, input| life.step(input, AT, &policy()).0)
}

fn running() -> Life {
    walk(on(), [Input::Started])
}

/// The word of a state, without its times.
fn word(actual: &Actual) -> String {
    let json = serde_json::to_value(actual).expect("states are JSON");
    json["state"].as_str().expect("a state has a word").to_owned()
}

/// One way to reach each state.
fn every_state() -> Vec<Life> {
    let fails = |n: usize| {
        (0..n).flat_map(|i| if i == 0 { vec![passing()] } else { vec![Input::TimerDue, passing()] }).collect::<Vec<_>>()
    };
    vec![
        Life::begin(Desired::Off, Presence::Here, AT).0,
        Life::begin(Desired::Paused, Presence::Here, AT).0,
        Life::begin(Desired::On, Presence::Missing(why(ReasonCode::PluginMissing)), AT).0,
        Life::begin(Desired::On, Presence::Refused(why(ReasonCode::PluginIncompatible)), AT).0,
        on(),
        running(),
        walk(running(), [Input::PollFailed(Failure::Passing, why(ReasonCode::PollFailed))]),
        walk(on(), fails(1)),
        walk(on(), fails(5)),
        walk(on(), [start_failed(Failure::Credentials, ReasonCode::BadCredentials)]),
        walk(on(), [start_failed(Failure::Configuration, ReasonCode::BadConfiguration)]),
        walk(running(), [Input::Wanted(Desired::Off)]),
    ]
}

fn every_input() -> Vec<Input> {
    let mut inputs = vec![
        Input::PluginHere { new: false },
        Input::PluginHere { new: true },
        Input::PluginGone(why(ReasonCode::FileGone)),
        Input::PluginRefused(why(ReasonCode::NotElf)),
        Input::PluginRevoked(why(ReasonCode::Revoked)),
        Input::Probed(Ok(())),
        Input::Probed(Err(why(ReasonCode::OpenFailed))),
        Input::Started,
        Input::PollOk,
        Input::Synchronized(Ok(())),
        Input::Synchronized(Err(why(ReasonCode::SynchronizeFailed))),
        Input::HealthTold(Health { status: HealthStatus::Warning, message: "low battery".into() }),
        Input::Ended(why(ReasonCode::WorkerKilled)),
        Input::SettingsSaved,
        Input::RestartNeeded,
        Input::TimerDue,
        Input::Stopped { late: None },
        Input::Stopped { late: Some(why(ReasonCode::KilledAtStop)) },
    ];
    inputs.extend([Desired::On, Desired::Paused, Desired::Off].map(Input::Wanted));
    for failure in [Failure::Passing, Failure::Credentials, Failure::Configuration, Failure::Incompatible] {
        inputs.push(start_failed(failure, ReasonCode::StartFailed));
        inputs.push(Input::PollFailed(failure, why(ReasonCode::PollFailed)));
    }
    inputs
}

#[test]
fn every_state_can_be_reached_and_left() {
    let states = every_state();
    let reached: BTreeSet<String> = states.iter().map(|life| word(&life.actual)).collect();
    assert_eq!(reached.len(), 12, "{reached:?}");
    for life in states {
        let from = word(&life.actual);
        let ways: BTreeSet<String> = every_input()
            .into_iter()
            .map(|input| word(&life.clone().step(input, AT, &policy()).0.actual))
            .filter(|to| *to != from)
            .collect();
        assert!(!ways.is_empty(), "{from} cannot be left");
    }
}

#[test]
fn whatever_happened_a_person_gets_it_running_with_a_sound_plugin() {
    for life in every_state() {
        for input in every_input() {
            let mut life = life.clone().step(input.clone(), AT, &policy()).0;
            for step in [
                Input::PluginHere { new: false },
                Input::Wanted(Desired::On),
                Input::Stopped { late: None },
                Input::Wanted(Desired::On),
                Input::Started,
                Input::HealthTold(Health { status: HealthStatus::Healthy, message: String::new() }),
                Input::PollOk,
                Input::Synchronized(Ok(())),
            ] {
                life = life.step(step, AT, &policy()).0;
            }
            assert_eq!(life.actual, Actual::Running, "after {input:?}");
        }
    }
}

#[test]
fn a_start_or_stop_is_asked_for_exactly_when_the_state_says_so() {
    for life in every_state() {
        for input in every_input() {
            let before = life.holds_gateway();
            let (next, effects) = life.clone().step(input.clone(), AT, &policy());
            let told = format!("{} with {input:?} → {} {effects:?}", word(&life.actual), word(&next.actual));
            assert_eq!(effects.contains(&Effect::Stop), before && next.actual == Actual::Stopping, "{told}");
            assert_eq!(effects.contains(&Effect::Start), !before && next.actual == Actual::Starting, "{told}");
        }
    }
}

#[test]
fn transitions() {
    use Effect::{KeepGood, Probe, Start, Stop};
    let [
        off,
        paused,
        missing,
        incompatible,
        starting,
        running,
        degraded,
        retrying,
        quarantined,
        needs_auth,
        needs_config,
        stopping,
    ] = <[Life; 12]>::try_from(every_state()).expect("twelve states");
    let health = |status| Input::HealthTold(Health { status, message: "so".into() });
    let credentials = || start_failed(Failure::Credentials, ReasonCode::BadCredentials);
    let poll = |failure| Input::PollFailed(failure, why(ReasonCode::PollFailed));
    let synchronized =
        |well: bool| Input::Synchronized(if well { Ok(()) } else { Err(why(ReasonCode::SynchronizeFailed)) });
    for (life, input, state, code, effects) in [
        (&off, Input::Wanted(Desired::On), "starting", ReasonCode::Starting, vec![Start]),
        (&off, Input::PluginGone(why(ReasonCode::FileGone)), "off", ReasonCode::Deactivated, vec![]),
        (&paused, Input::Wanted(Desired::On), "starting", ReasonCode::Starting, vec![Start]),
        (&paused, Input::PluginGone(why(ReasonCode::FileGone)), "missing", ReasonCode::FileGone, vec![]),
        (&missing, Input::PluginHere { new: false }, "starting", ReasonCode::Starting, vec![Start]),
        (&missing, Input::Wanted(Desired::On), "missing", ReasonCode::PluginMissing, vec![]),
        (&missing, Input::Wanted(Desired::Off), "off", ReasonCode::Deactivated, vec![]),
        (&incompatible, Input::PluginHere { new: true }, "starting", ReasonCode::Starting, vec![Start]),
        (&starting, Input::Started, "running", ReasonCode::AsWanted, vec![KeepGood]),
        (&starting, passing(), "retrying", ReasonCode::StartFailed, vec![]),
        (&starting, credentials(), "needs_auth", ReasonCode::BadCredentials, vec![]),
        (&starting, Input::Wanted(Desired::Off), "stopping", ReasonCode::Stopping, vec![Stop]),
        (&running, poll(Failure::Passing), "degraded", ReasonCode::PollFailed, vec![]),
        (&running, poll(Failure::Credentials), "stopping", ReasonCode::Stopping, vec![Stop]),
        (&running, health(HealthStatus::Error), "degraded", ReasonCode::ReportedUnhealthy, vec![]),
        (&running, health(HealthStatus::Disabled), "running", ReasonCode::AsWanted, vec![]),
        (&running, Input::Ended(why(ReasonCode::WorkerKilled)), "retrying", ReasonCode::WorkerKilled, vec![]),
        (&running, Input::PluginHere { new: true }, "running", ReasonCode::AsWanted, vec![Probe]),
        (&running, Input::PluginHere { new: false }, "running", ReasonCode::AsWanted, vec![]),
        (&running, Input::PluginRefused(why(ReasonCode::NotElf)), "running", ReasonCode::WentBack, vec![]),
        (&running, Input::PluginRevoked(why(ReasonCode::Revoked)), "stopping", ReasonCode::Stopping, vec![Stop]),
        (&paused, Input::PluginRevoked(why(ReasonCode::Revoked)), "incompatible", ReasonCode::Revoked, vec![]),
        (&running, Input::PluginGone(why(ReasonCode::FileGone)), "stopping", ReasonCode::Stopping, vec![Stop]),
        (&running, Input::RestartNeeded, "stopping", ReasonCode::Stopping, vec![Stop]),
        (&running, Input::Wanted(Desired::On), "running", ReasonCode::AsWanted, vec![]),
        (&degraded, Input::PollOk, "running", ReasonCode::AsWanted, vec![]),
        (&running, synchronized(true), "running", ReasonCode::AsWanted, vec![]),
        (&running, synchronized(false), "degraded", ReasonCode::SynchronizeFailed, vec![]),
        (&degraded, synchronized(true), "degraded", ReasonCode::PollFailed, vec![]),
        (&degraded, synchronized(false), "degraded", ReasonCode::PollFailed, vec![]),
        (&starting, synchronized(false), "starting", ReasonCode::Starting, vec![]),
        (&stopping, synchronized(false), "stopping", ReasonCode::Stopping, vec![]),
        (&off, synchronized(false), "off", ReasonCode::Deactivated, vec![]),
        (&retrying, synchronized(true), "retrying", ReasonCode::StartFailed, vec![]),
        (&needs_auth, synchronized(true), "needs_auth", ReasonCode::BadCredentials, vec![]),
        (&retrying, Input::TimerDue, "starting", ReasonCode::Starting, vec![Start]),
        (&retrying, Input::PluginHere { new: false }, "retrying", ReasonCode::StartFailed, vec![]),
        (&retrying, Input::PluginHere { new: true }, "starting", ReasonCode::Starting, vec![Start]),
        (&quarantined, Input::TimerDue, "starting", ReasonCode::Starting, vec![Start]),
        (&quarantined, Input::Wanted(Desired::On), "starting", ReasonCode::Starting, vec![Start]),
        (&quarantined, Input::PluginHere { new: true }, "starting", ReasonCode::Starting, vec![Start]),
        (&needs_auth, Input::SettingsSaved, "starting", ReasonCode::Starting, vec![Start]),
        (&needs_auth, Input::TimerDue, "needs_auth", ReasonCode::BadCredentials, vec![]),
        (&needs_config, Input::SettingsSaved, "starting", ReasonCode::Starting, vec![Start]),
        (&stopping, Input::Stopped { late: None }, "off", ReasonCode::Deactivated, vec![]),
        (
            &stopping,
            Input::Stopped { late: Some(why(ReasonCode::KilledAtStop)) },
            "off",
            ReasonCode::KilledAtStop,
            vec![],
        ),
    ] {
        let told = format!("{} with {input:?}", word(&life.actual));
        let (next, did) = life.clone().step(input, AT, &policy());
        assert_eq!((word(&next.actual).as_str(), next.reason.code, did), (state, code, effects), "{told}");
    }
}

#[test]
fn pauses_grow_and_the_fifth_failure_is_quarantine() {
    let mut life = on();
    for (attempt, pause) in [(1, 1_000), (2, 2_000), (3, 5_000), (4, 15_000)] {
        life = walk(life, [passing()]);
        assert_eq!(life.actual, Actual::Retrying { attempt, next_at_ms: AT.now_ms + pause });
        assert_eq!(life.due_at_ms(&policy()), Some(AT.now_ms + pause));
        life = walk(life, [Input::TimerDue]);
    }
    life = walk(life, [passing()]);
    assert_eq!(life.actual, Actual::Quarantined { next_at_ms: AT.now_ms + 900_000 });
    assert_eq!(life.reason.code, ReasonCode::Quarantined);
    // One slow attempt that fails stays in quarantine, whenever it comes.
    let (life, _) = life.step(Input::TimerDue, after(2_000_000), &policy());
    let (life, _) = life.step(passing(), after(2_000_000), &policy());
    assert_eq!(life.actual, Actual::Quarantined { next_at_ms: after(2_900_000).now_ms });
}

#[test]
fn failures_far_apart_are_no_quarantine() {
    let mut life = on();
    for n in 0..12 {
        let at = after(n * 300_000);
        life = life.step(passing(), at, &policy()).0;
        assert!(matches!(life.actual, Actual::Retrying { .. }), "failure {n}: {:?}", life.actual);
        life = life.step(Input::TimerDue, at, &policy()).0;
    }
    // The longest pause repeats.
    life = life.step(passing(), after(9_000_000), &policy()).0;
    assert_eq!(life.actual, Actual::Retrying { attempt: 13, next_at_ms: after(9_300_000).now_ms });
}

#[test]
fn ten_good_minutes_forgive_and_a_bad_one_among_them_begins_anew() {
    let life = walk(on(), [passing(), Input::TimerDue, Input::Started]);
    assert_eq!(life.due_at_ms(&policy()), Some(after(600_000).now_ms));
    let (ill, _) =
        life.clone().step(Input::PollFailed(Failure::Passing, why(ReasonCode::PollFailed)), after(500_000), &policy());
    assert_eq!(ill.due_at_ms(&policy()), None);
    let (well, _) = ill.step(Input::PollOk, after(550_000), &policy());
    assert_eq!(well.due_at_ms(&policy()), Some(after(1_150_000).now_ms));
    let (forgiven, _) = life.step(Input::TimerDue, after(600_000), &policy());
    assert_eq!(forgiven.due_at_ms(&policy()), None);
    let (failed, _) = forgiven.step(Input::Ended(why(ReasonCode::WorkerExited)), after(700_000), &policy());
    assert!(matches!(failed.actual, Actual::Retrying { attempt: 1, .. }));
}

#[test]
fn chance_spreads_a_pause_by_a_fifth() {
    for (chance, pause) in [(0.0, 800), (0.5, 1_000), (1.0, 1_200)] {
        let (life, _) = on().step(passing(), Moment { chance, ..AT }, &policy());
        assert_eq!(life.actual, Actual::Retrying { attempt: 1, next_at_ms: AT.now_ms + pause });
    }
}

#[test]
fn a_switch_stops_the_old_starts_the_new_and_goes_back_when_that_fails() {
    let (life, effects) = running().step(Input::Probed(Ok(())), AT, &policy());
    assert_eq!((life.actual, effects), (Actual::Stopping, vec![Effect::Stop]));
    let (life, effects) = life.step(Input::Stopped { late: None }, AT, &policy());
    assert_eq!((life.actual, effects), (Actual::Starting, vec![Effect::Start]));
    let good = walk(life.clone(), [Input::Started]);
    assert_eq!((good.actual, good.reason.code), (Actual::Running, ReasonCode::AsWanted));
    for failure in [Failure::Passing, Failure::Configuration, Failure::Credentials, Failure::Incompatible] {
        let failed = Input::StartFailed { failure, reason: why(ReasonCode::Panicked), goes_back: true };
        let (back, effects) = life.clone().step(failed, AT, &policy());
        assert_eq!((back.actual, effects), (Actual::Starting, vec![Effect::StartPrevious]));
        let back = walk(back, [Input::Started]);
        assert_eq!((back.actual, back.reason.code), (Actual::Running, ReasonCode::WentBack));
        assert!(back.reason.sentence.contains("because of panicked"), "{}", back.reason);
        // The note stays while the generation runs, over bad polls too.
        let ill = walk(back, [Input::PollFailed(Failure::Passing, why(ReasonCode::PollFailed)), Input::PollOk]);
        assert_eq!(ill.reason.code, ReasonCode::WentBack);
    }
}

#[test]
fn a_new_version_that_fails_its_probe_changes_the_reason_alone() {
    let (life, effects) = running().step(Input::Probed(Err(why(ReasonCode::OpenFailed))), AT, &policy());
    assert_eq!((life.actual, life.reason.code, effects), (Actual::Running, ReasonCode::WentBack, vec![]));
}

#[test]
fn credentials_refused_while_running_wait_for_a_person_once_stopped() {
    let life = walk(
        running(),
        [Input::PollFailed(Failure::Credentials, why(ReasonCode::BadCredentials)), Input::Stopped { late: None }],
    );
    assert_eq!((life.actual, life.reason.code), (Actual::NeedsAuth, ReasonCode::BadCredentials));
    assert_eq!(life.health().status, HealthStatus::Error);
}

#[test]
fn health_is_the_gateways_word_unless_polls_fail() {
    let told = |status| Input::HealthTold(Health { status, message: "by itself".into() });
    let ill = || Input::PollFailed(Failure::Passing, why(ReasonCode::PollFailed));
    for (inputs, status) in [
        (vec![], HealthStatus::Unknown),
        (vec![Input::PollOk], HealthStatus::Healthy),
        (vec![told(HealthStatus::Warning)], HealthStatus::Warning),
        (vec![told(HealthStatus::Healthy), ill()], HealthStatus::Error),
        (vec![told(HealthStatus::Healthy), ill(), Input::PollOk], HealthStatus::Healthy),
        (vec![Input::Ended(why(ReasonCode::HeartbeatMissed))], HealthStatus::Error),
        (vec![Input::Wanted(Desired::Paused), Input::Stopped { late: None }], HealthStatus::Disabled),
    ] {
        let told = format!("{inputs:?}");
        assert_eq!(walk(running(), inputs).health().status, status, "{told}");
    }
}

#[test]
fn resuming_while_it_is_being_stopped_starts_it_afterwards() {
    let life = walk(running(), [Input::Wanted(Desired::Paused), Input::Wanted(Desired::On)]);
    assert_eq!(life.actual, Actual::Stopping);
    assert_eq!(walk(life, [Input::Stopped { late: None }]).actual, Actual::Starting);
}

#[test]
fn a_snapshot_that_failed_degrades_until_one_succeeds_or_the_generation_ends() {
    let failed = || Input::Synchronized(Err(why(ReasonCode::SynchronizeFailed)));
    let degraded = walk(running(), [failed(), Input::PollOk]);
    assert_eq!((degraded.actual, degraded.reason.code), (Actual::Degraded, ReasonCode::SynchronizeFailed));
    assert_eq!(degraded.health().status, HealthStatus::Error);
    assert_eq!(walk(degraded.clone(), [Input::Synchronized(Ok(()))]).actual, Actual::Running);
    // A poll that failed as well is told first, and stays when the snapshot is there.
    let both = walk(degraded.clone(), [Input::PollFailed(Failure::Passing, why(ReasonCode::PollFailed))]);
    assert_eq!(both.reason.code, ReasonCode::PollFailed);
    assert_eq!(walk(both, [Input::Synchronized(Ok(()))]).reason.code, ReasonCode::PollFailed);
    let anew = walk(degraded, [Input::RestartNeeded, Input::Stopped { late: None }, Input::Started]);
    assert_eq!((anew.actual, anew.reason.code), (Actual::Running, ReasonCode::AsWanted));
}

#[test]
fn what_a_generation_that_failed_said_of_itself_is_not_said_of_the_one_before() {
    let starting = walk(running(), [Input::Probed(Ok(())), Input::Stopped { late: None }]);
    let ill = Input::HealthTold(Health { status: HealthStatus::Error, message: "no bridge".into() });
    let failed = Input::StartFailed { failure: Failure::Passing, reason: why(ReasonCode::Panicked), goes_back: true };
    let back = walk(starting, [ill, failed, Input::Started]);
    assert_eq!((back.actual, back.reason.code), (Actual::Running, ReasonCode::WentBack));
    assert_eq!(back.health(), Health::default());
}

/// A moment in the life of an integration, drawn at random: what happens, and how long after the one before.
fn anything() -> impl proptest::strategy::Strategy<Value = Vec<(Input, i64)>> {
    let moment = (proptest::sample::select(every_input()), 0_i64..2_000_000);
    proptest::collection::vec(moment, 0..60)
}

proptest::proptest! {
    /// Whatever happened, in whatever order: a person's word leads out of every state, and so does time where the state
    /// waits for it.
    #[test]
    fn from_wherever_a_life_leads_there_is_a_way_to_running_and_a_way_to_off(past in anything()) {
        let mut life = on();
        let mut now_ms = AT.now_ms;
        for (input, after_ms) in past {
            now_ms += after_ms;
            life = life.step(input, Moment { now_ms, ..AT }, &policy()).0;
            // What waits for a moment is moved by it.
            if let Some(due_ms) = life.due_at_ms(&policy()) {
                let due = Moment { now_ms: due_ms, ..AT };
                let moved = life.clone().step(Input::TimerDue, due, &policy()).0;
                proptest::prop_assert_ne!(moved.due_at_ms(&policy()), Some(due_ms), "{:?}", life.actual);
            }
            let mut off = life.clone();
            for step in [Input::Wanted(Desired::Off), Input::Stopped { late: None }] {
                off = off.step(step, Moment { now_ms, ..AT }, &policy()).0;
            }
            proptest::prop_assert_eq!(off.actual, Actual::Off);
            let mut runs = off.clone();
            let again = [Input::PluginHere { new: false }, Input::Wanted(Desired::On), Input::Started];
            for step in again {
                runs = runs.step(step, Moment { now_ms, ..AT }, &policy()).0;
            }
            proptest::prop_assert_eq!(runs.actual, Actual::Running);
            // And without being switched off first: a sound plugin, a person's word, what the supervisor answers.
            let mut well = life.clone();
            for step in [
                Input::PluginHere { new: false },
                Input::Wanted(Desired::On),
                Input::Stopped { late: None },
                Input::Wanted(Desired::On),
                Input::Started,
                Input::HealthTold(Health { status: HealthStatus::Healthy, message: String::new() }),
                Input::PollOk,
                Input::Synchronized(Ok(())),
            ] {
                well = well.step(step, Moment { now_ms, ..AT }, &policy()).0;
            }
            proptest::prop_assert_eq!(well.actual, Actual::Running);
        }
    }
}

#[test]
fn quarantine_is_retried_slowly_ends_with_a_new_version_and_is_lifted_by_hand() {
    let fails = (0..5).flat_map(|_| [passing(), Input::TimerDue]).take(9);
    let quarantined = walk(on(), fails);
    let Actual::Quarantined { next_at_ms } = quarantined.actual else { panic!("{:?}", quarantined.actual) };
    assert_eq!(next_at_ms - AT.now_ms, 900_000);
    assert_eq!(quarantined.due_at_ms(&policy()), Some(next_at_ms));
    // The file that is there already is no news; another one is, and it begins with a clean slate.
    assert_eq!(walk(quarantined.clone(), [Input::PluginHere { new: false }]).actual, quarantined.actual);
    for lifted in [Input::PluginHere { new: true }, Input::Wanted(Desired::On), Input::SettingsSaved] {
        let life = walk(quarantined.clone(), [lifted.clone()]);
        assert_eq!(life.actual, Actual::Starting, "{lifted:?}");
        let failed = walk(life, [passing()]);
        assert!(matches!(failed.actual, Actual::Retrying { attempt: 1, .. }), "{lifted:?}: {:?}", failed.actual);
    }
    // A slow attempt that works runs on, and ten good minutes end the quarantine.
    let life = walk(quarantined, [Input::TimerDue, Input::Started]);
    assert_eq!(life.due_at_ms(&policy()), Some(after(600_000).now_ms));
    let once_more = walk(life.clone(), [Input::Ended(why(ReasonCode::SegmentationFault))]);
    assert!(matches!(once_more.actual, Actual::Quarantined { .. }), "{:?}", once_more.actual);
    let (forgiven, _) = life.step(Input::TimerDue, after(600_000), &policy());
    let failed = walk(forgiven, [Input::Ended(why(ReasonCode::SegmentationFault))]);
    assert!(matches!(failed.actual, Actual::Retrying { attempt: 1, .. }), "{:?}", failed.actual);
}
