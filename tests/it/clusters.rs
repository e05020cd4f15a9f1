//! Several clusters on one database, and clusters that are not what they were: nothing
//! is carried out on any but the one that it is meant for.

use std::{collections::BTreeSet, time::Duration};

use clock::Clock;
use cluster::Cluster;
use domain::{
    ApplicationId, ClusterId, ClusterIdentity, KnownCluster, OrderId, Rejection,
    observed::cluster_state::QueryKind,
    order::{FailurePolicy, State},
    rights::Scope,
    template::spec::SpecChange,
};
use executor::{Executor, Standing};
use service::{Configure, CreateApplication, Error, Service};
use simulated::{Call, Config, Fault, SimulatedCluster};
use sqlx::PgPool;
use store::{Numbers, Store};

use crate::support::{
    App, CLUSTER, Running, batches, caller, creation, eventually, known_cluster, manual, own_pool,
    release, settings,
};

const LEASE: Duration = Duration::from_secs(2);

fn simulation(identity: &str) -> SimulatedCluster {
    let start_delay = Duration::from_millis(10);
    SimulatedCluster::start(Config {
        start_delay,
        identity: Some(identity.into()),
        ..Config::default()
    })
}

/// What Sluice wrote, or wanted to: kind and name.
fn writes(simulation: &SimulatedCluster) -> Vec<(&'static str, String)> {
    let ours = simulation
        .writes()
        .into_iter()
        .map(|write| write.call)
        .filter(|call| call.manager == "sluice" && !call.dry_run);
    ours.map(|call| (call.resource, call.name)).collect()
}

/// A server with its executor and its cluster.
struct Site {
    service: Service,
    simulation: SimulatedCluster,
    _executor: Running,
}

impl Site {
    async fn start(store: &Store, id: &str) -> Self {
        let (simulation, clock) = (simulation(&format!("the-{id}")), Clock::default());
        store.register_cluster(&id.into()).await.unwrap();
        let settings =
            service::ServiceConfig { cluster: id.into(), ..settings(FailurePolicy::default()) };
        let service = Service::new(store.clone(), clock.clone(), settings);
        let executor = Running::start_on(id, store, simulation.client(), &clock, LEASE);
        let site = Self { service, simulation, _executor: executor };
        eventually(async || {
            let cluster = site.service.cluster(None).await.unwrap();
            if cluster.reachable && !cluster.namespaces.is_empty() {
                Ok(())
            } else {
                Err(format!("{cluster:?}"))
            }
        })
        .await;
        site
    }

    async fn create(&self, id: &str, name: &str) -> (ApplicationId, OrderId) {
        let creation = CreateApplication { cluster: id.into(), ..creation("default", name, 2) };
        self.service.create_application(&caller(), creation).await.unwrap()
    }
}

async fn succeeded(service: &Service, order: OrderId) {
    let view = eventually(async || {
        let view = service.order(order).await.unwrap();
        if view.state.is_final() { Ok(view) } else { Err(format!("{view:#?}")) }
    })
    .await;
    assert_eq!(view.state, State::Succeeded, "{}", view.message);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn no_order_is_carried_out_on_another_cluster_than_its_applications(pool: PgPool) {
    let store = Store::on(own_pool(&pool).await, test_support::keyring::keyring());
    let ids = ["one", "two"];
    let sites = [Site::start(&store, ids[0]).await, Site::start(&store, ids[1]).await];
    let names: Vec<String> =
        (0..24).map(|number| format!("{}-{number}", ids[number % 2])).collect();
    let orders = names
        .iter()
        .enumerate()
        .map(async |(number, name)| sites[number % 2].create(ids[number % 2], name).await);
    let made = futures::future::join_all(orders).await;
    for (_, order) in &made {
        succeeded(&sites[0].service, *order).await;
    }
    for (id, site) in ids.iter().zip(&sites) {
        let created: Vec<String> = site
            .simulation
            .writes()
            .into_iter()
            .map(|write| write.call)
            .filter(|call| (call.resource, call.verb) == ("deployments", "create") && !call.dry_run)
            .map(|call| call.name)
            .collect();
        assert_eq!(created.len(), 12, "{id}: {created:?}");
        assert!(
            writes(&site.simulation).iter().all(|(_, name)| name.starts_with(id)),
            "{id}: {:?}",
            writes(&site.simulation)
        );
    }

    // Asked for at the other's server it is looked at, judged and carried out where it is.
    let (web, _) = made[1];
    let before = writes(&sites[0].simulation).len();
    let pods = sites[0].service.instances(web, false, false).await.unwrap();
    assert!(
        !pods.is_empty() && pods.iter().all(|pod| pod.pod.name.starts_with("two-1-")),
        "{pods:?}"
    );
    let order =
        sites[0].service.deploy(&caller(), release(web, "shop/web:2.0", batches(1))).await.unwrap();
    succeeded(&sites[0].service, order).await;
    assert_eq!(writes(&sites[0].simulation).len(), before);
    let elsewhere = Configure {
        application: web,
        cluster: Some("one".into()),
        spec: SpecChange { image: Some("shop/web:3.0".into()), ..SpecChange::default() },
        timeout_seconds: None,
    };
    let refused = sites[0].service.configure(&caller(), elsewhere).await.unwrap_err().to_string();
    assert!(
        refused.contains("the cluster has the value one") && refused.contains("two"),
        "{refused}"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn no_work_is_handed_out_for_another_cluster_or_to_who_sees_another_one(pool: PgPool) {
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    let site = settings(FailurePolicy::default());
    let known = known_cluster(&store).await;
    let service = Service::new(store.clone(), Clock::default(), site);
    let (application, _) =
        service.create_application(&caller(), creation("default", "web", 1)).await.unwrap();
    let now = jiff::Timestamp::now();
    store
        .send_cluster_query(&CLUSTER.into(), "default", "web", QueryKind::Deployment, now)
        .await
        .unwrap();
    let identity: ClusterIdentity = "another".parse().unwrap();
    store.record_identity(&"other".into(), &identity).await.unwrap();
    let other = KnownCluster { id: "other".into(), identity: identity.clone() };
    let impostor = KnownCluster { id: CLUSTER.into(), identity };
    for wrong in [&other, &impostor] {
        assert!(
            store
                .acquire(wrong, "one", LEASE, now, 10, &domain::rights::Scope::Whole)
                .await
                .unwrap()
                .is_empty()
        );
        assert!(store.claim_cluster_query(wrong).await.unwrap().is_none());
        assert!(store.claim_precheck_requests(wrong, 9).await.unwrap().is_empty());
        assert!(
            store.claim_object_write(wrong, &domain::rights::Scope::Whole).await.unwrap().is_none()
        );
        let seen = [Numbers { namespace: "default", name: "web", replicas: Some(7), ready: 7 }];
        store.mirror_replicas(wrong, &seen).await.unwrap();
        store.mirror_cluster(wrong, "v9", &[], &domain::rights::Scope::Whole, now).await.unwrap();
    }
    assert_eq!(store.application(application).await.unwrap().ready_replicas, 0);
    assert_eq!(store.cluster(&CLUSTER.into()).await.unwrap().unwrap().version, "");
    assert_eq!(store.next_due(&"other".into(), &domain::rights::Scope::Whole).await.unwrap(), None);
    // Who sees the right one gets it all.
    assert!(
        store.next_due(&CLUSTER.into(), &domain::rights::Scope::Whole).await.unwrap().is_some()
    );
    assert_eq!(
        store
            .acquire(&known, "one", LEASE, now, 10, &domain::rights::Scope::Whole)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(store.claim_cluster_query(&known).await.unwrap().is_some());
    // Executors count for their own cluster.
    store.heartbeat(&"other".into(), "somebody", Ok(()), &[]).await.unwrap();
    assert_eq!(store.executors(&CLUSTER.into(), 15.0).await.unwrap().alive, 0);
    let health = service.health().await.unwrap();
    let of = |id: &str| health.iter().find(|it| it.id.as_str() == id).unwrap().trouble.as_deref();
    assert_eq!((of(CLUSTER), of("other")), (Some("no executor is alive"), None));
    // The application's cluster and its orders' are one.
    let split = sqlx::query("UPDATE change_order SET cluster_id = 'other'")
        .execute(&pool)
        .await
        .unwrap_err();
    assert_eq!(split.into_database_error().unwrap().code().as_deref(), Some("23503"));
}

fn executor_on(store: &Store, id: &str, client: kube::Client) -> std::sync::Arc<Executor> {
    let settings = executor::ExecutorConfig { cluster: id.into(), lease: LEASE, concurrency: 10 };
    Executor::new(store.clone(), Cluster::watch(client, Scope::Whole), Clock::default(), settings)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_id_does_not_stand_for_two_clusters_nor_one_cluster_for_two_ids(pool: PgPool) {
    let store = Store::on(own_pool(&pool).await, test_support::keyring::keyring());
    let (first, second) = (simulation("first"), simulation("second"));
    assert!(executor_on(&store, CLUSTER, first.client()).identify().await.known().is_some());
    let Standing::Other(why) = executor_on(&store, CLUSTER, second.client()).identify().await
    else {
        panic!("taken for the first")
    };
    for word in ["default", "first", "second", "--cluster-id", "sluice cluster replace"] {
        assert!(why.contains(word), "{word}: {why}");
    }
    let Standing::Other(why) = executor_on(&store, "again", first.client()).identify().await else {
        panic!("two ids for one cluster")
    };
    assert!(why.contains("first") && why.contains("--cluster-id default"), "{why}");

    // One that runs all the same does nothing, whatever is asked of it.
    let service = Service::new(store.clone(), Clock::default(), settings(FailurePolicy::default()));
    let (_, order) =
        service.create_application(&caller(), creation("default", "web", 1)).await.unwrap();
    store
        .send_cluster_query(
            &CLUSTER.into(),
            "default",
            "web",
            QueryKind::Deployment,
            jiff::Timestamp::now(),
        )
        .await
        .unwrap();
    let stranger = Running::start(&store, second.client(), &Clock::default(), LEASE);
    eventually(async || match service.readiness().await.map_err(|it| it.to_string()) {
        Err(why) if why.contains("first") && why.contains("second") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    untouched(&pool, &service, order).await;
    assert!(writes(&second).is_empty());
    stranger.stop().await;
    let _right = Running::start(&store, first.client(), &Clock::default(), LEASE);
    succeeded(&service, order).await;
}

/// Nobody ever took the order up, nor anything else.
async fn untouched(pool: &PgPool, service: &Service, order: OrderId) {
    assert_eq!(service.order(order).await.unwrap().state, State::Ready);
    let taken: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM change_order WHERE id = $1 AND generation > 0) + (SELECT count(*) FROM cluster_query WHERE claimed_at IS NOT NULL)
         + (SELECT count(*) FROM object_write WHERE claimed_at IS NOT NULL)",
    )
    .bind(order.0)
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(taken, 0);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn nothing_is_done_before_the_identity_was_seen(pool: PgPool) {
    let store = Store::on(own_pool(&pool).await, test_support::keyring::keyring());
    let service = Service::new(store.clone(), Clock::default(), settings(FailurePolicy::default()));
    store.register_cluster(&CLUSTER.into()).await.unwrap();
    let cluster = simulation("late");
    cluster.fail_next(usize::MAX, Fault::Refuse(503), |call: &Call| call.resource == "namespaces");
    let _executor = Running::start(&store, cluster.client(), &Clock::default(), LEASE);
    let (_, order) =
        service.create_application(&caller(), creation("default", "web", 1)).await.unwrap();
    store
        .send_cluster_query(
            &CLUSTER.into(),
            "default",
            "web",
            QueryKind::Deployment,
            jiff::Timestamp::now(),
        )
        .await
        .unwrap();
    eventually(async || match service.readiness().await.map_err(|it| it.to_string()) {
        Err(why) if why.contains("its identity is not seen yet") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    untouched(&pool, &service, order).await;
    assert!(writes(&cluster).is_empty());
    assert_eq!(store.identity(&CLUSTER.into()).await.unwrap(), None);
    cluster.clear_faults();
    succeeded(&service, order).await;
    assert_eq!(store.identity(&CLUSTER.into()).await.unwrap(), Some("late".parse().unwrap()));
}

async fn says_both(app: &App, one: &str, other: &str) {
    eventually(async || match app.service.readiness().await.map_err(|it| it.to_string()) {
        Err(why) if why.contains(one) && why.contains(other) => Ok(()),
        said => Err(format!("{said:?}")),
    })
    .await;
}

async fn held(pool: &PgPool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM change_order WHERE lease_holder IS NOT NULL")
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Another cluster answers at the address: no watch breaks, or all of them do.
async fn swapped(pool: PgPool, breaks: bool) {
    let app = App::start_with(
        pool.clone(),
        Config {
            identity: Some("original".into()),
            start_delay: Duration::from_millis(10),
            ..Config::default()
        },
    )
    .await;
    let cluster = app.simulation.clone().unwrap();
    let web = app.create("web", 4).await;
    let order = app.deploy(web, "shop/web:2.0", manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    eventually(
        async || if held(&pool).await == 0 { Ok(()) } else { Err("it does not rest".into()) },
    )
    .await;
    // One is in hand, and waits for pods.
    let slow = app.create("slow", 1).await;
    let waits = app.deploy(slow, "shop/slow:2.0--never-ready", batches(1)).await;
    app.order_when(waits, |order| !order.batches[0].pods.is_empty()).await;
    cluster.replace_identity("stranger");
    let before = writes(&cluster);
    if breaks {
        cluster.drop_watches();
        cluster.expire_watches();
    }
    let (_, created) =
        app.service.create_application(&caller(), creation("default", "second", 1)).await.unwrap();
    says_both(&app, "original", "stranger").await;
    // What is in hand is let go, and nothing more is taken up.
    eventually(
        async || if held(&pool).await == 0 { Ok(()) } else { Err("leases are held".into()) },
    )
    .await;
    let waiting = app.service.order(order).await.unwrap();
    app.service.confirm(&caller(), waiting.batches[1].id, true).await.unwrap();
    let refused = app.service.instances(web, false, false).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected(Rejection::Unseen(_))), "{refused}");
    says_both(&app, "original", "stranger").await;
    assert_eq!(held(&pool).await, 0);
    assert_eq!(writes(&cluster), before, "nothing was written on the stranger");
    // It may have been taken up before the stranger was noticed: its change was not made.
    assert!(!app.service.order(created).await.unwrap().state.is_final());
    // The right one is back: all goes on.
    cluster.replace_identity("original");
    succeeded(&app.service, created).await;
    succeeded(&app.service, order).await;
    let created: BTreeSet<String> = writes(&cluster)
        .into_iter()
        .filter(|(kind, _)| *kind == "deployments")
        .map(|(_, name)| name)
        .collect();
    assert_eq!(created, BTreeSet::from(["second".to_owned(), "slow".to_owned(), "web".to_owned()]));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_cluster_that_is_another_one_by_now_is_not_written_to(pool: PgPool) {
    swapped(pool, false).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_cluster_that_is_another_one_after_an_outage_is_not_written_to(pool: PgPool) {
    swapped(pool, true).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_does_not_go_on_once_another_cluster_is_on_record(pool: PgPool) {
    let app = App::start_with(
        pool.clone(),
        Config {
            identity: Some("original".into()),
            start_delay: Duration::from_millis(10),
            ..Config::default()
        },
    )
    .await;
    let web = app.create("web", 2).await;
    let cluster = app.simulation.clone().unwrap();
    sqlx::query("UPDATE kubernetes_cluster SET identity = 'successor'")
        .execute(&pool)
        .await
        .unwrap();
    let before = writes(&cluster);
    let order = app.deploy(web, "shop/web:2.0", batches(1)).await;
    says_both(&app, "original", "successor").await;
    assert_eq!((held(&pool).await, writes(&cluster)), (0, before));
    assert_eq!(app.service.order(order).await.unwrap().state, State::Ready);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_was_begun_on_one_cluster_is_not_carried_out_on_its_successor(pool: PgPool) {
    let store = Store::on(own_pool(&pool).await, test_support::keyring::keyring());
    let service = Service::new(store.clone(), Clock::default(), settings(FailurePolicy::default()));
    let (old, new) = (simulation("old"), simulation("new"));
    assert!(executor_on(&store, CLUSTER, old.client()).identify().await.known().is_some());
    let (web, order) =
        service.create_application(&caller(), creation("default", "web", 1)).await.unwrap();
    let known = KnownCluster { id: CLUSTER.into(), identity: "old".parse().unwrap() };
    let lease = store
        .acquire(
            &known,
            "somebody",
            LEASE,
            jiff::Timestamp::now(),
            1,
            &domain::rights::Scope::Whole,
        )
        .await
        .unwrap()[0];

    let identity: ClusterIdentity = "new".parse().unwrap();
    let refused = service.replace_cluster(&identity, false).await.unwrap_err().to_string();
    assert!(
        refused.contains(&order.to_string()) && refused.contains("--let-orders-go"),
        "{refused}"
    );
    assert_eq!(store.identity(&CLUSTER.into()).await.unwrap(), Some(known.identity.clone()));
    let other = ClusterId::from("other");
    store.record_identity(&other, &"third".parse().unwrap()).await.unwrap();
    let refused =
        service.replace_cluster(&"third".parse().unwrap(), true).await.unwrap_err().to_string();
    assert!(refused.contains("other"), "{refused}");

    service.replace_cluster(&identity, true).await.unwrap();
    let ended = service.order(order).await.unwrap();
    assert!(
        ended.state == State::Aborted
            && ended.message.contains("old")
            && ended.message.contains("new"),
        "{ended:#?}"
    );
    let events = store.events(order).await.unwrap();
    let last = events.last().unwrap();
    assert_eq!((last.kind.as_str(), last.actor.as_str()), ("order.aborted", "sluice"));
    assert!(last.cause.contains("another cluster took the place"), "{last:?}");
    assert!(
        store.extend(lease, LEASE).await.unwrap().is_none(),
        "who was at it writes nothing any more"
    );
    let _executor = Running::start(&store, new.client(), &Clock::default(), LEASE);
    eventually(async || service.readiness().await.map_err(|it| it.to_string())).await;
    assert!(writes(&new).is_empty());
    // The next order is the new cluster's.
    service.delete(&caller(), web).await.unwrap();
    eventually(async || {
        if service.applications(None).await.unwrap().is_empty() {
            Ok(())
        } else {
            Err("still there".into())
        }
    })
    .await;
    let (_, order) =
        service.create_application(&caller(), creation("default", "web", 1)).await.unwrap();
    succeeded(&service, order).await;
}
