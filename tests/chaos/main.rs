//! Random lives of applications, judged by a checker that shares no code with the engine.
//!
//! A seed is one application's life: some ten to twenty operations ([`operation`]), carried
//! out by the real executor on real Postgres and the simulated cluster, with a clock that
//! the life moves ([`life`]). Everything that a watch shows and every row that changes is
//! recorded ([`record`]), and [`checker`] judges the recording.
//!
//! The same seed has the same operations. When they meet the executor differs from run to
//! run, so a violation may need several runs of its seed to be seen again.

#![allow(
    clippy::unwrap_used,
    reason = "all of this is test code; clippy only knows it of the functions marked as tests"
)]

mod checker;
mod ground;
mod hand;
mod life;
mod line;
mod operation;
mod record;
mod shrink;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use futures::{StreamExt, stream};
use sqlx::PgPool;

use self::{ground::Ground, life::Life, operation::Plan};

/// Seeds of violations that are shrunk: each takes some minutes.
const SHRUNK: usize = 2;

/// Lives that are lived at the same time, each in a database of its own.
const ABREAST: u64 = 16;

/// Lives on a real control plane, and how many of them are lived at the same time.
const REAL_LIVES: u64 = 8;
const REAL_ABREAST: usize = 8;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}"))
        }
        _ => otherwise,
    }
}

/// `make chaos SEEDS=10000` asks for more, `FIRST=17 SEEDS=1` for a seed once more.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_seed_keeps_the_promises(pool: PgPool) {
    let (first, seeds) =
        (from_environment("SLUICE_CHAOS_FIRST", 0), from_environment("SLUICE_CHAOS_SEEDS", 300));
    let abreast = from_environment("SLUICE_CHAOS_ABREAST", ABREAST).clamp(1, seeds.max(1));
    // A runtime of its own: that of the test has one thread.
    let violations = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async move {
            let databases = record::databases(pool, abreast).await;
            let violations = live_all(databases.pools(), first, seeds).await;
            databases.end().await;
            violations
        })
    })
    .await
    .unwrap();
    assert!(violations.is_empty(), "{}", violations.join("\n\n"));
}

/// The same on a real control plane, so that what the checker takes for granted of Kubernetes
/// holds there, too. Only a few: pods take their time.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn lives_on_a_real_control_plane_keep_the_promises(pool: PgPool) {
    let (first, seeds) = (
        from_environment("SLUICE_CHAOS_FIRST", 0),
        from_environment("SLUICE_CHAOS_REAL_SEEDS", REAL_LIVES),
    );
    let databases = record::databases(pool, seeds).await;
    let lives = (first..first + seeds).zip(databases.pools());
    let violations: Vec<String> = stream::iter(lives)
        .map(async |(seed, pool)| {
            let lived = Life::live_on(Ground::real().await, pool, &Plan::of(seed)).await;
            eprintln!("seed {seed}: {} orders, {} changes judged", lived.orders, lived.events);
            assert!(lived.events > 0, "nothing was recorded");
            let violations = lived.violations.into_iter();
            stream::iter(violations.map(move |it| format!("seed {seed}: {it}")))
        })
        .buffer_unordered(REAL_ABREAST)
        .flatten()
        .collect()
        .await;
    databases.end().await;
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

async fn live_all(pools: &[PgPool], first: u64, seeds: u64) -> Vec<String> {
    let began = Instant::now();
    let free = Mutex::new(pools.to_vec());
    let (orders, events, done) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let failed: Vec<(Plan, Vec<String>)> = stream::iter(first..first + seeds)
        .map(|seed| {
            let (orders, events, done) = (orders.clone(), events.clone(), done.clone());
            let free = &free;
            async move {
                let plan = Plan::of(seed);
                let pool = free.lock().unwrap().pop().expect("one is free");
                let lived = Life::live(&pool, &plan).await;
                free.lock().unwrap().push(pool);
                orders.fetch_add(lived.orders, Ordering::Relaxed);
                events.fetch_add(lived.events, Ordering::Relaxed);
                let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                if done.is_multiple_of(100) {
                    eprintln!("{done} of {seeds} seeds, {} s", began.elapsed().as_secs());
                }
                if !lived.violations.is_empty() {
                    eprintln!("seed {seed}: {}", lived.violations.join("; "));
                }
                (plan, lived.violations)
            }
        })
        .buffer_unordered(pools.len())
        .filter(|(_, violations)| std::future::ready(!violations.is_empty()))
        .collect()
        .await;
    eprintln!(
        "{seeds} seeds from {first}: {} orders, {} changes judged, {} seeds with a violation, {} s",
        orders.load(Ordering::Relaxed),
        events.load(Ordering::Relaxed),
        failed.len(),
        began.elapsed().as_secs()
    );
    let mut told = Vec::new();
    for (number, (plan, violations)) in failed.into_iter().enumerate() {
        let shortest =
            if number < SHRUNK { shrink::shortest(&pools[0], &plan).await } else { String::new() };
        told.push(format!("seed {}: {}\n{shortest}", plan.seed, violations.join("\n  ")));
    }
    told
}
