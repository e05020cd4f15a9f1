//! The background executor: drives every open change order to its end.
//!
//! It leases orders that are due, drives each in a task of its own
//! ([`drive`]), and mirrors what the service needs to know of the cluster into
//! the database. NOTIFY and the watches wake it; a timer is the net beneath.
//! Several may run: a lease is held by one at a time, and whoever lost it can
//! write neither to the database nor to the Deployment. It meets the service in
//! the database only.

mod answer;
mod changed;
mod drive;
mod identity;
mod mirror;
mod notices;
mod object_write;
mod presence;
mod restored;
mod rights;
mod upcoming;
mod waiting;

pub use identity::{Standing, succeed};
pub use notices::{Hearer, Notice, Notices};

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{Mutex, Notify, OnceCell, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use clock::Clock;
use cluster::{Cluster, Key};
use domain::{ClusterId, InstallationId, KnownCluster, OrderId};
use store::{Lease, Store};

/// Time for running steps to end after a stop was asked for.
const STOP_WITHIN: Duration = Duration::from_secs(7);

/// How an executor works.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// The EDAS id of the cluster.
    pub cluster: ClusterId,
    /// How long a lease lasts without being extended.
    pub lease: Duration,
    /// Orders driven at once.
    pub concurrency: usize,
}

/// An executor.
#[derive(Debug)]
pub struct Executor {
    store: Store,
    cluster: Cluster,
    clock: Clock,
    settings: ExecutorConfig,
    /// Its unique id, new in each run of the program.
    holder: String,
    /// Woken whenever some order may have become due.
    due: Notify,
    /// When the next order becomes due without a wake-up.
    upcoming: std::sync::Mutex<upcoming::Upcoming>,
    /// Woken whenever there may be a request.
    asked: Notify,
    /// Who listens to Postgres for all executors of the program; none = it does so itself.
    notices: Option<Arc<Notices>>,
    /// The drivers of orders, which are woken when their order changes. By lease, since an
    /// order may be leased again before the end of its last drive is noted.
    drivers: Mutex<HashMap<OrderId, (i64, watch::Sender<u64>)>>,
    /// Orders that were given back at rest, and are not watched yet.
    rested: std::sync::Mutex<Vec<(OrderId, Key)>>,
    /// Orders that changed, for those who follow them.
    changed: changed::Changed,
    /// Whether the cluster is the one on record.
    standing: watch::Sender<Standing>,
    /// This installation, once it was read.
    installation: OnceCell<InstallationId>,
    /// Orders that may not write to the cluster now, and why.
    denied: Mutex<HashMap<OrderId, String>>,
    /// Woken when what can be done on the cluster may have changed.
    stand_changed: Notify,
    /// Since when, and until when, nothing of the cluster could be seen.
    unseen: std::sync::Mutex<identity::Unseen>,
    /// What is to be said of rights, and of applications that are not served.
    warnings: std::sync::Mutex<Vec<String>>,
}

impl Executor {
    /// An executor on a store and a cluster, which listens to Postgres itself.
    #[must_use]
    pub fn new(
        store: Store,
        cluster: Cluster,
        clock: Clock,
        settings: ExecutorConfig,
    ) -> Arc<Self> {
        Self::hearing(store, cluster, clock, settings, None)
    }

    /// One of several of a program, for which somebody listens.
    #[must_use]
    pub fn hearing(
        store: Store,
        cluster: Cluster,
        clock: Clock,
        settings: ExecutorConfig,
        notices: Option<Arc<Notices>>,
    ) -> Arc<Self> {
        let holder = Uuid::now_v7().to_string();
        let standing = watch::Sender::new(Standing::Unseen("it was not asked yet".into()));
        let (due, asked) = (Notify::new(), Notify::new());
        Arc::new(Self {
            store,
            cluster,
            clock,
            settings,
            holder,
            due,
            upcoming: std::sync::Mutex::default(),
            asked,
            notices,
            drivers: Mutex::default(),
            rested: std::sync::Mutex::default(),
            changed: changed::Changed::default(),
            standing,
            installation: OnceCell::new(),
            denied: Mutex::default(),
            stand_changed: Notify::new(),
            unseen: std::sync::Mutex::default(),
            warnings: std::sync::Mutex::default(),
        })
    }

    /// Its unique id in the database.
    #[must_use]
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Works until `stop` is cancelled, then finishes its orders or gives them back.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut aside = JoinSet::new();
        let notices = self.notices.clone().unwrap_or_else(|| {
            let own = Notices::new();
            aside.spawn(own.clone().keep(self.store.clone()));
            own
        });
        aside.spawn(self.clone().listen(notices.hear()));
        aside.spawn(self.clone().keep_presence());
        aside.spawn(self.clone().keep_identity());
        aside.spawn(self.clone().heartbeat());
        aside.spawn(self.clone().mirror_replicas());
        aside.spawn(self.clone().answer_requests());
        aside.spawn(self.clone().prune());
        aside.spawn(self.clone().tell_changes());
        aside.spawn(self.clone().watch_resting());
        aside.spawn(self.clone().list_moved_on());
        aside.spawn(self.clone().review_rights());
        let mut orders: JoinSet<Lease> = JoinSet::new();
        let mut standing = self.standing.subscribe();
        // The cluster that is worked on, and what ends the work on it.
        let (mut known, mut left) = (None, stop.child_token());
        while !stop.is_cancelled() {
            let now = standing.borrow_and_update().known().cloned();
            if known != now {
                left.cancel();
                (known, left) = (now, stop.child_token());
            }
            let Some(cluster) = &known else {
                tokio::select! {
                    () = stop.cancelled() => {}
                    _ = standing.changed() => {}
                    Some(ended) = orders.join_next(), if !orders.is_empty() => self.note_end(ended).await,
                }
                continue;
            };
            metrics::gauge!("sluice_orders_driven", "cluster" => self.settings.cluster.to_string())
                .set(orders.len() as f64);
            let free = self.settings.concurrency.saturating_sub(orders.len());
            let looked = Instant::now();
            if free > 0 && self.acquire(cluster, free, &mut orders, &left).await == free {
                continue;
            }
            let mut looks_again = pin!(self.looks_again(looked));
            // The end of an order is a wake-up, no look by itself.
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = &mut looks_again => break,
                    _ = standing.changed() => break,
                    Some(ended) = orders.join_next(), if !orders.is_empty() => self.note_end(ended).await,
                }
            }
        }
        let limit = Instant::now() + STOP_WITHIN;
        while let Ok(Some(ended)) = tokio::time::timeout_at(limit, orders.join_next()).await {
            self.note_end(ended).await;
        }
        metrics::gauge!("sluice_orders_driven", "cluster" => self.settings.cluster.to_string())
            .set(0.0);
        if let Err(error) = self.store.sign_off(&self.holder).await {
            tracing::warn!(%error, "could not sign off");
        }
    }

    async fn acquire(
        self: &Arc<Self>,
        cluster: &KnownCluster,
        free: usize,
        orders: &mut JoinSet<Lease>,
        stop: &CancellationToken,
    ) -> usize {
        let limit = i64::try_from(free).unwrap_or(i64::MAX);
        match self
            .store
            .acquire(
                cluster,
                &self.holder,
                self.settings.lease,
                self.clock.now(),
                limit,
                self.cluster.scope(),
            )
            .await
        {
            Ok(leases) => {
                if !leases.is_empty() {
                    self.take_up(&leases, orders, stop).await;
                }
                leases.len()
            }
            Err(error) => {
                tracing::warn!(%error, "could not look for due orders");
                0
            }
        }
    }

    /// Loads leased orders, and begins to drive them. One that cannot be loaded is tried again
    /// when its lease has run out.
    async fn take_up(
        self: &Arc<Self>,
        leases: &[Lease],
        orders: &mut JoinSet<Lease>,
        stop: &CancellationToken,
    ) {
        // Whoever changes an order from now on wakes its driver.
        let mut drivers = self.drivers.lock().await;
        let mut woken = HashMap::new();
        for lease in leases {
            let (wake, receiver) = watch::channel(0);
            drivers.insert(lease.order, (lease.generation, wake));
            woken.insert(lease.order, receiver);
        }
        drop(drivers);
        let loaded = self.store.take_up(leases).await.unwrap_or_else(|error| vec![Err(error)]);
        for taken in loaded {
            match taken {
                Ok(taken) => {
                    if let Some(woken) = woken.remove(&taken.lease.order) {
                        orders.spawn(self.clone().drive(taken, woken, stop.clone()));
                    }
                }
                Err(error) => tracing::error!(%error, "the order could not be loaded"),
            }
        }
        let mut drivers = self.drivers.lock().await;
        for order in woken.keys() {
            drivers.remove(order);
        }
    }

    async fn note_end(&self, ended: Result<Lease, tokio::task::JoinError>) {
        match ended {
            Ok(lease) => {
                let mut drivers = self.drivers.lock().await;
                if drivers
                    .get(&lease.order)
                    .is_some_and(|(generation, _)| *generation == lease.generation)
                {
                    drivers.remove(&lease.order);
                }
            }
            // The lease runs out, and the order is taken up again.
            Err(error) => tracing::error!(%error, "driving an order ended in a panic"),
        }
        self.due.notify_one();
    }

    /// Passes notifications on to those who drive the orders, and to the search
    /// for due ones.
    async fn listen(self: Arc<Self>, mut hearer: Hearer) {
        // Whatever was notified before is found by looking.
        self.wake_all().await;
        loop {
            match hearer.next().await {
                Notice::Request => self.asked.notify_one(),
                Notice::Order(order) => {
                    if let Some(order) = order
                        && let Some((_, driver)) = self.drivers.lock().await.get(&order)
                    {
                        driver.send_modify(|count| *count += 1);
                    }
                    self.due.notify_one();
                }
                Notice::Anything => self.wake_all().await,
                Notice::Telling | Notice::Clusters => {}
            }
        }
    }

    async fn wake_all(&self) {
        for (_, driver) in self.drivers.lock().await.values() {
            driver.send_modify(|count| *count += 1);
        }
        self.due.notify_one();
        self.asked.notify_one();
    }

    /// Forgets answers to requests whose date would no longer be accepted, and old precheck requests.
    async fn prune(self: Arc<Self>) {
        loop {
            let now = self.clock.now();
            let before =
                now.checked_sub(jiff::SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
            if let Err(error) = self.store.prune_nonces(before).await {
                tracing::warn!(%error, "could not prune nonces");
            }
            if let Err(error) = self.store.prune_precheck_requests(before).await {
                tracing::warn!(%error, "could not prune precheck requests");
            }
            if let Err(error) = self.store.prune_object_writes(before, now).await {
                tracing::warn!(%error, "could not prune object writes");
            }
            if let Err(error) = self.store.prune_cluster_queries(before).await {
                tracing::warn!(%error, "could not prune cluster queries");
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
        }
    }
}
