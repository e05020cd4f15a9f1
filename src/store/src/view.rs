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
    order::{Kind, State, Step, plan::Strategy},
    package::Label,
};

/// An order, without its batches.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderRow {
    pub id: OrderId,
    pub application: ApplicationId,
    pub kind: Kind,
    pub state: State,
    pub step: Step,
    /// How its batches follow each other.
    pub strategy: Strategy,
    /// Desired number of pods, where it sets one.
    pub replicas: Option<i32>,
    /// The number before, if the order changes only the number.
    pub replicas_before: Option<i32>,
    pub description: String,
    /// Notes for its caller, as sentences.
    pub notes: Vec<String>,
    /// Text of the version that it releases.
    pub version: Option<String>,
    /// Image that it releases.
    pub image: Option<String>,
    /// Package that it releases.
    pub package: Option<Label>,
    /// Why it stands as it does.
    pub message: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub created_by: String,
    /// Where it comes from.
    pub source: Source,
    /// The order it rolls back.
    pub rolls_back: Option<OrderId>,
    /// The order that rolls it back.
    pub rolled_back_by: Option<OrderId>,
    /// Whether no order of its application came after it.
    pub is_newest: bool,
    /// Whether it changed the Deployment.
    pub changed_deployment: bool,
}

/// A batch.
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

impl Store {
    /// One order for reading.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn order_row(&self, id: OrderId) -> Result<Option<OrderRow>, StoreError> {
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
    ) -> Result<Vec<OrderRow>, StoreError> {
        order_rows(&self.pool, None, Some(application), true, limit).await
    }

    /// The newest order that changes the application's Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn newest_order(
        &self,
        application: ApplicationId,
    ) -> Result<Option<OrderRow>, StoreError> {
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
    pub async fn order_row(&mut self, id: OrderId) -> Result<Option<OrderRow>, StoreError> {
        Ok(order_rows(self.connection(), Some(id), None, true, 1).await?.pop())
    }
}

async fn order_rows(
    database: impl PgExecutor<'_>,
    id: Option<OrderId>,
    application: Option<ApplicationId>,
    object_writes: bool,
    limit: i64,
) -> Result<Vec<OrderRow>, StoreError> {
    let rows = sqlx::query!(
        r#"/* order_rows */ SELECT o.id, o.application_id, o.kind::text AS "kind!", o.state::text AS "state!", o.step::text AS "step!",
               o.strategy, (o.target->>'replicas')::integer AS replicas, (o.target->>'replicas_before')::integer AS replicas_before, o.description, o.notes, o.message, o.created_at, o.finished_at, o.created_by, o.source::text AS "source!", o.rolls_back,
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
            Ok(OrderRow {
                id: OrderId(row.id),
                application: ApplicationId(row.application_id),
                kind: value("kind", row.kind)?,
                state: value("state", row.state)?,
                step: value("step", row.step)?,
                strategy: document("strategy", row.strategy)?,
                replicas: row.replicas,
                replicas_before: row.replicas_before,
                description: row.description,
                notes: row.notes,
                version: row.version,
                image: row.image,
                package: row.package.map(|package| document("package", package)).transpose()?,
                message: row.message,
                created_at: row.created_at.to_jiff(),
                finished_at: row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
                created_by: row.created_by,
                source: value("source", row.source)?,
                rolls_back: row.rolls_back.map(OrderId),
                rolled_back_by: row.rolled_back_by.map(OrderId),
                is_newest: row.newest,
                changed_deployment: row.changed_deployment,
            })
        })
        .collect()
}
