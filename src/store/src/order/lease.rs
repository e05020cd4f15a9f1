//! Leases of orders: acquire, extend, release.
//!
//! A lease is a holder, an expiry by the database's clock, and a generation from
//! one sequence for all orders. Every later write of the holder names the
//! generation, so a holder that lost its lease writes nothing; on the cluster
//! the same number is the fencing token. The lease of a holder that is known to be gone
//! ([`crate::Presence`]) is ended before its time.
//!
//! When an order is due again is told by the clock of whoever writes it. One that is due at once
//! has no such time, but `epoch`: an executor whose clock is behind takes it up at once, too.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::progress::{Progress, ProgressRow};
use crate::{Store, StoreError, Tx};
use domain::{ClusterId, KnownCluster, OrderId, order::Order, rights::Scope};

/// A leased order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub order: OrderId,
    pub generation: i64,
}

impl Store {
    /// Leases at most `limit` orders of the cluster that are due at `now` and that nobody
    /// else holds, those first that are due at once; none if another cluster is on record under
    /// its id. An order waits while an earlier order of its application is finalizing. Where
    /// `scope` names namespaces, orders elsewhere are left alone.
    ///
    /// The order is that of the index `change_order_due`: with another one, each look sorts all
    /// that is due, or walks the orders of all time.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn acquire(
        &self,
        cluster: &KnownCluster,
        holder: &str,
        lease: Duration,
        now: Timestamp,
        limit: i64,
        scope: &Scope,
    ) -> Result<Vec<Lease>, StoreError> {
        let rows = sqlx::query!(
            r#"/* acquire */
            WITH due AS (
                SELECT id, lease_holder IS NOT NULL AS was_held, lease_expires_at = 'epoch' AS was_ended FROM change_order AS candidate
                WHERE cluster_id = $5 AND EXISTS (SELECT 1 FROM kubernetes_cluster WHERE kubernetes_cluster.id = $5 AND identity = $6)
                  AND (finished_at IS NULL OR finalizing)
                  AND run_after <= $3
                  AND (lease_expires_at IS NULL OR lease_expires_at < now())
                  AND ($7::text[] IS NULL OR EXISTS (SELECT 1 FROM application WHERE application.id = candidate.application_id AND namespace = ANY($7)))
                  AND NOT EXISTS (
                      SELECT 1 FROM change_order AS earlier
                      WHERE earlier.application_id = candidate.application_id AND earlier.finalizing AND earlier.id <> candidate.id
                  )
                ORDER BY run_after
                LIMIT $4
                FOR UPDATE SKIP LOCKED
            )
            UPDATE change_order SET lease_holder = $1, lease_expires_at = now() + make_interval(secs => $2), generation = nextval('fencing_token')
            FROM due WHERE change_order.id = due.id
            RETURNING change_order.id, generation, was_held AS "was_held!", was_ended"#,
            holder,
            lease.as_secs_f64(),
            now.to_sqlx() as _,
            limit,
            cluster.id.as_str(),
            cluster.identity.as_str(),
            scope.names()
        )
        .fetch_all(&self.pool)
        .await?;
        metrics::counter!("sluice_leases_total").increment(rows.len() as u64);
        for (holder_was, is_it) in [("gone", true), ("silent", false)] {
            let taken_over = rows
                .iter()
                .filter(|row| row.was_held && row.was_ended.unwrap_or_default() == is_it)
                .count();
            metrics::counter!("sluice_leases_taken_over_total", "holder_was" => holder_was)
                .increment(taken_over as u64);
        }
        Ok(rows
            .into_iter()
            .map(|row| Lease { order: OrderId(row.id), generation: row.generation })
            .collect())
    }

    /// Extends a lease that has not run out, and returns what its order is by now; none if
    /// the lease is lost.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn extend(
        &self,
        lease: Lease,
        duration: Duration,
    ) -> Result<Option<Progress>, StoreError> {
        let row = sqlx::query_as!(
            ProgressRow,
            r#"/* extend */ UPDATE change_order SET lease_expires_at = now() + make_interval(secs => $3)
               WHERE id = $1 AND generation = $2 AND lease_expires_at > now()
               RETURNING state::text AS "state!", step::text AS "step!", step_since, batch, confirmed, back_to, finalizing,
                   trouble, hands, goes_on, outage_since, outage_ms, obstacle, obstacle_ms,
                   (SELECT coalesce(jsonb_agg(jsonb_build_object('id', b.id, 'state', b.state, 'target', b.target, 'started_at', b.started_at) ORDER BY b.index), '[]')
                    FROM batch b WHERE b.order_id = change_order.id) AS "batches!""#,
            lease.order.0,
            lease.generation,
            duration.as_secs_f64()
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(Progress::try_from).transpose()
    }

    /// Releases a lease; the order is due again at `run_after` (none = when a person
    /// continues it). If a request arrived that the holder has not `seen`, or if the lease
    /// has run out and others may have woken the order since, it is due at once, so that
    /// nothing is missed.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn give_back(
        &self,
        lease: Lease,
        run_after: Option<Timestamp>,
        seen: &Order,
    ) -> Result<(), StoreError> {
        let confirmed = crate::row::number("confirmed", seen.confirmed)?;
        let back_to = seen.back_to.map(|stay| crate::row::number("back_to", stay)).transpose()?;
        sqlx::query!(
            "/* give_back */ UPDATE change_order SET lease_holder = NULL, lease_expires_at = NULL,
                 run_after = CASE WHEN lease_expires_at > now() AND confirmed = $4 AND back_to IS NOT DISTINCT FROM $5 AND goes_on = $6 AND ($7::int IS NULL OR hold_changes = $7) AND (finished_at IS NULL OR NOT finalizing) THEN coalesce($3::timestamptz, 'infinity'::timestamptz) ELSE run_after END
             WHERE id = $1 AND generation = $2",
            lease.order.0,
            lease.generation,
            run_after.map(|at| at.to_sqlx()) as _,
            confirmed,
            back_to,
            seen.goes_on,
            seen.hold.as_ref().map(|hold| hold.changes)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How many applications of the cluster are outside of these namespaces, and the names
    /// of some of their namespaces.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn not_served(
        &self,
        cluster: &ClusterId,
        namespaces: &[String],
    ) -> Result<(i64, Vec<String>), StoreError> {
        let row = sqlx::query!(
            r#"/* not_served */ SELECT count(*) AS "count!", (array_agg(DISTINCT namespace ORDER BY namespace))[1:5] AS namespaces
               FROM application WHERE cluster_id = $1 AND deleted_at IS NULL AND namespace <> ALL($2)"#,
            cluster.as_str(),
            namespaces
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.count, row.namespaces.unwrap_or_default()))
    }

    /// The orders of the cluster that rest, at most `most`, with the
    /// namespace and the name of their Deployment.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn resting_orders(
        &self,
        cluster: &ClusterId,
        scope: &Scope,
        most: i64,
    ) -> Result<Vec<(OrderId, String, String)>, StoreError> {
        let rows = sqlx::query!(
            "/* resting_orders */ SELECT o.id, a.namespace, a.name FROM change_order o JOIN application a ON a.id = o.application_id
             WHERE o.cluster_id = $1 AND o.finished_at IS NULL AND (o.step = 'paused' OR o.hands->'paused_by' IS NOT NULL)
                 AND ($3::text[] IS NULL OR a.namespace = ANY($3)) ORDER BY o.created_at, o.id LIMIT $2",
            cluster.as_str(),
            most,
            scope.names()
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (OrderId(row.id), row.namespace, row.name)).collect())
    }

    /// Makes an order of the cluster due that rests. False if somebody
    /// holds it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn wake_resting(
        &self,
        cluster: &ClusterId,
        order: OrderId,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* wake_resting */ UPDATE change_order SET run_after = 'epoch'
             WHERE id = $2 AND cluster_id = $1 AND finished_at IS NULL AND (step = 'paused' OR hands->'paused_by' IS NOT NULL)
                 AND (lease_expires_at IS NULL OR lease_expires_at < now())",
            cluster.as_str(),
            order.0
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// When the next order of the cluster that nobody holds becomes due, if one will without
    /// a request; in these namespaces.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn next_due(
        &self,
        cluster: &ClusterId,
        scope: &Scope,
    ) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query!(
            r#"/* next_due */ SELECT min(greatest(run_after, lease_expires_at)) AS "due" FROM change_order
               WHERE cluster_id = $1 AND (finished_at IS NULL OR finalizing) AND run_after < 'infinity'
                 AND ($2::text[] IS NULL OR EXISTS (SELECT 1 FROM application WHERE application.id = change_order.application_id AND namespace = ANY($2)))"#,
            cluster.as_str(),
            scope.names()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.due.map(jiff_sqlx::Timestamp::to_jiff))
    }
}

impl Tx {
    /// Lets an order go on that somebody paused by the Deployment. The row must be locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn go_on(&mut self, order: OrderId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* go_on */ UPDATE change_order SET goes_on = true, run_after = 'epoch' WHERE id = $1 AND finished_at IS NULL",
            order.0
        )
        .execute(self.connection())
        .await?;
        self.wake(order).await
    }
}
