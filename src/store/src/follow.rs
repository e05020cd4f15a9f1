//! What is read and heard of orders by those who follow them.

use sqlx::postgres::PgListener;

use crate::{ACCESS_CHANNEL, ANSWER_CHANNEL, CHANGED_CHANNEL, ORDER_CHANNEL, Store, StoreError};
use domain::{
    ApplicationId, OrderId,
    snapshot::{ApplicationName, TimelineEntry},
};

impl Store {
    /// Which application an order is of; none if there is no such order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn application_of(
        &self,
        order: OrderId,
    ) -> Result<Option<ApplicationName>, StoreError> {
        let row = sqlx::query!(
            "/* application_of */ SELECT a.id, a.name, a.namespace, a.cluster_id FROM change_order o JOIN application a ON a.id = o.application_id WHERE o.id = $1",
            order.0
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| ApplicationName {
            id: ApplicationId(row.id),
            name: row.name,
            namespace: row.namespace,
            cluster: row.cluster_id,
        }))
    }

    /// The last events of an order, at most `most`, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn last_events(
        &self,
        order: OrderId,
        most: i64,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let rows = sqlx::query!(
            "/* last_events */ SELECT id, at, actor, kind, cause FROM event WHERE order_id = $1 ORDER BY id DESC LIMIT $2",
            order.0,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let entries = rows.into_iter().rev().map(|row| TimelineEntry {
            id: row.id,
            at: row.at.to_jiff(),
            actor: row.actor,
            kind: row.kind,
            cause: row.cause,
        });
        Ok(entries.collect())
    }

    /// Tells those who follow orders that these have changed, in no transaction: a
    /// notification of a commit makes all other commits that notify wait.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn tell_changed(&self, orders: &[OrderId]) -> Result<(), StoreError> {
        let ids: Vec<String> = orders.iter().map(ToString::to_string).collect();
        sqlx::query!(
            "/* tell_changed */ SELECT pg_notify($1, $2) AS \"sent: ()\"",
            CHANGED_CHANNEL,
            ids.join(" ")
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(())
    }

    /// A connection of its own that receives the notifications about orders that changed,
    /// about who may do what, and about answers.
    ///
    /// # Errors
    /// [`StoreError::Sql`] if the database cannot be reached.
    pub async fn listen_for_changes(&self) -> Result<PgListener, StoreError> {
        let channels = [ORDER_CHANNEL, CHANGED_CHANNEL, ACCESS_CHANNEL, ANSWER_CHANNEL];
        Ok(self.pool.listen(&channels).await?)
    }
}
