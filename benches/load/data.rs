//! Rows for the load: copies of an application and of an order that came by the API.

use std::time::{Duration, Instant};

use sqlx::PgPool;

/// Ids with a number in them, which pgbench can make too.
pub fn application(number: i64) -> String {
    format!("00000000-0000-7000-8000-{number:012}")
}

pub fn order(number: i64) -> String {
    format!("00000000-0000-7000-9000-{number:012}")
}

/// Copies an application, and an order of it to the first `orders` of the copies.
pub async fn multiply(
    pool: &PgPool,
    application: &str,
    order: &str,
    applications: i64,
    orders: i64,
) {
    let id = |kind: &str, number: &str| {
        format!("('00000000-0000-7000-{kind}-' || lpad(({number})::text, 12, '0'))::uuid")
    };
    let (app, release, change) = (id("8000", "n"), id("b000", "n"), id("9000", "n"));
    let batch = id("a000", "n * 10 + b.index");
    for statement in [
        format!(
            "INSERT INTO application SELECT (jsonb_populate_record(NULL::application, to_jsonb(a) || jsonb_build_object('id', {app}, 'name', 'load-' || n, 'release_id', NULL))).*
             FROM application a, generate_series(1, {applications}) n WHERE a.id = '{application}'"
        ),
        format!(
            "INSERT INTO release SELECT (jsonb_populate_record(NULL::release, to_jsonb(r) || jsonb_build_object('id', {release}, 'application_id', {app}))).*
             FROM application a JOIN release r ON r.id = a.release_id, generate_series(1, {applications}) n WHERE a.id = '{application}'"
        ),
        "UPDATE application a SET release_id = r.id FROM release r WHERE r.application_id = a.id AND a.name LIKE 'load-%'".to_owned(),
        format!(
            "INSERT INTO change_order SELECT (jsonb_populate_record(NULL::change_order, to_jsonb(o) || jsonb_build_object('id', {change}, 'application_id', {app}, 'release_id', {release}))).*
             FROM change_order o, generate_series(1, {orders}) n WHERE o.id = '{order}'"
        ),
        format!(
            "INSERT INTO batch SELECT (jsonb_populate_record(NULL::batch, to_jsonb(b) || jsonb_build_object('id', {batch}, 'order_id', {change}))).*
             FROM batch b, generate_series(1, {orders}) n WHERE b.order_id = '{order}'"
        ),
        "VACUUM ANALYZE".to_owned(),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
    }
}

/// Forgets what was accepted.
pub async fn clear(pool: &PgPool) {
    for statement in [
        "DELETE FROM change_order WHERE application_id IN (SELECT id FROM application WHERE name LIKE 'load-%') AND finished_at IS NULL",
        "DELETE FROM release WHERE application_id IN (SELECT id FROM application WHERE name LIKE 'load-%') AND released_at IS NULL",
        "DELETE FROM nonce",
        "VACUUM ANALYZE change_order, batch, event, release, nonce",
        "CHECKPOINT",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
}

/// Waits until no order is open or finalizing.
pub async fn wait_until_ended(pool: &PgPool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    let open = "SELECT count(*) FROM change_order WHERE finished_at IS NULL OR finalizing";
    while sqlx::query_scalar::<_, i64>(open).fetch_one(pool).await.unwrap() > 0 {
        assert!(Instant::now() < deadline, "orders are open after two minutes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
