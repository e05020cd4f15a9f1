//! An order as it is loaded for a decision.

use domain::{
    ApplicationId, BatchId, OrderId,
    order::{Batch, Order, State, intent::Intent},
};

use super::{
    hold::{self, HoldColumns},
    outage,
};
use crate::{
    Store, StoreError,
    keyring::Keyring,
    row::{count, document, value},
    sealed::{INTENT, ORDER_TEMPLATE, SNAPSHOT, TARGET},
};

impl Store {
    /// Loads an order for a decision.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        load(&mut connection, &self.keyring, id).await
    }
}

pub(super) async fn load(
    connection: &mut sqlx::PgConnection,
    keyring: &Keyring,
    id: OrderId,
) -> Result<Option<Order>, StoreError> {
    let row = sqlx::query!(
        r#"/* order */ SELECT o.id, o.application_id, o.cluster_id, a.namespace, a.name, o.kind::text AS "kind!", o.state::text AS "state!", o.step::text AS "step!",
               o.step_since, o.batch, o.confirmed, o.back_to, o.strategy, o.target, o.snapshot, o.intent, o.applied, o.template, o.finalizing, o.trouble, o.hands, o.goes_on, o.rolls_back, o.created_at, o.outage_since, o.outage_ms, o.obstacle, o.obstacle_ms,
               o.may_be_held AND o.step = 'start' AND o.finished_at IS NULL AS "may_be_held!", o.held_by, o.held_until, o.approved_by, o.lifted_by, o.hold_changes
           FROM change_order o JOIN application a ON a.id = o.application_id WHERE o.id = $1"#,
        id.0
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let batches = sqlx::query!(
        r#"/* order_batches */ SELECT id, state::text AS "state!", target, started_at FROM batch WHERE order_id = $1 ORDER BY index"#,
        id.0
    )
    .fetch_all(&mut *connection)
    .await?;
    let batches = batches
        .into_iter()
        .map(|row| {
            Ok(Batch {
                id: BatchId(row.id),
                state: value::<State>("batch state", row.state)?,
                target: row.target,
                started_at: row.started_at.map(jiff_sqlx::Timestamp::to_jiff),
            })
        })
        .collect::<Result<_, StoreError>>()?;
    let applied = row.applied.map(|applied| document("applied", applied)).transpose()?;
    let intent = match row.intent {
        Some(effect) => Some(Intent { effect: keyring.open_json(INTENT, id, &effect)?, applied }),
        None => None,
    };
    let hold = if row.may_be_held {
        let columns = HoldColumns {
            held_by: row.held_by,
            held_until: row.held_until.map(jiff_sqlx::Timestamp::to_jiff),
            approved: row.approved_by.is_some(),
            lifted: row.lifted_by.is_some(),
            changes: row.hold_changes,
        };
        let application = ApplicationId(row.application_id);
        Some(hold::of_order(connection, &row.kind, application, columns).await?)
    } else {
        None
    };
    Ok(Some(Order {
        id: OrderId(row.id),
        application: ApplicationId(row.application_id),
        cluster: row.cluster_id.into(),
        namespace: row.namespace,
        name: row.name,
        kind: value("kind", row.kind)?,
        state: value("state", row.state)?,
        step: value("step", row.step)?,
        batch: count("batch", row.batch)?,
        strategy: document("strategy", row.strategy)?,
        batches,
        confirmed: count("confirmed", row.confirmed)?,
        back_to: row.back_to.map(|stay| count("back_to", stay)).transpose()?,
        target: keyring.open_json(TARGET, id, &row.target)?,
        snapshot: keyring.open_some(SNAPSHOT, id, row.snapshot)?,
        intent,
        template: keyring.open_some(ORDER_TEMPLATE, id, row.template)?,
        finalizing: row.finalizing,
        trouble: row.trouble,
        hands: document("hands", row.hands)?,
        goes_on: row.goes_on,
        rolls_back: row.rolls_back.map(OrderId),
        created_at: row.created_at.to_jiff(),
        step_since: row.step_since.to_jiff(),
        outages: outage::clock((row.outage_since, row.outage_ms), (row.obstacle, row.obstacle_ms))?,
        hold,
    }))
}
