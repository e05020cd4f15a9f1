//! The kubeconfigs with which servers drive clusters, sealed; and what an operator decides about
//! a cluster beside them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{CLUSTER_CHANNEL, Store, StoreError, Tx, sealed::KUBECONFIG};
use domain::{ClusterId, rights::Scope};

/// A kubeconfig that is on record, without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeconfigMark {
    pub cluster: ClusterId,
    /// Another one whenever the kubeconfig or the namespaces are.
    pub version: Uuid,
}

/// A kubeconfig that is on record.
#[derive(Debug, Clone)]
pub struct Kubeconfig {
    /// The version that was read.
    pub version: Uuid,
    /// It names no file and no program.
    pub kubeconfig: SecretString,
    /// The namespaces whose applications are released.
    pub scope: Scope,
}

/// A kubeconfig to keep.
#[derive(Debug, Clone)]
pub struct NewKubeconfig {
    /// It names no file and no program.
    pub kubeconfig: SecretString,
    /// The address of the API server, which is no secret.
    pub server: String,
    /// The namespaces whose applications are released.
    pub scope: Scope,
}

/// What is on record of a cluster, while a transaction keeps it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnRecord {
    /// Whether an operator removed it.
    pub forgotten: bool,
    /// Whether there is a kubeconfig of it.
    pub has_kubeconfig: bool,
}

impl Store {
    /// The clusters that servers drive with a kubeconfig, by their ids.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn kubeconfig_marks(&self) -> Result<Vec<KubeconfigMark>, StoreError> {
        let rows = sqlx::query!(
            "/* kubeconfig_marks */ SELECT cluster_id, version FROM cluster_credential ORDER BY cluster_id"
        )
        .fetch_all(&self.pool)
        .await?;
        let marks = rows
            .into_iter()
            .map(|row| KubeconfigMark { cluster: row.cluster_id.into(), version: row.version });
        Ok(marks.collect())
    }

    /// The kubeconfig of a cluster; none = there is none on record.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or what keeps it from opening.
    pub async fn kubeconfig(&self, id: &ClusterId) -> Result<Option<Kubeconfig>, StoreError> {
        let row = sqlx::query!(
            "/* kubeconfig */ SELECT kubeconfig, version, served_namespaces FROM cluster_credential WHERE cluster_id = $1",
            id.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Kubeconfig {
            version: row.version,
            kubeconfig: self.keyring.open_secret(KUBECONFIG, id, &row.kubeconfig)?,
            scope: row.served_namespaces.map_or(Scope::Whole, Scope::Named),
        }))
    }
}

impl Tx {
    /// What is on record of a cluster, whose row the caller has locked; none = nothing is.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn recorded_cluster(
        &mut self,
        id: &ClusterId,
    ) -> Result<Option<OnRecord>, StoreError> {
        let row = sqlx::query_as!(
            OnRecord,
            r#"/* recorded_cluster */ SELECT forgotten_at IS NOT NULL AS "forgotten!",
                   EXISTS (SELECT 1 FROM cluster_credential WHERE cluster_id = $1) AS "has_kubeconfig!"
               FROM kubernetes_cluster WHERE id = $1"#,
            id.as_str()
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row)
    }

    /// How many clusters servers drive with a kubeconfig.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn count_kubeconfigs(&mut self) -> Result<i64, StoreError> {
        let count = sqlx::query_scalar!(
            r#"/* count_kubeconfigs */ SELECT count(*) AS "count!" FROM cluster_credential"#
        );
        Ok(count.fetch_one(self.connection()).await?)
    }

    /// Keeps the kubeconfig of a cluster that has none yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_kubeconfig(
        &mut self,
        id: &ClusterId,
        new: &NewKubeconfig,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sealed = self.sealed(id, new)?;
        sqlx::query!(
            "/* insert_kubeconfig */ INSERT INTO cluster_credential (cluster_id, kubeconfig, server, served_namespaces, added_at) VALUES ($1, $2, $3, $4, $5)",
            id.as_str(),
            sealed,
            new.server,
            new.scope.names(),
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        self.tell_servers().await
    }

    /// Puts another kubeconfig in the place of a cluster's; the namespaces stay.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rotate_kubeconfig(
        &mut self,
        id: &ClusterId,
        new: &NewKubeconfig,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let sealed = self.sealed(id, new)?;
        sqlx::query!(
            "/* rotate_kubeconfig */ UPDATE cluster_credential SET kubeconfig = $2, server = $3, rotated_at = $4, version = gen_random_uuid() WHERE cluster_id = $1",
            id.as_str(),
            sealed,
            new.server,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        self.tell_servers().await
    }

    /// Deletes the kubeconfig of a cluster; says whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn delete_kubeconfig(&mut self, id: &ClusterId) -> Result<bool, StoreError> {
        let gone = sqlx::query!(
            "/* delete_kubeconfig */ DELETE FROM cluster_credential WHERE cluster_id = $1",
            id.as_str()
        )
        .execute(self.connection())
        .await?;
        self.tell_servers().await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Marks a cluster as one that an operator removed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn forget_cluster(
        &mut self,
        id: &ClusterId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* forget_cluster */ UPDATE kubernetes_cluster SET forgotten_at = $2, removed_at = coalesce(removed_at, $2) WHERE id = $1",
            id.as_str(),
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Makes a cluster known, and one that was removed too.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remember_cluster(&mut self, id: &ClusterId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* remember_cluster */ INSERT INTO kubernetes_cluster (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET forgotten_at = NULL, removed_at = NULL",
            id.as_str()
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes its identity from a cluster that was removed, so that another id can have it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn release_identity(&mut self, id: &ClusterId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* release_identity */ UPDATE kubernetes_cluster SET identity = NULL WHERE id = $1 AND forgotten_at IS NOT NULL",
            id.as_str()
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    fn sealed(&self, id: &ClusterId, new: &NewKubeconfig) -> Result<Vec<u8>, StoreError> {
        self.keyring.seal_bytes(KUBECONFIG, id, new.kubeconfig.expose_secret().as_bytes())
    }

    /// Servers look at once which clusters there are.
    async fn tell_servers(&mut self) -> Result<(), StoreError> {
        sqlx::query!(
            r#"/* tell_servers */ SELECT pg_notify($1, '') AS "told: ()""#,
            CLUSTER_CHANNEL
        )
        .fetch_one(self.connection())
        .await?;
        Ok(())
    }
}
