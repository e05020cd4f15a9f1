//! Every number of pods with every number of batches and every pace, on the
//! simulated cluster, and a dozen of these on a real control plane: the plan is
//! kept exactly, whatever the numbers.

use domain::order::{
    State,
    plan::{BatchGate, Strategy},
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DeleteParams;
use sqlx::PgPool;

use crate::support::{App, batches, canary, manual};

const NEW: &str = "shop/web:2.0";

/// Applications released at the same time.
const ABREAST: usize = 4;

macro_rules! plans_with {
    ($($test:ident: $replicas:literal pods, $cases:literal plans;)*) => {$(
        #[sqlx::test(migrator = "store::MIGRATIONS")]
        async fn $test(pool: PgPool) {
            every_plan_is_kept(pool, $replicas, $cases).await;
        }
    )*};
}

plans_with! {
    every_plan_for_1_pod_is_kept: 1 pods, 3 plans;
    every_plan_for_2_pods_is_kept: 2 pods, 5 plans;
    every_plan_for_3_pods_is_kept: 3 pods, 8 plans;
    every_plan_for_7_pods_is_kept: 7 pods, 19 plans;
    every_plan_for_10_pods_is_kept: 10 pods, 21 plans;
    every_plan_for_50_pods_is_kept: 50 pods, 21 plans;
}

async fn every_plan_is_kept(pool: PgPool, replicas: i32, expected: usize) {
    let app = App::start(pool).await;
    let plans = (1..=7)
        .flat_map(|count| [batches(count), manual(count), canary((replicas / 2).min(2), count)]);
    let possible = plans.filter(|plan| plan.fits(replicas).is_ok());
    let possible: Vec<Strategy> = possible.collect();
    assert_eq!(possible.len(), expected, "{possible:?}");
    let results = stream::iter(possible.into_iter().enumerate())
        .map(|(number, strategy)| check(&app, number, replicas, strategy))
        .buffer_unordered(ABREAST);
    results.try_collect::<Vec<()>>().await.unwrap();
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_dozen_plans_are_kept_on_a_real_control_plane(pool: PgPool) {
    let app = App::start_real(pool).await;
    let plans = [
        (1, batches(1)),
        (2, batches(2)),
        (2, canary(1, 1)),
        (3, manual(2)),
        (3, batches(3)),
        (7, batches(4)),
        (7, manual(3)),
        (7, canary(2, 3)),
        (10, batches(5)),
        (10, manual(7)),
        (10, canary(2, 2)),
        (50, batches(7)),
    ];
    let results = stream::iter(plans.into_iter().enumerate())
        .map(|(number, (replicas, strategy))| check(&app, number, replicas, strategy))
        .buffer_unordered(ABREAST);
    results.try_collect::<Vec<()>>().await.unwrap();
}

async fn check(app: &App, number: usize, replicas: i32, strategy: Strategy) -> Result<(), String> {
    let name = format!("web-{number}");
    let application = app.create(&name, replicas).await;
    let watch = app.watch(&name).await;
    let order = app.deploy(application, NEW, strategy).await;
    for index in 0..strategy.count() {
        if strategy.batch_gate_after(index) != BatchGate::Confirmation {
            continue;
        }
        app.order_when(order, |order| {
            order.state == State::WaitingConfirmation
                && order.batches[index + 1].state == State::WaitingConfirmation
        })
        .await;
        let most = watch.most(NEW);
        let planned = strategy.cumulative(index, replicas);
        if most != planned {
            return Err(format!(
                "{replicas} pods, {strategy:?}: {most} new pods after batch {}, not {planned}",
                index + 1
            ));
        }
        app.confirm(order, index + 2).await;
    }
    let order = app.end_of(order).await;
    let wanted = watch.most_wanted();
    let seen = watch.end();
    // Leaves room for the others.
    app.deployments().delete(&name, &DeleteParams::default()).await.unwrap();
    let numbers: Vec<i32> = seen.iter().map(|sample| sample.of(NEW)).collect();
    let rests: Vec<i32> =
        (0..strategy.count()).map(|index| strategy.cumulative(index, replicas)).collect();
    let brought: Vec<usize> = order.batches.iter().map(|batch| batch.pods.len()).collect();
    let planned: Vec<usize> = (0..strategy.count())
        .map(|index| usize::try_from(strategy.size(index, replicas)).unwrap())
        .collect();
    // Old and new together never exceed the pods plus the batch under way. All at
    // once goes by the user's own surge of 25 %, rounded up.
    let surge = |new: i32| match (strategy.count(), rests.iter().position(|rest| *rest >= new)) {
        (1, _) => (replicas + 3) / 4,
        (_, Some(index)) => strategy.size(index, replicas),
        (_, None) => 0,
    };
    let most = replicas + rests.iter().map(|rest| surge(*rest)).max().unwrap_or(0);
    // Pods themselves may be more for a moment on a busy real cluster.
    let strict = app.simulation.is_some();
    let problems = [
        (order.state != State::Succeeded, "it did not succeed"),
        (numbers.windows(2).any(|pair| pair[1] < pair[0]), "new pods went back"),
        (numbers.last() != Some(&replicas), "not all pods are new"),
        (!rests.iter().all(|rest| numbers.contains(rest)), "a batch was left out"),
        (seen.iter().any(|sample| sample.ready < replicas), "Ready pods went missing"),
        (brought != planned, "a batch brought another number of pods than planned"),
        (wanted > most, "too many pods were wanted at once"),
        (
            strict
                && seen.iter().any(|sample| {
                    sample.pods.values().sum::<i32>() > replicas + surge(sample.of(NEW))
                }),
            "too many pods at once",
        ),
    ];
    match problems.iter().find(|(wrong, _)| *wrong) {
        Some((_, what)) => Err(format!(
            "{replicas} pods, {strategy:?}: {what}: {} {brought:?} {seen:#?}",
            order.message
        )),
        None => Ok(()),
    }
}
