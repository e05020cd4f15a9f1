//! The cluster as executors last saw it, and the executors themselves.

pub(crate) mod identity;
pub(crate) mod moved_on;
pub(crate) mod presence;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::{Store, StoreError, Tx};
use domain::{ApplicationId, ClusterId, KnownCluster, rights::Scope};

/// The cluster as last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// Kubernetes version, empty until it was seen.
    pub version: String,
    /// Its namespaces, sorted.
    pub namespaces: Vec<String>,
    /// Those whose applications are released, sorted; none = all.
    pub served_namespaces: Option<Vec<String>>,
    /// Whether a client removed it, and none imported it again.
    pub removed: bool,
}

/// The executors of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executors {
    /// How many send heartbeats.
    pub alive: i64,
    /// How many of them can drive orders.
    pub reaching: i64,
    /// Why one of the others cannot, if one says so.
    pub trouble: Option<String>,
    /// What they warn of, each once.
    pub warnings: Vec<String>,
}

impl ClusterRow {
    /// The namespaces whose applications are released.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.served_namespaces.clone().map_or(Scope::Whole, Scope::Named)
    }
}

impl Store {
    /// Makes the cluster known, if it is not.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn register_cluster(&self, id: &ClusterId) -> Result<(), StoreError> {
        sqlx::query!("/* register_cluster */ INSERT INTO kubernetes_cluster (id) VALUES ($1) ON CONFLICT (id) DO NOTHING", id.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Mirrors what an executor sees of the cluster, and where it releases applications.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn mirror_cluster(
        &self,
        cluster: &KnownCluster,
        version: &str,
        namespaces: &[String],
        scope: &Scope,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* mirror_cluster */ UPDATE kubernetes_cluster SET version = $2, namespaces = $3, seen_at = $4, served_namespaces = $6 WHERE id = $1 AND identity = $5",
            cluster.id.as_str(),
            version,
            namespaces,
            now.to_sqlx() as _,
            cluster.identity.as_str(),
            scope.names()
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The cluster as last seen.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn cluster(&self, id: &ClusterId) -> Result<Option<ClusterRow>, StoreError> {
        let row = sqlx::query_as!(
            ClusterRow,
            "/* cluster */ SELECT version, namespaces, served_namespaces, removed_at IS NOT NULL AS \"removed!\" FROM kubernetes_cluster WHERE id = $1",
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row)
    }

    /// The heartbeat of an executor of the cluster: whether it can carry out orders there,
    /// and if not why; and what it warns of. Also deletes executors without a heartbeat for an hour.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn heartbeat(
        &self,
        cluster: &ClusterId,
        holder: &str,
        standing: Result<(), &str>,
        warnings: &[String],
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* heartbeat */ WITH gone AS (DELETE FROM executor WHERE seen_at < now() - interval '1 hour' AND holder <> $1)
             INSERT INTO executor (cluster_id, holder, seen_at, cluster_reachable, trouble, warnings) VALUES ($4, $1, now(), $2, $3, $5)
             ON CONFLICT (holder) DO UPDATE SET seen_at = now(), cluster_reachable = $2, trouble = $3, warnings = $5",
            holder,
            standing.is_ok(),
            standing.err(),
            cluster.as_str(),
            warnings
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Deletes an executor that ends.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn sign_off(&self, holder: &str) -> Result<(), StoreError> {
        sqlx::query!("/* sign_off */ DELETE FROM executor WHERE holder = $1", holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The executors of the cluster that sent a heartbeat within `seconds`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn executors(
        &self,
        cluster: &ClusterId,
        seconds: f64,
    ) -> Result<Executors, StoreError> {
        let row = sqlx::query_as!(
            Executors,
            r#"/* executors */ SELECT count(*) AS "alive!", count(*) FILTER (WHERE cluster_reachable) AS "reaching!", max(trouble) AS trouble,
                   ARRAY(SELECT DISTINCT warning FROM executor AS each, unnest(each.warnings) AS warning
                         WHERE each.cluster_id = $2 AND each.seen_at > now() - make_interval(secs => $1) ORDER BY warning LIMIT 20) AS "warnings!"
               FROM executor WHERE cluster_id = $2 AND seen_at > now() - make_interval(secs => $1)"#,
            seconds,
            cluster.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row)
    }

    /// Whether an executor that sent a heartbeat within `seconds` reaches the cluster of an
    /// application.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn is_reached(
        &self,
        application: ApplicationId,
        seconds: f64,
    ) -> Result<bool, StoreError> {
        let reached = sqlx::query_scalar!(
            r#"/* is_reached */ SELECT EXISTS (
                   SELECT 1 FROM executor e JOIN application a ON a.cluster_id = e.cluster_id
                   WHERE a.id = $1 AND e.cluster_reachable AND e.seen_at > now() - make_interval(secs => $2)
               ) AS "reached!""#,
            application.0,
            seconds
        );
        Ok(reached.fetch_one(&self.pool).await?)
    }

    /// Why an executor carries nothing out; none = it may, or is not on record.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn trouble_of(&self, holder: &str) -> Result<Option<String>, StoreError> {
        let row =
            sqlx::query!("/* trouble_of */ SELECT trouble FROM executor WHERE holder = $1", holder)
                .fetch_optional(&self.pool)
                .await?;
        Ok(row.and_then(|row| row.trouble))
    }
}

impl Tx {
    /// The namespaces of a cluster whose applications are released.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn scope(&mut self, id: &ClusterId) -> Result<Scope, StoreError> {
        let named = sqlx::query_scalar!(
            "/* scope */ SELECT served_namespaces FROM kubernetes_cluster WHERE id = $1",
            id.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(named.flatten().map_or(Scope::Whole, Scope::Named))
    }

    /// Whether a client removed the cluster, and none imported it again.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn is_removed(&mut self, id: &ClusterId) -> Result<bool, StoreError> {
        let removed = sqlx::query_scalar!(
            "/* is_removed */ SELECT removed_at IS NOT NULL AS \"removed!\" FROM kubernetes_cluster WHERE id = $1",
            id.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(removed.unwrap_or_default())
    }

    /// Hides a cluster without applications from clients; returns the number of its
    /// applications. Waits for those that are being created.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remove_cluster(
        &mut self,
        id: &ClusterId,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        sqlx::query!(
            "/* lock_cluster */ SELECT id FROM kubernetes_cluster WHERE id = $1 FOR UPDATE",
            id.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        let inside = sqlx::query_scalar!(
            r#"/* applications_on */ SELECT count(*) AS "count!" FROM application WHERE cluster_id = $1 AND deleted_at IS NULL"#,
            id.as_str()
        )
        .fetch_one(self.connection())
        .await?;
        if inside == 0 {
            sqlx::query!(
                "/* remove_cluster */ UPDATE kubernetes_cluster SET removed_at = $2 WHERE id = $1",
                id.as_str(),
                now.to_sqlx() as _
            )
            .execute(self.connection())
            .await?;
        }
        Ok(inside)
    }

    /// Shows a hidden cluster to clients again.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn import_cluster(&mut self, id: &ClusterId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* import_cluster */ UPDATE kubernetes_cluster SET removed_at = NULL WHERE id = $1 AND removed_at IS NOT NULL",
            id.as_str()
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
