//! Config templates: texts that are kept under a name.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;

use crate::{
    Keyring, Store, StoreError, Tx,
    row::{value, word},
    sealed::CONTENT,
};
use domain::{Input, Rejection, config_template::ConfigTemplate};

/// A config template that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigTemplateRow {
    pub id: i64,
    pub template: ConfigTemplate,
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Which config templates are asked for; none = whichever.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConfigTemplateFilter<'a> {
    pub id: Option<i64>,
    pub name: Option<&'a str>,
}

impl Store {
    /// Config templates by number, oldest first: `limit` of them behind the first `offset`.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn config_templates(
        &self,
        wanted: ConfigTemplateFilter<'_>,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<ConfigTemplateRow>, StoreError> {
        let rows = sqlx::query!(
            r#"/* config_templates */ SELECT id, name, description, format::text AS "format!", content, created_at, updated_at
               FROM config_template WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR name = $2)
               ORDER BY id OFFSET $3 LIMIT $4"#,
            wanted.id,
            wanted.name,
            offset,
            limit
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let format = value("format", row.format)?;
                let content = self.keyring.open_text(CONTENT, &row.name, &row.content)?;
                let template = ConfigTemplate {
                    name: row.name,
                    description: row.description,
                    format,
                    content,
                };
                Ok(ConfigTemplateRow {
                    id: row.id,
                    template,
                    created_at: row.created_at.to_jiff(),
                    updated_at: row.updated_at.to_jiff(),
                })
            })
            .collect()
    }

    /// How many config templates there are of those that are asked for.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn count_config_templates(
        &self,
        wanted: ConfigTemplateFilter<'_>,
    ) -> Result<i64, StoreError> {
        let row = sqlx::query!(
            r#"/* count_config_templates */ SELECT count(*) AS "count!" FROM config_template
               WHERE ($1::bigint IS NULL OR id = $1) AND ($2::text IS NULL OR name = $2)"#,
            wanted.id,
            wanted.name
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.count)
    }
}

impl Tx {
    /// Keeps a config template, and returns its number.
    ///
    /// # Errors
    /// A rejection where its name is taken.
    pub async fn insert_config_template(
        &mut self,
        template: &ConfigTemplate,
        by: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let content = sealed_content(&self.keyring, template)?;
        let row = sqlx::query!(
            "/* insert_config_template */ INSERT INTO config_template (name, description, format, content, created_by, created_at, updated_at)
             VALUES ($1, $2, $3::text::config_format, $4, $5, $6, $6) ON CONFLICT (name) DO NOTHING RETURNING id",
            template.name,
            template.description,
            word(template.format),
            content,
            by,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.ok_or_else(|| taken(&template.name))?.id)
    }

    /// A config template, locked.
    ///
    /// # Errors
    /// [`Rejection::UnknownConfigTemplate`], or [`StoreError::Corrupt`].
    pub async fn lock_config_template(&mut self, id: i64) -> Result<ConfigTemplate, StoreError> {
        let row = sqlx::query!(
            r#"/* lock_config_template */ SELECT name, description, format::text AS "format!", content FROM config_template
               WHERE id = $1 FOR UPDATE"#,
            id
        )
        .fetch_optional(self.connection())
        .await?
        .ok_or(Rejection::UnknownConfigTemplate(id))?;
        let content = self.keyring.open_text(CONTENT, &row.name, &row.content)?;
        Ok(ConfigTemplate {
            name: row.name,
            description: row.description,
            format: value("format", row.format)?,
            content,
        })
    }

    /// Replaces what a config template is.
    ///
    /// # Errors
    /// A rejection where another one has its name.
    pub async fn update_config_template(
        &mut self,
        id: i64,
        template: &ConfigTemplate,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let content = sealed_content(&self.keyring, template)?;
        let done = sqlx::query!(
            "/* update_config_template */ UPDATE config_template
             SET name = $2, description = $3, format = $4::text::config_format, content = $5, updated_at = greatest($6, created_at) WHERE id = $1",
            id,
            template.name,
            template.description,
            word(template.format),
            content,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await;
        match done {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(taken(&template.name).into())
            }
            done => Ok(done.map(|_| ())?),
        }
    }

    /// Forgets a config template.
    ///
    /// # Errors
    /// [`Rejection::UnknownConfigTemplate`].
    pub async fn delete_config_template(&mut self, id: i64) -> Result<(), StoreError> {
        let done = sqlx::query!(
            "/* delete_config_template */ DELETE FROM config_template WHERE id = $1",
            id
        )
        .execute(self.connection())
        .await?;
        if done.rows_affected() == 1 {
            Ok(())
        } else {
            Err(Rejection::UnknownConfigTemplate(id).into())
        }
    }
}

/// The content, for the row of its name: that is chosen before the row's number is, and
/// changes with the content only.
fn sealed_content(keyring: &Keyring, template: &ConfigTemplate) -> Result<Vec<u8>, StoreError> {
    keyring.seal_bytes(CONTENT, &template.name, template.content.as_bytes())
}

fn taken(name: &str) -> Rejection {
    Rejection::invalid(
        Input::TemplateName,
        name,
        "a config template of that name exists already, and there is only one",
    )
}
