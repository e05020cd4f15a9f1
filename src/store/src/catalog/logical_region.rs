//! EDAS namespaces: those that somebody described, and those that applications are in.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{Store, StoreError, Tx};

/// An EDAS namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalRegion {
    /// Its number; none = nobody described it, applications are just in it.
    pub id: Option<i64>,
    /// Its name: a region, or `<region>:<name>`.
    pub name: String,
    /// What it is called.
    pub title: String,
    pub description: String,
    /// Name of the access key that described it; empty if nobody did.
    pub created_by: String,
}

/// What is said of an EDAS namespace.
#[derive(Debug, Clone, Copy)]
pub struct RegionText<'a> {
    pub name: &'a str,
    /// What it is called.
    pub title: &'a str,
    pub description: &'a str,
}

impl Tx {
    /// Describes a namespace that nobody described yet; none where somebody did.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_region(
        &mut self,
        text: RegionText<'_>,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query!(
            "/* insert_region */ INSERT INTO logical_region (name, title, description, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO NOTHING RETURNING id",
            text.name,
            text.title,
            text.description,
            by,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| row.id))
    }

    /// Changes what is said of a namespace, whose name stays.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn update_region(
        &mut self,
        id: i64,
        title: &str,
        description: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!("/* update_region */ UPDATE logical_region SET title = $2, description = $3 WHERE id = $1", id, title, description)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// The described namespace with this number or name, locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn find_region(
        &mut self,
        id: Option<i64>,
        name: Option<&str>,
    ) -> Result<Option<LogicalRegion>, StoreError> {
        let row = sqlx::query!(
            "/* find_region */ SELECT id, name, title, description, created_by FROM logical_region
             WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR name = $2) AND ($1 IS NOT NULL OR $2 IS NOT NULL) FOR UPDATE",
            id,
            name
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| LogicalRegion {
            id: Some(row.id),
            name: row.name,
            title: row.title,
            description: row.description,
            created_by: row.created_by,
        }))
    }

    /// How many applications are in a namespace.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn applications_in(&mut self, region: &str) -> Result<i64, StoreError> {
        let row = sqlx::query!(
            r#"/* applications_in */ SELECT count(*) AS "count!" FROM application WHERE logical_region = $1 AND deleted_at IS NULL"#,
            region
        )
        .fetch_one(self.connection())
        .await?;
        Ok(row.count)
    }

    /// Forgets what is said of a namespace.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn delete_region(&mut self, id: i64) -> Result<(), StoreError> {
        sqlx::query!("/* delete_region */ DELETE FROM logical_region WHERE id = $1", id)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// The namespaces that somebody described or that applications are in, by name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn regions(&self) -> Result<Vec<LogicalRegion>, StoreError> {
        let rows = sqlx::query!(
            r#"/* regions */ SELECT r.id AS "id?", coalesce(r.name, a.logical_region) AS "name!", r.title AS "title?",
                   coalesce(r.description, '') AS "description!", coalesce(r.created_by, '') AS "created_by!"
               FROM logical_region r FULL JOIN (SELECT DISTINCT logical_region FROM application WHERE deleted_at IS NULL) a ON a.logical_region = r.name
               ORDER BY 2"#
        )
        .fetch_all(&self.pool)
        .await?;
        let region = |name: String, title: Option<String>, id, description, created_by| {
            let title = title.unwrap_or_else(|| name.clone());
            LogicalRegion { id, name, title, description, created_by }
        };
        Ok(rows
            .into_iter()
            .map(|row| region(row.name, row.title, row.id, row.description, row.created_by))
            .collect())
    }
}
