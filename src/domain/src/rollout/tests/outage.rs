//! Time in which nothing can be seen or written, and the end of it.

use jiff::SignedDuration;
use rstest::rstest;

use super::*;
use crate::{
    order::outage::{Obstacle, Outage},
    rollout::{UNANSWERED_SECONDS, left_alone, outage},
};

fn outage_of(obstacle: Obstacle) -> Outage {
    Outage {
        obstacle,
        what: "the change cannot be made",
        why: "a webhook is down".into(),
        since: at(SOON),
    }
}

/// An order that stands at `step`, with its newest change still to be made.
fn unmade(kind: Kind, step: Step) -> Order {
    let mut order = accepted(kind, in_batches(2, AUTOMATIC), PODS);
    (order.state, order.step, order.snapshot) = (State::Running, step, Some(snapshot()));
    let effect = Change::Patch(Patch::default()).into();
    order.intent = Some(Intent { effect, applied: None });
    order
}

fn ended(decision: Decision) -> Transition {
    match decision {
        Decision::Transition(transition) => *transition,
        wait @ Decision::Wait { .. } => panic!("{wait:?}"),
    }
}

#[rstest]
#[case(Obstacle::Denied, FailurePolicy::default().grace_seconds)]
#[case(Obstacle::Failing, TIMEOUT)]
#[case(Obstacle::Unanswered, UNANSWERED_SECONDS)]
fn an_order_that_cannot_go_on_is_tried_again_until_its_time_is_over_and_fails_by_name(
    #[case] obstacle: Obstacle,
    #[case] seconds: i64,
) {
    let order = unmade(Kind::Deploy, Step::BringUp);
    let told = outage_of(obstacle);
    let waits = Decision::Wait { until: Some(at(SOON + seconds)), rest: false };
    assert_eq!(outage(&order, &told, at(SOON + seconds - 1)), waits);
    let end = ended(outage(&order, &told, at(SOON + seconds)));
    assert_eq!((end.state, end.step, end.roll_back), (State::Failed, Step::Done, true));
    let says = format!("for {seconds} s: the change cannot be made: a webhook is down");
    assert!(end.message.contains(&says), "{}", end.message);
}

#[test]
fn an_order_that_waits_for_a_person_waits_for_the_cluster_too() {
    let mut order = unmade(Kind::Deploy, Step::Paused);
    let told = outage_of(Obstacle::Denied);
    // The write that brings it to rest is one like any other.
    assert_eq!(ended(outage(&order, &told, at(1_000_000))).state, State::Failed);
    order.intent.as_mut().unwrap().applied =
        Some(Applied { deployment: APPLIED, replica_set: None });
    let waits = Decision::Wait { until: None, rest: false };
    assert_eq!(outage(&order, &told, at(1_000_000)), waits);
    // One that ended, and is brought to rest, has all the time.
    (order.step, order.state, order.finalizing) = (Step::PauseInPlace, State::Aborted, true);
    assert_eq!(outage(&order, &told, at(1_000_000)), waits);
}

#[test]
fn a_way_back_has_a_batchs_time_for_a_right_that_is_missing_and_is_made_after_its_end() {
    let mut order = unmade(Kind::Rollback, Step::RollBack);
    let told = outage_of(Obstacle::Denied);
    let until = at(SOON + TIMEOUT);
    assert_eq!(
        outage(&order, &told, at(SOON + TIMEOUT - 1)),
        Decision::Wait { until: Some(until), rest: false }
    );
    let end = ended(outage(&order, &told, until));
    assert_eq!((end.state, end.step, end.finalizes), (State::Failed, Step::RollBack, true));
    (order.state, order.finalizing) = (end.state, true);
    assert!(order.is_owed() && order.has_change_to_make());
    // Once it was made, its pods are waited for, and the settings come back last.
    order.intent.as_mut().unwrap().applied =
        Some(Applied { deployment: APPLIED, replica_set: None });
    let decide_on = |view: DeploymentView, now| {
        decide(&order, &Observation::Present(Box::new(view)).into(), now)
    };
    let mut half = DeploymentView { replicas: PODS, observed: true, ..DeploymentView::default() };
    half.resource_version = APPLIED;
    half.settings = own();
    assert!(matches!(decide_on(half.clone(), at(SOON)), Decision::Wait { until: Some(_), .. }));
    let last = ended(decide_on(half, at(TIMEOUT + 1)));
    assert_eq!((last.state, last.step), (State::Failed, Step::Done));
    let Some(Effect::Deployment(Change::Patch(patch))) = last.effect else { panic!("no patch") };
    assert_eq!(patch.strategy, Some(own().strategy));
    assert!(last.message.contains("was brought back later"));
}

#[test]
fn time_in_which_nothing_could_be_seen_or_written_does_not_count_against_pods() {
    let mut order = unmade(Kind::Deploy, Step::BringUp);
    order.batches[0].started_at = Some(at(0));
    order.outages.over = SignedDuration::from_secs(45);
    order.intent.as_mut().unwrap().applied =
        Some(Applied { deployment: APPLIED, replica_set: None });
    order.template = Some(template("new"));
    let view = DeploymentView {
        replicas: PODS,
        resource_version: APPLIED,
        observed: true,
        template: template("new"),
        settings: own(),
        ..DeploymentView::default()
    };
    let facts = Observation::Present(Box::new(view)).into();
    let waits = |now| matches!(decide(&order, &facts, now), Decision::Wait { .. });
    assert!(waits(at(TIMEOUT)) && waits(at(TIMEOUT + 44)));
    let end = ended(decide(&order, &facts, at(TIMEOUT + 45)));
    assert_eq!(end.state, State::Failed);
}

#[test]
fn a_deployment_that_somebody_else_releases_is_left_alone() {
    let end = ended(left_alone(&unmade(Kind::Deploy, Step::BringUp), "it is another one's"));
    assert_eq!((end.state, end.step), (State::Failed, Step::Done));
    assert!(end.effect.is_none() && !end.roll_back && !end.finalizes);
}
