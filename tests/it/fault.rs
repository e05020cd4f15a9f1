//! What may go wrong at any moment goes wrong at every moment: requests and
//! answers are lost, executors die between any two writes, watches break, the
//! database goes away. Batches stay whole, and the order reaches its end.

mod answers;
mod commit;
mod database;
mod operations;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use domain::{ApplicationId, order::State};
use simulated::{Call, Fault};
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::support::{
    App, eventually, manual,
    watcher::{Sample, Watch},
};

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

/// Writes of a release in three batches that a person confirms: each of the two
/// waits takes three (the old pods go, rest, the gate closes again).
const WRITES: usize = 3 + 1 + 2 * 3;

fn is_ours(call: &Call) -> bool {
    call.verb == "patch"
        && call.resource == "deployments"
        && call.manager == "sluice"
        && !call.dry_run
}

/// Nothing went missing, nothing came twice, nothing went back.
fn assert_exact(seen: &[Sample], pods: i32, batch: i32) {
    assert!(seen.iter().all(|sample| sample.ready >= pods), "Ready fell under {pods}: {seen:#?}");
    assert!(
        seen.iter().all(|sample| sample.of(NEW) + sample.of(OLD) <= pods + batch),
        "more than one batch at once: {seen:#?}"
    );
    assert!(
        seen.windows(2).all(|pair| pair[0].of(NEW) <= pair[1].of(NEW)),
        "{NEW} went back: {seen:#?}"
    );
    assert_eq!(
        seen.last().map(|sample| (sample.of(NEW), sample.of(OLD))),
        Some((pods, 0)),
        "{seen:#?}"
    );
}

/// Releases six pods in three batches, confirming each, and checks that they came
/// as planned.
async fn release_whole(app: &App, name: &str, application: ApplicationId) {
    let watch = app.watch(name).await;
    let order = app.deploy(application, NEW, manual(3)).await;
    for (number, rest) in [(2, 2), (3, 4)] {
        app.confirm_at_rest(order, number, &watch, NEW, rest).await;
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(order.batches.iter().map(|batch| batch.pods.len()).collect::<Vec<_>>(), [2, 2, 2]);
    settled(&watch).await;
    assert_exact(&watch.end(), 6, 2);
}

async fn settled(watch: &Watch) {
    eventually(async || {
        let now = watch.now();
        if (now.of(NEW), now.of(OLD)) == (6, 0) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_write_may_be_refused_or_lost_before_or_after_it_is_made(pool: PgPool) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let faults = [
        Fault::LoseRequest,
        Fault::LoseAnswer,
        Fault::Refuse(500),
        Fault::Refuse(503),
        Fault::Refuse(409),
        Fault::Refuse(429),
        Fault::Throttle(1),
        Fault::Deny,
        // A time-out after the write took effect.
        Fault::CarryOutAndRefuse(504),
        Fault::CarryOutAndRefuse(500),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let name = format!("web-{number}");
        let application = app.create(&name, 6).await;
        let struck = Arc::new(AtomicUsize::new(0));
        // Every write fails once; the same one again is let through.
        let again = {
            let struck = struck.clone();
            move |call: &Call| {
                is_ours(call) && struck.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
            }
        };
        simulation.fail_next(usize::MAX, fault, again);
        release_whole(&app, &name, application).await;
        simulation.clear_faults();
        assert_eq!(
            struck.load(Ordering::Relaxed),
            2 * WRITES,
            "each of the order's writes failed once, and none was made needlessly"
        );
    }
}

/// Lets an executor die at every write of a release, and another follow.
async fn die_at_each_write(mut app: App, fault: Fault) {
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    let (struck, mut strikes) = mpsc::unbounded_channel();
    let turn = AtomicUsize::new(0);
    simulation.fail_next(usize::MAX, fault, move |call: &Call| {
        let strikes = is_ours(call) && turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        strikes && struck.send(()).is_ok()
    });
    let order = app.deploy(application, NEW, manual(3)).await;
    for (write, rest) in (1..=WRITES).zip([
        None,
        None,
        None,
        Some((2, 2)),
        None,
        None,
        None,
        Some((3, 4)),
        None,
        None,
    ]) {
        // It dies with the write made or not, and nobody was told which.
        if let Some((number, rest)) = rest {
            app.confirm_at_rest(order, number, &watch, NEW, rest).await;
        }
        let died = tokio::time::timeout(crate::support::DEADLINE, strikes.recv()).await;
        assert!(died.is_ok_and(|died| died.is_some()), "write {write} of {WRITES} never came");
        app.crash();
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    settled(&watch).await;
    assert_exact(&watch.end(), 6, 2);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_may_die_before_each_write_is_made(pool: PgPool) {
    die_at_each_write(App::start(pool).await, Fault::LoseRequest).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_may_die_after_each_write_is_made_and_before_it_is_recorded(pool: PgPool) {
    die_at_each_write(App::start(pool).await, Fault::LoseAnswer).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn watches_may_break_and_expire_at_any_moment(pool: PgPool) {
    // Without a watch of the test's own, which would break as well.
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    let order = app.deploy(application, NEW, manual(3)).await;
    for number in [2, 3] {
        simulation.drop_watches();
        app.confirm(order, number).await;
        simulation.expire_watches();
        simulation.drop_watches();
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(order.batches.iter().map(|batch| batch.pods.len()).collect::<Vec<_>>(), [2, 2, 2]);
    let watch = app.watch("web").await;
    settled(&watch).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_database_may_drop_every_connection_at_any_moment(pool: PgPool) {
    let app = App::start(pool.clone()).await;
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, crate::support::batches(6)).await;
    for seen in 1..=5 {
        eventually(async || {
            if watch.now().of(NEW) >= seen { Ok(()) } else { Err(format!("{:?}", watch.now())) }
        })
        .await;
        // Also this test's own connections; its requests then fail, and are made again.
        let _ = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&pool)
        .await;
    }
    let order = eventually(async || match app.service.order(order).await {
        Ok(view) if view.state.is_final() => Ok(view),
        Ok(view) => Err(format!("{view:#?}")),
        Err(error) => Err(error.to_string()),
    })
    .await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    settled(&watch).await;
    assert_exact(&watch.end(), 6, 1);
}

/// A webhook that is down answers 500 for every write; a person who looks must see it.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_keeps_a_change_from_being_made_is_named_in_the_order_while_it_lasts(pool: PgPool) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    simulation.fail_next(usize::MAX, Fault::Refuse(500), is_ours);
    let order = app.deploy(application, NEW, manual(3)).await;
    let named = |order: &service::OrderView| order.message.contains("cannot be made now");
    let named = app.order_when(order, named).await;
    assert!(named.state == State::Running && named.message.contains("500"), "{named:#?}");
    simulation.clear_faults();
    let rests = app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    assert!(!rests.message.contains("cannot be made"), "{rests:#?}");
}

/// It would be tried for ever, and no deadline would count.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_step_back_that_the_cluster_refuses_for_good_ends_and_says_why(pool: PgPool) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(3)).await;
    app.confirm_at_rest(order, 2, &watch, NEW, 2).await;
    app.order_when(order, |order| order.batches[1].state == State::Succeeded).await;
    let of_sets = |call: &Call| call.verb == "patch" && call.resource == "replicasets";
    simulation.fail_next(usize::MAX, Fault::Refuse(403), of_sets);
    app.service.step_back(&crate::support::caller(), order, Some(1)).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    assert!(order.message.contains("the cluster refused the change"), "{order:#?}");
}
