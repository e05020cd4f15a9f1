//! Uploads in parts: begun, completed or given up, and who is completing one.
//!
//! What is written of a part is in [`super::part`].

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use super::super::{Store, StoreError, Tx};
use domain::{
    MultipartId,
    package::upload::{Full, ObjectKey, Quota},
};

/// An upload in parts that is to begin.
#[derive(Debug, Clone, Copy)]
pub struct NewMultipart<'a> {
    pub id: MultipartId,
    /// The access key that it counts for.
    pub key_id: &'a str,
    /// What the package is to be called.
    pub key: &'a ObjectKey,
    /// When its credential ends.
    pub expires_at: Timestamp,
}

/// An upload in parts that is neither completed nor given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultipartRow {
    pub id: MultipartId,
    /// What the package is to be called.
    pub object_key: String,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// What a completion answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The package's ETag, without its quotes.
    pub etag: String,
    /// Its CRC-64.
    pub crc64: u64,
}

/// Whether a server has an upload in parts for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    Held,
    /// Another one has, or another request.
    Busy,
    /// It is completed already.
    Completed(Completion),
    /// It does not exist, or was given up.
    Gone,
}

impl Store {
    /// Begins an upload in parts, if the quota has room for another package.
    ///
    /// # Errors
    /// [`StoreError::Sql`]. The inner one: which limit it would go beyond.
    pub async fn begin_multipart(
        &self,
        new: NewMultipart<'_>,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<Result<(), Full>, StoreError> {
        let mut tx = self.begin().await?;
        let usage = tx.package_usage(new.key_id, now).await?;
        if let Err(full) = quota.admit_multipart(&usage) {
            return Ok(Err(full));
        }
        sqlx::query!(
            "/* begin_multipart */ INSERT INTO multipart_upload (id, key_id, object_key, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            new.id.0,
            new.key_id,
            new.key.as_str(),
            now.to_sqlx() as _,
            new.expires_at.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Whether `key` is being uploaded in parts under this id.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn has_multipart(
        &self,
        id: MultipartId,
        key: &ObjectKey,
    ) -> Result<bool, StoreError> {
        let found = sqlx::query_scalar!(
            r#"/* has_multipart */ SELECT EXISTS (
                 SELECT 1 FROM multipart_upload WHERE id = $1 AND object_key = $2 AND ended_at IS NULL) AS "found!""#,
            id.0,
            key.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(found)
    }

    /// Uploads in parts that are neither completed nor given up, of keys that begin with
    /// `prefix`: up to `most`, by key and id, of those behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn multiparts(
        &self,
        prefix: &str,
        after: (&str, Option<MultipartId>),
        most: i64,
    ) -> Result<Vec<MultipartRow>, StoreError> {
        let (key, id) = (after.0, after.1.map(|id| id.0));
        let found = sqlx::query!(
            r#"/* multiparts */ SELECT id, object_key, created_at FROM multipart_upload
             WHERE ended_at IS NULL AND starts_with(object_key, $1)
               AND (object_key > $2 COLLATE "C" OR (object_key = $2 AND id > $3))
             ORDER BY object_key COLLATE "C", id LIMIT $4"#,
            prefix,
            key,
            id,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let row = |id, object_key, created_at| MultipartRow {
            id: MultipartId(id),
            object_key,
            created_at,
        };
        Ok(found.into_iter().map(|it| row(it.id, it.object_key, it.created_at.to_jiff())).collect())
    }

    /// Has an upload in parts for `holder` alone until `until`, if nobody else has it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn hold_multipart(
        &self,
        id: MultipartId,
        key: &ObjectKey,
        holder: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Hold, StoreError> {
        let held = sqlx::query!(
            "/* hold_multipart */ UPDATE multipart_upload SET held_by = $3, held_until = $5
             WHERE id = $1 AND object_key = $2 AND ended_at IS NULL AND (held_until IS NULL OR held_until < $4)",
            id.0,
            key.as_str(),
            holder,
            now.to_sqlx() as _,
            until.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        if held.rows_affected() == 1 {
            return Ok(Hold::Held);
        }
        let found = sqlx::query!(
            r#"/* find_multipart */ SELECT ended_at IS NOT NULL AS "ended!", etag, crc64 FROM multipart_upload WHERE id = $1 AND object_key = $2"#,
            id.0,
            key.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(match found {
            Some(row) if !row.ended => Hold::Busy,
            Some(row) => match row.etag.zip(row.crc64) {
                Some((etag, crc64)) => {
                    Hold::Completed(Completion { etag, crc64: crc64.cast_unsigned() })
                }
                None => Hold::Gone,
            },
            None => Hold::Gone,
        })
    }

    /// Holds it for longer. False if `holder` does not have it any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn hold_multipart_on(
        &self,
        id: MultipartId,
        holder: Uuid,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let held = sqlx::query!(
            "/* hold_multipart_on */ UPDATE multipart_upload SET held_until = $3 WHERE id = $1 AND held_by = $2 AND ended_at IS NULL",
            id.0,
            holder,
            until.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(held.rows_affected() == 1)
    }

    /// Lets go of it, so that somebody else can have it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn let_multipart_go(&self, id: MultipartId, holder: Uuid) -> Result<(), StoreError> {
        sqlx::query!(
            "/* let_multipart_go */ UPDATE multipart_upload SET held_by = NULL, held_until = NULL WHERE id = $1 AND held_by = $2",
            id.0,
            holder
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives an upload in parts up, unless somebody is completing it: its parts go. The
    /// answer says whether it still is one, and whether it was given up.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn abort_multipart(
        &self,
        id: MultipartId,
        key: &ObjectKey,
        now: Timestamp,
    ) -> Result<(bool, bool), StoreError> {
        let row = sqlx::query!(
            r#"/* abort_multipart */ WITH found AS (
                 SELECT id, held_until FROM multipart_upload WHERE id = $1 AND object_key = $2 AND ended_at IS NULL FOR UPDATE
             ), aborted AS (
                 UPDATE multipart_upload m SET ended_at = $3 FROM found
                 WHERE m.id = found.id AND (found.held_until IS NULL OR found.held_until < $3) RETURNING m.id
             ) SELECT EXISTS (SELECT 1 FROM found) AS "found!", EXISTS (SELECT 1 FROM aborted) AS "aborted!""#,
            id.0,
            key.as_str(),
            now.to_sqlx() as _
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.found, row.aborted))
    }

    /// Gives up the uploads in parts whose credential has ended and which nobody is
    /// completing, and forgets those that ended and have no parts any more. Completed
    /// ones are remembered until their credential ends.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn expire_multiparts(&self, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query!(
            "/* expire_multiparts */ UPDATE multipart_upload SET ended_at = $1
             WHERE ended_at IS NULL AND expires_at < $1 AND (held_until IS NULL OR held_until < $1)",
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        sqlx::query!(
            "/* forget_multiparts */ DELETE FROM multipart_upload m
             WHERE ended_at IS NOT NULL AND (etag IS NULL OR expires_at < $1)
               AND NOT EXISTS (SELECT 1 FROM upload_part p WHERE p.upload_id = m.id)",
            now.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

impl Tx {
    /// Completes an upload in parts that `holder` has. Its parts count no more: the
    /// package does. False if `holder` does not have it any more.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn complete_multipart(
        &mut self,
        id: MultipartId,
        holder: Uuid,
        completion: &Completion,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* complete_multipart */ UPDATE multipart_upload SET ended_at = $3, etag = $4, crc64 = $5, bytes = 0, held_by = NULL, held_until = NULL
             WHERE id = $1 AND held_by = $2 AND ended_at IS NULL",
            id.0,
            holder,
            now.to_sqlx() as _,
            completion.etag,
            completion.crc64.cast_signed()
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
