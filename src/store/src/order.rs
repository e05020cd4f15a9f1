//! Change orders: inserting, loading for a decision, and what callers may do to
//! one that is open.

pub(crate) mod advance;
pub(crate) mod event;
mod guarded;
mod hold;
pub(crate) mod lease;
pub(crate) mod load;
mod open_rollback;
pub(crate) mod outage;
pub(crate) mod progress;
pub(crate) mod release;
mod resting;
mod step;
mod success;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use super::{
    ORDER_CHANNEL, StoreError, Tx,
    row::{count, json, number, word},
    sealed::{SNAPSHOT, TARGET},
};
use domain::{
    ApplicationId, BatchId, OrderId, Rejection, TraceParent,
    application::Application,
    order::{DeploymentBefore, Kind, Order, Target, plan::Strategy},
};

/// An order about to be accepted.
#[derive(Debug, Clone)]
pub struct NewOrder<'a> {
    pub id: OrderId,
    pub application: ApplicationId,
    pub kind: Kind,
    /// How its batches follow each other.
    pub strategy: Strategy,
    pub target: Target,
    /// The Deployment before it, if that is known already.
    pub snapshot: Option<DeploymentBefore>,
    /// The order it rolls back.
    pub rolls_back: Option<OrderId>,
    pub description: &'a str,
    /// Notes for its caller, as sentences.
    pub notes: &'a [String],
    pub created_by: &'a str,
    /// What it was asked for through.
    pub source: domain::Source,
    /// Number of pods that the batches are planned for.
    pub replicas: i32,
    /// The batch to begin with, from 0; those before it are done.
    pub resumes_at: usize,
}

impl Tx {
    /// The trace that orders of this transaction belong to. Without one, an order that rolls
    /// another one back is of that one's trace, and every other begins a new one.
    pub fn traced(&mut self, trace: Option<TraceParent>) {
        self.trace = trace;
    }

    /// Writes an order with its batches, and wakes the executors once the transaction is
    /// committed. Whatever the clock says, it is younger than the application's others: the
    /// newest may be rolled back.
    ///
    /// # Errors
    /// [`Rejection::OrderRunning`] if the application has an open order.
    pub async fn insert_order(
        &mut self,
        order: &NewOrder<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.after = Some(self.keyring.digest_of(TARGET, &order.target)?);
        self.touched.push(order.application);
        let target = self.keyring.seal_document(TARGET, order.id, &order.target)?;
        let snapshot =
            self.keyring.seal_document_of(SNAPSHOT, order.id, order.snapshot.as_ref())?;
        let packages = [target.packages, snapshot.packages].concat();
        let batches = 0..order.strategy.count();
        let ids: Vec<_> = batches.clone().map(|_| BatchId::new().0).collect();
        let targets: Vec<_> =
            batches.map(|index| order.strategy.cumulative(index, order.replicas)).collect();
        let (principal, person) = self.author.clone().unzip();
        let person = person.flatten();
        let inserted = sqlx::query!(
            r#"/* insert_order */ WITH inserted AS (
                 INSERT INTO change_order
                    (id, application_id, kind, strategy, target, snapshot, release_id, rolls_back, description, created_at, created_by, source, step_since, run_after,
                     batch, confirmed, back_to, notes, replicas, replicas_before, packages, created_by_principal, created_by_person, trace_parent)
                 VALUES ($1, $2, $3::text::order_kind, $4, $5, $6, $7, $8, $9, greatest($10::timestamptz, (SELECT max(created_at) + interval '1 microsecond' FROM change_order WHERE application_id = $2)), $11, $12::text::order_source, $10, 'epoch', $13::int, $13 + 1, nullif($13, 0), $14, $15, $16, $17, $21, $22,
                     coalesce($23, (SELECT trace_parent FROM change_order WHERE id = $8), $24))
                 ON CONFLICT (application_id) WHERE finished_at IS NULL DO NOTHING RETURNING id
             ), batches AS (
                 INSERT INTO batch (id, order_id, index, target, updated_at, state, started_at, finished_at)
                 SELECT b.id, inserted.id, b.number - 1, b.target, $10, CASE WHEN b.number <= $13 THEN 'succeeded'::order_state ELSE 'ready' END,
                     CASE WHEN b.number <= $13 THEN $10 END, CASE WHEN b.number <= $13 THEN $10 END
                 FROM inserted, unnest($18::uuid[], $19::int[]) WITH ORDINALITY AS b (id, target, number)
             ) SELECT pg_notify($20, id::text) AS "sent: ()" FROM inserted"#,
            order.id.0,
            order.application.0,
            word(order.kind),
            json("strategy", &order.strategy)?,
            target.bytes,
            snapshot.bytes,
            order.target.release.map(|release| release.0),
            order.rolls_back.map(|order| order.0),
            order.description,
            now.to_sqlx() as _,
            order.created_by,
            word(order.source),
            number("batch", order.resumes_at)?,
            order.notes,
            order.target.replicas,
            order.target.replicas_before,
            &packages,
            &ids,
            &targets,
            ORDER_CHANNEL,
            principal,
            person,
            self.trace.map(String::from),
            // Nobody asked, or nobody who has a trace: what is done for it is one all the same.
            String::from(TraceParent::new())
        )
        .fetch_optional(self.connection())
        .await?;
        if inserted.is_none() {
            let open = self.open_order(order.application).await?.unwrap_or(order.id);
            return Err(Rejection::OrderRunning { application: order.application, open }.into());
        }
        Ok(())
    }

    /// What events hold of a target, in place of it: it tells two apart, and nobody without
    /// the keyring can try values out with it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn fingerprint(&self, target: &Target) -> Result<String, StoreError> {
        self.keyring.fingerprint_of(TARGET, target)
    }

    /// Ends an order of this transaction as succeeded, without work for an executor.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn finish_at_once(
        &mut self,
        order: OrderId,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* finish_at_once */ WITH batches AS (
                 UPDATE batch SET state = 'succeeded', started_at = $2, finished_at = $2, updated_at = $2 WHERE order_id = $1
             ) UPDATE change_order SET state = 'succeeded', step = 'done', finished_at = $2, message = $3 WHERE id = $1",
            order.0,
            now.to_sqlx() as _,
            message
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The application's open order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn open_order(
        &mut self,
        application: ApplicationId,
    ) -> Result<Option<OrderId>, StoreError> {
        let row =
            sqlx::query!("/* open_order */ SELECT id FROM change_order WHERE application_id = $1 AND finished_at IS NULL", application.0)
                .fetch_optional(self.connection())
                .await?;
        Ok(row.map(|row| OrderId(row.id)))
    }

    /// Deleted applications of the same name, cluster and namespace.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn former_applications(
        &mut self,
        application: &Application,
    ) -> Result<Vec<ApplicationId>, StoreError> {
        let former = sqlx::query_scalar!(
            "/* former_applications */ SELECT id FROM application WHERE cluster_id = $1 AND namespace = $2 AND name = $3 AND deleted_at IS NOT NULL ORDER BY id",
            application.cluster.as_str(),
            application.namespace,
            application.name
        )
        .fetch_all(self.connection())
        .await?;
        Ok(former.into_iter().map(ApplicationId).collect())
    }

    /// Deletes an application and keeps its Deployment; false if a release ended half way
    /// or is finalizing.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn forget_application(
        &mut self,
        application: ApplicationId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let forgotten = sqlx::query!(
            "/* forget_application */ UPDATE application SET deleted_at = $2 WHERE id = $1 AND resting_snapshot IS NULL
                 AND NOT EXISTS (SELECT 1 FROM change_order WHERE application_id = $1 AND finalizing)",
            application.0,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        Ok(forgotten.rows_affected() > 0)
    }

    /// Uid of the Deployment that the application was adopted with; none = it was
    /// created.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn adopted_uid(
        &mut self,
        application: ApplicationId,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query!(
            "/* adopted_uid */ SELECT id, target FROM change_order WHERE application_id = $1 AND kind = 'create' ORDER BY created_at LIMIT 1",
            application.0
        )
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let target: Target = self.keyring.open_json(TARGET, row.id, &row.target)?;
        Ok(target.adopted_uid)
    }

    /// Who owned the fields of the Deployment's spec before the application was stopped
    /// with so many pods; null where that is not known.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn owners_before_stop(
        &mut self,
        application: ApplicationId,
        replicas: i32,
    ) -> Result<Value, StoreError> {
        let row = sqlx::query!(
            "/* owners_before_stop */ SELECT id, snapshot FROM change_order
             WHERE application_id = $1 AND kind = 'stop' AND state = 'succeeded' ORDER BY created_at DESC LIMIT 1",
            application.0
        )
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(Value::Null) };
        let before: Option<DeploymentBefore> =
            self.keyring.open_some(SNAPSHOT, row.id, row.snapshot)?;
        let before = before.filter(|before| before.replicas == replicas);
        Ok(before.map(|before| before.owners).unwrap_or_default())
    }

    /// Notifies the executors that the order is due, once the transaction is committed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn wake(&mut self, order: OrderId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* wake */ SELECT pg_notify($1, $2) AS \"sent: ()\"",
            ORDER_CHANNEL,
            order.to_string()
        )
        .fetch_one(self.connection())
        .await?;
        Ok(())
    }

    /// Loads an order and locks its row and its application's, so that nothing of
    /// it changes before the transaction ends.
    ///
    /// # Errors
    /// [`Rejection::UnknownOrder`].
    pub async fn lock_order(&mut self, id: OrderId) -> Result<Order, StoreError> {
        self.lock_application_of(id).await?;
        sqlx::query!("/* lock_order */ SELECT id FROM change_order WHERE id = $1 FOR UPDATE", id.0)
            .fetch_optional(self.connection())
            .await?
            .ok_or_else(|| Rejection::UnknownOrder(id.to_string()))?;
        let keyring = self.keyring.clone();
        let order = load::load(self.connection(), &keyring, id)
            .await?
            .ok_or_else(|| Rejection::UnknownOrder(id.to_string()))?;
        self.touched.push(order.application);
        Ok(order)
    }

    /// Locks the row of an order's application: before the order's own, as
    /// [`Tx::lock_application`] says.
    pub(super) async fn lock_application_of(&mut self, order: OrderId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* lock_application_of */ SELECT a.id FROM application a JOIN change_order o ON o.application_id = a.id WHERE o.id = $1
             FOR NO KEY UPDATE OF a",
            order.0
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(())
    }

    /// The order that rolls this one back.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn rollback_of(&mut self, order: OrderId) -> Result<Option<OrderId>, StoreError> {
        let row = sqlx::query!(
            "/* rollback_of */ SELECT id FROM change_order WHERE rolls_back = $1",
            order.0
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| OrderId(row.id)))
    }

    /// Whether no order of its application came after this one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn is_newest_order(&mut self, order: &Order) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            r#"/* is_newest_order */ SELECT NOT EXISTS (
                   SELECT 1 FROM change_order WHERE application_id = $1 AND (created_at, id) > ($2, $3) AND kind <> 'object_write'
               ) AS "newest!""#,
            order.application.0,
            order.created_at.to_sqlx() as _,
            order.id.0
        )
        .fetch_one(self.connection())
        .await?;
        Ok(row.newest)
    }

    /// The order of a batch, and the batch's index in it. With an order, only a batch of that
    /// one is found.
    ///
    /// # Errors
    /// An unknown batch; [`StoreError::Sql`].
    pub async fn batch_of(
        &mut self,
        order: Option<OrderId>,
        batch: BatchId,
    ) -> Result<(OrderId, usize), StoreError> {
        let row = sqlx::query!(
            "/* batch_of */ SELECT order_id, index FROM batch WHERE id = $1 AND ($2::uuid IS NULL OR order_id = $2)",
            batch.0,
            order.map(|order| order.0)
        )
        .fetch_optional(self.connection())
        .await?
        .ok_or_else(|| Rejection::UnknownBatch(batch.to_string()))?;
        Ok((OrderId(row.order_id), count("batch", row.index)?))
    }

    /// Aborts an order. `finalizing`: an executor must still pause its Deployment. The
    /// row must be locked, and open.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn abort_order(
        &mut self,
        order: &Order,
        finalizing: bool,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* abort_order */ UPDATE change_order SET state = 'aborted', finished_at = $2, finalizing = $3, message = $4, run_after = 'epoch',
                 step = CASE WHEN $3 THEN step ELSE 'done' END, trouble = '', outage_since = NULL, message_before_outage = NULL
             WHERE id = $1 AND finished_at IS NULL",
            order.id.0,
            now.to_sqlx() as _,
            finalizing,
            message
        )
        .execute(self.connection())
        .await?;
        sqlx::query!(
            "/* abort_batches */ UPDATE batch SET state = 'aborted', finished_at = $2, updated_at = $2, message = $3
             WHERE order_id = $1 AND finished_at IS NULL AND (started_at IS NOT NULL OR state <> 'ready')",
            order.id.0,
            now.to_sqlx() as _,
            message
        )
        .execute(self.connection())
        .await?;
        self.wake(order.id).await
    }

    /// Copies the pods of the first `below` batches from `from` to `to`, which continues
    /// that order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn carry_pods(
        &mut self,
        from: OrderId,
        to: OrderId,
        below: usize,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* carry_pods */ UPDATE batch SET pods = earlier.pods FROM batch AS earlier
             WHERE batch.order_id = $2 AND earlier.order_id = $1 AND earlier.index = batch.index AND batch.index < $3",
            from.0,
            to.0,
            number("batch", below)?
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Requests a step back: the first `stay` batches stay, and a person then confirms the
    /// next batch. The row must be locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn step_back(&mut self, order: OrderId, stay: usize) -> Result<(), StoreError> {
        sqlx::query!(
            "/* step_back */ UPDATE change_order SET back_to = $2, confirmed = $2, run_after = 'epoch' WHERE id = $1 AND finished_at IS NULL",
            order.0,
            number("back_to", stay)?
        )
        .execute(self.connection())
        .await?;
        self.wake(order).await
    }

    /// Lets the batches with an index below `confirmed` begin. The row must be locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn confirm_batches(
        &mut self,
        order: OrderId,
        confirmed: usize,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* confirm_batches */ UPDATE change_order SET confirmed = $2, run_after = 'epoch' WHERE id = $1 AND finished_at IS NULL",
            order.0,
            number("confirmed", confirmed)?
        )
        .execute(self.connection())
        .await?;
        self.wake(order).await
    }
}
