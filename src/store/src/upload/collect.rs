//! Packages that nothing names any more: found, marked, and forgotten once their
//! objects are gone.
//!
//! A package is named by the versions of a history, by orders that are open or may
//! still be gone on from or rolled back, and by what a release that rests half way
//! goes back to. The histories of applications whose Deployment stays count too:
//! its pods may have to fetch the package again.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use super::super::{Store, StoreError, Tx};
use domain::{OrderId, PackageId};

impl Store {
    /// Whether this server is the one to look the store through now; nobody else is
    /// until `next`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn claim_sweep(&self, now: Timestamp, next: Timestamp) -> Result<bool, StoreError> {
        let claimed = sqlx::query!(
            "/* claim_sweep */ UPDATE package_sweep SET next_at = $2 WHERE next_at <= $1",
            now.to_sqlx() as _,
            next.to_sqlx() as _
        )
        .execute(&self.pool)
        .await?;
        Ok(claimed.rows_affected() == 1)
    }

    /// What marks a store of packages as this database's.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn package_store_mark(&self) -> Result<uuid::Uuid, StoreError> {
        Ok(sqlx::query_scalar!("/* package_store_mark */ SELECT store_mark FROM package_sweep")
            .fetch_one(&self.pool)
            .await?)
    }

    /// Packages uploaded before `before` that no version of a history names, by id:
    /// up to `most` of those behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn unreleased_packages(
        &self,
        before: Timestamp,
        after: Option<PackageId>,
        most: i64,
    ) -> Result<Vec<PackageId>, StoreError> {
        let found = sqlx::query_scalar!(
            "/* unreleased_packages */ SELECT p.id FROM stored_package p
             WHERE p.deleted_at IS NULL AND p.created_at < $1 AND ($2::uuid IS NULL OR p.id > $2)
               AND NOT EXISTS (
                   SELECT 1 FROM release r JOIN application a ON a.id = r.application_id
                   WHERE r.released_at IS NOT NULL AND r.packages @> ARRAY[p.id]
                     AND (a.deleted_at IS NULL OR NOT EXISTS (
                         SELECT 1 FROM change_order d
                         WHERE d.application_id = a.id AND d.kind = 'delete' AND d.state = 'succeeded' AND d.generation > 0)))
             ORDER BY p.id LIMIT $3",
            before.to_sqlx() as _,
            after.map(|after| after.0),
            most
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(PackageId).collect())
    }

    /// Packages that orders name which are open, or may still be gone on from or rolled
    /// back: of up to `most` such orders behind `after`, and the last of these. Orders
    /// count that are younger than `before`, whatever became of them. Read page by page:
    /// all of their templates together can be large.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn packages_of_orders(
        &self,
        before: Timestamp,
        after: Option<OrderId>,
        most: i64,
    ) -> Result<(Vec<PackageId>, Option<OrderId>), StoreError> {
        let found = sqlx::query!(
            r#"/* packages_of_orders */ SELECT o.id, o.packages || a.resting_packages AS "packages!: Vec<uuid::Uuid>"
               FROM change_order o JOIN application a ON a.id = o.application_id
               WHERE (o.finished_at IS NULL OR o.finalizing OR o.created_at >= $1
                      OR (a.deleted_at IS NULL AND (
                          a.resting_snapshot IS NOT NULL
                          OR EXISTS (SELECT 1 FROM change_order s WHERE s.application_id = a.id AND (s.finished_at IS NULL OR s.finalizing))
                          OR NOT EXISTS (SELECT 1 FROM change_order n WHERE n.application_id = a.id AND n.kind <> 'object_write'
                                         AND (n.created_at, n.id) > (o.created_at, o.id)))))
                 AND ($2::uuid IS NULL OR o.id > $2)
               ORDER BY o.id LIMIT $3"#,
            before.to_sqlx() as _,
            after.map(|after| after.0),
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let last = found.last().map(|row| OrderId(row.id));
        Ok((found.into_iter().flat_map(|row| row.packages).map(PackageId).collect(), last))
    }

    /// Marks a package as deleted, if nothing names it: nobody can release or fetch it
    /// from then on. False where something does, or a release of it is just being
    /// accepted.
    ///
    /// Only orders of applications are looked at that had one since `since`, or have an
    /// open one: [`Self::packages_of_orders`], asked after `since`, has told those of the
    /// others. Orders count that are younger than `before`, whatever became of them.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn mark_package_deleted(
        &self,
        id: PackageId,
        before: Timestamp,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let locked = sqlx::query!(
            "/* lock_package */ SELECT id FROM stored_package WHERE id = $1 AND deleted_at IS NULL FOR UPDATE SKIP LOCKED",
            id.0
        )
        .fetch_optional(tx.connection())
        .await?;
        if locked.is_none() {
            return Ok(false);
        }
        // A statement of its own, which sees what was written before the row was locked.
        let marked = sqlx::query!(
            "/* mark_package_deleted */ UPDATE stored_package SET deleted_at = $2 WHERE id = $1
               AND NOT EXISTS (
                   SELECT 1 FROM release r JOIN application a ON a.id = r.application_id
                   WHERE r.released_at IS NOT NULL AND r.packages @> ARRAY[$1]
                     AND (a.deleted_at IS NULL OR NOT EXISTS (
                         SELECT 1 FROM change_order d
                         WHERE d.application_id = a.id AND d.kind = 'delete' AND d.state = 'succeeded' AND d.generation > 0)))
               AND NOT EXISTS (
                   SELECT 1 FROM change_order o JOIN application a ON a.id = o.application_id
                   WHERE a.id IN (SELECT q.application_id FROM change_order q WHERE q.created_at >= $4 OR q.finished_at IS NULL OR q.finalizing)
                     AND (o.finished_at IS NULL OR o.finalizing OR o.created_at >= $3
                          OR (a.deleted_at IS NULL AND (
                              a.resting_snapshot IS NOT NULL
                              OR EXISTS (SELECT 1 FROM change_order s WHERE s.application_id = a.id AND (s.finished_at IS NULL OR s.finalizing))
                              OR NOT EXISTS (SELECT 1 FROM change_order n WHERE n.application_id = a.id AND n.kind <> 'object_write'
                                             AND (n.created_at, n.id) > (o.created_at, o.id)))))
                     AND o.packages || a.resting_packages @> ARRAY[$1])",
            id.0,
            now.to_sqlx() as _,
            before.to_sqlx() as _,
            since.to_sqlx() as _
        )
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(marked.rows_affected() == 1)
    }

    /// Packages that are marked as deleted, with the time of the mark, by id: up to
    /// `most` of those behind `after`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn deleted_packages(
        &self,
        after: Option<PackageId>,
        most: i64,
    ) -> Result<Vec<(PackageId, Timestamp)>, StoreError> {
        let found = sqlx::query!(
            "/* deleted_packages */ SELECT id, deleted_at AS \"deleted_at!\" FROM stored_package
             WHERE deleted_at IS NOT NULL AND ($1::uuid IS NULL OR id > $1) ORDER BY id LIMIT $2",
            after.map(|after| after.0),
            most
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(|row| (PackageId(row.id), row.deleted_at.to_jiff())).collect())
    }

    /// Forgets a package that is marked as deleted, and whose object is gone.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn forget_package(&self, id: PackageId) -> Result<(), StoreError> {
        sqlx::query!("/* forget_package */ DELETE FROM stored_package WHERE id = $1 AND deleted_at IS NOT NULL", id.0)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Those of `ids` that there is neither a package nor an upload of, nor a part of one.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn unknown_packages(&self, ids: &[PackageId]) -> Result<Vec<PackageId>, StoreError> {
        let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
        let found = sqlx::query_scalar!(
            "/* unknown_packages */ SELECT id AS \"id!\" FROM unnest($1::uuid[]) AS found (id)
             WHERE NOT EXISTS (SELECT 1 FROM stored_package p WHERE p.id = found.id)
               AND NOT EXISTS (SELECT 1 FROM package_upload u WHERE u.id = found.id)
               AND NOT EXISTS (SELECT 1 FROM upload_part p WHERE p.id = found.id)",
            &ids
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(found.into_iter().map(PackageId).collect())
    }
}

impl Tx {
    /// Keeps packages from being deleted until the transaction ends. Returns one that
    /// is deleted already, if there is one; ids of other stores' packages say nothing.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn hold_packages(
        &mut self,
        ids: &[PackageId],
    ) -> Result<Option<PackageId>, StoreError> {
        let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
        let held =
            sqlx::query!("/* hold_packages */ SELECT id, deleted_at FROM stored_package WHERE id = ANY ($1) ORDER BY id FOR SHARE", &ids)
                .fetch_all(self.connection())
                .await?;
        Ok(held.into_iter().find(|row| row.deleted_at.is_some()).map(|row| PackageId(row.id)))
    }
}
