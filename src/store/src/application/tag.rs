//! Tags of applications.

use crate::{
    Store, StoreError, Tx,
    row::{allowed, denied},
};
use domain::{ApplicationId, access::Filter};

/// A tag of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    pub application: ApplicationId,
    /// Its key, which an application has once.
    pub key: String,
    pub value: String,
}

impl Tx {
    /// Gives an application a tag, in place of the one with that key. Its row is
    /// locked, so that its tags can be counted.
    ///
    /// # Errors
    /// [`domain::Rejection::UnknownApplication`].
    pub async fn put_tags(
        &mut self,
        application: ApplicationId,
        keys: &[String],
        values: &[String],
    ) -> Result<(), StoreError> {
        self.lock_application(application).await?;
        sqlx::query!(
            "/* put_tags */ INSERT INTO application_tag (application_id, key, value)
             SELECT $1, key, value FROM unnest($2::text[], $3::text[]) AS given (key, value)
             ON CONFLICT (application_id, key) DO UPDATE SET value = excluded.value",
            application.0,
            keys,
            values
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// How many tags an application has.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn count_tags(&mut self, application: ApplicationId) -> Result<i64, StoreError> {
        let row =
            sqlx::query!(r#"/* count_tags */ SELECT count(*) AS "count!" FROM application_tag WHERE application_id = $1"#, application.0)
                .fetch_one(self.connection())
                .await?;
        Ok(row.count)
    }

    /// Takes an application's tags with these keys away, or all of them.
    ///
    /// # Errors
    /// [`domain::Rejection::UnknownApplication`].
    pub async fn remove_tags(
        &mut self,
        application: ApplicationId,
        keys: Option<&[String]>,
    ) -> Result<(), StoreError> {
        self.lock_application(application).await?;
        sqlx::query!(
            "/* remove_tags */ DELETE FROM application_tag WHERE application_id = $1 AND ($2::text[] IS NULL OR key = ANY ($2))",
            application.0,
            keys
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// All tags of the applications that may be shown, oldest application first, then by key.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn tags(&self, shown: Option<&Filter>) -> Result<Vec<TagRow>, StoreError> {
        let rows = sqlx::query!(
            "/* tags */ SELECT t.application_id, t.key, t.value FROM application_tag t JOIN application a ON a.id = t.application_id
             WHERE a.deleted_at IS NULL AND may_show(a.namespace, a.name, a.id, $1, $2) ORDER BY a.created_at, a.id, t.key",
            allowed(shown),
            denied(shown)
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| TagRow {
                application: ApplicationId(row.application_id),
                key: row.key,
                value: row.value,
            })
            .collect())
    }
}
