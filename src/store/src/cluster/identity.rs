//! The identities of clusters, and the replacement of one cluster by another.
//!
//! Executors get work only while they see the cluster that is on record: every statement
//! that hands out work compares the identity.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{Store, StoreError, Tx, order::advance::SELF};
use domain::{ClusterId, ClusterIdentity, KnownCluster, OrderId};

/// What is on record of a cluster that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It is the one with this id.
    Known(KnownCluster),
    /// The id is another cluster's.
    Other(ClusterIdentity),
    /// The cluster has another id already.
    Named(ClusterId),
}

/// The open work on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWork {
    /// Orders that are open or finalizing.
    pub orders: Vec<OrderId>,
    /// How many object writes are not answered.
    pub object_writes: i64,
}

impl Store {
    /// Records the identity of a cluster that is seen for the first time, and says what
    /// is on record otherwise.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn record_identity(
        &self,
        id: &ClusterId,
        seen: &ClusterIdentity,
    ) -> Result<Recorded, StoreError> {
        loop {
            let rows = sqlx::query!(
                "/* identities */ SELECT id, identity FROM kubernetes_cluster WHERE id = $1 OR identity = $2",
                id.as_str(),
                seen.as_str()
            )
            .fetch_all(&self.pool)
            .await?;
            let recorded = rows
                .iter()
                .find(|row| row.id == id.as_str())
                .and_then(|row| row.identity.as_deref());
            match recorded {
                Some(recorded) if recorded == seen.as_str() => {
                    return Ok(Recorded::Known(KnownCluster {
                        id: id.clone(),
                        identity: seen.clone(),
                    }));
                }
                Some(recorded) => return Ok(Recorded::Other(identity(recorded)?)),
                None => {}
            }
            if let Some(other) = rows.into_iter().find(|row| row.id != id.as_str()) {
                return Ok(Recorded::Named(other.id.into()));
            }
            let written = sqlx::query!(
                "/* record_identity */ INSERT INTO kubernetes_cluster (id, identity) VALUES ($1, $2)
                 ON CONFLICT (id) DO UPDATE SET identity = $2 WHERE kubernetes_cluster.identity IS NULL",
                id.as_str(),
                seen.as_str()
            )
            .execute(&self.pool)
            .await;
            match written {
                // Somebody was faster, with this id or another: looked at anew.
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {}
                other => {
                    other?;
                }
            }
        }
    }

    /// The identity on record.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn identity(&self, id: &ClusterId) -> Result<Option<ClusterIdentity>, StoreError> {
        let row = sqlx::query!(
            "/* identity */ SELECT identity FROM kubernetes_cluster WHERE id = $1",
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.and_then(|row| row.identity).as_deref().map(identity).transpose()
    }

    /// Seconds since an executor of the cluster last sent a heartbeat, if one is on
    /// record.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn silence(&self, id: &ClusterId) -> Result<Option<f64>, StoreError> {
        let row = sqlx::query!(
            r#"/* silence */ SELECT extract(epoch FROM now() - max(seen_at))::float8 AS seconds FROM executor WHERE cluster_id = $1"#,
            id.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.seconds)
    }
}

impl Tx {
    /// The identity on record, which stays until the transaction ends; none = there is
    /// no such cluster.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn lock_identity(
        &mut self,
        id: &ClusterId,
    ) -> Result<Option<Option<ClusterIdentity>>, StoreError> {
        let row = sqlx::query!(
            "/* lock_identity */ SELECT identity FROM kubernetes_cluster WHERE id = $1 FOR UPDATE",
            id.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.identity.as_deref().map(identity).transpose()).transpose()
    }

    /// The cluster that has this identity.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn cluster_of(
        &mut self,
        identity: &ClusterIdentity,
    ) -> Result<Option<ClusterId>, StoreError> {
        let row = sqlx::query!(
            "/* cluster_of */ SELECT id FROM kubernetes_cluster WHERE identity = $1",
            identity.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| row.id.into()))
    }

    /// The open work on a cluster, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn open_work(&mut self, id: &ClusterId) -> Result<OpenWork, StoreError> {
        let orders = sqlx::query_scalar!(
            "/* open_orders */ SELECT id FROM change_order WHERE cluster_id = $1 AND (finished_at IS NULL OR finalizing) ORDER BY created_at, id",
            id.as_str()
        )
        .fetch_all(self.connection())
        .await?;
        let object_writes = sqlx::query_scalar!(
            r#"/* open_object_writes */ SELECT count(*) AS "count!" FROM object_write WHERE cluster_id = $1 AND answered_at IS NULL"#,
            id.as_str()
        )
        .fetch_one(self.connection())
        .await?;
        Ok(OpenWork { orders: orders.into_iter().map(OrderId).collect(), object_writes })
    }

    /// Ends all open orders and object writes of a cluster, with a reason. Executors that
    /// still work on them can no longer write anything.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn let_go(
        &mut self,
        id: &ClusterId,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        // Orders before their batches, as everybody locks them: a batch that is begun
        // meanwhile is seen.
        sqlx::query!(
            "/* lock_orders_to_let_go */ SELECT id FROM change_order WHERE cluster_id = $1 AND (finished_at IS NULL OR finalizing) ORDER BY id FOR UPDATE",
            id.as_str()
        )
        .fetch_all(self.connection())
        .await?;
        sqlx::query!(
            "/* let_batches_go */ UPDATE batch SET state = 'aborted', finished_at = $2, updated_at = $2, message = $3
             FROM change_order AS o
             WHERE o.cluster_id = $1 AND o.finished_at IS NULL AND batch.order_id = o.id AND batch.finished_at IS NULL
               AND (batch.started_at IS NOT NULL OR batch.state <> 'ready')",
            id.as_str(),
            now.to_sqlx() as _,
            why
        )
        .execute(self.connection())
        .await?;
        sqlx::query!(
            "/* let_orders_go */ WITH gone AS (
                 UPDATE change_order AS o SET state = CASE WHEN o.finished_at IS NULL THEN 'aborted' ELSE o.state END,
                     message = CASE WHEN o.finished_at IS NULL THEN $3 ELSE o.message END, finished_at = coalesce(o.finished_at, $2),
                     finalizing = false, step = 'done', lease_holder = NULL, lease_expires_at = NULL, generation = nextval('fencing_token')
                 FROM change_order AS before
                 WHERE o.cluster_id = $1 AND (o.finished_at IS NULL OR o.finalizing) AND before.id = o.id
                 RETURNING o.id, o.application_id, o.batch, before.finished_at IS NULL AS was_open),
             told AS (
                 INSERT INTO notification (channel_id, order_id, topic, state, batch, cause, happened_at)
                 SELECT c.id, gone.id, 'aborted', 'aborted', gone.batch, left($3, 2000), $2
                 FROM gone JOIN application a ON a.id = gone.application_id, notification_channel c
                 WHERE gone.was_open AND c.enabled AND 'aborted' = ANY (c.topics)
                     AND fits_any(c.namespaces, a.namespace) AND fits_any(c.applications, a.name))
             INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail)
             SELECT $2, application_id, id, $4::text, CASE WHEN was_open THEN 'order.aborted' ELSE 'order.done' END, $3, '{}'::jsonb FROM gone ORDER BY id",
            id.as_str(),
            now.to_sqlx() as _,
            why,
            SELF
        )
        .execute(self.connection())
        .await?;
        self.let_object_writes_go(id, why, now).await
    }

    /// Records another cluster under an id, and deletes what was mirrored of the old one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn replace_identity(
        &mut self,
        id: &ClusterId,
        identity: &ClusterIdentity,
    ) -> Result<(), StoreError> {
        for statement in [
            sqlx::query!(
                "/* forget_precheck_requests */ DELETE FROM precheck_request WHERE cluster_id = $1",
                id.as_str()
            ),
            sqlx::query!(
                "/* forget_cluster_queries */ DELETE FROM cluster_query WHERE cluster_id = $1",
                id.as_str()
            ),
            sqlx::query!(
                "/* forget_pods */ UPDATE application SET ready_replicas = 0, resting_snapshot = NULL, resting_packages = '{}', resting_replicas = NULL WHERE cluster_id = $1",
                id.as_str()
            ),
        ] {
            statement.execute(self.connection()).await?;
        }
        sqlx::query!(
            "/* replace_identity */ UPDATE kubernetes_cluster SET identity = $2, version = '', namespaces = '{}', seen_at = NULL WHERE id = $1",
            id.as_str(),
            identity.as_str()
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

fn identity(text: &str) -> Result<ClusterIdentity, StoreError> {
    text.parse()
        .map_err(|why: &str| StoreError::Corrupt { what: "cluster identity", why: why.into() })
}
