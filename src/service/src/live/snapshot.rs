//! What whoever follows an order gets to see of it.

use super::Shown;
use crate::{BatchView, Error, OrderView, Service};
use domain::{
    OrderId,
    hold::HeldBy,
    order::{Kind, State, Step},
    snapshot::{
        Action, ApplicationName, BatchSnapshot, OrderLine, PodSnapshot, Snapshot, TIMELINE,
        TimelineEntry,
    },
};
use store::WholeOrder;

impl Service {
    /// An order as the caller sees it now, with the actions that the caller may do.
    ///
    /// # Errors
    /// [`domain::Rejection::UnknownOrder`].
    pub async fn snapshot(&self, id: OrderId) -> Result<Snapshot, Error> {
        Ok(self.shown(id).await?.snapshot)
    }

    /// The same, with what the caller may not do.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub async fn shown(&self, id: OrderId) -> Result<Shown, Error> {
        let mut snapshot = self.whole(id).await?;
        let withheld = self.rights_on(&snapshot.order.application).cut(&mut snapshot);
        Ok(Shown::of(snapshot, withheld))
    }

    /// An order with all that anybody could do.
    pub(super) async fn whole(&self, id: OrderId) -> Result<Snapshot, Error> {
        let WholeOrder { view, application } = self.permitted_order_now(id).await?;
        let timeline = self.store.last_events(id, TIMELINE as i64).await?;
        Ok(snapshot(application, view, timeline))
    }
}

fn snapshot(
    application: ApplicationName,
    order: OrderView,
    timeline: Vec<TimelineEntry>,
) -> Snapshot {
    let actions = actions(&order);
    Snapshot {
        order: OrderLine {
            id: order.id,
            application,
            kind: order.kind,
            state: order.state,
            version: order.version,
            image: order.image,
            package: order.package.map(|package| package.address),
            description: order.description,
            message: order.message,
            created_by: order.created_by,
            source: order.source,
            created_at: order.created_at,
            finished_at: order.finished_at,
        },
        step: order.step,
        strategy: order.strategy,
        replicas: order.replicas,
        replicas_before: order.replicas_before,
        batches: order.batches.into_iter().map(batch).collect(),
        notes: order.notes,
        trouble: order.trouble,
        rolls_back: order.rolls_back,
        rolled_back_by: order.rolled_back_by,
        timeline,
        actions,
    }
}

fn batch(batch: BatchView) -> BatchSnapshot {
    let pods = batch.pods.into_iter().map(|pod| PodSnapshot {
        name: pod.name,
        ip: pod.ip,
        phase: pod.phase,
        ready: pod.ready,
        message: pod.message,
    });
    BatchSnapshot {
        id: batch.id,
        number: batch.number,
        canary: batch.canary,
        state: batch.state,
        size: batch.size,
        target: batch.target,
        started_at: batch.started_at,
        finished_at: batch.finished_at,
        message: batch.message,
        pods: pods.collect(),
    }
}

/// What a person can do now, as far as reading shows it.
fn actions(order: &OrderView) -> Vec<Action> {
    let mut actions = Vec::new();
    let waits = matches!(order.state, State::WaitingConfirmation | State::WaitingInterval);
    let begun = order.batches.iter().filter(|batch| batch.started_at.is_some()).count();
    let waiting = order.batches.iter().find(|batch| batch.state == State::WaitingConfirmation);
    let next = waiting.or_else(|| order.batches.iter().find(|it| it.started_at.is_none()));
    if let (true, Some(next)) = (waits && order.trouble.is_empty(), next) {
        actions.push(Action::Continue { batch: next.id, number: next.number, pods: next.size });
    }
    let done = order.batches.iter().filter(|it| it.state == State::Succeeded).count();
    let most = if waits { begun.saturating_sub(1) } else { done };
    if order.step.is_in_batches() && !order.state.is_final() && order.batch_count > 1 && most > 0 {
        actions.push(Action::StepBack { most });
    }
    if order.state == State::WaitingApproval {
        actions.extend([Action::Approve, Action::Reject]);
    }
    if order.held_by == Some(HeldBy::Freeze) && !order.state.is_final() {
        actions.push(Action::LiftFreeze);
    }
    if !order.state.is_final() && order.step != Step::Delete {
        actions.push(Action::Abort);
    }
    if order.can_roll_back {
        actions.push(Action::RollBack);
    }
    let failed = order.batches.iter().find(|batch| batch.state == State::Failed);
    if let (State::Failed, true, Some(failed)) = (order.state, order.can_roll_back, failed)
        && order.kind.releases()
        && order.kind != Kind::Restart
    {
        actions.push(Action::Retry { batch: failed.id, number: failed.number });
    }
    actions
}
