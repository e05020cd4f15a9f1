//! What is counted of the orders that are driven.

use std::time::Duration;

use domain::{
    observed::failure,
    order::{Order, State},
    rollout::Transition,
};
use jiff::{SignedDuration, Timestamp};

use crate::Executor;

impl Executor {
    /// Counts what a transition that was written brings to its end.
    pub(super) fn count(&self, order: &Order, transition: &Transition) {
        let now = self.clock.now();
        for batch in transition.batches.iter().filter(|batch| batch.state.is_final()) {
            metrics::counter!("sluice_batches_ended_total", "state" => batch.state.to_string())
                .increment(1);
        }
        if !transition.state.is_final() || order.state.is_final() {
            return;
        }
        let (kind, state) = (order.kind.to_string(), transition.state.to_string());
        metrics::counter!("sluice_orders_ended_total", "kind" => kind.clone(), "state" => state.clone())
            .increment(1);
        metrics::histogram!("sluice_order_seconds", "kind" => kind, "state" => state)
            .record(since(order.created_at, now));
        if transition.state == State::Failed {
            let cause = failure::reason_of(&transition.message);
            metrics::counter!("sluice_failures_total", "cause" => cause).increment(1);
        }
    }
}

fn since(from: Timestamp, now: Timestamp) -> Duration {
    let passed: SignedDuration = now.duration_since(from);
    Duration::try_from(passed).unwrap_or_default()
}
