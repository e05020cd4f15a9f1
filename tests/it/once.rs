//! A request is done once, also where Postgres ends its transaction in favour of another.

use clock::Clock;
use domain::{ApplicationId, order::FailurePolicy};
use service::{Caller, Error, RequestIdentity, Scale, Service};
use sqlx::PgPool;
use store::Store;

use crate::{
    store::application,
    support::{caller, eventually, settings},
};

async fn service(pool: &PgPool) -> (Service, ApplicationId) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    assert!(
        store.insert_key("test", &"secret".into(), "tester", Clock::default().now()).await.unwrap()
    );
    let web = application(&store, "web").await;
    (Service::new(store, Clock::default(), settings(FailurePolicy::default())), web)
}

/// The request of this nonce: the same one, whenever it is made.
fn request(nonce: &str) -> Caller {
    let identity = RequestIdentity { nonce: nonce.into(), digest: "digest".into() };
    Caller { identity: Some(identity), ..caller() }
}

fn scale(application: ApplicationId) -> Scale {
    Scale { application, replicas: 5, timeout_seconds: None }
}

async fn count(pool: &PgPool, rows: &'static str) -> i64 {
    sqlx::query_scalar(rows).fetch_one(pool).await.unwrap()
}

const ORDERS: &str = "SELECT count(*) FROM change_order";
const NONCES: &str = "SELECT count(*) FROM nonce";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_request_that_meets_a_deadlock_gets_one_answer_and_writes_one_order(pool: PgPool) {
    let (service, web) = service(&pool).await;
    // Another transaction has the application, which the request waits for …
    let mut other = pool.begin().await.unwrap();
    // It looks for a deadlock much later than the request does, which so gives way.
    sqlx::query("SET LOCAL deadlock_timeout = '30s'").execute(&mut *other).await.unwrap();
    sqlx::query("SELECT id FROM application FOR UPDATE").fetch_all(&mut *other).await.unwrap();
    let asked = tokio::spawn({
        let service = service.clone();
        async move { service.scale(&request("once"), scale(web)).await }
    });
    eventually(async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        (count(&pool, waiting).await == 1).then_some(()).ok_or("the request does not wait".into())
    })
    .await;
    // … and wants what the request has.
    sqlx::query(
        "INSERT INTO nonce (key_id, nonce, digest, outcome, seen_at) VALUES ('test', 'once', 'other', NULL, now())",
    )
    .execute(&mut *other)
    .await
    .expect("the request gives way");
    other.rollback().await.unwrap();

    let order = asked.await.unwrap().expect("the request is tried again");
    assert_eq!(count(&pool, ORDERS).await, 1);
    assert_eq!(service.scale(&request("once"), scale(web)).await.unwrap(), order, "the same again");
    assert_eq!((count(&pool, ORDERS).await, count(&pool, NONCES).await), (1, 1));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn only_a_transaction_that_gave_way_is_tried_again_and_not_for_ever(pool: PgPool) {
    let (service, _) = service(&pool).await;
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    // What a sequence counts stays counted when its transaction ends.
    sqlx::raw_sql(
        "CREATE SEQUENCE tries; CREATE SEQUENCE failures;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             PERFORM nextval('tries');
             IF nextval('failures') <= TG_ARGV[1]::integer THEN
                 RAISE EXCEPTION 'as ordered' USING ERRCODE = TG_ARGV[0];
             END IF;
             RETURN NEW;
         END $$",
    )
    .execute(&pool)
    .await
    .unwrap();
    let cases = [
        ("40P01", 2, 3, true),
        ("40001", 2, 3, true),
        ("40P01", 9, 3, false),
        ("40001", 9, 3, false),
        ("57014", 1, 1, false),
        ("25P03", 1, 1, false),
        ("XX000", 1, 1, false),
    ];
    for (code, failures, tries, is_done) in cases {
        let name = format!("{code}-{failures}");
        let web = application(&store, &name).await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "ALTER SEQUENCE tries RESTART; ALTER SEQUENCE failures RESTART;
             CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON change_order
                 FOR EACH ROW EXECUTE FUNCTION fail('{code}', {failures})"
        )))
        .execute(&pool)
        .await
        .unwrap();
        let before = (count(&pool, ORDERS).await, count(&pool, NONCES).await);
        let answered = service.scale(&request(&name), scale(web)).await;
        let new = (count(&pool, ORDERS).await - before.0, count(&pool, NONCES).await - before.1);
        assert_eq!(count(&pool, "SELECT last_value FROM tries").await, tries, "{name}");
        assert_eq!(new, (i64::from(is_done), i64::from(is_done)), "{name}: all of it or nothing");
        match answered {
            Ok(_) => assert!(is_done, "{name}"),
            Err(Error::Store(_)) => assert!(!is_done, "{name}"),
            Err(other) => panic!("{name}: {other}"),
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_same_request_makes_no_second_link_to_the_console(pool: PgPool) {
    let (service, _) = service(&pool).await;
    service.make_link_of_key(&request("link")).await.unwrap();
    let again = service.make_link_of_key(&request("link")).await;
    assert!(matches!(again, Err(Error::Rejected(domain::Rejection::NonceUsed))));
    assert_eq!(count(&pool, "SELECT count(*) FROM console_link").await, 1);
    assert_eq!(count(&pool, "SELECT count(*) FROM audit_entry").await, 1);
}
