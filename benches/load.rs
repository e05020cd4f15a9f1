//! How fast Sluice is beside its database: `make bench`.
//!
//! Starts the program on a private Postgres with a simulated cluster, and sends it signed
//! requests over HTTP. In the same minutes pgbench does the same statements on the same
//! Postgres: what Postgres could do at most on this machine, which the programs share. Each figure is the
//! median of short runs, and all of them go to a file as JSON. Nothing here passes or fails.
//!
//! `SLUICE_BENCH_PROGRAM` measures another build, `SLUICE_BENCH_ONLY` some of the parts
//! (read, accept, drive, statements), `SLUICE_BENCH_SECONDS` and `SLUICE_BENCH_RUNS` say
//! how long and how often.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on ends")]

#[path = "load/client.rs"]
mod client;
#[path = "load/data.rs"]
mod data;
#[path = "load/program.rs"]
mod program;
#[path = "load/yardstick.rs"]
mod yardstick;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use client::{Client, Key, Reply};
use program::Program;
use serde_json::{Map, Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tokio::task::JoinSet;

/// Applications that are deployed without an executor: as many as a run may accept.
const APPLICATIONS: i64 = 20_000;

/// Orders that are polled.
const POLLED: i64 = 100;

/// Applications whose orders are driven at once.
const DRIVEN: usize = 100;

/// The numbers of pods of the release that is counted, and of those that are driven.
const COUNTED_PODS: i32 = 9;
const DRIVEN_PODS: i32 = 3;

const BATCHES: &str =
    r#"{"type":"BatchUpdate","batchUpdate":{"batch":3,"releaseType":"auto","batchWaitTime":0}}"#;

struct Bench {
    pool: PgPool,
    url: String,
    key: Key,
    seconds: Duration,
    runs: usize,
    out: Map<String, Value>,
}

#[tokio::main]
async fn main() {
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL: scripts/bench starts one");
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
    };
    let only = std::env::var("SLUICE_BENCH_ONLY").unwrap_or_default();
    let wanted = |part: &str| only.is_empty() || only.split([' ', ',']).any(|it| it == part);
    let pool = PgPoolOptions::new().max_connections(4).connect(&url).await.unwrap();
    let key = program::prepare(&url).await;
    let mut bench = Bench {
        pool,
        url,
        key,
        seconds: Duration::from_secs(number("SLUICE_BENCH_SECONDS", 6)),
        runs: number("SLUICE_BENCH_RUNS", 3) as usize,
        out: Map::new(),
    };
    let sample = bench.sample(wanted("statements")).await;
    if wanted("drive") {
        bench.drive().await;
    }
    if wanted("read") || wanted("accept") {
        data::multiply(&bench.pool, &sample.0, &sample.1, APPLICATIONS, POLLED).await;
        let server = Program::start(&bench.url, "api", &[]).await;
        if wanted("read") {
            bench.read(&server).await;
        }
        if wanted("accept") {
            for connections in [8, 32] {
                bench.accept(&server, connections, &sample.1).await;
            }
        }
        server.stop().await;
    }
    let out = Value::Object(bench.out);
    if let Ok(path) = std::env::var("SLUICE_BENCH_OUT") {
        std::fs::write(&path, format!("{out:#}\n")).unwrap();
    }
}

impl Bench {
    fn note(&mut self, name: &str, figures: Value) {
        println!("{name}: {figures}");
        self.out.insert(name.to_owned(), figures);
    }

    /// An application that was released once in three batches: its id, and the release's.
    /// `counted` says which statements the release took.
    async fn sample(&mut self, counted: bool) -> (String, String) {
        yardstick::count_statements(&self.pool, true).await;
        let server = Program::start(&self.url, "all", &[]).await;
        let client = &mut server.client(&self.key).await;
        let application = create(client, "sample", COUNTED_PODS).await;
        data::wait_until_ended(&self.pool).await;
        yardstick::forget_statements(&self.pool).await;
        let order = deploy(client, &application).await;
        data::wait_until_ended(&self.pool).await;
        // What follows the end of the order is a part of it.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let statements = yardstick::statements(&self.pool).await;
        server.stop().await;
        yardstick::count_statements(&self.pool, false).await;
        if counted {
            self.note("statements of a release, 3 batches, 9 pods", statements);
        }
        (application, order)
    }

    /// Orders are accepted, and driven to their end on the simulated cluster.
    async fn drive(&mut self) {
        let server = Program::start(&self.url, "all", &[]).await;
        let mut applications = Vec::new();
        for number in 0..DRIVEN {
            let client = &mut server.client(&self.key).await;
            applications.push(create(client, &format!("driven-{number}"), DRIVEN_PODS).await);
        }
        data::wait_until_ended(&self.pool).await;
        let (mut rates, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
            let before = server.cpu();
            let mut tasks = JoinSet::new();
            for _ in 0..8 {
                let mut client = server.client(&self.key).await;
                let (next, applications) = (next.clone(), applications.clone());
                tasks.spawn(async move {
                    while let Some(application) =
                        applications.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                    {
                        deploy(&mut client, application).await;
                    }
                });
            }
            tasks.join_all().await;
            data::wait_until_ended(&self.pool).await;
            rates.push(DRIVEN as f64 / begun.elapsed().as_secs_f64());
            cpu.push((server.cpu() - before) / DRIVEN as f64 * 1000.0);
        }
        server.stop().await;
        let figures = json!({
            "orders": DRIVEN, "orders_per_second": median(&rates), "program_cpu_ms_of_an_order": median(&cpu), "runs": rates,
        });
        self.note("orders driven to their end, 3 batches, 3 pods", figures);
    }

    /// GetChangeOrderInfo, by 8 connections.
    async fn read(&mut self, server: &Program) {
        let paths: Arc<Vec<String>> = Arc::new((1..=POLLED).map(data::order).collect());
        let mut ours = Runs::default();
        let mut theirs = Vec::new();
        for _ in 0..self.runs {
            let before = (server.cpu(), program::postgres_cpu(&self.pool).await);
            let paths = paths.clone();
            let load = load(server, &self.key, 8, self.seconds, move |client, number| {
                let id = paths[number as usize % paths.len()].clone();
                Box::pin(async move {
                    let path = "/pop/v5/changeorder/change_order_info";
                    let reply = client.call("POST", path, &[("ChangeOrderId", &id)]).await;
                    assert!(reply.body.contains(&id), "{reply:?}");
                    reply
                })
            });
            let load = load.await;
            let cpu = (server.cpu() - before.0, program::postgres_cpu(&self.pool).await - before.1);
            ours.add(load, cpu);
            let script = yardstick::read_script(POLLED);
            theirs.push(yardstick::run(&self.url, &script, 8, self.seconds, &[]).await);
        }
        self.note("GetChangeOrderInfo, 8 connections", ours.beside(&theirs));
    }

    /// DeployK8sApplication, while no executor is at work.
    async fn accept(&mut self, server: &Program, connections: usize, sample: &str) {
        let mut ours = Runs::default();
        let mut theirs = Vec::new();
        for _ in 0..self.runs {
            data::clear(&self.pool).await;
            let before = (server.cpu(), program::postgres_cpu(&self.pool).await);
            let load = load(server, &self.key, connections, self.seconds, |client, number| {
                Box::pin(async move {
                    let id = data::application(number as i64 % APPLICATIONS + 1);
                    let path = "/pop/v5/k8s/acs/k8s_apps";
                    let parameters = [
                        ("AppId", id.as_str()),
                        ("Image", "shop/web:2.0"),
                        ("UpdateStrategy", BATCHES),
                    ];
                    let reply = client.call("POST", path, &parameters).await;
                    assert!(reply.body.contains("\"Code\":200"), "{reply:?}");
                    reply
                })
            });
            let load = load.await;
            let cpu = (server.cpu() - before.0, program::postgres_cpu(&self.pool).await - before.1);
            ours.add(load, cpu);
            data::clear(&self.pool).await;
            let script = yardstick::accept_script(&self.pool, sample).await;
            let range = APPLICATIONS as usize / connections;
            let of = [format!("range={range}"), "i=0".to_owned()];
            theirs.push(yardstick::run(&self.url, &script, connections, self.seconds, &of).await);
        }
        data::clear(&self.pool).await;
        self.note(
            &format!("DeployK8sApplication accepted, no executor, {connections} connections"),
            ours.beside(&theirs),
        );
    }
}

async fn create(client: &mut Client, name: &str, pods: i32) -> String {
    let pods = pods.to_string();
    let parameters = [
        ("AppName", name),
        ("ClusterId", "default"),
        ("ImageUrl", "shop/web:1.0"),
        ("Replicas", pods.as_str()),
    ];
    let reply = client.call("POST", "/pop/v5/k8s/acs/create_k8s_app", &parameters).await;
    reply.json()["ApplicationInfo"]["AppId"].as_str().unwrap_or_else(|| panic!("{reply:?}")).into()
}

/// Releases another image once the order before has ended.
async fn deploy(client: &mut Client, application: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let parameters =
            [("AppId", application), ("Image", "shop/web:2.0"), ("UpdateStrategy", BATCHES)];
        let reply = client.call("POST", "/pop/v5/k8s/acs/k8s_apps", &parameters).await;
        // A refusal has an empty one.
        match reply.json()["ChangeOrderId"].as_str() {
            Some(order) if !order.is_empty() => return order.into(),
            _ => {}
        }
        assert!(Instant::now() < deadline, "{reply:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Calls again and again from so many connections. The times of all calls, in seconds.
async fn load<F>(
    server: &Program,
    key: &Key,
    connections: usize,
    lasts: Duration,
    call: F,
) -> (f64, Vec<f64>)
where
    F: for<'a> Fn(&'a mut Client, u64) -> futures::future::BoxFuture<'a, Reply>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(server.client(key).await);
    }
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for mut client in clients {
        let (next, call) = (next.clone(), call.clone());
        tasks.spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < lasts {
                let at = Instant::now();
                call(&mut client, next.fetch_add(1, Ordering::Relaxed)).await;
                times.push(at.elapsed().as_secs_f64());
            }
            times
        });
    }
    let times: Vec<f64> = tasks.join_all().await.into_iter().flatten().collect();
    (begun.elapsed().as_secs_f64(), times)
}

/// What came of the runs of one part.
#[derive(Default)]
struct Runs {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    program_cpu: Vec<f64>,
    postgres_cpu: Vec<f64>,
}

impl Runs {
    fn add(&mut self, (seconds, mut times): (f64, Vec<f64>), cpu: (f64, f64)) {
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] * 1000.0;
        self.rates.push(times.len() as f64 / seconds);
        self.p50.push(at(0.5));
        self.p99.push(at(0.99));
        self.program_cpu.push(cpu.0 / times.len() as f64 * 1000.0);
        self.postgres_cpu.push(cpu.1 / times.len() as f64 * 1000.0);
    }

    fn beside(&self, pgbench: &[f64]) -> Value {
        let (ours, theirs) = (median(&self.rates), median(pgbench));
        json!({
            "per_second": ours, "p50_ms": median(&self.p50), "p99_ms": median(&self.p99),
            "program_cpu_ms": median(&self.program_cpu), "postgres_cpu_ms": median(&self.postgres_cpu),
            "pgbench_per_second": theirs, "share_of_pgbench": rounded(ours / theirs),
            "runs": self.rates, "pgbench_runs": pgbench,
        })
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    rounded(sorted[sorted.len() / 2])
}

fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
