//! Sessions of people at the console, and links that begin one.
//!
//! Tokens are known by their SHA-256 alone. A session is good while its access key is.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::{Store, StoreError, Tx};

/// A session about to be opened.
#[derive(Debug, Clone, Copy)]
pub struct NewSession<'a> {
    pub id: Uuid,
    pub token_hash: &'a [u8],
    pub key_id: &'a str,
    /// Address that it was opened from.
    pub peer: &'a str,
    /// What the browser calls itself.
    pub agent: &'a str,
}

/// A session that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub id: Uuid,
    pub key_id: String,
    /// The access key's name.
    pub name: String,
    pub created_at: Timestamp,
    pub seen_at: Timestamp,
    pub peer: String,
    pub agent: String,
}

/// From when on sessions are good that were begun, and seen.
#[derive(Debug, Clone, Copy)]
pub struct GoodSince {
    pub created: Timestamp,
    pub seen: Timestamp,
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    pub id: String,
    pub name: String,
    pub enabled: bool,
    pub created_at: Timestamp,
}

impl Tx {
    /// Writes a session, if its key may be used. False if not.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_session(
        &mut self,
        session: &NewSession<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* insert_session */ INSERT INTO console_session (id, token_hash, key_id, created_at, seen_at, peer, agent)
             SELECT $1, $2, k.id, $4, $4, $5, $6 FROM access_key k WHERE k.id = $3 AND k.enabled",
            session.id,
            session.token_hash,
            session.key_id,
            now.to_sqlx() as _,
            session.peer,
            session.agent
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a session, whoever's it is.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn end_session(&mut self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query!("/* end_session */ DELETE FROM console_session WHERE id = $1", id)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Ends all sessions of a key but the newest, `most` of them.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn end_oldest_sessions(&mut self, key_id: &str, most: i64) -> Result<(), StoreError> {
        sqlx::query!(
            "/* end_oldest_sessions */ DELETE FROM console_session WHERE id IN (
                 SELECT id FROM console_session WHERE key_id = $1 ORDER BY created_at DESC, id DESC OFFSET $2
             )",
            key_id,
            most
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes a link, which nobody can take again. The key that it is for, if it is good.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn take_link(
        &mut self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query!(
            r#"/* take_link */ DELETE FROM console_link WHERE token_hash = $1 RETURNING key_id, expires_at > $2 AS "is_good!""#,
            token_hash,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.filter(|row| row.is_good).map(|row| row.key_id))
    }
}

impl Store {
    /// Writes a link for the key of this name. False if there is no such key that may be used.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_link(
        &self,
        token_hash: &[u8],
        key_name: &str,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* insert_link */ INSERT INTO console_link (token_hash, key_id, expires_at)
             SELECT $1, k.id, $3 FROM access_key k WHERE k.name = $2 AND k.enabled",
            token_hash,
            key_name,
            expires_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The session of this token, if it is good still, and its key too.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_session(
        &self,
        token_hash: &[u8],
        good: GoodSince,
    ) -> Result<Option<SessionRow>, StoreError> {
        let row = sqlx::query!(
            "/* find_session */ SELECT s.id, s.key_id, k.name, s.created_at, s.seen_at, s.peer, s.agent
             FROM console_session s JOIN access_key k ON k.id = s.key_id
             WHERE s.token_hash = $1 AND k.enabled AND s.created_at > $2 AND s.seen_at > $3",
            token_hash,
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| SessionRow {
            id: row.id,
            key_id: row.key_id,
            name: row.name,
            created_at: row.created_at.to_jiff(),
            seen_at: row.seen_at.to_jiff(),
            peer: row.peer,
            agent: row.agent,
        }))
    }

    /// Those of the sessions that are good still, and their keys too.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn sessions_that_hold(
        &self,
        ids: &[Uuid],
        good: GoodSince,
    ) -> Result<Vec<Uuid>, StoreError> {
        let ids = sqlx::query_scalar!(
            "/* sessions_that_hold */ SELECT s.id FROM console_session s JOIN access_key k ON k.id = s.key_id
             WHERE s.id = ANY($1) AND k.enabled AND s.created_at > $2 AND s.seen_at > $3",
            ids,
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids)
    }

    /// Notes that a session is in use.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn touch_session(&self, id: Uuid, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* touch_session */ UPDATE console_session SET seen_at = $2 WHERE id = $1",
            id,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The sessions that are good, newest first, at most `most`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn sessions(
        &self,
        good: GoodSince,
        most: i64,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query!(
            "/* sessions */ SELECT s.id, s.key_id, k.name, s.created_at, s.seen_at, s.peer, s.agent
             FROM console_session s JOIN access_key k ON k.id = s.key_id
             WHERE k.enabled AND s.created_at > $1 AND s.seen_at > $2 ORDER BY s.created_at DESC, s.id LIMIT $3",
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| SessionRow {
            id: row.id,
            key_id: row.key_id,
            name: row.name,
            created_at: row.created_at.to_jiff(),
            seen_at: row.seen_at.to_jiff(),
            peer: row.peer,
            agent: row.agent,
        });
        Ok(rows.collect())
    }

    /// Forgets sessions and links that are over.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_sessions(&self, good: GoodSince, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* prune_sessions */ WITH links AS (DELETE FROM console_link WHERE expires_at <= $3)
             DELETE FROM console_session WHERE created_at <= $1 OR seen_at <= $2",
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The access keys by name, at most `most`, without their secrets.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn listed_keys(&self, most: i64) -> Result<Vec<ListedKey>, StoreError> {
        let rows = sqlx::query!(
            "/* listed_keys */ SELECT id, name, enabled, created_at FROM access_key ORDER BY name, id LIMIT $1",
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| ListedKey {
            id: row.id,
            name: row.name,
            enabled: row.enabled,
            created_at: row.created_at.to_jiff(),
        });
        Ok(rows.collect())
    }
}
