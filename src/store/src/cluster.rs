//! The cluster as executors last saw it, and the executors themselves.

pub(crate) mod identity;
pub(crate) mod kubeconfig;
pub(crate) mod moved_on;
pub(crate) mod presence;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::{Store, StoreError, Tx};
use domain::{ApplicationId, ClusterId, KnownCluster, Rejection, rights::Scope};

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

/// A cluster on record, with its executors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenCluster {
    pub id: ClusterId,
    /// Its identity, once it was seen.
    pub identity: Option<String>,
    /// Kubernetes version, empty until it was seen.
    pub version: String,
    /// Its namespaces, sorted.
    pub namespaces: Vec<String>,
    /// Whether a client removed it, and none imported it again.
    pub removed: bool,
    /// The address of its API server, where servers drive it with a kubeconfig.
    pub server: Option<String>,
    /// When its kubeconfig was added.
    pub added_at: Option<Timestamp>,
    /// When another kubeconfig last took its place.
    pub rotated_at: Option<Timestamp>,
    pub executors: Executors,
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
}

impl ClusterRow {
    /// The namespaces whose applications are released.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.served_namespaces.clone().map_or(Scope::Whole, Scope::Named)
    }
}

impl Store {
    /// Makes the cluster known, if it is not, or if an operator removed it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn register_cluster(&self, id: &ClusterId) -> Result<(), StoreError> {
        sqlx::query!("/* register_cluster */ INSERT INTO kubernetes_cluster (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET forgotten_at = NULL, removed_at = NULL WHERE kubernetes_cluster.forgotten_at IS NOT NULL", id.as_str())
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

    /// The cluster as last seen; none = there is no such one, or an operator removed it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn cluster(&self, id: &ClusterId) -> Result<Option<ClusterRow>, StoreError> {
        let row = sqlx::query_as!(
            ClusterRow,
            "/* cluster */ SELECT version, namespaces, served_namespaces, removed_at IS NOT NULL AS \"removed!\" FROM kubernetes_cluster WHERE id = $1 AND forgotten_at IS NULL",
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row)
    }

    /// Every cluster that no operator removed, by its id, with the executors that sent a
    /// heartbeat within `seconds`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn clusters(&self, seconds: f64) -> Result<Vec<SeenCluster>, StoreError> {
        let rows = sqlx::query!(
            r#"/* clusters */ SELECT c.id, c.identity, c.version, c.namespaces, c.removed_at IS NOT NULL AS "removed!",
                   k.server AS "server?", k.added_at AS "added_at?", k.rotated_at AS "rotated_at?",
                   count(e.holder) AS "alive!", count(e.holder) FILTER (WHERE e.cluster_reachable) AS "reaching!", max(e.trouble) AS trouble
               FROM kubernetes_cluster c
                   LEFT JOIN cluster_credential k ON k.cluster_id = c.id
                   LEFT JOIN executor e ON e.cluster_id = c.id AND e.seen_at > now() - make_interval(secs => $1)
               WHERE c.forgotten_at IS NULL
               GROUP BY c.id, k.cluster_id ORDER BY c.id"#,
            seconds
        )
        .fetch_all(&self.pool)
        .await?;
        let clusters = rows.into_iter().map(|row| SeenCluster {
            id: row.id.into(),
            identity: row.identity,
            version: row.version,
            namespaces: row.namespaces,
            removed: row.removed,
            server: row.server,
            added_at: row.added_at.map(jiff_sqlx::Timestamp::to_jiff),
            rotated_at: row.rotated_at.map(jiff_sqlx::Timestamp::to_jiff),
            executors: Executors { alive: row.alive, reaching: row.reaching, trouble: row.trouble },
        });
        Ok(clusters.collect())
    }

    /// How many change orders of a cluster are open or finalizing.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn count_open_orders(&self, id: &ClusterId) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"/* count_open_orders */ SELECT count(*) AS "count!" FROM change_order WHERE cluster_id = $1 AND (finished_at IS NULL OR finalizing)"#,
            id.as_str()
        );
        Ok(count.fetch_one(&self.pool).await?)
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
            r#"/* executors */ SELECT count(*) AS "alive!", count(*) FILTER (WHERE cluster_reachable) AS "reaching!", max(trouble) AS trouble
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

    /// Which of these executors carry nothing out, and why.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn troubles_of(
        &self,
        holders: &[String],
    ) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"/* troubles_of */ SELECT holder, trouble AS "trouble!" FROM executor WHERE holder = ANY($1) AND trouble IS NOT NULL"#,
            holders
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.holder, row.trouble)).collect())
    }

    /// What the executors of these clusters warn of, each once and 20 at most; of all clusters
    /// if none is named. Those count that sent a heartbeat within `seconds`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn warnings(
        &self,
        clusters: &[String],
        seconds: f64,
    ) -> Result<Vec<String>, StoreError> {
        let warnings = sqlx::query_scalar!(
            r#"/* warnings */ SELECT DISTINCT warning AS "warning!" FROM executor, unnest(warnings) AS warning
               WHERE (cardinality($1::text[]) = 0 OR cluster_id = ANY($1)) AND seen_at > now() - make_interval(secs => $2)
               ORDER BY 1 LIMIT 20"#,
            clusters,
            seconds
        );
        Ok(warnings.fetch_all(&self.pool).await?)
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
    /// [`Rejection::UnknownCluster`] if an operator removed it, or [`StoreError::Sql`].
    pub async fn import_cluster(&mut self, id: &ClusterId) -> Result<(), StoreError> {
        let forgotten = sqlx::query_scalar!(
            r#"/* import_cluster */ WITH shown AS (
                   UPDATE kubernetes_cluster SET removed_at = NULL WHERE id = $1 AND removed_at IS NOT NULL AND forgotten_at IS NULL)
               SELECT forgotten_at IS NOT NULL AS "forgotten!" FROM kubernetes_cluster WHERE id = $1"#,
            id.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        match forgotten {
            Some(false) => Ok(()),
            Some(true) | None => Err(Rejection::UnknownCluster(id.to_string()).into()),
        }
    }
}
