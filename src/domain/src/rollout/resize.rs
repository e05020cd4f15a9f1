//! Orders that change only the number of pods, and their rollbacks.
//!
//! One write; Kubernetes does the rest. Whatever becomes of it, pods that run stay,
//! and the user's own settings are never touched.

use jiff::Timestamp;

use super::{
    Decision, Transition, before::snapshot, cause, change, earliest, fail, keep_waiting,
    ready_seconds, trouble,
};
use crate::{
    observed::DeploymentView,
    order::{Kind, Order, State, Step},
};

/// Sets the number. The change is made even if the view already shows it: a write of
/// an order before may still be on its way, and only a newer fence stops it.
pub(in crate::rollout) fn start(order: &Order, view: &DeploymentView) -> Decision {
    let goal = goal(order, view);
    if matches!(order.kind, Kind::Scale | Kind::Start)
        && let Some(why) = earliest::too_slow_to_add(order, view, goal)
    {
        return fail(order, &why);
    }
    let message = format!("from {} to {goal} pods", view.replicas);
    let change = match &order.snapshot {
        // A release rests half way: without any pod there is nothing to it.
        Some(before) if order.kind == Kind::Stop => change::stop(before),
        Some(before) if order.kind == Kind::Rollback && before.replicas == goal => {
            change::resize_back(before)
        }
        _ => change::resize(goal, &order.target.owners_before),
    };
    let mut transition = Transition::new(order, State::Running, Step::Resize)
        .with(change)
        .batch(0, State::Running, Some(goal), message.clone())
        .because(message);
    transition.snapshot = Some(snapshot(order, view));
    transition.decided()
}

/// Waits until exactly so many pods are there, and Ready.
pub(in crate::rollout) fn resize(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    let goal = goal(order, view);
    if view.replicas != goal {
        return overruled(order, view, goal);
    }
    let seconds = ready_seconds(order);
    let (wanted, ready) = (view.all_desired(), view.all_ready_for(seconds, now));
    let there = i32::try_from(view.pods().count()).unwrap_or(i32::MAX);
    // Of a paused Deployment in the middle of a rollout Kubernetes keeps the surge.
    let is_sized =
        wanted == goal || (wanted > goal && view.settings.paused && !view.old.is_empty());
    // Without any pod means that none runs any more; beside others those that go are
    // nothing to wait for.
    let left = if goal == 0 { view.leaving } else { 0 };
    if is_sized && there == wanted && ready == wanted && view.status_replicas == wanted && left == 0
    {
        return done_well(order, goal);
    }
    // Pods beyond the number may be in trouble for long: they are about to go.
    if is_sized
        && there <= wanted
        && let Some(trouble) = trouble(order, view, now)
    {
        return fail(order, &trouble);
    }
    let cause = cause(order, view, now);
    let mut state = format!("{ready} of {goal} pods are Ready");
    let surplus = (there - wanted).max(0) + left;
    if surplus > 0 {
        state = format!("{state}, {surplus} are left that should go");
    }
    if let Some(cause) = &cause {
        state = format!("{state}: {}", cause.sentence);
    }
    keep_waiting(order, now, &state, cause.as_ref(), view.next_of_all_ready(seconds, now))
}

fn goal(order: &Order, view: &DeploymentView) -> i32 {
    order.target.replicas.unwrap_or(view.replicas)
}

fn done_well(order: &Order, goal: i32) -> Decision {
    let message =
        if goal == 0 { "no pod is left".to_owned() } else { format!("{goal} pods are Ready") };
    Transition::new(order, State::Succeeded, Step::Done)
        .batch(0, State::Succeeded, None, message)
        .decided()
}

/// Somebody else set another number meanwhile, and theirs is left in place.
fn overruled(order: &Order, view: &DeploymentView, goal: i32) -> Decision {
    let who = view.other_scaler.as_deref().unwrap_or("somebody else");
    fail(
        order,
        &format!(
            "overruled by {who}, who scaled the Deployment to {} pods while it was to have {goal}",
            view.replicas
        ),
    )
}
