//! The outbox: what channels are still to be told. [`Tx::add_told_event`] fills it, in the
//! transaction of the transition; whoever claims a row sends it, and notes what came of it.
//!
//! A channel is told one thing after another, so only the first that waits is claimed. A
//! claim runs out: a program that is killed while it sends leaves what it sent to another
//! one, which sends it again.

use std::time::Duration;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::SecretString;
use uuid::Uuid;

use crate::{
    Event, NOTIFICATION_CHANNEL, Store, StoreError, Tx,
    row::{count, number, value, word},
    sealed::{CHANNEL_SECRET, CHANNEL_URL},
};
use domain::{
    ApplicationId, OrderId,
    notice::{About, ChannelKind, Notice, Telling},
};

/// Rows of before that are deleted at once.
const PRUNED: i64 = 1000;

/// A notice that is to be sent.
#[derive(Debug)]
pub struct Claimed {
    /// Its number, and how many attempts were made with this one: what the claim is.
    pub id: i64,
    pub attempts: u32,
    /// The same in each attempt.
    pub message: Uuid,
    pub notice: Notice,
    /// Name of the channel.
    pub channel: String,
    pub kind: ChannelKind,
    pub url: SecretString,
    pub secret: Option<SecretString>,
}

/// A notice that was claimed, and whose channel cannot be read.
#[derive(Debug)]
pub struct Unread {
    pub id: i64,
    pub attempts: u32,
    pub error: StoreError,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt<'a> {
    Delivered,
    /// It failed, and is made again.
    Again {
        after: Duration,
        why: &'a str,
    },
    /// It failed, and is not made again.
    GivenUp {
        why: &'a str,
    },
}

impl Tx {
    /// Adds an event of an order, and what the channels that it is for are told of it.
    /// Without channels, and with nothing to tell, it is an event as any other.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_told_event(
        &mut self,
        application: ApplicationId,
        order: OrderId,
        now: Timestamp,
        event: Event<'_>,
        told: Option<Telling>,
    ) -> Result<(), StoreError> {
        let Some(told) = told else {
            return self.add_event(application, Some(order), now, event).await;
        };
        sqlx::query!(
            r#"/* add_told_event */ WITH happened AS (
                   INSERT INTO event (at, application_id, order_id, actor, kind, cause, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)
               ), told AS (
                   INSERT INTO notification (channel_id, order_id, topic, state, batch, cause, happened_at)
                   SELECT c.id, $3, $8, $9::text::order_state, $10, left($6, 2000), $1
                   FROM application a,
                       -- One that is being removed is told nothing, and holds nothing up.
                       (SELECT id, namespaces, applications FROM notification_channel WHERE enabled AND $8 = ANY (topics) FOR KEY SHARE SKIP LOCKED) c
                   WHERE a.id = $2
                       AND fits_any(c.namespaces, a.namespace) AND fits_any(c.applications, a.name)
                   RETURNING id
               ) SELECT pg_notify($11, '') AS "sent: ()" FROM told LIMIT 1"#,
            now.to_sqlx() as _,
            application.0,
            order.0,
            event.actor,
            event.kind,
            event.cause,
            event.detail,
            word(told.topic),
            word(told.state),
            number("batch", told.batch)?,
            NOTIFICATION_CHANNEL
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// Claims what is due for `lease`, at most `most`: of each enabled channel the first that
    /// waits, and none of those that are claimed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_notifications(
        &self,
        most: usize,
        lease: Duration,
    ) -> Result<Vec<Result<Claimed, Unread>>, StoreError> {
        let rows = sqlx::query!(
            r#"/* claim_notifications */ WITH head AS (
                   SELECT n.id FROM notification_channel c
                   CROSS JOIN LATERAL (
                       SELECT id, next_at FROM notification
                       WHERE channel_id = c.id AND outcome IS NULL ORDER BY topic <> 'test', id LIMIT 1
                   ) AS n
                   WHERE c.enabled AND n.next_at <= now()
                       AND NOT EXISTS (SELECT FROM notification other WHERE other.channel_id = c.id AND other.outcome IS NULL AND other.claimed_until >= now())
                   ORDER BY n.next_at LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED
               ), claimed AS (
                   UPDATE notification n SET attempts = n.attempts + 1, claimed_until = now() + make_interval(secs => $2)
                   FROM head WHERE n.id = head.id AND n.outcome IS NULL AND (n.claimed_until IS NULL OR n.claimed_until < now())
                   RETURNING n.*
               ) SELECT n.id, n.attempts, n.message_id, n.topic, n.state::text, n.batch, n.cause, n.happened_at, n.order_id,
                   c.id AS channel_id, c.name, c.kind, c.url, c.secret,
                   o.kind::text AS "order_kind?", o.rolls_back AS "rolls_back?", a.name AS "application?", a.namespace AS "namespace?",
                   a.cluster_id AS "cluster?", r.version AS "version?", (SELECT count(*) FROM batch WHERE batch.order_id = o.id) AS "batches!"
               FROM claimed n JOIN notification_channel c ON c.id = n.channel_id
               LEFT JOIN change_order o ON o.id = n.order_id LEFT JOIN application a ON a.id = o.application_id
               LEFT JOIN release r ON r.id = o.release_id"#,
            i64::try_from(most).unwrap_or(i64::MAX),
            lease.as_secs_f64()
        )
        .fetch_all(&self.pool)
        .await?;
        // One that does not open holds no other up.
        let claimed = rows
            .into_iter()
            .map(|row| {
                let (id, attempts) = (row.id, row.attempts.unsigned_abs());
                let read = || -> Result<Claimed, StoreError> {
                    let about = match (row.order_id, row.order_kind, row.state, row.batch) {
                        (Some(order), Some(kind), Some(state), Some(batch)) => Some(About {
                            order: OrderId(order),
                            kind: value("kind", kind)?,
                            application: row.application.unwrap_or_default(),
                            namespace: row.namespace.unwrap_or_default(),
                            cluster: row.cluster.unwrap_or_default(),
                            version: row.version.unwrap_or_default(),
                            state: value("state", state)?,
                            batch: count("batch", batch)? + 1,
                            batches: usize::try_from(row.batches).unwrap_or_default(),
                            cause: row.cause,
                            rolls_back: row.rolls_back.map(OrderId),
                        }),
                        _ => None,
                    };
                    let notice = Notice {
                        topic: value("topic", row.topic)?,
                        at: row.happened_at.to_jiff(),
                        about,
                    };
                    let secret = row.secret.as_ref();
                    let open = |secret: &Vec<u8>| {
                        self.keyring.open_secret(CHANNEL_SECRET, row.channel_id, secret)
                    };
                    Ok(Claimed {
                        id: row.id,
                        attempts: row.attempts.unsigned_abs(),
                        message: row.message_id,
                        notice,
                        channel: row.name,
                        kind: value("kind of a channel", row.kind)?,
                        url: self.keyring.open_secret(CHANNEL_URL, row.channel_id, &row.url)?,
                        secret: secret.map(open).transpose()?,
                    })
                };
                read().map_err(|error| Unread { id, attempts, error })
            })
            .collect();
        Ok(claimed)
    }

    /// Notes what came of an attempt, and returns whether that is on record: not where the
    /// claim has run out and another program has it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn note_attempt(
        &self,
        id: i64,
        attempts: u32,
        attempt: Attempt<'_>,
    ) -> Result<bool, StoreError> {
        let (outcome, error, after) = match attempt {
            Attempt::Delivered => (Some("delivered"), "", Duration::ZERO),
            Attempt::Again { after, why } => (None, why, after),
            Attempt::GivenUp { why } => (Some("given_up"), why, Duration::ZERO),
        };
        let noted = sqlx::query!(
            "/* note_attempt */ UPDATE notification SET claimed_until = NULL, outcome = $3, error = left($4, 500),
                 ended_at = CASE WHEN $3::text IS NOT NULL THEN now() END, next_at = now() + make_interval(secs => $5)
             WHERE id = $1 AND attempts = $2 AND outcome IS NULL",
            id,
            i32::try_from(attempts).unwrap_or(i32::MAX),
            outcome,
            error,
            after.as_secs_f64()
        )
        .execute(&self.pool)
        .await?;
        Ok(noted.rows_affected() > 0)
    }

    /// Deletes some of what was written more than a week ago, whether or not it was
    /// delivered. True = there may be more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_notifications(&self) -> Result<bool, StoreError> {
        let pruned = sqlx::query!(
            "/* prune_notifications */ DELETE FROM notification WHERE id IN (
                 SELECT id FROM notification WHERE written_at < now() - interval '7 days' ORDER BY written_at LIMIT $1)",
            PRUNED
        )
        .execute(&self.pool)
        .await?;
        Ok(pruned.rows_affected() == PRUNED.unsigned_abs())
    }
}
