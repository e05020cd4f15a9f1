//! A database that is in use survives the migrations.

use domain::{OrderId, Source, object::write::Record};
use sqlx::{PgPool, migrate::Migrator};
use store::{MIGRATIONS, Store};

/// Up to the migration of this number, as a program of that time had it.
fn until(last: i64) -> Migrator {
    Migrator::with_migrations(
        MIGRATIONS.iter().filter(|migration| migration.version <= last).cloned().collect(),
    )
}

/// What a program wrote before orders had a cluster and uploads a quota.
const BEFORE_CLUSTERS: &[&str] = &[
    "INSERT INTO kubernetes_cluster (id, version) VALUES ('default', 'v1.30.0'), ('other', '')",
    "INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas)
     VALUES ('01935a2c-52b0-7c41-8d6e-000000000001', 'default', 'shop', 'web', 'default', '', 'ci', 'ci', now(), 2),
            ('01935a2c-52b0-7c41-8d6e-000000000002', 'other', 'shop', 'web', 'default', '', 'ci', 'ci', now(), 2)",
    r#"INSERT INTO change_order (id, application_id, kind, state, step_since, strategy, target, description, created_at, created_by, source, run_after)
     VALUES ('01935a2c-52b0-7c41-8d6e-000000000003', '01935a2c-52b0-7c41-8d6e-000000000002', 'deploy', 'running', now(),
             '{"canary":0,"batches":1,"pace":"manual"}',
             '{"release":null,"source":"kept","replicas":3,"min_ready_seconds":null,"batch_timeout_seconds":60}', '', now(), 'ci', 'pop', now())"#,
    "INSERT INTO batch (id, order_id, index, target, updated_at)
     VALUES ('01935a2c-52b0-7c41-8d6e-000000000004', '01935a2c-52b0-7c41-8d6e-000000000003', 0, 3, now())",
    "INSERT INTO access_key (id, secret, name, created_at) VALUES ('key', 'secret', 'ci', now())",
    "INSERT INTO stored_package (id, object_key, bytes, md5, sha256, capability, uploaded_by, created_at)
     VALUES ('01935a2c-52b0-7c41-8d6e-000000000005', 'k', 1, repeat('0', 32), repeat('0', 64), 'c', 'ci', now()),
            ('01935a2c-52b0-7c41-8d6e-000000000006', 'l', 1, repeat('0', 32), repeat('0', 64), 'c', 'gone', now())",
    r#"INSERT INTO release (id, application_id, version, image, description, created_at, template, released_at)
     VALUES ('01935a2c-52b0-7c41-8d6e-000000000007', '01935a2c-52b0-7c41-8d6e-000000000001', '1', 'i', '', now(),
             '{"url":"http://s/sluice/v1/packages/01935a2c-52b0-7c41-8d6e-000000000005/a.jar?capability=c"}', now())"#,
    "INSERT INTO executor (holder, seen_at, cluster_reachable) VALUES ('before', now(), true)",
];

async fn migrated(pool: &PgPool) -> Store {
    until(14).run(pool).await.unwrap();
    for statement in BEFORE_CLUSTERS {
        sqlx::query(*statement).execute(pool).await.unwrap();
    }
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    store.migrate().await.unwrap();
    store
}

#[sqlx::test(migrations = false)]
async fn an_order_of_before_there_were_several_clusters_is_its_applications_clusters(pool: PgPool) {
    let store = migrated(&pool).await;
    let id: OrderId = "01935a2c-52b0-7c41-8d6e-000000000003".parse().unwrap();
    let mut tx = store.begin().await.unwrap();
    let order = tx.lock_order(id).await.unwrap();
    assert_eq!(
        (order.cluster.as_str(), order.batches.len(), order.batches[0].target),
        ("other", 1, 3)
    );
    tx.commit().await.unwrap();
    let keys: Vec<Option<String>> =
        sqlx::query_scalar("SELECT key_id FROM stored_package ORDER BY id")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(
        keys,
        [Some("key".into()), None],
        "a package counts for the key that uploaded it, if there is one still"
    );
    let far = "2100-01-01T00:00:00Z".parse().unwrap();
    let unnamed = store.unreleased_packages(far, None, 10).await.unwrap();
    assert_eq!(
        unnamed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["01935a2c-52b0-7c41-8d6e-000000000006"]
    );
}

#[sqlx::test(migrations = false)]
async fn what_an_order_of_before_was_asked_for_through_is_known_still(pool: PgPool) {
    until(20).run(&pool).await.unwrap();
    sqlx::raw_sql(
        r#"INSERT INTO kubernetes_cluster (id) VALUES ('default');
        INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas)
        SELECT gen_random_uuid(), 'default', 'shop', source, 'default', '', '', '', now(), 2
        FROM unnest(ARRAY['pop', 'console', 'sluice']) AS source;
        INSERT INTO change_order (id, application_id, cluster_id, kind, strategy, target, description, created_at, created_by, source, step_since, run_after)
        SELECT gen_random_uuid(), id, cluster_id, 'scale', '{"canary":0,"batches":1,"pace":"manual"}', '{}', '', now(), '', name, now(), now() FROM application;
        INSERT INTO object_write (id, cluster_id, namespace, wanted, record, asked_at)
        SELECT gen_random_uuid(), cluster_id, 'shop', '{}',
            jsonb_build_object('order', gen_random_uuid(), 'application', id, 'description', name, 'created_by', '', 'source', name), now() FROM application;
        INSERT INTO object_write (id, cluster_id, namespace, wanted, record, asked_at) VALUES
            (gen_random_uuid(), 'default', 'shop', '{}', NULL, now()), (gen_random_uuid(), 'default', 'shop', '{}', 'null', now())"#,
    )
    .execute(&pool)
    .await
    .unwrap();
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    store.migrate().await.unwrap();
    let of_before = [("pop", Source::Api), ("console", Source::Cli), ("sluice", Source::System)];
    for (word, source) in of_before {
        let order: uuid::Uuid = sqlx::query_scalar(
            "SELECT o.id FROM change_order o JOIN application a ON a.id = o.application_id WHERE a.name = $1",
        )
        .bind(word)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(
            store.order_row(OrderId(order)).await.unwrap().unwrap().source,
            source,
            "{word}"
        );
        let record: serde_json::Value = sqlx::query_scalar(
            "SELECT record FROM object_write WHERE record ->> 'description' = $1",
        )
        .bind(word)
        .fetch_one(&pool)
        .await
        .unwrap();
        let record: Record = serde_json::from_value(record).unwrap();
        assert_eq!(record.source, source, "{word}");
    }
}

/// An order of the application on the cluster `default`.
const ORDER: &str = r#"INSERT INTO change_order (id, application_id, kind, step_since, strategy, target, description, created_at, created_by, source, run_after)
    VALUES ('01935a2c-52b0-7c41-8d6e-000000000008', '01935a2c-52b0-7c41-8d6e-000000000001', 'deploy', now(), '{}', '{}', '', now(), 'ci', 'api', now())"#;

/// What `cluster replace` locks.
const REPLACE: &str = "SELECT 1 FROM kubernetes_cluster WHERE id = 'default' FOR UPDATE";

/// Postgres' code for a lock that was not got in time.
const LOCKED: &str = "55P03";

#[sqlx::test(migrations = false)]
async fn no_order_is_accepted_unseen_while_its_cluster_is_replaced(pool: PgPool) {
    migrated(&pool).await;
    for (first, second) in [(REPLACE, ORDER), (ORDER, REPLACE)] {
        let mut before = pool.begin().await.unwrap();
        sqlx::query(first).execute(&mut *before).await.unwrap();
        let mut after = pool.begin().await.unwrap();
        sqlx::query("SET LOCAL lock_timeout = '50ms'").execute(&mut *after).await.unwrap();
        let error = sqlx::query(second).execute(&mut *after).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), LOCKED, "{error}");
        after.rollback().await.unwrap();
        before.rollback().await.unwrap();
    }
    // What an executor mirrors of the cluster holds no order up.
    let mut mirror = pool.begin().await.unwrap();
    sqlx::query("UPDATE kubernetes_cluster SET version = 'v1.37.2' WHERE id = 'default'")
        .execute(&mut *mirror)
        .await
        .unwrap();
    let mut order = pool.begin().await.unwrap();
    sqlx::query("SET LOCAL lock_timeout = '50ms'").execute(&mut *order).await.unwrap();
    sqlx::query(ORDER).execute(&mut *order).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn a_key_of_before_may_do_everything_and_is_named_until_somebody_narrows_it(pool: PgPool) {
    let store = migrated(&pool).await;
    let key = store.find_key("key").await.unwrap().unwrap();
    assert!(key.enabled && key.name == "ci" && key.expires_at.is_none());
    let role = key.grants.iter().map(|grant| grant.role).collect::<Vec<_>>();
    assert_eq!(role, [Some(domain::access::Role::Admin)]);
    assert_eq!(store.assumed_admins(10).await.unwrap(), ["ci"]);
}
