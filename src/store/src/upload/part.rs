//! The parts of uploads in parts: room is set aside for each before it comes, and each
//! is an object of its own, also where it replaces another.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::super::{Store, StoreError};
use domain::{
    MultipartId, PackageId,
    package::upload::{Full, ObjectKey, Part, Quota},
};

/// A part to admit.
#[derive(Debug, Clone, Copy)]
pub struct NewPart<'a> {
    /// The id that its object will have.
    pub id: PackageId,
    /// The upload that it belongs to.
    pub upload: MultipartId,
    /// What that upload's package is to be called.
    pub key: &'a ObjectKey,
    /// Its place in the package.
    pub number: u32,
    /// Bytes that it announces; none = as many as the package may still have.
    pub announced: Option<u64>,
    /// Bytes that the package may have.
    pub most_bytes: u64,
    /// When it is given up, should nothing more be heard of it.
    pub expires_at: Timestamp,
}

/// Why a part is not admitted, or does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartRefused {
    /// Its upload does not exist, is completed, or was given up.
    NoUpload,
    /// Its upload is being completed.
    BeingCompleted,
    /// It took so long that nothing is set aside for it any more.
    Expired,
    /// The package would be too large.
    TooLarge,
    /// A limit that it would go beyond.
    Full(Full),
}

/// A part that came.
#[derive(Debug, Clone, Copy)]
pub struct WrittenPart<'a> {
    /// The object's name in the store.
    pub id: PackageId,
    pub bytes: u64,
    /// Its MD5, in hex.
    pub md5: &'a str,
    /// Its CRC-64.
    pub crc64: u64,
}

impl Store {
    /// Sets room aside for a part, if the quota has it: that many bytes.
    ///
    /// # Errors
    /// [`StoreError::Sql`]. The inner one: why it has not.
    pub async fn admit_part(
        &self,
        new: NewPart<'_>,
        quota: &Quota,
        now: Timestamp,
    ) -> Result<Result<u64, PartRefused>, StoreError> {
        let mut tx = self.begin().await?;
        let found = sqlx::query!(
            r#"/* lock_multipart */ SELECT key_id, bytes, held_until > $3 AS held FROM multipart_upload
             WHERE id = $1 AND object_key = $2 AND ended_at IS NULL AND expires_at > $3 FOR NO KEY UPDATE"#,
            new.upload.0,
            new.key.as_str(),
            now.to_sqlx() as _
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(upload) = found else { return Ok(Err(PartRefused::NoUpload)) };
        if upload.held == Some(true) {
            return Ok(Err(PartRefused::BeingCompleted));
        }
        let usage = tx.package_usage(&upload.key_id, now).await?;
        let room = match new.announced {
            Some(bytes) if upload.bytes.unsigned_abs().saturating_add(bytes) <= new.most_bytes => {
                bytes
            }
            announced => {
                let others = sqlx::query_scalar!(
                    r#"/* other_parts */ SELECT coalesce(sum(bytes), 0)::bigint AS "bytes!" FROM upload_part
                     WHERE upload_id = $1 AND number <> $2 AND written_at IS NOT NULL AND NOT replaced"#,
                    new.upload.0,
                    number(new.number)
                )
                .fetch_one(tx.connection())
                .await?;
                let free = new.most_bytes.saturating_sub(others.unsigned_abs());
                let room = announced.unwrap_or(free);
                if room > free || free == 0 {
                    return Ok(Err(PartRefused::TooLarge));
                }
                room
            }
        };
        if let Err(full) = quota.admit_part(&usage, room) {
            return Ok(Err(PartRefused::Full(full)));
        }
        let done = sqlx::query!(
            "/* admit_part */ WITH upload AS (
                 UPDATE multipart_upload SET bytes = bytes + $4 WHERE id = $2 AND ended_at IS NULL RETURNING id
             ) INSERT INTO upload_part (id, upload_id, number, bytes, expires_at) SELECT $1, id, $3, $4, $5 FROM upload",
            new.id.0,
            new.upload.0,
            number(new.number),
            i64::try_from(room).unwrap_or(i64::MAX),
            new.expires_at.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        if done.rows_affected() == 0 {
            return Ok(Err(PartRefused::NoUpload));
        }
        tx.commit().await?;
        Ok(Ok(room))
    }

    /// Stores that a part came to its end. It stands for its number from now on: the
    /// answer is what it replaces.
    ///
    /// # Errors
    /// [`StoreError::Sql`]. The inner one: why it does not count.
    pub async fn finish_part(
        &self,
        part: WrittenPart<'_>,
        now: Timestamp,
    ) -> Result<Result<Vec<PackageId>, PartRefused>, StoreError> {
        let mut tx = self.begin().await?;
        // Two with the same number come to their end one after the other.
        let found = sqlx::query!(
            r#"/* lock_upload_of_part */ SELECT m.id, m.ended_at IS NOT NULL AS "ended!", m.held_until > $2 AS held, p.number, p.bytes
             FROM upload_part p JOIN multipart_upload m ON m.id = p.upload_id WHERE p.id = $1 FOR UPDATE OF m"#,
            part.id.0,
            now.to_sqlx() as _
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(upload) = found else { return Ok(Err(PartRefused::Expired)) };
        if upload.ended {
            return Ok(Err(PartRefused::NoUpload));
        }
        if upload.held == Some(true) {
            return Ok(Err(PartRefused::BeingCompleted));
        }
        let replaced = sqlx::query_scalar!(
            "/* replace_part */ UPDATE upload_part SET replaced = true
             WHERE upload_id = $1 AND number = $2 AND written_at IS NOT NULL AND NOT replaced RETURNING id",
            upload.id,
            upload.number
        )
        .fetch_all(tx.connection())
        .await?;
        let bytes = i64::try_from(part.bytes).unwrap_or(i64::MAX);
        let done = sqlx::query!(
            "/* finish_part */ UPDATE upload_part SET bytes = $2, md5 = $3, crc64 = $4, written_at = $5 WHERE id = $1 AND written_at IS NULL",
            part.id.0,
            bytes,
            part.md5,
            part.crc64.cast_signed(),
            now.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        if done.rows_affected() == 0 {
            return Ok(Err(PartRefused::Expired));
        }
        sqlx::query!(
            "/* count_part */ UPDATE multipart_upload SET bytes = greatest(bytes + $2, 0) WHERE id = $1",
            upload.id,
            bytes - upload.bytes
        )
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(Ok(replaced.into_iter().map(PackageId).collect()))
    }

    /// Forgets a part whose object is gone, or never was, and gives its room back.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn forget_part(&self, id: PackageId) -> Result<(), StoreError> {
        sqlx::query!(
            "/* forget_part */ WITH gone AS (DELETE FROM upload_part WHERE id = $1 RETURNING upload_id, bytes)
             UPDATE multipart_upload m SET bytes = greatest(m.bytes - gone.bytes, 0) FROM gone WHERE m.id = gone.upload_id",
            id.0
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The parts of an upload that came to their end, by number: up to `most` of those
    /// behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn parts(
        &self,
        upload: MultipartId,
        after: u32,
        most: i64,
    ) -> Result<Vec<Part>, StoreError> {
        let found = sqlx::query!(
            r#"/* parts */ SELECT id, number, bytes, md5 AS "md5!", crc64 AS "crc64!", written_at AS "written_at!" FROM upload_part
             WHERE upload_id = $1 AND number > $2 AND written_at IS NOT NULL AND NOT replaced ORDER BY number LIMIT $3"#,
            upload.0,
            number(after),
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let part = |id, number: i32, bytes: i64, md5, crc64: i64, written_at| Part {
            id: PackageId(id),
            // CHECKs keep both from being negative.
            number: number.unsigned_abs(),
            bytes: bytes.unsigned_abs(),
            md5,
            crc64: crc64.cast_unsigned(),
            written_at,
        };
        Ok(found
            .into_iter()
            .map(|row| {
                part(row.id, row.number, row.bytes, row.md5, row.crc64, row.written_at.to_jiff())
            })
            .collect())
    }

    /// Parts that stand for nothing any more, up to `most`: of uploads that ended (of
    /// `upload`, if it is given), replaced ones, and those whose server died while they
    /// came. What still comes takes itself away.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn parts_to_delete(
        &self,
        upload: Option<MultipartId>,
        now: Timestamp,
        most: i64,
    ) -> Result<Vec<PackageId>, StoreError> {
        let found = sqlx::query_scalar!(
            "/* parts_to_delete */ SELECT p.id FROM upload_part p JOIN multipart_upload m ON m.id = p.upload_id
             WHERE ($1::uuid IS NULL OR m.id = $1)
               AND CASE WHEN p.written_at IS NULL THEN p.expires_at < $2 ELSE p.replaced OR m.ended_at IS NOT NULL END
             ORDER BY p.id LIMIT $3",
            upload.map(|upload| upload.0),
            now.to_sqlx() as _,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(PackageId).collect())
    }
}

fn number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
