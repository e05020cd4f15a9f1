//! Rows for the load: copies of an application and of an order that came by the API.

use std::time::{Duration, Instant};

use sqlx::PgPool;

/// Numbers applications or orders, from 1, so that pgbench can name them too.
pub async fn number(pool: &PgPool, table: &str, ids: &[String]) {
    let create = format!("CREATE TABLE {table} (n bigint PRIMARY KEY, id uuid NOT NULL)");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(pool).await.unwrap();
    let insert = format!(
        "INSERT INTO {table} SELECT n, id FROM unnest($1::text[]::uuid[]) WITH ORDINALITY AS it (id, n)"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(ids).execute(pool).await.unwrap();
    sqlx::query("VACUUM ANALYZE").execute(pool).await.unwrap();
}

/// Lets events be deleted, which nobody may in earnest.
pub async fn let_events_go(pool: &PgPool) {
    let statement = "DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_trigger WHERE tgname = 'event_kept') THEN
            ALTER TABLE event DISABLE TRIGGER event_kept;
        END IF;
    END $$";
    sqlx::query(statement).execute(pool).await.unwrap();
}

/// Forgets what was accepted.
pub async fn clear(pool: &PgPool) {
    for statement in [
        "DELETE FROM change_order WHERE finished_at IS NULL",
        "DELETE FROM release WHERE released_at IS NULL",
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
