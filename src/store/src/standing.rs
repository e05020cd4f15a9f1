//! What stands in the database now, in numbers: for those who watch the program.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{Store, StoreError, row};
use domain::{
    ClusterId,
    order::{Kind, State},
};

/// Change orders of one cluster, kind and state that have not come to their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrders {
    pub cluster: ClusterId,
    pub kind: Kind,
    pub state: State,
    pub count: u64,
    /// When the oldest of them was accepted.
    pub oldest: Timestamp,
}

/// What waits for this program, and what it uses of the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub orders: Vec<OpenOrders>,
    /// Object writes that no executor has answered.
    pub object_writes: u64,
    /// Since when the oldest entry of the audit waits to be in its log.
    pub audit_waits: Duration,
    /// Since when the oldest notice waits that an enabled channel was not told of.
    pub notification_waits: Duration,
    /// Connections to the database, and how many of them nobody uses now.
    pub connections: u64,
    pub idle_connections: u64,
}

impl Store {
    /// What stands at `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn standing(&self, now: Timestamp) -> Result<Standing, StoreError> {
        let rows = sqlx::query!(
            r#"/* open_orders */ SELECT cluster_id, kind::text AS "kind!", state::text AS "state!", count(*) AS "count!", min(created_at) AS "oldest!"
               FROM change_order WHERE finished_at IS NULL OR finalizing GROUP BY cluster_id, kind, state"#
        )
        .fetch_all(&self.pool)
        .await?;
        let orders = rows
            .into_iter()
            .map(|row| {
                Ok(OpenOrders {
                    cluster: ClusterId::from(row.cluster_id),
                    kind: row::value("kind", row.kind)?,
                    state: row::value("state", row.state)?,
                    count: row.count.unsigned_abs(),
                    oldest: row.oldest.to_jiff(),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        let queues = sqlx::query!(
            r#"/* queues */ SELECT (SELECT count(*) FROM object_write WHERE answered_at IS NULL) AS "object_writes!",
                   (SELECT min(at) FROM audit_entry WHERE id > (SELECT coalesce(max(entry), 0) FROM audit_leaf)) AS audit_waits,
                   (SELECT min(written_at) FROM notification n JOIN notification_channel c ON c.id = n.channel_id WHERE c.enabled AND n.outcome IS NULL) AS notification_waits"#
        )
        .fetch_one(&self.pool)
        .await?;
        let waits = |since: Option<Timestamp>| {
            let waits = since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
            Duration::try_from(waits).unwrap_or_default()
        };
        let (connections, idle_connections) = self.pool.counts();
        Ok(Standing {
            orders,
            object_writes: queues.object_writes.unsigned_abs(),
            audit_waits: waits(queues.audit_waits.map(|since| since.to_jiff())),
            notification_waits: waits(queues.notification_waits.map(|since| since.to_jiff())),
            connections,
            idle_connections,
        })
    }
}
