//! What of a leased order may change while it is driven. Each write of its executor returns
//! it, so that the order need not be read again behind it; what is sealed changes only by
//! what the executor itself wrote.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::outage;
use crate::{
    StoreError,
    row::{count, document, value},
};
use domain::{
    BatchId,
    order::{
        Batch, Order, State, Step,
        hands::Hands,
        intent::{Applied, Intent},
        outage::OutageClock,
    },
    rollout::Transition,
};

/// The columns of an order that may change while it is driven.
pub(super) struct ProgressRow {
    pub(super) state: String,
    pub(super) step: String,
    pub(super) step_since: jiff_sqlx::Timestamp,
    pub(super) batch: i32,
    pub(super) confirmed: i32,
    pub(super) back_to: Option<i32>,
    pub(super) finalizing: bool,
    pub(super) trouble: String,
    pub(super) hands: Value,
    pub(super) goes_on: bool,
    pub(super) outage_since: Option<jiff_sqlx::Timestamp>,
    pub(super) outage_ms: i64,
    pub(super) obstacle: Option<String>,
    pub(super) obstacle_ms: i64,
    pub(super) batches: Value,
}

/// A batch as a JSON object.
#[derive(Deserialize)]
pub(super) struct BatchNow {
    id: Uuid,
    state: State,
    target: i32,
    started_at: Option<Timestamp>,
}

/// What an order is by now, beside what its executor knows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    state: State,
    step: Step,
    step_since: Timestamp,
    batch: usize,
    confirmed: usize,
    back_to: Option<usize>,
    finalizing: bool,
    trouble: String,
    hands: Hands,
    goes_on: bool,
    outages: OutageClock,
    batches: Vec<Batch>,
}

/// The batches of an order, in order.
pub(super) fn batches(found: Value) -> Result<Vec<Batch>, StoreError> {
    let found: Vec<BatchNow> = document("batches", found)?;
    let batch = |it: BatchNow| Batch {
        id: BatchId(it.id),
        state: it.state,
        target: it.target,
        started_at: it.started_at,
    };
    Ok(found.into_iter().map(batch).collect())
}

impl TryFrom<ProgressRow> for Progress {
    type Error = StoreError;

    fn try_from(row: ProgressRow) -> Result<Self, StoreError> {
        Ok(Self {
            state: value("state", row.state)?,
            step: value("step", row.step)?,
            step_since: row.step_since.to_jiff(),
            batch: count("batch", row.batch)?,
            confirmed: count("confirmed", row.confirmed)?,
            back_to: row.back_to.map(|stay| count("back_to", stay)).transpose()?,
            finalizing: row.finalizing,
            trouble: row.trouble,
            hands: document("hands", row.hands)?,
            goes_on: row.goes_on,
            outages: outage::clock(
                (row.outage_since, row.outage_ms),
                (row.obstacle, row.obstacle_ms),
            )?,
            batches: batches(row.batches)?,
        })
    }
}

impl Progress {
    /// Brings what is known of the order up to date.
    pub fn bring(self, order: &mut Order) {
        order.state = self.state;
        order.step = self.step;
        order.step_since = self.step_since;
        order.batch = self.batch;
        order.confirmed = self.confirmed;
        order.back_to = self.back_to;
        order.finalizing = self.finalizing;
        order.trouble = self.trouble;
        order.hands = self.hands;
        order.goes_on = self.goes_on;
        order.outages = self.outages;
        order.batches = self.batches;
    }

    /// The same after its change was made: what the objects are, and the Deployment's template
    /// if that is this order's.
    pub fn bring_made(self, applied: Applied, template: Option<Value>, order: &mut Order) {
        self.bring(order);
        if let Some(intent) = &mut order.intent {
            intent.applied = Some(applied);
        }
        if template.is_some() {
            order.template = template;
        }
    }

    /// The same after this transition of the order was written.
    pub fn bring_after(self, transition: &Transition, order: &mut Order) {
        self.bring(order);
        if let Some(snapshot) = &transition.snapshot {
            order.snapshot = Some(snapshot.clone());
        }
        if let Some(effect) = &transition.effect {
            order.intent = Some(Intent { effect: effect.clone(), applied: None });
        }
    }
}
