//! A step back within a release: some of its batches stay, and old pods replace the pods
//! of the others. The order then waits until a person continues it.
//!
//! The sequence of the writes matters. First the gate keeps the Deployment controller from
//! adding or removing pods; otherwise the controller would undo the next writes. Then the
//! old ReplicaSet grows, and only when its pods are Ready the new one shrinks.

use jiff::Timestamp;

use super::{
    Decision, Transition, batches, change, deadline, fail, min_ready_seconds, on_deadline, wait,
};
use crate::{
    observed::{DeploymentView, ReplicaSetView},
    order::{Order, State, Step},
    template::sameness::is_same,
};

/// Begins to step back where that is requested, and batches beyond those that are to
/// stay have begun.
pub(in crate::rollout) fn begin(order: &Order, view: &DeploymentView) -> Option<Decision> {
    let stay = order.back_to.filter(|stay| *stay <= order.batch)?;
    match order.step {
        Step::BringUp
        | Step::ScaleDownOld
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew => Some(hold_still(order, view, stay)),
        // At rest new pods count as available: the gate closes first.
        Step::Paused => Some(
            Transition::new(order, State::Running, Step::CloseGate)
                .with(change::close_gate())
                .because(format!("about to go back to batch {stay}"))
                .decided(),
        ),
        Step::Start
        | Step::Create
        | Step::Resize
        | Step::Delete
        | Step::CloseGate
        | Step::RollBack
        | Step::RestoreSettings
        | Step::PauseInPlace
        | Step::Done => None,
    }
}

/// Lets no pod come or go, `stay` batches from the first on being those that stay.
pub(in crate::rollout) fn hold_still(
    order: &Order,
    view: &DeploymentView,
    stay: usize,
) -> Decision {
    let last = stay.saturating_sub(1);
    let pods = order.strategy.cumulative(last, view.replicas);
    let mut transition =
        Transition::new(order, State::Running, Step::StepBack).with(change::hold_still(pods));
    transition.batch = last;
    transition = transition.batch(last, State::Succeeded, Some(pods), "");
    // Also the one that waited to be the next.
    let begun = (order.batch.max(last) + 1).min(order.strategy.count() - 1);
    for index in stay..=begun {
        transition = transition.batch(
            index,
            State::Ready,
            Some(order.strategy.cumulative(index, view.replicas)),
            "",
        );
    }
    transition
        .because(format!("going back to batch {stay}: {pods} of {} pods", view.replicas))
        .decided()
}

/// Brings the old pods up again.
pub(in crate::rollout) fn restore_old(order: &Order, view: &DeploymentView) -> Decision {
    if let Some(again) = scaled(order, view) {
        return again;
    }
    let Some(old) = before(order, view) else {
        return fail(
            order,
            "the ReplicaSet of the version before is gone: batches cannot be gone back on",
        );
    };
    let pods = wanted(order, view, old);
    Transition::new(order, State::Running, Step::RestoreOld)
        .with(change::scale(old, pods))
        .because(format!("{pods} old pods come back"))
        .decided()
}

/// Lets the new pods go that have their old ones back.
pub(in crate::rollout) fn remove_new(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    if let Some(again) = scaled(order, view) {
        return again;
    }
    let (Some(old), Some(new)) = (before(order, view), &view.new) else {
        return fail(order, "a ReplicaSet of the release is gone");
    };
    let pods = wanted(order, view, old);
    if old.desired != pods || old.ready() < pods {
        let state = format!("{} of {pods} old pods are Ready", old.ready());
        return on_deadline(order, now, &state).unwrap_or_else(|| wait(Some(deadline(order))));
    }
    let stay = order.strategy.cumulative(order.batch, view.replicas);
    Transition::new(order, State::Running, Step::RemoveNew)
        .with(change::scale(new, stay))
        .because(format!("{stay} new pods stay"))
        .decided()
}

/// Rests once they are gone; or goes on at once, where the next batch is confirmed.
pub(in crate::rollout) fn rest(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    if let Some(again) = scaled(order, view) {
        return again;
    }
    let Some(snapshot) = &order.snapshot else {
        return fail(order, "the settings before the order are not known");
    };
    let stay = order.strategy.cumulative(order.batch, view.replicas);
    let new = view.new.as_ref();
    let gone = new.is_some_and(|set| {
        set.desired == stay
            && set.status_replicas == stay
            && i32::try_from(set.pods.len()) == Ok(stay)
    });
    if !gone {
        return on_deadline(order, now, "the new pods do not go")
            .unwrap_or_else(|| wait(Some(deadline(order))));
    }
    let next = order.batch + 1;
    let mut transition = if order.confirmed > next {
        batches::begin_batch(order, snapshot, next, view.replicas, false)
    } else {
        let message = format!("batch {} waits for confirmation", next + 1);
        Transition::new(order, State::WaitingConfirmation, Step::Paused)
            .with(change::pause(&snapshot.settings, min_ready_seconds(order)))
            .batch(next, State::WaitingConfirmation, None, message.clone())
            .because(message)
    };
    transition.completes_step_back = true;
    transition.decided()
}

/// Somebody scaled the Deployment meanwhile: the same batches are other numbers.
fn scaled(order: &Order, view: &DeploymentView) -> Option<Decision> {
    let planned = order.batches.get(order.batch)?.target;
    let now = order.strategy.cumulative(order.batch, view.replicas);
    (planned != now).then(|| hold_still(order, view, order.batch + 1))
}

/// The ReplicaSet of the version before the order.
fn before<'a>(order: &Order, view: &'a DeploymentView) -> Option<&'a ReplicaSetView> {
    let template = &order.snapshot.as_ref()?.template;
    view.old
        .iter()
        .chain(&view.idle)
        .filter(|set| is_same(&set.template, template))
        .min_by(|a, b| a.age().cmp(&b.age()))
}

/// How many pods `old` must have beside the new ones that stay and those of other
/// versions.
fn wanted(order: &Order, view: &DeploymentView, old: &ReplicaSetView) -> i32 {
    let others: i32 = view.old.iter().filter(|set| set.uid != old.uid).map(|set| set.desired).sum();
    (view.replicas - order.strategy.cumulative(order.batch, view.replicas) - others).max(0)
}
