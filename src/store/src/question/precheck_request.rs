//! Precheck requests: what the service asks about releases, and the executors' answers.
//!
//! One executor at a time claims a precheck request; after [`CLAIM_SECONDS`] another may
//! claim it. No order depends on it, so it needs no fencing token: a second answer is
//! harmless.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::{
    ANSWER_CHANNEL, REQUEST_CHANNEL, Store, StoreError,
    row::number,
    sealed::{PROPOSAL, REPORT},
};
use domain::{
    ApplicationId, ClusterId, KnownCluster,
    precheck::{PrecheckReport, proposal::Proposal},
};

/// Seconds after which a precheck request that was claimed and not answered is claimed again.
pub(crate) const CLAIM_SECONDS: f64 = 10.0;

/// A precheck request's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrecheckRequestId(pub(crate) Uuid);

impl PrecheckRequestId {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id, as the notification of its answer says it.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl Store {
    /// Asks under a new id, and wakes the executors.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn send_precheck_request(
        &self,
        id: PrecheckRequestId,
        proposal: &Proposal,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* send_precheck_request */ WITH asked AS (
                 INSERT INTO precheck_request (id, cluster_id, namespace, name, proposal, asked_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING cluster_id
             ) SELECT pg_notify($7, cluster_id) AS \"sent: ()\" FROM asked",
            id.0,
            proposal.cluster.as_str(),
            proposal.namespace,
            proposal.name,
            self.keyring.seal_json(PROPOSAL, id.0, proposal)?,
            now.to_sqlx() as _,
            REQUEST_CHANNEL
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// The answer, once there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn precheck_report(
        &self,
        id: PrecheckRequestId,
    ) -> Result<Option<PrecheckReport>, StoreError> {
        let row = sqlx::query!(
            "/* precheck_report */ SELECT report FROM precheck_request WHERE id = $1",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        self.keyring.open_some(REPORT, id.0, row.and_then(|row| row.report))
    }

    /// The newest precheck request about a Deployment, if there is one, with its answer, if
    /// there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn newest_precheck_report(
        &self,
        cluster: &ClusterId,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Option<PrecheckReport>>, StoreError> {
        let row = sqlx::query!(
            "/* newest_precheck_report */ SELECT id, report FROM precheck_request WHERE cluster_id = $1 AND namespace = $2 AND name = $3 ORDER BY asked_at DESC, id DESC LIMIT 1",
            cluster.as_str(),
            namespace,
            name
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| self.keyring.open_some(REPORT, row.id, row.report)).transpose()
    }

    /// Takes back a request that nobody waits for any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn withdraw_precheck_request(&self, id: PrecheckRequestId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* withdraw_precheck_request */ DELETE FROM precheck_request WHERE id = $1",
            id.0
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Claims the oldest unclaimed precheck requests of the cluster, at most `most`. One that
    /// cannot be read is an error of its own.
    ///
    /// # Errors
    /// [`StoreError::Sql`]; of one, [`StoreError::Corrupt`].
    pub async fn claim_precheck_requests(
        &self,
        cluster: &KnownCluster,
        most: usize,
    ) -> Result<Vec<Result<(PrecheckRequestId, Proposal), StoreError>>, StoreError> {
        let rows = sqlx::query!(
            "/* claim_precheck_requests */ WITH open AS (
                 SELECT id FROM precheck_request
                 WHERE cluster_id = $1 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $3)
                   AND answered_at IS NULL AND (claimed_at IS NULL OR claimed_at < now() - make_interval(secs => $2))
                 ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT $4
             ) UPDATE precheck_request SET claimed_at = now() FROM open WHERE precheck_request.id = open.id
             RETURNING precheck_request.id, proposal AS \"proposal!\"",
            cluster.id.as_str(),
            CLAIM_SECONDS,
            cluster.identity.as_str(),
            i64::from(number("most", most)?)
        )
        .fetch_all(&self.pool)
        .await?;
        let opened = rows.into_iter().map(|row| {
            let proposal = self.keyring.open_json(PROPOSAL, row.id, &row.proposal)?;
            Ok((PrecheckRequestId(row.id), proposal))
        });
        Ok(opened.collect())
    }

    /// Answers a precheck request, and wakes whoever waits. The first answer stays. The question is erased: it may
    /// hold a package's credentials.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn answer_precheck_request(
        &self,
        id: PrecheckRequestId,
        report: &PrecheckReport,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* answer_precheck_request */ WITH answered AS (
                 UPDATE precheck_request SET report = $2, answered_at = $3, proposal = NULL WHERE id = $1 AND answered_at IS NULL RETURNING id
             ) SELECT pg_notify($4, id::text) AS \"sent: ()\" FROM answered",
            id.0,
            self.keyring.seal_json(REPORT, id.0, report)?,
            now.to_sqlx() as _,
            ANSWER_CHANNEL
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes precheck requests from before that time.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_precheck_requests(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* prune_precheck_requests */ DELETE FROM precheck_request WHERE asked_at < $1",
            before.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Seconds that a batch of the application took, as the median of the last 20
    /// that succeeded.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn batch_seconds(
        &self,
        application: ApplicationId,
    ) -> Result<Option<i64>, StoreError> {
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
