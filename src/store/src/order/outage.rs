//! What an order says and counts while it cannot go on; and fencing tokens on the cluster
//! that the database does not know.

use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx;

use crate::{
    Lease, Store, StoreError,
    row::{value, word},
};
use domain::{
    InstallationId, OrderId,
    order::outage::{Met, Obstacle, OutageClock},
};

/// How far beyond a token that was found the next one is: others may be given out while the
/// sequence is moved.
const MARGIN: i64 = 1000;

/// Who wrote a Deployment under a newer token than a lease's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// Another executor of this installation, most likely: the lease is lost, or soon is.
    Executor,
    /// Nobody whom this database knows: the lease has a newer token by now.
    Nobody(Lease),
    /// A change order that this database does not know, made after the one of the lease.
    Order(OrderId),
}

/// An order's outages, of its row.
pub(crate) fn clock(
    (since, over): (Option<jiff_sqlx::Timestamp>, i64),
    (obstacle, lasted): (Option<String>, i64),
) -> Result<OutageClock, StoreError> {
    // What was in the way before counts no more.
    let obstacle = obstacle.filter(|_| since.is_some());
    let obstacle = obstacle.map(|word| value::<Obstacle>("obstacle", word)).transpose()?;
    Ok(OutageClock {
        over: SignedDuration::from_millis(over),
        since: since.map(jiff_sqlx::Timestamp::to_jiff),
        obstacle: obstacle.map(|it| (it, SignedDuration::from_millis(lasted))),
    })
}

impl Store {
    /// This installation.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn installation(&self) -> Result<InstallationId, StoreError> {
        let row = sqlx::query!("/* installation */ SELECT id FROM installation")
            .fetch_one(&self.pool)
            .await?;
        Ok(InstallationId(row.id))
    }

    /// Says in an open order why it cannot go on, and since when: what is in its way `now`,
    /// and for how long.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    pub async fn note_outage(
        &self,
        lease: Lease,
        met: Met,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let lasted = i64::try_from(met.lasts(now).as_millis()).unwrap_or(i64::MAX);
        let written = sqlx::query!(
            "/* note_outage */ UPDATE change_order SET outage_since = coalesce(outage_since, $3), obstacle = $5, obstacle_ms = $6,
                 message_before_outage = coalesce(message_before_outage, message), message = $4
             WHERE id = $1 AND generation = $2 AND finished_at IS NULL",
            lease.order.0,
            lease.generation,
            met.any_since.to_sqlx() as _,
            message,
            word(met.obstacle),
            lasted
        )
        .execute(&self.pool)
        .await?;
        fenced(written.rows_affected(), lease)
    }

    /// Ends the outage of an order: it goes on, and says what it said before. One that ended
    /// meanwhile stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    pub async fn end_outage(&self, lease: Lease, now: Timestamp) -> Result<(), StoreError> {
        let written = sqlx::query!(
            "/* end_outage */ UPDATE change_order SET
                 outage_ms = outage_ms + greatest(0, coalesce(extract(epoch FROM $3::timestamptz - outage_since) * 1000, 0))::bigint,
                 outage_since = NULL, message = coalesce(message_before_outage, message), message_before_outage = NULL
             WHERE id = $1 AND generation = $2",
            lease.order.0,
            lease.generation,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        fenced(written.rows_affected(), lease)
    }

    /// Finds out who wrote `token` on a Deployment, by the order `by`. Where this database
    /// never gave that token out, it was restored from a backup or somebody edited the
    /// Deployment: its tokens go on from there, and the lease gets the next one.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    pub async fn raise_token(
        &self,
        lease: Lease,
        token: i64,
        by: Option<OrderId>,
    ) -> Result<Newer, StoreError> {
        let mut tx = self.begin().await?;
        // Two that move it would move it twice.
        sqlx::query!("/* lock_installation */ SELECT id FROM installation FOR UPDATE")
            .fetch_one(tx.connection())
            .await?;
        let given = sqlx::query!("/* last_token */ SELECT last_value FROM fencing_token")
            .fetch_one(tx.connection())
            .await?
            .last_value;
        if token <= given {
            return Ok(Newer::Executor);
        }
        if let Some(by) = by.filter(|by| by.0 > lease.order.0) {
            let known =
                sqlx::query!("/* known_order */ SELECT id FROM change_order WHERE id = $1", by.0)
                    .fetch_optional(tx.connection())
                    .await?;
            if known.is_none() {
                return Ok(Newer::Order(by));
            }
        }
        sqlx::query!(
            "/* raise_token */ SELECT setval('fencing_token', $1) AS now",
            token.saturating_add(MARGIN)
        )
        .fetch_one(tx.connection())
        .await?;
        let row = sqlx::query!(
            "/* renew_lease */ UPDATE change_order SET generation = nextval('fencing_token')
             WHERE id = $1 AND generation = $2 AND lease_expires_at > now() RETURNING generation",
            lease.order.0,
            lease.generation
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else {
            return Err(StoreError::Fenced { generation: lease.generation });
        };
        tx.commit().await?;
        Ok(Newer::Nobody(Lease { order: lease.order, generation: row.generation }))
    }
}

fn fenced(rows: u64, lease: Lease) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::Fenced { generation: lease.generation }) } else { Ok(()) }
}
