//! A whole Sluice in a test: service, executor, simulated cluster.

pub mod by_hand;
pub mod found;
pub mod held;
pub mod program;
pub mod proxy;
pub mod real;
pub mod second;
pub mod sent;
pub mod server;
pub mod watcher;

use std::{future::Future, time::Duration};

use clock::Clock;
use cluster::Cluster;
use domain::{
    ApplicationId, KnownCluster, OrderId,
    order::{
        FailurePolicy, State,
        plan::{Pace, Strategy},
    },
    rights::Scope,
    template::spec::SpecChange,
};
use executor::Executor;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use service::{Caller, CreateApplication, Deploy, OrderView, PackageParams, Service};
use simulated::{Config, SimulatedCluster};
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::{Recorded, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Two tests of each check: on the simulated cluster, and on the real one.
macro_rules! on_both_clusters {
    ($($check:ident),* $(,)?) => {
        mod simulated {
            use super::*;
            $(
                #[sqlx::test(migrator = "store::MIGRATIONS")]
                async fn $check(pool: PgPool) {
                    super::$check(crate::support::App::start(pool).await).await;
                }
            )*
        }
        mod real {
            use super::*;
            $(
                #[sqlx::test(migrator = "store::MIGRATIONS")]
                async fn $check(pool: PgPool) {
                    super::$check(crate::support::App::start_real(pool).await).await;
                }
            )*
        }
    };
}
pub(crate) use on_both_clusters;

/// Longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Short, so that a killed executor's orders are taken over soon.
const LEASE: Duration = Duration::from_secs(2);

/// The cluster's EDAS id.
pub const CLUSTER: &str = "default";

pub struct App {
    pub service: Service,
    pub store: Store,
    pub clock: Clock,
    /// None on a real cluster.
    pub simulation: Option<SimulatedCluster>,
    pub client: kube::Client,
    /// The Kubernetes namespace of this test's applications.
    pub namespace: String,
    pub executor: Running,
    _connections: Connections,
}

/// A test's own connections, closed at its end, so that its database can go.
struct Connections(Option<PgPool>);

impl Drop for Connections {
    fn drop(&mut self) {
        if let (Some(pool), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { pool.close().await });
        }
    }
}

/// The name under which Postgres knows the connections of [`own_pool`].
pub const OWN_POOL: &str = "server";

/// Connections to the test's database that it need not share with other tests: all
/// pools that sqlx gives to tests have 20 together, and wait for each other.
pub async fn own_pool(pool: &PgPool) -> PgPool {
    let options = (*pool.connect_options()).clone().application_name(OWN_POOL);
    PgPoolOptions::new()
        .max_connections(8)
        .connect_with(options)
        .await
        .expect("the test's database must answer")
}

/// The cluster, seen as the one on record: as an executor that asks for work.
pub async fn known_cluster(store: &Store) -> KnownCluster {
    let recorded =
        store.record_identity(&CLUSTER.into(), &"the-test".parse().unwrap()).await.unwrap();
    let Recorded::Known(known) = recorded else { panic!("{recorded:?}") };
    known
}

/// An executor at work. Dropping it kills it as a crash would.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(store: &Store, client: kube::Client, clock: &Clock, lease: Duration) -> Self {
        Self::start_on(CLUSTER, store, client, clock, lease)
    }

    /// One for the cluster of this id.
    pub fn start_on(
        cluster: &str,
        store: &Store,
        client: kube::Client,
        clock: &Clock,
        lease: Duration,
    ) -> Self {
        Self::start_within(Scope::Whole, cluster, store, client, clock, lease)
    }

    /// One that serves these namespaces alone.
    pub fn start_within(
        scope: Scope,
        cluster: &str,
        store: &Store,
        client: kube::Client,
        clock: &Clock,
        lease: Duration,
    ) -> Self {
        let stop = CancellationToken::new();
        let settings =
            executor::ExecutorConfig { cluster: cluster.into(), lease, concurrency: 100 };
        let watched = Cluster::watch(client, scope);
        let executor = Executor::new(store.clone(), watched, clock.clone(), settings);
        Self { task: tokio::spawn(executor.run(stop.clone())), stop }
    }

    /// Nobody at work.
    pub fn none() -> Self {
        Self { stop: CancellationToken::new(), task: tokio::spawn(async {}) }
    }

    /// Ends it in good order.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("the executor must stop").unwrap();
    }

    /// Ends it at once, whatever it is doing.
    pub fn kill(self) {
        self.task.abort();
    }
}

impl App {
    pub async fn start(pool: PgPool) -> Self {
        Self::start_with(
            pool,
            Config { start_delay: Duration::from_millis(10), ..Config::default() },
        )
        .await
    }

    pub async fn start_with(pool: PgPool, config: Config) -> Self {
        let simulation = SimulatedCluster::start(config);
        let mut app = Self::on(pool, simulation.client(), "default", LEASE).await;
        app.simulation = Some(simulation);
        app
    }

    /// On a simulated cluster on which the executor's writes can be held. Leases last
    /// longer than any of them is held.
    pub async fn start_held(pool: PgPool) -> (Self, held::Held) {
        let simulation = SimulatedCluster::start(Config {
            start_delay: Duration::from_millis(10),
            ..Config::default()
        });
        let held = held::Held::new(simulation.service());
        let mut app =
            Self::on(pool, kube::Client::new(held.clone(), "default"), "default", DEADLINE).await;
        app.simulation = Some(simulation);
        (app, held)
    }

    /// On the real control plane of `SLUICE_TEST_KUBECONFIG`, in a namespace of its own.
    pub async fn start_real(pool: PgPool) -> Self {
        let client = real::client().await;
        let namespace = real::namespace(&client).await;
        Self::on(pool, client, &namespace, LEASE).await
    }

    async fn on(pool: PgPool, client: kube::Client, namespace: &str, lease: Duration) -> Self {
        let (pool, clock) = (own_pool(&pool).await, Clock::default());
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        store.register_cluster(&CLUSTER.into()).await.unwrap();
        let service =
            Service::new(store.clone(), clock.clone(), settings(FailurePolicy::default()));
        let executor = Running::start(&store, client.clone(), &clock, lease);
        let app = Self {
            service,
            store,
            clock,
            simulation: None,
            client,
            namespace: namespace.into(),
            executor,
            _connections: Connections(Some(pool)),
        };
        app.known_namespace().await;
        app
    }

    /// The same, with something else put up with before a batch has failed.
    pub fn tolerating(mut self, failure_policy: FailurePolicy) -> Self {
        self.service =
            Service::new(self.store.clone(), self.clock.clone(), settings(failure_policy));
        self
    }

    /// One whose orders another program drives.
    pub fn asking(service: Service, store: Store, client: kube::Client, namespace: &str) -> Self {
        Self {
            service,
            store,
            clock: Clock::default(),
            simulation: None,
            client,
            namespace: namespace.into(),
            executor: Running::none(),
            _connections: Connections(None),
        }
    }

    /// Waits until an executor has mirrored the namespace: orders are checked
    /// against those that are known.
    pub async fn known_namespace(&self) {
        eventually(async || {
            let known = self.service.cluster(None).await.unwrap().namespaces;
            if known.contains(&self.namespace) { Ok(()) } else { Err(format!("{known:?}")) }
        })
        .await;
    }

    /// Kills the executor as a crash would, and starts another.
    pub fn crash(&mut self) {
        let next = Running::start(&self.store, self.client.clone(), &self.clock, LEASE);
        std::mem::replace(&mut self.executor, next).kill();
    }

    /// Starts another executor and ends the present one in good order.
    pub async fn hand_over(&mut self) {
        let next = Running::start(&self.store, self.client.clone(), &self.clock, LEASE);
        std::mem::replace(&mut self.executor, next).stop().await;
    }

    /// The same, with one that serves these namespaces alone.
    pub async fn hand_over_within(&mut self, scope: Scope) {
        let (store, client) = (&self.store, self.client.clone());
        let next = Running::start_within(scope, CLUSTER, store, client, &self.clock, LEASE);
        std::mem::replace(&mut self.executor, next).stop().await;
    }

    /// Ends the executor in good order, and starts none.
    pub async fn stop_executor(&mut self) {
        std::mem::replace(&mut self.executor, Running::none()).stop().await;
    }

    /// Starts another, whose leases last so long.
    pub fn start_executor(&mut self, lease: Duration) {
        self.executor = Running::start(&self.store, self.client.clone(), &self.clock, lease);
    }

    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub async fn watch(&self, name: &str) -> watcher::Watch {
        watcher::Watch::start(self.client.clone(), &self.namespace, name).await
    }

    /// Creates an application and waits until its pods are there.
    pub async fn create(&self, name: &str, replicas: i32) -> ApplicationId {
        let (application, order) = self
            .service
            .create_application(&caller(), creation(&self.namespace, name, replicas))
            .await
            .unwrap();
        let order = self.end_of(order).await;
        assert_eq!(order.state, State::Succeeded, "{}", order.message);
        application
    }

    /// Orders `image` for an application.
    pub async fn deploy(
        &self,
        application: ApplicationId,
        image: &str,
        strategy: Strategy,
    ) -> OrderId {
        self.service.deploy(&caller(), release(application, image, strategy)).await.unwrap()
    }

    /// Waits until the order is over.
    pub async fn end_of(&self, order: OrderId) -> OrderView {
        self.order_when(order, |order| order.state.is_final()).await
    }

    /// Waits until the order is as `wanted`.
    pub async fn order_when(
        &self,
        order: OrderId,
        wanted: impl Fn(&OrderView) -> bool,
    ) -> OrderView {
        eventually(async || {
            let view = self.service.order(order).await.unwrap();
            if wanted(&view) { Ok(view) } else { Err(format!("{view:#?}")) }
        })
        .await
    }

    /// Waits until the order rests before batch `number` (from 1), and confirms it.
    pub async fn confirm(&self, order: OrderId, number: usize) {
        let view = self
            .order_when(order, |order| {
                order.state.is_final()
                    || (order.state == State::WaitingConfirmation
                        && order.batches[number - 1].state == State::WaitingConfirmation)
            })
            .await;
        assert_eq!(view.state, State::WaitingConfirmation, "{}", view.message);
        self.service.confirm(&caller(), view.batches[number - 1].id, true).await.unwrap();
    }

    /// The same, once `rest` pods of `image` are there, as planned.
    pub async fn confirm_at_rest(
        &self,
        order: OrderId,
        number: usize,
        watch: &watcher::Watch,
        image: &str,
        rest: i32,
    ) {
        eventually(async || {
            let state = self.service.order(order).await.unwrap().state;
            if state == State::WaitingConfirmation && watch.now().of(image) == rest {
                Ok(())
            } else {
                Err(format!("{state:?} {:?}", watch.now()))
            }
        })
        .await;
        self.confirm(order, number).await;
    }
}

/// Polls until `probe` answers, or fails with what it said last.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(probe: impl FnMut() -> F) -> T {
    poll(Duration::from_millis(10), probe).await
}

/// The same where many wait at once, and nothing is missed in between.
pub async fn at_leisure<T, F: Future<Output = Result<T, String>>>(probe: impl FnMut() -> F) -> T {
    poll(Duration::from_millis(50), probe).await
}

async fn poll<T, F: Future<Output = Result<T, String>>>(
    every: Duration,
    mut probe: impl FnMut() -> F,
) -> T {
    let mut ticks = tokio::time::interval(every);
    let mut last = String::new();
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            ticks.tick().await;
            match probe().await {
                Ok(found) => break found,
                Err(why) => last = why,
            }
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {last}"))
}

/// The URL of a test's own database.
pub fn database_url(pool: &PgPool) -> String {
    let server = std::env::var("DATABASE_URL").unwrap();
    let name = pool.connect_options().get_database().unwrap().to_owned();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = base.rsplit_once('/').unwrap();
    format!("{base}/{name}?{query}")
}

/// The service's settings, with what is put up with before a batch has failed.
pub fn settings(failure_policy: FailurePolicy) -> service::ServiceConfig {
    service::ServiceConfig {
        cluster: CLUSTER.into(),
        region: "cn-test".into(),
        batch_timeout_seconds: 60,
        failure_policy,
        guard: service::GuardConfig::default(),
    }
}

pub fn caller() -> Caller {
    Caller {
        key_id: "test".into(),
        name: "tester".into(),
        principal: "tester".into(),
        person: None,
        request_id: "request".into(),
        trace: None,
        source: domain::Source::Api,
        reason: String::new(),
        peer: None,
        identity: None,
    }
}

pub fn creation(namespace: &str, name: &str, replicas: i32) -> CreateApplication {
    CreateApplication {
        name: name.into(),
        cluster: CLUSTER.into(),
        namespace: Some(namespace.into()),
        logical_region: None,
        description: String::new(),
        replicas: Some(replicas),
        version: None,
        spec: SpecChange { image: Some("shop/web:1.0".into()), ..SpecChange::default() },
        package: PackageParams::default(),
        timeout_seconds: None,
        notes: Vec::new(),
        services: Vec::new(),
    }
}

pub fn release(application: ApplicationId, image: &str, strategy: Strategy) -> Deploy {
    Deploy {
        application,
        spec: SpecChange { image: Some(image.into()), ..SpecChange::default() },
        package: PackageParams::default(),
        release: None,
        version: None,
        replicas: None,
        strategy: Some(strategy),
        batch_timeout_seconds: None,
        min_ready_seconds: None,
        description: String::new(),
        notes: Vec::new(),
        plan_hash: None,
        allows_no_surge: false,
        template: None,
    }
}

pub fn batches(batches: i32) -> Strategy {
    Strategy { canary: 0, batches, pace: Pace::Automatic { wait_minutes: 0 } }
}

pub fn manual(batches: i32) -> Strategy {
    Strategy { canary: 0, batches, pace: Pace::Manual }
}

pub fn canary(canary: i32, batches: i32) -> Strategy {
    Strategy { canary, batches, pace: Pace::Automatic { wait_minutes: 0 } }
}
