//! Numbers for Prometheus: installs what counts them, and serves them.
//!
//! The crates count where something happens (`metrics::counter!` and the like), which costs
//! nothing as long as nobody asked for it. What stands in the database is read when it is
//! asked for, at most once a second. docs/metrics.md lists all of them; a test compares.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use axum::{Router, extract, http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use clock::Clock;
use domain::{
    notice::ChannelKind,
    order::{Kind, State},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use store::{Standing, Store};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// Upper bounds of the histograms, in seconds: of requests and statements, and of orders.
const SHORT: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const LONG: &[f64] =
    &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0];

/// How often what was counted is put together, so that it takes no room.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How old an answer of the database may be, and how long it may take.
const READ_EVERY: Duration = Duration::from_secs(1);
const READ_WITHIN: Duration = Duration::from_secs(1);

/// Where the numbers are kept. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

struct Served {
    handle: PrometheusHandle,
    store: Store,
    clock: Clock,
    read: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    at: Option<Instant>,
    /// Labels of open orders that were shown: those of which there are none any more are 0.
    shown: BTreeMap<[String; 3], ()>,
}

impl Metrics {
    /// Begins to count, in the whole program.
    ///
    /// # Errors
    /// If something else counts already.
    pub fn install() -> Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets(SHORT)?
            .set_buckets_for_metric(Matcher::Full("sluice_order_seconds".into()), LONG)?
            .install_recorder()
            .context("metrics cannot be counted")?;
        describe();
        begin_at_zero();
        Ok(Self { handle })
    }

    /// Puts together what was counted, until `stop`.
    pub async fn keep(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP_EVERY) => self.handle.run_upkeep(),
            }
        }
    }

    /// Serves them at `/metrics`.
    pub fn router(&self, store: Store, clock: Clock) -> Router {
        let served = Served { handle: self.handle.clone(), store, clock, read: Mutex::default() };
        Router::new().route("/metrics", get(show)).with_state(Arc::new(served))
    }
}

async fn show(extract::State(served): extract::State<Arc<Served>>) -> impl IntoResponse {
    // One reads, the others wait for it.
    let mut read = served.read.lock().await;
    if read.at.is_none_or(|at| at.elapsed() >= READ_EVERY) {
        let asked = served.store.standing(served.clock.now());
        let standing = match tokio::time::timeout(READ_WITHIN, asked).await {
            Ok(Ok(standing)) => Some(standing),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the numbers of the database cannot be read");
                None
            }
            Err(_) => None,
        };
        metrics::gauge!("sluice_database_up").set(if standing.is_some() { 1.0 } else { 0.0 });
        if let Some(standing) = standing {
            read.set(&standing, served.clock.now());
        }
        read.at = Some(Instant::now());
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], served.handle.render())
}

impl Read {
    fn set(&mut self, standing: &Standing, now: jiff::Timestamp) {
        for [cluster, kind, state] in self.shown.keys() {
            orders(cluster, kind, state, 0.0, 0.0);
        }
        for open in &standing.orders {
            let labels = [open.cluster.to_string(), open.kind.to_string(), open.state.to_string()];
            let age = now.duration_since(open.oldest).as_secs_f64().max(0.0);
            orders(&labels[0], &labels[1], &labels[2], open.count as f64, age);
            self.shown.insert(labels, ());
        }
        metrics::gauge!("sluice_object_writes_open").set(standing.object_writes as f64);
        metrics::gauge!("sluice_audit_lag_seconds").set(standing.audit_waits.as_secs_f64());
        metrics::gauge!("sluice_notification_lag_seconds")
            .set(standing.notification_waits.as_secs_f64());
        let used = standing.connections.saturating_sub(standing.idle_connections);
        metrics::gauge!("sluice_database_connections", "use" => "used").set(used as f64);
        metrics::gauge!("sluice_database_connections", "use" => "idle")
            .set(standing.idle_connections as f64);
    }
}

fn orders(cluster: &str, kind: &str, state: &str, count: f64, age: f64) {
    let labels =
        [("cluster", cluster.to_owned()), ("kind", kind.to_owned()), ("state", state.to_owned())];
    metrics::gauge!("sluice_orders_open", &labels).set(count);
    metrics::gauge!("sluice_oldest_order_seconds", &labels).set(age);
}

/// What somebody is woken for is there from the start: what begins at 1 has not risen.
fn begin_at_zero() {
    for kind in [Kind::Create, Kind::Deploy, Kind::DeployVersion, Kind::Rollback] {
        for state in [State::Succeeded, State::Failed, State::Aborted] {
            let labels = [("kind", kind.to_string()), ("state", state.to_string())];
            metrics::counter!("sluice_orders_ended_total", &labels).increment(0);
        }
    }
    for kind in ChannelKind::ALL {
        for outcome in ["delivered", "failed", "given_up"] {
            let labels = [("kind", kind.to_string()), ("outcome", outcome.to_owned())];
            metrics::counter!("sluice_notifications_total", &labels).increment(0);
        }
    }
    for what in ["orders", "events", "versions"] {
        metrics::counter!("sluice_forgotten_total", "what" => what).increment(0);
    }
    for kind in ["deployments", "replicasets", "pods", "namespaces"] {
        metrics::counter!("sluice_watch_events_total", "kind" => kind, "outcome" => "break")
            .increment(0);
    }
}

/// Says what each of them is.
fn describe() {
    use metrics::{
        describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram,
    };
    counter!(
        "sluice_requests_total",
        "Requests to the API, by operation and by the code of the answer"
    );
    histogram!("sluice_request_seconds", "Time until a request to the API was answered");
    gauge!(
        "sluice_orders_open",
        "Change orders that have not come to their end, by cluster, kind and state"
    );
    gauge!("sluice_oldest_order_seconds", "Age of the oldest of these");
    gauge!("sluice_orders_driven", "Change orders that this process drives now");
    counter!("sluice_orders_ended_total", "Change orders that this process brought to their end");
    histogram!("sluice_order_seconds", "Time from accepting a change order to its end");
    counter!("sluice_batches_ended_total", "Batches that this process brought to their end");
    counter!("sluice_failures_total", "Change orders that failed, by cause");
    counter!("sluice_leases_total", "Leases of change orders that this process took");
    counter!(
        "sluice_leases_taken_over_total",
        "Those of them that were taken from another process, which is gone or fell silent"
    );
    counter!(
        "sluice_kubernetes_requests_total",
        "Requests to the API server, by verb, resource, status (none = no answer) and whether it was a dry run"
    );
    histogram!("sluice_kubernetes_request_seconds", "Time until the API server began its answer");
    counter!("sluice_watch_events_total", "Events of the watches; outcome break = the watch broke");
    gauge!("sluice_database_up", "Whether the database answered within a second");
    gauge!("sluice_database_connections", "Connections to the database of this process");
    histogram!(
        "sluice_database_begin_seconds",
        "Time until a transaction had begun, waiting for a connection included"
    );
    histogram!("sluice_database_commit_seconds", "Time that committing a transaction took");
    histogram!("sluice_database_statement_seconds", "Time that a statement took, by its name");
    gauge!("sluice_object_writes_open", "Writes of objects that no executor has answered");
    gauge!(
        "sluice_audit_lag_seconds",
        "Age of the oldest entry of the audit that is not in its log"
    );
    counter!(
        "sluice_notifications_total",
        "Attempts of this process to deliver a notice, by kind of channel and by outcome"
    );
    gauge!(
        "sluice_notification_lag_seconds",
        "Age of the oldest notice that an enabled channel was not told of"
    );
    counter!(
        "sluice_forgotten_total",
        "What this process deleted since it was older than it is kept for: orders, events, versions"
    );
}
