//! What is known without asking the database, and what brings it to an end.

use std::collections::BTreeSet;

use clock::Clock;
use domain::{
    OrderId,
    access::Action,
    order::{FailurePolicy, State},
};
use service::{Caller, Error, Permit, Service, WantedKey};
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::Store;

use crate::support::{
    App, caller, eventually, manual, own_pool, release, sent, server::Kept, settings,
};

const NEW: &str = "shop/web:2.0";
const PEER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Statements that are not of a request.
const ASIDE: [&str; 6] = [
    "access_version",
    "whole_orders",
    "note_key_use",
    "enabled_keys",
    "order_events_after",
    "LISTEN",
];

/// What was sent for requests since statements are counted.
fn asked() -> Vec<String> {
    let aside = |name: &String| ASIDE.iter().any(|it| name.starts_with(it));
    sent::since().into_iter().filter(|name| !aside(name)).collect()
}

fn looks(name: &str) -> usize {
    sent::since().iter().filter(|it| *it == name).count()
}

/// What whoever has this key sees of an order.
async fn poll(service: &Service, key: &str, order: OrderId) -> Result<State, Error> {
    let found = service.key(key).await?.expect("the key is there");
    if !found.is_good() {
        return Err(domain::Rejection::NoSession.into());
    }
    let access = service.access(&found.grants, PEER, true);
    let permit = Permit::of(access, Action::READ)?.of_key(&found);
    Ok(service.within(permit).order(order).await?.state)
}

struct Scene {
    app: App,
    key: String,
    order: OrderId,
    _kept: Kept,
}

impl Scene {
    /// An order that waits for an executor, and a key that may read it.
    async fn of(pool: PgPool) -> Self {
        let mut app = App::start(pool).await;
        let kept = Kept::of(&app).await;
        let application = app.create("web", 2).await;
        app.stop_executor().await;
        let order = app.deploy(application, NEW, manual(2)).await;
        let wanted =
            WantedKey { name: Some("reader".into()), assumes_admin: true, ..WantedKey::default() };
        let key = app.service.create_key(&Caller::of_commands(), &wanted).await.unwrap().id;
        Self { app, key, order, _kept: kept }
    }

    async fn poll(&self) -> Result<State, Error> {
        poll(&self.app.service, &self.key, self.order).await
    }

    /// Polls until that costs nothing.
    async fn until_known(&self) {
        eventually(async || {
            sent::count();
            for _ in 0..100 {
                self.poll().await.map_err(|error| error.to_string())?;
            }
            let asked = asked();
            if asked.is_empty() { Ok(()) } else { Err(format!("{asked:?}")) }
        })
        .await;
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn polling_an_order_that_does_not_change_costs_no_statement(pool: PgPool) {
    let scene = Scene::of(pool).await;
    sent::count();
    scene.poll().await.unwrap();
    let first: BTreeSet<_> = asked().into_iter().collect();
    let all = ["find_key", "whole_order"].map(str::to_owned).into();
    assert!(first.is_subset(&all), "one statement each for key and order: {first:?}");
    scene.until_known().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_server_knows_at_once_what_it_changed_itself(pool: PgPool) {
    let scene = Scene::of(pool).await;
    scene.until_known().await;
    scene.app.service.abort(&caller(), scene.order).await.unwrap();
    assert_eq!(scene.poll().await.unwrap(), State::Aborted);
    scene.until_known().await;
    scene.app.service.switch_key(&Caller::of_commands(), &scene.key, false).await.unwrap();
    assert!(scene.poll().await.is_err(), "the key is disabled");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_nobody_tells_of_is_seen_with_the_next_look(pool: PgPool) {
    let scene = Scene::of(pool.clone()).await;
    scene.until_known().await;
    sqlx::query("UPDATE change_order SET state = 'running' WHERE id = $1")
        .bind(scene.order.0)
        .execute(&pool)
        .await
        .unwrap();
    sent::count();
    eventually(async || match scene.poll().await {
        Ok(State::Running) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // One may have been under way already.
    assert!(looks("whole_orders") <= 2, "{:?}", sent::since());

    scene.until_known().await;
    let mut quiet = pool.acquire().await.unwrap();
    for statement in [
        // No trigger fires, so nobody is notified.
        "SET session_replication_role = replica",
        "UPDATE access_key SET enabled = false WHERE name = 'reader'",
        "UPDATE access_version SET version = gen_random_uuid()",
        "SET session_replication_role = DEFAULT",
    ] {
        sqlx::query(statement).execute(&mut *quiet).await.unwrap();
    }
    sent::count();
    eventually(async || match scene.poll().await {
        Err(_) => Ok(()),
        Ok(state) => Err(format!("{state:?}")),
    })
    .await;
    assert!(looks("access_version") <= 2, "{:?}", sent::since());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_change_of_who_may_do_what_is_another_version_and_a_use_is_none(pool: PgPool) {
    let service = Service::new(
        Store::on(pool.clone(), test_support::keyring::keyring()),
        Clock::default(),
        settings(FailurePolicy::default()),
    );
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let mut seen = vec![store.access_version().await.unwrap()];
    let wanted = WantedKey { name: Some("ci".into()), ..WantedKey::default() };
    let key = service.create_key(&Caller::of_commands(), &wanted).await.unwrap();
    seen.push(store.access_version().await.unwrap());
    let policy =
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"edas:*","Resource":"*"}]}"#;
    service.put_policy(&Caller::of_commands(), "all", policy, false, |_| true).await.unwrap();
    seen.push(store.access_version().await.unwrap());
    service.attach(&Caller::of_commands(), "ci", &service::policy_named("all")).await.unwrap();
    seen.push(store.access_version().await.unwrap());
    service.switch_key(&Caller::of_commands(), &key.id, false).await.unwrap();
    seen.push(store.access_version().await.unwrap());
    let now = Clock::default().now();
    store.note_key_use(&key.id, now, now).await.unwrap();
    let last = *seen.last().unwrap();
    assert_eq!(store.access_version().await.unwrap(), last, "that a key is used is no change");
    service.remove_principal(&Caller::of_commands(), "ci").await.unwrap();
    seen.push(store.access_version().await.unwrap());
    let different: BTreeSet<_> = seen.iter().collect();
    assert_eq!(different.len(), seen.len(), "{seen:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn connections_that_postgres_closed_are_nobodys_business(pool: PgPool) {
    let own = PgPoolOptions::new()
        .max_connections(3)
        .test_before_acquire(false)
        .connect_with((*pool.connect_options()).clone().application_name("closed"))
        .await
        .unwrap();
    let store = Store::on(own.clone(), test_support::keyring::keyring());
    let key = "secret".into();
    let now = Clock::default().now();
    let close = async || {
        let all = (own.acquire().await.unwrap(), own.acquire().await.unwrap());
        drop((all, own.acquire().await.unwrap()));
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = 'closed' AND datname = current_database()",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(ended, 3);
    };
    close().await;
    store.ping().await.unwrap();
    close().await;
    store.begin().await.unwrap().commit().await.unwrap();
    close().await;
    assert!(store.insert_key("the-key", &key, "ci", now).await.unwrap());
    close().await;
    store.note_key_use("the-key", now, now).await.unwrap();
    close().await;
    let order = OrderId::new();
    assert!(store.order(order).await.unwrap().is_none());
    close().await;
    assert!(store.whole_order(order).await.unwrap().is_none());
    own.close().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn accepting_a_release_takes_few_statements(pool: PgPool) {
    let mut app = App::start(own_pool(&pool).await).await;
    let application = app.create("web", 2).await;
    app.stop_executor().await;
    let (key, secret) = (caller().key_id, "secret".into());
    assert!(app.store.insert_key(&key, &secret, "tester", app.clock.now()).await.unwrap());
    let caller = service::Caller {
        identity: Some(service::RequestIdentity { nonce: "once".into(), digest: "it".into() }),
        ..caller()
    };
    sent::count();
    let order = app.service.deploy(&caller, release(application, NEW, manual(2))).await.unwrap();
    let sent = sent::since();
    assert_eq!(
        app.service.deploy(&caller, release(application, NEW, manual(2))).await.unwrap(),
        order
    );
    assert!(sent.len() <= 16, "{sent:?}");
}
