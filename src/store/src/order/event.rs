//! Everything that happens, as rows that are only ever added. The live page
//! and the audit are built on them.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use crate::{Store, StoreError, Tx};
use domain::{ApplicationId, OrderId};

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// An access key's name, or `sluice` for what nobody requested.
    pub actor: &'a str,
    /// What happened, as a word with dots: `order.accepted`, `order.bring_up`, `change.made`, …
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

/// A place in the sequence of all events, from which reading goes on. Its text is nobody's
/// to understand. It holds for one database: one that was restored from a dump begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct EventPosition {
    transaction: u64,
    id: i64,
}

impl fmt::Display for EventPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.transaction, self.id)
    }
}

impl FromStr for EventPosition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = |text: &str| {
            let (transaction, id) = text.split_once('-')?;
            Some(Self { transaction: transaction.parse().ok()?, id: id.parse().ok()? })
        };
        read(text).filter(|it| it.id >= 0).ok_or("it must be the position of an event")
    }
}

/// An event with where it was and what it was about.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedEvent {
    pub position: EventPosition,
    pub application: ApplicationId,
    pub order: Option<OrderId>,
    pub event: EventRow,
}

impl Store {
    /// The events after a position, at most `most`, in an order that never changes: what
    /// is read later comes later. An event comes once all transactions of this Postgres
    /// server have ended that began to write before its own: within milliseconds, unless
    /// somebody else's is open for long.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn events_since(
        &self,
        position: EventPosition,
        most: i64,
    ) -> Result<Vec<PlacedEvent>, StoreError> {
        let rows = sqlx::query!(
            r#"/* events_since */ SELECT written_in::text AS "transaction!", id, at, application_id, order_id, actor, kind, cause, detail
               FROM event
               WHERE (written_in, id) > ($1::text::xid8, $2) AND written_in < pg_snapshot_xmin(pg_current_snapshot())
               ORDER BY written_in, id LIMIT $3"#,
            position.transaction.to_string(),
            position.id,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let why = |error: std::num::ParseIntError| StoreError::Corrupt {
                    what: "written_in",
                    why: error.to_string(),
                };
                let transaction = row.transaction.parse().map_err(why)?;
                Ok(PlacedEvent {
                    position: EventPosition { transaction, id: row.id },
                    application: ApplicationId(row.application_id),
                    order: row.order_id.map(OrderId),
                    event: EventRow {
                        id: row.id,
                        at: row.at.to_jiff(),
                        actor: row.actor,
                        kind: row.kind,
                        cause: row.cause,
                        detail: row.detail,
                    },
                })
            })
            .collect()
    }

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
