//! Tables of (upgrade, input) → (upgrade, effects), and walks through hindrances and trials.

use super::*;

const NOW: i64 = 1_000;
const PATIENCE: Patience = Patience { trial_ms: 500, retry_ms: 100 };

fn why(code: ReasonCode) -> Reason {
    Reason::new(code, format!("because of {code}"))
}

fn walk(upgrade: Upgrade, inputs: impl IntoIterator<Item = Input>) -> Upgrade {
    inputs.into_iter().fold(upgrade, |upgrade, input| upgrade.step(input, NOW, PATIENCE).0)
}

fn waits(code: ReasonCode, retry_at_ms: Option<i64>) -> Upgrade {
    Upgrade { stage: Stage::Waits { reason: why(code), retry_at_ms }, trial: None }
}

#[test]
fn every_step_of_the_way() {
    use Effect::{Cross, GiveUp, Replace, Tell, Try, Unfit};
    let idle = Upgrade::default();
    let at = |stage| Upgrade { stage, trial: None };
    let (trying, beside) = (at(Stage::Trying), at(Stage::Beside));
    for (from, input, stage, effects) in [
        (&idle, Input::Found(None), Stage::Trying, vec![Tell(None), Try]),
        (&beside, Input::Found(None), Stage::Trying, vec![GiveUp, Tell(None), Try]),
        (&trying, Input::Tried(Ok(How::Beside)), Stage::Beside, vec![Tell(None), Cross]),
        (&trying, Input::Tried(Ok(How::Alone)), Stage::Replacing, vec![Tell(None), Replace]),
        (
            &trying,
            Input::Tried(Err(why(ReasonCode::OpenFailed))),
            Stage::Idle,
            vec![Unfit(why(ReasonCode::OpenFailed))],
        ),
        (&beside, Input::NotUp(why(ReasonCode::Panicked)), Stage::Idle, vec![Unfit(why(ReasonCode::Panicked))]),
        (&beside, Input::MustBeAlone, Stage::Replacing, vec![Replace]),
        (&beside, Input::TookOver, Stage::Idle, vec![]),
        (&beside, Input::Gone, Stage::Idle, vec![GiveUp]),
        (&trying, Input::Gone, Stage::Idle, vec![]),
        // What comes too late.
        (&idle, Input::Tried(Ok(How::Beside)), Stage::Idle, vec![]),
        (&idle, Input::NotUp(why(ReasonCode::Panicked)), Stage::Idle, vec![]),
        (&trying, Input::Busy(why(ReasonCode::UpgradeWaits)), Stage::Trying, vec![]),
        (&idle, Input::Failed(why(ReasonCode::WorkerKilled)), Stage::Idle, vec![]),
    ] {
        let told = format!("{from:?} with {input:?}");
        let (next, did) = from.clone().step(input, NOW, PATIENCE);
        assert_eq!((next.stage, did), (stage, effects), "{told}");
    }
}

#[test]
fn a_hindrance_waits_for_a_person_and_is_told() {
    for code in [ReasonCode::WantsMore, ReasonCode::Pinned] {
        let (next, did) = Upgrade::default().step(Input::Found(Some(why(code))), NOW, PATIENCE);
        assert_eq!((&next, did), (&waits(code, None), vec![Effect::Tell(Some(why(code)))]));
        assert_eq!(next.due_at_ms(), None);
        assert_eq!(walk(next, [Input::Found(None)]).stage, Stage::Trying);
    }
}

#[test]
fn missing_settings_wait_for_them_wherever_they_are_missed() {
    let missing = || why(ReasonCode::BadConfiguration);
    let trying = walk(Upgrade::default(), [Input::Found(None)]);
    let beside = walk(trying.clone(), [Input::Tried(Ok(How::Beside))]);
    for (upgrade, input) in [(trying, Input::Tried(Err(missing()))), (beside, Input::NotUp(missing()))] {
        let (next, did) = upgrade.step(input, NOW, PATIENCE);
        let Stage::Waits { reason, retry_at_ms: None } = &next.stage else { panic!("{next:?}") };
        assert_eq!(reason.code, ReasonCode::UpgradeNeedsConfig);
        assert_eq!(did, [Effect::Tell(Some(reason.clone()))]);
        // Checked by the new generation itself when a person gave them.
        assert_eq!(walk(next, [Input::Tried(Ok(How::Beside))]).stage, Stage::Beside);
    }
}

#[test]
fn without_a_moment_it_is_tried_again_later() {
    let beside = walk(Upgrade::default(), [Input::Found(None), Input::Tried(Ok(How::Beside))]);
    let busy = walk(beside, [Input::Busy(why(ReasonCode::UpgradeWaits))]);
    assert_eq!(busy, waits(ReasonCode::UpgradeWaits, Some(NOW + 100)));
    assert_eq!(busy.due_at_ms(), Some(NOW + 100));
    assert_eq!(busy.clone().step(Input::TimerDue, NOW + 99, PATIENCE).1, []);
    let (again, did) = busy.step(Input::TimerDue, NOW + 100, PATIENCE);
    assert_eq!((again.stage, did), (Stage::Trying, vec![Effect::Try]));
}

#[test]
fn a_trial_ends_by_time_or_goes_back() {
    let on_trial = || walk(Upgrade::default(), [Input::TookOver]);
    assert_eq!(on_trial().due_at_ms(), Some(NOW + 500));
    assert_eq!(on_trial().step(Input::TimerDue, NOW + 499, PATIENCE).1, []);
    let (over, did) = on_trial().step(Input::TimerDue, NOW + 500, PATIENCE);
    assert_eq!((&over, did), (&Upgrade::default(), vec![Effect::EndTrial]));
    let failed = || Input::Failed(why(ReasonCode::WorkerKilled));
    let (back, did) = on_trial().step(failed(), NOW, PATIENCE);
    assert_eq!((&back, did), (&Upgrade::default(), vec![Effect::GoBack(why(ReasonCode::WorkerKilled))]));
    assert_eq!(over.step(failed(), NOW, PATIENCE).1, []);
}

#[test]
fn three_failed_polls_in_a_row_fail_a_trial() {
    let ill = || Input::Polled(Err(why(ReasonCode::PollFailed)));
    let nearly = walk(Upgrade::default(), [Input::TookOver, ill(), ill(), Input::Polled(Ok(())), ill(), ill()]);
    let (_, did) = nearly.step(ill(), NOW, PATIENCE);
    assert_eq!(did, [Effect::GoBack(why(ReasonCode::PollFailed))]);
    let proven = walk(Upgrade::default(), [ill(), ill(), ill(), ill()]);
    assert_eq!(proven, Upgrade::default());
}

#[test]
fn what_fails_on_trial_takes_with_it_what_was_started_beside_it() {
    let third = walk(Upgrade::default(), [Input::TookOver, Input::Found(None), Input::Tried(Ok(How::Beside))]);
    let (next, did) = third.step(Input::Failed(why(ReasonCode::WorkerKilled)), NOW, PATIENCE);
    assert_eq!(did, [Effect::GiveUp, Effect::GoBack(why(ReasonCode::WorkerKilled))]);
    assert_eq!(next, Upgrade::default());
}

#[test]
fn a_trial_goes_on_after_a_restart_of_the_daemon() {
    assert_eq!(Upgrade::resume(Some(NOW + 7)).due_at_ms(), Some(NOW + 7));
    assert_eq!(Upgrade::resume(None), Upgrade::default());
}
