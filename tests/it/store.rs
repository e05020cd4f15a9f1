//! The rules in the database: they hold whatever program writes to it.

mod events;
mod outage;
mod presence;
mod progress;

use std::time::Duration;

use domain::{
    ApplicationId, OrderId, Rejection,
    order::{
        FailurePolicy, Kind, State, Step, Target, TemplateSource,
        intent::{Applied, Change, Patch},
        plan::Strategy,
    },
    rights::Scope,
    rollout::Transition,
};
use jiff::Timestamp;
use sqlx::PgPool;
use store::{Event, MIGRATIONS, Made, NewApplication, NewOrder, Store, StoreError};

use crate::support::{batches, database_url, eventually, known_cluster};

/// Long enough for every lease here.
const LEASE: Duration = Duration::from_secs(60);

fn now() -> Timestamp {
    Timestamp::now()
}

pub async fn application(store: &Store, name: &str) -> ApplicationId {
    let cluster = known_cluster(store).await;
    let id = ApplicationId::new();
    let row = NewApplication {
        id,
        cluster: &cluster.id,
        namespace: "default",
        namespace_named: false,
        name,
        logical_region: "cn-test",
        description: "",
        owner: "tester",
        container: &domain::template::container::Known::Nothing,
        replicas: 3,
    };
    let mut tx = store.begin().await.unwrap();
    tx.insert_application(&row, now()).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn order(
    store: &Store,
    application: ApplicationId,
    strategy: Strategy,
) -> Result<OrderId, StoreError> {
    let id = OrderId::new();
    let row = NewOrder {
        id,
        application,
        kind: Kind::Deploy,
        strategy,
        target: Target {
            release: None,
            source: TemplateSource::Change(Box::default()),
            replicas: None,
            min_ready_seconds: None,
            batch_timeout_seconds: 60,
            failure_policy: FailurePolicy::default(),
            max_unavailable: 0,
            allows_no_surge: false,
            owners_before: serde_json::Value::Null,
            replaces: None,
            replicas_before: None,
            replicas_if_created: None,
            adopted_uid: None,
            former_applications: Vec::new(),
            guardrails: None,
        },
        snapshot: None,
        rolls_back: None,
        description: "",
        notes: &[],
        created_by: "tester",
        source: domain::Source::Api,
        replicas: 3,
        resumes_at: 0,
    };
    let mut tx = store.begin().await?;
    tx.insert_order(&row, now()).await?;
    tx.commit().await?;
    Ok(id)
}

fn transition(state: State, step: Step, change: Option<Change>) -> Transition {
    Transition {
        state,
        step,
        batch: 0,
        effect: change.map(Into::into),
        snapshot: None,
        batches: Vec::new(),
        message: String::new(),
        roll_back: false,
        finalizes: false,
        completes_step_back: false,
        hands: None,
        clears_go_on: false,
        guarded: false,
        by_health: false,
    }
}

/// The SQLSTATE and the rule's name with which Postgres refuses a statement.
async fn refusal(pool: &PgPool, statement: &'static str) -> (String, String) {
    let error = sqlx::query(statement).execute(pool).await.expect_err(statement);
    let error = error.into_database_error().expect(statement);
    let rule = error.constraint().unwrap_or_default().to_owned();
    (
        error.code().unwrap_or_default().into_owned(),
        if rule.is_empty() { error.message().to_owned() } else { rule },
    )
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_application_has_one_open_order(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let (web, other) = (application(&store, "web").await, application(&store, "other").await);
    let first = order(&store, web, batches(3)).await.unwrap();
    let refused = order(&store, web, batches(3)).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Rejected(Rejection::OrderRunning { open, .. }) if open == first),
        "{refused}"
    );
    order(&store, other, batches(1)).await.unwrap();
    // Many at once: one of them gets in, whatever the order in which they arrive.
    let third = application(&store, "third").await;
    let tries = futures::future::join_all((0..8).map(|_| order(&store, third, batches(1)))).await;
    assert_eq!(tries.iter().filter(|tried| tried.is_ok()).count(), 1, "{tries:?}");
    let (code, rule) = refusal(
        &pool,
        "INSERT INTO change_order (id, application_id, kind, strategy, target, description, created_at, created_by, source, step_since, run_after)
         SELECT gen_random_uuid(), application_id, kind, strategy, target, '', created_at, '', source, step_since, run_after FROM change_order LIMIT 1",
    )
    .await;
    assert_eq!((code.as_str(), rule.as_str()), ("23505", "change_order_open"));
}

/// A request comes in the moment an executor writes down a step, or the end: one
/// of the two goes first, and neither is given up for the other.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_request_and_a_step_of_the_open_order_never_wait_for_each_other(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(1)).await.unwrap();
    let lease = store
        .acquire(&known_cluster(&store).await, "one", LEASE, now(), 10, &Scope::Whole)
        .await
        .unwrap()[0];
    let loaded = store.order(id).await.unwrap().unwrap();

    let mut request = store.begin().await.unwrap();
    request.lock_application(web).await.unwrap();
    store
        .advance(lease, &loaded, &transition(State::Running, Step::BringUp, None), None, now())
        .await
        .unwrap();
    let refused = request.lock_order(id).await.map(|order| order.state).unwrap();
    assert_eq!(refused, State::Running);
    drop(request);

    // The end touches the application too: it waits for the request, which does not
    // wait for it.
    let loaded = store.order(id).await.unwrap().unwrap();
    let mut request = store.begin().await.unwrap();
    request.lock_application(web).await.unwrap();
    let ended = transition(State::Succeeded, Step::Done, None);
    let end = store.advance(lease, &loaded, &ended, None, now());
    let answer = async {
        eventually(async || {
            let waiting: i64 =
                sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
                    .fetch_one(&pool)
                    .await
                    .unwrap();
            if waiting == 1 { Ok(()) } else { Err(format!("{waiting} wait")) }
        })
        .await;
        let state = request.lock_order(id).await.map(|order| order.state);
        request.commit().await.unwrap();
        state
    };
    let (ended, seen) = futures::join!(end, answer);
    ended.unwrap();
    assert_eq!(seen.unwrap(), State::Running);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_order_that_ended_stays_as_it_ended(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(1)).await.unwrap();
    let lease = store
        .acquire(&known_cluster(&store).await, "one", LEASE, now(), 10, &Scope::Whole)
        .await
        .unwrap()[0];
    let loaded = store.order(id).await.unwrap().unwrap();
    store
        .advance(lease, &loaded, &transition(State::Succeeded, Step::Done, None), None, now())
        .await
        .unwrap();
    let late = store
        .advance(lease, &loaded, &transition(State::Running, Step::BringUp, None), None, now())
        .await
        .unwrap_err();
    assert!(matches!(late, StoreError::Fenced { .. }), "{late}");
    let (code, rule) =
        refusal(&pool, "UPDATE change_order SET state = 'running', finished_at = NULL").await;
    assert!(code == "23514" && rule.contains("ended as succeeded"), "{code} {rule}");
    let (code, _) =
        refusal(&pool, "UPDATE change_order SET finished_at = now() + interval '1 day'").await;
    assert_eq!(code, "23514");
    assert!(
        store
            .acquire(&known_cluster(&store).await, "two", LEASE, now(), 10, &Scope::Whole)
            .await
            .unwrap()
            .is_empty(),
        "nothing is left to do on it"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_final_state_has_an_end_and_a_lease_has_a_holder_and_an_expiry(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    order(&store, web, batches(2)).await.unwrap();
    for statement in [
        "UPDATE change_order SET state = 'failed'",
        "UPDATE change_order SET finished_at = now()",
        "UPDATE change_order SET lease_holder = 'one'",
        "UPDATE change_order SET lease_expires_at = now()",
        "UPDATE change_order SET finalizing = true",
        "UPDATE change_order SET applied = '{\"deployment\": 1}'",
        "UPDATE change_order SET rolls_back = id",
        "UPDATE batch SET state = 'failed'",
        "UPDATE batch SET target = -1",
        "UPDATE application SET replicas = -1",
    ] {
        assert_eq!(refusal(&pool, statement).await.0, "23514", "{statement}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn events_are_only_ever_added(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(1)).await.unwrap();
    let lease = store
        .acquire(&known_cluster(&store).await, "one", LEASE, now(), 10, &Scope::Whole)
        .await
        .unwrap()[0];
    let loaded = store.order(id).await.unwrap().unwrap();
    store
        .advance(lease, &loaded, &transition(State::Running, Step::BringUp, None), None, now())
        .await
        .unwrap();
    let (code, rule) = refusal(&pool, "UPDATE event SET actor = 'somebody'").await;
    assert!(code == "23514" && rule.contains("only ever added"), "{code} {rule}");
    let events = store.events(id).await.unwrap();
    assert!(
        events.iter().all(|event| event.actor == "sluice" && !event.kind.is_empty()),
        "{events:?}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_leased_order_is_nobody_elses_until_the_lease_runs_out_and_then_its_first_holder_writes_nothing(
    pool: PgPool,
) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(1)).await.unwrap();
    let first = store
        .acquire(&known_cluster(&store).await, "one", LEASE, now(), 10, &Scope::Whole)
        .await
        .unwrap()[0];
    assert!(
        store
            .acquire(&known_cluster(&store).await, "two", LEASE, now(), 10, &Scope::Whole)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.extend(first, LEASE).await.unwrap().is_some());

    sqlx::query("UPDATE change_order SET lease_expires_at = now() - interval '1 second'")
        .execute(&pool)
        .await
        .unwrap();
    let loaded = store.order(id).await.unwrap().unwrap();
    let change = Change::Patch(Patch { replicas: Some(5), ..Patch::default() });
    let surge = transition(State::Running, Step::BringUp, Some(change));
    // Nobody took over yet, and still: what ran out is lost.
    assert!(store.extend(first, LEASE).await.unwrap().is_none());
    assert!(matches!(
        store.advance(first, &loaded, &surge, None, now()).await,
        Err(StoreError::Fenced { .. })
    ));

    // Nor does it call the order at rest, which others may have woken since: it stays due.
    store.give_back(first, None, &loaded).await.unwrap();
    let second = store
        .acquire(&known_cluster(&store).await, "two", LEASE, now(), 10, &Scope::Whole)
        .await
        .unwrap()[0];
    assert!(second.generation > first.generation);
    store.advance(second, &loaded, &surge, None, now()).await.unwrap();
    let applied = Applied { deployment: 9, replica_set: None };
    let made = Made { applied, template: None };
    assert!(matches!(
        store.record_applied(first, &loaded, &made, now()).await,
        Err(StoreError::Fenced { .. })
    ));
    assert!(matches!(
        store.record_pods(first, loaded.batches[0].id, &[], now()).await,
        Err(StoreError::Fenced { .. })
    ));
    store.give_back(first, None, &loaded).await.unwrap();
    let held = store.order(id).await.unwrap().unwrap();
    assert!(held.has_change_to_make(), "the stale holder recorded nothing: {held:?}");
    assert!(
        store.extend(second, LEASE).await.unwrap().is_some(),
        "and gave nothing away that was not its own"
    );
    // A fencing token is newer than all before it, also those of other orders.
    let other = application(&store, "other").await;
    order(&store, other, batches(1)).await.unwrap();
    assert!(
        store
            .acquire(&known_cluster(&store).await, "one", LEASE, now(), 10, &Scope::Whole)
            .await
            .unwrap()[0]
            .generation
            > second.generation
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_that_fell_silent_in_a_transaction_keeps_no_order_to_itself(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let web = application(&store, "web").await;
    let id = order(&store, web, batches(1)).await.unwrap();
    // As the program connects: a transaction with the order's row locked, and then nothing.
    let silent = Store::connect(&database_url(&pool), 3, LEASE, test_support::keyring::keyring())
        .await
        .unwrap();
    let mut tx = silent.begin().await.unwrap();
    tx.lock_order(id).await.unwrap();
    assert!(
        store
            .acquire(&known_cluster(&store).await, "other", LEASE, now(), 10, &Scope::Whole)
            .await
            .unwrap()
            .is_empty(),
        "it is locked"
    );
    let lease = eventually(async || {
        store
            .acquire(&known_cluster(&store).await, "other", LEASE, now(), 10, &Scope::Whole)
            .await
            .unwrap()
            .pop()
            .ok_or("still locked".into())
    })
    .await;
    assert_eq!(lease.order, id);
    let late = tx.commit().await.unwrap_err();
    assert!(late.is_retryable(), "what it wrote is gone, and it may try again: {late}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_statement_is_not_waited_for_for_ever(pool: PgPool) {
    let web = application(&Store::on(pool.clone(), test_support::keyring::keyring()), "web").await;
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT id FROM application FOR UPDATE").fetch_all(&mut *other).await.unwrap();
    let store = Store::connect(
        &database_url(&pool),
        3,
        Duration::from_millis(200),
        test_support::keyring::keyring(),
    )
    .await
    .unwrap();
    let mut tx = store.begin().await.unwrap();
    let ended = tx.lock_application(web).await.unwrap_err();
    assert!(
        matches!(&ended, StoreError::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("57014")),
        "{ended}"
    );
    assert!(ended.is_retryable(), "it may work later");
    drop((tx, other));
    let mut tx = store.begin().await.unwrap();
    tx.lock_application(web).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn migrations_take_as_long_as_they_need(pool: PgPool) {
    // Shorter than any of them takes.
    let store = Store::connect(
        &database_url(&pool),
        3,
        Duration::from_millis(1),
        test_support::keyring::keyring(),
    )
    .await
    .unwrap();
    store.migrate().await.unwrap();
    Store::on(pool, test_support::keyring::keyring()).check_schema().await.unwrap();
}

/// An order of before clusters had identities is its application's cluster's.
#[sqlx::test(migrations = false)]
async fn a_database_of_before_clusters_were_known_keeps_its_orders(pool: PgPool) {
    let before = MIGRATIONS.iter().filter(|migration| migration.version < 15);
    for migration in before {
        sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.unwrap();
    }
    sqlx::raw_sql(
        "INSERT INTO kubernetes_cluster (id) VALUES ('default'), ('other');
         INSERT INTO executor VALUES ('somebody', now(), true);
         INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas)
         SELECT gen_random_uuid(), id, 'default', 'web', 'cn-test', '', '', '', now(), 1 FROM kubernetes_cluster;
         INSERT INTO change_order (id, application_id, kind, strategy, target, description, created_at, created_by, source, step_since, run_after)
         SELECT gen_random_uuid(), id, 'scale', '{}', '{}', '', now(), '', '', now(), now() FROM application;",
    )
    .execute(&pool)
    .await
    .unwrap();
    let migration = MIGRATIONS.iter().find(|migration| migration.version == 15).unwrap();
    sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.unwrap();
    let same: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM change_order o JOIN application a ON a.id = o.application_id AND a.cluster_id = o.cluster_id",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(same, 2);
    for migration in MIGRATIONS.iter().filter(|migration| (16..33).contains(&migration.version)) {
        sqlx::raw_sql(migration.sql.clone()).execute(&pool).await.unwrap();
    }
    let store = Store::on(pool, test_support::keyring::keyring());
    let known = known_cluster(&store).await;
    assert_eq!(
        store.acquire(&known, "one", LEASE, now(), 10, &Scope::Whole).await.unwrap().len(),
        1
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn two_executors_never_get_the_same_order(pool: PgPool) {
    let store = Store::on(pool, test_support::keyring::keyring());
    let mut ids = Vec::new();
    for number in 0..20 {
        let web = application(&store, &format!("web-{number}")).await;
        ids.push(order(&store, web, batches(1)).await.unwrap());
    }
    let takes = futures::future::join_all((0..10).map(|worker| {
        let store = store.clone();
        async move {
            store
                .acquire(
                    &known_cluster(&store).await,
                    &worker.to_string(),
                    LEASE,
                    now(),
                    3,
                    &Scope::Whole,
                )
                .await
                .unwrap()
        }
    }))
    .await;
    let mut taken: Vec<OrderId> = takes.into_iter().flatten().map(|lease| lease.order).collect();
    taken.extend(
        store
            .acquire(&known_cluster(&store).await, "last", LEASE, now(), 20, &Scope::Whole)
            .await
            .unwrap()
            .into_iter()
            .map(|lease| lease.order),
    );
    let (mut all, mut once) = (taken.clone(), ids);
    all.sort_unstable();
    once.sort_unstable();
    assert_eq!(all, once, "each exactly once");
}
