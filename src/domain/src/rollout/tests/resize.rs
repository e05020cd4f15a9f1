//! Another number of pods, and nothing else: each step against what the cluster may show.

use rstest::rstest;

use super::*;
use crate::{observed::failure, order::intent::Borrow};

/// An order for `goal` pods of the ten, at `step`.
fn sized(goal: i32, step: Step) -> Order {
    let mut order = at_step(step, Strategy::ALL_AT_ONCE);
    order.kind = Kind::Scale;
    order.target.release = None;
    order.target.source = TemplateSource::Unchanged;
    (order.target.replicas, order.target.replicas_before) = (Some(goal), Some(PODS));
    order.template = (step != Step::Start).then(|| template("old"));
    order.batches[0].state = if step == Step::Start { State::Ready } else { State::Running };
    order
}

/// The Deployment once it was told to have `goal` pods, with `pods` of them, Ready
/// since `since`.
fn with_pods(goal: i32, pods: i32, since: Option<Timestamp>) -> DeploymentView {
    DeploymentView {
        replicas: goal,
        status_replicas: pods,
        status_updated: pods,
        new: Some(ReplicaSetView { desired: goal, ..set("old", pods, 5, since) }),
        ..untouched()
    }
}

/// The same, paused in the middle of a release, with pods of two versions.
fn half_way(goal: i32, new: i32, old: i32) -> DeploymentView {
    let settings = BorrowedSettings { paused: true, ..own() };
    DeploymentView { replicas: goal, settings, ..shown(new, Some(at(0)), old) }
}

/// The view with the pod at `index` unable to start, made at `created`.
fn failing(mut view: DeploymentView, index: usize, created: Timestamp) -> DeploymentView {
    let state =
        ContainerState::Waiting { reason: "ErrImagePull".into(), message: "not found".into() };
    let container = ContainerView {
        name: "web".into(),
        image: "shop/web:old".into(),
        is_init: false,
        state,
        last: None,
        restarts: 0,
    };
    let pod = &mut view.new.as_mut().unwrap().pods[index];
    (pod.ready_since, pod.created_at) = (None, Some(created));
    pod.containers.push(container);
    view
}

#[test]
fn one_write_sets_the_number_and_nothing_else() {
    let transition = moved(ask(&sized(4, Step::Start), untouched(), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Running, Step::Resize));
    assert_eq!(
        patch(&transition),
        Patch { replicas: Some(4), borrow: Borrow::Unchanged, ..written() }
    );
    assert_eq!(batches(&transition), [(0, State::Running, Some(4))]);
    assert_eq!(
        (transition.snapshot, transition.message.as_str()),
        (Some(snapshot()), "from 10 to 4 pods")
    );
}

#[test]
fn the_same_number_is_written_too_since_an_earlier_order_may_still_write_another() {
    assert_eq!(
        patch(&moved(ask(&sized(PODS, Step::Start), untouched(), at(SOON)))).replicas,
        Some(PODS)
    );
}

#[rstest]
#[case::grown(12)]
#[case::shrunk(4)]
#[case::nothing_left(0)]
fn it_is_done_once_exactly_so_many_pods_are_there_and_ready(#[case] goal: i32) {
    let transition =
        moved(ask(&sized(goal, Step::Resize), with_pods(goal, goal, Some(at(0))), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.effect.is_none(), transition.finalizes),
        (State::Succeeded, Step::Done, true, false)
    );
    assert_eq!(batches(&transition), [(0, State::Succeeded, None)]);
}

#[test]
fn pods_that_cannot_count_in_time_are_not_added() {
    let mut order = sized(12, Step::Start);
    order.target.batch_timeout_seconds = 5;
    let refusal = moved(ask(&order, untouched(), at(SOON)));
    assert_eq!((refusal.state, refusal.effect.is_none()), (State::Failed, true));
    assert_eq!(
        refusal.message,
        "the Deployment's minReadySeconds 5 s is not below the timeout of the order 5 s, so no order can be done in time"
    );
    // Where none is added there is nothing to wait for.
    let fewer = Order { target: Target { replicas: Some(4), ..order.target.clone() }, ..order };
    assert_eq!(moved(ask(&fewer, untouched(), at(SOON))).state, State::Running);
}

#[test]
fn a_number_that_comes_back_is_theirs_again_who_owned_it() {
    let owners = json!([{ "manager": "ci" }]);
    let mut order = sized(PODS, Step::Start);
    (order.kind, order.target.owners_before) = (Kind::Start, owners.clone());
    let back = patch(&moved(ask(&order, untouched(), at(SOON)))).give_back.unwrap();
    assert_eq!((back.fields, back.owners), (vec!["replicas".to_owned()], owners));
}

#[rstest]
#[case::too_few_there(with_pods(12, 11, Some(at(0))), None)]
#[case::not_ready(with_pods(12, 12, None), None)]
#[case::not_ready_for_long_enough(with_pods(12, 12, Some(at(6))), Some(11))]
#[case::a_status_that_still_counts_others(DeploymentView { status_replicas: 13, ..with_pods(12, 12, Some(at(0))) }, None)]
#[case::a_replica_set_that_was_not_told_yet(with_pods_of(12, 10, 12), None)]
#[case::a_surplus_of_pods(with_pods_of(12, 12, 13), None)]
fn until_then_it_waits(#[case] view: DeploymentView, #[case] until: Option<i64>) {
    assert_waits(
        &ask(&sized(12, Step::Resize), view, at(SOON)),
        Some(at(until.unwrap_or(TIMEOUT))),
    );
}

/// A ReplicaSet that is to have `desired` pods and has `pods`.
fn with_pods_of(goal: i32, desired: i32, pods: i32) -> DeploymentView {
    let mut view = with_pods(goal, pods, Some(at(0)));
    view.new.as_mut().unwrap().desired = desired;
    view
}

#[test]
fn a_pod_that_came_and_cannot_start_fails_it_at_once_and_nothing_is_taken_back() {
    let view = failing(with_pods(12, 12, Some(at(0))), 11, at(1));
    let transition = moved(ask(&sized(12, Step::Resize), view, at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.roll_back, transition.finalizes),
        (State::Failed, Step::Done, false, false)
    );
    assert!(
        transition.message.contains("pod old-11") && transition.message.contains("ErrImagePull"),
        "{}",
        transition.message
    );
    assert_eq!(transition.effect, None, "pods that run stay, and Kubernetes goes on trying");
}

#[test]
fn a_pod_that_was_there_before_and_is_in_trouble_is_named_at_the_deadline_only() {
    let view = failing(with_pods(12, 12, Some(at(0))), 3, at(-1000));
    let order = sized(12, Step::Resize);
    assert_waits(&ask(&order, view.clone(), at(SOON)), Some(at(TIMEOUT)));
    let transition = moved(ask(&order, view, at(TIMEOUT)));
    assert_eq!(transition.state, State::Failed);
    assert!(transition.message.contains("11 of 12 pods are Ready"), "{}", transition.message);
}

#[test]
fn a_pod_that_is_about_to_go_is_no_trouble() {
    let order = sized(4, Step::Resize);
    assert_waits(
        &ask(&order, failing(with_pods(4, 5, Some(at(0))), 4, at(1)), at(SOON)),
        Some(at(TIMEOUT)),
    );
}

#[test]
fn trouble_that_may_pass_has_its_grace() {
    let mut view = with_pods(12, 12, Some(at(0)));
    view.new.as_mut().unwrap().pods[11] = PodView {
        name: "late".into(),
        created_at: Some(at(2)),
        unschedulable: Some("no room".into()),
        ..PodView::default()
    };
    let order = sized(12, Step::Resize);
    assert_waits(&ask(&order, view.clone(), at(SOON)), Some(at(62)));
    let transition = moved(ask(&order, view, at(62)));
    assert!(
        transition.state == State::Failed && transition.message.contains("no room"),
        "{}",
        transition.message
    );
}

#[test]
fn another_hand_on_the_number_is_named_and_left_alone() {
    let view = DeploymentView {
        other_scaler: Some("horizontal-pod-autoscaler".into()),
        ..with_pods(7, 7, Some(at(0)))
    };
    let transition = moved(ask(&sized(12, Step::Resize), view, at(SOON)));
    assert_eq!((transition.state, &transition.effect), (State::Failed, &None));
    assert_eq!(
        transition.message,
        "overruled by horizontal-pod-autoscaler, who scaled the Deployment to 7 pods while it was to have 12"
    );
}

#[test]
fn another_hand_on_the_template_is_none_of_its_business() {
    let view = DeploymentView { template: template("foreign"), ..with_pods(12, 12, Some(at(0))) };
    assert_eq!(moved(ask(&sized(12, Step::Resize), view, at(SOON))).state, State::Succeeded);
}

#[test]
fn a_release_that_rests_half_way_keeps_its_versions_and_its_surge() {
    let order = sized(12, Step::Resize);
    assert_waits(&ask(&order, half_way(12, 3, 8), at(SOON)), Some(at(TIMEOUT)));
    for (new, old) in [(4, 8), (4, 9)] {
        assert_eq!(
            moved(ask(&order, half_way(12, new, old), at(SOON))).state,
            State::Succeeded,
            "{new} and {old}"
        );
    }
    let under_way = DeploymentView { settings: own(), ..half_way(12, 4, 9) };
    assert_waits(&ask(&order, under_way, at(SOON)), Some(at(TIMEOUT)));
}

#[test]
fn without_any_pod_means_that_none_is_on_its_way_out_either() {
    let leaving = DeploymentView { leaving: 2, ..with_pods(0, 0, None) };
    let order = Order { kind: Kind::Stop, ..sized(0, Step::Resize) };
    assert_waits(&ask(&order, leaving.clone(), at(SOON)), Some(at(TIMEOUT)));
    let transition = moved(ask(&order, leaving, at(TIMEOUT)));
    assert!(transition.message.contains("2 are left that should go"), "{}", transition.message);
    // Beside pods that stay, those that go serve no more and hold nothing up.
    let fewer = DeploymentView { leaving: 2, ..with_pods(4, 4, Some(at(0))) };
    assert_eq!(moved(ask(&sized(4, Step::Resize), fewer, at(SOON))).state, State::Succeeded);
}

#[test]
fn a_stop_ends_a_release_that_rests_half_way() {
    let before =
        DeploymentBefore { settings: BorrowedSettings { paused: false, ..own() }, ..snapshot() };
    let order = Order { kind: Kind::Stop, snapshot: Some(before), ..sized(0, Step::Start) };
    let transition = moved(ask(&order, half_way(PODS, 3, 7), at(SOON)));
    let patch = patch(&transition);
    assert_eq!(
        (patch.replicas, patch.template, patch.paused),
        (Some(0), Some(template("old")), Some(false))
    );
    assert_eq!(
        (patch.strategy, patch.min_ready_seconds, patch.borrow),
        (Some(own().strategy), Some(5), Borrow::Returned)
    );
    // Taken back, it is the number alone again.
    let back = Order {
        kind: Kind::Rollback,
        target: Target { replicas: Some(PODS), ..order.target.clone() },
        ..order
    };
    assert_eq!(
        super::patch(&moved(ask(&back, with_pods(0, 0, None), at(SOON)))),
        Patch { replicas: Some(PODS), ..written() }
    );
}

#[test]
fn aborted_it_leaves_nothing_to_bring_to_rest() {
    let order = sized(12, Step::Resize);
    assert!(!order.rests_on_abort() && !order.can_step_back());
    let aborted = Order { state: State::Aborted, step: Step::Done, ..order };
    assert_eq!(
        ask(&aborted, with_pods(12, 11, None), at(SOON)),
        Decision::Wait { until: None, rest: true }
    );
}

#[test]
fn taken_back_it_brings_the_number_of_before_and_leaves_the_template() {
    let mut back = sized(PODS, Step::Start);
    (back.kind, back.rolls_back, back.snapshot) =
        (Kind::Rollback, Some(OrderId::new()), Some(snapshot()));
    let transition = moved(ask(&back, with_pods(4, 4, Some(at(0))), at(SOON)));
    assert_eq!(
        (transition.step, patch(&transition)),
        (Step::Resize, Patch { replicas: Some(PODS), ..written() })
    );
    (back.step, back.state) = (Step::Resize, State::Running);
    assert_eq!(
        moved(ask(&back, with_pods(PODS, PODS, Some(at(0))), at(SOON))).state,
        State::Succeeded
    );
    back.snapshot = None;
    back.step = Step::Start;
    assert_eq!(
        moved(ask(&back, untouched(), at(SOON))).effect,
        None,
        "an order that had not begun changed nothing"
    );
}

#[test]
fn only_pods_since_the_order_began_are_its_own() {
    let order = sized(12, Step::Resize);
    let made = |seconds| PodView { created_at: Some(at(seconds)), ..PodView::default() };
    assert!(
        failure::is_since(made(0).created_at, order.created_at)
            && !failure::is_since(made(-1).created_at, order.created_at)
    );
    assert!(
        crate::rollout::brought(&order, &made(0)) && !crate::rollout::brought(&order, &made(-1))
    );
    assert!(
        crate::rollout::brought(&at_step(Step::BringUp, Strategy::ALL_AT_ONCE), &made(-1)),
        "a release knows its pods by their version"
    );
}

#[rstest]
#[case(Observation::Absent, "does not exist")]
fn without_a_deployment_it_fails(#[case] observation: Observation, #[case] says: &str) {
    let transition = moved(decide(&sized(4, Step::Start), &observation.clone().into(), at(SOON)));
    assert!(
        transition.state == State::Failed && transition.message.contains(says),
        "{}",
        transition.message
    );
}
