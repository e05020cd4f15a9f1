//! Access keys, and the changing requests that were answered already.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::{Store, StoreError, Tx};
use domain::Rejection;

/// An access key.
#[derive(Debug, Clone)]
pub struct KeyRow {
    pub name: String,
    pub secret: SecretString,
    /// Whether it may be used.
    pub enabled: bool,
}

impl Store {
    /// Those of the keys that may be used.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn enabled_keys(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        let ids = sqlx::query_scalar!(
            "/* enabled_keys */ SELECT id FROM access_key WHERE id = ANY($1) AND enabled",
            ids
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids)
    }

    /// Stores a new key. False if the name is taken.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_key(
        &self,
        id: &str,
        secret: &SecretString,
        name: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* insert_key */ INSERT INTO access_key (id, secret, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING",
            id,
            secret.expose_secret(),
            name,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The key `id`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_key(&self, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let row = sqlx::query!(
            "/* find_key */ SELECT name, secret, enabled FROM access_key WHERE id = $1",
            id
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| KeyRow {
            name: row.name,
            secret: row.secret.into(),
            enabled: row.enabled,
        }))
    }

    /// Forgets requests that nobody can repeat any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn prune_nonces(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = sqlx::query!(
            "/* prune_nonces */ DELETE FROM nonce WHERE seen_at < $1",
            before.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }
}

impl Tx {
    /// Claims a changing request. None: it is new, and everything else of it
    /// belongs into this transaction. Some: it was answered before, with this.
    /// A repetition that arrives while the first is still at work waits for it.
    ///
    /// # Errors
    /// [`Rejection::NonceUsed`] if another request used the nonce.
    pub async fn claim_request(
        &mut self,
        key: &str,
        nonce: &str,
        digest: &str,
        now: Timestamp,
    ) -> Result<Option<Value>, StoreError> {
        let claimed = sqlx::query!(
            "/* claim_request */ INSERT INTO nonce (key_id, nonce, digest, outcome, seen_at) VALUES ($1, $2, $3, 'null', $4)
             ON CONFLICT (key_id, nonce) DO NOTHING",
            key,
            nonce,
            digest,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        if claimed.rows_affected() == 1 {
            return Ok(None);
        }
        let first = sqlx::query!(
            "/* first_answer */ SELECT digest, outcome FROM nonce WHERE key_id = $1 AND nonce = $2",
            key,
            nonce
        )
        .fetch_one(self.connection())
        .await?;
        if first.digest == digest {
            Ok(Some(first.outcome))
        } else {
            Err(Rejection::NonceUsed.into())
        }
    }

    /// Remembers the answer to a request claimed in this transaction.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn answer_request(
        &mut self,
        key: &str,
        nonce: &str,
        outcome: &Value,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* answer_request */ UPDATE nonce SET outcome = $3 WHERE key_id = $1 AND nonce = $2",
            key,
            nonce,
            outcome
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
