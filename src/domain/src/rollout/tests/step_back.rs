//! What stops a release, and the ways back: views that allow no conclusion,
//! trouble, deadlines, other hands, aborts, rollback orders, refusals.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    order::intent::Borrow,
    rollout::{gone, refused},
    template::spec::SpecChange,
};

const SOON: i64 = 10;

#[track_caller]
fn assert_fails(decision: Decision, says: &str, roll_back: bool) {
    let transition = moved(decision);
    assert_eq!((transition.state, transition.step), (State::Failed, Step::Done));
    assert!(transition.message.contains(says), "{says:?} in {:?}", transition.message);
    assert_eq!(transition.roll_back, roll_back, "whether it is rolled back");
    assert!(
        transition
            .batches
            .iter()
            .any(|batch| batch.state == State::Failed && batch.message == transition.message),
        "{:?}",
        transition.batches
    );
}

// --- Views that allow no conclusion ---

#[test]
fn nothing_is_concluded_before_the_watches_have_begun() {
    for step in UNDER_WAY.into_iter().chain([Step::Start, Step::Create]) {
        assert_waits(
            &decide(
                &at_step(step, in_batches(3, Pace::Manual)),
                &Observation::Unknown,
                at(1_000_000),
            ),
            None,
        );
    }
    for order in [
        accepted(Kind::Create, Strategy::ALL_AT_ONCE, 1),
        way_back(Step::Start),
        aborted_at(Step::BringUp),
    ] {
        assert_waits(&decide(&order, &Observation::Unknown, at(1_000_000)), None);
    }
}

#[test]
fn nothing_is_decided_while_a_change_is_still_to_be_made() {
    for step in UNDER_WAY {
        let mut order = at_step(step, in_batches(3, Pace::Manual));
        order.intent.as_mut().unwrap().applied = None;
        assert_waits(&ask(&order, shown(3, Some(at(0)), 7), at(1_000_000)), None);
    }
}

#[test]
fn a_view_older_than_the_last_change_is_not_believed() {
    for step in [Step::BringUp, Step::ScaleDownOld, Step::CloseGate, Step::RestoreSettings] {
        let order = at_step(step, in_batches(3, Pace::Manual));
        for spoil in [
            |view: &mut DeploymentView| view.resource_version = APPLIED - 1,
            |view: &mut DeploymentView| view.observed = false,
        ] {
            // Would go on, and fail for trouble, if it were believed.
            let mut view = troubled(shown(3, Some(at(0)), 7));
            spoil(&mut view);
            assert_waits(&ask(&order, view.clone(), at(SOON)), Some(at(TIMEOUT)));
            assert_fails(
                ask(&order, view, at(TIMEOUT)),
                "the Deployment controller does not react",
                true,
            );
        }
    }
}

#[test]
fn a_view_newer_than_the_last_change_is_believed() {
    let mut view = shown(3, Some(at(0)), 10);
    view.resource_version = APPLIED + 1;
    assert_eq!(
        moved(ask(&at_step(Step::BringUp, in_batches(3, AUTOMATIC)), view, at(SOON))).batch,
        1
    );
}

#[test]
fn a_deployment_that_is_not_there_ends_the_order_and_nothing_is_taken_back() {
    let start = at_step(Step::Start, in_batches(3, AUTOMATIC));
    assert_fails(
        decide(&start, &Observation::Absent, at(SOON)),
        "the Deployment web does not exist in namespace default",
        false,
    );
    for step in UNDER_WAY {
        let order = at_step(step, in_batches(3, Pace::Manual));
        assert_fails(
            decide(&order, &Observation::Absent, at(SOON)),
            "does not exist in namespace default any more",
            false,
        );
    }
    assert_fails(
        decide(&way_back(Step::Start), &Observation::Absent, at(SOON)),
        "does not exist",
        false,
    );
    let ended = moved(decide(&aborted_at(Step::BringUp), &Observation::Absent, at(SOON)));
    assert_eq!((ended.state, ended.step, ended.change), (State::Aborted, Step::Done, None));
}

// --- Trouble and deadlines ---

#[test]
fn a_pod_that_cannot_start_fails_the_batch_at_once() {
    let says = "pod new-0, container web: ErrImagePull (image shop/web:new): not found";
    for step in [Step::BringUp, Step::RestoreSettings] {
        assert_fails(
            ask(&at_step(step, in_batches(3, AUTOMATIC)), troubled(shown(3, None, 10)), at(SOON)),
            says,
            true,
        );
    }
    let mut creation = at_step(Step::Create, Strategy::ALL_AT_ONCE);
    creation.kind = Kind::Create;
    assert_fails(ask(&creation, troubled(shown(10, None, 0)), at(SOON)), says, false);
    let mut back = troubled(shown(10, None, 0));
    back.template = template("old");
    assert_fails(
        ask(&way_back(Step::RollBack), back, at(SOON)),
        "the earlier version does not come back: pod new-0",
        false,
    );
}

#[rstest]
#[case::not_ready(
    Step::BringUp,
    shown(3, None, 10),
    "batch 1 was not done within 600 s: 0 of 3 new pods are Ready"
)]
#[case::old_pods_stay(
    Step::ScaleDownOld,
    shown(3, Some(at(0)), 9),
    "9 old pods are left, 7 should be"
)]
#[case::gate_stays_open(Step::CloseGate, { let mut view = shown(3, Some(at(0)), 7); view.new.as_mut().unwrap().available = 3; view }, "still count as available")]
#[case::not_whole(Step::RestoreSettings, shown(10, None, 0), "0 of 10 new pods are Ready")]
fn a_step_that_takes_too_long_fails_and_says_what_it_waited_for(
    #[case] step: Step,
    #[case] view: DeploymentView,
    #[case] says: &str,
) {
    let order = at_step(step, in_batches(3, Pace::Manual));
    assert_waits(&ask(&order, view.clone(), at(TIMEOUT - 1)), Some(at(TIMEOUT)));
    assert_fails(ask(&order, view, at(TIMEOUT)), says, true);
}

#[test]
fn the_deadline_of_a_batch_counts_from_its_start_and_that_of_a_later_step_from_its_own() {
    let mut order = at_step(Step::BringUp, in_batches(3, Pace::Manual));
    order.step_since = at(500);
    assert_waits(&ask(&order, shown(3, None, 10), at(SOON)), Some(at(TIMEOUT)));
    order.step = Step::ScaleDownOld;
    assert_waits(&ask(&order, shown(3, Some(at(0)), 9), at(SOON)), Some(at(500 + TIMEOUT)));
}

#[test]
fn why_kubernetes_cannot_create_pods_is_said() {
    let mut view = shown(2, Some(at(0)), 10);
    view.new.as_mut().unwrap().create_failure =
        Some(CreateFailure { message: "exceeded quota: pods=12".into(), since: Some(at(10)) });
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    assert_waits(&ask(&order, view.clone(), at(69)), Some(at(70)));
    assert_fails(
        ask(&order, view, at(70)),
        "the ReplicaSet new cannot create pods: exceeded quota: pods=12 (waited 60 s",
        true,
    );
}

#[test]
fn a_rest_has_no_deadline() {
    let order = at_step(Step::Paused, in_batches(3, Pace::Manual));
    let rests = Decision::Wait { until: None, rest: true };
    assert_eq!(ask(&order, shown(3, Some(at(0)), 7), at(1_000_000)), rests);
}

#[test]
fn what_cannot_be_done_on_this_deployment_is_said_before_anything_is_changed() {
    let order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let mut recreate = untouched();
    recreate.settings.strategy = json!({ "type": "Recreate" });
    assert_fails(ask(&order, recreate, at(SOON)), "the Deployment's strategy is Recreate", false);
    let mut small = untouched();
    small.replicas = 2;
    assert_fails(
        ask(&order, small, at(SOON)),
        "the Deployment has 2 pods by now, too few for 3 batches",
        false,
    );
    let mut slow = order;
    slow.target.min_ready_seconds = Some(600);
    assert_fails(
        ask(&slow, untouched(), at(SOON)),
        "BatchWaitTime 600 s is not below the Deployment's progressDeadlineSeconds 600 s",
        false,
    );
}

// --- Another hand on the template ---

#[test]
fn another_version_is_left_alone_and_only_the_borrowed_settings_go_back() {
    let mut view = shown(3, Some(at(0)), 10);
    view.template = template("theirs");
    view.other_manager = Some("kubectl-edit".into());
    for step in UNDER_WAY {
        let transition =
            moved(ask(&at_step(step, in_batches(3, Pace::Manual)), view.clone(), at(SOON)));
        assert_eq!(
            (transition.state, transition.step, transition.roll_back),
            (State::Failed, Step::Done, false)
        );
        assert!(
            transition.message.contains("superseded by kubectl-edit"),
            "{}",
            transition.message
        );
        let patch = patch(&transition);
        assert_eq!((patch.template, patch.replicas, patch.paused), (None, None, Some(false)));
        assert_eq!(
            (patch.min_ready_seconds, patch.strategy, patch.borrow),
            (Some(5), Some(own().strategy), Borrow::Returned)
        );
    }
    view.other_manager = None;
    assert!(
        moved(ask(&way_back(Step::RollBack), view, at(SOON)))
            .message
            .contains("superseded by somebody else")
    );
}

// --- Aborts ---

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
#[case::all_at_once(Step::BringUp, rolling("25%", 0), 3, 9, rolling(2, 0))]
#[case::a_way_back(Step::RollBack, rolling("100%", 0), 10, 6, rolling(6, 0))]
#[case::at_its_end(Step::RestoreSettings, rolling("25%", "25%"), 10, 4, rolling(4, 0))]
#[case::none_too_many(Step::RestoreSettings, rolling("25%", "25%"), 5, 5, rolling(1, 0))]
#[case::without_surge(Step::BringUp, rolling(0, 2), 2, 8, rolling(0, 2))]
#[case::without_surge_in_percent(Step::BringUp, rolling("0%", "25%"), 2, 8, rolling(0, 2))]
fn the_gate_closes_before_an_aborted_release_is_stopped_that_goes_on_by_itself(
    #[case] step: Step,
    #[case] strategy: Value,
    #[case] new: i32,
    #[case] old: i32,
    #[case] closed: Value,
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

    // Seen to be made, it is followed by the pause.
    let intent = Intent { change: closing.change.clone().unwrap(), applied: Some(1) };
    let order = Order { step: Step::PauseInPlace, intent: Some(intent), ..order };
    (view.settings.strategy, view.settings.min_ready_seconds) = (closed, GATE_SECONDS);
    let frozen = moved(ask(&order, view, at(SOON)));
    let surplus = (new + old - 10).max(0);
    assert_eq!((frozen.state, frozen.step), (State::Aborted, Step::PauseInPlace));
    assert_eq!(
        numbers(&frozen),
        (json!(surplus), json!(i32::from(surplus == 0)), Some(true), Some(5))
    );
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
    assert_eq!((fencing.step, patch(&fencing)), (Step::PauseInPlace, Patch::default()));
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
            intent: Some(Intent { change: pause, applied: Some(APPLIED) }),
            ..aborted_at(step)
        };
        let mut unseen = shown(3, None, 7);
        unseen.observed = false;
        assert_waits(&ask(&order, unseen.clone(), at(SOON)), Some(at(60)));
        // A controller that cannot act is not waited for any longer: nothing moves.
        assert_eq!(moved(ask(&order, unseen, at(60))).step, Step::Done);
        // Whatever the template is by now: nothing more is written.
        let mut view = shown(3, None, 7);
        view.template = template("theirs");
        let ended = moved(ask(&order, view, at(SOON)));
        assert_eq!((ended.state, ended.step, ended.change), (State::Aborted, Step::Done, None));
    }
}

// --- Rollback orders ---

#[test]
fn the_earlier_version_comes_back_in_one_write() {
    let transition = moved(ask(&way_back(Step::Start), shown(6, Some(at(0)), 7), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Running, Step::RollBack));
    assert_eq!(numbers(&transition), (json!("100%"), json!(0), Some(false), Some(5)));
    let patch = patch(&transition);
    assert_eq!(
        (patch.template, patch.replicas, patch.borrow),
        (Some(template("old")), None, Borrow::Borrowed(own()))
    );
    assert_eq!(batches(&transition), [(0, State::Running, Some(10))]);
}

#[test]
fn it_is_written_even_if_the_view_shows_the_earlier_version_already() {
    assert_eq!(moved(ask(&way_back(Step::Start), untouched(), at(SOON))).step, Step::RollBack);
}

#[test]
fn what_changed_nothing_needs_no_way_back() {
    let order = Order { snapshot: None, ..way_back(Step::Start) };
    for observation in [Observation::Absent, Observation::Present(Box::new(untouched()))] {
        let transition = moved(decide(&order, &observation, at(SOON)));
        assert_eq!(
            (transition.state, transition.step, &transition.change),
            (State::Succeeded, Step::Done, &None)
        );
    }
}

#[test]
fn the_way_back_ends_with_the_users_settings_once_only_the_earlier_version_is_there() {
    let order = way_back(Step::RollBack);
    let returned = |old: i32, since: i64| DeploymentView {
        template: template("old"),
        ..shown(10, Some(at(since)), old)
    };
    assert_waits(&ask(&order, returned(1, 0), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, returned(0, 6), at(SOON)), Some(at(11)));
    let transition = moved(ask(&order, returned(0, 0), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Running, Step::RestoreSettings));
    let patch = patch(&transition);
    assert_eq!(
        (patch.strategy, patch.min_ready_seconds, patch.paused),
        (Some(own().strategy), Some(5), Some(false))
    );
    assert_eq!((patch.progress_deadline_seconds, patch.borrow), (Some(600), Borrow::Returned));

    let mut paused = order;
    paused.snapshot.as_mut().unwrap().settings.paused = true;
    assert_eq!(
        numbers(&moved(ask(&paused, returned(0, 0), at(SOON)))).2,
        Some(true),
        "as the user had it"
    );
}

#[test]
fn a_way_back_that_is_aborted_before_it_began_brings_the_deployment_to_rest() {
    let mut order = way_back(Step::Start);
    assert!(order.rests_on_abort());
    (order.state, order.finalizing) = (State::Aborted, true);
    let transition = moved(ask(&order, shown(3, Some(at(0)), 10), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Aborted, Step::PauseInPlace));
    assert_eq!(numbers(&transition), (json!(3), json!(0), Some(true), Some(5)));
    // Where nothing was half way, or what an earlier order left rests already, there is nothing to do.
    assert!(!Order { snapshot: None, ..way_back(Step::Start) }.rests_on_abort());
    let on_top =
        Order { snapshot: Some(snapshot()), ..at_step(Step::Start, Strategy::ALL_AT_ONCE) };
    assert!(!on_top.rests_on_abort());
}

#[test]
fn an_order_aborted_at_its_first_change_can_be_taken_back_whether_or_not_that_was_made() {
    let mut order = Order { template: None, ..aborted_at(Step::BringUp) };
    assert!(order.changed_deployment());
    order.finalizing = false;
    assert!(!order.changed_deployment(), "it was aborted before it began");
}

#[test]
fn a_way_back_that_fails_opens_no_other() {
    let mut view = shown(10, None, 0);
    view.template = template("old");
    assert_fails(
        ask(&way_back(Step::RollBack), view, at(TIMEOUT)),
        "batch 1 was not done within 600 s",
        false,
    );
}

// --- Refusals of the cluster ---

#[test]
fn a_refused_change_fails_the_order_and_is_taken_back_only_if_there_is_something_to_take_back() {
    let says = "the cluster refused the change: no";
    assert_fails(refused(&at_step(Step::BringUp, in_batches(3, AUTOMATIC)), "no"), says, true);
    let first = Order { template: None, ..at_step(Step::BringUp, in_batches(3, AUTOMATIC)) };
    assert_fails(refused(&first, "no"), says, false);
    assert_fails(refused(&way_back(Step::RollBack), "no"), says, false);
}

#[rstest]
#[case::aborted(State::Aborted, Step::PauseInPlace)]
#[case::superseded(State::Failed, Step::Done)]
fn an_order_that_ended_stays_as_it_ended_if_its_last_change_cannot_be_made(
    #[case] state: State,
    #[case] step: Step,
) {
    let order =
        Order { state, step, finalizing: true, ..at_step(Step::BringUp, in_batches(3, AUTOMATIC)) };
    for decision in [refused(&order, "no"), gone(&order)] {
        let ended = moved(decision);
        assert_eq!(
            (ended.state, ended.step, &ended.change, ended.roll_back),
            (state, Step::Done, &None, false)
        );
        assert_eq!(
            (ended.batches.len(), ended.message.as_str()),
            (0, ""),
            "what it ended of stands"
        );
    }
}

#[test]
fn a_version_is_made_of_the_one_before_and_a_way_back_is_exact() {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    let change = SpecChange { image: Some("shop/web:3".into()), ..SpecChange::default() };
    order.target.source = Source::Change(Box::new(change.clone()));
    let sent = patch(&moved(ask(&order, untouched(), at(SOON)))).template.unwrap();
    assert_eq!(sent, change.apply(&template("old"), "web", order.target.release.unwrap()));
    order.target.source = Source::Exact(template("other"));
    assert_eq!(patch(&moved(ask(&order, untouched(), at(SOON)))).template, Some(template("other")));
}
