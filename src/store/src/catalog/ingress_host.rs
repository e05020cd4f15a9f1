//! Hosts of Ingresses that a namespace is about to take.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

use crate::{StoreError, Tx};
use domain::ClusterId;

/// For how long a host is kept for who claimed it last: longer than a write may take.
const KEPT: SignedDuration = SignedDuration::from_mins(2);

impl Tx {
    /// Lets nobody else claim hosts of the cluster until the end of the transaction, and
    /// forgets the claims that are over. One is not while its namespace has an object write
    /// since then that nobody has answered.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn lock_ingress_hosts(
        &mut self,
        cluster: &ClusterId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* lock_ingress_hosts */ SELECT pg_advisory_xact_lock(hashtext('sluice ingress hosts'), hashtext($1))",
            cluster.as_str()
        )
        .execute(self.connection())
        .await?;
        let until = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        sqlx::query!(
            "/* forget_ingress_hosts */ DELETE FROM ingress_host AS host WHERE cluster_id = $1 AND claimed_at < $2 AND NOT EXISTS (
                 SELECT FROM object_write AS open WHERE open.cluster_id = $1 AND open.namespace = host.namespace
                 AND open.answered_at IS NULL AND open.asked_at >= host.claimed_at)",
            cluster.as_str(),
            until.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Those of these hosts that other namespaces have claimed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn ingress_hosts_of_others(
        &mut self,
        cluster: &ClusterId,
        namespace: &str,
        hosts: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let found = sqlx::query_scalar!(
            "/* ingress_hosts_of_others */ SELECT host FROM ingress_host WHERE cluster_id = $1 AND namespace <> $2 AND host = ANY ($3)",
            cluster.as_str(),
            namespace,
            hosts
        );
        Ok(found.fetch_all(self.connection()).await?)
    }

    /// Claims hosts for a namespace, but those that another one has claimed. Returns how many
    /// the namespace has claimed now.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn claim_ingress_hosts(
        &mut self,
        cluster: &ClusterId,
        namespace: &str,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        sqlx::query!(
            "/* claim_ingress_hosts */ INSERT INTO ingress_host AS claimed (cluster_id, host, namespace, claimed_at)
             SELECT $1, host, $2, $4 FROM unnest($3::text[]) AS host
             ON CONFLICT (cluster_id, host) DO UPDATE SET claimed_at = excluded.claimed_at
             WHERE claimed.namespace = excluded.namespace",
            cluster.as_str(),
            namespace,
            hosts,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        let claimed = sqlx::query_scalar!(
            r#"/* claimed_ingress_hosts */ SELECT count(*) AS "claimed!" FROM ingress_host WHERE cluster_id = $1 AND namespace = $2"#,
            cluster.as_str(),
            namespace
        );
        Ok(claimed.fetch_one(self.connection()).await?)
    }
}
