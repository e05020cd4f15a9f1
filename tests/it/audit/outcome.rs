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

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_scaling_rule_changes_with_the_write_of_its_autoscaler_whose_client_went_away(
    pool: PgPool,
) {
    let silent = Silent::start(&pool).await;
    let application = silent.application;
    sqlx::query(
        r#"INSERT INTO scaling_rule (application_id, name, rule, enabled, created_at, updated_at)
           VALUES ($1, 'busy', '{"min_replicas":1,"max_replicas":3,"triggers":[],"behaviour":null}', true, now(), now())"#,
    )
    .bind(application.0)
    .execute(&pool)
    .await
    .unwrap();
    let ask = |nonce: &str| {
        let identity = RequestIdentity { nonce: nonce.into(), digest: "digest".into() };
        let caller = Caller { identity: Some(identity), ..caller() };
        let service = silent.service.clone();
        tokio::spawn(async move { service.delete_rule(&caller, application, "busy").await })
    };
    let seen = async || {
        let rules = silent.store.scaling_rules(application).await.unwrap();
        let found = entries(&pool).await.into_iter();
        let found = found.filter(|it| it[0] == "sluice:delete_rule");
        (rules.len(), found.map(|it| it[3].clone()).collect::<Vec<_>>())
    };
    // Before each there is one of the request that is refused meanwhile.
    for (nonce, refused, rules, outcome) in [("n-1", true, 1, "failed"), ("n-2", false, 0, "done")]
    {
        let asked = ask(nonce);
        let claimed = silent.claimed().await;
        asked.abort();
        assert!(asked.await.unwrap_err().is_cancelled());
        let refusal = ask("n-3").await.unwrap().unwrap_err().to_string();
        assert!(refusal.contains("changed by another request just now"), "{refusal}");
        assert_eq!(seen().await.0, 1, "the rule is as its autoscaler is");
        silent.answer(&claimed, refused).await;
        let (left, outcomes) = seen().await;
        assert_eq!((left, outcomes.last().unwrap().as_str()), (rules, outcome), "{outcomes:?}");
    }
    assert_eq!(seen().await.1, ["failed", "failed", "failed", "done"]);
    // The same request again gets the answer, and is no other deed.
    ask("n-2").await.unwrap().unwrap();
    assert_eq!(seen().await.1.len(), 4);
}
