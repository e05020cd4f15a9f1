//! How orders begin: with a first batch, after an earlier rollout, and without a Deployment.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    order::intent::{Borrow, NO_DEADLINE_SECONDS},
    rollout::changed_meanwhile,
    template::names::APPLICATION_LABEL,
};

#[test]
fn the_first_batch_brings_the_template_closes_the_gate_and_keeps_the_users_settings() {
    let transition =
        moved(ask(&at_step(Step::Start, in_batches(3, AUTOMATIC)), untouched(), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.batch),
        (State::Running, Step::BringUp, 0)
    );
    assert_eq!(numbers(&transition), (json!(3), json!(0), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&transition), [(0, State::Running, Some(3))]);
    assert_eq!(transition.snapshot, Some(snapshot()));
    assert_eq!(transition.message, "batch 1 of 3: 3 of 10 pods");
    let patch = patch(&transition);
    assert_eq!((patch.template, patch.replicas), (Some(template("new")), None));
    assert_eq!(
        (patch.progress_deadline_seconds, patch.borrow),
        (Some(NO_DEADLINE_SECONDS), Borrow::Borrowed(own()))
    );
}

#[rstest]
#[case::no_pod_missing_with_the_users_own_surge(rolling("25%", "25%"), rolling("25%", 0))]
#[case::a_number_of_pods(rolling(4, 1), rolling(4, 0))]
#[case::without_surge_pods_may_be_missing(rolling(0, 2), rolling(0, 2))]
#[case::without_surge_in_percent(rolling("0%", "50%"), rolling("0%", "50%"))]
#[case::recreate(json!({ "type": "Recreate" }), json!({ "type": "Recreate" }))]
fn all_at_once_is_the_native_rolling_update(#[case] user: Value, #[case] sent: Value) {
    let mut view = untouched();
    view.settings.strategy = user;
    let transition = moved(ask(&at_step(Step::Start, Strategy::ALL_AT_ONCE), view, at(SOON)));
    let patch = patch(&transition);
    assert_eq!(
        (patch.strategy, patch.min_ready_seconds, patch.progress_deadline_seconds),
        (Some(sent), Some(5), Some(600))
    );
    assert_eq!((patch.paused, patch.template), (Some(false), Some(template("new"))));
}

#[test]
fn a_restart_is_the_same_version_with_a_mark_on_top_of_what_was_before() {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    (order.kind, order.target.source) = (Kind::Restart, TemplateSource::Renewed("now".into()));
    let renewed = |version| crate::template::spec::renewed(&template(version), "now");
    let transition = moved(ask(&order, untouched(), at(SOON)));
    let patch = patch(&transition);
    assert_eq!(
        (transition.step, patch.template, patch.replicas),
        (Step::BringUp, Some(renewed("old")), None)
    );
    assert_eq!((patch.strategy, patch.borrow), (Some(rolling("25%", 0)), Borrow::Borrowed(own())));
    // Where a release rests half way it is the version before that.
    let rests = Order { snapshot: Some(snapshot()), ..order };
    assert_eq!(
        super::patch(&moved(ask(&rests, shown(3, Some(at(0)), 7), at(SOON)))).template,
        Some(renewed("old"))
    );
}

#[test]
fn the_orders_own_seconds_and_number_of_pods_go_before_the_deployments() {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    order.target.min_ready_seconds = Some(30);
    order.target.replicas = Some(4);
    let transition = moved(ask(&order, untouched(), at(SOON)));
    let patch = patch(&transition);
    assert_eq!((patch.min_ready_seconds, patch.replicas), (Some(30), Some(4)));
    assert_eq!(batches(&transition), [(0, State::Running, Some(4))]);
}

#[test]
fn an_earlier_rollout_may_settle_first_but_not_for_ever() {
    let order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let mut unsettled = untouched();
    unsettled.old = vec![set("older", 1, 5, None)];
    // It is said once, and then waited.
    let told = moved(ask(&order, unsettled.clone(), at(SOON)));
    assert_eq!(
        (told.state, told.step, told.effect.is_none(), told.snapshot.is_none()),
        (State::Running, Step::Start, true, true)
    );
    assert!(told.message.starts_with("waits for pods of the version before"), "{}", told.message);
    let waits = Order { state: told.state, ..order.clone() };
    assert_waits(&ask(&waits, unsettled.clone(), at(SOON)), Some(at(60)));
    assert_eq!(moved(ask(&waits, unsettled.clone(), at(60))).step, Step::BringUp);
    assert_eq!(moved(ask(&order, unsettled.clone(), at(60))).step, Step::BringUp);
    // Nor for longer where the clock of the order before was ahead of this one's.
    let younger = Order { created_at: at(1000), ..order.clone() };
    assert_eq!(moved(ask(&younger, unsettled.clone(), at(60))).step, Step::BringUp);
    // After an aborted order what is there stays there: waiting would change nothing.
    let next = Order { snapshot: Some(snapshot()), ..order };
    let mut resting = unsettled;
    resting.settings.paused = true;
    let transition = moved(ask(&next, resting, at(SOON)));
    assert_eq!((transition.step, transition.snapshot), (Step::BringUp, Some(snapshot())));
}

#[rstest]
#[case::by_hand(None, 0, 0)]
#[case::by_hand_where_the_order_before_asked_for_some(Some(30), 0, 0)]
#[case::as_the_order_before_asked(Some(30), 30, 5)]
#[case::none_as_the_order_before_asked(Some(0), 0, 5)]
fn a_release_at_rest_has_the_users_seconds_also_where_somebody_set_none(
    #[case] left_min_ready: Option<i32>,
    #[case] live: i32,
    #[case] users: i32,
) {
    let resting = DeploymentBefore { left_min_ready, ..snapshot() };
    let order = accepted(Kind::Deploy, in_batches(3, AUTOMATIC), PODS);
    let order = Order { snapshot: Some(resting), ..order };
    let mut view = untouched();
    // Kubernetes leaves 0 out, and then notes no owner.
    (view.settings.min_ready_seconds, view.settings.paused) = (live, true);
    view.settings.strategy = rolling(1, 0);
    let own = BorrowedSettings { min_ready_seconds: users, ..own() };
    let begun = moved(ask(&order, view.clone(), at(SOON)));
    let before = DeploymentBefore { settings: own.clone(), left_min_ready, ..snapshot() };
    assert_eq!(begun.snapshot, Some(before));
    assert_eq!(patch(&begun).borrow, Borrow::Borrowed(own.clone()));
    // The way back from there has them, too.
    let order = Order { rolls_back: Some(OrderId::new()), kind: Kind::Rollback, ..order };
    let back = moved(ask(&order, view, at(SOON)));
    assert_eq!((back.step, patch(&back).min_ready_seconds), (Step::RollBack, Some(users)));
}

#[test]
fn what_somebody_let_go_after_an_aborted_order_is_the_version_before_the_next() {
    let order =
        Order { snapshot: Some(snapshot()), ..at_step(Step::Start, in_batches(3, AUTOMATIC)) };
    let mut resumed = untouched();
    resumed.template = template("theirs");
    let theirs = DeploymentBefore { template: template("theirs"), ..snapshot() };
    let transition = moved(ask(&order, resumed.clone(), at(SOON)));
    assert_eq!((transition.step, transition.snapshot), (Step::BringUp, Some(theirs.clone())));
    // It may settle first, as what anybody rolls out.
    let mut unsettled = resumed.clone();
    unsettled.old = vec![set("older", 1, 5, None)];
    assert_eq!(moved(ask(&order, unsettled.clone(), at(SOON))).step, Step::Start);
    let transition = moved(ask(&order, unsettled, at(60)));
    assert_eq!((transition.step, transition.snapshot), (Step::BringUp, Some(theirs)));
    // What is paused was let go by nobody.
    resumed.settings.paused = true;
    let transition = moved(ask(&order, resumed, at(SOON)));
    assert_eq!((transition.step, transition.snapshot), (Step::BringUp, Some(snapshot())));
}

#[test]
fn an_earlier_rollout_that_never_settles_is_not_waited_for() {
    let order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let mut lost = troubled(untouched());
    lost.old = vec![set("older", 8, 5, Some(at(-1000)))];
    assert_eq!(moved(ask(&order, lost, at(SOON))).step, Step::BringUp);
    let mut paused = untouched();
    paused.old = vec![set("older", 8, 5, Some(at(-1000)))];
    paused.settings.paused = true;
    assert_eq!(moved(ask(&order, paused.clone(), at(SOON))).step, Step::BringUp);
    // One that an order of ours paused is another matter.
    paused.borrowed = Some(own());
    assert_eq!(moved(ask(&order, paused, at(SOON))).step, Step::Start);
}

#[test]
fn settings_that_an_earlier_order_still_borrows_are_taken_from_where_they_are_kept() {
    let mut view = untouched();
    view.settings.min_ready_seconds = GATE_SECONDS;
    view.settings.strategy = rolling(3, 0);
    view.borrowed = Some(own());
    let transition = moved(ask(&at_step(Step::Start, in_batches(3, AUTOMATIC)), view, at(SOON)));
    assert_eq!(transition.snapshot.unwrap().settings, own());
}

#[test]
fn an_application_is_created_without_looking_at_the_cluster() {
    let mut order = accepted(Kind::Create, Strategy::ALL_AT_ONCE, 4);
    order.target.replicas = Some(4);
    let transition = moved(decide(&order, &Observation::Absent.into(), at(SOON)));
    assert_eq!((transition.state, transition.step), (State::Running, Step::Create));
    assert_eq!(
        transition.effect,
        Some(
            Change::Create { template: template("new"), replicas: 4, min_ready_seconds: 0 }.into()
        )
    );
    assert_eq!(batches(&transition), [(0, State::Running, Some(4))]);
}

#[test]
fn a_creation_ends_once_all_pods_are_ready() {
    let mut order = at_step(Step::Create, Strategy::ALL_AT_ONCE);
    order.kind = Kind::Create;
    order.snapshot = None;
    assert_waits(&ask(&order, shown(PODS, None, 0), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(PODS - 1, Some(at(0)), 0), at(SOON)), Some(at(TIMEOUT)));
    let transition = moved(ask(&order, shown(PODS, Some(at(SOON)), 0), at(SOON)));
    assert_eq!(
        (transition.state, transition.step, transition.effect.is_none()),
        (State::Succeeded, Step::Done, true)
    );
    assert_eq!(batches(&transition), [(0, State::Succeeded, None)]);
}

/// A release of a version of the history.
fn of_the_history(labels: Value) -> Order {
    let mut order = accepted(Kind::DeployVersion, in_batches(2, AUTOMATIC), 4);
    let mut template = template("old");
    template["metadata"]["labels"] = labels;
    order.target.source = TemplateSource::Exact(template);
    order.target.replicas_if_created = Some(4);
    order
}

#[test]
fn a_version_of_the_history_creates_a_deployment_that_was_deleted_with_all_its_pods_at_once() {
    let mut order = of_the_history(json!({}));
    let TemplateSource::Exact(template) = &mut order.target.source else { panic!() };
    template["metadata"]["labels"] = json!({ APPLICATION_LABEL: order.application.to_string() });
    let (template, absent) = (template.clone(), Observation::Absent.into());
    let created = moved(decide(&order, &absent, at(SOON)));
    assert_eq!((created.state, created.step), (State::Running, Step::Create));
    let expected = Change::Create { template, replicas: 4, min_ready_seconds: 0 };
    assert_eq!(created.effect, Some(expected.into()));
    assert_eq!(batches(&created), [(0, State::Running, Some(4))]);

    order.step = Step::Create;
    order.state = State::Running;
    order.batches[0].started_at = Some(at(0));
    let done = moved(ask(&order, shown(PODS, Some(at(SOON)), 0), at(SOON)));
    assert_eq!((done.state, done.step), (State::Succeeded, Step::Done));
    let all = [(0, State::Succeeded, None), (1, State::Succeeded, Some(PODS))];
    assert_eq!(batches(&done), all);
    // There is no version to go back to, and somebody who deletes it again means it.
    let late = moved(ask(&order, shown(PODS - 1, Some(at(0)), 0), at(TIMEOUT + 1)));
    assert_eq!((late.state, late.step, late.roll_back), (State::Failed, Step::Done, false));
    let gone = moved(decide(&order, &absent, at(SOON)));
    assert_eq!((gone.state, gone.effect.is_none(), gone.roll_back), (State::Failed, true, false));
}

#[test]
fn a_deployment_that_was_deleted_is_not_created_by_other_orders_nor_where_it_was_adopted() {
    let absent = Observation::Absent.into();
    let says = |order: &Order| moved(decide(order, &absent, at(SOON)));
    let adopted = says(&of_the_history(json!({ "app": "web" })));
    assert_eq!((adopted.state, adopted.effect.is_none()), (State::Failed, true));
    assert!(
        adopted.message.ends_with("it was adopted, so create it again as it was created before")
    );
    for kind in [Kind::Deploy, Kind::Restart, Kind::Scale] {
        let other = says(&accepted(kind, Strategy::ALL_AT_ONCE, 4));
        assert_eq!((other.state, other.effect.is_none()), (State::Failed, true), "{kind:?}");
        assert!(other.message.contains("release a version of the history"), "{}", other.message);
    }
}

#[test]
fn an_undo_just_before_the_first_write_on_a_release_at_rest_keeps_the_users_settings() {
    let mut order = Order {
        snapshot: Some(snapshot()),
        ..accepted(Kind::Deploy, in_batches(3, AUTOMATIC), PODS)
    };
    let mut resting = untouched();
    resting.settings = BorrowedSettings { paused: true, strategy: rolling(1, 0), ..own() };
    let first = moved(ask(&order, resting.clone(), at(SOON)));
    assert_eq!(first.snapshot, Some(snapshot()));
    (order.step, order.snapshot) = (first.step, first.snapshot.clone());
    order.hands = first.hands.clone().unwrap();
    order.intent = Some(Intent { effect: first.effect.unwrap(), applied: None });
    // It brings back the annotations of a time when nothing was borrowed.
    let undone = DeploymentView { template: template("older"), ..resting };
    let anew = moved(changed_meanwhile(&order, &undone, at(SOON)));
    let before = DeploymentBefore { template: template("older"), ..snapshot() };
    assert_eq!((anew.step, anew.snapshot), (Step::BringUp, Some(before)));
}
