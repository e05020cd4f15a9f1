//! What the service wants written on the cluster beside Deployments, and what came of
//! it.
//!
//! An errand is claimed by one executor at a time, under a fencing token that the
//! written object carries too; one that fell silent loses it after
//! [`CLAIM_SECONDS`]. It is answered once, by who holds it, and its change order is
//! recorded with the answer. What was wanted is wiped then: it may hold a Secret.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::json;
use uuid::Uuid;

use super::{
    Event, INQUIRY_CHANNEL, Store, StoreError, Tx,
    inquiry::CLAIM_SECONDS,
    row::{document, json, word},
};
use domain::{
    ApplicationId, BatchId, ClusterId, KnownCluster, OrderId,
    errand::{Errand, Outcome, Record},
    order::{Kind, Source, State, Target, Tolerance},
    plan::Strategy,
};

/// An errand's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrandId(pub Uuid);

/// An errand in hand.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Its id.
    pub id: ErrandId,
    /// The object's namespace.
    pub namespace: String,
    /// What is wanted.
    pub errand: Errand,
    /// The fencing token.
    pub generation: i64,
    /// How often it was claimed, this time counted.
    pub attempts: i32,
}

/// What came of an errand.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// What was written, or why nothing was.
    pub outcome: Outcome,
    /// The change order that is on record where it was done.
    pub order: Option<OrderId>,
}

impl Store {
    /// Wants something written, and wakes the executors. The same id again is the
    /// same errand: the first stays.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn send_errand(
        &self,
        id: ErrandId,
        (cluster, namespace): (&ClusterId, &str),
        errand: &Errand,
        record: Option<&Record>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.add_errand(id, (cluster, namespace), errand, record, now).await?;
        tx.commit().await
    }

    /// What came of an errand; none = nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn errand_outcome(&self, id: ErrandId) -> Result<Option<Answered>, StoreError> {
        let row = sqlx::query!(
            "/* errand_outcome */ SELECT outcome AS \"outcome!\", record FROM errand WHERE id = $1 AND answered_at IS NOT NULL",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            let record = row.record.map(|record| document::<Record>("record", record)).transpose()?;
            Ok(Answered { outcome: document("outcome", row.outcome)?, order: record.map(|record| record.order) })
        })
        .transpose()
    }

    /// Whether something was ever written for the application beside its Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn has_errands(&self, application: ApplicationId) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            "/* has_errands */ SELECT EXISTS (SELECT FROM change_order WHERE application_id = $1 AND kind = 'errand') AS \"found!\"",
            application.0
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Takes an errand back that nobody has taken up; false = somebody has.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn withdraw_errand(&self, id: ErrandId) -> Result<bool, StoreError> {
        let done =
            sqlx::query!("/* withdraw_errand */ DELETE FROM errand WHERE id = $1 AND claimed_at IS NULL", id.0).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes the oldest errand on the cluster that nobody is at.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn claim_errand(&self, cluster: &KnownCluster) -> Result<Option<Claimed>, StoreError> {
        let row = sqlx::query!(
            "/* claim_errand */ UPDATE errand SET claimed_at = now(), generation = nextval('fencing_token'), attempts = attempts + 1 WHERE id = (
                 SELECT id FROM errand
                 WHERE cluster_id = $1 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $3)
                   AND answered_at IS NULL AND (claimed_at IS NULL OR claimed_at < now() - make_interval(secs => $2))
                 ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT 1
             ) RETURNING id, namespace, wanted, generation, attempts",
            cluster.id.as_str(),
            CLAIM_SECONDS,
            cluster.identity.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Claimed {
                id: ErrandId(row.id),
                namespace: row.namespace,
                errand: document("errand", row.wanted)?,
                generation: row.generation,
                attempts: row.attempts,
            })
        })
        .transpose()
    }

    /// Answers an errand, wipes what was wanted, and puts its change order on record
    /// where it was done, or where nobody waits to hear why not. False where it is answered already, or somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn answer_errand(&self, id: ErrandId, generation: i64, outcome: &Outcome, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!(
            "/* answer_errand */ UPDATE errand SET outcome = $3, answered_at = $4, wanted = 'null'
             WHERE id = $1 AND generation = $2 AND answered_at IS NULL RETURNING record, asked_at",
            id.0,
            generation,
            json("outcome", outcome)?,
            now.to_sqlx() as _
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(false) };
        let record = row.record.map(|record| document::<Record>("record", record)).transpose()?;
        if let Some(record) = record.filter(|record| outcome.is_ok() || record.refusals) {
            tx.record_errand(&record, outcome, row.asked_at.to_jiff(), now).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets errands from before that time, but for those whose order is still to come.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_errands(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* prune_errands */ DELETE FROM errand WHERE asked_at < $1 AND (answered_at IS NOT NULL OR record IS NULL)",
            before.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

impl Tx {
    /// As [`Store::send_errand`], once the transaction is committed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_errand(
        &mut self,
        id: ErrandId,
        (cluster, namespace): (&ClusterId, &str),
        errand: &Errand,
        record: Option<&Record>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* send_errand */ INSERT INTO errand (id, cluster_id, namespace, wanted, record, asked_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO NOTHING",
            id.0,
            cluster.as_str(),
            namespace,
            json("errand", errand)?,
            record.map(|record| json("record", record)).transpose()?,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        sqlx::query!("/* wake_for_errand */ SELECT pg_notify($1, $2) AS \"sent: ()\"", INQUIRY_CHANNEL, cluster.as_str())
            .fetch_one(self.connection())
            .await?;
        Ok(())
    }

    /// Answers every errand on a cluster that is not done yet with why it never will be.
    pub(super) async fn let_errands_go(&mut self, cluster: &ClusterId, why: &str, now: Timestamp) -> Result<(), StoreError> {
        let outcome: Outcome = Err(why.into());
        let rows = sqlx::query!(
            "/* let_errands_go */ UPDATE errand SET outcome = $3, answered_at = $2, wanted = 'null', generation = nextval('fencing_token')
             WHERE cluster_id = $1 AND answered_at IS NULL RETURNING record, asked_at",
            cluster.as_str(),
            now.to_sqlx() as _,
            json("outcome", &outcome)?
        )
        .fetch_all(self.connection())
        .await?;
        for row in rows {
            let record = row.record.map(|record| document::<Record>("record", record)).transpose()?;
            if let Some(record) = record.filter(|record| record.refusals) {
                self.record_errand(&record, &outcome, row.asked_at.to_jiff(), now).await?;
            }
        }
        Ok(())
    }

    /// Writes a change order that is over already.
    async fn record_errand(&mut self, record: &Record, outcome: &Outcome, began: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let (state, message) = match outcome {
            Ok(_) => (State::Succeeded, ""),
            Err(why) => (State::Failed, why.as_str()),
        };
        let target = Target {
            release: None,
            source: Source::Kept,
            replicas: None,
            replicas_before: None,
            adopted: None,
            formerly: Vec::new(),
            min_ready_seconds: None,
            batch_timeout_seconds: 0,
            tolerance: Tolerance::default(),
            most_missing: 0,
        };
        sqlx::query!(
            "/* record_errand */ INSERT INTO change_order
                 (id, application_id, kind, strategy, target, description, created_at, created_by, source, step_since, run_after, state, step, finished_at, message)
             VALUES ($1, $2, $3::text::order_kind, $4, $5, $6, $7, $8, $9, $10, $10, $11::text::order_state, 'done', $10, $12)",
            record.order.0,
            record.application.0,
            word(Kind::Errand),
            json("strategy", &Strategy::ALL_AT_ONCE)?,
            json("target", &target)?,
            record.description,
            began.to_sqlx() as _,
            record.created_by,
            record.source,
            now.to_sqlx() as _,
            word(state),
            message
        )
        .execute(self.connection())
        .await?;
        sqlx::query!(
            "/* record_errand_batch */ INSERT INTO batch (id, order_id, index, target, state, started_at, finished_at, updated_at, message)
             VALUES ($1, $2, 0, 0, $5::text::order_state, $3, $4, $4, $6)",
            BatchId::new().0,
            record.order.0,
            began.to_sqlx() as _,
            now.to_sqlx() as _,
            word(state),
            message
        )
        .execute(self.connection())
        .await?;
        let (kind, detail) = match outcome {
            Ok(object) => {
                let named = json!({ "name": object["name"], "uid": object["uid"], "resourceVersion": object["resourceVersion"] });
                ("errand.done", json!({ "object": named }))
            }
            Err(why) => ("errand.refused", json!({ "why": why })),
        };
        let event = Event { actor: &record.created_by, kind, cause: &record.description, detail };
        self.add_event(record.application, Some(record.order), now, event).await
    }
}
