//! Many orders in one process: what those cost that wait, and whether anything comes late while
//! others progress. The simulated cluster is a process of its own, so that memory is Sluice's.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::PgPool;

use super::{
    client::{Client, Key},
    create, deploy_with, program,
    program::Program,
    rounded, spread, takeover, yardstick,
};

/// Each application's pods, half of which a batch releases.
const PODS: i32 = 2;

/// Orders that are confirmed while others progress, one after the other.
const CONFIRMED: usize = 100;

/// How long statements and CPU time of orders that wait are counted.
const IDLE: Duration = Duration::from_secs(60);

/// Longest time until all orders wait, or have ended.
const LONGEST: Duration = Duration::from_secs(1200);

const WAITING: &str =
    r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"manual","batchWaitTime":0}}"#;

const PROGRESSING: &str =
    r#"{"type":"BatchUpdate","batchUpdate":{"batch":2,"releaseType":"auto","batchWaitTime":0}}"#;

/// What `waiting` orders cost that wait for a person, and what `progressing` others do to them.
pub async fn measure(
    pool: &PgPool,
    url: &str,
    key: &Key,
    (waiting, progressing): (usize, usize),
) -> Value {
    yardstick::count_statements(pool, true).await;
    let cluster = takeover::Cluster::start("10ms").await;
    let server = Program::start_on(url, cluster.kubeconfig()).await;
    let applications = spread(&server, key, waiting + progressing, |client, number| {
        Box::pin(async move { create(client, &format!("many-{number}"), PODS).await })
    });
    let applications = applications.await;
    wait_until_ended_beside(pool, &[]).await;
    let before = server.memory();
    let (rest, others) = applications.split_at(waiting);
    let rest = rest.to_vec();
    let begun = Instant::now();
    let orders = spread(&server, key, waiting, move |client, number| {
        let application = rest[number].clone();
        Box::pin(async move { deploy_with(client, &application, WAITING).await })
    });
    let orders = orders.await;
    wait_until_resting(pool, waiting as i64).await;
    let until_waiting = begun.elapsed().as_secs_f64();
    let memory = server.memory();

    yardstick::forget_statements(pool).await;
    let cpu = (server.cpu(), program::postgres_cpu(pool).await);
    tokio::time::sleep(IDLE).await;
    let idle_cpu = (server.cpu() - cpu.0, program::postgres_cpu(pool).await - cpu.1);
    let idle = yardstick::calls(pool).await;
    yardstick::count_statements(pool, false).await;

    let others = others.to_vec();
    let begun = Instant::now();
    let released = spread(&server, key, progressing, move |client, number| {
        let application = others[number].clone();
        Box::pin(async move { deploy_with(client, &application, PROGRESSING).await })
    });
    let client = &mut server.client(key).await;
    let (_, mut taken_up) =
        tokio::join!(released, confirm_some(pool, client, &orders[..CONFIRMED.min(waiting)]));
    wait_until_ended_beside(pool, &orders).await;
    let progressed = begun.elapsed().as_secs_f64();
    let most_memory = server.memory();
    server.stop().await;
    taken_up.sort_by(f64::total_cmp);
    let at = |share: f64| rounded(taken_up[((taken_up.len() - 1) as f64 * share) as usize]);
    let minutes = IDLE.as_secs_f64() / 60.0;
    json!({
        "waiting_orders": waiting, "progressing_orders": progressing,
        "seconds_until_all_wait": rounded(until_waiting),
        "resident_mib_before": rounded(before / 1024.0), "resident_mib": rounded(memory / 1024.0),
        "resident_mib_while_others_progress": rounded(most_memory / 1024.0),
        "kib_of_a_waiting_order": rounded((memory - before) / waiting as f64),
        "statements_a_minute_while_all_wait": rounded(idle as f64 / minutes),
        "program_cpu_share_while_all_wait": rounded(idle_cpu.0 / IDLE.as_secs_f64()),
        "postgres_cpu_share_while_all_wait": rounded(idle_cpu.1 / IDLE.as_secs_f64()),
        "progressing_orders_per_second": rounded(progressing as f64 / progressed),
        "confirmation_taken_up_p50_seconds": at(0.5), "confirmation_taken_up_p99_seconds": at(0.99),
        "confirmation_taken_up_longest_seconds": at(1.0),
    })
}

/// Confirms orders one after the other. The seconds from each answer until an executor has
/// written that the batch waits no more.
async fn confirm_some(pool: &PgPool, client: &mut Client, orders: &[String]) -> Vec<f64> {
    let mut times = Vec::new();
    for order in orders {
        let waits: String = sqlx::query_scalar(
            "SELECT id::text FROM batch WHERE order_id = $1::uuid AND state = 'waiting_confirmation'",
        )
        .bind(order)
        .fetch_one(pool)
        .await
        .unwrap();
        let path = "/pop/v5/changeorder/pipeline_batch_confirm";
        let parameters = [("PipelineId", waits.as_str()), ("Confirm", "true")];
        let reply = client.call("GET", path, &parameters).await;
        assert!(reply.body.contains("\"Code\":200"), "{reply:?}");
        let answered = Instant::now();
        let taken_up = "SELECT state <> 'waiting_confirmation' FROM batch WHERE id = $1::uuid";
        while !sqlx::query_scalar::<_, bool>(taken_up).bind(&waits).fetch_one(pool).await.unwrap() {
            assert!(answered.elapsed() < Duration::from_secs(60), "nobody takes {order} up");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push(answered.elapsed().as_secs_f64());
    }
    times
}

async fn wait_until_resting(pool: &PgPool, count: i64) {
    let resting = "SELECT count(*) FROM change_order WHERE state = 'waiting_confirmation' AND lease_holder IS NULL";
    let deadline = Instant::now() + LONGEST;
    while sqlx::query_scalar::<_, i64>(resting).fetch_one(pool).await.unwrap() < count {
        assert!(Instant::now() < deadline, "not all orders wait");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until all orders beside these are at their end.
async fn wait_until_ended_beside(pool: &PgPool, orders: &[String]) {
    let open = "SELECT count(*) FROM change_order WHERE (finished_at IS NULL OR finalizing) AND id <> ALL($1::text[]::uuid[])";
    let deadline = Instant::now() + LONGEST;
    while sqlx::query_scalar::<_, i64>(open).bind(orders).fetch_one(pool).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "not all orders end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
