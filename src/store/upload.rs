//! Credentials for uploading packages, and the packages that were uploaded.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::{ExposeSecret, SecretString};

use super::{Store, StoreError};
use crate::domain::{CredentialId, PackageId, upload::ObjectKey};

/// A credential.
#[derive(Debug, Clone)]
pub struct CredentialRow {
    /// Its id.
    pub id: CredentialId,
    /// The access key that it was given to.
    pub key_id: String,
    /// What uploads are signed with.
    pub secret: SecretString,
    /// What they show besides.
    pub token: SecretString,
    /// When it is good for nothing any more.
    pub expires_at: Timestamp,
}

/// An uploaded package.
#[derive(Debug, Clone)]
pub struct PackageRow {
    /// Its id: the object's name in the store.
    pub id: PackageId,
    /// Its size.
    pub bytes: u64,
    /// Its MD5, in hex.
    pub md5: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Who knows it may fetch the package.
    pub capability: SecretString,
}

impl Store {
    /// Stores a new credential, and forgets those that ended before `forgotten`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_credential(&self, row: &CredentialRow, forgotten: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* insert_credential */ WITH ended AS (DELETE FROM upload_credential WHERE expires_at < $6)
             INSERT INTO upload_credential (id, key_id, secret, token, expires_at) VALUES ($1, $2, $3, $4, $5)",
            row.id.0,
            row.key_id,
            row.secret.expose_secret(),
            row.token.expose_secret(),
            row.expires_at.to_sqlx() as _,
            forgotten.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The credential `id`, if there is one; it may have ended.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_credential(&self, id: CredentialId) -> Result<Option<CredentialRow>, StoreError> {
        let row = sqlx::query!("/* find_credential */ SELECT key_id, secret, token, expires_at FROM upload_credential WHERE id = $1", id.0)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| CredentialRow {
            id,
            key_id: row.key_id,
            secret: row.secret.into(),
            token: row.token.into(),
            expires_at: row.expires_at.to_jiff(),
        }))
    }

    /// Stores that a package was uploaded under `key`. False if there is one
    /// under it already.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_package(&self, key: &ObjectKey, row: &PackageRow, uploaded_by: &str, now: Timestamp) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* insert_package */ INSERT INTO stored_package (id, object_key, bytes, md5, sha256, capability, uploaded_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (object_key) DO NOTHING",
            row.id.0,
            key.as_str(),
            i64::try_from(row.bytes).unwrap_or(i64::MAX),
            row.md5,
            row.sha256,
            row.capability.expose_secret(),
            uploaded_by,
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The package that was uploaded under `key`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_package_by_key(&self, key: &ObjectKey) -> Result<Option<PackageRow>, StoreError> {
        let row = sqlx::query!(
            "/* find_package_by_key */ SELECT id, bytes, md5, sha256, capability FROM stored_package WHERE object_key = $1",
            key.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| package(row.id, row.bytes, row.md5, row.sha256, row.capability)))
    }

    /// The package `id`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_package(&self, id: PackageId) -> Result<Option<PackageRow>, StoreError> {
        let row = sqlx::query!("/* find_package */ SELECT bytes, md5, sha256, capability FROM stored_package WHERE id = $1", id.0)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|row| package(id.0, row.bytes, row.md5, row.sha256, row.capability)))
    }
}

fn package(id: uuid::Uuid, bytes: i64, md5: String, sha256: String, capability: String) -> PackageRow {
    // A CHECK keeps the size from being negative.
    PackageRow { id: PackageId(id), bytes: bytes.unsigned_abs(), md5, sha256, capability: capability.into() }
}
