//! Looks at the cluster that a caller waits for: asked by the service, answered by
//! an executor.
//!
//! As inquiries about releases are ([`super::inquiry`]), but gone once read, since
//! what was seen is true for a moment only.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::{
    INQUIRY_CHANNEL, Store, StoreError,
    inquiry::CLAIM_SECONDS,
    row::{document, json},
};
use domain::{
    ClusterId, KnownCluster,
    sight::{Sight, Wanted},
};

/// A look's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SightingId(Uuid);

/// A look that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its id.
    pub id: SightingId,
    /// The Deployment's namespace.
    pub namespace: String,
    /// The Deployment's name.
    pub name: String,
    /// What to look at.
    pub wanted: Wanted,
}

/// What was seen: none = there is no such Deployment. Or why nothing can be.
pub type Seen = Result<Option<Sight>, String>;

impl Store {
    /// Asks for a look, and wakes the executors.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn ask_to_look(
        &self,
        cluster: &ClusterId,
        namespace: &str,
        name: &str,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<SightingId, StoreError> {
        let id = Uuid::now_v7();
        let mut tx = self.begin().await?;
        sqlx::query!(
            "/* ask_to_look */ INSERT INTO sighting (id, cluster_id, namespace, name, wanted, asked_at) VALUES ($1, $2, $3, $4, $5, $6)",
            id,
            cluster.as_str(),
            namespace,
            name,
            json("look", &wanted)?,
            now.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        sqlx::query!("/* wake_to_look */ SELECT pg_notify($1, $2) AS \"sent: ()\"", INQUIRY_CHANNEL, cluster.as_str())
            .fetch_one(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(SightingId(id))
    }

    /// What was seen, once: it is forgotten then. None = nobody looked yet.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn take_seen(&self, id: SightingId) -> Result<Option<Seen>, StoreError> {
        let row = sqlx::query!("/* take_seen */ DELETE FROM sighting WHERE id = $1 AND seen IS NOT NULL RETURNING seen AS \"seen!\"", id.0)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| document("sight", row.seen)).transpose()
    }

    /// Takes the oldest look at the cluster that nobody is at.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn claim_sighting(&self, cluster: &KnownCluster) -> Result<Option<Sighting>, StoreError> {
        let row = sqlx::query!(
            "/* claim_sighting */ UPDATE sighting SET claimed_at = now() WHERE id = (
                 SELECT id FROM sighting
                 WHERE cluster_id = $1 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE id = $1 AND identity = $3)
                   AND seen IS NULL AND (claimed_at IS NULL OR claimed_at < now() - make_interval(secs => $2))
                 ORDER BY asked_at FOR UPDATE SKIP LOCKED LIMIT 1
             ) RETURNING id, namespace, name, wanted",
            cluster.id.as_str(),
            CLAIM_SECONDS,
            cluster.identity.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(Sighting { id: SightingId(row.id), namespace: row.namespace, name: row.name, wanted: document("look", row.wanted)? })
        })
        .transpose()
    }

    /// Tells what was seen. The first answer stays.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn answer_sighting(&self, id: SightingId, seen: &Seen) -> Result<(), StoreError> {
        sqlx::query!("/* answer_sighting */ UPDATE sighting SET seen = $2 WHERE id = $1 AND seen IS NULL", id.0, json("sight", seen)?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Forgets looks from before that time, that nobody waits for any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_sightings(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query!("/* prune_sightings */ DELETE FROM sighting WHERE asked_at < $1", before.to_sqlx() as _).execute(&self.pool).await?;
        Ok(())
    }
}
