//! Time in which nothing can be seen or written, and the end of it.

use jiff::SignedDuration;
use rstest::rstest;

use super::*;
use crate::{
    order::{
        intent::Borrow,
        outage::{Met, Obstacle, Outage},
    },
    rollout::{self, UNANSWERED_SECONDS, left_alone},
};

fn outage_of(obstacle: Obstacle) -> Outage {
    Outage {
        met: Met { obstacle, since: at(SOON), any_since: at(SOON) },
        what: "the change cannot be made",
        why: "a webhook is down".into(),
    }
}

/// What follows while nothing is seen of the Deployment.
fn outage(order: &Order, told: &Outage, now: Timestamp) -> Decision {
    rollout::outage(order, told, &Observation::Unknown, now)
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
fn an_order_that_somebody_paused_waits_for_the_cluster_too_until_a_person_lets_it_go_on() {
    let mut order = at_step(Step::BringUp, in_batches(2, AUTOMATIC));
    order.hands.paused_by = Some("kubectl-rollout".into());
    let told = outage_of(Obstacle::Denied);
    let waits = Decision::Wait { until: None, rest: false };
    assert_eq!(outage(&order, &told, at(1_000_000)), waits);
    order.goes_on = true;
    assert_eq!(ended(outage(&order, &told, at(1_000_000))).state, State::Failed);
    // As the time counts that it lasts from then on, there is some left.
    let told = Outage { met: told.met.anew(at(1_000_000)), ..told };
    let until = at(1_000_000 + FailurePolicy::default().grace_seconds);
    let decision = outage(&order, &told, at(1_000_000));
    assert_eq!(decision, Decision::Wait { until: Some(until), rest: false });
}

#[test]
fn an_obstacle_of_another_kind_has_its_own_time_and_turns_of_them_have_the_longest() {
    let order = unmade(Kind::Deploy, Step::BringUp);
    let denied = outage_of(Obstacle::Denied);
    let late = at(SOON + 50);
    let unanswered = Outage { met: denied.met.then(Obstacle::Unanswered, late), ..denied.clone() };
    assert_eq!(denied.met.then(Obstacle::Denied, late), denied.met);
    let again = Outage { met: unanswered.met.then(Obstacle::Denied, at(SOON + 55)), ..denied };
    let until = |seconds| Decision::Wait { until: Some(at(seconds)), rest: false };
    let grace = FailurePolicy::default().grace_seconds;
    assert_eq!(outage(&order, &again, at(SOON + 100)), until(SOON + 55 + grace));
    let longest = SOON + UNANSWERED_SECONDS;
    assert_eq!(outage(&order, &unanswered, at(longest - 1)), until(longest));
    assert!(ended(outage(&order, &unanswered, at(longest))).message.contains("for 1800 s"));
}

#[test]
fn time_in_which_no_program_looked_makes_no_obstacle_older() {
    let seen = SignedDuration::from_secs(20);
    let clock = OutageClock {
        over: SignedDuration::ZERO,
        since: Some(at(0)),
        obstacle: Some((Obstacle::Denied, seen)),
    };
    let now = at(100_000);
    assert_eq!(clock.meet(Obstacle::Denied, now).lasts(now), seen);
    assert_eq!(clock.meet(Obstacle::Unanswered, now).lasts(now), SignedDuration::ZERO);
    assert_eq!(OutageClock::default().meet(Obstacle::Denied, now).since, now);
    // It does not count against pods all the same.
    let over = OutageClock { over: SignedDuration::from_secs(100_000), ..OutageClock::default() };
    assert_eq!((clock.ended(now), over.ended(now)), (over, over));
}

#[rstest]
#[case::nothing_is_there(Obstacle::Denied, Some(untouched()), None, false)]
#[case::it_was_made_all_the_same(Obstacle::Denied, Some(shown(1, None, PODS)), None, true)]
#[case::nothing_is_seen(Obstacle::Denied, None, None, true)]
#[case::it_may_still_arrive(Obstacle::Failing, Some(untouched()), None, true)]
#[case::another_was_made(Obstacle::Denied, Some(untouched()), Some(template("new")), true)]
fn an_order_whose_first_write_was_denied_has_nothing_to_roll_back(
    #[case] obstacle: Obstacle,
    #[case] view: Option<DeploymentView>,
    #[case] made: Option<Value>,
    #[case] is_rolled_back: bool,
) {
    let seen = view.map_or(Observation::Unknown, |view| Observation::Present(Box::new(view)));
    for roll_back in [true, false] {
        let mut order = unmade(Kind::Deploy, Step::BringUp);
        let patch = Patch { borrow: Borrow::Borrowed(own()), ..Patch::default() };
        order.intent = Some(Intent { effect: Change::Patch(patch).into(), applied: None });
        order.template.clone_from(&made);
        order.target.failure_policy.roll_back = roll_back;
        let told = outage_of(obstacle);
        let end = ended(rollout::outage(&order, &told, &seen, at(1_000_000)));
        assert_eq!(end.state, State::Failed);
        assert!(end.message.contains("a webhook is down"), "{}", end.message);
        let undoes = (end.roll_back, end.finalizes);
        assert_eq!(undoes, (is_rolled_back && roll_back, is_rolled_back && !roll_back));
        let keeps_step = is_rolled_back && !roll_back;
        assert_eq!(end.step, if keeps_step { Step::BringUp } else { Step::Done });
    }
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
