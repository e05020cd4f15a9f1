//! Settings of several hands: what Sluice writes of them is what Kubernetes takes.

use proptest::{
    prelude::{Just, prop, prop_assert_eq, prop_oneof, proptest},
    strategy::Strategy as Chosen,
};

use super::{
    hands::{at_work, order_at},
    *,
};

/// Why the API server refuses these settings, as `ValidateDeploymentSpec` of apps/v1 does.
fn refusal(settings: &BorrowedSettings) -> Option<&'static str> {
    let (seconds, deadline) = (settings.min_ready_seconds, settings.progress_deadline_seconds);
    if seconds < 0 || deadline < 0 {
        return Some("must be greater than or equal to 0");
    }
    if deadline <= seconds {
        return Some("must be greater than minReadySeconds");
    }
    let bounds = &settings.strategy["rollingUpdate"];
    if settings.strategy["type"] == "Recreate" {
        return (!bounds.is_null()).then_some("may not be specified when strategy is Recreate");
    }
    // As getIntOrPercentValue: the number, or that of the percentage.
    let value = |name: &str| match &bounds[name] {
        Value::String(share) => share.trim_end_matches('%').parse::<i64>().unwrap(),
        number => number.as_i64().unwrap(),
    };
    let is_share = bounds["maxUnavailable"].is_string();
    if value("maxSurge") == 0 && value("maxUnavailable") == 0 {
        return Some("may not be 0 when maxSurge is 0");
    }
    (is_share && value("maxUnavailable") > 100).then_some("must not be greater than 100%")
}

fn with(settings: BorrowedSettings, order: &mut Order, view: &mut DeploymentView) {
    order.hands.written.min_ready_seconds = Some(settings.min_ready_seconds);
    order.hands.written.progress_deadline_seconds = Some(settings.progress_deadline_seconds);
    order.hands.written.strategy = Some(settings.strategy.clone());
    view.settings = BorrowedSettings { paused: view.settings.paused, ..settings };
}

#[test]
fn no_surge_of_one_hand_and_none_missing_of_another_become_one_that_may_be_missing() {
    for (own_bounds, written, theirs, kept) in [
        ((json!(1), json!(0)), (3, 3), (json!(0), json!(3)), (json!(0), json!(1))),
        ((json!("0%"), json!(2)), (3, 3), (json!(3), json!("0%")), (json!(1), json!("0%"))),
        ((json!(1), json!(1)), (3, 3), (json!(0), json!(3)), (json!(0), json!(1))),
    ] {
        let (mut order, mut view) = (order_at(Step::BringUp), at_work(Step::BringUp));
        let before = &mut order.snapshot.as_mut().unwrap().settings;
        before.strategy = rolling(own_bounds.0, own_bounds.1);
        let strategy = rolling(written.0, written.1);
        with(BorrowedSettings { strategy, ..view.settings.clone() }, &mut order, &mut view);
        view.settings.strategy = rolling(theirs.0, theirs.1);
        let answer = moved(ask(&order, view, at(SOON)));
        let taken = answer.snapshot.as_ref().unwrap().settings.clone();
        assert_eq!(taken.strategy, rolling(kept.0, kept.1));
        let is_told = answer.message.contains("since Kubernetes wants maxSurge or maxUnavailable");
        assert_eq!(is_told, before_differs(&order, &taken), "{}", answer.message);
    }
}

/// Whether both bounds are others than before.
fn before_differs(order: &Order, taken: &BorrowedSettings) -> bool {
    let before = &order.snapshot.as_ref().unwrap().settings.strategy["rollingUpdate"];
    ["maxSurge", "maxUnavailable"]
        .iter()
        .all(|name| before[*name] != taken.strategy["rollingUpdate"][*name])
}

#[test]
fn a_deadline_stays_above_the_seconds_that_somebody_else_set() {
    // Behind the gate any seconds are taken, since there is no deadline.
    let order = order_at(Step::BringUp);
    let mut view = at_work(Step::BringUp);
    view.settings.min_ready_seconds = 900;
    let answer = moved(ask(&order, view, at(SOON)));
    let taken = answer.snapshot.unwrap().settings;
    assert_eq!((taken.min_ready_seconds, taken.progress_deadline_seconds), (900, 1495));
    let says = "progressDeadlineSeconds is 1495 then, since Kubernetes wants";
    assert!(answer.message.contains(says), "{}", answer.message);
    // A deadline is above the seconds of the release, and not above those of before.
    let (mut order, mut view) = (order_at(Step::Paused), at_work(Step::Paused));
    order.snapshot.as_mut().unwrap().settings.min_ready_seconds = 40;
    order.target.min_ready_seconds = Some(5);
    view.settings.progress_deadline_seconds = 35;
    let taken = moved(ask(&order, view, at(SOON))).snapshot.unwrap().settings;
    assert_eq!((taken.min_ready_seconds, taken.progress_deadline_seconds), (34, 35));
}

fn bound() -> impl Chosen<Value = Value> {
    prop_oneof![
        (0..3i32).prop_map(Value::from),
        prop_oneof![Just(0), Just(25), Just(100)].prop_map(|share| format!("{share}%").into()),
    ]
}

fn settings() -> impl Chosen<Value = BorrowedSettings> {
    let seconds = || prop_oneof![0..4i32, Just(GATE_SECONDS), Just(i32::MAX)];
    (seconds(), seconds(), bound(), bound(), prop::bool::weighted(0.1)).prop_map(
        |(min_ready_seconds, progress_deadline_seconds, surge, unavailable, recreates)| {
            let strategy =
                if recreates { json!({ "type": "Recreate" }) } else { rolling(surge, unavailable) };
            BorrowedSettings {
                min_ready_seconds,
                progress_deadline_seconds,
                strategy,
                paused: false,
            }
        },
    )
}

fn accepted_ones() -> impl Chosen<Value = BorrowedSettings> {
    settings().prop_filter("Kubernetes takes it", |it| refusal(it).is_none())
}

proptest! {
    #[test]
    fn what_is_taken_over_of_others_is_what_kubernetes_takes(
        own in accepted_ones(),
        written in accepted_ones(),
        theirs in accepted_ones(),
    ) {
        let (mut order, mut view) = (order_at(Step::BringUp), at_work(Step::BringUp));
        order.snapshot.as_mut().unwrap().settings = own;
        with(written.clone(), &mut order, &mut view);
        view.settings = theirs.clone();
        if written == theirs {
            return Ok(());
        }
        let taken = moved(ask(&order, view, at(SOON))).snapshot.unwrap().settings;
        prop_assert_eq!(refusal(&taken), None, "{:?}", taken);
        // What somebody set is what holds.
        if written.min_ready_seconds != theirs.min_ready_seconds {
            prop_assert_eq!(taken.min_ready_seconds, theirs.min_ready_seconds);
        } else if written.progress_deadline_seconds != theirs.progress_deadline_seconds {
            prop_assert_eq!(taken.progress_deadline_seconds, theirs.progress_deadline_seconds);
        }
    }
}
