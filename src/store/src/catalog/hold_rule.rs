//! Rules that hold orders off before they begin.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde_json::Value;

use crate::{
    ORDER_CHANNEL, Store, StoreError, Tx,
    row::{document, json, value, word},
};
use domain::{
    hold::{Demand, HeldBy, HoldRule, NewHoldRule},
    order::Kind,
};

/// Most rules of a database, and so the most in a list.
pub const MOST_HOLD_RULES: i64 = 100;

/// A rule as it is on record.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldRuleRow {
    pub rule: NewHoldRule,
    /// Who made it.
    pub created_by: String,
    pub created_at: Timestamp,
}

impl Store {
    /// The rules that hold orders off, by name.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn hold_rules(&self) -> Result<Vec<HoldRuleRow>, StoreError> {
        let rows = sqlx::query!(
            "/* hold_rules */ SELECT name, held_by, reason, namespaces, applications, kinds, calendar, created_by, created_at
             FROM hold_rule ORDER BY name LIMIT $1",
            MOST_HOLD_RULES
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                let kinds = row.kinds.into_iter().map(|kind| value::<Kind>("kind", kind));
                Ok(HoldRuleRow {
                    rule: NewHoldRule {
                        rule: rule(
                            row.name,
                            value("held_by", row.held_by)?,
                            row.reason,
                            row.calendar,
                        )?,
                        namespaces: row.namespaces,
                        applications: row.applications,
                        kinds: kinds.collect::<Result<_, _>>()?,
                    },
                    created_by: row.created_by,
                    created_at: row.created_at.to_jiff(),
                })
            })
            .collect()
    }
}

impl Tx {
    /// Writes a rule, and returns whether it was written: not where its name is taken, or there
    /// are as many as there may be. Orders that have not begun go by it from now on.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn insert_hold_rule(
        &mut self,
        new: &NewHoldRule,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let kinds: Vec<String> = new.kinds.iter().map(word).collect();
        let calendar = new.calendar().map(|it| json("calendar", it)).transpose()?;
        let written = sqlx::query!(
            "/* insert_hold_rule */ INSERT INTO hold_rule (name, held_by, reason, namespaces, applications, kinds, calendar, created_by, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE (SELECT count(*) FROM hold_rule) < $10
             ON CONFLICT (name) DO NOTHING",
            new.rule.name,
            word(new.by()),
            new.rule.reason,
            &new.namespaces,
            &new.applications,
            &kinds,
            calendar,
            by,
            now.to_sqlx() as _,
            MOST_HOLD_RULES
        )
        .execute(self.connection())
        .await?;
        if written.rows_affected() == 0 {
            return Ok(false);
        }
        self.look_at_rules_again().await?;
        Ok(true)
    }

    /// Deletes the rule of this name, and returns whether there was one. Orders that it held
    /// off are looked at again at once.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn delete_hold_rule(&mut self, name: &str) -> Result<bool, StoreError> {
        let deleted =
            sqlx::query!("/* delete_hold_rule */ DELETE FROM hold_rule WHERE name = $1", name)
                .execute(self.connection())
                .await?;
        if deleted.rows_affected() == 0 {
            return Ok(false);
        }
        self.look_at_rules_again().await?;
        Ok(true)
    }

    /// Lets the executors look again at the orders that have not begun and that a rule fits, or
    /// fitted.
    async fn look_at_rules_again(&mut self) -> Result<(), StoreError> {
        sqlx::query!(
            r#"/* look_at_rules_again */ WITH found AS (
                   SELECT id, batch = 0 AND kind NOT IN ('rollback', 'deploy_version', 'object_write')
                       AND fits_hold_rule(kind::text, application_id) AS fits
                   FROM change_order WHERE finished_at IS NULL AND step = 'start' ORDER BY id FOR UPDATE
               ), changed AS (
                   UPDATE change_order o SET may_be_held = o.may_be_held OR found.fits, hold_changes = o.hold_changes + 1, run_after = 'epoch'
                   FROM found WHERE found.id = o.id AND (found.fits OR o.may_be_held) RETURNING o.id
               ) SELECT pg_notify($1, id::text) AS "sent: ()" FROM changed"#,
            ORDER_CHANNEL
        )
        .fetch_all(self.connection())
        .await?;
        Ok(())
    }
}

/// A rule as its row says.
pub(crate) fn rule(
    name: String,
    held_by: HeldBy,
    reason: String,
    calendar: Option<Value>,
) -> Result<HoldRule, StoreError> {
    let demand = match (held_by, calendar) {
        (HeldBy::Freeze, Some(calendar)) => Demand::Freeze(document("calendar", calendar)?),
        (HeldBy::Freeze, None) => {
            let why = format!("the freeze window {name} has none");
            return Err(StoreError::Corrupt { what: "calendar", why });
        }
        (HeldBy::Approval, _) => Demand::Approval,
    };
    Ok(HoldRule { name, reason, demand })
}
