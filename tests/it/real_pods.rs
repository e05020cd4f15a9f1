//! Releases on real pods, which a kubelet starts, probes and ends, while requests
//! come in through the application's Service all the time.
//!
//! They need the test bed's real node and its network, and are run by a step of
//! their own: `make test STEPS=kubelet`. Each prints what it measured.

mod traffic;

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Namespace, Pod, Service};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::watcher::{self, Event},
};
use serde_json::{Value, json};
use sluice::{
    domain::{
        ApplicationId, OrderId, ReleaseId,
        order::{Kind, State, Tolerance},
        plan::Strategy,
        spec::{EnvVar, Field, SpecChange},
    },
    service::{Deploy, OrderView, RollBackTo},
};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use crate::support::{App, batches, caller, canary, creation, eventually, manual, release, watcher::Watch};
use traffic::{Counts, Traffic};

const V1: &str = "sluice.test/web:v1";
const V2: &str = "sluice.test/web:v2";

/// How long a pod goes on answering once it was told to end: longer than the
/// node takes to send nobody there any more.
const DRAIN: Option<&str> = Some("3s");

/// Pods of each application.
const PODS: i32 = 4;

/// Trouble that may pass is waited out for so long.
const GRACE: Tolerance = Tolerance { grace_seconds: 10, restarts: 1, watch_seconds: 0, roll_back: true };

/// An application with a Service and its users.
struct Site {
    app: App,
    application: ApplicationId,
    watch: Watch,
    traffic: Traffic,
    /// What the test is about, for what it prints.
    about: &'static str,
}

impl Site {
    /// Four pods of the first version, told to answer a while longer when they end.
    async fn open(pool: PgPool, about: &'static str) -> Self {
        Self::open_with(pool, about, DRAIN, Tolerance::default()).await
    }

    /// The tolerance is that of the releases.
    async fn open_with(pool: PgPool, about: &'static str, drain: Option<&str>, tolerance: Tolerance) -> Self {
        let app = App::start_real(pool).await;
        let mut request = creation(&app.namespace, "web", PODS);
        request.spec = SpecChange { image: Some(V1.into()), readiness: Field::Set(probe("/ready")), ..SpecChange::default() };
        if let Some(drain) = drain {
            request.spec.env = Field::Set(vec![EnvVar { name: "DRAIN".into(), value: drain.into() }]);
        }
        let address = service(&app).await;
        let (application, order) = app.service.create_application(&caller(), request).await.unwrap();
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{}", order.message);
        let traffic = Traffic::start(&format!("{address}:80")).await;
        let watch = app.watch("web").await;
        let app = app.tolerating(tolerance);
        Self { app, application, watch, traffic, about }
    }

    async fn deploy(&self, image: &str, strategy: Strategy) -> OrderId {
        self.app.deploy(self.application, image, strategy).await
    }

    async fn order(&self, change: impl FnOnce(&mut Deploy)) -> OrderId {
        let mut request = release(self.application, V2, batches(2));
        change(&mut request);
        self.app.service.deploy(&caller(), request).await.unwrap()
    }

    /// Orders a version of the history, exactly as it was.
    async fn release_again(&self, version: ReleaseId, strategy: Strategy) -> OrderId {
        let mut request = release(self.application, "", strategy);
        request.spec = SpecChange::default();
        request.release = Some(version);
        self.app.service.deploy(&caller(), request).await.unwrap()
    }

    async fn succeeds(&self, order: OrderId) -> OrderView {
        let order = self.app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        order
    }

    /// The order fails and is taken back; its message has these parts. `report`
    /// saw when the kubelet had told enough.
    async fn fails(&self, order: OrderId, report: Option<Report>, parts: &[&str]) {
        let order = self.app.end_of(order).await;
        assert_eq!(order.state, State::Failed, "{order:#?}");
        for part in parts {
            assert!(order.message.contains(part), "{part:?} in {:?}", order.message);
        }
        let rollback = self.app.end_of(order.undone_by.expect("it is taken back")).await;
        assert_eq!((rollback.state, rollback.kind), (State::Succeeded, Kind::Rollback), "{rollback:#?}");
        let events = self.app.store.events(rollback.id).await.unwrap();
        let written = events.iter().find(|event| event.kind == "change.made").unwrap().at;
        let whole = rollback.finished_at.unwrap();
        let began = order.batches.iter().filter_map(|batch| batch.started_at).max().unwrap();
        let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
        println!("measured: {}: {}", self.about, order.message);
        match report {
            Some(report) => {
                let told = report.end();
                println!(
                    "measured: {}: the kubelet's report {:.2} s after the batch began, the rollback written {:.2} s after that, and done {:.2} s later",
                    self.about,
                    seconds(began, told),
                    seconds(told, written),
                    seconds(written, whole)
                );
            }
            None => println!(
                "measured: {}: the rollback written {:.2} s after the batch began, and done {:.2} s later",
                self.about,
                seconds(began, written),
                seconds(written, whole)
            ),
        }
    }

    /// Watches for the moment at which some pod of the new version is as `wanted`.
    fn report(&self, wanted: impl Fn(&Pod) -> bool + Send + 'static) -> Report {
        Report::start(Api::namespaced(self.app.client.clone(), &self.app.namespace), wanted)
    }

    /// Ends it, once no pods are left but four of `image`: what users saw. At no
    /// time may there have been fewer Ready pods.
    async fn close(self, image: &str) -> Counts {
        let pods: Api<Pod> = Api::namespaced(self.app.client.clone(), &self.app.namespace);
        eventually(async || {
            let pods = pods.list(&ListParams::default().labels("app.kubernetes.io/name=web")).await.unwrap().items;
            let fits = pods.len() == PODS as usize
                && pods.iter().all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(image));
            if fits { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        let counts = self.traffic.end().await;
        let seen = self.watch.end();
        let least = seen.iter().map(|sight| sight.ready).min().unwrap();
        println!("measured: {}: {counts}; Ready at least {least} of {PODS}", self.about);
        for example in counts.new.examples.iter().chain(&counts.kept.examples) {
            println!("measured: {}: {example}", self.about);
        }
        // The next tests need the room.
        let _ = Api::<Namespace>::all(self.app.client.clone()).delete(&self.app.namespace, &DeleteParams::background()).await.unwrap();
        assert!(least >= PODS, "Ready fell under {PODS}: {seen:#?}");
        counts
    }

    /// As [`Site::close`], and no request may have failed.
    async fn close_whole(self, image: &str, versions: &[&str]) {
        let counts = self.close(image).await;
        assert_eq!(counts.failed(), 0, "{counts:#?}");
        for version in versions {
            assert!(counts.of(version) > 0, "{version} never answered: {counts:#?}");
        }
        assert_eq!(counts.new.answers.len(), versions.len(), "{counts:#?}");
    }

    /// Changes the Deployment as a person does, and waits until that is rolled out.
    /// The watch begins anew: such an edit is Kubernetes' own rolling update.
    async fn edit(&mut self, patch: Value) {
        let parameters = PatchParams { field_manager: Some("hand".into()), ..PatchParams::default() };
        let edited = self.app.deployments().patch("web", &parameters, &Patch::Strategic(patch)).await.unwrap();
        eventually(async || {
            let status = self.app.deployments().get("web").await.unwrap().status.unwrap();
            let numbers = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
            let settled = status.observed_generation >= edited.metadata.generation && numbers == [Some(PODS); 4];
            if settled { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
        self.watch = self.app.watch("web").await;
    }

    async fn settings(&self, data: Value) {
        let map = serde_json::from_value(json!({ "metadata": { "name": "settings" }, "data": data })).unwrap();
        let api: Api<ConfigMap> = Api::namespaced(self.app.client.clone(), &self.app.namespace);
        let _ = api.delete("settings", &DeleteParams::default()).await;
        api.create(&PostParams::default(), &map).await.unwrap();
    }
}

/// When the kubelet told what an order must fail of.
struct Report {
    at: Arc<Mutex<Option<Timestamp>>>,
    task: JoinHandle<()>,
}

impl Report {
    fn start(pods: Api<Pod>, wanted: impl Fn(&Pod) -> bool + Send + 'static) -> Self {
        let at = Arc::new(Mutex::new(None));
        let noted = at.clone();
        let task = tokio::spawn(async move {
            let mut events = watcher::watcher(pods, watcher::Config::default().labels("app.kubernetes.io/name=web")).boxed();
            while let Some(event) = events.next().await {
                if let Event::Apply(pod) | Event::InitApply(pod) = event.expect("the watch must hold")
                    && wanted(&pod)
                {
                    noted.lock().unwrap().get_or_insert_with(Timestamp::now);
                }
            }
        });
        Self { at, task }
    }

    fn end(self) -> Timestamp {
        self.task.abort();
        self.at.lock().unwrap().expect("the kubelet reports before the order fails")
    }
}

fn probe(path: &str) -> Value {
    json!({ "httpGet": { "path": path, "port": 8080 }, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 2 })
}

/// A Service before the application's pods; its cluster IP.
async fn service(app: &App) -> String {
    let service = json!({ "metadata": { "name": "web" },
        "spec": { "selector": { "app.kubernetes.io/name": "web" }, "ports": [{ "port": 80, "targetPort": 8080 }] } });
    let api: Api<Service> = Api::namespaced(app.client.clone(), &app.namespace);
    let service = api.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
    service.spec.unwrap().cluster_ip.unwrap()
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses)).flatten()
}

fn waits(reason: &'static str) -> impl Fn(&Pod) -> bool + Send + 'static {
    move |pod| {
        let mut waiting = statuses(pod).filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
        waiting.any(|waiting| waiting == reason)
    }
}

/// A container ended for the second time, or is held back for having ended.
fn ended_twice(pod: &Pod) -> bool {
    waits("CrashLoopBackOff")(pod)
        || statuses(pod).any(|status| {
            let ended = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
            status.restart_count + i32::from(ended) >= 2
        })
}

// --- releases of a version that is well ---

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn all_at_once_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "all at once").await;
    let order = site.deploy(V2, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn three_batches_lose_no_request(pool: PgPool) {
    let site = Site::open(pool, "three automatic batches").await;
    let order = site.deploy(V2, batches(3)).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn batches_that_a_person_confirms_lose_no_request(pool: PgPool) {
    let site = Site::open(pool, "two manual batches").await;
    let order = site.deploy(V2, manual(2)).await;
    site.app.confirm_at_rest(order, 2, &site.watch, V2, 2).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_canary_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "a canary and one batch").await;
    let order = site.deploy(V2, canary(1, 1)).await;
    site.app.confirm_at_rest(order, 2, &site.watch, V2, 1).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn taken_back_in_the_middle_it_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "aborted and rolled back in batch 2").await;
    let order = site.deploy(V2, batches(3)).await;
    eventually(async || if site.watch.now().of(V2) > 1 { Ok(()) } else { Err(format!("{:?}", site.watch.now())) }).await;
    let asked = Instant::now();
    let rollback = site.app.service.roll_back(&caller(), order).await.unwrap();
    site.succeeds(rollback).await;
    println!("measured: {}: back {:.2} s after it was asked for", site.about, asked.elapsed().as_secs_f64());
    site.close_whole(V1, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn back_to_a_version_of_the_history_it_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "released, and back to the first version").await;
    let order = site.deploy(V2, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;
    let history = site.app.service.history(site.application).await.unwrap();
    let first = RollBackTo { application: site.application, version: history[1].version.clone(), batches: Some(2), wait_minutes: None };
    let order = site.app.service.roll_back_to(&caller(), first).await.unwrap();
    site.succeeds(order).await;
    site.close_whole(V1, &["v1", "v2"]).await;
}

/// A program that stops listening as soon as it is told to end loses the requests
/// that the node still sends there. No release can help that; how many are lost
/// is counted and printed.
#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn without_a_drain_what_is_lost_is_counted(pool: PgPool) {
    let site = Site::open_with(pool, "all at once, and in four batches, without a drain", None, Tolerance::default()).await;
    for (image, strategy) in [(V2, Strategy::ALL_AT_ONCE), (V1, batches(4))] {
        let order = site.deploy(image, strategy).await;
        site.succeeds(order).await;
    }
    let counts = site.close(V1).await;
    assert!(counts.of("v1") > 0 && counts.of("v2") > 0, "{counts:#?}");
}

// --- releases of a version that is not ---

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn an_image_that_the_registry_does_not_have_is_named_and_goes_back(pool: PgPool) {
    let site = Site::open(pool, "image not found").await;
    let registry = json!({ "metadata": { "name": "registry" }, "spec": { "hostNetwork": true, "terminationGracePeriodSeconds": 1, "containers": [{
        "name": "registry", "image": V1, "env": [{ "name": "BEHAVIOUR", "value": "registry" }, { "name": "PORT", "value": "5000" }],
        "readinessProbe": { "tcpSocket": { "port": 5000 }, "periodSeconds": 1 } }] } });
    let pods: Api<Pod> = Api::namespaced(site.app.client.clone(), &site.app.namespace);
    pods.create(&PostParams::default(), &serde_json::from_value(registry).unwrap()).await.unwrap();
    eventually(async || {
        let status = pods.get("registry").await.unwrap().status.unwrap();
        if status.container_statuses.iter().flatten().any(|status| status.ready) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    let report = site.report(waits("ErrImagePull"));
    let order = site.deploy("localhost:5000/shop/web:2.0", batches(2)).await;
    site.fails(order, Some(report), &["pod web-", "container web: ErrImagePull", "localhost:5000/shop/web:2.0: not found"]).await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_registry_that_cannot_be_reached_is_waited_for_and_then_named(pool: PgPool) {
    let site = Site::open_with(pool, "registry out of reach", DRAIN, GRACE).await;
    let report = site.report(waits("ErrImagePull"));
    let order = site.deploy("sluice.test/web:missing", batches(2)).await;
    site.fails(order, Some(report), &["pod web-", "container web: ", "sluice.test/web:missing", "waited 10 s"]).await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_crash_loop_is_named_and_goes_back(pool: PgPool) {
    let site = Site::open(pool, "crash loop").await;
    let report = site.report(ended_twice);
    let order = site.deploy("sluice.test/web:crash-loop", batches(2)).await;
    site.fails(order, Some(report), &["pod web-", "container web", "exit code 3, Error"]).await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_version_that_needs_too_much_memory_is_named_and_goes_back(pool: PgPool) {
    let site = Site::open(pool, "out of memory").await;
    let report = site.report(ended_twice);
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:hungry".into());
            request.spec.memory_limit = Some(48);
        })
        .await;
    site.fails(order, Some(report), &["pod web-", "container web", "exit code 137, OOMKilled"]).await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_version_that_is_never_ready_fails_at_its_deadline(pool: PgPool) {
    let site = Site::open(pool, "never ready, BatchTimeout 15 s").await;
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:never-ready".into());
            request.batch_timeout_seconds = Some(15);
        })
        .await;
    let parts = ["batch 1 was not done within 15 s", "0 of 2 new pods are Ready", "HTTP probe failed with statuscode: 503"];
    site.fails(order, None, &parts).await;
    site.close_whole(V1, &["v1"]).await;
}

/// A key that is not there when the release is ordered is refused; this one goes
/// between two batches. Only the new version needs it, so there is a way back.
#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn a_config_map_key_that_goes_between_two_batches_is_named_and_goes_back(pool: PgPool) {
    let mut site = Site::open(pool, "ConfigMap key gone").await;
    site.settings(json!({ "colour": "green" })).await;
    let from = json!({ "name": "COLOUR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "colour" } } });
    site.edit(json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "env": [from] }] } } } })).await;
    let order = site.deploy(V2, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;
    let history = site.app.service.history(site.application).await.unwrap();
    let order = site.release_again(history[1].id, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;

    let order = site.release_again(history[0].id, manual(2)).await;
    site.app.order_when(order, |order| order.state.is_final() || order.state == State::WaitingConfirmation).await;
    site.settings(json!({ "color": "green" })).await;
    let report = site.report(waits("CreateContainerConfigError"));
    site.app.confirm_at_rest(order, 2, &site.watch, V2, 2).await;
    site.fails(order, Some(report), &["pod web-", "container web: CreateContainerConfigError", "couldn't find key colour in ConfigMap"])
        .await;
    site.close_whole(V1, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn an_init_container_that_fails_is_named_and_goes_back(pool: PgPool) {
    let mut site = Site::open(pool, "init container").await;
    site.settings(json!({ "prepare": "done" })).await;
    let from = json!({ "name": "BEHAVIOUR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "prepare" } } });
    let prepare = json!({ "name": "prepare", "image": V1, "env": [from] });
    site.edit(json!({ "spec": { "template": { "spec": { "initContainers": [prepare] } } } })).await;
    site.settings(json!({ "prepare": "crash-loop" })).await;
    let report = site.report(ended_twice);
    let order = site.deploy(V2, batches(2)).await;
    site.fails(order, Some(report), &["pod web-", "init container prepare", "exit code 3, Error"]).await;
    site.close_whole(V1, &["v1"]).await;
}

/// The pods are Ready at first: only a time for which that must last shows it.
#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn pods_that_the_kubelet_ends_as_sick_are_named_and_go_back(pool: PgPool) {
    let site = Site::open(pool, "liveness probe").await;
    let report = site.report(ended_twice);
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:sick".into());
            request.spec.liveness = Field::Set(probe("/live"));
            // It ends as soon as it is told to, so that this soon happened often enough.
            request.spec.env = Field::Clear;
            request.min_ready_seconds = Some(20);
        })
        .await;
    site.fails(order, Some(report), &["pod web-", "container web"]).await;
    // What is ended while it is Ready loses requests; those that were let in to it.
    let counts = site.close(V1).await;
    assert!(counts.of("v1") > 0, "{counts:#?}");
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn pods_that_are_ready_and_then_not_any_more_are_named_and_go_back(pool: PgPool) {
    let site = Site::open_with(pool, "ready, and then not any more", DRAIN, GRACE).await;
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:fading".into());
            request.min_ready_seconds = Some(20);
        })
        .await;
    site.fails(order, None, &["pod web-", "is not Ready any more", "statuscode: 503", "waited 10 s"]).await;
    site.close_whole(V1, &["v1", "fading"]).await;
}
