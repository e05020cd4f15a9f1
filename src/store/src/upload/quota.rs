//! Uploads under way: each has its bytes set aside before it is read, so that
//! several at once, also on several servers, cannot go beyond the quota together.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::super::{Store, StoreError, Tx};
use domain::{
    MultipartId, PackageId,
    package::upload::{Full, Quota, Usage},
};

/// Lock under which uploads are admitted: what there is must not change between
/// the count and the decision. Any number that no other lock has.
const ADMISSION: i64 = 0x736c_7569_6365_0001;

/// An upload to admit.
#[derive(Debug, Clone, Copy)]
pub struct NewUpload<'a> {
    /// The id that its package will have.
    pub id: PackageId,
    /// The access key that it counts for.
    pub key_id: &'a str,
    /// Bytes that it may have.
    pub bytes: u64,
    /// When it is given up, should nothing more be heard of it.
    pub expires_at: Timestamp,
}

impl Store {
    /// Sets room aside for an upload, if the quota has it. Those that expired are
    /// given up first.
    ///
    /// # Errors
    /// [`StoreError::Sql`]. The inner one: which limit it would go beyond.
    pub async fn admit_upload(
        &self,
        upload: NewUpload<'_>,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<Result<(), Full>, StoreError> {
        let mut tx = self.begin().await?;
        let usage = tx.package_usage(upload.key_id, now).await?;
        if let Err(full) = quota.admit(&usage, upload.bytes) {
            return Ok(Err(full));
        }
        sqlx::query!(
            "/* admit_upload */ INSERT INTO package_upload (id, key_id, bytes, expires_at) VALUES ($1, $2, $3, $4)",
            upload.id.0,
            upload.key_id,
            i64::try_from(upload.bytes).unwrap_or(i64::MAX),
            upload.expires_at.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Lets an object be a package under way, for which no room is set aside: its bytes
    /// are counted elsewhere, in the parts that it is put together from.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn begin_composition(
        &self,
        id: PackageId,
        upload: MultipartId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* begin_composition */ INSERT INTO package_upload (id, key_id, bytes, expires_at)
             SELECT $1, key_id, 0, $3 FROM multipart_upload WHERE id = $2",
            id.0,
            upload.0,
            expires_at.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives back what is set aside for an upload that came to nothing.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn end_upload(&self, id: PackageId) -> Result<(), StoreError> {
        sqlx::query!("/* end_upload */ DELETE FROM package_upload WHERE id = $1", id.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

impl Tx {
    /// What there is, of which nothing changes until the transaction ends. Uploads that
    /// expired are given up first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub(super) async fn package_usage(
        &mut self,
        key_id: &str,
        now: Timestamp,
    ) -> Result<Usage, StoreError> {
        sqlx::query!(
            "/* lock_uploads */ SELECT pg_advisory_xact_lock($1) AS \"locked: ()\"",
            ADMISSION
        )
        .fetch_one(self.connection())
        .await?;
        sqlx::query!(
            "/* expire_uploads */ DELETE FROM package_upload WHERE expires_at < $1",
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        // Of an upload in parts the bytes are in its own row, so that no part is counted here.
        let row = sqlx::query!(
            r#"/* package_usage */ SELECT coalesce(sum(bytes), 0)::bigint AS "bytes!", coalesce(sum(packages), 0)::bigint AS "packages!",
                   coalesce(sum(bytes) FILTER (WHERE key_id = $1), 0)::bigint AS "key_bytes!",
                   coalesce(sum(packages) FILTER (WHERE key_id = $1), 0)::bigint AS "key_packages!",
                   coalesce(sum(uploads) FILTER (WHERE key_id = $1), 0)::bigint AS "key_uploads!",
                   coalesce(sum(multiparts) FILTER (WHERE key_id = $1), 0)::bigint AS "key_multiparts!"
               FROM (SELECT key_id, bytes, 1::bigint AS packages, 0::bigint AS uploads, 0::bigint AS multiparts
                     FROM stored_package WHERE deleted_at IS NULL
                     UNION ALL SELECT key_id, bytes, 1, 1, 0 FROM package_upload
                     UNION ALL SELECT m.key_id, m.bytes, (m.ended_at IS NULL)::integer,
                         (SELECT count(*) FROM upload_part p WHERE p.upload_id = m.id AND p.written_at IS NULL AND p.expires_at >= $2),
                         (m.ended_at IS NULL)::integer
                     FROM multipart_upload m) AS kept"#,
            key_id,
            now.to_sqlx() as _
        )
        .fetch_one(self.connection())
        .await?;
        Ok(Usage {
            bytes: row.bytes.unsigned_abs(),
            packages: row.packages.unsigned_abs(),
            key_bytes: row.key_bytes.unsigned_abs(),
            key_packages: row.key_packages.unsigned_abs(),
            key_uploads: row.key_uploads.unsigned_abs(),
            key_multiparts: row.key_multiparts.unsigned_abs(),
        })
    }
}
