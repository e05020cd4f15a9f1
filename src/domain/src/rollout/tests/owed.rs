//! A way back that is owed, and what others did to the Deployment until it could be made.

use rstest::rstest;

use super::*;
use crate::{
    order::{
        intent::Borrow,
        outage::{Met, Obstacle, Outage},
    },
    rollout::{changed_meanwhile, outage, tests::hands::owned_by},
};

/// A way back from `new` to `old` that ended at `step`, its newest change made or not.
fn owed_at(step: Step, is_made: bool) -> Order {
    let mut order = way_back(step);
    (order.state, order.finalizing) = (State::Failed, true);
    order.target.replaces = Some(template("new"));
    if !is_made {
        order.template = None;
        order.intent = (step != Step::Start).then(|| Intent {
            effect: Change::Patch(Patch { template: Some(template("old")), ..Patch::default() })
                .into(),
            applied: None,
        });
    }
    order
}

/// The Deployment as the failed release left it, with the pod template of `version`.
fn left_with(version: &str) -> DeploymentView {
    DeploymentView {
        template: template(version),
        new: Some(set(version, 3, GATE_SECONDS, Some(at(1)))),
        other_manager: Some("kubectl-set".into()),
        ..shown(3, Some(at(1)), 7)
    }
}

#[rstest]
#[case::not_decided(owed_at(Step::Start, false))]
#[case::not_made(owed_at(Step::RollBack, false))]
#[case::made(owed_at(Step::RollBack, true))]
fn what_somebody_else_released_until_then_stays_and_the_settings_come_back(#[case] order: Order) {
    let end = moved(ask(&order, left_with("theirs"), at(SOON)));
    assert_eq!((end.state, end.step), (State::Failed, Step::Done));
    let patch = patch(&end);
    assert_eq!((&patch.template, patch.replicas), (&None, None), "that version is left in place");
    assert_eq!((patch.strategy, patch.min_ready_seconds), (Some(own().strategy), Some(5)));
    assert_eq!((patch.paused, patch.borrow), (Some(false), crate::order::intent::Borrow::Returned));
    assert!(end.message.contains("kubectl-set changed the Deployment's pod template"));
    assert_eq!(end.told(&order), Some(end.message.as_str()), "it is told beside the Deployment");
}

#[test]
fn a_way_back_overwrites_the_version_that_goes_and_the_one_that_comes_back() {
    for version in ["new", "old"] {
        let begun = moved(ask(&owed_at(Step::Start, false), left_with(version), at(SOON)));
        assert_eq!((begun.step, patch(&begun).template), (Step::RollBack, Some(template("old"))));
        let order = owed_at(Step::RollBack, false);
        assert_waits(&ask(&order, left_with(version), at(SOON)), None);
    }
    // Where it is not known what goes, everything may be it.
    let mut order = owed_at(Step::Start, false);
    order.target.replaces = None;
    assert_eq!(moved(ask(&order, left_with("theirs"), at(SOON))).step, Step::RollBack);
    // Whoever changes only the number leaves the template alone.
    let mut order = owed_at(Step::Start, false);
    order.target.source = TemplateSource::Unchanged;
    assert_eq!(patch(&moved(ask(&order, left_with("theirs"), at(SOON)))).replicas, Some(PODS));
}

#[test]
fn settings_and_a_pause_of_whoever_released_it_stay_theirs() {
    let mut order = owed_at(Step::RollBack, true);
    let mut view = left_with("theirs");
    order.hands.written.min_ready_seconds = Some(5);
    view.settings.min_ready_seconds = 20;
    view.settings.paused = true;
    let end = patch(&moved(ask(&order, view.clone(), at(SOON))));
    assert_eq!((end.min_ready_seconds, end.paused), (Some(20), Some(false)), "our own pause");
    view.owners = json!([{
        "manager": "kubectl-rollout", "time": "2026-01-01T00:00:00Z",
        "fieldsV1": { "f:spec": { "f:paused": {} } },
    }]);
    assert_eq!(patch(&moved(ask(&order, view, at(SOON)))).paused, Some(true));
}

#[test]
fn settings_that_are_all_that_is_owed_come_back_whatever_is_released() {
    let mut order = owed_at(Step::RestoreSettings, true);
    let made = moved(ask(&order, left_with("theirs"), at(SOON)));
    assert_eq!((made.step, &made.effect), (Step::Done, &None), "they are back already");
    order.intent.as_mut().unwrap().applied = None;
    let last = moved(ask(&order, left_with("theirs"), at(SOON)));
    let back = patch(&last).give_back;
    assert!(back.is_none_or(|back| !back.fields.contains(&"template".into())));
}

/// The order ends while nothing can be seen of a way back that was written long ago.
#[test]
fn pods_have_their_whole_time_once_they_can_be_seen_again() {
    let mut order = way_back(Step::RollBack);
    let told = Outage {
        met: Met { obstacle: Obstacle::Unanswered, since: at(0), any_since: at(0) },
        what: "nothing of the cluster can be seen",
        why: "it hangs".into(),
    };
    let end = moved(outage(&order, &told, &Observation::Unknown, at(1_000_000)));
    assert_eq!((end.step, end.finalizes), (Step::RollBack, true));
    assert_eq!(patch(&end), Patch::default(), "it touches nothing, and is on record when made");
    (order.state, order.finalizing) = (end.state, true);
    order.intent = Some(Intent { effect: end.effect.unwrap(), applied: None });
    assert!(order.is_owed() && order.has_change_to_make());
    // It is made much later.
    let seen = 2_000_000;
    order.step_since = at(seen);
    order.intent.as_mut().unwrap().applied =
        Some(Applied { deployment: APPLIED, replica_set: None });
    let mut half = left_with("old");
    half.settings = own();
    assert_waits(&ask(&order, half.clone(), at(seen + 1)), Some(at(seen + TIMEOUT)));
    assert_eq!(moved(ask(&order, half, at(seen + TIMEOUT))).step, Step::Done);
    // One that is still to be made stays so.
    order.state = State::Running;
    order.intent.as_mut().unwrap().applied = None;
    assert_eq!(moved(outage(&order, &told, &Observation::Unknown, at(1_000_000))).effect, None);
}

#[test]
fn only_a_way_back_that_failed_and_was_not_brought_to_rest_is_owed() {
    let owed = owed_at(Step::RollBack, false);
    assert!(owed.is_owed());
    let others = [
        Order { kind: Kind::Deploy, ..owed.clone() },
        Order { state: State::Running, ..owed.clone() },
        Order { state: State::Aborted, ..owed.clone() },
        Order { finalizing: false, ..owed.clone() },
        Order { step: Step::PauseInPlace, ..owed },
    ];
    for other in others {
        assert!(!other.is_owed(), "{:?} {:?} {:?}", other.kind, other.state, other.step);
    }
}

#[test]
fn what_a_change_finds_is_the_orders_template_only_where_it_wrote_it_or_wants_none() {
    let sets =
        Effect::from(Change::Patch(Patch { template: Some(template("new")), ..Patch::default() }));
    let leaves = Effect::from(Change::Patch(Patch::default()));
    let release = at_step(Step::BringUp, in_batches(3, Pace::Manual));
    let is_own = |order: &Order, effect| order.owns_template_after(effect);
    assert!(is_own(&release, &sets) && !is_own(&release, &leaves));
    let unwritten = Order { template: None, ..release };
    assert!(is_own(&unwritten, &sets) && !is_own(&unwritten, &leaves), "it may be foreign");
    // Where only the number changes, that of the first write is what it keeps.
    let resize = Order { kind: Kind::Scale, ..unwritten };
    assert!(is_own(&resize, &leaves));
    let later = Order { template: Some(template("old")), ..resize };
    assert!(!is_own(&later, &leaves));
}

#[test]
fn what_somebody_sets_while_an_order_comes_to_rest_is_theirs_after_it() {
    let mut order = aborted_at(Step::PauseInPlace);
    let seen = shown(3, Some(at(1)), 10);
    let pause = patch(&moved(ask(&order, seen.clone(), at(SOON))));
    assert_eq!(pause.expects.as_ref().map(|it| &it.settings), Some(&seen.settings));
    let decided = |order: &mut Order, patch: Patch, applied| {
        order.intent = Some(Intent { effect: Change::Patch(patch).into(), applied });
    };
    decided(&mut order, pause, None);
    let mut view = owned_by(seen, "kubectl-edit", json!({ "f:minReadySeconds": {} }));
    view.settings.min_ready_seconds = 77;
    // What was decided before may be on its way, and arrives no more.
    let fence = moved(changed_meanwhile(&order, &view, at(SOON)));
    assert_eq!((fence.state, fence.step), (State::Aborted, Step::PauseInPlace));
    assert_eq!(patch(&fence), written());
    decided(&mut order, written(), Some(Applied { deployment: APPLIED, replica_set: None }));
    let rests = patch(&moved(ask(&order, view.clone(), at(SOON))));
    let theirs = BorrowedSettings { min_ready_seconds: 77, ..own() };
    assert_eq!(rests.borrow, Borrow::Borrowed(theirs));
    // Another Deployment of the name is left alone.
    decided(&mut order, written(), None);
    let another = DeploymentView { uid: "another".into(), ..view };
    let left = moved(changed_meanwhile(&order, &another, at(SOON)));
    assert_eq!((left.state, left.step, left.effect), (State::Aborted, Step::Done, None));
}
