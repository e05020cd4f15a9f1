//! Versions: those that were released, and can be released again.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use crate::{
    Store, StoreError, Tx,
    keyring::Keyring,
    row::{document, json},
    sealed::RELEASE_TEMPLATE,
};
use domain::{
    ApplicationId, Rejection, ReleaseId,
    package::{Label, upload::stored_in},
    precheck::Existing,
};

/// A version about to be ordered.
#[derive(Debug, Clone)]
pub struct NewRelease<'a> {
    pub id: ReleaseId,
    pub application: ApplicationId,
    /// Its text; none = a text made of the time, unlike the application's others.
    pub version: Option<&'a str>,
    /// Its image, as far as it is known.
    pub image: &'a str,
    /// Its package; none = an image.
    pub package: Option<&'a Label>,
    pub description: &'a str,
}

/// A version of the history.
#[derive(Debug, Clone, PartialEq)]
pub struct ReleaseRow {
    pub id: ReleaseId,
    pub version: String,
    pub image: String,
    /// Its package; none = an image.
    pub package: Option<Label>,
    pub description: String,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When a release of it last succeeded.
    pub released_at: Timestamp,
    pub template: Value,
    /// Its minReadySeconds, if it has one of its own.
    pub min_ready_seconds: Option<i32>,
}

impl Tx {
    /// Writes a version: the newest of its application, whatever the clock says.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_release(
        &mut self,
        release: &NewRelease<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let named = release.package.map(|package| stored_in(&package.address));
        let packages: Vec<_> = named.into_iter().flatten().map(|package| package.0).collect();
        // Two orders within a second get different texts, since a text names the
        // version to go back to. The application's row is locked meanwhile.
        sqlx::query!(
            "/* insert_release */ WITH named AS (SELECT to_char($6 AT TIME ZONE 'UTC', 'YYYYMMDD.HH24MISS') AS text),
             taken AS (SELECT count(*) AS number FROM release, named WHERE application_id = $2 AND starts_with(version, named.text))
             INSERT INTO release (id, application_id, version, image, description, created_at, package, packages)
             SELECT $1, $2, coalesce($3, named.text || CASE WHEN taken.number > 0 THEN '.' || taken.number ELSE '' END), $4, $5,
                 greatest($6, (SELECT max(created_at) + interval '1 microsecond' FROM release WHERE application_id = $2)), $7, $8 FROM named, taken",
            release.id.0,
            release.application.0,
            release.version,
            release.image,
            release.description,
            now.to_sqlx() as _,
            release.package.map(|package| json("package", package)).transpose()?,
            &packages
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Makes a version the application's present one, as it was found running.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn note_adoption(
        &mut self,
        application: ApplicationId,
        release: ReleaseId,
        existing: &Existing,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let template = self.keyring.seal_document(RELEASE_TEMPLATE, release, &existing.template)?;
        sqlx::query!(
            "/* note_adoption */ WITH found AS (UPDATE release SET released_at = $3, template = $4, min_ready_seconds = $5, packages = packages || $6 WHERE id = $2)
             UPDATE application SET release_id = $2 WHERE id = $1",
            application.0,
            release.0,
            now.to_sqlx() as _,
            template.bytes,
            existing.min_ready_seconds,
            &template.packages
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Image and package of a version. Without one, of the application's first:
    /// while none was released to its end, that is what there is.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn made_of(
        &mut self,
        application: ApplicationId,
        release: Option<ReleaseId>,
    ) -> Result<(String, Option<Label>), StoreError> {
        let row = sqlx::query!(
            "/* made_of */ SELECT image, package FROM release WHERE application_id = $1 AND ($2::uuid IS NULL OR id = $2) ORDER BY created_at, id LIMIT 1",
            application.0,
            release.map(|release| release.0)
        )
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok((String::new(), None)) };
        Ok((row.image, row.package.map(|package| document("package", package)).transpose()?))
    }

    /// A version of the history by its id or, the newest of that text.
    ///
    /// # Errors
    /// [`Rejection::UnknownVersion`].
    pub async fn find_release(
        &mut self,
        application: ApplicationId,
        id: Option<ReleaseId>,
        version: Option<&str>,
    ) -> Result<ReleaseRow, StoreError> {
        let keyring = self.keyring.clone();
        let found =
            history(self.connection(), &keyring, application).await?.into_iter().find(|row| {
                id.is_none_or(|id| row.id == id)
                    && version.is_none_or(|version| row.version == version)
            });
        let shown = version.map(str::to_owned).or(id.map(|id| id.to_string())).unwrap_or_default();
        found.ok_or_else(|| Rejection::UnknownVersion { application, version: shown }.into())
    }
}

impl Store {
    /// The versions of the history, newest first.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn history(&self, application: ApplicationId) -> Result<Vec<ReleaseRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        history(&mut connection, &self.keyring, application).await
    }

    /// The texts of all versions, also of those that were never released to their end.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn version_texts(
        &self,
        application: ApplicationId,
    ) -> Result<HashMap<ReleaseId, String>, StoreError> {
        let rows = sqlx::query!(
            "/* version_texts */ SELECT id, version FROM release WHERE application_id = $1",
            application.0
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (ReleaseId(row.id), row.version)).collect())
    }
}

async fn history(
    connection: &mut sqlx::PgConnection,
    keyring: &Keyring,
    application: ApplicationId,
) -> Result<Vec<ReleaseRow>, StoreError> {
    let rows = sqlx::query!(
        r#"/* history */ SELECT id, version, image, package, description, created_at, released_at AS "released_at!", template AS "template!", min_ready_seconds
           FROM release WHERE application_id = $1 AND released_at IS NOT NULL ORDER BY created_at DESC, id DESC"#,
        application.0
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ReleaseRow {
                id: ReleaseId(row.id),
                version: row.version,
                image: row.image,
                package: row.package.map(|package| document("package", package)).transpose()?,
                description: row.description,
                created_at: row.created_at.to_jiff(),
                released_at: row.released_at.to_jiff(),
                template: keyring.open_json(RELEASE_TEMPLATE, row.id, &row.template)?,
                min_ready_seconds: row.min_ready_seconds,
            })
        })
        .collect()
}
