//! Another number of pods between the decision for a first batch and its write.

use super::*;
use crate::rollout::changed_meanwhile;

/// The share that is beyond the number of pods.
fn surge(transition: &Transition) -> Value {
    patch(transition).strategy.unwrap()["rollingUpdate"]["maxSurge"].clone()
}

/// A canary of one of ten pods that was decided, and not made.
fn decided() -> Order {
    let strategy = Strategy { canary: 1, ..in_batches(2, AUTOMATIC) };
    let mut order = accepted(Kind::Deploy, strategy, PODS);
    let first = moved(ask(&order, untouched(), at(SOON)));
    assert_eq!(surge(&first), "10%");
    assert!(patch(&first).is_planned_for(PODS) && !patch(&first).is_planned_for(15));
    (order.state, order.step, order.snapshot) = (first.state, first.step, first.snapshot.clone());
    order.hands = first.hands.clone().unwrap();
    order.intent = Some(Intent { effect: first.effect.unwrap(), applied: None });
    order
}

fn with_15() -> DeploymentView {
    DeploymentView { replicas: 15, ..untouched() }
}

#[test]
fn a_canary_that_was_not_made_is_planned_anew_for_another_number_of_pods() {
    let anew = moved(changed_meanwhile(&decided(), &with_15(), at(SOON)));
    // A tenth would be two of them.
    assert_eq!((anew.step, surge(&anew)), (Step::BringUp, json!("6%")));
    assert_eq!(batches(&anew), [(0, State::Running, Some(1))]);
    assert_eq!(anew.snapshot, Some(DeploymentBefore { replicas: 15, ..snapshot() }));
    assert!(patch(&anew).template.is_some() && patch(&anew).is_planned_for(15));
}

#[test]
fn a_canary_on_top_of_a_release_that_rests_is_planned_for_the_pods_that_there_are() {
    let strategy = Strategy { canary: 1, ..in_batches(2, AUTOMATIC) };
    let resting = DeploymentBefore { replicas: 4, ..snapshot() };
    let order = Order { snapshot: Some(resting), ..accepted(Kind::Deploy, strategy, PODS) };
    let mut view = with_15();
    (view.settings.paused, view.settings.strategy) = (true, rolling(1, 0));
    let first = moved(ask(&order, view, at(SOON)));
    assert_eq!(batches(&first), [(0, State::Running, Some(1))]);
    assert_eq!(first.snapshot, Some(DeploymentBefore { replicas: 15, ..snapshot() }));
}

#[test]
fn a_canary_that_was_made_and_not_answered_is_made_once_more() {
    let order = decided();
    let mut view = with_15();
    let made = |effect: &Effect| match effect {
        Effect::Deployment(Change::Patch(patch)) => patch.clone(),
        other => panic!("{other:?}"),
    };
    let before = made(&order.intent.as_ref().unwrap().effect);
    view.written_by = Some(order.id);
    view.template = template("new");
    view.settings.strategy = before.strategy.clone().unwrap();
    view.settings.min_ready_seconds = GATE_SECONDS;
    view.settings.progress_deadline_seconds = crate::order::intent::NO_DEADLINE_SECONDS;
    let again = moved(changed_meanwhile(&order, &view, at(SOON)));
    assert_eq!((again.step, again.snapshot.is_none()), (Step::BringUp, true));
    assert_eq!(patch(&again).strategy, before.strategy);
    assert!(patch(&again).is_planned_for(15));
}

#[test]
fn who_brings_a_number_of_pods_stands_on_no_other() {
    let mut order = accepted(Kind::Deploy, in_batches(2, AUTOMATIC), PODS);
    order.target.replicas = Some(4);
    assert!(patch(&moved(ask(&order, untouched(), at(SOON)))).is_planned_for(15));
    let whole = accepted(Kind::Deploy, Strategy::ALL_AT_ONCE, PODS);
    assert!(patch(&moved(ask(&whole, untouched(), at(SOON)))).is_planned_for(15));
}
