//! Which executors are gone, as the others learn it from Postgres.

use domain::{
    ClusterId,
    order::{State, Step},
    rights::Scope,
};
use sqlx::{PgPool, postgres::PgPoolOptions};
use store::{Lease, Presence, Presences, Store, StoreError};

use super::{LEASE, application, now, order, transition};
use crate::support::{CLUSTER, batches, eventually, known_cluster};

struct Scene {
    pool: PgPool,
    store: Store,
    cluster: ClusterId,
    lease: Lease,
}

impl Scene {
    /// An order that the executor `one` holds for a long time.
    async fn of(pool: PgPool) -> Self {
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        let web = application(&store, "web").await;
        order(&store, web, batches(2)).await.unwrap();
        let known = known_cluster(&store).await;
        let held = store.acquire(&known, "one", LEASE, now(), 10, &Scope::Whole).await.unwrap();
        Self { pool, store, cluster: CLUSTER.into(), lease: held[0] }
    }

    async fn presence(&self, holder: &str) -> Presence {
        self.store.show_presence(&self.cluster, holder).await.unwrap().expect("there is no pooler")
    }

    /// What `two` takes.
    async fn taken(&self) -> Vec<Lease> {
        let known = known_cluster(&self.store).await;
        self.store.acquire(&known, "two", LEASE, now(), 10, &Scope::Whole).await.unwrap()
    }

    /// Waits until `two` finds that `one` is gone, and ends its leases.
    async fn miss_one(&self, two: &mut Presence) -> usize {
        let gone = Presences::Gone(vec!["one".into()]);
        let look = tokio::sync::Mutex::new(two);
        eventually(async || {
            let found = look.lock().await.look(&self.cluster, "two").await.unwrap();
            if found == gone { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
        self.store.end_leases_of(&self.cluster, &["one".into()]).await.unwrap()
    }

    /// Ends the connections of Postgres that hold an advisory lock, except one.
    async fn sever(&self, all_but: &str) {
        let severed: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN executor ON (presence_key >> 32)::bigint & 4294967295 = classid::bigint AND presence_key & 4294967295 = objid::bigint
             WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND holder <> $1",
        )
        .bind(all_but)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        assert_eq!(severed, [true]);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_that_is_gone_loses_its_leases_at_once_and_one_that_lives_does_not(pool: PgPool) {
    let scene = Scene::of(pool).await;
    let (one, mut two) = (scene.presence("one").await, scene.presence("two").await);
    let none = Presences::Gone(Vec::new());
    assert_eq!(two.look(&scene.cluster, "two").await.unwrap(), none, "it lives");
    assert!(scene.taken().await.is_empty());

    drop(one);
    assert_eq!(scene.miss_one(&mut two).await, 1);
    let taken = scene.taken().await;
    assert_eq!(taken[0].order, scene.lease.order);
    assert!(taken[0].generation > scene.lease.generation);
    // Those of whoever took them over are not touched, however often it looks.
    assert_eq!(scene.miss_one(&mut two).await, 0);
    assert!(scene.store.extend(taken[0], LEASE).await.unwrap().is_some());
    // A lease that a statement took which was on its way is ended too.
    sqlx::query("UPDATE change_order SET lease_holder = 'one'").execute(&scene.pool).await.unwrap();
    assert_eq!(scene.miss_one(&mut two).await, 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_whose_connection_broke_while_it_lives_writes_nothing_of_what_it_lost(pool: PgPool) {
    let scene = Scene::of(pool).await;
    let (mut one, mut two) = (scene.presence("one").await, scene.presence("two").await);
    let loaded = scene.store.order(scene.lease.order).await.unwrap().unwrap();
    scene.sever("two").await;
    assert!(one.look(&scene.cluster, "one").await.is_err(), "it learns that it lost the lock");
    assert_eq!(scene.miss_one(&mut two).await, 1);
    // Nobody has taken the order yet, and it is not the first one's any more either.
    assert_eq!(scene.store.extend(scene.lease, LEASE).await.unwrap(), None);
    let step = transition(State::Running, Step::BringUp, None);
    let written = scene.store.advance(scene.lease, &loaded, &step, None, now()).await;
    assert!(matches!(written, Err(StoreError::Fenced { .. })), "{written:?}");
    // With a new lock it is one of them again.
    let _one = scene.presence("one").await;
    let found = two.look(&scene.cluster, "two").await.unwrap();
    assert_eq!(found, Presences::Gone(Vec::new()));
    assert_eq!(scene.taken().await.len(), 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_without_a_lock_on_record_is_waited_for_until_its_leases_run_out(pool: PgPool) {
    let scene = Scene::of(pool).await;
    let mut two = scene.presence("two").await;
    // One of an earlier version.
    scene.store.heartbeat(&scene.cluster, "one", Ok(()), &[]).await.unwrap();
    let found = two.look(&scene.cluster, "two").await.unwrap();
    assert_eq!(found, Presences::Gone(Vec::new()));
    // One that holds a lock, and takes it off the record.
    let one = scene.presence("one").await;
    scene.store.withdraw_presence("one").await.unwrap();
    drop(one);
    let found = two.look(&scene.cluster, "two").await.unwrap();
    assert_eq!(found, Presences::Gone(Vec::new()));
    // A row that somebody deleted is written again.
    sqlx::query("DELETE FROM executor").execute(&scene.pool).await.unwrap();
    assert_eq!(two.look(&scene.cluster, "two").await.unwrap(), Presences::Unrecorded);
    two.record(&scene.cluster, "two").await.unwrap();
    let found = two.look(&scene.cluster, "two").await.unwrap();
    assert_eq!(found, Presences::Gone(Vec::new()));
    // Of another cluster, nobody is missed.
    let other = ClusterId::from("other");
    scene.store.register_cluster(&other).await.unwrap();
    drop(scene.store.show_presence(&other, "three").await.unwrap());
    let found = two.look(&scene.cluster, "two").await.unwrap();
    assert_eq!(found, Presences::Gone(Vec::new()));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_lock_goes_with_the_connections_of_its_program(pool: PgPool) {
    let scene = Scene::of(pool.clone()).await;
    let options = (*pool.connect_options()).clone();
    let own = PgPoolOptions::new().max_connections(2).connect_with(options).await.unwrap();
    let store = Store::on(own.clone(), test_support::keyring::keyring());
    let mut three = store.show_presence(&scene.cluster, "three").await.unwrap().unwrap();
    own.close().await;
    assert!(three.look(&scene.cluster, "three").await.is_err());
}
