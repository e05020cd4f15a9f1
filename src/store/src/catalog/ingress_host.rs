//! Hosts of Ingresses that a namespace is about to take.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

use crate::{Store, StoreError};
use domain::ClusterId;

/// For how long a host is kept for who claimed it last: longer than a write may take.
const KEPT: SignedDuration = SignedDuration::from_mins(2);

impl Store {
    /// Claims hosts for a namespace. Returns those that it has now: another namespace may
    /// have claimed one a moment ago.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn claim_ingress_hosts(
        &self,
        cluster: &ClusterId,
        namespace: &str,
        hosts: &[String],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let until = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        let hosts = sqlx::query_scalar!(
            "/* claim_ingress_hosts */ INSERT INTO ingress_host AS claimed (cluster_id, host, namespace, claimed_at)
             SELECT $1, host, $2, $4 FROM unnest($3::text[]) AS host ORDER BY host
             ON CONFLICT (cluster_id, host) DO UPDATE SET namespace = excluded.namespace, claimed_at = excluded.claimed_at
             WHERE claimed.namespace = excluded.namespace OR claimed.claimed_at < $5
             RETURNING host",
            cluster.as_str(),
            namespace,
            hosts,
            now.to_sqlx() as _,
            until.to_sqlx() as _
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(hosts)
    }
}
