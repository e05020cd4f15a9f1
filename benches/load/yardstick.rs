//! What Postgres does by itself: pgbench with the same statements, and its count of ours.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::process::Command;

/// One statement reads an order and its batches by the order's key.
pub fn read_script(orders: i64) -> String {
    format!(
        "\\set n random(1, {orders})
SELECT o.id, o.application_id, o.kind, o.state, o.step, o.strategy, o.description, o.notes, o.message, o.created_at, o.finished_at, o.created_by, r.version, r.image, (SELECT json_agg(b) FROM batch b WHERE b.order_id = o.id) FROM change_order o LEFT JOIN release r ON r.id = o.release_id WHERE o.id = (SELECT id FROM bench_order WHERE n = :n);
"
    )
}

/// One transaction writes the rows of an accepted release: the request, the version, the
/// order, three batches, the event, and the entry of the audit where there is one.
pub async fn accept_script(pool: &PgPool, sample: &str) -> String {
    // What is sealed by now was JSON before.
    let (strategy, target, outcome, has_audit): (String, String, String, bool) = sqlx::query_as(
        r"SELECT quote_literal(strategy::text) || '::jsonb', quote_literal(target::text) || '::' || pg_typeof(target),
                 (SELECT CASE data_type WHEN 'bytea' THEN $q$repeat('0', 64)::bytea$q$ ELSE $q$'null'::jsonb$q$ END
                  FROM information_schema.columns WHERE table_name = 'nonce' AND column_name = 'outcome'),
                 to_regclass('audit_entry') IS NOT NULL
          FROM change_order WHERE id = $1::uuid",
    )
    .bind(sample)
    .fetch_one(pool)
    .await
    .unwrap();
    // A colon begins a variable of pgbench.
    let without_colons = |text: &str| {
        let (value, kind) = text.rsplit_once("::").unwrap();
        format!("replace({}, '~', chr(58))::{kind}", value.replace(':', "~"))
    };
    let (strategy, target) = (without_colons(&strategy), without_colons(&target));
    let app = "(SELECT id FROM bench_application WHERE n = :n)";
    let key = "(SELECT id FROM access_key LIMIT 1)";
    let entry = if has_audit {
        format!(
            "INSERT INTO audit_entry (at, principal, key_id, peer, request_id, source, operation, object, outcome) VALUES (now(), 'bench', {key}, '127.0.0.1', 'bench', 'api', 'edas.DeployK8sApplication', 'namespace/default/application/load', 'done');\n"
        )
    } else {
        String::new()
    };
    format!(
        "\\set i :i + 1
\\set n :client_id * :range + :i
\\set nonce random(1, 1000000000000000)
BEGIN;
INSERT INTO nonce (key_id, nonce, digest, outcome, seen_at) VALUES ({key}, :client_id || '-' || :i || '-' || :nonce, repeat('0', 64), {outcome}, now());
SELECT * FROM application WHERE id = {app} FOR NO KEY UPDATE;
INSERT INTO release (id, application_id, version, image, description, created_at) VALUES (gen_random_uuid(), {app}, :client_id || '.' || :i || '.' || :nonce, 'shop/web', '', now());
SELECT gen_random_uuid() AS order \\gset
INSERT INTO change_order (id, application_id, kind, strategy, target, description, created_at, created_by, source, step_since, run_after) VALUES (:order::uuid, {app}, 'deploy', {strategy}, {target}, '', now(), 'bench', 'api', now(), now());
INSERT INTO batch (id, order_id, index, target, updated_at) SELECT gen_random_uuid(), :order::uuid, i, i * 3, now() FROM generate_series(0, 2) i;
INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail) VALUES (now(), {app}, :order::uuid, 'bench', 'order.accepted', '', {strategy});
{entry}UPDATE nonce SET outcome = {outcome} WHERE key_id = {key} AND nonce = :client_id || '-' || :i || '-' || :nonce;
COMMIT;
"
    )
}

/// How long pgbench goes on.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    Over(Duration),
    /// Each of its clients has made so many transactions.
    Made(usize),
}

/// Transactions per second.
pub async fn run(
    url: &str,
    script: &str,
    clients: usize,
    until: Until,
    variables: &[String],
) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.sql");
    std::fs::write(&path, script).unwrap();
    let mut command =
        Command::new(std::env::var("SLUICE_BENCH_PGBENCH").unwrap_or_else(|_| "pgbench".into()));
    command.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string()]);
    match until {
        Until::Over(lasts) => command.args(["-T", &lasts.as_secs().max(1).to_string()]),
        Until::Made(each) => command.args(["-t", &each.to_string()]),
    };
    command.arg("-f").arg(&path);
    for variable in variables {
        command.args(["-D", variable]);
    }
    let output = command.arg(url).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
    tps.and_then(|it| it.split(' ').next()?.parse().ok()).expect(&said)
}

/// Has Postgres count the statements of programs that connect from now on, or not.
pub async fn count_statements(pool: &PgPool, yes: bool) {
    let track = if yes { "top" } else { "none" };
    let database: String =
        sqlx::query_scalar("SELECT current_database()").fetch_one(pool).await.unwrap();
    for statement in [
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements".to_owned(),
        format!("ALTER DATABASE {database} SET pg_stat_statements.track = '{track}'"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(pool).await.unwrap();
    }
}

pub async fn forget_statements(pool: &PgPool) {
    sqlx::query("SELECT pg_stat_statements_reset()").execute(pool).await.unwrap();
}

/// Statements that are not of one order, and go on while nothing is to be done.
const IDLE: [&str; 6] =
    ["heartbeat", "next_due", "resting_orders", "enabled_keys", "ping", "look_for_gone"];

/// How many statements there were since they were forgotten last, ours aside.
pub async fn calls(pool: &PgPool) -> i64 {
    let sum = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    sqlx::query_scalar(sum).fetch_one(pool).await.unwrap()
}

/// The statements since they were forgotten last, and the rows of the application that
/// they changed.
pub async fn statements(pool: &PgPool) -> Value {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT coalesce(substring(query FROM '/\\* (\\w+) \\*/'), split_part(query, ' ', 1)), sum(calls)::bigint, sum(rows)::bigint
         FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' GROUP BY 1 ORDER BY 2 DESC, 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let is_transaction = |name: &str| matches!(name, "BEGIN" | "COMMIT" | "ROLLBACK");
    let named = rows.iter().filter(|(name, ..)| {
        name.chars().all(|it| it.is_ascii_lowercase() || it == '_')
            && !IDLE.contains(&name.as_str())
    });
    let transactions: i64 =
        rows.iter().filter(|(name, ..)| is_transaction(name)).map(|(_, calls, _)| calls).sum();
    let of_application = ["mirror_replicas", "note_success", "note_replicas"];
    let changed: i64 = rows
        .iter()
        .filter(|(name, ..)| of_application.contains(&name.as_str()))
        .map(|(.., rows)| rows)
        .sum();
    json!({
        "statements": named.clone().map(|(_, calls, _)| calls).sum::<i64>(),
        "begin_commit_rollback": transactions,
        "application_row_changes": changed,
        "by_name": named.map(|(name, calls, _)| (name.clone(), json!(calls))).collect::<serde_json::Map<_, _>>(),
    })
}
