//! A release that goes on, step by step: what each step waits for, and the
//! exact numbers of the change with which it goes on.
//!
//! How an order begins is in `begin`; what stops a release is in `failing`.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::rollout::changed_meanwhile;
use crate::{
    order::intent::{Borrow, NO_DEADLINE_SECONDS},
    template::{graceful_start::GracefulStartChange, spec::SpecChange},
};

/// A release with a graceful start that wants so many seconds of warm-up.
fn warming(strategy: Strategy, seconds: i32) -> Order {
    let mut order = at_step(Step::Start, strategy);
    let graceful_start = GracefulStartChange {
        on: Some(true),
        warm_up_seconds: Some(seconds),
        ..GracefulStartChange::default()
    };
    order.target.source =
        TemplateSource::Change(Box::new(SpecChange { graceful_start, ..SpecChange::default() }));
    order
}

#[rstest]
#[case::less_than_the_users_own(3, 5, 600)]
#[case::more(60, 60, i32::MAX)]
#[case::more_than_the_users_deadline(3600, 3600, i32::MAX)]
fn all_at_once_old_pods_stay_until_the_new_ones_are_warm(
    #[case] warm_up: i32,
    #[case] min_ready: i32,
    #[case] progress: i32,
) {
    let mut order = warming(Strategy::ALL_AT_ONCE, warm_up);
    order.target.batch_timeout_seconds = 100_000;
    let patch = patch(&moved(ask(&order, untouched(), at(SOON))));
    assert_eq!(
        (patch.min_ready_seconds, patch.progress_deadline_seconds),
        (Some(min_ready), Some(progress))
    );
}

#[test]
fn a_warm_up_is_waited_for_by_releases_and_by_nothing_else() {
    let mut order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    order.target.source = warming(order.strategy, 40).target.source;
    assert_waits(&ask(&order, shown(3, Some(at(6)), 10), at(SOON)), Some(at(46)));
    assert_eq!(moved(ask(&order, shown(3, Some(at(6)), 10), at(46))).step, Step::BringUp);
    // A version that has the rule is restarted in the same way.
    let ruled = order.target.source.clone();
    let TemplateSource::Change(change) = ruled else { panic!("it was made a change") };
    let template = change.apply(&template("old"), "web", ReleaseId::new());
    (order.kind, order.target.source) = (Kind::Restart, TemplateSource::Renewed("now".into()));
    order.snapshot = Some(DeploymentBefore { template: template.clone(), ..snapshot() });
    assert_waits(&ask(&order, shown(3, Some(at(6)), 10), at(SOON)), Some(at(46)));
    // A first version has no old pods that could stay.
    let mut first = accepted(Kind::Create, Strategy::ALL_AT_ONCE, 3);
    first.target.source = TemplateSource::Exact(template);
    assert_eq!(super::super::warm_up_seconds(&first, first.snapshot.as_ref()), 0);
}

// --- BringUp ---

#[test]
fn a_batch_waits_until_its_pods_were_ready_for_long_enough() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    // Not created, not Ready, Ready for 4 of 5 s: the last says when to look again.
    assert_waits(&ask(&order, shown(0, None, 10), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(3, None, 10), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(3, Some(at(6)), 10), at(SOON)), Some(at(11)));
    assert_eq!(moved(ask(&order, shown(3, Some(at(6)), 10), at(11))).step, Step::BringUp);
    let longer =
        Order { target: Target { min_ready_seconds: Some(30), ..order.target.clone() }, ..order };
    assert_waits(&ask(&longer, shown(3, Some(at(6)), 10), at(11)), Some(at(36)));
}

#[test]
fn pods_that_were_there_are_not_enough_while_the_replica_set_wants_fewer() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    let mut view = shown(3, Some(at(0)), 10);
    view.new.as_mut().unwrap().desired = 2;
    assert_waits(&ask(&order, view, at(SOON)), Some(at(TIMEOUT)));
}

#[test]
fn an_automatic_batch_follows_at_once_in_one_write() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    let transition = moved(ask(&order, shown(3, Some(at(0)), 10), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.batch),
        (State::Running, Step::BringUp, 1)
    );
    assert_eq!(numbers(&transition), (json!(3), json!(3), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&transition), [(1, State::Running, Some(6)), (0, State::Succeeded, None)]);
    let patch = patch(&transition);
    assert_eq!(
        (patch.template, patch.borrow, transition.snapshot),
        (None, Borrow::Unchanged, None),
        "only the first write brings these"
    );

    let mut second = order;
    (second.batch, second.batches[1].started_at) = (1, Some(at(SOON)));
    let transition = moved(ask(&second, shown(6, Some(at(0)), 7), at(SOON)));
    assert_eq!(
        (transition.batch, numbers(&transition)),
        (2, (json!(4), json!(6), Some(false), Some(GATE_SECONDS)))
    );
}

#[rstest]
#[case::a_person(in_batches(3, Pace::Manual), 3)]
#[case::an_interval(in_batches(3, Pace::Automatic { wait_minutes: 2 }), 3)]
#[case::a_canary(Strategy { canary: 1, batches: 3, pace: AUTOMATIC }, 1)]
fn before_a_wait_the_replaced_pods_go(#[case] strategy: Strategy, #[case] goal: i32) {
    let transition =
        moved(ask(&at_step(Step::BringUp, strategy), shown(goal, Some(at(0)), 10), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.batch),
        (State::Running, Step::ScaleDownOld, 0)
    );
    assert_eq!(numbers(&transition), (json!(0), json!(goal), None, None));
    assert_eq!(batches(&transition), [(0, State::Succeeded, None)]);
}

#[test]
fn after_the_last_batch_the_users_settings_come_back() {
    let mut order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    (order.batch, order.batches[2].started_at) = (2, Some(at(0)));
    let transition = moved(ask(&order, shown(10, Some(at(0)), 4), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Running, Step::RestoreSettings));
    let patch = patch(&transition);
    assert_eq!(
        (patch.strategy, patch.min_ready_seconds, patch.progress_deadline_seconds),
        (Some(own().strategy), Some(5), Some(600))
    );
    assert_eq!((patch.paused, patch.borrow), (Some(false), Borrow::Returned));
}

#[test]
fn all_at_once_also_waits_for_the_old_pods_to_go() {
    let order = at_step(Step::BringUp, Strategy::ALL_AT_ONCE);
    assert_waits(&ask(&order, shown(10, Some(at(0)), 1), at(SOON)), Some(at(TIMEOUT)));
    let mut behind = shown(10, Some(at(0)), 0);
    behind.status_replicas = 11;
    assert_waits(&ask(&order, behind, at(SOON)), Some(at(TIMEOUT)));
    assert_eq!(moved(ask(&order, shown(10, Some(at(0)), 0), at(SOON))).step, Step::RestoreSettings);
}

#[test]
fn a_batch_is_the_same_share_of_another_number_of_pods() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    let mut view = shown(3, Some(at(0)), 10);
    view.replicas = 20;
    let transition = moved(ask(&order, view, at(SOON)));
    assert_eq!(
        (transition.step, transition.batch, transition.message.as_str()),
        (Step::BringUp, 0, "the Deployment was scaled to 20 pods")
    );
    assert_eq!(numbers_of(&transition, 20), (json!(6), json!(0), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&transition), [(0, State::Running, Some(6))]);
}

#[test]
fn batches_for_which_no_pod_is_left_are_passed_over() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    let mut view = shown(1, Some(at(0)), 0);
    view.replicas = 1;
    let transition = moved(ask(&order, view, at(SOON)));
    assert_eq!((transition.step, transition.batch), (Step::BringUp, 2));
    assert_eq!(
        numbers_of(&transition, 1),
        (json!(1), json!(0), Some(false), Some(GATE_SECONDS)),
        "both at 0 would take the last old pod"
    );
    assert_eq!(
        batches(&transition),
        [
            (0, State::Succeeded, Some(0)),
            (1, State::Succeeded, Some(0)),
            (2, State::Running, Some(1))
        ]
    );
}

// --- ScaleDownOld ---

#[test]
fn the_release_rests_once_the_replaced_pods_are_gone() {
    let order = at_step(Step::ScaleDownOld, in_batches(3, Pace::Manual));
    assert_waits(&ask(&order, shown(3, Some(at(0)), 8), at(SOON)), Some(at(TIMEOUT)));
    let mut on_their_way = shown(3, Some(at(0)), 7);
    on_their_way.status_replicas = 11;
    assert_waits(&ask(&order, on_their_way, at(SOON)), Some(at(TIMEOUT)));
    let transition = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::WaitingConfirmation, Step::Paused));
    assert_eq!(
        numbers(&transition),
        (json!(0), json!(1), Some(true), Some(5)),
        "a normal paused Deployment"
    );
    assert_eq!(patch(&transition).progress_deadline_seconds, Some(600));
    assert_eq!(batches(&transition), [(1, State::WaitingConfirmation, None)]);
    assert_eq!(transition.message, "batch 2 waits for confirmation");
}

#[test]
fn an_interval_is_named_as_such() {
    let order = at_step(Step::ScaleDownOld, in_batches(3, Pace::Automatic { wait_minutes: 2 }));
    let transition = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!(
        (transition.state, transition.message.as_str()),
        (State::WaitingInterval, "batch 2 begins in 2 min")
    );
}

#[test]
fn another_number_of_pods_while_the_old_ones_go_is_another_share() {
    let order = at_step(Step::ScaleDownOld, in_batches(3, Pace::Manual));
    let mut view = shown(3, Some(at(0)), 10);
    view.replicas = 20;
    let transition = moved(ask(&order, view, at(SOON)));
    assert_eq!(
        (transition.step, numbers_of(&transition, 20)),
        (Step::ScaleDownOld, (json!(0), json!(6), None, None))
    );
    assert_eq!(batches(&transition), [(0, State::Succeeded, Some(6))]);
}

#[test]
fn a_share_of_no_pods_is_never_written_since_kubernetes_refuses_it() {
    let order = at_step(Step::ScaleDownOld, in_batches(3, Pace::Manual));
    let mut view = shown(1, Some(at(0)), 1);
    view.replicas = 2;
    let rests = moved(ask(&order, view, at(SOON)));
    assert_eq!(
        (rests.step, patch(&rests).paused),
        (Step::Paused, Some(true)),
        "of so few pods Kubernetes would let one go at once"
    );
    let succeeded = (0, State::Succeeded, Some(0));
    assert!(batches(&rests).contains(&succeeded), "{:?}", rests.batches);
}

/// The Deployment was scaled down in the middle, and Kubernetes left one new pod too many.
#[test]
fn a_new_pod_too_many_is_taken_back_before_the_order_rests() {
    let mut order = at_step(Step::ScaleDownOld, in_batches(3, Pace::Manual));
    order.batches[0].target = 3;
    let back = moved(ask(&order, shown(4, Some(at(0)), 7), at(SOON)));
    assert_eq!(back.step, Step::ScaleDownOld);
    let Some(Effect::ReplicaSet(size)) = back.effect else { panic!("{back:?}") };
    assert_eq!((size.replicas, size.part_of), (3, Some(10)));
    assert_eq!(moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON))).step, Step::Paused);
}

/// Written down, and not made yet, when a pod of the batch is lost.
#[test]
fn no_old_pod_goes_for_one_that_is_not_ready_any_more() {
    let mut order = at_step(Step::BringUp, in_batches(3, Pace::Manual));
    let down = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!((down.step, patch(&down).ready), (Step::ScaleDownOld, Some(3)));
    (order.step, order.hands) = (down.step, down.hands.unwrap_or_default());
    order.intent = Some(Intent { effect: down.effect.unwrap(), applied: None });
    let mut view = shown(3, Some(at(0)), 7);
    view.new.as_mut().unwrap().pods.pop();
    let up = moved(changed_meanwhile(&order, &view, at(SOON)));
    assert_eq!((up.state, up.step, up.batch), (State::Running, Step::BringUp, 0));
    assert_eq!(batches(&up), [(0, State::Running, Some(3))]);
    assert!(up.message.contains("not Ready any more"), "{}", up.message);
    // It was made, and its answer was lost: then old pods went, and more new ones would come.
    view.settings.strategy = rolling(0, "30%");
    let again = moved(changed_meanwhile(&order, &view, at(SOON)));
    assert_eq!((again.step, patch(&again).ready), (Step::ScaleDownOld, None));
}

/// Kubernetes shared another number between both versions as they stood: three of eight new
/// ones were planned to be five of eleven by now.
#[test]
fn no_old_pod_goes_for_one_that_was_planned_and_is_not_there() {
    let begins = |new: i32, ready: i32, old: i32| {
        let mut order = at_step(Step::CloseGate, in_batches(2, Pace::Manual));
        order.confirmed = 2;
        let mut view = shown(new, Some(at(0)), old);
        view.replicas = 11;
        view.settings.paused = true;
        for pod in view.new.iter_mut().flat_map(|set| set.pods.iter_mut().skip(ready as usize)) {
            pod.ready_since = None;
        }
        let up = moved(ask(&order, view, at(SOON)));
        assert_eq!((up.step, up.batch), (Step::BringUp, 1));
        let (surge, unavailable, ..) = numbers_of(&up, 11);
        (surge, unavailable)
    };
    assert_eq!(begins(5, 5, 6), (json!(6), json!(5)));
    assert_eq!(begins(3, 3, 8), (json!(8), json!(3)), "as many as there are");
    assert_eq!(begins(5, 4, 7), (json!(7), json!(4)), "one of them is not Ready");
    assert_eq!(begins(5, 4, 6), (json!(6), json!(5)), "the old one is gone already");
}

// --- Paused and CloseGate ---

#[test]
fn a_release_rests_until_a_person_confirms_the_batch() {
    let mut order = at_step(Step::Paused, in_batches(3, Pace::Manual));
    let view = || shown(3, Some(at(0)), 7);
    assert_eq!(ask(&order, view(), at(1_000_000)), Decision::Wait { until: None, rest: true });
    order.confirmed = 2;
    let transition = moved(ask(&order, view(), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.batch),
        (State::Running, Step::CloseGate, 0)
    );
    assert_eq!(
        numbers(&transition),
        (Value::Null, Value::Null, None, Some(GATE_SECONDS)),
        "the gate closes before anything else moves"
    );
    assert_eq!(patch(&transition).progress_deadline_seconds, Some(NO_DEADLINE_SECONDS));
    assert_eq!(batches(&transition), [(1, State::Ready, None)]);
}

#[test]
fn a_release_rests_until_the_interval_is_over_or_a_person_cuts_it_short() {
    let mut order = at_step(Step::Paused, in_batches(3, Pace::Automatic { wait_minutes: 2 }));
    let view = || shown(3, Some(at(0)), 7);
    assert_eq!(ask(&order, view(), at(119)), Decision::Wait { until: Some(at(120)), rest: true });
    assert_eq!(moved(ask(&order, view(), at(120))).step, Step::CloseGate);
    order.confirmed = 2;
    assert_eq!(moved(ask(&order, view(), at(SOON))).step, Step::CloseGate);
}

#[test]
fn a_rest_is_no_rest_before_its_change_has_taken_effect() {
    let order = at_step(Step::Paused, in_batches(3, Pace::Manual));
    let mut unseen = shown(3, Some(at(0)), 7);
    unseen.observed = false;
    assert_waits(&ask(&order, unseen, at(1_000_000)), None);
}

#[rstest]
#[case::still_available(GATE_SECONDS, 1, true)]
#[case::gate_not_there_yet(5, 0, true)]
#[case::not_observed(GATE_SECONDS, 0, false)]
fn the_next_batch_waits_until_no_new_pod_counts_as_available(
    #[case] min_ready_seconds: i32,
    #[case] available: i32,
    #[case] observed: bool,
) {
    let order = at_step(Step::CloseGate, in_batches(3, Pace::Manual));
    let mut view = shown(3, Some(at(0)), 7);
    let set = view.new.as_mut().unwrap();
    (set.min_ready_seconds, set.available, set.observed) = (min_ready_seconds, available, observed);
    assert_waits(&ask(&order, view, at(SOON)), Some(at(TIMEOUT)));
}

#[test]
fn the_next_batch_begins_behind_a_closed_gate() {
    let order = at_step(Step::CloseGate, in_batches(3, Pace::Manual));
    let transition = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.batch),
        (State::Running, Step::BringUp, 1)
    );
    assert_eq!(numbers(&transition), (json!(3), json!(3), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&transition), [(1, State::Running, Some(6))]);
}

// --- RestoreSettings, Done ---

#[test]
fn an_order_ends_well_once_only_new_pods_are_there_and_ready() {
    let order = at_step(Step::RestoreSettings, in_batches(3, AUTOMATIC));
    assert_waits(&ask(&order, shown(10, Some(at(0)), 1), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(10, Some(at(6)), 0), at(SOON)), Some(at(11)));
    let mut behind = shown(10, Some(at(0)), 0);
    behind.status_updated = 9;
    assert_waits(&ask(&order, behind, at(SOON)), Some(at(TIMEOUT)));
    let transition = moved(ask(&order, shown(10, Some(at(0)), 0), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, &transition.effect, transition.roll_back),
        (State::Succeeded, Step::Done, &None, false)
    );
    assert_eq!(batches(&transition), [(2, State::Succeeded, None)]);
}

#[rstest]
#[case(State::Succeeded)]
#[case(State::Failed)]
#[case(State::Aborted)]
#[case(State::SystemFailed)]
fn nothing_follows_the_end(#[case] state: State) {
    let order = Order { state, ..at_step(Step::Done, in_batches(3, AUTOMATIC)) };
    for observation in
        [Observation::Unknown, Observation::Absent, Observation::Present(Box::new(untouched()))]
    {
        assert_eq!(
            decide(&order, &observation.clone().into(), at(1_000_000)),
            Decision::Wait { until: None, rest: true }
        );
    }
}

/// The size of a ReplicaSet is no part of the Deployment, and has a version of its own.
#[test]
fn nothing_is_concluded_from_a_view_older_than_the_size_that_was_written() {
    let mut order = at_step(Step::RestoreOld, in_batches(3, Pace::Manual));
    let written = SizeChange {
        name: "old".into(),
        uid: "old".into(),
        replicas: PODS - 3,
        part_of: None,
        min_ready_seconds: None,
    };
    order.intent = Some(Intent {
        effect: written.into(),
        applied: Some(Applied { deployment: APPLIED, replica_set: Some(APPLIED + 1) }),
    });
    let mut view = shown(3, Some(at(6)), PODS - 3);
    assert!(matches!(ask(&order, view.clone(), at(SOON)), Decision::Wait { rest: false, .. }));
    view.old[0].resource_version = APPLIED + 1;
    assert_eq!(moved(ask(&order, view, at(SOON))).step, Step::RemoveNew);
}
