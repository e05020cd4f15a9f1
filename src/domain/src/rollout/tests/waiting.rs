//! An order that rests between two batches while something happens to its Deployment.

use super::*;
use crate::{
    observed::{CreateFailure, Facts},
    rollout::{trouble_while_waiting, waiting, wakes},
};

/// A canary of three is done, and the next batch waits since second 100.
fn resting() -> Order {
    let mut order = at_step(Step::Paused, in_batches(3, Pace::Manual));
    order.batches[0].target = 3;
    order.batches[1].state = State::WaitingConfirmation;
    order.step_since = at(100);
    order
}

/// Three new pods beside seven old ones; these of the new are not Ready since second 200.
fn sick(numbers: &[usize]) -> DeploymentView {
    let mut view = shown(3, Some(at(50)), 7);
    view.settings.paused = true;
    let pods = &mut view.new.as_mut().unwrap().pods;
    for number in numbers {
        let pod = &mut pods[*number];
        (pod.ready_since, pod.unready_since) = (None, Some(at(200)));
        pod.created_at = Some(at(20));
    }
    view
}

fn trouble(order: &Order, view: DeploymentView, now: i64) -> Option<String> {
    let facts: Facts = Observation::Present(Box::new(view)).into();
    trouble_while_waiting(order, &facts, at(now))
}

#[track_caller]
fn assert_rests(decision: &Decision, until: Option<Timestamp>) {
    assert_eq!(*decision, Decision::Wait { until, rest: true });
}

#[test]
fn pods_that_stop_being_ready_are_told_and_fail_the_order_after_the_grace() {
    let order = resting();
    assert_eq!(trouble(&order, sick(&[]), 201), None);
    assert_rests(&ask(&order, sick(&[]), at(201)), None);
    let told = trouble(&order, sick(&[1]), 201).unwrap();
    assert_eq!(told, "2 of 3 new pods are Ready: pod new-1 is not Ready");
    let grace = order.target.failure_policy.grace_seconds;
    assert_rests(&ask(&order, sick(&[1]), at(201)), Some(at(200 + grace)));
    let failed = moved(ask(&order, sick(&[1]), at(200 + grace)));
    assert_eq!((failed.state, failed.step, failed.roll_back), (State::Failed, Step::Done, true));
    assert_eq!(failed.message, format!("while batch 2 waited: {told}"));
    assert!(failed.by_health, "what is seen must be of now");
    assert_eq!(batches(&failed), [(0, State::Failed, None), (1, State::Aborted, None)]);
}

#[test]
fn a_pod_in_the_place_of_another_has_as_long_as_a_batch_may_take() {
    let order = resting();
    let mut view = sick(&[2]);
    view.new.as_mut().unwrap().pods[2].created_at = Some(at(300));
    assert_rests(&ask(&order, view.clone(), at(400)), Some(at(300 + TIMEOUT)));
    assert_fails(ask(&order, view, at(300 + TIMEOUT)), "pod new-2 is not Ready", true);
}

#[test]
fn a_pod_that_began_anew_or_lost_its_node_has_that_time_too() {
    let order = resting();
    let mut view = sick(&[1]);
    view.new.as_mut().unwrap().pods[1].is_lost = true;
    assert_rests(&ask(&order, view, at(500)), Some(at(200 + TIMEOUT)));
    let mut view = sick(&[1]);
    let state = ContainerState::Running { since: Some(at(250)) };
    let (name, image) = ("web".into(), "shop/web:new".into());
    let web = ContainerView { name, image, is_init: false, state, last: None, restarts: 1 };
    view.new.as_mut().unwrap().pods[1].containers.push(web);
    assert_rests(&ask(&order, view, at(500)), Some(at(250 + TIMEOUT)));
}

#[test]
fn a_cause_that_will_not_go_away_is_a_failure_at_once() {
    let order = resting();
    let view = troubled(sick(&[0]));
    assert_fails(ask(&order, view, at(201)), "ErrImagePull", true);
}

#[test]
fn nothing_goes_on_while_new_pods_are_sick_whoever_confirms() {
    let mut order = resting();
    order.confirmed = 2;
    let until = Some(at(200 + order.target.failure_policy.grace_seconds));
    assert_rests(&ask(&order, sick(&[0]), at(201)), until);
    assert_eq!(moved(ask(&order, sick(&[]), at(201))).step, Step::CloseGate);
    let mut interval = Order { state: State::WaitingInterval, confirmed: 0, ..resting() };
    interval.strategy = in_batches(3, AUTOMATIC);
    assert_rests(&ask(&interval, sick(&[0]), at(201)), until);
}

#[test]
fn another_template_is_told_and_neither_released_nor_rolled_back() {
    let mut order = resting();
    order.confirmed = 2;
    let mut view = sick(&[]);
    view.template = template("theirs");
    view.other_manager = Some("kubectl-set".into());
    let told = trouble(&order, view.clone(), 201).unwrap();
    assert!(told.starts_with("kubectl-set changed the Deployment's pod template:"), "{told}");
    assert_rests(&ask(&order, view.clone(), at(201)), None);
    assert!(waiting::unwell(&order, &sick(&[]), at(201)).is_none());
    // Of an order that goes on it is another matter.
    order.step = Step::CloseGate;
    assert_eq!(trouble(&order, view.clone(), 201), None);
    assert!(moved(ask(&order, view, at(201))).message.contains("superseded by kubectl-set"));
}

#[test]
fn a_step_back_does_not_wait_for_sick_pods() {
    let mut order = resting();
    order.batch = 1;
    order.batches[1].target = 3;
    order.back_to = Some(1);
    assert!(
        matches!(ask(&order, sick(&[0]), at(900)), Decision::Transition(it) if it.state != State::Failed)
    );
}

#[test]
fn fewer_pods_than_the_batch_had_are_not_missed_where_the_deployment_became_smaller() {
    let mut view = sick(&[]);
    let set = view.new.as_mut().unwrap();
    set.desired = 2;
    set.pods.truncate(2);
    assert_eq!(trouble(&resting(), view.clone(), 201), None);
    view.new.as_mut().unwrap().desired = 3;
    let told = trouble(&resting(), view, 201).unwrap();
    assert_eq!(told, "2 of 3 new pods are Ready: the others are not there");
}

#[test]
fn an_order_is_woken_by_what_is_to_be_done_or_said_and_not_by_what_cannot_be_seen() {
    let mut order = resting();
    let facts = |view| Facts::from(Observation::Present(Box::new(view)));
    let unseen = Facts::from(Observation::Unknown);
    assert!(!wakes(&order, &facts(sick(&[])), at(201)));
    assert!(!wakes(&order, &unseen, at(201)));
    assert!(wakes(&order, &facts(sick(&[1])), at(201)), "it is not told yet");
    order.trouble = trouble(&order, sick(&[1]), 201).unwrap();
    assert!(!wakes(&order, &facts(sick(&[1])), at(201)));
    assert!(!wakes(&order, &unseen, at(201)), "nobody knows whether it has passed");
    assert!(wakes(&order, &facts(sick(&[])), at(201)), "it has passed");
    let grace = order.target.failure_policy.grace_seconds;
    assert!(wakes(&order, &facts(sick(&[1])), at(200 + grace)), "it has failed");
}

#[test]
fn pods_past_a_quota_are_told_while_they_are_missing_and_fail_nothing() {
    let full = "pods \"web-1\" is forbidden: exceeded quota: few";
    for is_new in [true, false] {
        let order = resting();
        let mut view = sick(&[]);
        view.replicas = 20;
        let set = if is_new { view.new.as_mut().unwrap() } else { &mut view.old[0] };
        set.create_failure = Some(CreateFailure { message: full.into(), since: Some(at(150)) });
        let there = view.new.iter().chain(&view.old).map(|set| set.pods.len()).sum::<usize>();
        let told = trouble(&order, view.clone(), 201).unwrap();
        assert!(
            told.starts_with(&format!("{there} of 20 pods are there: the ReplicaSet ")),
            "{told}"
        );
        assert!(told.ends_with(&format!("cannot create pods: {full}")), "{told}");
        assert_rests(&ask(&order, view.clone(), at(9_999)), None);
        view.replicas = i32::try_from(there).unwrap();
        assert_eq!(trouble(&order, view, 201), None, "all that are wanted are there");
    }
}
