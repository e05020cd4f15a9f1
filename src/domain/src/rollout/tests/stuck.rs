//! A Deployment controller that cannot act, batches that cannot be done in their time,
//! and a Deployment without pods.

use rstest::rstest;

use super::*;
use crate::{observed::Warning, order::intent::Borrow, rollout::stalled_since};

const GRACE: i64 = 60;

/// The newest spec was never acted on.
fn unobserved(view: DeploymentView) -> DeploymentView {
    DeploymentView { observed: false, ..view }
}

/// The same, and why: no ReplicaSet can be made, as was said for the first time then.
fn refused(message: &str, first: i64) -> DeploymentView {
    let told = Warning {
        reason: "ReplicaSetCreateError".into(),
        message: message.into(),
        first: Some(at(first)),
        at: Some(at(first + 1)),
        before: None,
        count: 2,
        total: 2,
    };
    DeploymentView { new: None, warnings: vec![told], ..unobserved(shown(0, None, PODS)) }
}

const QUOTA: &str = "Failed to create new replica set \"web-1\": replicasets.apps \"web-1\" is forbidden: exceeded quota: q";
const POLICY: &str =
    "Failed to create new replica set \"web-1\": admission webhook \"w\" denied the request: no";

#[test]
fn a_replica_set_that_cannot_be_made_fails_the_release_within_the_grace_in_kubernetes_words() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    assert_waits(&ask(&order, refused(QUOTA, 2), at(SOON)), Some(at(2 + GRACE)));
    let transition = moved(ask(&order, refused(QUOTA, 2), at(2 + GRACE)));
    assert_eq!((transition.state, transition.roll_back), (State::Failed, true));
    assert_eq!(
        transition.message,
        format!(
            "the Deployment controller cannot go on: ReplicaSetCreateError: {QUOTA} (waited 60 s for it to pass)"
        )
    );
    // What is refused by a rule is refused again.
    let transition = moved(ask(&order, refused(POLICY, 2), at(SOON)));
    assert_eq!((transition.state, transition.roll_back), (State::Failed, true));
    // What was said before the order is none of its doing, nor what was said before the set was there.
    assert_waits(&ask(&order, refused(POLICY, -9), at(SOON)), Some(at(TIMEOUT)));
    let there = DeploymentView { new: Some(set("new", 0, 5, None)), ..refused(POLICY, 2) };
    assert_waits(&ask(&order, there, at(SOON)), Some(at(TIMEOUT)));
    // The Deployment's status says it, where it is watched for progress.
    let status = CreateFailure { message: POLICY.into(), since: Some(at(2)) };
    let told = DeploymentView {
        warnings: Vec::new(),
        set_failure: Some(status),
        observed: true,
        ..refused(POLICY, 2)
    };
    assert_eq!(
        moved(ask(&at_step(Step::BringUp, Strategy::ALL_AT_ONCE), told, at(SOON))).state,
        State::Failed
    );
}

#[test]
fn changes_of_replica_sets_that_are_refused_fail_the_release_when_the_grace_is_over() {
    let order = at_step(Step::BringUp, in_batches(3, AUTOMATIC));
    let why =
        CreateFailure { message: "denied request: no changes today".into(), since: Some(at(0)) };
    let view = DeploymentView { refused: Some(why), ..unobserved(shown(3, None, PODS)) };
    assert_waits(&ask(&order, view.clone(), at(SOON)), Some(at(GRACE)));
    let transition = moved(ask(&order, view, at(GRACE)));
    assert!(
        transition.state == State::Failed
            && transition.message.contains("refuses changes of its ReplicaSets: denied request"),
        "{transition:?}"
    );
}

#[test]
fn the_way_back_is_written_though_the_newest_spec_was_never_acted_on() {
    let transition = moved(ask(&way_back(Step::Start), refused(QUOTA, 2), at(SOON)));
    assert_eq!(
        (transition.step, patch(&transition).template),
        (Step::RollBack, Some(template("old")))
    );
    // It waits for what it wrote, and names what keeps that from being acted on.
    let back = way_back(Step::RollBack);
    let returned = DeploymentView { template: template("old"), ..refused(POLICY, 2) };
    let transition = moved(ask(&back, returned, at(SOON)));
    assert!(
        transition.state == State::Failed
            && transition
                .message
                .starts_with("the earlier version does not come back: the Deployment"),
        "{transition:?}"
    );
}

#[test]
fn a_later_release_does_not_wait_for_a_spec_that_is_never_acted_on() {
    let order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let view = || unobserved(untouched());
    assert_waits(&ask(&order, view(), at(SOON)), Some(at(crate::rollout::EARLIER_ROLLOUT_SECONDS)));
    assert_eq!(
        moved(ask(&order, view(), at(crate::rollout::EARLIER_ROLLOUT_SECONDS))).step,
        Step::BringUp
    );
}

#[test]
fn an_order_that_ended_half_way_is_brought_to_rest_without_the_controller() {
    let order = aborted_at(Step::BringUp);
    assert_waits(&ask(&order, refused(QUOTA, 2), at(SOON)), Some(at(GRACE)));
    let transition = moved(ask(&order, refused(QUOTA, 2), at(GRACE)));
    let patch = patch(&transition);
    assert_eq!(
        (transition.step, patch.paused, patch.min_ready_seconds),
        (Step::PauseInPlace, Some(true), Some(own().min_ready_seconds))
    );
    assert_eq!(patch.borrow, Borrow::Unchanged, "the next order gives the settings back");
}

#[rstest]
#[case::of_the_request(Some(600), json!({}), "the time that a pod must be Ready 600 s is not below the timeout of a batch 600 s")]
#[case::of_the_probes(Some(0), json!({ "initialDelaySeconds": 600 }), "container web can be Ready after 600 s at the earliest (initialDelaySeconds of its probes), which is not below the timeout of a batch 600 s")]
#[case::together(Some(200), json!({ "initialDelaySeconds": 400 }), "400 s at the earliest (initialDelaySeconds of its probes), and the time that a pod must be Ready is 200 s: together")]
#[case::just_fits(Some(200), json!({ "initialDelaySeconds": 399 }), "")]
fn a_batch_that_certainly_takes_too_long_is_not_begun(
    #[case] min_ready: Option<i32>,
    #[case] probe: Value,
    #[case] says: &str,
) {
    let mut order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let mut slow = template("new");
    slow["spec"]["containers"][0]["readinessProbe"] = probe;
    (order.target.min_ready_seconds, order.target.source) =
        (min_ready, TemplateSource::Exact(slow));
    let mut view = untouched();
    view.settings.progress_deadline_seconds = 10_000;
    let transition = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!(
        (transition.state == State::Failed, transition.effect.is_none()),
        (!says.is_empty(), !says.is_empty()),
        "{}",
        transition.message
    );
    assert!(transition.message.contains(says), "{}", transition.message);
    // Nothing is waited for where there are no pods, and never for the way back.
    (view.replicas, view.new) = (0, None);
    assert_eq!(moved(ask(&order, view, at(SOON))).state, State::Running);
}

#[rstest]
// Ten pods, one at a time, each for 5 s: 50 s.
#[case::pods_more_by_and_by(
    rolling(1, 0),
    50,
    "10 pods come in 10 waves, since the Deployment's strategy allows 1 pods more (maxSurge) at once, and the Deployment's minReadySeconds is 5 s: together that is 50 s at least, which is not below the timeout of a batch 50 s"
)]
#[case::just_fits(rolling(1, 0), 51, "")]
#[case::a_share(
    rolling("25%", "25%"),
    20,
    "10 pods come in 4 waves, since the Deployment's strategy allows 3 pods more"
)]
#[case::pods_less_by_and_by(
    rolling(0, 2),
    25,
    "10 pods come in 5 waves, since the Deployment's strategy allows 2 pods to be missing (maxUnavailable)"
)]
#[case::all_at_once(rolling("100%", 0), 6, "")]
#[case::recreated(json!({ "type": "Recreate" }), 6, "")]
fn a_batch_whose_pods_come_in_waves_needs_the_time_of_all_of_them(
    #[case] strategy: Value,
    #[case] timeout: i64,
    #[case] says: &str,
) {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    order.target.batch_timeout_seconds = timeout;
    let mut view = untouched();
    view.settings.strategy = strategy;
    let transition = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!(transition.state == State::Failed, !says.is_empty(), "{}", transition.message);
    assert!(transition.message.contains(says), "{}", transition.message);
    // Several batches bring theirs at once, each with its own time.
    let in_batches = Order {
        strategy: in_batches(2, AUTOMATIC),
        batches: batches_of(in_batches(2, AUTOMATIC), PODS),
        ..order.clone()
    };
    if view.settings.strategy["type"] != "Recreate" {
        assert_eq!(moved(ask(&in_batches, view.clone(), at(SOON))).state, State::Running);
    }
    // Pods that come in addition may have room at once, and those that are there need none.
    order.target.replicas = Some(PODS * 100);
    view.new = None;
    assert_eq!(moved(ask(&order, view, at(SOON))).state, State::Running);
}

#[test]
fn where_nothing_says_how_long_a_pod_takes_no_number_of_waves_is_too_much() {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    order.target.batch_timeout_seconds = 1;
    let mut view = untouched();
    (view.settings.strategy, view.settings.min_ready_seconds) = (rolling(1, 0), 0);
    assert_eq!(moved(ask(&order, view, at(SOON))).state, State::Running);
}

#[test]
fn a_recreate_without_pods_is_released_whatever_the_batches() {
    let order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let mut view = untouched();
    view.settings.strategy = json!({ "type": "Recreate" });
    let refusal = moved(ask(&order, view.clone(), at(SOON)));
    assert!(refusal.message.contains("release in one batch"), "{}", refusal.message);
    (view.replicas, view.new) = (0, None);
    assert_eq!(moved(ask(&order, view, at(SOON))).step, Step::BringUp);
}

#[test]
fn a_recreate_says_which_old_pods_it_waits_for() {
    let order = at_step(Step::BringUp, Strategy::ALL_AT_ONCE);
    let mut view = shown(0, None, 0);
    view.settings.strategy = json!({ "type": "Recreate" });
    view.leaving = 2;
    let failure = moved(ask(&order, view, at(TIMEOUT)));
    let says =
        "0 of 10 new pods are Ready, 2 old pods are on their way out, and Recreate waits for them";
    assert!(failure.message.contains(says), "{}", failure.message);
}

#[test]
fn a_controller_that_does_not_go_on_is_asked_once_all_that_is_there_is_ready() {
    let order = at_step(Step::BringUp, Strategy::ALL_AT_ONCE);
    let mut view = shown(3, Some(at(7)), 10);
    view.settings.min_ready_seconds = 5;
    assert_eq!(stalled_since(&order, &view), Some(at(12)), "once they count");
    // Whatever it is that it may wait for.
    let mut others = [view.clone(), view.clone(), view.clone(), view.clone(), view.clone()];
    others[0].new.as_mut().unwrap().pods[0].ready_since = None;
    others[1].leaving = 1;
    others[2].new.as_mut().unwrap().desired = 4;
    others[3].observed = false;
    others[4] = shown(10, Some(at(7)), 0);
    for other in others {
        assert_eq!(stalled_since(&order, &other), None, "{other:?}");
    }
    // What it is told then is named when the grace is over, although it has seen the spec.
    view.refused = Some(CreateFailure { message: "no scaling".into(), since: Some(at(12)) });
    let failure = moved(ask(&order, view, at(12 + GRACE)));
    let says = "the cluster refuses changes of its ReplicaSets: no scaling";
    assert!(
        failure.state == State::Failed && failure.message.contains(says),
        "{}",
        failure.message
    );
}

#[test]
fn the_deployments_own_seconds_are_named() {
    let mut order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    order.target.batch_timeout_seconds = 5;
    let transition = moved(ask(&order, untouched(), at(SOON)));
    assert_eq!(
        transition.message,
        "the Deployment's minReadySeconds 5 s is not below the timeout of a batch 5 s, so no batch can be done in time"
    );
}

#[test]
fn without_pods_a_release_in_batches_sets_the_template_and_is_done() {
    for strategy in
        [in_batches(3, Pace::Manual), Strategy { canary: 2, batches: 3, pace: AUTOMATIC }]
    {
        let mut order = accepted(Kind::Deploy, strategy, 0);
        let empty = DeploymentView {
            replicas: 0,
            status_replicas: 0,
            status_updated: 0,
            new: None,
            ..untouched()
        };
        let transition = moved(ask(&order, empty.clone(), at(SOON)));
        assert_eq!(
            (transition.step, transition.batch, patch(&transition).template),
            (Step::BringUp, strategy.count() - 1, Some(template("new")))
        );
        assert!(
            batches(&transition).iter().all(|(_, _, target)| *target == Some(0)),
            "{transition:?}"
        );
        (order.step, order.state, order.batch, order.snapshot) =
            (Step::BringUp, State::Running, transition.batch, transition.snapshot);
        (order.template, order.batches[transition.batch].state) =
            (Some(template("new")), State::Running);
        let set = DeploymentView { template: template("new"), ..empty };
        let transition = moved(ask(&order, set.clone(), at(SOON)));
        assert_eq!(
            (transition.step, patch(&transition).borrow),
            (Step::RestoreSettings, Borrow::Returned)
        );
        order.step = Step::RestoreSettings;
        assert_eq!(moved(ask(&order, set, at(SOON))).state, State::Succeeded);
    }
}
