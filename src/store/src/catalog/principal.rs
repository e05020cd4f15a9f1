//! Principals, policies, and what is granted to whom.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

use crate::{
    Store, StoreError, Tx,
    row::{document, json},
};
use domain::access::Grant;

/// Number of the lock that whoever changes who may do what holds.
const ACCESS_LOCK: i64 = 0x5_1c1c_a0d2;

/// Most principals that are looked at for one who may do everything.
const MOST_CANDIDATES: i64 = 100;

/// A principal, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalRow {
    pub name: String,
    /// `person` or `program`.
    pub kind: String,
    pub created_at: Timestamp,
    /// What is granted to it.
    pub grants: Vec<Grant>,
    /// Whether nobody chose what is granted to it.
    pub assumed: bool,
    /// How many access keys it has.
    pub keys: i64,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRow {
    pub name: String,
    pub document: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The first 100 principals that it is attached to.
    pub principals: Vec<String>,
}

impl Store {
    /// Principals by name, at most `most`: those behind a name, or the one of this name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn principals(
        &self,
        name: Option<&str>,
        after: Option<&str>,
        most: i64,
    ) -> Result<Vec<PrincipalRow>, StoreError> {
        let rows = sqlx::query!(
            r#"/* principals */ SELECT p.name, p.kind::text AS "kind!", p.created_at, grants_of(p.id) AS "grants!",
                   EXISTS (SELECT 1 FROM principal_grant g WHERE g.principal_id = p.id AND g.assumed) AS "assumed!",
                   (SELECT count(*) FROM access_key k WHERE k.principal_id = p.id) AS "keys!"
               FROM principal p WHERE ($1::text IS NULL OR p.name = $1) AND ($2::text IS NULL OR p.name > $2) ORDER BY p.name LIMIT $3"#,
            name,
            after,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(PrincipalRow {
                    name: row.name,
                    kind: row.kind,
                    created_at: row.created_at.to_jiff(),
                    grants: document("grants", row.grants)?,
                    assumed: row.assumed,
                    keys: row.keys,
                })
            })
            .collect()
    }

    /// The names of principals of which nobody said what they are for, and that have a key;
    /// at most `most`.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn assumed_admins(&self, most: i64) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar!(
            "/* assumed_admins */ SELECT p.name FROM principal p
             WHERE EXISTS (SELECT 1 FROM principal_grant g WHERE g.principal_id = p.id AND g.assumed)
                 AND EXISTS (SELECT 1 FROM access_key k WHERE k.principal_id = p.id AND k.enabled)
             ORDER BY p.name LIMIT $1",
            most
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(names)
    }

    /// Policies by name, at most `most`: those behind a name, or the one of this name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn policies(
        &self,
        name: Option<&str>,
        after: Option<&str>,
        most: i64,
    ) -> Result<Vec<PolicyRow>, StoreError> {
        let rows = sqlx::query!(
            r#"/* policies */ SELECT y.name, y.document, y.created_at, y.updated_at,
                   ARRAY(SELECT DISTINCT p.name FROM principal_grant g JOIN principal p ON p.id = g.principal_id WHERE g.policy_name = y.name ORDER BY p.name LIMIT 100) AS "principals!"
               FROM policy y WHERE ($1::text IS NULL OR y.name = $1) AND ($2::text IS NULL OR y.name > $2) ORDER BY y.name LIMIT $3"#,
            name,
            after,
            most
        )
        .fetch_all(&self.pool)
        .await?;
        let rows = rows.into_iter().map(|row| PolicyRow {
            name: row.name,
            document: row.document,
            created_at: row.created_at.to_jiff(),
            updated_at: row.updated_at.to_jiff(),
            principals: row.principals,
        });
        Ok(rows.collect())
    }
}

impl Tx {
    /// Waits until nobody else changes who may do what, and keeps others from it until the
    /// transaction ends.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn lock_access(&mut self) -> Result<(), StoreError> {
        sqlx::query!(
            r#"/* lock_access */ SELECT pg_advisory_xact_lock($1) AS "locked: ()""#,
            ACCESS_LOCK
        )
        .fetch_one(self.connection())
        .await?;
        Ok(())
    }

    /// What is granted to the principal of a key that may be used; none if it may not.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn grants_of_key(
        &mut self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Vec<Grant>>, StoreError> {
        let grants = sqlx::query_scalar!(
            r#"/* grants_of_key */ SELECT grants_of(principal_id) AS "grants!" FROM access_key
               WHERE id = $1 AND enabled AND (expires_at IS NULL OR expires_at > $2)"#,
            id,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        grants.map(|grants| document("grants", grants)).transpose()
    }

    /// Whether a principal to whom everything is granted has a key that may be used.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn has_admin(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        // Those with the role and no policy need no second look: they come first.
        let candidates = sqlx::query_scalar!(
            r#"/* has_admin */ SELECT grants_of(p.id) AS "grants!" FROM principal p
               WHERE EXISTS (SELECT 1 FROM access_key k WHERE k.principal_id = p.id AND k.enabled AND (k.expires_at IS NULL OR k.expires_at > $1))
                   AND EXISTS (SELECT 1 FROM principal_grant g WHERE g.principal_id = p.id AND (g.role = 'admin' OR g.policy_name IS NOT NULL))
               ORDER BY (SELECT count(*) FROM principal_grant g WHERE g.principal_id = p.id AND g.role IS DISTINCT FROM 'admin'), p.name LIMIT $2"#,
            now.to_sqlx() as _,
            MOST_CANDIDATES
        )
        .fetch_all(self.connection())
        .await?;
        for grants in candidates {
            if Grant::are_full(&document::<Vec<Grant>>("grants", grants)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes a principal. None if the name is taken.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_principal(
        &mut self,
        name: &str,
        kind: &str,
        now: Timestamp,
    ) -> Result<Option<Uuid>, StoreError> {
        let row = sqlx::query!(
            "/* insert_principal */ INSERT INTO principal (name, kind, created_at) VALUES ($1, $2::text::principal_kind, $3)
             ON CONFLICT (name) DO NOTHING RETURNING id",
            name,
            kind,
            now.to_sqlx() as _
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| row.id))
    }

    /// The principal of this name, which stays locked.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn lock_principal(&mut self, name: &str) -> Result<Option<Uuid>, StoreError> {
        let row = sqlx::query!(
            "/* lock_principal */ SELECT id FROM principal WHERE name = $1 FOR UPDATE",
            name
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| row.id))
    }

    /// Removes a principal, with its keys and what is granted to it.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remove_principal(&mut self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query!("/* remove_principal */ DELETE FROM principal WHERE id = $1", id)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Grants everything to a principal of which nobody says what it is for.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn assume_admin(
        &mut self,
        principal: Uuid,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query!(
            "/* assume_admin */ INSERT INTO principal_grant (principal_id, role, assumed, created_at) VALUES ($1, 'admin', true, $2)",
            principal,
            now.to_sqlx() as _
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Grants something to a principal, in place of what was assumed of it. How many grants
    /// it has then. The policy must be there.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn add_grant(
        &mut self,
        principal: Uuid,
        grant: &Grant,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        self.remove_grant(principal, grant).await?;
        sqlx::query!(
            "/* drop_assumed */ DELETE FROM principal_grant WHERE principal_id = $1 AND assumed",
            principal
        )
        .execute(self.connection())
        .await?;
        sqlx::query!(
            "/* add_grant */ INSERT INTO principal_grant (principal_id, policy_name, role, namespace, application, created_at, exceptions)
             VALUES ($1, $2, $3::text::access_role, $4, $5, $6, $7)",
            principal,
            grant.policy.as_ref().map(|it| it.name.as_str()),
            grant.role.map(|role| role.name()),
            grant.scope.namespace,
            grant.scope.application,
            now.to_sqlx() as _,
            json("exceptions", &grant.exceptions)?
        )
        .execute(self.connection())
        .await?;
        let row = sqlx::query!(
            r#"/* count_grants */ SELECT count(*) AS "count!" FROM principal_grant WHERE principal_id = $1"#,
            principal
        )
        .fetch_one(self.connection())
        .await?;
        Ok(row.count)
    }

    /// Takes something from a principal. False if it was not granted.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remove_grant(
        &mut self,
        principal: Uuid,
        grant: &Grant,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* remove_grant */ DELETE FROM principal_grant
             WHERE principal_id = $1 AND policy_name IS NOT DISTINCT FROM $2 AND role IS NOT DISTINCT FROM $3::text::access_role
                 AND namespace = $4 AND application = $5",
            principal,
            grant.policy.as_ref().map(|it| it.name.as_str()),
            grant.role.map(|role| role.name()),
            grant.scope.namespace,
            grant.scope.application
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes a policy, in place of the one of this name if there is one and `replace`. False
    /// if the name is taken.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn put_policy(
        &mut self,
        name: &str,
        text: &str,
        replace: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query!(
            "/* put_policy */ INSERT INTO policy (name, document, created_at, updated_at) VALUES ($1, $2, $3, $3)
             ON CONFLICT (name) DO UPDATE SET document = $2, updated_at = $3 WHERE $4",
            name,
            text,
            now.to_sqlx() as _,
            replace
        )
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The text of the policy of this name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn policy(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let document =
            sqlx::query_scalar!("/* policy */ SELECT document FROM policy WHERE name = $1", name);
        Ok(document.fetch_optional(self.connection()).await?)
    }

    /// Whether there is a policy of this name, which stays until the transaction ends.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn hold_policy(&mut self, name: &str) -> Result<bool, StoreError> {
        let row = sqlx::query!(
            "/* hold_policy */ SELECT name FROM policy WHERE name = $1 FOR SHARE",
            name
        )
        .fetch_optional(self.connection())
        .await?;
        Ok(row.is_some())
    }

    /// Removes a policy that is attached to nobody. How many it is attached to; none if
    /// there is no such policy.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn remove_policy(&mut self, name: &str) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query!(
            r#"/* lock_policy */ SELECT (SELECT count(*) FROM principal_grant g WHERE g.policy_name = y.name) AS "attached!" FROM policy y WHERE y.name = $1 FOR UPDATE"#,
            name
        )
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        if row.attached == 0 {
            sqlx::query!("/* remove_policy */ DELETE FROM policy WHERE name = $1", name)
                .execute(self.connection())
                .await?;
        }
        Ok(Some(row.attached))
    }
}
