//! Object writes: the objects beside Deployments that the service wants written, and the
//! outcome of each.
//!
//! One executor at a time claims an object write, under a fencing token that the written
//! object carries too. After [`CLAIM_SECONDS`] another executor may claim it. Its holder
//! answers it once, and records its change order with the answer. The answer also erases
//! the object from the row, since it may hold a Secret.
//!
//! The row has its entry of the audit, too, which whoever ends the object write puts on
//! record with the outcome: no client need be there any more. That of an autoscaler has what
//! becomes of its rule, so that rule, autoscaler and entry go together.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::{Value, json};
use uuid::Uuid;

use super::precheck_request::CLAIM_SECONDS;
use crate::{
    Event, RuleChange, Store, StoreError, Tx,
    row::{document, json, word},
    sealed::{OUTCOME, TARGET, WANTED},
};
use domain::{
    ApplicationId, BatchId, ClusterId, KnownCluster, OrderId, audit,
    audit::NewEntry,
    object::write::{ObjectWrite, Outcome, Record},
    order::{FailurePolicy, Kind, State, Target, TemplateSource, plan::Strategy},
    rights::Scope,
};

/// An object write's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectWriteId(pub Uuid);

/// A claimed object write.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedWrite {
    pub id: ObjectWriteId,
    pub namespace: String,
    pub object_write: ObjectWrite,
    pub generation: i64,
    /// How often it was claimed, this time counted.
    pub attempts: i32,
}

/// The outcome of an object write.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteAnswer {
    /// What was written, or why nothing was.
    pub outcome: Outcome,
    /// The change order that is on record where it was done.
    pub order: Option<OrderId>,
}

/// What is kept with an object write until it is over.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kept<'a> {
    /// The change order that is on record then.
    pub record: Option<&'a Record>,
    /// The entry of the audit, which is put on record with the outcome.
    pub entry: Option<&'a NewEntry>,
    /// What becomes of a rule of this application where it is done.
    pub rule: Option<(ApplicationId, &'a RuleChange)>,
}

impl Store {
    /// Stores an object write, and wakes the executors. A second one with the same id
    /// changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn send_object_write(
        &self,
        id: ObjectWriteId,
        (cluster, namespace): (&ClusterId, &str),
        object_write: &ObjectWrite,
        kept: Kept<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        tx.add_object_write(id, (cluster, namespace), object_write, kept, now).await?;
        tx.commit().await
    }

    /// The outcome of an object write; none = there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn object_write_outcome(
        &self,
        id: ObjectWriteId,
    ) -> Result<Option<WriteAnswer>, StoreError> {
        let row = sqlx::query!(
            "/* object_write_outcome */ SELECT outcome AS \"outcome!\", record FROM object_write WHERE id = $1 AND answered_at IS NOT NULL",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            let record =
                row.record.map(|record| document::<Record>("record", record)).transpose()?;
            Ok(WriteAnswer {
                outcome: self.keyring.open_json(OUTCOME, id.0, &row.outcome)?,
                order: record.map(|record| record.order),
            })
        })
        .transpose()
    }

    /// Whether something was ever written for the application beside its Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn has_object_writes(&self, application: ApplicationId) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            "/* has_object_writes */ SELECT EXISTS (SELECT FROM change_order WHERE application_id = $1 AND kind = 'object_write') AS \"found!\"",
            application.0
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Withdraws an object write that no executor has claimed; false = one has.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn withdraw_object_write(
        &self,
        id: ObjectWriteId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!("/* withdraw_object_write */ DELETE FROM object_write WHERE id = $1 AND claimed_at IS NULL RETURNING entry", id.0)
            .fetch_optional(tx.connection())
            .await?;
        let Some(row) = row else { return Ok(false) };
        tx.put_on_record(row.entry, audit::Outcome::Failed, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Claims the oldest unclaimed object write of the cluster.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn claim_object_write(
        &self,
        cluster: &KnownCluster,
        scope: &Scope,
    ) -> Result<Option<ClaimedWrite>, StoreError> {
        let row = sqlx::query!(
            "/* claim_object_write */ UPDATE object_write SET claimed_at = now(), generation = nextval('fencing_token'), attempts = attempts + 1 WHERE id = (
                 SELECT id FROM object_write
                 WHERE cluster_id = $1 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $3)
                   AND answered_at IS NULL AND (claimed_at IS NULL OR claimed_at < now() - make_interval(secs => $2))
                   AND ($4::text[] IS NULL OR namespace = ANY($4))
                 ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT 1
             ) RETURNING id, namespace, wanted AS \"wanted!\", generation, attempts",
            cluster.id.as_str(),
            CLAIM_SECONDS,
            cluster.identity.as_str(),
            scope.names()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(ClaimedWrite {
                id: ObjectWriteId(row.id),
                namespace: row.namespace,
                object_write: self.keyring.open_json(WANTED, row.id, &row.wanted)?,
                generation: row.generation,
                attempts: row.attempts,
            })
        })
        .transpose()
    }

    /// Answers an object write, wipes what was wanted, and puts its change order on record
    /// where it was done, or where nobody waits to hear why not. False where it is answered already, or somebody else's by now.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn answer_object_write(
        &self,
        id: ObjectWriteId,
        generation: i64,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query!(
            "/* answer_object_write */ UPDATE object_write SET outcome = $3, answered_at = $4, wanted = NULL
             WHERE id = $1 AND generation = $2 AND answered_at IS NULL RETURNING record, entry, asked_at, rule_of, rule",
            id.0,
            generation,
            self.keyring.seal_json(OUTCOME, id.0, outcome)?,
            now.to_sqlx() as _
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(false) };
        let record = row.record.map(|record| document::<Record>("record", record)).transpose()?;
        if let Some(record) = record.filter(|record| outcome.is_ok() || record.refusals) {
            tx.record_object_write(&record, outcome, row.asked_at.to_jiff(), now).await?;
        }
        if let (Some(application), Some(rule), Ok(_)) = (row.rule_of, row.rule, outcome) {
            let rule: RuleChange = document("rule", rule)?;
            tx.change_scaling_rule(ApplicationId(application), &rule).await?;
        }
        let came = if outcome.is_ok() { audit::Outcome::Done } else { audit::Outcome::Failed };
        tx.put_on_record(row.entry, came, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Deletes object writes from before that time, unless their order is not recorded yet, or
    /// their rule not changed.
    /// Those that nobody answered are on record as failed.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn prune_object_writes(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let gone = sqlx::query!(
            "/* prune_object_writes */ DELETE FROM object_write WHERE asked_at < $1 AND (answered_at IS NOT NULL OR (record IS NULL AND rule IS NULL)) RETURNING entry, answered_at",
            before.to_sqlx() as _
        )
        .fetch_all(tx.connection())
        .await?;
        for row in gone.into_iter().filter(|row| row.answered_at.is_none()) {
            tx.put_on_record(row.entry, audit::Outcome::Failed, now).await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// As [`Store::send_object_write`], once the transaction is committed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_object_write(
        &mut self,
        id: ObjectWriteId,
        (cluster, namespace): (&ClusterId, &str),
        object_write: &ObjectWrite,
        Kept { record, entry, rule }: Kept<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (application, rule) = rule.unzip();
        sqlx::query!(
            "/* send_object_write */ INSERT INTO object_write (id, cluster_id, namespace, wanted, record, entry, asked_at, rule_of, rule)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING",
            id.0,
            cluster.as_str(),
            namespace,
            self.keyring.seal_json(WANTED, id.0, object_write)?,
            record.map(|record| json("record", record)).transpose()?,
            entry.map(|entry| json("entry", entry)).transpose()?,
            now.to_sqlx() as _,
            application.map(|application| application.0),
            rule.map(|rule| json("rule", rule)).transpose()?
        )
        .execute(self.connection())
        .await?;
        self.wake_executors(cluster).await?;
        Ok(())
    }

    /// Whether a rule of the application waits for its autoscaler to be written, by another
    /// object write than this one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn has_open_rule_write(
        &mut self,
        application: ApplicationId,
        but: ObjectWriteId,
    ) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            "/* has_open_rule_write */ SELECT EXISTS (SELECT FROM object_write WHERE rule_of = $1 AND id <> $2 AND answered_at IS NULL) AS \"found!\"",
            application.0,
            but.0
        )
        .fetch_one(self.connection())
        .await?;
        Ok(found)
    }

    /// Puts the entry of an object write on record with what came of it.
    async fn put_on_record(
        &mut self,
        entry: Option<Value>,
        outcome: audit::Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(entry) = entry else { return Ok(()) };
        let entry: NewEntry = document("entry", entry)?;
        self.add_audit_entry(NewEntry { outcome, ..entry }, None, now).await
    }

    /// Answers every open object write of a cluster with the reason why it is not done.
    pub(crate) async fn let_object_writes_go(
        &mut self,
        cluster: &ClusterId,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let outcome: Outcome = Err(why.into());
        // Each row's outcome is sealed for its own place.
        let open = sqlx::query_scalar!(
            "/* open_object_writes */ SELECT id FROM object_write WHERE cluster_id = $1 AND answered_at IS NULL ORDER BY id FOR UPDATE",
            cluster.as_str()
        )
        .fetch_all(self.connection())
        .await?;
        let outcomes = open
            .iter()
            .map(|id| self.keyring.seal_json(OUTCOME, id, &outcome))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = sqlx::query!(
            "/* let_object_writes_go */ UPDATE object_write w SET outcome = gone.outcome, answered_at = $2, wanted = NULL, generation = nextval('fencing_token')
             FROM unnest($3::uuid[], $4::bytea[]) AS gone (id, outcome)
             WHERE w.id = gone.id AND cluster_id = $1 AND answered_at IS NULL RETURNING record, entry, asked_at",
            cluster.as_str(),
            now.to_sqlx() as _,
            &open,
            &outcomes
        )
        .fetch_all(self.connection())
        .await?;
        for row in rows {
            let record =
                row.record.map(|record| document::<Record>("record", record)).transpose()?;
            if let Some(record) = record.filter(|record| record.refusals) {
                self.record_object_write(&record, &outcome, row.asked_at.to_jiff(), now).await?;
            }
            self.put_on_record(row.entry, audit::Outcome::Failed, now).await?;
        }
        Ok(())
    }

    /// Writes a change order that has ended already.
    async fn record_object_write(
        &mut self,
        record: &Record,
        outcome: &Outcome,
        began: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (state, message) = match outcome {
            Ok(_) => (State::Succeeded, ""),
            Err(why) => (State::Failed, why.as_str()),
        };
        let target = Target::new(TemplateSource::Unchanged, 0, FailurePolicy::default());
        sqlx::query!(
            "/* record_object_write */ INSERT INTO change_order
                 (id, application_id, kind, strategy, target, description, created_at, created_by, source, step_since, run_after, state, step, finished_at, message, trace_parent)
             VALUES ($1, $2, $3::text::order_kind, $4, $5, $6, $7, $8, $9::text::order_source, $10, $10, $11::text::order_state, 'done', $10, $12, $13)",
            record.order.0,
            record.application.0,
            word(Kind::ObjectWrite),
            json("strategy", &Strategy::ALL_AT_ONCE)?,
            self.keyring.seal_json(TARGET, record.order, &target)?,
            record.description,
            began.to_sqlx() as _,
            record.created_by,
            word(record.source),
            now.to_sqlx() as _,
            word(state),
            message,
            record.trace.map(String::from)
        )
        .execute(self.connection())
        .await?;
        sqlx::query!(
            "/* record_object_write_batch */ INSERT INTO batch (id, order_id, index, target, state, started_at, finished_at, updated_at, message)
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
                ("object_write.done", json!({ "object": named }))
            }
            Err(why) => ("object_write.refused", json!({ "why": why })),
        };
        let event = Event { actor: &record.created_by, kind, cause: &record.description, detail };
        self.add_event(record.application, Some(record.order), now, event).await
    }
}
