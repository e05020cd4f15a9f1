//! One application's life, from its creation until its last order has ended.

use std::time::Duration;

use clock::Clock;
use cluster::Cluster;
use domain::{
    ApplicationId,
    order::{FailurePolicy, State, plan::Strategy},
    rights::Scope,
    template::spec::SpecChange,
};
use executor::{Executor, ExecutorConfig};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt};
use service::{
    Caller, CreateApplication, Deploy, OrderView, PackageParams, RollBackTo, Scale, Service,
    ServiceConfig, Start,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::{ORDER_CHANNEL, Store};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    checker,
    ground::Ground,
    hand::{Hand, Hands},
    line::Line,
    operation::{Act, Operation, Plan, User},
    record::{self, Recorder},
};

const NAME: &str = "web";
/// Most connections of a life to the database: each executor keeps one.
const CONNECTIONS: u32 = 8;

/// Executors that are held up at the same time.
const STALLED: usize = 2;

const LEASE: Duration = Duration::from_secs(2);

/// Longest time in which an operation must be answered.
const ANSWER: Duration = Duration::from_secs(10);

/// Longest time without any change of the cluster in which a life must come to its end once
/// nothing is done to it any more, and the longest time of all.
const END: Duration = Duration::from_secs(60);
const END_OF_ALL: Duration = Duration::from_secs(300);

/// What became of a life.
#[derive(Debug)]
pub struct Lived {
    pub violations: Vec<String>,
    pub orders: u64,
    pub events: u64,
}

pub struct Life {
    /// Connections of its own, as its executors keep some of them.
    pool: PgPool,
    service: Service,
    store: Store,
    clock: Clock,
    ground: Ground,
    cluster: String,
    application: ApplicationId,
    recorder: Recorder,
    /// The executor at work, and those that were held up.
    worker: Worker,
    stalled: Vec<Worker>,
    versions: usize,
    /// How many writes other hands made.
    marks: u64,
}

/// An executor, its own line to the API server, and its name in the database.
struct Worker {
    line: Line,
    holder: String,
    task: JoinHandle<()>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Worker {
    fn start(store: &Store, ground: &Ground, clock: &Clock, cluster: &str) -> Self {
        let line = ground.line();
        let settings = ExecutorConfig { cluster: cluster.into(), lease: LEASE, concurrency: 100 };
        let executor = Executor::new(
            store.clone(),
            Cluster::watch(line.client(), Scope::Whole),
            clock.clone(),
            settings,
        );
        let holder = executor.holder().to_owned();
        Self { line, holder, task: tokio::spawn(executor.run(CancellationToken::new())) }
    }
}

impl Life {
    /// Lives it on a simulated cluster, and judges what was recorded.
    pub async fn live(pool: &PgPool, plan: &Plan) -> Lived {
        Self::live_on(Ground::simulated(plan.seed), pool, plan).await
    }

    /// The same elsewhere. A database knows a real cluster by one name only.
    pub async fn live_on(ground: Ground, pool: &PgPool, plan: &Plan) -> Lived {
        let mut life = Self::begin(ground, pool, plan).await;
        for act in &plan.acts {
            life.act(act).await;
        }
        life.end().await
    }

    async fn begin(ground: Ground, pool: &PgPool, plan: &Plan) -> Self {
        let options = (*pool.connect_options()).clone();
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await;
        let pool = pool.unwrap();
        let (store, clock) =
            (Store::on(pool.clone(), test_support::keyring::keyring()), Clock::default());
        let cluster = format!("seed-{}-{}", plan.seed, ApplicationId::new());
        store.register_cluster(&cluster.as_str().into()).await.unwrap();
        let settings = ServiceConfig {
            cluster: cluster.as_str().into(),
            region: "cn-test".into(),
            batch_timeout_seconds: 120,
            guard: service::GuardConfig::default(),
            failure_policy: FailurePolicy {
                roll_back: plan.rolls_back,
                ..FailurePolicy::default()
            },
        };
        let service = Service::new(store.clone(), clock.clone(), settings);
        let worker = Worker::start(&store, &ground, &clock, &cluster);
        let recorder = Recorder::start(ground.client(), ground.namespace());
        let known = async {
            while !service
                .cluster(None)
                .await
                .unwrap()
                .namespaces
                .iter()
                .any(|it| it == ground.namespace())
            {
                let _ = timeout(Duration::from_millis(20), recorder.see(1)).await;
            }
        };
        timeout(END, known).await.expect("the executor must see the cluster");
        let request = CreateApplication {
            name: NAME.into(),
            cluster: cluster.as_str().into(),
            namespace: Some(ground.namespace().into()),
            logical_region: None,
            description: String::new(),
            replicas: Some(plan.replicas),
            version: None,
            spec: SpecChange { image: Some("shop/web:1.0".into()), ..SpecChange::default() },
            package: PackageParams::default(),
            timeout_seconds: None,
            notes: Vec::new(),
            services: Vec::new(),
        };
        let (application, _) = service.create_application(&caller(), request).await.unwrap();
        let life = Self {
            pool,
            service,
            store,
            clock,
            ground,
            cluster,
            application,
            recorder,
            worker,
            stalled: Vec::new(),
            versions: 1,
            marks: 0,
        };
        let _ = timeout(ANSWER, life.rest()).await;
        life
    }

    async fn act(&mut self, act: &Act) {
        // What is refused is part of a life.
        if timeout(ANSWER, self.operate(act.operation)).await.is_err() {
            tracing::warn!("{:?} was not answered", act.operation);
        }
        let _ = timeout(self.ground.quiet(), self.recorder.see(act.then)).await;
    }

    async fn operate(&mut self, operation: Operation) {
        let (application, caller) = (self.application, caller());
        let service = self.service.clone();
        match operation {
            Operation::Release(strategy, fault) => {
                self.versions += 1;
                let image = format!("shop/web:{}.0{}", self.versions, fault.tag());
                let _ = service.deploy(&caller, release(application, image, strategy)).await;
            }
            Operation::ReleaseEarlier(batches) => {
                let history = service.history(application).await.unwrap_or_default();
                let Some(version) = history.get(1).map(|it| it.version.clone()) else { return };
                let request =
                    RollBackTo { application, version, batches: Some(batches), wait_minutes: None };
                let _ = service.roll_back_to(&caller, request).await;
            }
            Operation::Confirm => self.confirm().await,
            Operation::StepBack(stay) => {
                if let Some(order) = self.newest().await {
                    let _ = service.step_back(&caller, order.id, Some(stay)).await;
                }
            }
            Operation::Abort => {
                if let Some(order) = self.newest().await {
                    let _ = service.abort(&caller, order.id).await;
                }
            }
            Operation::RollBack => {
                if let Some(order) = self.newest().await {
                    let _ = service.roll_back(&caller, order.id).await;
                }
            }
            Operation::Retry => {
                let Some(order) = self.newest().await else { return };
                let failed = order.batches.iter().find(|batch| batch.state == State::Failed);
                if let Some(batch) = failed {
                    let _ = service.retry(&caller, batch.id).await;
                }
            }
            Operation::Scale(replicas) => {
                let request = Scale { application, replicas, timeout_seconds: None };
                let _ = service.scale(&caller, request).await;
            }
            Operation::Stop => drop(service.stop(&caller, application, None).await),
            Operation::Start => {
                let request = Start { application, replicas: None, timeout_seconds: None };
                let _ = service.start(&caller, request).await;
            }
            Operation::Restart => drop(service.restart(&caller, application, None).await),
            Operation::Edit(user) => self.edit(user).await,
            Operation::Hand(hand) => self.hand(hand).await,
            Operation::LosePod => self.lose_pod().await,
            Operation::Break(trouble, times) => self.ground.fail(trouble, times),
            Operation::DropWatches => self.ground.drop_watches(),
            Operation::ExpireWatches => {
                self.see_all().await;
                self.ground.expire_watches();
            }
            Operation::Crash => self.crash().await,
            Operation::Stall => self.stall().await,
            Operation::GoOn => self.stalled.iter().for_each(|worker| worker.line.go_on()),
            Operation::Pass(seconds) => self.pass(seconds).await,
            Operation::SetClockBack(seconds) => self.clock.advance(-seconds),
            Operation::LoseDatabase => self.lose_database().await,
            Operation::Rest => self.rest().await,
        }
    }

    async fn newest(&self) -> Option<OrderView> {
        let newest = self.service.newest_order(self.application).await.ok()??;
        self.service.order(newest.id).await.ok()
    }

    async fn confirm(&self) {
        let Some(order) = self.newest().await else { return };
        let waits =
            |state: State| matches!(state, State::WaitingConfirmation | State::WaitingInterval);
        if let Some(batch) = order.batches.iter().find(|batch| waits(batch.state)) {
            let _ = self.service.confirm(&caller(), batch.id, true).await;
        }
    }

    async fn crash(&mut self) {
        let next = self.another();
        let old = std::mem::replace(&mut self.worker, next);
        old.task.abort();
        self.expire_leases(&old.holder).await;
    }

    /// The database calls the leases of an executor run out, as if time had passed.
    async fn expire_leases(&self, holder: &str) {
        sqlx::query("UPDATE change_order SET lease_expires_at = now() - interval '1 s' WHERE lease_holder = $1")
            .bind(holder)
            .execute(&self.pool)
            .await
            .unwrap();
        self.wake().await;
    }

    async fn lose_database(&self) {
        sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
            .execute(&self.pool)
            .await
            .unwrap();
    }

    async fn stall(&mut self) {
        self.worker.line.hold();
        let _ = timeout(self.ground.quiet(), self.worker.line.holds_one()).await;
        let next = self.another();
        let old = std::mem::replace(&mut self.worker, next);
        self.expire_leases(&old.holder).await;
        self.stalled.push(old);
        if self.stalled.len() > STALLED {
            self.stalled.remove(0);
        }
    }

    fn another(&self) -> Worker {
        Worker::start(&self.store, &self.ground, &self.clock, &self.cluster)
    }

    async fn edit(&mut self, user: User) {
        if self.open().await > 0 {
            return;
        }
        let Ok(Some(now)) = self.deployments().get_opt(NAME).await else { return };
        // A release that rests half way is not the user's to edit.
        if now.spec.as_ref().and_then(|spec| spec.paused) == Some(true) {
            return;
        }
        let User { max_surge, max_unavailable, progress_deadline_seconds } = user;
        self.hand(Hand::Strategy { max_surge, max_unavailable }).await;
        self.hand(Hand::Deadline(progress_deadline_seconds)).await;
    }

    async fn hand(&mut self, hand: Hand) {
        self.hands().0.lay(hand).await;
    }

    async fn lose_pod(&mut self) {
        let (mut hands, ground) = self.hands();
        ground.lose_pod(&mut hands).await;
    }

    /// Other people's hands, and what they are laid on.
    fn hands(&mut self) -> (Hands<'_>, &Ground) {
        let hands = Hands {
            client: self.ground.client(),
            namespace: self.ground.namespace(),
            name: NAME,
            recorder: &self.recorder,
            marks: &mut self.marks,
        };
        (hands, &self.ground)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.ground.client(), self.ground.namespace())
    }

    /// Seconds pass, for the database's clock alone they do not.
    async fn pass(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.ground.pass(seconds);
        self.wake().await;
    }

    async fn wake(&self) {
        sqlx::query("SELECT pg_notify($1, id::text) FROM change_order WHERE application_id = $2 AND (finished_at IS NULL OR finalizing)")
            .bind(ORDER_CHANNEL)
            .bind(self.application.0)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Orders that are not at their end.
    async fn open(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM change_order WHERE application_id = $1 AND (finished_at IS NULL OR finalizing)")
            .bind(self.application.0)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until the order waits or has ended, or nothing happens any more.
    async fn rest(&self) {
        while self.open().await > 0 {
            let state = self.newest().await.map(|order| order.state);
            if matches!(state, Some(State::WaitingConfirmation | State::WaitingInterval))
                || timeout(self.ground.quiet(), self.recorder.see(1)).await.is_err()
            {
                return;
            }
        }
    }

    /// Lets everything come to its end, and judges it.
    async fn end(mut self) -> Lived {
        self.ground.clear_faults();
        self.stalled.iter().for_each(|worker| worker.line.go_on());
        let came_to_its_end = self.come_to_its_end().await;
        self.see_all().await;
        self.stalled.clear();
        self.worker.task.abort();
        let events = self.recorder.count();
        let rows = record::rows(&self.pool, &self.application.to_string()).await;
        self.pool.close().await;
        self.ground.end().await;
        let recording = self.recorder.end(rows);
        let orders = recording
            .rows
            .iter()
            .filter(|row| row.table == "change_order" && row.before.is_none())
            .count();
        let mut violations = checker::judge(&recording);
        if !came_to_its_end {
            violations.push(format!("not at its end within {END:?}"));
        }
        if std::env::var_os("SLUICE_CHAOS_RECORDING").is_some() && !violations.is_empty() {
            eprintln!("{}", checker::told(&recording));
        }
        Lived {
            violations,
            orders: u64::try_from(orders).unwrap_or(0),
            events: events + u64::try_from(recording.rows.len()).unwrap_or(0),
        }
    }

    /// Waits until the Deployment was seen as it is.
    async fn see_all(&self) {
        if let Ok(Some(last)) = self.deployments().get_opt(NAME).await {
            let version = last.resource_version().and_then(|it| it.parse().ok()).unwrap_or(0);
            let _ = timeout(ANSWER, self.recorder.saw(version)).await;
        }
    }

    async fn come_to_its_end(&self) -> bool {
        let began = Instant::now();
        let (mut seen, mut moved) = (self.recorder.count(), began);
        let mut confirmed = 0;
        while self.open().await > 0 {
            let (count, now) = (self.recorder.count(), Instant::now());
            if count != seen {
                (seen, moved) = (count, now);
            }
            if now > moved + END || now > began + END_OF_ALL {
                return false;
            }
            let state = self.newest().await.map(|order| (order.id, order.state));
            match state {
                // What cannot be confirmed goes back.
                Some((id, State::WaitingConfirmation)) if confirmed >= 10 => {
                    let goes_back = self.service.roll_back(&caller(), id).await;
                    // A way back has none: it is stopped.
                    if goes_back.is_err() {
                        let _ = self.service.abort(&caller(), id).await;
                    }
                }
                Some((_, State::WaitingConfirmation)) => {
                    confirmed += 1;
                    self.confirm().await;
                }
                Some((id, State::WaitingInterval)) if confirmed >= 10 => {
                    let _ = self.service.roll_back(&caller(), id).await;
                }
                Some((_, State::WaitingInterval)) => {
                    confirmed += 1;
                    self.pass(60).await;
                }
                _ => {}
            }
            if timeout(self.ground.quiet(), self.recorder.see(1)).await.is_err() {
                self.pass(30).await;
            }
        }
        true
    }
}

fn caller() -> Caller {
    Caller { key_id: "chaos".into(), source: domain::Source::Api, ..Caller::of_commands() }
}

fn release(application: ApplicationId, image: String, strategy: Strategy) -> Deploy {
    Deploy {
        application,
        spec: SpecChange { image: Some(image), ..SpecChange::default() },
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
