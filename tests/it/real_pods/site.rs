//! An application on the real node, with a Service and users: what all tests of
//! real pods stand on. What is measured is printed.

use std::sync::{Arc, Mutex};

use domain::{
    ApplicationId, OrderId, ReleaseId,
    order::{FailurePolicy, Kind, State, plan::Strategy},
    template::spec::{EnvVar, Field, SpecChange},
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
use service::{CreateApplication, Deploy, OrderView};
use sqlx::PgPool;
use tokio::task::JoinHandle;

use super::{
    readiness::Readiness,
    traffic::{Counts, Traffic},
};
use crate::support::{App, batches, caller, creation, eventually, release, watcher::Watch};

pub const V1: &str = "sluice.test/web:v1";
pub const V2: &str = "sluice.test/web:v2";

/// How long a pod goes on answering once it was told to end: longer than the
/// node takes to send nobody there any more.
pub const DRAIN: Option<&str> = Some("3s");

/// Pods of each application.
pub const PODS: i32 = 4;

/// An application with a Service and its users.
pub struct Site {
    pub app: App,
    pub application: ApplicationId,
    pub watch: Watch,
    readiness: Readiness,
    traffic: Traffic,
    /// What the test is about, for what it prints.
    pub about: &'static str,
}

impl Site {
    /// Four pods of the first version, told to answer a while longer when they end.
    pub async fn open(pool: PgPool, about: &'static str) -> Self {
        Self::open_with(pool, about, DRAIN, FailurePolicy::default()).await
    }

    /// The tolerance is that of the releases.
    pub async fn open_with(
        pool: PgPool,
        about: &'static str,
        drain: Option<&str>,
        failure_policy: FailurePolicy,
    ) -> Self {
        let mut site = Self::create(App::start_real(pool).await, about, |request| {
            request.spec = SpecChange {
                image: Some(V1.into()),
                readiness: Field::Set(probe("/ready")),
                ..SpecChange::default()
            };
            if let Some(drain) = drain {
                request.spec.env = Field::Set(vec![EnvVar::plain("DRAIN", drain)]);
            }
        })
        .await;
        site.app = site.app.tolerating(failure_policy);
        site
    }

    /// Four pods of what is asked for.
    pub async fn create(
        app: App,
        about: &'static str,
        ask: impl FnOnce(&mut CreateApplication),
    ) -> Self {
        let mut request = creation(&app.namespace, "web", PODS);
        ask(&mut request);
        let address = service(&app, "web", "web").await;
        let (application, order) =
            app.service.create_application(&caller(), request).await.unwrap();
        let order = app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{}", order.message);
        let traffic = Traffic::start(&address).await;
        let watch = app.watch("web").await;
        let readiness = Readiness::start(&app, PODS).await;
        Self { app, application, watch, readiness, traffic, about }
    }

    pub async fn deploy(&self, image: &str, strategy: Strategy) -> OrderId {
        self.app.deploy(self.application, image, strategy).await
    }

    pub async fn order(&self, change: impl FnOnce(&mut Deploy)) -> OrderId {
        let mut request = release(self.application, V2, batches(2));
        change(&mut request);
        self.app.service.deploy(&caller(), request).await.unwrap()
    }

    /// Orders a version of the history, exactly as it was.
    pub async fn release_again(&self, version: ReleaseId, strategy: Strategy) -> OrderId {
        let mut request = release(self.application, "", strategy);
        request.spec = SpecChange::default();
        request.release = Some(version);
        self.app.service.deploy(&caller(), request).await.unwrap()
    }

    pub async fn succeeds(&self, order: OrderId) -> OrderView {
        let order = self.app.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        order
    }

    /// The order fails and is rolled back; its message has these parts. `report`
    /// saw when the kubelet had told enough.
    pub async fn fails(&self, order: OrderId, report: Option<Report>, parts: &[&str]) -> OrderView {
        let order = self.app.end_of(order).await;
        assert_eq!(order.state, State::Failed, "{order:#?}");
        for part in parts {
            assert!(order.message.contains(part), "{part:?} in {:?}", order.message);
        }
        let rollback = self.app.end_of(order.rolled_back_by.expect("it is rolled back")).await;
        assert_eq!(
            (rollback.state, rollback.kind),
            (State::Succeeded, Kind::Rollback),
            "{rollback:#?}"
        );
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
        order
    }

    /// Watches for the moment at which some pod of the new version is as `wanted`.
    pub fn report(&self, wanted: impl Fn(&Pod) -> bool + Send + 'static) -> Report {
        Report::start(Api::namespaced(self.app.client.clone(), &self.app.namespace), wanted)
    }

    /// Waits until no pods are left but four of `image`. Those that a kubelet rejected never
    /// ran, and nobody deletes them.
    async fn settled(&self, image: &str) {
        let pods: Api<Pod> = Api::namespaced(self.app.client.clone(), &self.app.namespace);
        eventually(async || {
            let parameters = ListParams::default()
                .labels("app.kubernetes.io/name=web")
                .fields("status.phase!=Failed");
            let pods = pods.list(&parameters).await.unwrap().items;
            let fits = pods.len() == PODS as usize
                && pods.iter().all(|pod| {
                    pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(image)
                });
            if fits { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
    }

    /// What users saw until it was settled. From then on others are counted, who come
    /// through a Service of their own: a node remembers for two minutes which pod a
    /// connection was lost to, and sends there whoever has the same addresses and ports.
    pub async fn count_anew(&mut self, about: &str, image: &str) -> Counts {
        self.settled(image).await;
        let traffic = Traffic::start(&service(&self.app, "anew", "web").await).await;
        let counts = std::mem::replace(&mut self.traffic, traffic).end().await;
        counts.print(about);
        counts
    }

    /// Ends it, once it is settled: what users saw. At no time may there have been
    /// fewer Ready pods.
    pub async fn close(self, image: &str) -> Counts {
        self.settled(image).await;
        let counts = self.traffic.end().await;
        counts.print(self.about);
        let least = self.watch.end().iter().map(|sample| sample.ready).min().unwrap();
        println!("measured: {}: Ready at least {least} of {PODS}", self.about);
        // The next tests need the room.
        let _ = Api::<Namespace>::all(self.app.client.clone())
            .delete(&self.app.namespace, &DeleteParams::background())
            .await
            .unwrap();
        let fewer = self.readiness.end();
        assert!(fewer.is_empty(), "Ready fell under {PODS}: {fewer:#?}");
        counts
    }

    /// As [`Site::close`], and no request may have failed.
    pub async fn close_whole(self, image: &str, versions: &[&str]) {
        let counts = self.close(image).await;
        assert_eq!(counts.failed(), 0, "{counts:#?}");
        for version in versions {
            assert!(counts.of(version) > 0, "{version} never answered: {counts:#?}");
        }
        assert_eq!(counts.new.answers.len(), versions.len(), "{counts:#?}");
    }

    /// Changes the Deployment as a person does, and waits until that is rolled out.
    /// The watch begins anew: such an edit is Kubernetes' own rolling update.
    pub async fn edit(&mut self, patch: Value) {
        let parameters =
            PatchParams { field_manager: Some("hand".into()), ..PatchParams::default() };
        let edited = self
            .app
            .deployments()
            .patch("web", &parameters, &Patch::Strategic(patch))
            .await
            .unwrap();
        eventually(async || {
            let status = self.app.deployments().get("web").await.unwrap().status.unwrap();
            let numbers = [
                status.replicas,
                status.updated_replicas,
                status.ready_replicas,
                status.available_replicas,
            ];
            let settled = status.observed_generation >= edited.metadata.generation
                && numbers == [Some(PODS); 4];
            if settled { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
        self.watch = self.app.watch("web").await;
        self.readiness = Readiness::start(&self.app, PODS).await;
    }

    pub async fn settings(&self, data: Value) {
        let map =
            serde_json::from_value(json!({ "metadata": { "name": "settings" }, "data": data }))
                .unwrap();
        let api: Api<ConfigMap> = Api::namespaced(self.app.client.clone(), &self.app.namespace);
        let _ = api.delete("settings", &DeleteParams::default()).await;
        api.create(&PostParams::default(), &map).await.unwrap();
    }
}

/// When the kubelet told what an order must fail of.
pub struct Report {
    at: Arc<Mutex<Option<Timestamp>>>,
    task: JoinHandle<()>,
}

impl Report {
    fn start(pods: Api<Pod>, wanted: impl Fn(&Pod) -> bool + Send + 'static) -> Self {
        let at = Arc::new(Mutex::new(None));
        let noted = at.clone();
        let task = tokio::spawn(async move {
            let mut events = watcher::watcher(
                pods,
                watcher::Config::default().labels("app.kubernetes.io/name=web"),
            )
            .boxed();
            while let Some(event) = events.next().await {
                if let Event::Apply(pod) | Event::InitApply(pod) =
                    event.expect("the watch must hold")
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

pub fn probe(path: &str) -> Value {
    json!({ "httpGet": { "path": path, "port": 8080 }, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 2 })
}

/// A Service before the pods of an application; its address.
pub async fn service(app: &App, name: &str, application: &str) -> String {
    let service = json!({ "metadata": { "name": name },
        "spec": { "selector": { "app.kubernetes.io/name": application }, "ports": [{ "port": 80, "targetPort": 8080 }] } });
    let api: Api<Service> = Api::namespaced(app.client.clone(), &app.namespace);
    let service = api
        .create(&PostParams::default(), &serde_json::from_value(service).unwrap())
        .await
        .unwrap();
    format!("{}:80", service.spec.unwrap().cluster_ip.unwrap())
}

/// A pod of its own; returns once it is Ready.
pub async fn serve(app: &App, name: &str, spec: Value) {
    let pod = json!({ "metadata": { "name": name, "labels": { "app.kubernetes.io/name": name } }, "spec": spec });
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    eventually(async || {
        let status = pods.get(name).await.unwrap().status.unwrap();
        if status.container_statuses.iter().flatten().any(|status| status.ready) {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
}

pub fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.iter();
    status
        .flat_map(|status| status.init_container_statuses.iter().chain(&status.container_statuses))
        .flatten()
}

pub fn waits(reason: &'static str) -> impl Fn(&Pod) -> bool + Send + 'static {
    move |pod| {
        let mut waiting = statuses(pod)
            .filter_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.as_deref());
        waiting.any(|waiting| waiting == reason)
    }
}

/// The image of a container could not be had. The kubelet may report only that it waits to
/// try again.
pub fn no_image(pod: &Pod) -> bool {
    waits("ErrImagePull")(pod) || waits("ImagePullBackOff")(pod)
}

/// A container ended for the second time, or is held back for having ended.
pub fn ended_twice(pod: &Pod) -> bool {
    waits("CrashLoopBackOff")(pod)
        || statuses(pod).any(|status| {
            let ended = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
            status.restart_count + i32::from(ended) >= 2
        })
}
