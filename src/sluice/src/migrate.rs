//! The command that applies migrations, or says which it would apply.

use anyhow::{Context, Result};
use sluice::config::Migrate;
use store::{MigrationPlan, PendingMigration};

use crate::process::{connect, print};

pub(crate) async fn migrate(settings: Migrate) -> Result<()> {
    let store = connect(&settings.database).await?;
    if settings.plan {
        return print(&told(&store.migration_plan().await?));
    }
    store.migrate().await.context("the migrations cannot be applied")?;
    if let Some(role) = settings.serving_role {
        store
            .grant_serving(&role)
            .await
            .with_context(|| format!("the role {role:?} cannot be granted what serving needs"))?;
    }
    let applied = store.migration_plan().await?.applied.unwrap_or_default();
    print(&format!("the schema is at migration {applied}"))
}

/// The plan in lines for people.
fn told(plan: &MigrationPlan) -> String {
    let at = plan.applied.map_or_else(
        || "the database has no schema yet".to_owned(),
        |applied| format!("the schema is at migration {applied}"),
    );
    let newer = match plan.newer {
        Some(newer) if newer.fits() => ", which is newer than this program; it works with it",
        Some(_) => {
            ", which is newer than this program; it does not work with it: start a newer one"
        }
        None => "",
    };
    let pending = match plan.pending.len() {
        0 => "nothing is pending".to_owned(),
        1 => "1 migration is pending".to_owned(),
        more => format!("{more} migrations are pending"),
    };
    let mut lines = vec![format!("{at}{newer}"), pending];
    lines.extend(plan.pending.iter().map(|it| line(it, plan.applied.is_some())));
    lines.join("\n")
}

fn line(pending: &PendingMigration, has_rows: bool) -> String {
    let PendingMigration { version, name, does, .. } = pending;
    let mut text = format!("  {version:04} {name}: {does}");
    if !pending.holds_up.is_empty() {
        let tables = pending.holds_up.join(", ");
        text += &format!(
            "\n       holds up writes to {tables} for as long as it takes to go through all of their rows"
        );
    }
    if has_rows && pending.ends_earlier_programs {
        text += "\n       programs of before do not start on what it leaves: end them first";
    }
    text
}

#[cfg(test)]
mod tests {
    use store::NewerSchema;

    use super::*;

    #[test]
    fn a_plan_says_what_each_migration_does_and_holds_up() {
        let pending = PendingMigration {
            version: 61,
            name: "approval".into(),
            does: "Orders can need a second person.".into(),
            holds_up: vec!["change_order".into(), "event".into()],
            ends_earlier_programs: false,
        };
        let plan = MigrationPlan { applied: Some(60), pending: vec![pending], newer: None };
        assert_eq!(
            told(&plan),
            "the schema is at migration 60\n1 migration is pending\n  0061 approval: Orders can need a second person.
       holds up writes to change_order, event for as long as it takes to go through all of their rows"
        );
    }

    #[test]
    fn a_plan_says_whether_a_newer_schema_can_be_worked_with() {
        for (programs_since, says) in
            [(1, "it works with it"), (i64::MAX, "it does not work with it")]
        {
            let newer = Some(NewerSchema { version: i64::MAX, programs_since });
            let plan = MigrationPlan { applied: Some(i64::MAX), pending: Vec::new(), newer };
            assert!(told(&plan).contains(says), "{}", told(&plan));
            assert!(told(&plan).ends_with("nothing is pending"));
        }
    }
}
