//! Sessions of people at the console, and links that begin one.
//!
//! Tokens are known by their SHA-256 alone. A session is good while its access key is.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::{Store, StoreError, Tx, row::document, sealed::CONSOLE_SEAL};
use domain::access::Grant;

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
    /// Who it is, where an identity provider says so.
    pub person: Option<&'a SessionPerson>,
}

/// A person whom an identity provider vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPerson {
    /// The provider's name for them.
    pub subject: String,
    /// What people call them.
    pub name: String,
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
    pub person: Option<SessionPerson>,
}

/// A session that was found by its token, with what it is judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundSession {
    pub session: SessionRow,
    /// Networks that its key may be used from; empty = all.
    pub networks: Vec<String>,
    /// What is granted to the principal of its key.
    pub grants: Vec<Grant>,
}

/// From when on sessions are good that were begun, and seen.
#[derive(Debug, Clone, Copy)]
pub struct GoodSince {
    pub created: Timestamp,
    pub seen: Timestamp,
    /// Keys are good that end later.
    pub now: Timestamp,
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
            "/* insert_session */ INSERT INTO console_session (id, token_hash, key_id, created_at, seen_at, peer, agent, person_subject, person_name)
             SELECT $1, $2, k.id, $4, $4, $5, $6, $7, $8 FROM access_key k WHERE k.id = $3 AND k.enabled AND (k.expires_at IS NULL OR k.expires_at > $4)",
            session.id,
            session.token_hash,
            session.key_id,
            now.to_sqlx() as _,
            session.peer,
            session.agent,
            session.person.map(|person| person.subject.as_str()),
            session.person.map(|person| person.name.as_str())
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends a session: whoever's it is, or of this key alone.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn end_session(&mut self, id: Uuid, key: Option<&str>) -> Result<(), StoreError> {
        sqlx::query!(
            "/* end_session */ DELETE FROM console_session WHERE id = $1 AND ($2::text IS NULL OR key_id = $2)",
            id,
            key
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Ends all sessions of a key but the newest, `most` of them. People who work with the
    /// same key do not end each other's.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn end_oldest_sessions(
        &mut self,
        key_id: &str,
        subject: Option<&str>,
        most: i64,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* end_oldest_sessions */ DELETE FROM console_session WHERE id IN (
                 SELECT id FROM console_session WHERE key_id = $1 AND person_subject IS NOT DISTINCT FROM $3 ORDER BY created_at DESC, id DESC OFFSET $2
             )",
            key_id,
            most,
            subject
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes a link, which nobody can take again. Id and name of the key that it is for, if
    /// it is good.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn take_link(
        &mut self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<(String, String)>, StoreError> {
        let row = sqlx::query!(
            r#"/* take_link */ DELETE FROM console_link l USING access_key k WHERE l.token_hash = $1 AND k.id = l.key_id RETURNING k.id, k.name, l.expires_at > $2 AS "is_good!""#,
            token_hash,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.filter(|row| row.is_good).map(|row| (row.id, row.name)))
    }

    /// Keeps a link that signs in as the key of this id. False if it may not be used.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_link_of_key(
        &mut self,
        token_hash: &[u8],
        key_id: &str,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* insert_link_of_key */ INSERT INTO console_link (token_hash, key_id, expires_at)
             SELECT $1, id, $3 FROM access_key
             WHERE id = $2 AND enabled AND (expires_at IS NULL OR expires_at > $3)",
            token_hash,
            key_id,
            expires_at.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Store {
    /// Writes a link for the key that this name stands for, as [`Store::key_named`]. False if there is no such key that may be used.
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
             SELECT $1, k.id, $3 FROM access_key k JOIN principal p ON p.id = k.principal_id
             WHERE $2 IN (k.name, p.name) AND k.enabled AND (k.expires_at IS NULL OR k.expires_at > $3)
             ORDER BY k.name = $2 DESC, k.created_at DESC LIMIT 1",
            token_hash,
            key_name,
            expires_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Id of the key of this name, if it may be used; else of the newest key that may be used
    /// of the principal of this name, such as one that took the first one's place.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn key_named(&self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query!(
            "/* key_named */ SELECT k.id FROM access_key k JOIN principal p ON p.id = k.principal_id
             WHERE $1 IN (k.name, p.name) AND k.enabled AND (k.expires_at IS NULL OR k.expires_at > now())
             ORDER BY k.name = $1 DESC, k.created_at DESC LIMIT 1",
            name
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| row.id))
    }

    /// The seal of this database's servers: `candidate`, if there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn console_seal(&self, candidate: &[u8]) -> Result<Vec<u8>, StoreError> {
        // What is there stays; it is written again so that it is returned.
        let row = sqlx::query!(
            "/* console_seal */ INSERT INTO console_seal (key) VALUES ($1)
             ON CONFLICT (one) DO UPDATE SET key = console_seal.key RETURNING key",
            self.keyring.seal_bytes(CONSOLE_SEAL, true, candidate)?
        )
        .fetch_one(&self.pool)
        .await?;
        let key = self.keyring.open_bytes(CONSOLE_SEAL, true, &row.key)?;
        Ok(key.to_vec())
    }

    /// The session of this token, if it is good still, and its key too.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_session(
        &self,
        token_hash: &[u8],
        good: GoodSince,
    ) -> Result<Option<FoundSession>, StoreError> {
        let row = sqlx::query!(
            r#"/* find_session */ SELECT s.id, s.key_id, p.name, s.created_at, s.seen_at, s.peer, s.agent, s.person_subject, s.person_name, k.networks, grants_of(p.id) AS "grants!"
             FROM console_session s JOIN access_key k ON k.id = s.key_id JOIN principal p ON p.id = k.principal_id
             WHERE s.token_hash = $1 AND k.enabled AND s.created_at > $2 AND s.seen_at > $3 AND (k.expires_at IS NULL OR k.expires_at > $4)"#,
            token_hash,
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _,
            good.now.to_sqlx() as _
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(FoundSession {
                session: SessionRow {
                    id: row.id,
                    key_id: row.key_id,
                    name: row.name,
                    created_at: row.created_at.to_jiff(),
                    seen_at: row.seen_at.to_jiff(),
                    peer: row.peer,
                    agent: row.agent,
                    person: person(row.person_subject, row.person_name),
                },
                networks: row.networks,
                grants: document("grants", row.grants)?,
            })
        })
        .transpose()
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
             WHERE s.id = ANY($1) AND k.enabled AND s.created_at > $2 AND s.seen_at > $3 AND (k.expires_at IS NULL OR k.expires_at > $4)",
            ids,
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _,
            good.now.to_sqlx() as _
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

    /// The sessions that are good, newest first, at most `most`: all, or those of this key.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn sessions(
        &self,
        good: GoodSince,
        key: Option<&str>,
        most: i64,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query!(
            "/* sessions */ SELECT s.id, s.key_id, p.name, s.created_at, s.seen_at, s.peer, s.agent, s.person_subject, s.person_name
             FROM console_session s JOIN access_key k ON k.id = s.key_id JOIN principal p ON p.id = k.principal_id
             WHERE k.enabled AND s.created_at > $1 AND s.seen_at > $2 AND (k.expires_at IS NULL OR k.expires_at > $3) AND ($4::text IS NULL OR k.id = $4)
             ORDER BY s.created_at DESC, s.id LIMIT $5",
            good.created.to_sqlx() as _,
            good.seen.to_sqlx() as _,
            good.now.to_sqlx() as _,
            key,
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
            person: person(row.person_subject, row.person_name),
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
}

fn person(subject: Option<String>, name: Option<String>) -> Option<SessionPerson> {
    Some(SessionPerson { subject: subject?, name: name? })
}
