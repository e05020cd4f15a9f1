//! What came of a write beside a Deployment is on record, whoever hears of it.

use domain::{ApplicationId, KnownCluster};
use jiff::SignedDuration;
use service::{Caller, RequestIdentity, Service};
use sqlx::PgPool;
use store::{ClaimedWrite, Store};

use super::entries;
use crate::{
    store::application,
    support::{CLUSTER, caller, eventually, known_cluster, settings},
};

/// A server whose executor is alive, and answers what the test answers.
struct Silent {
    service: Service,
    store: Store,
    known: KnownCluster,
    application: ApplicationId,
}

impl Silent {
    async fn start(pool: &PgPool) -> Self {
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        let application = application(&store, "web").await;
        let known = known_cluster(&store).await;
        store.heartbeat(&CLUSTER.into(), "somebody", Ok(()), &[]).await.unwrap();
        let now = clock::Clock::default().now();
        assert!(store.insert_key("test", &"secret".into(), "tester", now).await.unwrap());
        let service = Service::new(store.clone(), Default::default(), settings(Default::default()));
        Self { service, store, known, application }
    }

    /// The request of this nonce.
    fn ask(&self, nonce: &str) -> tokio::task::JoinHandle<Result<domain::OrderId, service::Error>> {
        let identity = RequestIdentity { nonce: nonce.into(), digest: "digest".into() };
        let caller = Caller { identity: Some(identity), ..caller() };
        let (service, application) = (self.service.clone(), self.application);
        tokio::spawn(async move { service.delete_service(&caller, application, "front").await })
    }

    async fn claimed(&self) -> ClaimedWrite {
        eventually(async || {
            let claimed = self
                .store
                .claim_object_write(&self.known, &domain::rights::Scope::Whole)
                .await
                .unwrap();
            claimed.ok_or_else(|| "nothing was sent".to_owned())
        })
        .await
    }

    async fn answer(&self, claimed: &ClaimedWrite, refused: bool) {
        let outcome = if refused { Err("no".into()) } else { Ok(serde_json::Value::Null) };
        let now = self.service.clock().now();
        let (id, generation) = (claimed.id, claimed.generation);
        assert!(self.store.answer_object_write(id, generation, &outcome, now).await.unwrap());
    }
}

async fn outcomes(pool: &PgPool) -> Vec<String> {
    let found = entries(pool).await.into_iter();
    let found = found.filter(|it| it[0] == "sluice:delete_service");
    found
        .map(|[_, object, principal, outcome]| {
            assert!(object.ends_with("/application/web") && principal == "tester", "{object}");
            outcome
        })
        .collect()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_outcome_of_a_write_is_on_record_whose_client_went_away(pool: PgPool) {
    let silent = Silent::start(&pool).await;
    for (nonce, refused) in [("n-1", false), ("n-2", true)] {
        let asked = silent.ask(nonce);
        let claimed = silent.claimed().await;
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        silent.answer(&claimed, refused).await;
    }
    assert_eq!(outcomes(&pool).await, ["done", "failed"]);

    // The same request again gets the answer, and is no other deed.
    silent.ask("n-1").await.unwrap().unwrap();
    silent.ask("n-1").await.unwrap().unwrap();
    assert_eq!(outcomes(&pool).await, ["done", "failed"]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_write_whose_client_waits_is_on_record_once(pool: PgPool) {
    let silent = Silent::start(&pool).await;
    for (nonce, refused) in [("n-1", false), ("n-2", true)] {
        let asked = silent.ask(nonce);
        silent.answer(&silent.claimed().await, refused).await;
        assert_eq!(asked.await.unwrap().is_err(), refused);
    }
    assert_eq!(outcomes(&pool).await, ["done", "failed"]);
    // Nobody takes it up in time.
    silent.ask("n-3").await.unwrap().unwrap_err();
    assert_eq!(outcomes(&pool).await, ["done", "failed", "failed"]);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_write_that_is_forgotten_is_on_record_as_failed(pool: PgPool) {
    let silent = Silent::start(&pool).await;
    let asked = silent.ask("n-1");
    silent.claimed().await;
    asked.abort();
    let _ = asked.await;
    // It has a change order to come, and is kept for that.
    let later = silent.service.clock().now() + SignedDuration::from_hours(2);
    silent.store.prune_object_writes(later, later).await.unwrap();
    assert!(outcomes(&pool).await.is_empty());
    sqlx::query("UPDATE object_write SET record = NULL").execute(&pool).await.unwrap();
    silent.store.prune_object_writes(later, later).await.unwrap();
    assert_eq!(outcomes(&pool).await, ["failed"]);
}
