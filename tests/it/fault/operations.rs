//! The same of the operations beside releases: every write of a scale, stop, start,
//! restart and deletion is refused, lost, or made and its answer lost; and the executor
//! dies at each.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use domain::{ApplicationId, OrderId, order::State};
use service::{OrderView, Scale, Start};
use simulated::{Call, Fault};
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::OLD;
use crate::support::{App, DEADLINE, caller, eventually, watcher::Watch};

/// What is done to an application of three pods, one after the other: how many writes
/// it takes, and how many pods there are then; none = no Deployment any more.
const LIFE: [(Operation, usize, Option<i32>); 6] = [
    (Operation::Scale(5), 1, Some(5)),
    (Operation::Scale(2), 1, Some(2)),
    (Operation::Stop, 1, Some(0)),
    (Operation::Start, 1, Some(2)),
    // The native rolling update, and the user's settings back.
    (Operation::Restart, 2, Some(2)),
    (Operation::Delete, 1, None),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Scale(i32),
    Stop,
    Start,
    Restart,
    Delete,
}

/// A write to the Deployment; a deletion names no field manager.
fn is_write(call: &Call) -> bool {
    let patches = call.verb == "patch" && call.manager == "sluice";
    (patches || call.verb == "delete") && call.resource == "deployments"
}

async fn order(app: &App, application: ApplicationId, operation: Operation) -> OrderId {
    let (service, caller) = (&app.service, caller());
    let ordered = match operation {
        Operation::Scale(replicas) => {
            service.scale(&caller, Scale { application, replicas, timeout_seconds: None }).await
        }
        Operation::Stop => service.stop(&caller, application, None).await,
        Operation::Start => {
            service
                .start(&caller, Start { application, replicas: None, timeout_seconds: None })
                .await
        }
        Operation::Restart => service.restart(&caller, application, None).await,
        Operation::Delete => service.delete(&caller, application).await,
    };
    ordered.unwrap()
}

/// It ended well, and is as it should be.
async fn check(app: &App, name: &str, watch: &Watch, order: &OrderView, pods: Option<i32>) {
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let deployment = app.deployments().get_opt(name).await.unwrap();
    assert_eq!(
        deployment.and_then(|it| it.spec).and_then(|spec| spec.replicas),
        pods,
        "{order:#?}"
    );
    eventually(async || {
        let now = watch.now();
        if now.of(OLD) == pods.unwrap_or(0) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_write_may_be_refused_or_lost_before_or_after_it_is_made(pool: PgPool) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let faults = [Fault::LoseRequest, Fault::LoseAnswer, Fault::Refuse(500), Fault::Refuse(429)];
    for (number, fault) in faults.into_iter().enumerate() {
        let name = format!("web-{number}");
        let application = app.create(&name, 3).await;
        let watch = app.watch(&name).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let again = {
            let asked = asked.clone();
            // Every write fails once; the same one again is let through.
            move |call: &Call| {
                is_write(call) && asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(2)
            }
        };
        simulation.fail_next(usize::MAX, fault.clone(), again);
        for (operation, writes, pods) in LIFE {
            let before = asked.load(Ordering::Relaxed);
            let id = order(&app, application, operation).await;
            let ended = app.end_of(id).await;
            check(&app, &name, &watch, &ended, pods).await;
            // What is deleted needs no second deletion.
            let found_gone =
                usize::from(operation == Operation::Delete && fault == Fault::LoseAnswer);
            let expected = 2 * writes - found_gone;
            assert_eq!(
                asked.load(Ordering::Relaxed) - before,
                expected,
                "{operation:?} {fault:?}: none was made needlessly"
            );
        }
        simulation.clear_faults();
    }
}

/// Lets an executor die at every write, and another follow.
async fn die_at_each_write(mut app: App, fault: Fault) {
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 3).await;
    let watch = app.watch("web").await;
    let (struck, mut strikes) = mpsc::unbounded_channel();
    let turn = AtomicUsize::new(0);
    simulation.fail_next(usize::MAX, fault, move |call: &Call| {
        let strikes = is_write(call) && turn.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
        strikes && struck.send(()).is_ok()
    });
    for (operation, writes, pods) in LIFE {
        let id = order(&app, application, operation).await;
        for write in 1..=writes {
            let died = tokio::time::timeout(DEADLINE, strikes.recv()).await;
            assert!(
                died.is_ok_and(|died| died.is_some()),
                "write {write} of {operation:?} never came"
            );
            app.crash();
        }
        let ended = app.end_of(id).await;
        check(&app, "web", &watch, &ended, pods).await;
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_may_die_before_each_write_is_made(pool: PgPool) {
    die_at_each_write(App::start(pool).await, Fault::LoseRequest).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_may_die_after_each_write_is_made_and_before_it_is_recorded(pool: PgPool) {
    die_at_each_write(App::start(pool).await, Fault::LoseAnswer).await;
}
