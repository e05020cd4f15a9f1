//! A release that goes on, step by step: what each step waits for, and the
//! exact numbers of the change with which it goes on.
//!
//! What stops a release or takes it back is in `back`.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    graceful_start::GracefulStartChange,
    intent::{Keep, NO_DEADLINE_SECONDS},
    spec::SpecChange,
};

const SOON: i64 = 10;

// --- Start ---

#[test]
fn the_first_batch_brings_the_template_closes_the_gate_and_keeps_the_users_settings() {
    let step = moved(ask(&at_step(Step::Start, in_batches(3, AUTOMATIC)), untouched(), at(SOON)));
    assert_eq!((step.state, step.step, step.batch), (State::Running, Step::Surge, 0));
    assert_eq!(numbers(&step), (json!(3), json!(0), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&step), [(0, State::Running, Some(3))]);
    assert_eq!(step.snapshot, Some(snapshot()));
    assert_eq!(step.message, "batch 1 of 3: 3 of 10 pods");
    let patch = patch(&step);
    assert_eq!((patch.template, patch.replicas), (Some(template("new")), None));
    assert_eq!((patch.progress_deadline_seconds, patch.keep), (Some(NO_DEADLINE_SECONDS), Keep::Borrowed(own())));
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
    let step = moved(ask(&at_step(Step::Start, Strategy::ALL_AT_ONCE), view, at(SOON)));
    let patch = patch(&step);
    assert_eq!((patch.strategy, patch.min_ready_seconds, patch.progress_deadline_seconds), (Some(sent), Some(5), Some(600)));
    assert_eq!((patch.paused, patch.template), (Some(false), Some(template("new"))));
}

#[test]
fn a_restart_is_the_same_version_with_a_mark_on_top_of_what_was_before() {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    (order.kind, order.target.source) = (Kind::Restart, Source::Renewed("now".into()));
    let renewed = |version| crate::spec::renewed(&template(version), "now");
    let step = moved(ask(&order, untouched(), at(SOON)));
    let patch = patch(&step);
    assert_eq!((step.step, patch.template, patch.replicas), (Step::Surge, Some(renewed("old")), None));
    assert_eq!((patch.strategy, patch.keep), (Some(rolling("25%", 0)), Keep::Borrowed(own())));
    // Where a release rests half way it is the version before that.
    let rests = Order { snapshot: Some(snapshot()), ..order };
    assert_eq!(super::patch(&moved(ask(&rests, shown(3, Some(at(0)), 7), at(SOON)))).template, Some(renewed("old")));
}

#[test]
fn the_orders_own_seconds_and_number_of_pods_go_before_the_deployments() {
    let mut order = at_step(Step::Start, Strategy::ALL_AT_ONCE);
    order.target.min_ready_seconds = Some(30);
    order.target.replicas = Some(4);
    let step = moved(ask(&order, untouched(), at(SOON)));
    let patch = patch(&step);
    assert_eq!((patch.min_ready_seconds, patch.replicas), (Some(30), Some(4)));
    assert_eq!(batches(&step), [(0, State::Running, Some(4))]);
}

#[test]
fn an_earlier_rollout_may_settle_first_but_not_for_ever() {
    let order = at_step(Step::Start, in_batches(3, AUTOMATIC));
    let mut unsettled = untouched();
    unsettled.old = vec![set("older", 1, 5, None)];
    assert_waits(&ask(&order, unsettled.clone(), at(SOON)), Some(at(60)));
    assert_eq!(moved(ask(&order, unsettled.clone(), at(60))).step, Step::Surge);
    // After an aborted order what is there stays there: waiting would change nothing.
    let next = Order { snapshot: Some(snapshot()), ..order };
    let step = moved(ask(&next, unsettled, at(SOON)));
    assert_eq!((step.step, step.snapshot), (Step::Surge, Some(snapshot())));
}

#[test]
fn settings_that_an_earlier_order_still_borrows_are_taken_from_where_they_are_kept() {
    let mut view = untouched();
    view.settings.min_ready_seconds = GATE_SECONDS;
    view.settings.strategy = rolling(3, 0);
    view.kept = Some(own());
    let step = moved(ask(&at_step(Step::Start, in_batches(3, AUTOMATIC)), view, at(SOON)));
    assert_eq!(step.snapshot.unwrap().settings, own());
}

#[test]
fn an_application_is_created_without_looking_at_the_cluster() {
    let mut order = accepted(Kind::Create, Strategy::ALL_AT_ONCE, 4);
    order.target.replicas = Some(4);
    let step = moved(decide(&order, &Observation::Absent, at(SOON)));
    assert_eq!((step.state, step.step), (State::Running, Step::Create));
    assert_eq!(step.change, Some(Change::Create { template: template("new"), replicas: 4, min_ready_seconds: 0 }));
    assert_eq!(batches(&step), [(0, State::Running, Some(4))]);
}

// --- Create ---

#[test]
fn a_creation_ends_once_all_pods_are_ready() {
    let mut order = at_step(Step::Create, Strategy::ALL_AT_ONCE);
    order.kind = Kind::Create;
    order.snapshot = None;
    assert_waits(&ask(&order, shown(PODS, None, 0), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(PODS - 1, Some(at(0)), 0), at(SOON)), Some(at(TIMEOUT)));
    let step = moved(ask(&order, shown(PODS, Some(at(SOON)), 0), at(SOON)));
    assert_eq!((step.state, step.step, step.change.is_none()), (State::Succeeded, Step::Done, true));
    assert_eq!(batches(&step), [(0, State::Succeeded, None)]);
}

/// A release with a graceful start that wants so many seconds of warm-up.
fn warming(strategy: Strategy, seconds: i32) -> Order {
    let mut order = at_step(Step::Start, strategy);
    let graceful_start = GracefulStartChange { on: Some(true), warm_up_seconds: Some(seconds), ..GracefulStartChange::default() };
    order.target.source = Source::Change(Box::new(SpecChange { graceful_start, ..SpecChange::default() }));
    order
}

#[rstest]
#[case::less_than_the_users_own(3, 5, 600)]
#[case::more(60, 60, i32::MAX)]
#[case::more_than_the_users_deadline(3600, 3600, i32::MAX)]
fn all_at_once_old_pods_stay_until_the_new_ones_are_warm(#[case] warm_up: i32, #[case] min_ready: i32, #[case] progress: i32) {
    let mut order = warming(Strategy::ALL_AT_ONCE, warm_up);
    order.target.batch_timeout_seconds = 10_000;
    let patch = patch(&moved(ask(&order, untouched(), at(SOON))));
    assert_eq!((patch.min_ready_seconds, patch.progress_deadline_seconds), (Some(min_ready), Some(progress)));
}

#[test]
fn a_warm_up_is_waited_for_by_releases_and_by_nothing_else() {
    let mut order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    order.target.source = warming(order.strategy, 40).target.source;
    assert_waits(&ask(&order, shown(3, Some(at(6)), 10), at(SOON)), Some(at(46)));
    assert_eq!(moved(ask(&order, shown(3, Some(at(6)), 10), at(46))).step, Step::Surge);
    // A version that has the rule is restarted in the same way.
    let ruled = order.target.source.clone();
    let Source::Change(change) = ruled else { panic!("it was made a change") };
    let template = change.apply(&template("old"), "web", ReleaseId::new());
    (order.kind, order.target.source) = (Kind::Restart, Source::Renewed("now".into()));
    order.snapshot = Some(Snapshot { template: template.clone(), ..snapshot() });
    assert_waits(&ask(&order, shown(3, Some(at(6)), 10), at(SOON)), Some(at(46)));
    // A first version has no old pods that could stay.
    let mut first = accepted(Kind::Create, Strategy::ALL_AT_ONCE, 3);
    first.target.source = Source::Exact(template);
    assert_eq!(super::super::warm_up_seconds(&first, first.snapshot.as_ref()), 0);
}

// --- Surge ---

#[test]
fn a_batch_waits_until_its_pods_were_ready_for_long_enough() {
    let order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    // Not created, not Ready, Ready for 4 of 5 s: the last says when to look again.
    assert_waits(&ask(&order, shown(0, None, 10), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(3, None, 10), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(3, Some(at(6)), 10), at(SOON)), Some(at(11)));
    assert_eq!(moved(ask(&order, shown(3, Some(at(6)), 10), at(11))).step, Step::Surge);
    let longer = Order { target: Target { min_ready_seconds: Some(30), ..order.target.clone() }, ..order };
    assert_waits(&ask(&longer, shown(3, Some(at(6)), 10), at(11)), Some(at(36)));
}

#[test]
fn pods_that_were_there_are_not_enough_while_the_replica_set_wants_fewer() {
    let order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    let mut view = shown(3, Some(at(0)), 10);
    view.new.as_mut().unwrap().desired = 2;
    assert_waits(&ask(&order, view, at(SOON)), Some(at(TIMEOUT)));
}

#[test]
fn an_automatic_batch_follows_at_once_in_one_write() {
    let order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    let step = moved(ask(&order, shown(3, Some(at(0)), 10), at(SOON)));
    assert_eq!((step.state, step.step, step.batch), (State::Running, Step::Surge, 1));
    assert_eq!(numbers(&step), (json!(3), json!(3), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&step), [(1, State::Running, Some(6)), (0, State::Succeeded, None)]);
    let patch = patch(&step);
    assert_eq!((patch.template, patch.keep, step.snapshot), (None, Keep::Unchanged, None), "only the first write brings these");

    let mut second = order;
    (second.batch, second.batches[1].started_at) = (1, Some(at(SOON)));
    let step = moved(ask(&second, shown(6, Some(at(0)), 7), at(SOON)));
    assert_eq!((step.batch, numbers(&step)), (2, (json!(4), json!(6), Some(false), Some(GATE_SECONDS))));
}

#[rstest]
#[case::a_person(in_batches(3, Pace::Manual), 3)]
#[case::an_interval(in_batches(3, Pace::Automatic { wait_minutes: 2 }), 3)]
#[case::a_canary(Strategy { canary: 1, batches: 3, pace: AUTOMATIC }, 1)]
fn before_a_wait_the_replaced_pods_go(#[case] strategy: Strategy, #[case] goal: i32) {
    let step = moved(ask(&at_step(Step::Surge, strategy), shown(goal, Some(at(0)), 10), at(SOON)));
    assert_eq!((step.state, step.step, step.batch), (State::Running, Step::Shrink, 0));
    assert_eq!(numbers(&step), (json!(0), json!(goal), None, None));
    assert_eq!(batches(&step), [(0, State::Succeeded, None)]);
}

#[test]
fn after_the_last_batch_the_users_settings_come_back() {
    let mut order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    (order.batch, order.batches[2].started_at) = (2, Some(at(0)));
    let step = moved(ask(&order, shown(10, Some(at(0)), 4), at(SOON)));
    assert_eq!((step.state, step.step), (State::Running, Step::Finish));
    let patch = patch(&step);
    assert_eq!((patch.strategy, patch.min_ready_seconds, patch.progress_deadline_seconds), (Some(own().strategy), Some(5), Some(600)));
    assert_eq!((patch.paused, patch.keep), (Some(false), Keep::Returned));
}

#[test]
fn all_at_once_also_waits_for_the_old_pods_to_go() {
    let order = at_step(Step::Surge, Strategy::ALL_AT_ONCE);
    assert_waits(&ask(&order, shown(10, Some(at(0)), 1), at(SOON)), Some(at(TIMEOUT)));
    let mut behind = shown(10, Some(at(0)), 0);
    behind.status_replicas = 11;
    assert_waits(&ask(&order, behind, at(SOON)), Some(at(TIMEOUT)));
    assert_eq!(moved(ask(&order, shown(10, Some(at(0)), 0), at(SOON))).step, Step::Finish);
}

#[test]
fn a_batch_is_the_same_share_of_another_number_of_pods() {
    let order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    let mut view = shown(3, Some(at(0)), 10);
    view.replicas = 20;
    let step = moved(ask(&order, view, at(SOON)));
    assert_eq!((step.step, step.batch, step.message.as_str()), (Step::Surge, 0, "the Deployment was scaled to 20 pods"));
    assert_eq!(numbers(&step), (json!(6), json!(0), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&step), [(0, State::Running, Some(6))]);
}

#[test]
fn batches_for_which_no_pod_is_left_are_passed_over() {
    let order = at_step(Step::Surge, in_batches(3, AUTOMATIC));
    let mut view = shown(1, Some(at(0)), 0);
    view.replicas = 1;
    let step = moved(ask(&order, view, at(SOON)));
    assert_eq!((step.step, step.batch), (Step::Surge, 2));
    assert_eq!(numbers(&step), (json!(1), json!(0), Some(false), Some(GATE_SECONDS)), "both at 0 would take the last old pod");
    assert_eq!(batches(&step), [(0, State::Succeeded, Some(0)), (1, State::Succeeded, Some(0)), (2, State::Running, Some(1))]);
}

// --- Shrink ---

#[test]
fn the_release_rests_once_the_replaced_pods_are_gone() {
    let order = at_step(Step::Shrink, in_batches(3, Pace::Manual));
    assert_waits(&ask(&order, shown(3, Some(at(0)), 8), at(SOON)), Some(at(TIMEOUT)));
    let mut on_their_way = shown(3, Some(at(0)), 7);
    on_their_way.status_replicas = 11;
    assert_waits(&ask(&order, on_their_way, at(SOON)), Some(at(TIMEOUT)));
    let step = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!((step.state, step.step), (State::WaitingConfirmation, Step::Hold));
    assert_eq!(numbers(&step), (json!(0), json!(1), Some(true), Some(5)), "a normal paused Deployment");
    assert_eq!(patch(&step).progress_deadline_seconds, Some(600));
    assert_eq!(batches(&step), [(1, State::WaitingConfirmation, None)]);
    assert_eq!(step.message, "batch 2 waits for confirmation");
}

#[test]
fn an_interval_is_named_as_such() {
    let order = at_step(Step::Shrink, in_batches(3, Pace::Automatic { wait_minutes: 2 }));
    let step = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!((step.state, step.message.as_str()), (State::WaitingInterval, "batch 2 begins in 2 min"));
}

#[test]
fn another_number_of_pods_while_the_old_ones_go_is_another_share() {
    let order = at_step(Step::Shrink, in_batches(3, Pace::Manual));
    let mut view = shown(3, Some(at(0)), 10);
    view.replicas = 20;
    let step = moved(ask(&order, view, at(SOON)));
    assert_eq!((step.step, numbers(&step)), (Step::Shrink, (json!(0), json!(6), None, None)));
    assert_eq!(batches(&step), [(0, State::Succeeded, Some(6))]);
}

#[test]
fn a_share_of_no_pods_is_never_written_since_kubernetes_refuses_it() {
    let order = at_step(Step::Shrink, in_batches(3, Pace::Manual));
    let mut view = shown(1, Some(at(0)), 1);
    view.replicas = 2;
    let step = moved(ask(&order, view.clone(), at(SOON)));
    assert_eq!((step.step, &step.change), (Step::Shrink, &None), "surge and unavailable cannot both be 0");
    assert_eq!(batches(&step), [(0, State::Succeeded, Some(0))]);
    let mut next = order;
    next.batches[0].target = 0;
    assert_eq!(moved(ask(&next, view, at(SOON))).step, Step::Hold);
}

// --- Hold and Rearm ---

#[test]
fn a_release_rests_until_a_person_confirms_the_batch() {
    let mut order = at_step(Step::Hold, in_batches(3, Pace::Manual));
    let view = || shown(3, Some(at(0)), 7);
    assert_eq!(ask(&order, view(), at(1_000_000)), Decision::Wait { until: None, rest: true });
    order.confirmed = 2;
    let step = moved(ask(&order, view(), at(SOON)));
    assert_eq!((step.state, step.step, step.batch), (State::Running, Step::Rearm, 0));
    assert_eq!(numbers(&step), (Value::Null, Value::Null, None, Some(GATE_SECONDS)), "the gate closes before anything else moves");
    assert_eq!(patch(&step).progress_deadline_seconds, Some(NO_DEADLINE_SECONDS));
    assert_eq!(batches(&step), [(1, State::Ready, None)]);
}

#[test]
fn a_release_rests_until_the_interval_is_over_or_a_person_cuts_it_short() {
    let mut order = at_step(Step::Hold, in_batches(3, Pace::Automatic { wait_minutes: 2 }));
    let view = || shown(3, Some(at(0)), 7);
    assert_eq!(ask(&order, view(), at(119)), Decision::Wait { until: Some(at(120)), rest: true });
    assert_eq!(moved(ask(&order, view(), at(120))).step, Step::Rearm);
    order.confirmed = 2;
    assert_eq!(moved(ask(&order, view(), at(SOON))).step, Step::Rearm);
}

#[test]
fn a_rest_is_no_rest_before_its_change_has_taken_effect() {
    let order = at_step(Step::Hold, in_batches(3, Pace::Manual));
    let mut unseen = shown(3, Some(at(0)), 7);
    unseen.observed = false;
    assert_waits(&ask(&order, unseen, at(1_000_000)), None);
}

#[rstest]
#[case::still_available(GATE_SECONDS, 1, true)]
#[case::gate_not_there_yet(5, 0, true)]
#[case::not_observed(GATE_SECONDS, 0, false)]
fn the_next_batch_waits_until_no_new_pod_counts_as_available(
    #[case] min_ready_seconds: i32,
    #[case] available: i32,
    #[case] observed: bool,
) {
    let order = at_step(Step::Rearm, in_batches(3, Pace::Manual));
    let mut view = shown(3, Some(at(0)), 7);
    let set = view.new.as_mut().unwrap();
    (set.min_ready_seconds, set.available, set.observed) = (min_ready_seconds, available, observed);
    assert_waits(&ask(&order, view, at(SOON)), Some(at(TIMEOUT)));
}

#[test]
fn the_next_batch_begins_behind_a_closed_gate() {
    let order = at_step(Step::Rearm, in_batches(3, Pace::Manual));
    let step = moved(ask(&order, shown(3, Some(at(0)), 7), at(SOON)));
    assert_eq!((step.state, step.step, step.batch), (State::Running, Step::Surge, 1));
    assert_eq!(numbers(&step), (json!(3), json!(3), Some(false), Some(GATE_SECONDS)));
    assert_eq!(batches(&step), [(1, State::Running, Some(6))]);
}

// --- Finish, Done ---

#[test]
fn an_order_ends_well_once_only_new_pods_are_there_and_ready() {
    let order = at_step(Step::Finish, in_batches(3, AUTOMATIC));
    assert_waits(&ask(&order, shown(10, Some(at(0)), 1), at(SOON)), Some(at(TIMEOUT)));
    assert_waits(&ask(&order, shown(10, Some(at(6)), 0), at(SOON)), Some(at(11)));
    let mut behind = shown(10, Some(at(0)), 0);
    behind.status_updated = 9;
    assert_waits(&ask(&order, behind, at(SOON)), Some(at(TIMEOUT)));
    let step = moved(ask(&order, shown(10, Some(at(0)), 0), at(SOON)));
    assert_eq!((step.state, step.step, &step.change, step.roll_back), (State::Succeeded, Step::Done, &None, false));
    assert_eq!(batches(&step), [(2, State::Succeeded, None)]);
}

#[rstest]
#[case(State::Succeeded)]
#[case(State::Failed)]
#[case(State::Aborted)]
#[case(State::SystemFailed)]
fn nothing_follows_the_end(#[case] state: State) {
    let order = Order { state, ..at_step(Step::Done, in_batches(3, AUTOMATIC)) };
    for observation in [Observation::Unknown, Observation::Absent, Observation::Present(Box::new(untouched()))] {
        assert_eq!(decide(&order, &observation, at(1_000_000)), Decision::Wait { until: None, rest: true });
    }
}
