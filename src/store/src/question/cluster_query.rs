//! Cluster queries: the service asks, an executor answers, and a caller waits.
//!
//! They work like precheck requests ([`super::precheck_request`]), but the row is deleted
//! with the reading, since the answer is true for a moment only.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::precheck_request::CLAIM_SECONDS;
use crate::{
    Store, StoreError,
    row::{document, json},
    sealed::ANSWER,
};
use domain::{
    ClusterId, KnownCluster,
    observed::cluster_state::{ClusterState, QueryKind},
};

/// A query's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterQueryId(pub Uuid);

/// A query of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterQuery {
    pub id: ClusterQueryId,
    pub namespace: String,
    pub name: String,
    /// What to look at.
    pub kind: QueryKind,
}

/// The answer; none = there is no such Deployment. Or why there is no answer.
pub type QueryAnswer = Result<Option<ClusterState>, String>;

impl Store {
    /// Sends a query, and wakes the executors.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn send_cluster_query(
        &self,
        cluster: &ClusterId,
        namespace: &str,
        name: &str,
        wanted: QueryKind,
        now: Timestamp,
    ) -> Result<ClusterQueryId, StoreError> {
        let id = Uuid::now_v7();
        let mut tx = self.begin().await?;
        sqlx::query!(
            "/* send_cluster_query */ INSERT INTO cluster_query (id, cluster_id, namespace, name, kind, asked_at) VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            cluster.as_str(),
            namespace,
            name,
            json("cluster query", &wanted)?,
            now.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        tx.wake_executors(cluster).await?;
        tx.commit().await?;
        Ok(ClusterQueryId(id))
    }

    /// Reads and deletes the answer. None = there is no answer yet.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn take_query_answer(
        &self,
        id: ClusterQueryId,
    ) -> Result<Option<QueryAnswer>, StoreError> {
        let row = sqlx::query!(
            "/* take_query_answer */ DELETE FROM cluster_query WHERE id = $1 AND answer IS NOT NULL RETURNING answer AS \"answer!\"",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.keyring.open_json(ANSWER, id.0, &row.answer)).transpose()
    }

    /// Takes back a query that nobody waits for any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn withdraw_cluster_query(&self, id: ClusterQueryId) -> Result<(), StoreError> {
        sqlx::query!("/* withdraw_cluster_query */ DELETE FROM cluster_query WHERE id = $1", id.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Claims the oldest unclaimed query of the cluster.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn claim_cluster_query(
        &self,
        cluster: &KnownCluster,
    ) -> Result<Option<ClusterQuery>, StoreError> {
        let row = sqlx::query!(
            "/* claim_cluster_query */ UPDATE cluster_query SET claimed_at = now() WHERE id = (
                 SELECT id FROM cluster_query
                 WHERE cluster_id = $1 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $3)
                   AND answer IS NULL AND (claimed_at IS NULL OR claimed_at < now() - make_interval(secs => $2))
                 ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT 1
             ) RETURNING id, namespace, name, kind",
            cluster.id.as_str(),
            CLAIM_SECONDS,
            cluster.identity.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(ClusterQuery {
                id: ClusterQueryId(row.id),
                namespace: row.namespace,
                name: row.name,
                kind: document("cluster query", row.kind)?,
            })
        })
        .transpose()
    }

    /// Stores an answer. The first one stays.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn answer_cluster_query(
        &self,
        id: ClusterQueryId,
        seen: &QueryAnswer,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* answer_cluster_query */ UPDATE cluster_query SET answer = $2 WHERE id = $1 AND answer IS NULL",
            id.0,
            self.keyring.seal_json(ANSWER, id.0, seen)?
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes queries from before that time, which no caller waits for any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_cluster_queries(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* prune_cluster_queries */ DELETE FROM cluster_query WHERE asked_at < $1",
            before.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}
