//! One life of an application: a cluster of its own, an executor that may be stopped at a
//! point, and the one that follows it.

use std::{sync::Arc, time::Duration};

use clock::Clock;
use cluster::Cluster;
use domain::{ApplicationId, BatchId, OrderId, order::plan::Strategy, rights::Scope};
use executor::{Executor, ExecutorConfig};
use service::{Deploy, Error, OrderView, Service, ServiceConfig};
use simulated::{Config, SimulatedCluster};
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::{ORDER_CHANNEL, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    end::{self, Seen},
    line::Line,
    scenario::Scenario,
    seam::{Points, Seam, Stop},
    wire,
};
use crate::support::{at_leisure, caller, creation, release, settings};

pub const NAMESPACE: &str = "default";

/// Longer than any life: a lease is lost because the test says so.
const LEASE: Duration = Duration::from_secs(600);

/// Connections of an executor; one of them listens.
const CONNECTIONS: u32 = 5;

/// What became of a life.
#[derive(Clone)]
pub struct Lived {
    /// How everything is at its end.
    pub end: String,
    /// What its first executor passed.
    pub points: Points,
    /// Whether that one was stopped.
    pub was_stopped: bool,
}

/// A cluster on which one life comes after the other. The executor that is left over from one
/// is the first of the next.
pub struct Lane {
    place: Place,
    worker: Option<Worker>,
    lives: usize,
}

/// What the lives of a lane share.
#[derive(Clone)]
struct Place {
    service: Service,
    simulation: SimulatedCluster,
    pool: PgPool,
    clock: Clock,
    cluster: String,
}

/// An executor at work.
struct Worker {
    holder: String,
    seam: Arc<Seam>,
    pool: PgPool,
    task: JoinHandle<()>,
    proxy: JoinHandle<()>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
        self.proxy.abort();
        let pool = self.pool.clone();
        tokio::spawn(async move { pool.close().await });
    }
}

impl Lane {
    pub async fn start(pool: &PgPool, scenario: Scenario) -> Self {
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        let identity = ApplicationId::new().to_string();
        let cluster = format!("lane-{identity}");
        store.register_cluster(&cluster.as_str().into()).await.unwrap();
        let simulation = SimulatedCluster::start(Config {
            identity: Some(identity),
            start_delay: Duration::from_millis(5),
            ..Config::default()
        });
        let clock = Clock::default();
        let settings = ServiceConfig {
            cluster: cluster.as_str().into(),
            // No deadline of the test's is shorter.
            batch_timeout_seconds: 3600,
            ..settings(scenario.failure_policy())
        };
        let service = Service::new(store, clock.clone(), settings);
        let place = Place { service, simulation, pool: pool.clone(), clock, cluster };
        Self { place, worker: None, lives: 0 }
    }

    /// Lives it. Its first executor ends at `stop`, if there is one, and another follows. Its
    /// end comes to be as `expected`, or is told as it is.
    pub async fn live(
        &mut self,
        scenario: Scenario,
        stop: Option<Stop>,
        expected: Option<&str>,
    ) -> Lived {
        self.lives += 1;
        let name = format!("app-{}", self.lives);
        let seen = Seen::watch(self.place.simulation.client(), &name);
        let life = Life { place: self.place.clone(), name, seen };
        let is_whole = scenario.is_seen_from_the_start();
        let first = match self.worker.take().filter(|it| !it.seam.has_ended() && !is_whole) {
            Some(worker) => worker,
            None => self.place.worker(is_whole.then(|| stop.clone())).await,
        };
        let play = async {
            life.known().await;
            let application = scenario.prepare(&life).await;
            if !is_whole {
                first.seam.count(stop);
            }
            scenario.play(&life, application).await;
        };
        let mut next = None;
        let follow = async {
            first.seam.ended().await;
            first.task.abort();
            self.place.expire_leases(&first.holder).await;
            next = Some(self.place.worker(None).await);
            std::future::pending().await
        };
        tokio::select! {
            () = play => {}
            () = follow => {}
        }
        let (points, was_stopped) = (first.seam.take(), first.seam.has_ended());
        let end = end::settled(&life, expected).await;
        self.worker = Some(next.unwrap_or(first));
        Lived { end, points, was_stopped }
    }
}

impl Place {
    /// An executor, all of whose calls pass a seam; it may count from the start.
    async fn worker(&self, counts: Option<Option<Stop>>) -> Worker {
        let seam = Seam::new();
        if let Some(stop) = counts {
            seam.count(stop);
        }
        let line = Line::new(self.simulation.service(), seam.clone());
        let (through, proxy) = wire::before(&self.pool.connect_options(), seam.clone()).await;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .test_before_acquire(false)
            .connect_lazy_with(through);
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        let settings = ExecutorConfig {
            cluster: self.cluster.as_str().into(),
            lease: LEASE,
            concurrency: 100,
        };
        let watched = Cluster::watch(kube::Client::new(line, NAMESPACE), Scope::Whole);
        let executor = Executor::new(store, watched, self.clock.clone(), settings);
        let holder = executor.holder().to_owned();
        let task = tokio::spawn(executor.run(CancellationToken::new()));
        Worker { holder, seam, pool, task, proxy }
    }

    /// The leases of an executor run out, as if time had passed.
    async fn expire_leases(&self, holder: &str) {
        sqlx::query("UPDATE change_order SET lease_expires_at = now() - interval '1 s' WHERE lease_holder = $1")
            .bind(holder)
            .execute(&self.pool)
            .await
            .unwrap();
    }
}

/// What is done to one application of a lane, and seen of it.
pub struct Life {
    place: Place,
    pub name: String,
    pub seen: Seen,
}

impl Life {
    pub fn service(&self) -> &Service {
        &self.place.service
    }

    pub fn simulation(&self) -> &SimulatedCluster {
        &self.place.simulation
    }

    pub fn pool(&self) -> &PgPool {
        &self.place.pool
    }

    /// The cluster's id in the database.
    pub fn cluster(&self) -> &str {
        &self.place.cluster
    }

    /// Waits until an executor has mirrored the namespace.
    async fn known(&self) {
        at_leisure(async || {
            let known = self.service().cluster(None).await.unwrap().namespaces;
            if known.contains(&NAMESPACE.to_owned()) { Ok(()) } else { Err(format!("{known:?}")) }
        })
        .await;
    }

    /// Creates the application, and waits until it is there.
    pub async fn create(&self, replicas: i32) -> ApplicationId {
        let (application, order) = self
            .accepted(async || {
                let mut creation = creation(NAMESPACE, &self.name, replicas);
                creation.cluster = self.cluster().into();
                creation.version = Some("1.0".into());
                self.service().create_application(&caller(), creation).await
            })
            .await;
        self.over(order).await;
        application
    }

    /// Asks again until it is accepted: who was asked about the cluster may have been stopped.
    pub async fn accepted<T, F: Future<Output = Result<T, Error>>>(
        &self,
        request: impl Fn() -> F,
    ) -> T {
        at_leisure(async || request().await.map_err(|error| error.to_string())).await
    }

    pub async fn deploy(
        &self,
        application: ApplicationId,
        image: &str,
        strategy: Strategy,
    ) -> OrderId {
        let version = Some(image.to_owned());
        let request =
            || Deploy { version: version.clone(), ..release(application, image, strategy) };
        self.accepted(async || self.service().deploy(&caller(), request()).await).await
    }

    /// Waits until the order is over, and nothing of it is left to do.
    pub async fn over(&self, order: OrderId) -> OrderView {
        let view = self.when(order, |view, _| view.state.is_final()).await;
        at_leisure(async || {
            let finalizing: bool =
                sqlx::query_scalar("SELECT finalizing FROM change_order WHERE id = $1")
                    .bind(order.0)
                    .fetch_one(self.pool())
                    .await
                    .unwrap();
            if finalizing { Err(format!("finalizing: {}", view.message)) } else { Ok(()) }
        })
        .await;
        view
    }

    /// Waits until the order is as `wanted`, and its last change was made; the second says
    /// whether nobody holds it.
    pub async fn when(
        &self,
        order: OrderId,
        wanted: impl Fn(&OrderView, bool) -> bool,
    ) -> OrderView {
        at_leisure(async || {
            let view = self.service().order(order).await.unwrap();
            let (rests, made): (bool, bool) = sqlx::query_as(
                "SELECT lease_holder IS NULL, intent IS NULL OR applied IS NOT NULL FROM change_order WHERE id = $1",
            )
            .bind(order.0)
            .fetch_one(self.pool())
            .await
            .unwrap();
            if made && wanted(&view, rests) { Ok(view) } else { Err(format!("{rests} {made} {view:#?}")) }
        })
        .await
    }

    /// Waits until the order rests before batch `number` (from 1), and gives that batch.
    pub async fn at_rest(&self, order: OrderId, number: usize) -> BatchId {
        let waits = |view: &OrderView, rests: bool| {
            use domain::order::State::{WaitingConfirmation, WaitingInterval};
            let next = view.batches[number - 1].state;
            rests && view.state == next && matches!(next, WaitingConfirmation | WaitingInterval)
        };
        self.when(order, waits).await.batches[number - 1].id
    }

    /// Confirms batch `number` once the order rests before it.
    pub async fn confirm(&self, order: OrderId, number: usize) {
        let batch = self.at_rest(order, number).await;
        self.accepted(async || self.service().confirm(&caller(), batch, true).await).await;
    }

    /// It is so many seconds later, for all.
    pub fn later(&self, seconds: i64) {
        self.place.clock.advance(seconds);
        self.place.simulation.advance_calendar(seconds);
    }

    /// Seconds pass, and whoever waits for them is woken.
    pub async fn pass(&self, seconds: i64, order: OrderId) {
        self.later(seconds);
        sqlx::query("SELECT pg_notify($1, $2)")
            .bind(ORDER_CHANNEL)
            .bind(order.0.to_string())
            .execute(self.pool())
            .await
            .unwrap();
    }
}
