//! The presence of an executor: an advisory lock of a connection of its own. Postgres gives it
//! back as soon as that connection ends, whatever ended the process.
//!
//! It is a hint. Whoever finds the lock of another executor free ends the leases of that one
//! before their time. If it lives after all, it has lost them like any others: its writes carry
//! a generation that is too old. The lease stays what counts for an executor that only fell
//! silent, and for one that has no such lock.
//!
//! Nobody waits for a lock: a statement that waits keeps a snapshot, and Postgres could not
//! clean up behind it for days. A look asks for all locks at once and gives them back at its
//! end.

use sqlx::{ConnectOptions, PgConnection};
use uuid::Uuid;

use crate::{Store, StoreError, pool::Connections};
use domain::ClusterId;

/// The lock that shows that an executor lives, and the connection that holds it. Dropping it
/// lets others take over.
#[derive(Debug)]
pub struct Presence {
    connection: PgConnection,
    /// Postgres' process behind the connection.
    backend: i32,
    key: i64,
    /// The connections of its program: it goes with them.
    others: Connections,
}

/// What an executor finds when it looks for the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presences {
    /// These others of the cluster are gone.
    Gone(Vec<String>),
    /// The connection is another one of Postgres than before, so the lock is not this
    /// executor's to hold.
    Shared,
    /// The executor's own lock is not on record any more.
    Unrecorded,
}

impl Store {
    /// Takes the lock of an executor of the cluster, and puts it on record. None if a pooler
    /// is before Postgres that lends a connection for each transaction: whoever holds a lock
    /// there is not known.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn show_presence(
        &self,
        cluster: &ClusterId,
        holder: &str,
    ) -> Result<Option<Presence>, StoreError> {
        let mut connection = self.pool.options().connect().await?;
        // A new one each time: the one before may still be held by a connection that broke.
        let key = Uuid::now_v7().as_u64_pair().1.cast_signed();
        let locked = sqlx::query!(
            r#"/* lock_presence */ SELECT pg_advisory_lock($1) AS "locked: ()", pg_backend_pid() AS "backend!""#,
            key
        )
        .fetch_one(&mut connection)
        .await?;
        let mut presence =
            Presence { connection, backend: locked.backend, key, others: self.pool.clone() };
        // Two connections that are open at once are never one, except behind a pooler.
        let other = sqlx::query_scalar!(r#"/* other_backend */ SELECT pg_backend_pid() AS "it!""#)
            .fetch_one(&self.pool)
            .await?;
        if other == presence.backend {
            self.withdraw_presence(holder).await?;
            return Ok(None);
        }
        presence.record(cluster, holder).await?;
        Ok(Some(presence))
    }

    /// Takes the lock of an executor off the record: from then on, only its leases count.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn withdraw_presence(&self, holder: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "/* withdraw_presence */ UPDATE executor SET presence_key = NULL WHERE holder = $1",
            holder
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Ends the leases of executors of the cluster that are gone, and wakes who may take the
    /// orders over. Returns how many leases it ended. An order whose row is locked is left for the
    /// next time.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn end_leases_of(
        &self,
        cluster: &ClusterId,
        gone: &[String],
    ) -> Result<usize, StoreError> {
        // What a killed process had sent still arrives: a lease that it takes or extends after
        // this. So its row stays for a while, and it is found again. The date that the lease
        // gets is before that of any statement, so that none extends it.
        let ended = sqlx::query!(
            r#"/* end_leases_of */ WITH held AS (
                   SELECT id FROM change_order
                   WHERE cluster_id = $1 AND (finished_at IS NULL OR finalizing) AND lease_holder = ANY($2) AND lease_expires_at > now()
                   FOR UPDATE SKIP LOCKED
               ), forgotten AS (
                   DELETE FROM executor WHERE holder = ANY($2) AND seen_at < now() - interval '30 s'
               ), ended AS (
                   UPDATE change_order SET lease_expires_at = 'epoch' FROM held WHERE change_order.id = held.id RETURNING change_order.id
               )
               SELECT id, pg_notify('sluice_order', id::text) AS "told: ()" FROM ended"#,
            cluster.as_str(),
            gone
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ended.len())
    }
}

impl Presence {
    /// Looks which other executors of the cluster are gone.
    ///
    /// # Errors
    /// [`StoreError::Sql`]: the connection, and the lock with it, are lost.
    pub async fn look(
        &mut self,
        cluster: &ClusterId,
        holder: &str,
    ) -> Result<Presences, StoreError> {
        if self.others.are_closed() {
            return Err(sqlx::Error::PoolClosed.into());
        }
        let found = sqlx::query!(
            r#"/* look_for_gone */ SELECT pg_backend_pid() AS "backend!",
                   ARRAY(
                       SELECT holder FROM (
                           SELECT holder, presence_key FROM executor
                           WHERE cluster_id = $1 AND holder <> $2 AND presence_key IS NOT NULL OFFSET 0
                       ) AS other WHERE pg_try_advisory_xact_lock_shared(presence_key)
                   ) AS "gone!",
                   EXISTS (SELECT 1 FROM executor WHERE holder = $2 AND presence_key = $3) AS "recorded!""#,
            cluster.as_str(),
            holder,
            self.key
        )
        .fetch_one(&mut self.connection)
        .await?;
        Ok(if found.backend != self.backend {
            Presences::Shared
        } else if found.recorded {
            Presences::Gone(found.gone)
        } else {
            Presences::Unrecorded
        })
    }

    /// Puts the lock on record; the executor too, if it is not yet.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn record(&mut self, cluster: &ClusterId, holder: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "/* record_presence */ INSERT INTO executor (cluster_id, holder, seen_at, cluster_reachable, presence_key) VALUES ($1, $2, now(), false, $3)
             ON CONFLICT (holder) DO UPDATE SET presence_key = $3",
            cluster.as_str(),
            holder,
            self.key
        )
        .execute(&mut self.connection)
        .await?;
        Ok(())
    }
}
