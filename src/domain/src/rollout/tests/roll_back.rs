//! Orders that roll another one back.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    order::intent::Borrow,
    rollout::{changed_meanwhile, gone, refused},
    template::spec::SpecChange,
};

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
fn what_somebody_set_before_a_way_back_began_is_theirs_at_its_end() {
    let theirs = |manager: &str| {
        let mut view = hands::at_work(Step::BringUp);
        view.settings.progress_deadline_seconds = 700;
        let mut view = hands::owned_by(view, manager, json!({ "f:progressDeadlineSeconds": {} }));
        if manager == "sluice" {
            view.owners.as_array_mut().unwrap().remove(0);
        }
        moved(ask(&way_back(Step::Start), view, at(SOON)))
    };
    let transition = theirs("kubectl-patch");
    assert_eq!(patch(&transition).progress_deadline_seconds, Some(700));
    let kept = transition.snapshot.unwrap().settings;
    assert_eq!(kept, BorrowedSettings { progress_deadline_seconds: 700, ..own() });
    // What Sluice owns is what it borrowed.
    let transition = theirs("sluice");
    assert_eq!(patch(&transition).progress_deadline_seconds, Some(own().progress_deadline_seconds));
    assert_eq!(transition.snapshot, None);
}

#[test]
fn it_is_written_even_if_the_view_shows_the_earlier_version_already() {
    assert_eq!(moved(ask(&way_back(Step::Start), untouched(), at(SOON))).step, Step::RollBack);
}

#[test]
fn it_waits_a_moment_until_the_pods_that_went_count_no_more() {
    let order = way_back(Step::Start);
    let old = |change: &dyn Fn(&mut ReplicaSetView)| {
        let mut view = shown(10, Some(at(0)), 2);
        change(&mut view.old[0]);
        view
    };
    let until = at(5);
    for view in
        [old(&|set| (set.desired, set.available) = (1, 2)), old(&|set| set.observed = false)]
    {
        assert_waits(&ask(&order, view.clone(), at(4)), Some(until));
        assert_eq!(moved(ask(&order, view, until)).step, Step::RollBack, "not for long");
    }
    let counted = old(&|set| (set.desired, set.available) = (2, 1));
    assert_eq!(moved(ask(&order, counted, at(4))).step, Step::RollBack);
}

/// A way back whose first change is decided and not made.
fn unwritten(change: Patch) -> Order {
    let intent = Intent { effect: Change::Patch(change).into(), applied: None };
    Order { template: None, intent: Some(intent), ..way_back(Step::RollBack) }
}

#[test]
fn a_status_that_changed_before_the_write_is_awaited_a_moment_too() {
    let begun = |now| patch(&moved(ask(&way_back(Step::Start), shown(10, Some(at(0)), 2), now)));
    assert!(!begun(at(5)).counted, "whatever is counted");
    let change = begun(at(4));
    assert!(change.counted);
    let order = unwritten(change.clone());
    let view = shown(10, Some(at(0)), 2);
    let mut uncounted = view.clone();
    uncounted.old[0].observed = false;
    assert_waits(&changed_meanwhile(&order, &uncounted, at(4)), Some(at(5)));
    for (view, now, counted) in [(uncounted, at(5), false), (view, at(4), true)] {
        let again = moved(changed_meanwhile(&order, &view, now));
        assert_eq!((again.state, again.step), (State::Running, Step::RollBack));
        assert_eq!(patch(&again), Patch { counted, ..change.clone() });
    }
}

#[test]
fn what_somebody_sets_before_the_write_is_theirs_at_the_end() {
    let start = way_back(Step::Start);
    let view = shown(10, Some(at(0)), 2);
    let change = patch(&moved(ask(&start, view.clone(), at(SOON))));
    let expected = change.expects.clone().unwrap();
    assert_eq!((expected.settings, expected.template), (view.settings.clone(), None));
    let mut theirs = view;
    theirs.settings.progress_deadline_seconds = 700;
    let theirs =
        hands::owned_by(theirs, "kubectl-patch", json!({ "f:progressDeadlineSeconds": {} }));
    let again = moved(changed_meanwhile(&unwritten(change), &theirs, at(SOON)));
    assert_eq!(patch(&again).progress_deadline_seconds, Some(700));
    let before = again.snapshot.unwrap().settings;
    assert_eq!(before.progress_deadline_seconds, 700);
}

#[test]
fn a_deployment_that_was_made_anew_before_the_write_is_not_touched() {
    let view = shown(10, Some(at(0)), 2);
    let change = patch(&moved(ask(&way_back(Step::Start), view.clone(), at(SOON))));
    let another = DeploymentView { uid: "another".into(), ..view };
    let end = moved(changed_meanwhile(&unwritten(change), &another, at(SOON)));
    assert_eq!((end.state, end.step, end.effect), (State::Failed, Step::Done, None));
}

#[test]
fn what_changed_nothing_needs_no_way_back() {
    let order = Order { snapshot: None, ..way_back(Step::Start) };
    for observation in [Observation::Absent, Observation::Present(Box::new(untouched()))] {
        let transition = moved(decide(&order, &observation.clone().into(), at(SOON)));
        assert_eq!(
            (transition.state, transition.step, &transition.effect),
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
            (ended.state, ended.step, &ended.effect, ended.roll_back),
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
    order.target.source = TemplateSource::Change(Box::new(change.clone()));
    let sent = patch(&moved(ask(&order, untouched(), at(SOON)))).template.unwrap();
    assert_eq!(sent, change.apply(&template("old"), "web", order.target.release.unwrap()));
    order.target.source = TemplateSource::Exact(template("other"));
    assert_eq!(patch(&moved(ask(&order, untouched(), at(SOON)))).template, Some(template("other")));
}
