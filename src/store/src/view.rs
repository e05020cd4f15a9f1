//! Orders as callers read them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgExecutor, types::Json};

use super::{
    Store, StoreError, Tx,
    row::{count, document, value},
};
use domain::{
    ApplicationId, BatchId, OrderId, Source,
    hold::HeldBy,
    order::{Kind, Order, State, Step, plan::Strategy},
    package::Label,
    snapshot::ApplicationName,
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
    /// What it waits for before it begins.
    pub held_by: Option<HeldBy>,
    /// Who approved it, where somebody had to.
    pub approved_by: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Deserialize)]
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

/// Orders for reading, with `$more` columns, as `$rest` says: a statement of its own for each
/// way to look for them. One for all ways, with parameters that may be null, is planned anew
/// each time, which takes longer than the reading.
macro_rules! orders {
    ($name:tt, $more:tt, $rest:tt $(, $argument:expr)*) => {
        sqlx::query!(
            $name
                + r#" SELECT o.id AS "id!", o.application_id AS "application_id!", o.kind::text AS "kind!", o.state::text AS "state!", o.step::text AS "step!",
               o.strategy AS "strategy!", o.replicas, o.replicas_before, o.description AS "description!", o.notes AS "notes!", o.message AS "message!", o.trouble AS "trouble!",
               o.created_at AS "created_at!", o.finished_at, o.created_by AS "created_by!", o.held_by, o.approved_by, o.source::text AS "source!", o.rolls_back,
               r.version AS "version?", r.image AS "image?", r.package,
               (SELECT u.id FROM change_order u WHERE u.rolls_back = o.id) AS rolled_back_by, o.template IS NOT NULL OR o.finalizing AS "changed_deployment!",
               NOT EXISTS (
                   SELECT 1 FROM change_order n WHERE n.application_id = o.application_id AND (n.created_at, n.id) > (o.created_at, o.id) AND n.kind <> 'object_write'
               ) AS "newest!""#
                + $more
                + " FROM change_order o LEFT JOIN release r ON r.id = o.release_id "
                + $rest
            $(, $argument)*
        )
    };
}

/// What a row of [`orders`] shows, without batches.
macro_rules! shown {
    ($row:ident) => {{
        let kind = value("kind", $row.kind)?;
        let state = value("state", $row.state)?;
        let strategy: Strategy = document("strategy", $row.strategy)?;
        let can_roll_back = Order::can_be_rolled_back(
            kind,
            state,
            $row.changed_deployment,
            $row.newest,
            $row.rolled_back_by.is_some(),
        );
        OrderView {
            id: OrderId($row.id),
            application: ApplicationId($row.application_id),
            kind,
            state,
            step: value("step", $row.step)?,
            batches: Vec::new(),
            batch_count: strategy.count(),
            strategy,
            replicas: $row.replicas,
            replicas_before: $row.replicas_before,
            description: $row.description,
            notes: $row.notes,
            version: $row.version.unwrap_or_default(),
            image: $row.image.unwrap_or_default(),
            package: $row.package.map(|package| document("package", package)).transpose()?,
            held_by: $row.held_by.map(|word| value("held_by", word)).transpose()?,
            approved_by: $row.approved_by,
            message: $row.message,
            trouble: $row.trouble,
            created_at: $row.created_at.to_jiff(),
            finished_at: $row.finished_at.map(jiff_sqlx::Timestamp::to_jiff),
            created_by: $row.created_by,
            source: value("source", $row.source)?,
            rolls_back: $row.rolls_back.map(OrderId),
            rolled_back_by: $row.rolled_back_by.map(OrderId),
            can_roll_back,
        }
    }};
}

/// The columns of a whole order: its application, and its batches in order.
macro_rules! whole_orders {
    ($name:tt, $rest:tt, $argument:expr) => {
        orders!(
            $name,
            r#", a.name AS "application_name!", a.namespace AS "namespace!", a.cluster_id AS "cluster_id!",
               (SELECT coalesce(json_agg(json_build_object('id', b.id, 'index', b.index, 'state', b.state, 'target', b.target, 'started_at', b.started_at,
                    'finished_at', b.finished_at, 'updated_at', b.updated_at, 'message', b.message, 'pods', b.pods) ORDER BY b.index), '[]')
                FROM batch b WHERE b.order_id = o.id) AS "batches!: Json<Vec<BatchRow>>""#,
            $rest,
            $argument
        )
    };
}

/// An order with its batches, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct WholeOrder {
    pub view: OrderView,
    pub application: ApplicationName,
}

macro_rules! whole {
    ($row:ident) => {{
        let application = ApplicationName {
            id: ApplicationId($row.application_id),
            name: $row.application_name,
            namespace: $row.namespace,
            cluster: $row.cluster_id,
        };
        let batches = $row.batches.0;
        WholeOrder { view: shown!($row).with_batches(batches), application }
    }};
}

impl Store {
    /// One order for reading, with its batches.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn whole_order(&self, id: OrderId) -> Result<Option<WholeOrder>, StoreError> {
        let row = whole_orders!(
            "/* whole_order */",
            "JOIN application a ON a.id = o.application_id WHERE o.id = $1",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(whole!(row))).transpose()
    }

    /// The same of many orders: those of them that there are.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn whole_orders(&self, ids: &[OrderId]) -> Result<Vec<WholeOrder>, StoreError> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = whole_orders!(
            "/* whole_orders */",
            "JOIN application a ON a.id = o.application_id WHERE o.id = ANY($1)",
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| Ok(whole!(row))).collect()
    }

    /// One order for reading, without its batches.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn order_row(&self, id: OrderId) -> Result<Option<OrderView>, StoreError> {
        order_row(&self.pool, id).await
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
        let rows = orders!(
            "/* recent_orders */",
            "",
            "WHERE o.application_id = $1 ORDER BY o.created_at DESC, o.id DESC LIMIT $2",
            application.0,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(|row| Ok(shown!(row))).collect()
    }

    /// The newest order that changes the application's Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn newest_order(
        &self,
        application: ApplicationId,
    ) -> Result<Option<OrderView>, StoreError> {
        let row = orders!(
            "/* newest_order */",
            "",
            "WHERE o.application_id = $1 AND o.kind <> 'object_write' ORDER BY o.created_at DESC, o.id DESC LIMIT 1",
            application.0
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(shown!(row))).transpose()
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
        order_row(self.connection(), id).await
    }
}

async fn order_row(
    database: impl PgExecutor<'_>,
    id: OrderId,
) -> Result<Option<OrderView>, StoreError> {
    let row =
        orders!("/* order_row */", "", "WHERE o.id = $1", id.0).fetch_optional(database).await?;
    row.map(|row| Ok(shown!(row))).transpose()
}
