//! Orders as they are loaded for a decision.

use std::collections::HashMap;

use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

use super::{hold, outage, progress::batches};
use crate::{
    Lease, PodState, Store, StoreError,
    keyring::Keyring,
    row::{count, document, value},
    sealed::{INTENT, ORDER_TEMPLATE, SNAPSHOT, TARGET},
};
use domain::{
    ApplicationId, OrderId, TraceParent,
    order::{Order, intent::Intent},
};

/// An order that was leased, with what is recorded of its pods.
#[derive(Debug)]
pub struct TakenUp {
    pub lease: Lease,
    pub order: Order,
    /// The pods of each batch, in order.
    pub pods: Vec<Vec<PodState>>,
    /// The span of the request that wrote it; none = on record is none that can be read.
    pub trace: Option<TraceParent>,
}

/// A row of an order, with its batches in one column.
struct OrderRow {
    id: Uuid,
    application_id: Uuid,
    cluster_id: String,
    namespace: String,
    name: String,
    kind: String,
    state: String,
    step: String,
    step_since: jiff_sqlx::Timestamp,
    batch: i32,
    confirmed: i32,
    back_to: Option<i32>,
    strategy: Value,
    target: Vec<u8>,
    snapshot: Option<Vec<u8>>,
    intent: Option<Vec<u8>>,
    applied: Option<Value>,
    template: Option<Vec<u8>>,
    finalizing: bool,
    trouble: String,
    hands: Value,
    goes_on: bool,
    rolls_back: Option<Uuid>,
    created_at: jiff_sqlx::Timestamp,
    outage_since: Option<jiff_sqlx::Timestamp>,
    outage_ms: i64,
    obstacle: Option<String>,
    obstacle_ms: i64,
    hold: Option<Value>,
    trace_parent: Option<String>,
    batches: Value,
    pods: Value,
}

impl Store {
    /// Loads an order for a decision.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or [`StoreError::Corrupt`].
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        load(&self.pool, &self.keyring, id).await
    }

    /// Loads leased orders, with the pods that are recorded of them. One that cannot be read keeps
    /// no other back.
    ///
    /// # Errors
    /// [`StoreError::Sql`].
    pub async fn take_up(
        &self,
        leases: &[Lease],
    ) -> Result<Vec<Result<TakenUp, StoreError>>, StoreError> {
        let ids: Vec<Uuid> = leases.iter().map(|lease| lease.order.0).collect();
        let of: HashMap<Uuid, Lease> = leases.iter().map(|it| (it.order.0, *it)).collect();
        let rows = rows(&self.pool, &ids, true).await?;
        let taken = rows.into_iter().filter_map(|mut row| {
            let lease = *of.get(&row.id)?;
            let pods = document("pods", row.pods.take());
            let trace = row.trace_parent.as_deref().and_then(TraceParent::read);
            let order = open(row, &self.keyring);
            Some(order.and_then(|order| Ok(TakenUp { lease, order, pods: pods?, trace })))
        });
        Ok(taken.collect())
    }
}

pub(super) async fn load(
    database: impl PgExecutor<'_>,
    keyring: &Keyring,
    id: OrderId,
) -> Result<Option<Order>, StoreError> {
    let row = rows(database, &[id.0], false).await?.pop();
    row.map(|row| open(row, keyring)).transpose()
}

async fn rows(
    database: impl PgExecutor<'_>,
    ids: &[Uuid],
    with_pods: bool,
) -> Result<Vec<OrderRow>, StoreError> {
    let rows = sqlx::query_as!(
        OrderRow,
        r#"/* order */ SELECT o.id, o.application_id, o.cluster_id, a.namespace, a.name, o.kind::text AS "kind!", o.state::text AS "state!", o.step::text AS "step!",
               o.step_since, o.batch, o.confirmed, o.back_to, o.strategy, o.target, o.snapshot, o.intent, o.applied, o.template, o.finalizing, o.trouble, o.hands, o.goes_on, o.rolls_back, o.created_at, o.outage_since, o.outage_ms, o.obstacle, o.obstacle_ms, o.trace_parent,
               CASE WHEN o.may_be_held AND o.step = 'start' AND o.finished_at IS NULL THEN jsonb_build_object(
                   'by', o.held_by, 'until', o.held_until, 'approved', o.approved_by IS NOT NULL, 'lifted', o.lifted_by IS NOT NULL, 'changes', o.hold_changes,
                   'rules', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', r.name, 'held_by', r.held_by, 'reason', r.reason, 'calendar', r.calendar) ORDER BY r.name), '[]')
                             FROM hold_rule r WHERE o.kind::text = ANY (r.kinds) AND fits_any(r.namespaces, a.namespace) AND fits_any(r.applications, a.name))) END AS hold,
               b.batches AS "batches!", b.pods AS "pods!"
           FROM change_order o JOIN application a ON a.id = o.application_id CROSS JOIN LATERAL (
               SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'state', state, 'target', target, 'started_at', started_at) ORDER BY index), '[]') AS batches,
                   coalesce(jsonb_agg(pods ORDER BY index) FILTER (WHERE $2), '[]') AS pods
               FROM batch WHERE order_id = o.id
           ) b
           WHERE o.id = ANY($1)"#,
        ids,
        with_pods
    )
    .fetch_all(database)
    .await?;
    Ok(rows)
}

fn open(row: OrderRow, keyring: &Keyring) -> Result<Order, StoreError> {
    let id = OrderId(row.id);
    let applied = row.applied.map(|applied| document("applied", applied)).transpose()?;
    let intent = match row.intent {
        Some(effect) => Some(Intent { effect: keyring.open_json(INTENT, id, &effect)?, applied }),
        None => None,
    };
    Ok(Order {
        id,
        application: ApplicationId(row.application_id),
        cluster: row.cluster_id.into(),
        namespace: row.namespace,
        name: row.name,
        kind: value("kind", row.kind)?,
        state: value("state", row.state)?,
        step: value("step", row.step)?,
        batch: count("batch", row.batch)?,
        strategy: document("strategy", row.strategy)?,
        batches: batches(row.batches)?,
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
        hold: row.hold.map(hold::read).transpose()?,
    })
}
