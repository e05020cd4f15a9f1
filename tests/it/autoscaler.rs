//! An autoscaler changes the number of pods while a release waits or runs: each batch stays
//! the same share of it, and nobody is missing. Each check runs on the simulated cluster and
//! on a real control plane.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{OrderId, order::State};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use sqlx::PgPool;
use tokio::{task::JoinHandle, time::Instant};

use crate::support::{App, canary, eventually, on_both_clusters, watcher::Watch};

const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    a_canary_stays_its_share_while_the_number_of_pods_walks,
    a_canary_that_waits_stands_scaling_to_nothing_and_back_and_to_one,
);

async fn scale(app: &App, replicas: i32) {
    let by = PatchParams { field_manager: Some("autoscaler".into()), ..Default::default() };
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    app.deployments().patch_scale("web", &by, &patch).await.unwrap();
}

/// The number of pods that were all Ready last, and the number that is asked for.
type Asked = Arc<Mutex<(i32, i32)>>;

/// Looks all the time whether there are too many new pods or too few Ready ones.
struct Judge {
    asked: Asked,
    looks: JoinHandle<()>,
    found: Arc<Mutex<Found>>,
}

#[derive(Debug, Default, Clone)]
struct Found {
    /// The longest time with more new pods than planned and one.
    longest: Duration,
    most_beyond: i32,
    /// Ready pods, and how many should have been.
    missing: Vec<(i32, i32)>,
    looks: usize,
}

impl Judge {
    fn new(
        watch: Watch,
        replicas: i32,
        planned: impl Fn(i32) -> Option<i32> + Send + 'static,
    ) -> Self {
        let asked: Asked = Arc::new(Mutex::new((replicas, replicas)));
        let found: Arc<Mutex<Found>> = Arc::default();
        let (numbers, told) = (asked.clone(), found.clone());
        let looks = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            let mut since: Option<Instant> = None;
            loop {
                ticks.tick().await;
                // Before the pods are looked at: what is asked for later is not there yet.
                let (before, present) = *numbers.lock().unwrap();
                let (now, seen) = (Instant::now(), watch.now());
                let least = before.min(present).min(numbers.lock().unwrap().1);
                let mut found = told.lock().unwrap();
                found.looks += 1;
                if seen.ready < least {
                    found.missing.push((seen.ready, least));
                }
                let beyond = planned(present).map_or(0, |planned| seen.of(NEW) - planned - 1);
                if beyond > 0 {
                    found.most_beyond = found.most_beyond.max(beyond);
                    found.longest = found.longest.max(now - *since.get_or_insert(now));
                } else {
                    since = None;
                }
            }
        });
        Self { asked, looks, found }
    }

    async fn scale(&self, app: &App, replicas: i32) {
        self.asked.lock().unwrap().1 = replicas;
        scale(app, replicas).await;
    }

    /// All pods that are asked for are Ready.
    fn are_ready(&self) {
        let mut asked = self.asked.lock().unwrap();
        asked.0 = asked.1;
    }

    /// How long there were too many new pods depends on what else the machine does: it is
    /// printed, and not judged.
    fn end(self) {
        self.looks.abort();
        let found = self.found.lock().unwrap().clone();
        println!(
            "{} looks, {:?} with up to {} pods beyond the plan and one",
            found.looks, found.longest, found.most_beyond
        );
        assert!(found.looks > 10, "{found:?}");
        assert!(found.missing.is_empty(), "{found:?}");
    }
}

/// A random walk of an autoscaler between 6 and 40: a step once all pods of the last one are
/// there, as an autoscaler waits for what it did.
async fn walks(app: &App, judge: &Judge, steps: usize, seed: u64) -> i32 {
    let mut chance = StdRng::seed_from_u64(seed);
    let mut replicas = 10;
    for _ in 0..steps {
        let step = chance.random_range(1..=5) * if chance.random_bool(0.5) { 1 } else { -1 };
        replicas = (replicas + step).clamp(6, 40);
        judge.scale(app, replicas).await;
        eventually(async || {
            let live = app.deployments().get("web").await.unwrap();
            let (status, metadata) = (live.status.unwrap_or_default(), live.metadata);
            let ready = status.ready_replicas.unwrap_or(0);
            if status.observed_generation >= metadata.generation && ready >= replicas {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await;
        judge.are_ready();
    }
    replicas
}

async fn at_rest(app: &App, order: OrderId, watch: &Watch, replicas: i32, new: (i32, i32)) {
    eventually(async || {
        let (now, live) = (watch.now(), app.deployments().get("web").await.unwrap());
        let order = app.service.order(order).await.unwrap();
        let total: i32 = now.pods.values().sum();
        let rests = order.state == State::WaitingConfirmation
            && order.step == domain::order::Step::Paused
            && live.spec.unwrap().paused == Some(true);
        if rests
            && total == replicas
            && now.ready == replicas
            && (new.0..=new.1).contains(&now.of(NEW))
        {
            Ok(())
        } else {
            Err(format!("{now:?} {:?} {:?} {}", order.state, order.step, order.message))
        }
    })
    .await;
}

async fn a_canary_stays_its_share_while_the_number_of_pods_walks(app: App) {
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    let judge = Judge::new(app.watch("web").await, 10, |replicas| Some(replicas * 3 / 10));
    let replicas = walks(&app, &judge, 30, 1).await;
    at_rest(&app, order, &watch, replicas, (1, replicas * 3 / 10 + 1)).await;
    judge.end();
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert_eq!(app.deployments().get("web").await.unwrap().spec.unwrap().replicas, Some(replicas));
}

async fn a_canary_that_waits_stands_scaling_to_nothing_and_back_and_to_one(app: App) {
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    for (replicas, new) in [(0, (0, 0)), (10, (3, 4)), (1, (0, 1)), (10, (1, 4)), (30, (1, 10))] {
        scale(&app, replicas).await;
        at_rest(&app, order, &watch, replicas, new).await;
    }
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

/// The autoscaler of Kubernetes itself, which keeps its bounds without any metrics.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_horizontal_pod_autoscaler_scales_a_canary_that_waits(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    let autoscaler = json!({
        "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
            "minReplicas": 24, "maxReplicas": 40,
            "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }],
        },
    });
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(app.client.clone(), &app.namespace);
    autoscalers
        .create(&PostParams::default(), &serde_json::from_value(autoscaler).unwrap())
        .await
        .unwrap();
    eventually(async || {
        let replicas = app.deployments().get("web").await.unwrap().spec.unwrap().replicas;
        if replicas == Some(24) { Ok(()) } else { Err(format!("{replicas:?}")) }
    })
    .await;
    at_rest(&app, order, &watch, 24, (6, 8)).await;
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}
