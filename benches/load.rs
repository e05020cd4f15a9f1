//! How fast Sluice is beside its database: `make bench`.
//!
//! Starts the program on a private Postgres with a simulated cluster, and sends it signed
//! requests over HTTP. In the same minutes pgbench does the same statements on the same
//! Postgres: what Postgres could do at most on this machine, which the programs share. Each figure is the
//! median of short runs, and all of them go to a file as JSON. Nothing here passes or fails.
//!
//! `SLUICE_BENCH_PROGRAM` measures another build, `SLUICE_BENCH_ONLY` some of the parts
//! (read, accept, drive, statements, takeover, many), `SLUICE_BENCH_SECONDS` and `SLUICE_BENCH_RUNS`
//! say how long and how often, and `SLUICE_BENCH_WAITING` how many orders wait in `many`.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that cannot go on ends")]

#[path = "load/client.rs"]
mod client;
#[path = "load/data.rs"]
mod data;
#[path = "load/many.rs"]
mod many;
#[path = "load/program.rs"]
mod program;
#[path = "load/takeover.rs"]
mod takeover;
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
use yardstick::Until;

/// Applications that are deployed without an executor, once in each run.
const APPLICATIONS: usize = 2000;

/// Orders that are polled.
const POLLED: usize = 100;

/// Longest time of a run in which each application is deployed once.
const MOST_TIME: Duration = Duration::from_secs(60);

/// Applications whose orders are driven at once.
const DRIVEN: usize = 300;

/// The numbers of pods of the release that is counted, and of all others.
const COUNTED_PODS: i32 = 9;
const DRIVEN_PODS: i32 = 3;

/// How often a program is killed, in each of the two ways.
const KILLS: usize = 100;

/// Orders that wait for a person, and those that progress then.
const WAITING: u64 = 1000;
const PROGRESSING: usize = 500;

const BATCHES: &str =
    r#"{"type":"BatchUpdate","batchUpdate":{"batch":3,"releaseType":"auto","batchWaitTime":0}}"#;

struct Bench {
    pool: PgPool,
    url: String,
    key: Key,
    seconds: Duration,
    runs: usize,
    applications: Arc<[String]>,
    orders: Arc<[String]>,
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
        applications: Arc::default(),
        orders: Arc::default(),
        out: Map::new(),
    };
    let sample = if matches!(only.as_str(), "takeover" | "many") {
        String::new()
    } else {
        bench.sample(wanted("statements")).await
    };
    if wanted("drive") {
        bench.drive().await;
    }
    if wanted("takeover") {
        bench.take_over().await;
    }
    if wanted("read") || wanted("accept") {
        bench.prepare(wanted("accept")).await;
        let server = Program::start(&bench.url, "api", &[]).await;
        if wanted("read") {
            bench.read(&server).await;
        }
        if wanted("accept") {
            for connections in [8, 32] {
                bench.accept(&server, connections, &sample).await;
            }
        }
        server.stop().await;
    }
    // Its orders stay open.
    if wanted("many") {
        let waiting = number("SLUICE_BENCH_WAITING", WAITING) as usize;
        let figures =
            many::measure(&bench.pool, &bench.url, &bench.key, (waiting, PROGRESSING)).await;
        bench.note("orders that wait for a person, and others that progress", figures);
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

    /// The order that released an application once in three batches. `counted` says which
    /// statements the release took.
    async fn sample(&mut self, counted: bool) -> String {
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
        order
    }

    /// Applications to deploy, and an order of some that has ended.
    async fn prepare(&mut self, all: bool) {
        let server = Program::start(&self.url, "all", &[]).await;
        let count = if all { APPLICATIONS } else { POLLED };
        let applications = spread(&server, &self.key, count, |client, number| {
            Box::pin(async move { create(client, &format!("load-{number}"), DRIVEN_PODS).await })
        });
        let applications = applications.await;
        data::wait_until_ended(&self.pool).await;
        let polled = applications[..POLLED].to_vec();
        let orders = spread(&server, &self.key, POLLED, move |client, number| {
            let application = polled[number].clone();
            Box::pin(async move { deploy(client, &application).await })
        });
        let orders = orders.await;
        data::wait_until_ended(&self.pool).await;
        server.stop().await;
        data::let_events_go(&self.pool).await;
        data::number(&self.pool, "bench_application", &applications).await;
        data::number(&self.pool, "bench_order", &orders).await;
        (self.applications, self.orders) = (applications.into(), orders.into());
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
        let (mut rates, mut cpu, mut postgres_cpu) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.runs {
            let before = (server.cpu(), program::postgres_cpu(&self.pool).await);
            let (next, begun) = (Arc::new(AtomicU64::new(0)), Instant::now());
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
            let each = |seconds: f64| seconds / DRIVEN as f64 * 1000.0;
            cpu.push(each(server.cpu() - before.0));
            postgres_cpu.push(each(program::postgres_cpu(&self.pool).await - before.1));
        }
        server.stop().await;
        let figures = json!({
            "orders": DRIVEN, "orders_per_second": median(&rates), "program_cpu_ms_of_an_order": median(&cpu),
            "postgres_cpu_ms_of_an_order": median(&postgres_cpu), "runs": rates,
        });
        self.note("orders driven to their end, 3 batches, 3 pods", figures);
    }

    /// Programs are killed while they hold an order.
    async fn take_over(&mut self) {
        let (by_other, again) = takeover::measure(&self.pool, &self.url, &self.key, KILLS).await;
        for (name, mut times) in [
            ("until another program goes on with the order of one that was killed", by_other),
            ("until a program that was killed, and started again at once, goes on", again),
        ] {
            times.sort_by(f64::total_cmp);
            let at = |share: f64| rounded(times[((times.len() - 1) as f64 * share) as usize]);
            let figures = json!({
                "kills": times.len(), "p50_seconds": at(0.5), "p99_seconds": at(0.99), "longest_seconds": at(1.0),
            });
            self.note(name, figures);
        }
    }

    /// GetChangeOrderInfo, by 8 connections.
    async fn read(&mut self, server: &Program) {
        let mut ours = Runs::default();
        let mut theirs = Vec::new();
        for _ in 0..self.runs {
            let before = (server.cpu(), program::postgres_cpu(&self.pool).await);
            let (orders, bounds) = (self.orders.clone(), (self.seconds, u64::MAX));
            let load = load(server, &self.key, 8, bounds, move |client, number| {
                let id = orders[number as usize % orders.len()].clone();
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
            let script = yardstick::read_script(POLLED as i64);
            let until = Until::Over(self.seconds);
            theirs.push(yardstick::run(&self.url, &script, 8, until, &[]).await);
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
            let (applications, bounds) =
                (self.applications.clone(), (MOST_TIME, APPLICATIONS as u64));
            let load = load(server, &self.key, connections, bounds, move |client, number| {
                let id = applications[number as usize].clone();
                Box::pin(async move {
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
            let range = APPLICATIONS / connections;
            let of = [format!("range={range}"), "i=0".to_owned()];
            let until = Until::Made(range);
            theirs.push(yardstick::run(&self.url, &script, connections, until, &of).await);
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

async fn deploy(client: &mut Client, application: &str) -> String {
    deploy_with(client, application, BATCHES).await
}

/// Releases another image once the order before has ended.
async fn deploy_with(client: &mut Client, application: &str, strategy: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let parameters =
            [("AppId", application), ("Image", "shop/web:2.0"), ("UpdateStrategy", strategy)];
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

/// Does something for each number below `count`, by eight clients. What came of each.
async fn spread<F>(server: &Program, key: &Key, count: usize, call: F) -> Vec<String>
where
    F: for<'a> Fn(&'a mut Client, usize) -> futures::future::BoxFuture<'a, String>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let (next, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    for _ in 0..8 {
        let (mut client, next, call) = (server.client(key).await, next.clone(), call.clone());
        tasks.spawn(async move {
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed) as usize;
                if number >= count {
                    return made;
                }
                made.push((number, call(&mut client, number).await));
            }
        });
    }
    let mut made: Vec<(usize, String)> = tasks.join_all().await.into_iter().flatten().collect();
    made.sort();
    made.into_iter().map(|(_, made)| made).collect()
}

/// Calls from so many connections for that long, and at most so often. The times of all
/// calls, in seconds.
async fn load<F>(
    server: &Program,
    key: &Key,
    connections: usize,
    (lasts, most): (Duration, u64),
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
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= most {
                    break;
                }
                let at = Instant::now();
                call(&mut client, number).await;
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
