//! Rules by which applications are scaled.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;

use crate::{
    Store, StoreError, Tx,
    row::{document, json},
};
use domain::{ApplicationId, object::autoscaling::ScalingRule};

/// A rule of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingRuleRow {
    /// Its name, which an application has once.
    pub name: String,
    pub rule: ScalingRule,
    /// Whether it is on the cluster, or to be.
    pub enabled: bool,
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it was last disabled.
    pub disabled_at: Option<Timestamp>,
}

/// What becomes of a rule once its autoscaler is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleChange {
    /// It is this one from then on.
    Put(ScalingRuleRow),
    /// The rule of this name is gone.
    Delete(String),
}

impl Store {
    /// The rules of an application, by name.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn scaling_rules(
        &self,
        application: ApplicationId,
    ) -> Result<Vec<ScalingRuleRow>, StoreError> {
        scaling_rules(&self.pool, application).await
    }
}

async fn scaling_rules(
    database: impl PgExecutor<'_>,
    application: ApplicationId,
) -> Result<Vec<ScalingRuleRow>, StoreError> {
    let rows = sqlx::query!(
        r#"/* scaling_rules */ SELECT name, rule, enabled, created_at, updated_at, disabled_at
           FROM scaling_rule WHERE application_id = $1 ORDER BY name"#,
        application.0
    )
    .fetch_all(database)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ScalingRuleRow {
                name: row.name,
                rule: document("scaling rule", row.rule)?,
                enabled: row.enabled,
                created_at: row.created_at.to_jiff(),
                updated_at: row.updated_at.to_jiff(),
                disabled_at: row.disabled_at.map(|at| at.to_jiff()),
            })
        })
        .collect()
}

impl Tx {
    /// The rules of an application, by name, as this transaction sees them.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn scaling_rules(
        &mut self,
        application: ApplicationId,
    ) -> Result<Vec<ScalingRuleRow>, StoreError> {
        scaling_rules(self.connection(), application).await
    }

    /// Writes a rule, in place of the one with that name. Another one that is enabled must
    /// not be there where this one is.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn put_scaling_rule(
        &mut self,
        application: ApplicationId,
        row: &ScalingRuleRow,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* put_scaling_rule */ INSERT INTO scaling_rule (application_id, name, rule, enabled, created_at, updated_at, disabled_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (application_id, name) DO UPDATE SET rule = excluded.rule, enabled = excluded.enabled,
                 created_at = excluded.created_at, updated_at = excluded.updated_at, disabled_at = excluded.disabled_at",
            application.0,
            row.name,
            json("scaling rule", &row.rule)?,
            row.enabled,
            row.created_at.to_sqlx() as _,
            row.updated_at.to_sqlx() as _,
            row.disabled_at.map(|at| at.to_sqlx()) as _
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes a rule, if it is there.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn delete_scaling_rule(
        &mut self,
        application: ApplicationId,
        name: &str,
    ) -> Result<(), StoreError> {
        sqlx::query!("/* delete_scaling_rule */ DELETE FROM scaling_rule WHERE application_id = $1 AND name = $2", application.0, name)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Does to a rule what its autoscaler was written for.
    ///
    /// # Errors
    /// As [`Tx::put_scaling_rule`].
    pub(crate) async fn change_scaling_rule(
        &mut self,
        application: ApplicationId,
        change: &RuleChange,
    ) -> Result<(), StoreError> {
        match change {
            RuleChange::Put(row) => self.put_scaling_rule(application, row).await,
            RuleChange::Delete(name) => self.delete_scaling_rule(application, name).await,
        }
    }
}
