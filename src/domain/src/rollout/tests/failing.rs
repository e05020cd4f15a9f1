//! What stops a release: views that allow no conclusion, trouble, deadlines and other
//! hands.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{order::intent::Borrow, rollout::changed_meanwhile};

// --- Views that allow no conclusion ---

#[test]
fn nothing_is_concluded_before_the_watches_have_begun() {
    for step in UNDER_WAY.into_iter().chain([Step::Start, Step::Create]) {
        assert_waits(
            &decide(
                &at_step(step, in_batches(3, Pace::Manual)),
                &Observation::Unknown.into(),
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
        assert_waits(&decide(&order, &Observation::Unknown.into(), at(1_000_000)), None);
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
        decide(&start, &Observation::Absent.into(), at(SOON)),
        "the Deployment web does not exist in namespace default",
        false,
    );
    for step in UNDER_WAY {
        let order = at_step(step, in_batches(3, Pace::Manual));
        assert_fails(
            decide(&order, &Observation::Absent.into(), at(SOON)),
            "does not exist in namespace default any more",
            false,
        );
    }
    assert_fails(
        decide(&way_back(Step::Start), &Observation::Absent.into(), at(SOON)),
        "does not exist",
        false,
    );
    let ended = moved(decide(&aborted_at(Step::BringUp), &Observation::Absent.into(), at(SOON)));
    assert_eq!((ended.state, ended.step, ended.effect), (State::Aborted, Step::Done, None));
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
        "the time that a pod must be Ready 600 s is not below the Deployment's progressDeadlineSeconds 600 s",
        false,
    );
}

// --- Another hand on the template ---

#[test]
fn another_version_is_left_alone_and_only_the_borrowed_settings_go_back() {
    let mut view = shown(3, Some(at(0)), 10);
    view.template = template("theirs");
    view.other_manager = Some("kubectl-edit".into());
    // One that waits goes on waiting: its batches would be those of another version.
    for step in UNDER_WAY.into_iter().filter(|step| *step != Step::Paused) {
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

#[test]
fn a_replica_set_that_is_gone_before_it_is_resized_leads_to_another_look() {
    for step in [Step::RestoreOld, Step::RemoveNew] {
        let mut order = at_step(step, in_batches(2, Pace::Manual));
        order.batches[0].state = State::Succeeded;
        let resize = SizeChange {
            name: "old".into(),
            uid: "old".into(),
            replicas: 5,
            part_of: None,
            min_ready_seconds: None,
        };
        order.intent = Some(Intent { effect: resize.into(), applied: None });
        // Until that is seen.
        let seen = shown(5, Some(at(0)), 3);
        assert_waits(&changed_meanwhile(&order, &seen, at(SOON)), None);
        let gone = shown(5, Some(at(0)), 0);
        let next = moved(changed_meanwhile(&order, &gone, at(SOON)));
        assert_eq!((next.state, next.step), (State::Running, Step::StepBack));
        assert_eq!(numbers(&next).2, Some(false), "it holds the numbers still");
    }
}

/// An autoscaler wrote between the decision and the write.
#[test]
fn a_size_that_was_decided_for_another_number_of_pods_is_decided_anew() {
    for step in [Step::RestoreOld, Step::RemoveNew] {
        let mut order = at_step(step, in_batches(2, Pace::Manual));
        order.state = State::WaitingConfirmation;
        order.batches[0].state = State::Succeeded;
        let resize = SizeChange {
            name: "new".into(),
            uid: "new".into(),
            replicas: 5,
            part_of: Some(PODS),
            min_ready_seconds: None,
        };
        order.intent = Some(Intent { effect: resize.into(), applied: None });
        let now = shown(7, Some(at(0)), 3);
        assert_waits(&changed_meanwhile(&order, &now, at(SOON)), None);
        let scaled = DeploymentView { replicas: PODS + 4, ..now };
        let next = moved(changed_meanwhile(&order, &scaled, at(SOON)));
        assert_eq!((next.state, next.step), (State::WaitingConfirmation, Step::RestoreOld));
        let old = SizeChange {
            name: "old".into(),
            uid: "old".into(),
            replicas: 7,
            part_of: Some(PODS + 4),
            min_ready_seconds: None,
        };
        assert_eq!(next.effect, Some(old.into()));
    }
}
