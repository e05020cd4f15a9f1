//! Object writes: the rules in the database, and objects written beside a Deployment on a
//! cluster, however often and by whom it is tried.

mod cluster;

use std::{collections::BTreeMap, time::Duration};

use domain::{
    ApplicationId, KnownCluster, OrderId,
    object::{
        ingress::{self, Backend, IngressRule, PathMatch, Texts},
        service::{
            Balancer, Listener, Network, Port, PortTarget, Reach, Speech, TrafficPolicy, Transport,
        },
        write::{Action, ObjectKind, ObjectWrite, Outcome, Owner, Record},
    },
    order::{Kind, State},
    rights::Scope,
};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment, core::v1::Pod, core::v1::Service, networking::v1::Ingress,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};
use service::{Adopt, Bind, Expose, Route};
use sqlx::PgPool;
use store::{Kept, NewApplication, ObjectWriteId, Store};
use uuid::Uuid;

use crate::support::{App, CLUSTER, caller, eventually, known_cluster, on_both_clusters};

fn now() -> Timestamp {
    Timestamp::now()
}

async fn application(store: &Store) -> ApplicationId {
    let cluster = known_cluster(store).await;
    let id = ApplicationId::new();
    let row = NewApplication {
        id,
        cluster: &cluster.id,
        namespace: "default",
        namespace_named: false,
        name: "web",
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

fn creation(name: &str) -> ObjectWrite {
    let object = json!({ "data": { "key": "geheim" } });
    ObjectWrite {
        kind: ObjectKind::ConfigMap,
        name: name.into(),
        owner: None,
        action: Action::Create(object),
    }
}

fn record(application: ApplicationId) -> Record {
    Record {
        order: OrderId::new(),
        application,
        description: "Create Service front".into(),
        created_by: "tester".into(),
        source: domain::Source::Api,
        refusals: false,
        trace: None,
    }
}

async fn sent(store: &Store, record: Option<&Record>) -> ObjectWriteId {
    let id = ObjectWriteId(Uuid::now_v7());
    store
        .send_object_write(
            id,
            (&CLUSTER.into(), "default"),
            &creation("front"),
            Kept { record, ..Kept::default() },
            now(),
        )
        .await
        .unwrap();
    id
}

/// Lets what is claimed look as if its claim were that old.
async fn age(pool: &PgPool, seconds: i32) {
    sqlx::query("UPDATE object_write SET claimed_at = claimed_at - make_interval(secs => $1)")
        .bind(f64::from(seconds))
        .execute(pool)
        .await
        .unwrap();
}

fn done() -> Outcome {
    Ok(json!({ "name": "front", "uid": "u1" }))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_object_write_is_claimed_by_one_until_it_falls_silent(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let known = known_cluster(&store).await;
    application(&store).await;
    let id = sent(&store, None).await;
    let another = KnownCluster { id: "another".into(), ..known.clone() };
    assert!(
        store.claim_object_write(&another, &domain::rights::Scope::Whole).await.unwrap().is_none(),
        "each cluster has its own"
    );
    let first =
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().unwrap();
    assert_eq!((first.id, first.attempts, first.object_write), (id, 1, creation("front")));
    assert!(
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().is_none()
    );
    age(&pool, 9).await;
    assert!(
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().is_none()
    );
    age(&pool, 2).await;
    let second =
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().unwrap();
    assert_eq!((second.id, second.attempts), (id, 2));
    assert!(second.generation > first.generation);
    // Whoever lost it has nothing to say any more.
    assert!(
        !store.answer_object_write(id, first.generation, &Err("no".into()), now()).await.unwrap()
    );
    assert_eq!(store.object_write_outcome(id).await.unwrap(), None);
    assert!(store.answer_object_write(id, second.generation, &done(), now()).await.unwrap());
    age(&pool, 60).await;
    assert!(
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().is_none(),
        "what is answered is not taken up again"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_object_write_is_answered_once_with_its_order_and_what_was_wanted_is_wiped(
    pool: PgPool,
) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let known = known_cluster(&store).await;
    let application = application(&store).await;
    let record = record(application);
    let id = sent(&store, Some(&record)).await;
    // The same request again is the same object write.
    store
        .send_object_write(
            id,
            (&CLUSTER.into(), "default"),
            &creation("other"),
            Kept { record: Some(&self::record(application)), ..Kept::default() },
            now(),
        )
        .await
        .unwrap();
    let claimed =
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().unwrap();
    assert_eq!(claimed.object_write, creation("front"));
    assert!(
        store.order_row(record.order).await.unwrap().is_none(),
        "there is no order before it is done"
    );
    assert!(store.answer_object_write(id, claimed.generation, &done(), now()).await.unwrap());
    assert!(
        !store
            .answer_object_write(id, claimed.generation, &Err("too late".into()), now())
            .await
            .unwrap()
    );
    let answered = store.object_write_outcome(id).await.unwrap().unwrap();
    assert_eq!((answered.outcome, answered.order), (done(), Some(record.order)));
    let row: Value = sqlx::query_scalar("SELECT to_jsonb(object_write) FROM object_write")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!row.to_string().contains("geheim"), "{row}");

    let order = store.order_row(record.order).await.unwrap().unwrap();
    assert_eq!(
        (order.kind, order.state, order.description.as_str()),
        (Kind::ObjectWrite, State::Succeeded, "Create Service front")
    );
    assert_eq!(store.events(record.order).await.unwrap()[0].detail["object"]["uid"], "u1");
    // It is no change of the Deployment.
    assert_eq!(store.newest_order(application).await.unwrap(), None);
    assert_eq!(store.application(application).await.unwrap().last_order, None);
    assert!(
        store
            .acquire(
                &known,
                "one",
                Duration::from_secs(60),
                now(),
                10,
                &domain::rights::Scope::Whole
            )
            .await
            .unwrap()
            .is_empty()
    );
    store.prune_object_writes(now(), now()).await.unwrap();
    assert_eq!(store.object_write_outcome(id).await.unwrap(), None);
    assert!(store.order_row(record.order).await.unwrap().is_some());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_refusal_leaves_no_order_where_somebody_hears_of_it(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let known = known_cluster(&store).await;
    let application = application(&store).await;
    let record = record(application);
    let id = sent(&store, Some(&record)).await;
    let claimed =
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().unwrap();
    assert!(
        store.answer_object_write(id, claimed.generation, &Err("no".into()), now()).await.unwrap()
    );
    assert!(store.order_row(record.order).await.unwrap().is_none());

    // Unless nobody waits to hear it.
    let record = Record { refusals: true, ..self::record(application) };
    let id = sent(&store, Some(&record)).await;
    let claimed =
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().unwrap();
    assert!(
        store.answer_object_write(id, claimed.generation, &Err("no".into()), now()).await.unwrap()
    );
    let order = store.order_row(record.order).await.unwrap().unwrap();
    assert_eq!((order.state, order.message.as_str()), (State::Failed, "no"));
    assert_eq!(
        store.application(application).await.unwrap().last_order,
        None,
        "the application is none the worse for it"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_nobody_took_up_can_be_withdrawn_and_what_somebody_is_at_cannot(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let known = known_cluster(&store).await;
    application(&store).await;
    let id = sent(&store, None).await;
    assert!(store.withdraw_object_write(id, now()).await.unwrap());
    assert!(
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().is_none()
    );
    let id = sent(&store, None).await;
    assert!(
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().is_some()
    );
    assert!(!store.withdraw_object_write(id, now()).await.unwrap());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn either_the_withdrawal_or_the_claim_happens(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let known = known_cluster(&store).await;
    application(&store).await;
    for _ in 0..20 {
        let id = sent(&store, None).await;
        let (withdrawn, claimed) = tokio::join!(
            store.withdraw_object_write(id, now()),
            store.claim_object_write(&known, &domain::rights::Scope::Whole)
        );
        let (withdrawn, claimed) = (withdrawn.unwrap(), claimed.unwrap());
        assert_ne!(withdrawn, claimed.is_some());
    }
}
