//! Everything that happens, as rows that are only ever added. The live page
//! and the audit are built on them.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use crate::{Store, StoreError, Tx};
use domain::{ApplicationId, OrderId};

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// An access key's name, or `sluice` for what happens by itself.
    pub actor: &'a str,
    /// What happened, as a word with dots: `order.accepted`, `batch.running`, `change.made`, …
    pub kind: &'a str,
    /// Why, for people.
    pub cause: &'a str,
    /// What belongs to it.
    pub detail: Value,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its number; later events have higher ones.
    pub id: i64,
    pub at: Timestamp,
    pub actor: String,
    pub kind: String,
    pub cause: String,
    /// What belongs to it.
    pub detail: Value,
}

impl Tx {
    /// Adds an event.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_event(
        &mut self,
        application: ApplicationId,
        order: Option<OrderId>,
        now: Timestamp,
        event: Event<'_>,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* add_event */ INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            now.to_sqlx() as _,
            application.0,
            order.map(|order| order.0),
            event.actor,
            event.kind,
            event.cause,
            event.detail
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// The events of an order, in order.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn events(&self, order: OrderId) -> Result<Vec<EventRow>, StoreError> {
        let rows =
            sqlx::query!("/* events */ SELECT id, at, actor, kind, cause, detail FROM event WHERE order_id = $1 ORDER BY id", order.0)
                .fetch_all(&self.pool)
                .await?;
        let rows = rows.into_iter().map(|row| EventRow {
            id: row.id,
            at: row.at.to_jiff(),
            actor: row.actor,
            kind: row.kind,
            cause: row.cause,
            detail: row.detail,
        });
        Ok(rows.collect())
    }
}
