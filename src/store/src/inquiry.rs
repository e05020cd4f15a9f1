//! What the service asks of the cluster about releases, and what executors answer.
//!
//! An inquiry is claimed by one executor at a time; one that fell silent loses it
//! after [`CLAIM_SECONDS`]. Nothing of an order stands on it, so it needs no fence:
//! answering twice is harmless.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::{
    INQUIRY_CHANNEL, Store, StoreError,
    row::{document, json},
};
use domain::{ApplicationId, ClusterId, KnownCluster, precheck::Report, proposal::Proposal};

/// Seconds after which an inquiry that was claimed and not answered is claimed again.
pub(super) const CLAIM_SECONDS: f64 = 10.0;

/// An inquiry's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InquiryId(Uuid);

impl Store {
    /// Asks, and wakes the executors.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn ask(&self, proposal: &Proposal, now: Timestamp) -> Result<InquiryId, StoreError> {
        let id = Uuid::now_v7();
        let mut tx = self.begin().await?;
        sqlx::query!(
            "/* ask */ INSERT INTO inquiry (id, cluster_id, namespace, name, proposal, asked_at) VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            proposal.cluster.as_str(),
            proposal.namespace,
            proposal.name,
            json("proposal", proposal)?,
            now.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        sqlx::query!("/* wake_for_inquiry */ SELECT pg_notify($1, $2) AS \"sent: ()\"", INQUIRY_CHANNEL, proposal.cluster.as_str())
            .fetch_one(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(InquiryId(id))
    }

    /// The answer, once there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn report(&self, id: InquiryId) -> Result<Option<Report>, StoreError> {
        let row = sqlx::query!("/* report */ SELECT report FROM inquiry WHERE id = $1", id.0).fetch_optional(&self.pool).await?;
        row.and_then(|row| row.report).map(|report| document("report", report)).transpose()
    }

    /// The newest inquiry about a Deployment: none, or its answer as far as there
    /// is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn newest_report(&self, cluster: &ClusterId, namespace: &str, name: &str) -> Result<Option<Option<Report>>, StoreError> {
        let row = sqlx::query!(
            "/* newest_report */ SELECT report FROM inquiry WHERE cluster_id = $1 AND namespace = $2 AND name = $3 ORDER BY asked_at DESC, id DESC LIMIT 1",
            cluster.as_str(),
            namespace,
            name
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| row.report.map(|report| document("report", report)).transpose()).transpose()
    }

    /// Takes the oldest inquiry about the cluster that nobody is at.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn claim_inquiry(&self, cluster: &KnownCluster) -> Result<Option<(InquiryId, Proposal)>, StoreError> {
        let row = sqlx::query!(
            "/* claim_inquiry */ UPDATE inquiry SET claimed_at = now() WHERE id = (
                 SELECT id FROM inquiry
                 WHERE cluster_id = $1 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $3)
                   AND answered_at IS NULL AND (claimed_at IS NULL OR claimed_at < now() - make_interval(secs => $2))
                 ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT 1
             ) RETURNING id, proposal",
            cluster.id.as_str(),
            CLAIM_SECONDS,
            cluster.identity.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((InquiryId(row.id), document("proposal", row.proposal)?))).transpose()
    }

    /// Answers an inquiry. The first answer stays. What was asked goes: it may hold
    /// a package's credentials.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn answer_inquiry(&self, id: InquiryId, report: &Report, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* answer_inquiry */ UPDATE inquiry SET report = $2, answered_at = $3, proposal = 'null' WHERE id = $1 AND answered_at IS NULL",
            id.0,
            json("report", report)?,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Forgets inquiries from before that time.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_inquiries(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query!("/* prune_inquiries */ DELETE FROM inquiry WHERE asked_at < $1", before.to_sqlx() as _).execute(&self.pool).await?;
        Ok(())
    }

    /// Seconds that a batch of the application took, as the median of the last 20
    /// that ended well.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn batch_seconds(&self, application: ApplicationId) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query!(
            r#"/* batch_seconds */ SELECT ceil(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds))::bigint AS median FROM (
                   SELECT extract(epoch FROM b.finished_at - b.started_at)::float8 AS seconds
                   FROM batch b JOIN change_order o ON o.id = b.order_id
                   WHERE o.application_id = $1 AND o.kind IN ('deploy', 'deploy_version') AND b.state = 'succeeded' AND b.started_at < b.finished_at
                   ORDER BY b.finished_at DESC LIMIT 20
               ) AS latest"#,
            application.0
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.median)
    }
}
