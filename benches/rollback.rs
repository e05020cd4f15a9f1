//! How fast a release goes back, on a real control plane: `make bench-rollback`.
//!
//! Prints two things, each measured in this run on this cluster. First, from the
//! watch event in which Kubernetes shows why a pod cannot start until the watch
//! event of the write that brings the old version back. Second, how long a release
//! that is half way takes to go back, beside `kubectl rollout undo` of the same
//! application with two strategies. Times are read from one watch, so both sides
//! of each comparison have the same delay. Nothing here passes or fails.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on ends")]

#[path = "../tests/it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "made for the tests; the benchmark needs a part of it"
)]
mod support;

use std::{
    collections::HashMap,
    process::Stdio,
    time::{Duration, Instant},
};

use domain::order::State;
use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, ResourceExt},
    runtime::watcher::{self, Event},
};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::MIGRATIONS;
use support::{App, batches, caller, manual};
use tokio::sync::watch;

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";
const PODS: i32 = 10;

/// Releases that fail, and releases that are rolled back half way, each beside two
/// of `kubectl`.
const FAILURES: usize = 100;
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    let url = std::env::var("DATABASE_URL")
        .expect("DATABASE_URL must name a server's database: scripts/bench starts one");
    let pool = PgPoolOptions::new().max_connections(20).connect(&url).await.unwrap();
    MIGRATIONS.run(&pool).await.unwrap();
    let app = App::start_real(pool.clone()).await;
    failures(&app, &pool).await;
    half_way(&app).await;
}

/// What a watch of the namespace sees, with the moments that matter.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// When a pod of the application first waited for its image in vain.
    cause: Option<Instant>,
    /// The image that the Deployment wants, and since when.
    wants: Option<(String, Instant)>,
    /// Pods: image and whether Ready.
    pods: HashMap<String, (String, bool)>,
    /// When the pods changed last.
    moved: Option<Instant>,
    /// Fewest Ready pods seen.
    least: i32,
}

impl Seen {
    fn are(&self, image: &str) -> bool {
        self.pods.len() == PODS as usize
            && self.pods.values().all(|(is, ready)| is == image && *ready)
    }

    fn of(&self, image: &str) -> usize {
        self.pods.values().filter(|(is, _)| is == image).count()
    }
}

/// Watches one application from now on.
async fn look(client: &Client, namespace: &str, name: &str) -> watch::Receiver<Seen> {
    let (sender, mut receiver) = watch::channel(Seen { least: i32::MAX, ..Seen::default() });
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let by_name = watcher::Config::default().labels(&format!("app.kubernetes.io/name={name}"));
    let mut pods = watcher::watcher(pods, by_name.clone()).boxed();
    let mut deployments = watcher::watcher(deployments, by_name).boxed();
    tokio::spawn(async move {
        let mut listed = false;
        loop {
            tokio::select! {
                Some(event) = pods.next() => {
                    let now = Instant::now();
                    // A watch that breaks ends here, and whoever waits for it with it.
                    let Ok(event) = event else { return };
                    listed |= matches!(event, Event::InitDone);
                    sender.send_modify(|seen| pod(seen, event, now));
                    if listed {
                        sender.send_modify(|seen| {
                            let ready = seen.pods.values().filter(|(_, ready)| *ready).count();
                            seen.least = seen.least.min(i32::try_from(ready).unwrap_or(i32::MAX));
                        });
                    }
                }
                Some(event) = deployments.next() => {
                    let now = Instant::now();
                    let Ok(event) = event else { return };
                    if let Event::Apply(object) | Event::InitApply(object) = event {
                        let image = object.spec.and_then(|spec| spec.template.spec).and_then(|spec| spec.containers[0].image.clone()).unwrap();
                        sender.send_modify(|seen| if seen.wants.as_ref().is_none_or(|(wanted, _)| *wanted != image) {
                            seen.wants = Some((image, now));
                        });
                    }
                }
                () = sender.closed() => return,
            }
        }
    });
    receiver
        .wait_for(|seen| seen.wants.is_some() && seen.pods.len() == PODS as usize)
        .await
        .unwrap();
    receiver
}

fn pod(seen: &mut Seen, event: Event<Pod>, now: Instant) {
    match event {
        Event::Apply(pod) | Event::InitApply(pod) if pod.metadata.deletion_timestamp.is_none() => {
            let status = pod.status.clone().unwrap_or_default();
            let waits =
                status.container_statuses.iter().flatten().filter_map(|container| {
                    container.state.as_ref()?.waiting.as_ref()?.reason.clone()
                });
            if seen.cause.is_none() && waits.into_iter().any(|reason| reason == "ErrImagePull") {
                seen.cause = Some(now);
            }
            let ready = status
                .conditions
                .iter()
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let image = pod
                .spec
                .as_ref()
                .and_then(|spec| spec.containers[0].image.clone())
                .unwrap_or_default();
            seen.pods.insert(pod.name_any(), (image, ready));
        }
        Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod) => {
            seen.pods.remove(&pod.name_any());
        }
        Event::Init | Event::InitDone => {}
    }
    seen.moved = Some(now);
}

async fn failures(app: &App, pool: &PgPool) {
    let application = app.create("web", PODS).await;
    let mut times = Vec::new();
    let (mut writes, mut least) = (Vec::new(), i32::MAX);
    for _ in 0..FAILURES {
        let mut seen = look(&app.client, &app.namespace, "web").await;
        let order = app.deploy(application, "shop/web:3.0--image-pull-error", batches(3)).await;
        seen.wait_for(|seen| seen.cause.is_some()).await.unwrap();
        let back = seen
            .wait_for(|seen| seen.wants.as_ref().is_some_and(|(image, _)| image == OLD))
            .await
            .unwrap()
            .clone();
        times.push(back.wants.unwrap().1 - back.cause.unwrap());
        let order = app.end_of(order).await;
        let rollback = app.end_of(order.rolled_back_by.unwrap()).await;
        assert_eq!(
            (order.state, rollback.state),
            (State::Failed, State::Succeeded),
            "{order:#?} {rollback:#?}"
        );
        seen.wait_for(|seen| seen.are(OLD)).await.unwrap();
        least = least.min(seen.borrow().least);
        let made = "SELECT count(*) FROM event WHERE kind = 'change.made' AND order_id IN ($1, $2)";
        writes.push(
            sqlx::query_scalar::<_, i64>(made)
                .bind(order.id.0)
                .bind(rollback.id.0)
                .fetch_one(pool)
                .await
                .unwrap(),
        );
    }
    writes.sort_unstable();
    println!("\n{FAILURES} releases in 3 batches whose image is not there, {PODS} pods");
    println!("  from the cause in a watch to the way back in it  {}", spread(&mut times));
    println!(
        "  our writes for a release and its way back        {} (median), {} (most)",
        writes[FAILURES / 2],
        writes[FAILURES - 1]
    );
    println!("  fewest Ready pods seen                           {least} of {PODS}");
}

/// Times of one kind of way back, and the fewest Ready pods.
#[derive(Debug, Default)]
struct Ways {
    times: Vec<Duration>,
    least: Vec<i32>,
}

impl Ways {
    /// Notes one: from the moment the Deployment wants the old image to that of the
    /// last change of its pods.
    async fn note(&mut self, mut seen: watch::Receiver<Seen>) {
        let end = seen.wait_for(|seen| seen.are(OLD)).await.unwrap().clone();
        self.times.push(end.moved.unwrap() - end.wants.unwrap().1);
        self.least.push(end.least);
    }
}

async fn half_way(app: &App) {
    let half = app.create("half", PODS).await;
    let (mut ours, mut default, mut full) = (Ways::default(), Ways::default(), Ways::default());
    for (name, strategy) in [
        ("native", json!({ "maxSurge": "25%", "maxUnavailable": "25%" })),
        ("native-full", json!({ "maxSurge": "100%", "maxUnavailable": 0 })),
    ] {
        app.create(name, PODS).await;
        let patch = json!({ "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": strategy } } });
        app.deployments().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    for _ in 0..ROUNDS {
        let mut seen = look(&app.client, &app.namespace, "half").await;
        let order = app.deploy(half, NEW, manual(3)).await;
        for (number, rest) in [(2, 3), (3, 6)] {
            app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
            seen.wait_for(|seen| seen.of(NEW) == rest && seen.pods.len() == PODS as usize)
                .await
                .unwrap();
            if number == 2 {
                app.confirm(order, number).await;
            }
        }
        let rollback = app.service.roll_back(&caller(), order).await.unwrap();
        seen.wait_for(|seen| seen.wants.as_ref().is_some_and(|(image, _)| image == OLD))
            .await
            .unwrap();
        ours.note(seen).await;
        assert_eq!(app.end_of(rollback).await.state, State::Succeeded);
        for (name, ways) in [("native", &mut default), ("native-full", &mut full)] {
            undo(app, name, ways).await;
        }
    }
    println!("\nBack from 6 of {PODS} new pods, median of {ROUNDS} in turn with kubectl");
    let mine = spread(&mut ours.times);
    println!(
        "  ours, half way                                    {mine}; fewest Ready {}",
        ours.least.iter().min().unwrap()
    );
    for (what, ways) in [
        ("kubectl rollout undo after a release, 25 %/25 %", &mut default),
        ("kubectl rollout undo after a release, 100 %/0", &mut full),
    ] {
        let theirs = spread(&mut ways.times);
        let ratio = median(&ours.times).as_secs_f64() / median(&ways.times).as_secs_f64();
        println!(
            "  {what:<48}  {theirs}; fewest Ready {}; ours takes {ratio:.2} of it",
            ways.least.iter().min().unwrap()
        );
    }
}

/// Releases by hand to the end, and back by `kubectl rollout undo`.
async fn undo(app: &App, name: &str, ways: &mut Ways) {
    let image = |image: &str| json!({ "spec": { "template": { "spec": { "containers": [{ "name": name, "image": image }] } } } });
    let mut seen = look(&app.client, &app.namespace, name).await;
    app.deployments()
        .patch(name, &PatchParams::default(), &Patch::Strategic(image(NEW)))
        .await
        .unwrap();
    seen.wait_for(|seen| seen.are(NEW)).await.unwrap();
    drop(seen);
    let mut seen = look(&app.client, &app.namespace, name).await;
    let kubectl = std::env::var("SLUICE_BENCH_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let mut command = tokio::process::Command::new(kubectl);
    command.args([
        "--kubeconfig",
        &std::env::var("SLUICE_TEST_KUBECONFIG").unwrap(),
        "--namespace",
        &app.namespace,
    ]);
    let undone = command
        .args(["rollout", "undo", &format!("deployment/{name}")])
        .stdout(Stdio::null())
        .status()
        .await
        .unwrap();
    assert!(undone.success());
    seen.wait_for(|seen| seen.wants.as_ref().is_some_and(|(image, _)| image == OLD)).await.unwrap();
    ways.note(seen).await;
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

/// Median, 99th of 100, and longest; sorts them.
fn spread(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let nearly_all = times[(times.len() * 99).div_ceil(100) - 1];
    let shown = |time: Duration| format!("{:.3} s", time.as_secs_f64());
    format!("{} (median), {} (p99)", shown(median(times)), shown(nearly_all))
}
