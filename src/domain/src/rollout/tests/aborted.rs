//! Releases that a person ended: how their Deployments come to rest.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::order::intent::Borrow;

#[rstest]
#[case(Step::BringUp, rolling(3, 0), 3, 10, 3)]
#[case(Step::ScaleDownOld, rolling(0, 3), 3, 7, 0)]
fn an_aborted_release_stops_with_the_pods_that_it_has(
    #[case] step: Step,
    #[case] strategy: Value,
    #[case] new: i32,
    #[case] old: i32,
    #[case] surplus: i32,
) {
    let mut view = shown(new, None, old);
    view.settings.strategy = strategy;
    let frozen = moved(ask(&aborted_at(step), view, at(1_000_000)));
    assert_eq!(
        (frozen.state, frozen.step, frozen.roll_back),
        (State::Aborted, Step::PauseInPlace, false)
    );
    assert_eq!(
        numbers(&frozen),
        (json!(surplus), json!(i32::from(surplus == 0)), Some(true), Some(5)),
        "a paused one has R + maxSurge"
    );
    let patch = patch(&frozen);
    assert_eq!(
        (patch.template, patch.replicas, patch.borrow),
        (None, None, Borrow::Unchanged),
        "still borrowed, for the next order"
    );
}

/// How many pods there are by the time of the pause is known only behind a closed gate.
#[rstest]
#[case::all_at_once(Step::BringUp, rolling("25%", 0), 3, 9, rolling(2, 0), 3)]
#[case::a_way_back(Step::RollBack, rolling("100%", 0), 10, 6, rolling(6, 0), 10)]
#[case::at_its_end(Step::RestoreSettings, rolling("25%", "25%"), 10, 4, rolling(4, 0), 10)]
#[case::none_too_many(Step::RestoreSettings, rolling("25%", "25%"), 5, 5, rolling(1, 0), 6)]
#[case::without_surge(Step::BringUp, rolling(0, 2), 2, 8, rolling(0, 2), 2)]
#[case::without_surge_in_percent(Step::BringUp, rolling("0%", "25%"), 2, 8, rolling(0, 2), 2)]
fn the_gate_closes_before_an_aborted_release_is_stopped_that_goes_on_by_itself(
    #[case] step: Step,
    #[case] strategy: Value,
    #[case] new: i32,
    #[case] old: i32,
    #[case] closed: Value,
    #[case] new_at_rest: i32,
) {
    let mut view = shown(new, None, old);
    (view.settings.strategy, view.settings.min_ready_seconds) = (strategy.clone(), 5);
    let mut order = aborted_at(step);
    if step == Step::BringUp {
        order.snapshot.as_mut().unwrap().settings.strategy = strategy;
    }
    let closing = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!((closing.state, closing.step), (State::Aborted, Step::PauseInPlace));
    let patch = patch(&closing);
    assert_eq!(
        (patch.strategy.as_ref(), patch.paused, patch.min_ready_seconds),
        (Some(&closed), Some(false), Some(GATE_SECONDS))
    );

    // Seen to be made, it is followed by the pause, once Kubernetes came to rest behind it.
    let intent = Intent {
        effect: closing.effect.clone().unwrap(),
        applied: Some(Applied { deployment: 1, replica_set: None }),
    };
    let order = Order { step: Step::PauseInPlace, intent: Some(intent), ..order };
    let mut view = shown(new, None, old);
    (view.settings.strategy, view.settings.min_ready_seconds) = (closed, GATE_SECONDS);
    if new < new_at_rest {
        assert_waits(&ask(&order, view.clone(), at(SOON)), None);
    }
    let at_rest = shown(new_at_rest, None, old);
    (view.new, view.old) = (at_rest.new, at_rest.old);
    let frozen = moved(ask(&order, view, at(SOON)));
    let surplus = (new_at_rest + old - 10).max(0);
    assert_eq!((frozen.state, frozen.step), (State::Aborted, Step::PauseInPlace));
    assert_eq!(
        numbers(&frozen),
        (json!(surplus), json!(i32::from(surplus == 0)), Some(true), Some(5))
    );
}

/// A rollback is aborted while pods of both versions are there: that of the release was behind
/// the gate, and the Deployment controller opens only that of the newest.
#[test]
fn an_order_that_rests_leaves_no_gate_closed_behind_it() {
    let pause = Patch { paused: Some(true), ..Patch::default() };
    let applied = Some(Applied { deployment: APPLIED, replica_set: Some(APPLIED) });
    let after = |effect: Effect| Order {
        intent: Some(Intent { effect, applied }),
        ..aborted_at(Step::PauseInPlace)
    };
    let mut view = shown(7, Some(at(1)), 3);
    view.settings = BorrowedSettings { paused: true, strategy: rolling(0, 1), ..own() };
    view.old[0].min_ready_seconds = GATE_SECONDS;
    let opens = moved(ask(&after(Change::Patch(pause).into()), view.clone(), at(SOON)));
    let Some(Effect::ReplicaSet(open)) = opens.effect.clone() else { panic!("{opens:?}") };
    assert_eq!((open.replicas, open.min_ready_seconds), (3, Some(own().min_ready_seconds)));
    let opened = after(opens.effect.unwrap());
    // Once: whoever closes it again is not fought.
    assert_eq!(moved(ask(&opened, view.clone(), at(SOON))).step, Step::Done);
    view.old[0].min_ready_seconds = own().min_ready_seconds;
    assert_eq!(moved(ask(&opened, view, at(SOON))).step, Step::Done);
}

/// Somebody allows more to be unavailable than there are pods.
#[test]
fn an_aborted_release_rests_where_all_pods_may_be_missing() {
    let mut view = shown(1, Some(at(1)), 0);
    (view.replicas, view.settings.strategy) = (1, rolling(3, 2));
    let frozen = moved(ask(&aborted_at(Step::PauseInPlace), view, at(SOON)));
    assert_eq!(numbers(&frozen), (json!(0), json!(1), Some(true), Some(5)));
}

#[test]
fn an_aborted_release_is_not_stopped_while_pods_of_its_batch_come_or_go() {
    let order = aborted_at(Step::BringUp);
    for (new, old) in [(2, 10), (3, 9), (6, 8)] {
        let mut view = shown(new, None, old);
        view.settings.strategy = rolling(3, 3);
        assert_waits(&ask(&order, view, at(1_000_000)), None);
    }
    let older = DeploymentView { resource_version: 1, ..shown(3, None, 10) };
    assert_waits(&ask(&order, older, at(1_000_000)), None);
    let unobserved = DeploymentView { observed: false, ..shown(3, None, 10) };
    assert_waits(&ask(&order, unobserved, at(SOON)), Some(at(60)));
}

#[test]
fn an_aborted_release_whose_last_change_may_still_arrive_is_fenced_before_it_is_stopped() {
    let mut unmade = aborted_at(Step::CloseGate);
    unmade.intent.as_mut().unwrap().applied = None;
    let mut paused = shown(3, Some(at(0)), 7);
    (paused.settings.paused, paused.settings.strategy) = (true, rolling(0, 1));
    let fencing = moved(ask(&unmade, paused.clone(), at(SOON)));
    assert_eq!((fencing.step, patch(&fencing)), (Step::PauseInPlace, written()));
    let frozen = moved(ask(&aborted_at(Step::CloseGate), paused, at(SOON)));
    assert_eq!((frozen.step, numbers(&frozen).0), (Step::PauseInPlace, json!(0)));
}

#[test]
fn a_release_with_recreate_is_stopped_by_the_pause_alone() {
    let mut order = aborted_at(Step::BringUp);
    order.snapshot.as_mut().unwrap().settings.strategy = json!({ "type": "Recreate" });
    let mut view = shown(3, None, 0);
    view.settings.strategy = json!({ "type": "Recreate" });
    let patch = patch(&moved(ask(&order, view, at(SOON))));
    assert_eq!((patch.strategy, patch.paused), (Some(json!({ "type": "Recreate" })), Some(true)));
}

#[test]
fn an_aborted_release_is_at_rest_once_the_controller_has_seen_it() {
    for step in [Step::PauseInPlace, Step::Paused] {
        let pause = Change::Patch(Patch { paused: Some(true), ..Patch::default() });
        let order = Order {
            intent: Some(Intent {
                effect: pause.into(),
                applied: Some(Applied { deployment: APPLIED, replica_set: None }),
            }),
            ..aborted_at(step)
        };
        let mut unseen = shown(3, None, 7);
        unseen.settings.paused = true;
        unseen.observed = false;
        assert_waits(&ask(&order, unseen.clone(), at(SOON)), Some(at(60)));
        // A controller that cannot act is not waited for any longer: nothing moves.
        assert_eq!(moved(ask(&order, unseen, at(60))).step, Step::Done);
        // Whatever the template is by now: nothing more is written.
        let mut view = shown(3, None, 7);
        view.settings.paused = true;
        view.template = template("theirs");
        let ended = moved(ask(&order, view, at(SOON)));
        assert_eq!((ended.state, ended.step, ended.effect), (State::Aborted, Step::Done, None));
    }
}

#[rstest]
#[case::where_the_gate_was(GATE_SECONDS, Some(0))]
#[case::where_the_order_had_set_none(0, None)]
fn no_seconds_that_somebody_sets_while_an_aborted_release_comes_to_rest_are_the_users(
    #[case] written: i32,
    #[case] users: Option<i32>,
) {
    let mut order = aborted_at(Step::PauseInPlace);
    order.hands.written.min_ready_seconds = Some(written);
    let mut view = shown(3, None, 7);
    // Kubernetes leaves 0 out, and then notes no owner.
    (view.settings.min_ready_seconds, view.settings.paused) = (0, true);
    let stopping = moved(ask(&order, view, at(SOON)));
    let before = stopping.snapshot.as_ref().map(|before| before.settings.min_ready_seconds);
    assert_eq!((stopping.step, before), (Step::PauseInPlace, users));
}
