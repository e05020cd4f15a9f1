//! Channels: who is told, of what, and where.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    Store, StoreError, Tx,
    row::{value, word},
    sealed::{CHANNEL_SECRET, CHANNEL_URL},
};
use domain::notice::{ChannelKind, NewChannel, Topic};

/// Most channels of a database, and so the most in a list.
pub const MOST_CHANNELS: i64 = 100;

/// A channel, without its secrets, and how its deliveries go.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRow {
    pub id: Uuid,
    pub channel: NewChannel,
    pub enabled: bool,
    pub created_at: Timestamp,
    /// Notices that it was not told of yet.
    pub waiting: u64,
    /// The delivery that ended last, or failed last.
    pub last: Option<Delivery>,
}

/// A notice on its way to a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Name of the channel.
    pub channel: String,
    pub topic: Topic,
    /// The order; none where somebody tried the channel.
    pub order: Option<domain::OrderId>,
    pub happened_at: Timestamp,
    pub attempts: u32,
    /// How it ended; none = it is still to be delivered.
    pub outcome: Option<Ending>,
    /// Why the last attempt failed; empty = it did not.
    pub error: String,
    /// When it ended, or is tried next.
    pub at: Timestamp,
}

/// How a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    Delivered,
    /// No further attempt is made.
    GivenUp,
}

impl Tx {
    /// Writes a channel, and returns whether it was written: not where its name is taken, or
    /// there are as many as there may be.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_channel(
        &mut self,
        id: Uuid,
        channel: &NewChannel,
        url: &SecretString,
        secret: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let url = self.keyring.seal_bytes(CHANNEL_URL, id, url.expose_secret().as_bytes())?;
        let secret = match secret {
            Some(secret) => {
                let clear = secret.expose_secret().as_bytes();
                Some(self.keyring.seal_bytes(CHANNEL_SECRET, id, clear)?)
            }
            None => None,
        };
        let topics: Vec<String> = channel.topics.iter().map(word).collect();
        let written = sqlx::query!(
            "/* insert_channel */ INSERT INTO notification_channel (id, name, kind, url, secret, topics, namespaces, applications, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE (SELECT count(*) FROM notification_channel) < $10
             ON CONFLICT (name) DO NOTHING",
            id,
            channel.name,
            word(channel.kind),
            url,
            secret,
            &topics,
            &channel.namespaces,
            &channel.applications,
            now.to_sqlx() as _,
            MOST_CHANNELS
        )
        .execute(self.connection())
        .await?;
        Ok(written.rows_affected() > 0)
    }

    /// Enables or disables the channel of this name, and returns whether there is one. What
    /// waits for one that is enabled is due at once.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn switch_channel(&mut self, name: &str, enabled: bool) -> Result<bool, StoreError> {
        let switched = sqlx::query!(
            r#"/* switch_channel */ WITH switched AS (
                   UPDATE notification_channel SET enabled = $2 WHERE name = $1 RETURNING id
               ), due AS (
                   UPDATE notification SET next_at = now()
                   WHERE $2 AND outcome IS NULL AND channel_id IN (SELECT id FROM switched)
               ) SELECT pg_notify('sluice_notification', '') AS "sent: ()" FROM switched"#,
            name,
            enabled
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(switched.is_some())
    }

    /// Removes the channel of this name with all that it was told, and returns whether there
    /// was one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remove_channel(&mut self, name: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query!(
            "/* remove_channel */ DELETE FROM notification_channel WHERE name = $1",
            name
        )
        .execute(self.connection())
        .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Replaces the secret of the channel of this name, and returns whether there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn replace_channel_secret(
        &mut self,
        id: Uuid,
        secret: &SecretString,
    ) -> Result<bool, StoreError> {
        let secret =
            self.keyring.seal_bytes(CHANNEL_SECRET, id, secret.expose_secret().as_bytes())?;
        let replaced = sqlx::query!(
            "/* replace_channel_secret */ UPDATE notification_channel SET secret = $2 WHERE id = $1",
            id,
            secret
        )
        .execute(self.connection())
        .await?;
        Ok(replaced.rows_affected() > 0)
    }

    /// Adds a notice for the channel of this name alone, which somebody tries. None = there
    /// is no such channel, or it is disabled.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn try_channel(
        &mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query!(
            r#"/* try_channel */ WITH tried AS (
                   INSERT INTO notification (channel_id, topic, happened_at)
                   SELECT id, 'test', $2 FROM notification_channel WHERE name = $1 AND enabled RETURNING id
               ) SELECT id, pg_notify('sluice_notification', '') AS "sent: ()" FROM tried"#,
            name,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| row.id))
    }
}

impl Store {
    /// The channels by name, and how the deliveries of each go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channels(&self) -> Result<Vec<ChannelRow>, StoreError> {
        let rows = sqlx::query!(
            r#"/* channels */ SELECT c.id, c.name, c.kind, c.topics, c.namespaces, c.applications, c.enabled, c.created_at,
                   (SELECT count(*) FROM notification WHERE channel_id = c.id AND outcome IS NULL) AS "waiting!",
                   n.topic AS "topic?", n.order_id, n.happened_at AS "happened_at?", n.attempts AS "attempts?", n.outcome,
                   n.error AS "error?", coalesce(n.ended_at, n.next_at) AS at
               FROM notification_channel c
               LEFT JOIN LATERAL (
                   SELECT * FROM notification WHERE channel_id = c.id AND (outcome IS NOT NULL OR error <> '') ORDER BY id DESC LIMIT 1
               ) AS n ON true
               ORDER BY c.name LIMIT $1"#,
            MOST_CHANNELS
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let kind: ChannelKind = value("kind of a channel", row.kind)?;
                let topics = row.topics.into_iter().map(|topic| value("topic", topic));
                let last = match (row.topic, row.happened_at, row.at) {
                    (Some(topic), Some(happened_at), Some(at)) => Some(Delivery {
                        channel: row.name.clone(),
                        topic: value("topic", topic)?,
                        order: row.order_id.map(domain::OrderId),
                        happened_at: happened_at.to_jiff(),
                        attempts: row.attempts.unwrap_or_default().unsigned_abs(),
                        outcome: row.outcome.map(|it| value("outcome", it)).transpose()?,
                        error: row.error.unwrap_or_default(),
                        at: at.to_jiff(),
                    }),
                    _ => None,
                };
                Ok(ChannelRow {
                    id: row.id,
                    channel: NewChannel {
                        name: row.name,
                        kind,
                        topics: topics.collect::<Result<_, StoreError>>()?,
                        namespaces: row.namespaces,
                        applications: row.applications,
                    },
                    enabled: row.enabled,
                    created_at: row.created_at.to_jiff(),
                    waiting: row.waiting.unsigned_abs(),
                    last,
                })
            })
            .collect()
    }

    /// The secret of a channel.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn channel_secret(&self, id: Uuid) -> Result<Option<SecretString>, StoreError> {
        let row = sqlx::query!(
            "/* channel_secret */ SELECT secret FROM notification_channel WHERE id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?;
        let secret = row.and_then(|row| row.secret);
        secret.map(|secret| self.keyring.open_secret(CHANNEL_SECRET, id, &secret)).transpose()
    }

    /// The deliveries to the channel of this name, or about this order, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn deliveries(
        &self,
        channel: Option<&str>,
        order: Option<domain::OrderId>,
        most: i64,
    ) -> Result<Vec<Delivery>, StoreError> {
        let rows = sqlx::query!(
            r#"/* deliveries */ SELECT c.name, n.topic, n.order_id, n.happened_at, n.attempts, n.outcome, n.error, coalesce(n.ended_at, n.next_at) AS "at!"
               FROM notification n JOIN notification_channel c ON c.id = n.channel_id
               WHERE ($1::text IS NULL OR c.name = $1) AND ($2::uuid IS NULL OR n.order_id = $2)
               ORDER BY n.id DESC LIMIT $3"#,
            channel,
            order.map(|order| order.0),
            most
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(Delivery {
                    channel: row.name,
                    topic: value("topic", row.topic)?,
                    order: row.order_id.map(domain::OrderId),
                    happened_at: row.happened_at.to_jiff(),
                    attempts: row.attempts.unsigned_abs(),
                    outcome: row.outcome.map(|it| value("outcome", it)).transpose()?,
                    error: row.error,
                    at: row.at.to_jiff(),
                })
            })
            .collect()
    }

    /// How the notice with this number goes; none = it is not there any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delivery(
        &self,
        id: i64,
    ) -> Result<Option<(u32, Option<Ending>, String)>, StoreError> {
        let row = sqlx::query!(
            "/* delivery */ SELECT attempts, outcome, error, claimed_until FROM notification WHERE id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            // One that is under way is none of those made.
            let made = row.attempts.unsigned_abs() - u32::from(row.claimed_until.is_some());
            let outcome = row.outcome.map(|it| value("outcome", it)).transpose()?;
            Ok((made, outcome, row.error))
        })
        .transpose()
    }
}
