//! A Kubernetes cluster in memory, beneath `kube::Client` or on a port.
//!
//! ```
//! use k8s_openapi::api::apps::v1::Deployment;
//! use kube::{Api, api::PostParams, runtime::wait::await_condition};
//! use simulated_kubernetes::{Config, SimulatedCluster};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = SimulatedCluster::start(Config::default());
//! let deployments: Api<Deployment> = Api::default_namespaced(cluster.client());
//! let web: Deployment = serde_json::from_value(serde_json::json!({
//!     "metadata": {"name": "web"},
//!     "spec": {
//!         "replicas": 3,
//!         "selector": {"matchLabels": {"app": "web"}},
//!         "template": {
//!             "metadata": {"labels": {"app": "web"}},
//!             "spec": {"containers": [{"name": "web", "image": "shop/web:1.0"}]},
//!         },
//!     },
//! }))?;
//! deployments.create(&PostParams::default(), &web).await?;
//!
//! let is_ready = |web: Option<&Deployment>| web.and_then(|web| web.status.as_ref()?.ready_replicas) == Some(3);
//! await_condition(deployments, "web", is_ready).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `SimulatedCluster` answers the Kubernetes API as a tower service: Deployments,
//! ReplicaSets, pods, namespaces, Services, ConfigMaps, Secrets, Ingresses,
//! HorizontalPodAutoscalers, events and nodes, with watches and tables. The Deployment
//! and ReplicaSet controllers, the garbage collector, the scheduler and the nodes run
//! inside it, event driven, on tokio's time. [`SimulatedCluster::serve`] puts it on a
//! port, for `kubectl`. It passes
//! the same conformance suite as a real Kubernetes (`tests/cluster`), has knobs to
//! make things go wrong, and a log of all writes. Seeded: runs repeat. It knows
//! nothing of its users.

#![warn(missing_docs)]

mod api;
mod audit;
mod clock;
mod defaults;
mod deployment;
mod discovery;
mod event;
mod fault;
mod field;
mod garbage;
mod kind;
mod kubelet;
mod log;
mod managed;
mod objects;
mod patch;
mod quantity;
mod queue;
mod reaction;
mod refusal;
mod replica_set;
mod request;
mod scale;
mod schema;
mod selector;
mod serve;
mod table;
mod update;
mod validation;
mod watch;
mod world;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod workbench;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::audit::{Call, Write};
pub use self::fault::Fault;
pub use self::kubelet::Behaviour;
pub use self::queue::Part;
pub use self::serve::{bind, kubeconfig};

use self::kind::Kind;
use self::objects::Key;
use self::queue::Next;
use self::world::World;

/// Most bytes of a request, as in Kubernetes.
const LARGEST_BODY: usize = 3 << 20;

/// How a simulated cluster behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// Everything random comes from this seed: uids, name suffixes, jitter, and
    /// the order of the controllers' work with `shuffle`.
    pub seed: u64,
    /// The UID of the namespace `kube-system`, by which a cluster is known. By the seed
    /// if none.
    pub identity: Option<String>,
    /// From the placing of a pod until it runs, unless its annotation
    /// `sluice.test/starts-after` says otherwise. 100 ms, as on the test bed.
    pub start_delay: Duration,
    /// Up to this much is added to `start_delay`, at random. None.
    pub jitter: Duration,
    /// How many nodes there are. 3.
    pub nodes: usize,
    /// Lets the controllers take their work in random order instead of in the
    /// order in which it came. No.
    pub shuffle: bool,
    /// How many changes watches can go back. 10,000.
    pub history: usize,
    /// How many writes the log keeps. 10,000.
    pub audit: usize,
    /// How often a watch that wants bookmarks gets one. 10 s.
    pub bookmark_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            identity: None,
            start_delay: Duration::from_millis(100),
            jitter: Duration::ZERO,
            nodes: 3,
            shuffle: false,
            history: 10_000,
            audit: 10_000,
            bookmark_every: Duration::from_secs(10),
        }
    }
}

/// What requests, watches and controllers share.
#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    stop: CancellationToken,
    delay: Mutex<Duration>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        // A panic in the middle of a step is a bug that its test reports; the
        // others may go on.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running cluster. Clones are handles of the same cluster; it stops when the
/// last handle and the last client are gone.
#[derive(Clone, Debug)]
pub struct SimulatedCluster {
    shared: Arc<Shared>,
    _guard: Arc<DropGuard>,
}

impl SimulatedCluster {
    /// Starts a cluster on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(config: Config) -> Self {
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            world: Mutex::new(World::new(config)),
            stop: stop.clone(),
            delay: Mutex::new(Duration::ZERO),
        });
        tokio::spawn(control(Arc::clone(&shared)));
        Self { shared, _guard: Arc::new(stop.drop_guard()) }
    }

    /// A client of this cluster, with the namespace `default`.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.service(), "default")
    }

    /// The API server itself, for `kube::Client::new` or to be served over HTTP.
    #[must_use]
    pub fn service(&self) -> ApiServer {
        ApiServer { cluster: self.clone() }
    }

    /// The writes so far, oldest first: those of clients, and those of the
    /// built-in controllers under `kube-controller-manager`, `kube-scheduler` and
    /// `kubelet`.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.shared.lock().audit.writes()
    }

    /// Lets the next `times` requests that `chosen` picks go wrong.
    pub fn fail_next(
        &self,
        times: usize,
        fault: Fault,
        chosen: impl Fn(&Call) -> bool + Send + 'static,
    ) {
        self.shared.lock().faults.add(times, Box::new(chosen), fault);
    }

    /// Forgets the faults that have not struck yet.
    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Carries out every request this much later.
    pub fn delay_requests(&self, delay: Duration) {
        *self.shared.delay.lock().unwrap_or_else(PoisonError::into_inner) = delay;
    }

    /// Breaks the connection of every watch there is.
    pub fn drop_watches(&self) {
        let mut world = self.shared.lock();
        world.cuts += 1;
        let version = world.objects.version();
        world.seen.send_replace(version);
    }

    /// Forgets all changes so far: every watch that goes on from an earlier
    /// version gets `410 Expired`.
    pub fn expire_watches(&self) {
        let mut world = self.shared.lock();
        world.objects.forget_changes();
        let version = world.objects.version();
        world.seen.send_replace(version);
    }

    /// Moves the calendar forward by whole seconds, beside the clock of whoever reads the
    /// time stamps. What waits for tokio's time goes on waiting for it.
    pub fn advance_calendar(&self, seconds: i64) {
        self.shared.lock().clock.advance(jiff::SignedDuration::from_secs(seconds));
    }

    /// Stops a part of the cluster; requests are still answered.
    pub fn freeze(&self, part: Part) {
        self.shared.lock().queue.freeze(part);
    }

    /// Lets a frozen part go on with what has gathered.
    pub fn thaw(&self, part: Part) {
        let mut world = self.shared.lock();
        world.queue.thaw(part);
        world.wake.notify_one();
    }

    /// Lets this be another cluster from now on, as when another one answers at the same
    /// address: no watch is told.
    pub fn replace_identity(&self, identity: &str) {
        self.shared.lock().replace_identity(identity);
    }

    /// Takes a pod away at once, as when its node is lost. Says whether it was
    /// there.
    pub fn kill_pod(&self, namespace: &str, name: &str) -> bool {
        let mut world = self.shared.lock();
        let key = Key::new(Kind::Pod, namespace, name);
        let there = world.objects.get(&key).is_some();
        world.remove(&key);
        there
    }

    /// Lets pods behave otherwise than their image says: new pods of exactly this
    /// image, and with `existing` those that are there, which start anew.
    pub fn set_behaviour(&self, image: &str, behaviour: Behaviour, existing: bool) {
        kubelet::override_image(&mut self.shared.lock(), image, behaviour, existing);
    }
}

/// The controllers: one step after the other, at rest while there is none.
async fn control(shared: Arc<Shared>) {
    let wake = Arc::clone(&shared.lock().wake);
    loop {
        let idle = shared.lock().step();
        match idle {
            // Lets requests in between two steps, as real controllers do.
            None => tokio::task::yield_now().await,
            Some(Next::At(at)) => tokio::select! {
                () = tokio::time::sleep_until(at) => {}
                () = wake.notified() => {}
                () = shared.stop.cancelled() => return,
            },
            Some(Next::Now(_) | Next::Nothing) => tokio::select! {
                () = wake.notified() => {}
                () = shared.stop.cancelled() => return,
            },
        }
        if shared.stop.is_cancelled() {
            return;
        }
    }
}

/// The API server of a simulated cluster as a tower service.
#[derive(Clone, Debug)]
pub struct ApiServer {
    cluster: SimulatedCluster,
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: axum::body::HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<tower::BoxError>,
{
    type Response = Response<Body>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Response<Body>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let cluster = self.cluster.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match Limited::new(body, LARGEST_BODY).collect().await {
                Ok(body) => body.to_bytes(),
                Err(why) if why.is::<LengthLimitError>() => return Ok(api::too_large()),
                Err(why) => return Err(io::Error::other(why)),
            };
            let delay = *cluster.shared.delay.lock().unwrap_or_else(PoisonError::into_inner);
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            match api::answer(&cluster.shared, Request::from_parts(parts, body)) {
                // Whoever asked gives up by itself.
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    std::future::pending().await
                }
                answered => answered,
            }
        })
    }
}
