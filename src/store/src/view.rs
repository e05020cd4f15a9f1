//! Orders as callers read them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;

use super::{
    Store, StoreError, Tx,
    row::{count, document, value},
};
use domain::{
    ApplicationId, BatchId, OrderId, Source,
    order::{Kind, Order, State, Step, plan::Strategy},
    package::Label,
};

/// A change order as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderView {
    pub id: OrderId,
    pub application: ApplicationId,
    pub kind: Kind,
    pub state: State,
    pub step: Step,
    /// How the batches follow each other.
    pub strategy: Strategy,
    /// The batches, in order; empty where they are not read, as in lists.
    pub batches: Vec<BatchView>,
    pub batch_count: usize,
    /// Desired number of pods, where it sets one.
    pub replicas: Option<i32>,
    /// The number before, where it changes nothing else.
    pub replicas_before: Option<i32>,
    pub description: String,
    /// What of the request has no effect, and what the checks before it warned of.
    pub notes: Vec<String>,
    /// Version text of what it releases, empty if it is none of the history.
    pub version: String,
    /// Image it releases, empty until that is known.
    pub image: String,
    /// Package it releases; none = an image.
    pub package: Option<Label>,
    /// Why it ended as it did, or what it waits for; may be empty.
    pub message: String,
    /// What keeps its next batch from beginning while it waits; empty = nothing.
    pub trouble: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// Name of the access key that ordered it; `sluice` for an automatic rollback.
    pub created_by: String,
    /// What it came by.
    pub source: Source,
    /// The order that this one rolls back.
    pub rolls_back: Option<OrderId>,
    /// The order that rolls this one back.
    pub rolled_back_by: Option<OrderId>,
    /// Whether it can be rolled back now: while it is open, and after its end while
    /// no other order of its application followed.
    pub can_roll_back: bool,
}

/// A batch of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchView {
    pub id: BatchId,
    /// Its number, from 1.
    pub number: usize,
    pub canary: bool,
    pub state: State,
    /// Pods of the new version that it adds.
    pub size: i32,
    /// Pods of the new version when it is done.
    pub target: i32,
    pub started_at: Option<Timestamp>,
    /// When it ended, well or not.
    pub finished_at: Option<Timestamp>,
    /// When anything of it changed last.
    pub updated_at: Timestamp,
    /// Why it failed, or what it waits for; may be empty.
    pub message: String,
    /// The pods of the new version that it brought, as last seen.
    pub pods: Vec<PodState>,
}

/// A batch as it is on record.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchRow {
    pub id: BatchId,
    /// Its index, from 0.
    pub index: usize,
    pub state: State,
    /// Pods of the new version when it is done.
    pub target: i32,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Why it stands as it does.
    pub message: String,
    /// Its pods, as last seen.
    pub pods: Vec<PodState>,
}

/// A pod as it was last seen while its batch ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodState {
    pub name: String,
    /// Its address, empty while it has none.
    pub ip: String,
    pub phase: String,
    pub ready: bool,
    /// Why it is not Ready; empty while it starts, and once it is Ready.
    pub message: String,
}

impl OrderView {
    /// The same order with its batches.
    #[must_use]
    pub fn with_batches(mut self, batches: Vec<BatchRow>) -> Self {
        let mut before = self.replicas_before.unwrap_or(0);
        let has_canary = self.strategy.canary > 0;
        let batches = batches.into_iter().map(|row| {
            let size = (row.target - before).max(0);
            before = row.target;
            BatchView {
                id: row.id,
                number: row.index + 1,
                canary: has_canary && row.index == 0,
                state: row.state,
                size,
                target: row.target,
                started_at: row.started_at,
                finished_at: row.finished_at,
                updated_at: row.updated_at,
                message: row.message,
                pods: row.pods,
            }
        });
        self.batches = batches.collect();
        self
    }
}

impl Store {
    /// One order for reading, without its batches.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn order_row(&self, id: OrderId) -> Result<Option<OrderView>, StoreError> {
        Ok(order_rows(&self.pool, Some(id), None, true, 1).await?.pop())
    }

    /// The newest orders of an application, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn recent_orders(
        &self,
        application: ApplicationId,
        limit: i64,
    ) -> Result<Vec<OrderView>, StoreError> {
        order_rows(&self.pool, None, Some(application), true, limit).await
    }

    /// The newest order that changes the application's Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn newest_order(
        &self,
        application: ApplicationId,
    ) -> Result<Option<OrderView>, StoreError> {
        Ok(order_rows(&self.pool, None, Some(application), false, 1).await?.pop())
    }

    /// The batches of an order, in order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn batch_rows(&self, order: OrderId) -> Result<Vec<BatchRow>, StoreError> {
        let rows = sqlx::query!(
            r#"/* batch_rows */ SELECT id, index, state::text AS "state!", target, started_at, finished_at, updated_at, message, pods AS "pods: Value"
               FROM batch WHERE order_id = $1 ORDER BY index"#,
            order.0
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(BatchRow {
                    id: BatchId(row.id),
                    index: count("batch", row.index)?,
                    state: value("batch state", row.state)?,
                    target: row.target,
                    started_at: row.started_at.map(jiff_sqlx::Timestamp::to_jiff),
                    finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
                    updated_at: row.updated_at.to_jiff(),
                    message: row.message,
                    pods: document("pods", row.pods)?,
                })
            })
            .collect()
    }
}

impl Tx {
    /// One order for reading, as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn order_row(&mut self, id: OrderId) -> Result<Option<OrderView>, StoreError> {
        Ok(order_rows(self.connection(), Some(id), None, true, 1).await?.pop())
    }
}

async fn order_rows(
    database: impl PgExecutor<'_>,
    id: Option<OrderId>,
    application: Option<ApplicationId>,
    object_writes: bool,
    limit: i64,
) -> Result<Vec<OrderView>, StoreError> {
    let rows = sqlx::query!(
        r#"/* order_rows */ SELECT o.id, o.application_id, o.kind::text AS "kind!", o.state::text AS "state!", o.step::text AS "step!",
               o.strategy, o.replicas, o.replicas_before, o.description, o.notes, o.message, o.trouble, o.created_at, o.finished_at, o.created_by, o.source::text AS "source!", o.rolls_back,
               r.version AS "version?", r.image AS "image?", r.package,
               (SELECT u.id FROM change_order u WHERE u.rolls_back = o.id) AS rolled_back_by, o.template IS NOT NULL OR o.finalizing AS "changed_deployment!",
               NOT EXISTS (
                   SELECT 1 FROM change_order n WHERE n.application_id = o.application_id AND (n.created_at, n.id) > (o.created_at, o.id) AND n.kind <> 'object_write'
               ) AS "newest!"
           FROM change_order o LEFT JOIN release r ON r.id = o.release_id
           WHERE ($1::uuid IS NULL OR o.id = $1) AND ($2::uuid IS NULL OR o.application_id = $2) AND ($3 OR o.kind <> 'object_write')
           ORDER BY o.created_at DESC, o.id DESC LIMIT $4"#,
        id.map(|id| id.0),
        application.map(|application| application.0),
        object_writes,
        limit
    )
    .fetch_all(database)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind = value("kind", row.kind)?;
            let state = value("state", row.state)?;
            let strategy: Strategy = document("strategy", row.strategy)?;
            let can_roll_back = Order::can_be_rolled_back(
                kind,
                state,
                row.changed_deployment,
                row.newest,
                row.rolled_back_by.is_some(),
            );
            Ok(OrderView {
                id: OrderId(row.id),
                application: ApplicationId(row.application_id),
                kind,
                state,
                step: value("step", row.step)?,
                batches: Vec::new(),
                batch_count: strategy.count(),
                strategy,
                replicas: row.replicas,
                replicas_before: row.replicas_before,
                description: row.description,
                notes: row.notes,
                version: row.version.unwrap_or_default(),
                image: row.image.unwrap_or_default(),
                package: row.package.map(|package| document("package", package)).transpose()?,
                message: row.message,
                trouble: row.trouble,
                created_at: row.created_at.to_jiff(),
                finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
                created_by: row.created_by,
                source: value("source", row.source)?,
                rolls_back: row.rolls_back.map(OrderId),
                rolled_back_by: row.rolled_back_by.map(OrderId),
                can_roll_back,
            })
        })
        .collect()
}
