//! Credentials for uploading packages, and the packages that were uploaded.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use secrecy::{ExposeSecret, SecretString};
use sqlx::PgExecutor;

use super::{
    Store, StoreError, Tx,
    keyring::Keyring,
    sealed::{CAPABILITY, UPLOAD_SECRET, UPLOAD_TOKEN},
};
use domain::{CredentialId, PackageId, package::upload::ObjectKey};

mod collect;
mod multipart;
mod part;
mod quota;

pub use multipart::{Completion, Hold, MultipartRow, NewMultipart};
pub use part::{NewPart, PartRefused, WrittenPart};
pub use quota::NewUpload;

/// A credential.
#[derive(Debug, Clone)]
pub struct CredentialRow {
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
    pub bytes: u64,
    /// Its MD5, in hex.
    pub md5: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Who knows it may fetch the package.
    pub capability: SecretString,
}

/// What became of an upload that came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredPackage {
    /// It is a package now.
    Whole,
    /// There is a package under its key already.
    KeyTaken,
    /// It took so long that nothing is set aside for it any more.
    Expired,
}

impl Tx {
    /// As [`Store::find_package_by_key`], as this transaction sees it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_package_by_key(
        &mut self,
        key: &ObjectKey,
    ) -> Result<Option<PackageRow>, StoreError> {
        let keyring = self.keyring.clone();
        find_package_by_key(self.connection(), &keyring, key).await
    }

    /// Stores a new credential, and forgets those that ended before `forgotten`.
    /// False, and nothing is stored, where the access key has `most` that are good.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_credential(
        &mut self,
        row: &CredentialRow,
        most: u64,
        now: Timestamp,
        forgotten: Timestamp,
    ) -> Result<bool, StoreError> {
        // Two at once are counted one after the other.
        sqlx::query!(
            "/* lock_key */ SELECT id FROM access_key WHERE id = $1 FOR NO KEY UPDATE",
            row.key_id
        )
        .fetch_optional(self.connection())
        .await?;
        let secret = row.secret.expose_secret().as_bytes();
        let token = row.token.expose_secret().as_bytes();
        let (secret, token) = (
            self.keyring.seal_bytes(UPLOAD_SECRET, row.id, secret)?,
            self.keyring.seal_bytes(UPLOAD_TOKEN, row.id, token)?,
        );
        let done = sqlx::query!(
            "/* insert_credential */ WITH ended AS (DELETE FROM upload_credential WHERE expires_at < $6)
             INSERT INTO upload_credential (id, key_id, secret, token, expires_at)
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM upload_credential WHERE key_id = $2 AND expires_at > $7) < $8",
            row.id.0,
            row.key_id,
            secret,
            token,
            row.expires_at.to_sqlx() as _,
            forgotten.to_sqlx() as _,
            now.to_sqlx() as _,
            i64::try_from(most).unwrap_or(i64::MAX)
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The same as [`Store::insert_package`], with what else the transaction does.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_package(
        &mut self,
        key: &ObjectKey,
        row: &PackageRow,
        uploaded_by: &str,
        now: Timestamp,
    ) -> Result<StoredPackage, StoreError> {
        let capability = row.capability.expose_secret().as_bytes();
        let capability = self.keyring.seal_bytes(CAPABILITY, row.id, capability)?;
        let done = sqlx::query!(
            r#"/* insert_package */ WITH held AS (DELETE FROM package_upload WHERE id = $1 RETURNING id, key_id), kept AS (
                 INSERT INTO stored_package (id, object_key, bytes, md5, sha256, capability, uploaded_by, created_at, key_id)
                 SELECT held.id, $2, $3, $4, $5, $6, $7, $8, held.key_id FROM held ON CONFLICT (object_key) DO NOTHING RETURNING id
             ) SELECT EXISTS (SELECT 1 FROM held) AS "held!", EXISTS (SELECT 1 FROM kept) AS "kept!""#,
            row.id.0,
            key.as_str(),
            i64::try_from(row.bytes).unwrap_or(i64::MAX),
            row.md5,
            row.sha256,
            capability,
            uploaded_by,
            now.to_sqlx() as _
        )
        .fetch_one(self.connection())
        .await?;
        Ok(match (done.held, done.kept) {
            (_, true) => StoredPackage::Whole,
            (true, false) => StoredPackage::KeyTaken,
            (false, false) => StoredPackage::Expired,
        })
    }
}

impl Store {
    /// The credential `id`, if there is one; it may have ended.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_credential(
        &self,
        id: CredentialId,
    ) -> Result<Option<CredentialRow>, StoreError> {
        let row = sqlx::query!("/* find_credential */ SELECT key_id, secret, token, expires_at FROM upload_credential WHERE id = $1", id.0)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| {
            Ok(CredentialRow {
                id,
                key_id: row.key_id,
                secret: self.keyring.open_secret(UPLOAD_SECRET, id, &row.secret)?,
                token: self.keyring.open_secret(UPLOAD_TOKEN, id, &row.token)?,
                expires_at: row.expires_at.to_jiff(),
            })
        })
        .transpose()
    }

    /// Stores that the upload of a package under `key` came to its end. What was set
    /// aside for it is given back, whatever becomes of it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_package(
        &self,
        key: &ObjectKey,
        row: &PackageRow,
        uploaded_by: &str,
        now: Timestamp,
    ) -> Result<StoredPackage, StoreError> {
        let mut tx = self.begin().await?;
        let kept = tx.insert_package(key, row, uploaded_by, now).await?;
        tx.commit().await?;
        Ok(kept)
    }

    /// The package that was uploaded under `key`, if it is not deleted.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_package_by_key(
        &self,
        key: &ObjectKey,
    ) -> Result<Option<PackageRow>, StoreError> {
        find_package_by_key(&self.pool, &self.keyring, key).await
    }

    /// The package `id`, if it is not deleted.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_package(&self, id: PackageId) -> Result<Option<PackageRow>, StoreError> {
        let row = sqlx::query!(
            "/* find_package */ SELECT bytes, md5, sha256, capability FROM stored_package WHERE id = $1 AND deleted_at IS NULL",
            id.0
        )
        .fetch_optional(&self.pool)
        .await?;
        let keyring = &self.keyring;
        row.map(|row| package(keyring, id, row.bytes, row.md5, row.sha256, &row.capability))
            .transpose()
    }
}

async fn find_package_by_key(
    database: impl PgExecutor<'_>,
    keyring: &Keyring,
    key: &ObjectKey,
) -> Result<Option<PackageRow>, StoreError> {
    let row = sqlx::query!(
        "/* find_package_by_key */ SELECT id, bytes, md5, sha256, capability FROM stored_package WHERE object_key = $1 AND deleted_at IS NULL",
        key.as_str()
    )
    .fetch_optional(database)
    .await?;
    row.map(|row| {
        package(keyring, PackageId(row.id), row.bytes, row.md5, row.sha256, &row.capability)
    })
    .transpose()
}

fn package(
    keyring: &Keyring,
    id: PackageId,
    bytes: i64,
    md5: String,
    sha256: String,
    capability: &[u8],
) -> Result<PackageRow, StoreError> {
    // A CHECK keeps the size from being negative.
    Ok(PackageRow {
        id,
        bytes: bytes.unsigned_abs(),
        md5,
        sha256,
        capability: keyring.open_secret(CAPABILITY, id, capability)?,
    })
}
