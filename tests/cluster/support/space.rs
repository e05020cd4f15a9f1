//! A client and a namespace of one's own, on either cluster.
//!
//! Waits are watches with a deadline, never pauses. A namespace is deleted when
//! its check passed, and left for a look when it failed.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use simulated::{Config, SimulatedCluster};

/// How long any one wait may last.
const LIMIT: Duration = Duration::from_secs(60);

/// A client and a namespace.
#[derive(Clone)]
pub struct Space {
    pub client: Client,
    pub namespace: String,
}

impl Space {
    /// A namespace on a simulated cluster of its own. Its controllers work in
    /// random order, as those of a real one do; `SLUICE_SIMULATED_SEED` tries
    /// another order than that of the seed 0.
    pub async fn simulated() -> Self {
        Self::begin(Self::cluster().client()).await
    }

    /// A namespace on a simulated cluster of its own that is reached through a port.
    pub async fn served() -> Self {
        let (listener, address) =
            simulated::bind(([127, 0, 0, 1], 0).into()).await.expect("a port is free");
        let cluster = Self::cluster();
        // Ends with the test's runtime.
        tokio::spawn(async move { cluster.serve(listener, std::future::pending()).await });
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&simulated::kubeconfig(address))
            .expect("the kubeconfig is one");
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
            .await
            .expect("the kubeconfig leads somewhere");
        Self::begin(Client::try_from(config).expect("the kubeconfig makes a client")).await
    }

    fn cluster() -> SimulatedCluster {
        let seed = std::env::var("SLUICE_SIMULATED_SEED").map_or(0, |seed| {
            seed.parse().unwrap_or_else(|why| panic!("SLUICE_SIMULATED_SEED={seed}: {why}"))
        });
        SimulatedCluster::start(Config {
            seed,
            start_delay: Duration::from_millis(20),
            jitter: Duration::from_millis(30),
            shuffle: true,
            ..Config::default()
        })
    }

    /// A namespace on the real cluster.
    pub async fn real() -> Self {
        let Ok(path) = std::env::var("SLUICE_TEST_KUBECONFIG") else {
            panic!(
                "SLUICE_TEST_KUBECONFIG is not set. The tests on a real Kubernetes need the test bed: \
             `make test` starts it, or by hand: `tests/testbed/cluster up`, then \
             `eval \"$(tests/testbed/cluster env)\"; export SLUICE_TEST_KUBECONFIG=$KUBECONFIG`, \
             and `tests/testbed/cluster down` afterwards"
            )
        };
        let kubeconfig = kube::config::Kubeconfig::read_from(&path)
            .unwrap_or_else(|why| panic!("SLUICE_TEST_KUBECONFIG={path}: {why}"));
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default())
            .await
            .unwrap_or_else(|why| panic!("SLUICE_TEST_KUBECONFIG={path}: {why}"));
        let client = Client::try_from(config).expect("the kubeconfig makes a client");
        Self::begin(client).await
    }

    async fn begin(client: Client) -> Self {
        let api: Api<Namespace> = Api::all(client.clone());
        let namespace = Namespace {
            metadata: ObjectMeta {
                generate_name: Some("check-".to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let made = api
            .create(&PostParams::default(), &namespace)
            .await
            .expect("a namespace can be made on the cluster");
        Self { client, namespace: made.name_any() }
    }

    /// Runs a check in this namespace and deletes the namespace.
    pub async fn run<F: Future<Output = ()>>(self, check: impl FnOnce(Space) -> F) {
        check(self.clone()).await;
        let api: Api<Namespace> = Api::all(self.client);
        api.delete(&self.namespace, &DeleteParams::background())
            .await
            .expect("the namespace can be deleted");
    }

    /// An API in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The API of Deployments.
    pub fn deployments(&self) -> Api<Deployment> {
        self.api()
    }

    /// Creates a Deployment.
    pub async fn create(&self, deployment: &Deployment) -> Deployment {
        self.deployments()
            .create(&PostParams::default(), deployment)
            .await
            .expect("the Deployment can be created")
    }

    /// Creates a Deployment and waits until it is complete.
    pub async fn start(&self, deployment: &Deployment) -> Deployment {
        let name = self.create(deployment).await.name_any();
        self.complete(&name).await
    }

    /// The Deployment `web` as it is.
    pub async fn web(&self) -> Deployment {
        self.deployments().get("web").await.expect("web is there")
    }

    /// Applies JSON Patch operations to the Deployment `web`.
    pub async fn try_patch(&self, operations: Value) -> kube::Result<Deployment> {
        let patch: json_patch::Patch =
            serde_json::from_value(operations).expect("the test's patch is one");
        let params =
            PatchParams { field_manager: Some("conformance".to_owned()), ..PatchParams::default() };
        self.deployments().patch("web", &params, &Patch::<()>::Json(patch)).await
    }

    /// Applies JSON Patch operations, which must succeed.
    pub async fn patch(&self, operations: Value) -> Deployment {
        self.try_patch(operations).await.expect("the patch is accepted")
    }

    /// The object at a path of the API, as plain JSON.
    pub async fn raw(&self, path: &str) -> Value {
        let request = http::Request::get(path).body(Vec::new()).expect("the test's path is one");
        self.client.request(request).await.unwrap_or_else(|why| panic!("GET {path}: {why}"))
    }

    /// A Deployment as plain JSON.
    pub async fn raw_deployment(&self, name: &str) -> Value {
        let namespace = &self.namespace;
        self.raw(&format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}")).await
    }

    /// All pods, whatever their state, as plain JSON.
    pub async fn raw_pods(&self) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let list = self.raw(&path).await;
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The pods that are not ending.
    pub async fn pods(&self) -> Vec<Pod> {
        let pods: Api<Pod> = self.api();
        let list = pods.list(&ListParams::default()).await;
        let mut pods = list.expect("pods can be listed").items;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        pods
    }

    /// The ReplicaSets, oldest revision first.
    pub async fn sets(&self) -> Vec<ReplicaSet> {
        let sets: Api<ReplicaSet> = self.api();
        let list = sets.list(&ListParams::default()).await;
        let mut sets = list.expect("ReplicaSets can be listed").items;
        sets.sort_by_key(revision);
        sets
    }

    /// Waits until an object of a kind is as wanted, by watching all of the
    /// namespace; tells the last one seen when it takes too long.
    pub async fn until<K>(&self, what: &str, wanted: impl Fn(&K) -> bool) -> K
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + 'static,
        K::DynamicType: Default,
    {
        let mut last = None;
        let wait = async {
            let mut events = std::pin::pin!(watcher(self.api::<K>(), watcher::Config::default()));
            while let Some(event) = events.next().await {
                let event = event.expect("the watch goes on");
                if let watcher::Event::Apply(object) | watcher::Event::InitApply(object) = event {
                    if wanted(&object) {
                        return object;
                    }
                    last = Some(object);
                }
            }
            unreachable!("a watcher never ends")
        };
        match tokio::time::timeout(LIMIT, wait).await {
            Ok(object) => object,
            Err(_) => panic!("after {LIMIT:?} not {what}: {last:#?}"),
        }
    }

    /// Waits until the Deployment `web` is as wanted, its status up to date.
    pub async fn until_web(&self, what: &str, wanted: impl Fn(&Deployment) -> bool) -> Deployment {
        self.until(what, |deployment: &Deployment| {
            let seen = deployment.status.as_ref().and_then(|s| s.observed_generation);
            deployment.name_any() == "web"
                && seen >= deployment.metadata.generation
                && wanted(deployment)
        })
        .await
    }

    /// Waits until all pods of a Deployment are new and available and no other is
    /// left.
    pub async fn complete(&self, name: &str) -> Deployment {
        self.until(&format!("{name} complete"), |deployment: &Deployment| {
            let Some(status) = &deployment.status else {
                return false;
            };
            let size = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            deployment.name_any() == name
                && status.observed_generation >= deployment.metadata.generation
                && [status.replicas, status.updated_replicas, status.available_replicas]
                    .iter()
                    .all(|number| number.or(Some(0)) == size)
        })
        .await
    }

    /// Waits until the ReplicaSets, oldest revision first, have these sizes with
    /// all their pods ready, and none has another.
    pub async fn rests_at(&self, sizes: &[i32]) {
        let wait = async {
            let sets: Api<ReplicaSet> = self.api();
            let mut store = std::collections::BTreeMap::new();
            let mut events = std::pin::pin!(watcher(sets, watcher::Config::default()));
            while let Some(event) = events.next().await {
                match event.expect("the watch goes on") {
                    watcher::Event::Apply(set) | watcher::Event::InitApply(set) => {
                        store.insert(set.name_any(), set);
                    }
                    watcher::Event::Delete(set) => {
                        store.remove(&set.name_any());
                    }
                    watcher::Event::Init => store.clear(),
                    watcher::Event::InitDone => {}
                }
                let mut sets: Vec<&ReplicaSet> = store.values().collect();
                sets.sort_by_key(|set| revision(set));
                if sets.iter().map(|set| ready_size(set)).eq(sizes.iter().map(|s| Some(*s))) {
                    return;
                }
            }
        };
        if tokio::time::timeout(LIMIT, wait).await.is_err() {
            panic!(
                "after {LIMIT:?} not at {sizes:?}: {:#?}",
                self.sets()
                    .await
                    .iter()
                    .map(|set| (set.name_any(), set.status.clone()))
                    .collect::<Vec<_>>()
            );
        }
    }

    /// Gets a watch of plain JSON events of Deployments, with these query options.
    pub async fn watch_deployments(
        &self,
        query: &str,
    ) -> impl futures::Stream<Item = Value> + use<> {
        let namespace = &self.namespace;
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments?watch=true&{query}");
        let request = http::Request::get(path).body(Vec::new()).expect("the test's path is one");
        let lines = self.client.request_stream(request).await.expect("the watch is accepted");
        use futures::AsyncBufReadExt;
        lines
            .lines()
            .map_ok(|line| serde_json::from_str(&line).expect("each line is an event"))
            .map(|event| event.expect("the watch is not broken"))
    }
}

/// The revision that a ReplicaSet has; 0 without one.
pub fn revision(set: &ReplicaSet) -> i64 {
    set.annotations()
        .get("deployment.kubernetes.io/revision")
        .and_then(|revision| revision.parse().ok())
        .unwrap_or(0)
}

/// The size of a set whose status is up to date and whose pods are all ready.
fn ready_size(set: &ReplicaSet) -> Option<i32> {
    let size = set.spec.as_ref()?.replicas?;
    let status = set.status.as_ref()?;
    let rests = status.observed_generation >= set.metadata.generation
        && status.replicas == size
        && status.ready_replicas.unwrap_or(0) == size;
    rests.then_some(size)
}
