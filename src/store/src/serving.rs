//! The role of the database that serves: it owns no table, and may only add to the audit.

use crate::{Store, StoreError};

/// Tables to which rows may only be added, by whoever serves.
const KEPT: [&str; 5] = ["audit_entry", "audit_leaf", "audit_node", "audit_checkpoint", "event"];

impl Store {
    /// Grants a role what serving needs, and takes from it what it does not. Whoever calls
    /// this owns the tables.
    ///
    /// # Errors
    /// [`StoreError::Sql`], where there is no such role.
    pub async fn grant_serving(&self, role: &str) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let granted: Vec<String> = sqlx::query_scalar(
            "/* serving_grants */ SELECT format(text, $1, current_schema()) FROM (
                VALUES (1, 'GRANT USAGE ON SCHEMA %2$I TO %1$I'),
                       (2, 'REVOKE CREATE ON SCHEMA %2$I FROM %1$I'),
                       (3, 'GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA %2$I TO %1$I'),
                       (4, 'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %2$I TO %1$I'),
                       (5, 'GRANT EXECUTE ON FUNCTION %2$I.forget_orders(uuid[]) TO %1$I')
             ) AS statement (place, text) ORDER BY place",
        )
        .bind(role)
        .fetch_all(&mut *tx)
        .await?;
        let kept: Vec<String> = sqlx::query_scalar(
            "/* kept_tables */ SELECT format('REVOKE ALL ON %1$I.%2$I FROM %3$I; GRANT SELECT, INSERT ON %1$I.%2$I TO %3$I', current_schema(), name, $1) FROM unnest($2::text[]) AS name",
        )
        .bind(role)
        .bind(KEPT)
        .fetch_all(&mut *tx)
        .await?;
        let migrations: String = sqlx::query_scalar(
            "/* kept_migrations */ SELECT format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %I._sqlx_migrations FROM %I', current_schema(), $1)",
        )
        .bind(role)
        .fetch_one(&mut *tx)
        .await?;
        for statement in granted.into_iter().chain(kept).chain([migrations]) {
            // Postgres itself has quoted the names.
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await?;
        }
        let creates: bool = sqlx::query_scalar(
            "/* serving_creates */ SELECT has_schema_privilege($1, current_schema(), 'CREATE')",
        )
        .bind(role)
        .fetch_one(&mut *tx)
        .await?;
        if creates {
            let why = "it may create objects in the schema, as everybody may on PostgreSQL 14: REVOKE CREATE ON SCHEMA public FROM PUBLIC first";
            return Err(StoreError::Corrupt { what: "role", why: why.into() });
        }
        tx.commit().await?;
        Ok(())
    }
}
