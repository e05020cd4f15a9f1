//! The rules of the Deployment controller, looked at after every step.
//!
//! Single rules first, then properties over sizes, budgets and orders in which the
//! controllers work. What is compared with a real cluster is in `tests/cluster`.

use std::cell::Cell;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::field::count;
use super::super::workbench::Workbench;

const OLD: &str = "shop/web:1";
const NEW: &str = "shop/web:2";

fn budget(surge: &Value, unavailable: &Value) -> Value {
    json!({"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}})
}

fn gate(on: bool) -> Value {
    if on {
        json!({"minReadySeconds": i32::MAX - 1, "progressDeadlineSeconds": i32::MAX})
    } else {
        json!({"minReadySeconds": 0, "progressDeadlineSeconds": 600})
    }
}

fn min_ready(bench: &Workbench) -> Vec<i32> {
    let sets = bench.sets();
    sets.iter().map(|set| count(set, "/spec/minReadySeconds")).collect()
}

#[test]
fn only_the_new_set_is_given_the_minimum_ready_time() {
    let mut bench = Workbench::new(None);
    bench.deploy(4, OLD, &json!({}));
    let armed = [gate(true), Workbench::image(NEW), budget(&json!(1), &json!(0))];
    bench.patch(&armed);
    bench.settle();
    assert_eq!(min_ready(&bench), [0, i32::MAX - 1]);
    assert_eq!(bench.sizes(), [4, 1]);
}

#[test]
fn an_annotation_of_the_deployment_reaches_its_new_set_only() {
    let mut bench = Workbench::new(None);
    bench.deploy(1, OLD, &json!({}));
    bench.patch(&[Workbench::image(NEW)]);
    bench.settle();
    let key = Workbench::web();
    bench
        .world
        .edit(super::CONTROLLERS, &key, super::Half::Spec, |web| {
            web["metadata"]["annotations"]["team"] = json!("shop")
        })
        .unwrap();
    bench.settle();
    let teams: Vec<_> =
        bench.sets().iter().map(|set| set["metadata"]["annotations"]["team"].clone()).collect();
    assert_eq!(teams, [Value::Null, json!("shop")]);
}

#[test]
fn sick_old_pods_go_first_and_no_more_than_the_budget_allows() {
    let mut bench = Workbench::new(None);
    bench.deploy(6, OLD, &budget(&json!(0), &json!(3)));
    // Every old pod falls sick: none is available, so all may go but for the
    // budget of what the new set has room for.
    super::super::kubelet::override_image(
        &mut bench.world,
        OLD,
        super::super::Behaviour::NeverReady,
        true,
    );
    bench.settle();
    assert_eq!(bench.pods(Some(OLD)), (6, 0));
    bench.patch(&[Workbench::image("shop/web:2--never-ready")]);
    bench.settle();
    // 6 + 0 in all, at least 3 wanted of which none is available: 3 sick ones go,
    // 3 new ones come and are sick too, and it rests.
    assert_eq!(bench.sizes(), [3, 3]);
}

#[test]
fn a_size_of_zero_takes_every_set_to_zero() {
    let mut bench = Workbench::new(None);
    bench.deploy(4, OLD, &json!({}));
    bench.patch(&[Workbench::image("shop/web:2--never-ready")]);
    bench.settle();
    assert_eq!(bench.sizes(), [3, 2]);
    bench.patch(&[json!({"replicas": 0})]);
    bench.settle();
    assert_eq!(bench.sizes(), [0, 0]);
    assert_eq!(bench.pods(None), (0, 0));
}

#[test]
fn a_full_new_set_ends_the_old_ones_even_while_paused() {
    let mut bench = Workbench::new(None);
    bench.deploy(2, OLD, &json!({}));
    bench.patch(&[gate(true), Workbench::image(NEW), budget(&json!(2), &json!(0))]);
    bench.settle();
    assert_eq!(bench.sizes(), [2, 2]);
    bench.patch(&[gate(false), json!({"paused": true})]);
    bench.settle();
    assert_eq!(bench.sizes(), [0, 2]);
}

#[test]
fn a_paused_deployment_makes_no_set_for_a_new_template() {
    let mut bench = Workbench::new(None);
    bench.deploy(2, OLD, &json!({}));
    bench.patch(&[json!({"paused": true}), Workbench::image(NEW)]);
    bench.settle();
    assert_eq!(bench.sizes(), [2]);
    bench.patch(&[json!({"paused": null})]);
    bench.settle();
    assert_eq!(bench.sizes(), [0, 2]);
}

#[test]
fn switched_to_recreate_in_the_middle_it_stops_everything_old_first() {
    let mut bench = Workbench::new(None);
    bench.deploy(3, OLD, &json!({}));
    bench.patch(&[
        Workbench::image(NEW),
        json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}),
    ]);
    bench.settle_and(|bench| {
        let (old, _) = bench.pods(Some(OLD));
        let (new, _) = bench.pods(Some(NEW));
        assert!(old == 0 || new == 0, "{old} old and {new} new");
    });
    assert!(bench.is_complete());
}

/// Goes on from a hold at 3 of 10 to 6, having armed the gate before or at the same
/// time as resuming; the fewest ready pods on the way and the new pods in the end.
fn go_on_from_a_hold(seed: u64, armed_before: bool) -> (i32, i32) {
    let mut bench = Workbench::new(Some(seed));
    bench.deploy(10, OLD, &json!({}));
    bench.patch(&[gate(true), Workbench::image(NEW), budget(&json!(3), &json!(0))]);
    bench.settle();
    bench.patch(&[budget(&json!(0), &json!(3))]);
    bench.settle();
    bench.patch(&[gate(false), json!({"paused": true}), budget(&json!(0), &json!(1))]);
    bench.settle();
    assert_eq!(bench.sizes(), [7, 3]);
    if armed_before {
        bench.patch(&[gate(true)]);
        bench.settle();
    }
    bench.patch(&[gate(true), json!({"paused": null}), budget(&json!(3), &json!(3))]);
    let fewest = Cell::new(i32::MAX);
    bench.settle_and(|bench| fewest.set(fewest.get().min(bench.pods(None).1)));
    (fewest.get(), bench.sizes()[1])
}

#[test]
fn a_hold_must_be_armed_before_it_is_resumed() {
    let run = |armed_before| -> (Vec<i32>, Vec<i32>) {
        (0..40).map(|seed| go_on_from_a_hold(seed, armed_before)).unzip()
    };
    let (ready, new) = run(true);
    assert_eq!((ready.iter().min(), new.iter().max()), (Some(&10), Some(&6)));
    // All at once, the new set's pods may still count as available when the budget
    // grows: as many old ones go before the next are ready, and are replaced by
    // new ones beyond the batch.
    let (ready, new) = run(false);
    assert_eq!((ready.iter().min(), new.iter().max()), (Some(&7), Some(&9)));
}

/// A number or a percentage, as `maxSurge` and `maxUnavailable` take them.
fn share() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..6_i32).prop_map(|number| json!(number)),
        (0..=100_i32).prop_map(|share| json!(format!("{share}%"))),
    ]
}

/// What a share comes to.
fn resolved(share: &Value, size: i32, up: bool) -> i32 {
    match share.as_str() {
        None => i32::try_from(share.as_i64().unwrap()).unwrap(),
        Some(text) => {
            let percent: i32 = text.trim_end_matches('%').parse().unwrap();
            (percent * size + if up { 99 } else { 0 }) / 100
        }
    }
}

/// Sizes of batches that make up a release, as running totals.
fn plan() -> impl Strategy<Value = (i32, Vec<i32>)> {
    (1..=12_i32).prop_flat_map(|size| {
        let all: Vec<i32> = (1..size).collect();
        let most = all.len().min(5);
        (
            Just(size),
            proptest::sample::subsequence(all, 0..=most).prop_map(move |mut totals| {
                totals.push(size);
                totals
            }),
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rolling_update_keeps_to_its_budget_in_any_order_of_the_controllers(
        size in 0..10_i32,
        surge in share(),
        unavailable in share(),
        seed in any::<u64>(),
    ) {
        let zero = |share: &Value| *share == json!(0) || *share == json!("0%");
        prop_assume!(!(zero(&surge) && zero(&unavailable)));
        let most = resolved(&surge, size, true);
        let missing = match resolved(&unavailable, size, false).min(size) {
            0 if most == 0 => 1,
            number => number,
        };
        let mut bench = Workbench::new(Some(seed));
        bench.deploy(size, OLD, &budget(&surge, &unavailable));
        prop_assert!(bench.is_complete());
        bench.patch(&[Workbench::image(NEW)]);
        bench.settle_and(|bench| {
            assert!(bench.sizes().iter().sum::<i32>() <= size + most);
            assert!(bench.pods(None).1 >= size - missing);
        });
        prop_assert!(bench.is_complete());
        prop_assert_eq!(bench.sizes(), [0, size]);
    }

    #[test]
    fn a_gated_release_rests_at_each_batch_and_never_lacks_a_ready_pod(
        (size, totals) in plan(),
        seed in any::<u64>(),
        give_up in proptest::option::of(0..5_usize),
    ) {
        let mut bench = Workbench::new(Some(seed));
        bench.deploy(size, OLD, &json!({}));
        bench.patch(&[gate(true), Workbench::image(NEW)]);
        let mut before = 0;
        for (i, total) in totals.iter().enumerate() {
            let batch = [budget(&json!(total - before), &json!(before))];
            bench.patch(&batch);
            let check = |bench: &Workbench| {
                assert!(bench.pods(None).1 >= size, "a ready pod is missing");
                assert!(bench.pods(Some(NEW)).0 <= *total, "more than the batch");
            };
            bench.settle_and(check);
            prop_assert_eq!(bench.sizes(), [size - before, *total]);
            prop_assert_eq!(bench.pods(Some(NEW)), (*total, *total));
            // The same again, and a look from another side, change nothing.
            bench.patch(&batch);
            bench.settle_and(check);
            prop_assert_eq!(bench.sizes(), [size - before, *total]);
            before = *total;
            if give_up == Some(i) {
                bench.patch(&[
                    gate(false),
                    Workbench::image(OLD),
                    budget(&json!("100%"), &json!(0)),
                ]);
                bench.settle_and(|bench| {
                    assert!(bench.pods(None).1 >= size, "a ready pod is missing");
                });
                prop_assert!(bench.is_complete());
                prop_assert_eq!(bench.sizes(), [0, size]);
                prop_assert_eq!(bench.pods(Some(OLD)), (size, size));
                return Ok(());
            }
        }
        bench.patch(&[gate(false), budget(&json!("25%"), &json!("25%"))]);
        bench.settle_and(|bench| {
            assert!(bench.pods(None).1 >= size, "a ready pod is missing");
        });
        prop_assert!(bench.is_complete());
        prop_assert_eq!(bench.pods(None), (size, size));
        prop_assert_eq!(bench.pods(Some(NEW)), (size, size));
    }

    #[test]
    fn a_held_release_shares_any_size_and_wants_just_that(
        sizes in proptest::collection::vec(2..30_i32, 1..6),
        seed in any::<u64>(),
    ) {
        let mut bench = Workbench::new(Some(seed));
        bench.deploy(10, OLD, &json!({}));
        bench.patch(&[
            gate(true),
            Workbench::image(NEW),
            budget(&json!(3), &json!(0)),
        ]);
        bench.settle();
        bench.patch(&[budget(&json!(0), &json!(3))]);
        bench.settle();
        let hold = [gate(false), json!({"paused": true}), budget(&json!(0), &json!(1))];
        bench.patch(&hold);
        bench.settle();
        prop_assert_eq!(bench.sizes(), [7, 3]);
        for size in sizes {
            bench.patch(&[json!({"replicas": size})]);
            bench.settle();
            let shares = bench.sizes();
            prop_assert_eq!(shares.iter().sum::<i32>(), size);
            prop_assert!(shares.iter().all(|share| *share >= 0));
            prop_assert_eq!(bench.pods(None), (size, size));
        }
    }
}
