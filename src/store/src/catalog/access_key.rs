//! Access keys, and the changing requests that were answered already.

use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{
    Store, StoreError, Tx,
    keyring::Keyring,
    row::document,
    sealed::{FIRST_ANSWER, KEY_SECRET},
};
use domain::{Rejection, access::Grant};

/// An access key, as a request is judged by it.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The name of the principal that it is a key of.
    pub name: String,
    pub secret: SecretString,
    /// Whether somebody has not disabled it.
    pub enabled: bool,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    /// Signature schemes that it may be used with; empty = all.
    pub schemes: Vec<String>,
    /// Networks that it may be used from; empty = all.
    pub networks: Vec<String>,
    /// What is granted to its principal.
    pub grants: Arc<[Grant]>,
}

/// An access key about to be created.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    pub id: &'a str,
    pub secret: &'a SecretString,
    pub name: &'a str,
    pub expires_at: Option<Timestamp>,
    pub schemes: &'a [String],
    pub networks: &'a [String],
}

/// An access key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    pub id: String,
    pub name: String,
    /// The name of the principal that it is a key of.
    pub principal: String,
    pub enabled: bool,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub schemes: Vec<String>,
    pub networks: Vec<String>,
}

impl ListedKey {
    /// Whether it may be used: `enabled`, `disabled` or `expired`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.expires_at {
            _ if !self.enabled => "disabled",
            Some(at) if at <= now => "expired",
            _ => "enabled",
        }
    }
}

/// Which access keys are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedKeys<'a> {
    /// Only those of the principal of this name.
    pub principal: Option<&'a str>,
    /// Only the one of this id, or with this name.
    pub key: Option<&'a str>,
    /// Only those whose names come behind this one.
    pub after: Option<&'a str>,
    /// How many at most.
    pub most: i64,
}

impl Store {
    /// Those of the keys that may be used.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn enabled_keys(
        &self,
        ids: &[String],
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let ids = sqlx::query_scalar!(
            "/* enabled_keys */ SELECT id FROM access_key WHERE id = ANY($1) AND enabled AND (expires_at IS NULL OR expires_at > $2)",
            ids,
            now.to_sqlx() as _
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(ids)
    }

    /// Stores a new key, and a principal of its name that may do everything, since nobody
    /// says what it is for. False if the name is taken.
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
        let mut tx = self.begin().await?;
        let Some(principal) = tx.insert_principal(name, "program", now).await? else {
            return Ok(false);
        };
        tx.assume_admin(principal, now).await?;
        let key = NewKey { id, secret, name, expires_at: None, schemes: &[], networks: &[] };
        let inserted = tx.insert_key(principal, &key, now).await?;
        tx.commit().await?;
        Ok(inserted)
    }

    /// The key `id`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn find_key(&self, id: &str) -> Result<Option<KeyRow>, StoreError> {
        let row = sqlx::query!(
            r#"/* find_key */ SELECT p.name, k.secret, k.enabled, k.expires_at, k.last_used_at, k.schemes, k.networks,
                   grants_of(p.id) AS "grants!"
               FROM access_key k JOIN principal p ON p.id = k.principal_id WHERE k.id = $1"#,
            id
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            Ok(KeyRow {
                name: row.name,
                secret: self.keyring.open_secret(KEY_SECRET, id, &row.secret)?,
                enabled: row.enabled,
                expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
                last_used_at: row.last_used_at.map(jiff_sqlx::Timestamp::to_jiff),
                schemes: row.schemes,
                networks: row.networks,
                grants: document::<Vec<Grant>>("grants", row.grants)?.into(),
            })
        })
        .transpose()
    }

    /// The version of access: another value after each change of keys, principals, what is
    /// granted to them, or policies.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn access_version(&self) -> Result<Uuid, StoreError> {
        let version =
            sqlx::query_scalar!("/* access_version */ SELECT version FROM access_version");
        Ok(version.fetch_one(&self.pool).await?)
    }

    /// Notes that a key is in use, unless that was noted after `before`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn note_key_use(
        &self,
        id: &str,
        now: Timestamp,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* note_key_use */ UPDATE access_key SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
            id,
            now.to_sqlx() as _,
            before.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Access keys by name, without their secrets; the one of an id before one with such a
    /// name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn listed_keys(&self, wanted: WantedKeys<'_>) -> Result<Vec<ListedKey>, StoreError> {
        listed_keys(&self.pool, wanted).await
    }

    /// The answer to a changing request that was answered before; none where it was not.
    ///
    /// # Errors
    /// [`Rejection::NonceUsed`] if another request used the nonce.
    pub async fn first_answer(
        &self,
        key: &str,
        nonce: &str,
        digest: &str,
    ) -> Result<Option<Value>, StoreError> {
        first_answer(&self.pool, &self.keyring, key, nonce, digest).await
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
    /// Writes a key of a principal. False if the name is taken.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_key(
        &mut self,
        principal: Uuid,
        key: &NewKey<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let secret = key.secret.expose_secret().as_bytes();
        let secret = self.keyring.seal_bytes(KEY_SECRET, key.id, secret)?;
        let done = sqlx::query!(
            "/* insert_key */ INSERT INTO access_key (id, secret, name, principal_id, created_at, expires_at, schemes, networks)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING",
            key.id,
            secret,
            key.name,
            principal,
            now.to_sqlx() as _,
            key.expires_at.map(|at| at.to_sqlx()) as _,
            key.schemes,
            key.networks
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The principal of the key with this id or name, which stays locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn principal_of_key(
        &mut self,
        key: &str,
    ) -> Result<Option<(Uuid, String)>, StoreError> {
        let row = sqlx::query!(
            "/* principal_of_key */ SELECT p.id, k.id AS key FROM principal p JOIN access_key k ON k.principal_id = p.id
             WHERE k.id = $1 OR k.name = $1 ORDER BY k.id = $1 DESC LIMIT 1 FOR UPDATE OF p",
            key
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| (row.id, row.key)))
    }

    /// How many keys of a principal may be used, but for this one. The principal must be
    /// locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn usable_keys(
        &mut self,
        principal: Uuid,
        but: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query!(
            r#"/* usable_keys */ SELECT count(*) AS "count!" FROM access_key
               WHERE principal_id = $1 AND id <> $2 AND enabled AND (expires_at IS NULL OR expires_at > $3)"#,
            principal,
            but,
            now.to_sqlx() as _
        )
        .fetch_one(self.connection())
        .await?;
        Ok(row.count)
    }

    /// The key of this id, without its secret.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn listed_key(&mut self, id: &str) -> Result<Option<ListedKey>, StoreError> {
        let wanted = WantedKeys { key: Some(id), most: 1, ..WantedKeys::default() };
        Ok(listed_keys(self.connection(), wanted).await?.pop())
    }

    /// Enables or disables a key.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn switch_key(&mut self, id: &str, enabled: bool) -> Result<(), StoreError> {
        sqlx::query!(
            "/* switch_key */ UPDATE access_key SET enabled = $2 WHERE id = $1",
            id,
            enabled
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Ends a key at this time, if it does not end before.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn expire_key(&mut self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* expire_key */ UPDATE access_key SET expires_at = least(expires_at, $2) WHERE id = $1",
            id,
            at.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Removes a key, with the sessions that began with it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remove_key(&mut self, id: &str) -> Result<(), StoreError> {
        sqlx::query!("/* remove_key */ DELETE FROM access_key WHERE id = $1", id)
            .execute(self.connection())
            .await?;
        Ok(())
    }

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
            "/* claim_request */ INSERT INTO nonce (key_id, nonce, digest, outcome, seen_at) VALUES ($1, $2, $3, NULL, $4)
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
        let keyring = self.keyring.clone();
        let first = first_answer(self.connection(), &keyring, key, nonce, digest).await?;
        // The request is there: it stood in the way.
        Ok(Some(first.unwrap_or_default()))
    }
}

/// The answer to a request that has one, and to none other of the nonce.
async fn first_answer(
    database: impl PgExecutor<'_>,
    keyring: &Keyring,
    key: &str,
    nonce: &str,
    digest: &str,
) -> Result<Option<Value>, StoreError> {
    let first = sqlx::query!(
        "/* first_answer */ SELECT digest, outcome FROM nonce WHERE key_id = $1 AND nonce = $2",
        key,
        nonce
    )
    .fetch_optional(database)
    .await?;
    let Some(first) = first else { return Ok(None) };
    if first.digest == digest {
        let outcome = keyring.open_some(FIRST_ANSWER, request(key, nonce), first.outcome)?;
        Ok(Some(outcome.unwrap_or_default()))
    } else {
        Err(Rejection::NonceUsed.into())
    }
}

/// What the row of a request is called. No id of a key has a blank.
pub(crate) fn request(key: &str, nonce: &str) -> String {
    format!("{key} {nonce}")
}

async fn listed_keys(
    executor: impl PgExecutor<'_>,
    wanted: WantedKeys<'_>,
) -> Result<Vec<ListedKey>, StoreError> {
    let rows = sqlx::query!(
        "/* listed_keys */ SELECT k.id, k.name, p.name AS principal, k.enabled, k.created_at, k.expires_at, k.last_used_at, k.schemes, k.networks
         FROM access_key k JOIN principal p ON p.id = k.principal_id
         WHERE ($1::text IS NULL OR p.name = $1) AND ($2::text IS NULL OR k.id = $2 OR k.name = $2) AND ($3::text IS NULL OR k.name > $3)
         ORDER BY $2::text IS NOT NULL AND k.id = $2 DESC, k.name LIMIT $4",
        wanted.principal,
        wanted.key,
        wanted.after,
        wanted.most
    )
    .fetch_all(executor)
    .await?;
    let rows = rows.into_iter().map(|row| ListedKey {
        id: row.id,
        name: row.name,
        principal: row.principal,
        enabled: row.enabled,
        created_at: row.created_at.to_jiff(),
        expires_at: row.expires_at.map(jiff_sqlx::Timestamp::to_jiff),
        last_used_at: row.last_used_at.map(jiff_sqlx::Timestamp::to_jiff),
        schemes: row.schemes,
        networks: row.networks,
    });
    Ok(rows.collect())
}
