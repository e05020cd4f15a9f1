//! The cluster as executors last saw it, and the executors themselves.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::{Store, StoreError};

/// The cluster as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// Kubernetes version, empty until it was seen.
    pub version: String,
    /// Its namespaces, sorted.
    pub namespaces: Vec<String>,
}

impl Store {
    /// Makes the cluster known, if it is not.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn register_cluster(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query!("/* register_cluster */ INSERT INTO kubernetes_cluster (id) VALUES ($1) ON CONFLICT (id) DO NOTHING", id)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Mirrors what an executor sees of the cluster.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn mirror_cluster(&self, id: &str, version: &str, namespaces: &[String], now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* mirror_cluster */ UPDATE kubernetes_cluster SET version = $2, namespaces = $3, seen_at = $4 WHERE id = $1",
            id,
            version,
            namespaces,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The cluster as last seen.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn cluster(&self, id: &str) -> Result<Option<ClusterRow>, StoreError> {
        let row = sqlx::query!("/* cluster */ SELECT version, namespaces FROM kubernetes_cluster WHERE id = $1", id)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| ClusterRow { version: row.version, namespaces: row.namespaces }))
    }

    /// Says that an executor is alive, and forgets those silent for an hour.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn heartbeat(&self, holder: &str, cluster_reachable: bool) -> Result<(), StoreError> {
        sqlx::query!(
            "/* heartbeat */ WITH gone AS (DELETE FROM executor WHERE seen_at < now() - interval '1 hour' AND holder <> $1)
             INSERT INTO executor (holder, seen_at, cluster_reachable) VALUES ($1, now(), $2)
             ON CONFLICT (holder) DO UPDATE SET seen_at = now(), cluster_reachable = $2",
            holder,
            cluster_reachable
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Says that an executor ended.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn sign_off(&self, holder: &str) -> Result<(), StoreError> {
        sqlx::query!("/* sign_off */ DELETE FROM executor WHERE holder = $1", holder).execute(&self.pool).await?;
        Ok(())
    }

    /// Executors that gave a sign of life within `seconds`: how many, and how many
    /// of them reach the cluster.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn executors(&self, seconds: f64) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query!(
            r#"/* executors */ SELECT count(*) AS "alive!", count(*) FILTER (WHERE cluster_reachable) AS "reaching!"
               FROM executor WHERE seen_at > now() - make_interval(secs => $1)"#,
            seconds
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.alive, row.reaching))
    }
}
