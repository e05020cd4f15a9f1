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
        | Step::RemoveNew => Some(hold_still(order, view, stay, State::Running)),
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
    state: State,
) -> Decision {
    let last = stay.saturating_sub(1);
    let pods = order.planned(last, view.replicas);
    let mut transition = Transition::new(order, state, Step::StepBack).with(change::hold_still());
    transition.batch = last;
    transition = transition.batch(last, State::Succeeded, Some(pods), "");
    // Also the one that waited to be the next.
    let begun = (order.batch.max(last) + 1).min(order.strategy.count() - 1);
    for index in stay..=begun {
        // One that waits goes on waiting where only numbers are put right.
        let waits = order.batches.get(index).filter(|_| state != State::Running);
        transition = transition.batch(
            index,
            waits.map_or(State::Ready, |batch| batch.state),
            Some(order.planned(index, view.replicas)),
            "",
        );
    }
    let message = if state == State::Running {
        format!("going back to batch {stay}: {pods} of {} pods", view.replicas)
    } else {
        let what = format!("{pods} of {} pods are to be new", view.replicas);
        while_waiting(order, format!("putting the numbers right: {what}"))
    };
    transition.because(message).decided()
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
    let mut transition = Transition::new(order, moving(order), Step::RestoreOld)
        .with(change::scale(old, pods, view.replicas))
        .because(while_waiting(order, format!("{pods} old pods come back")));
    if let Some(batch) = order.batches.get(order.batch).filter(|_| puts_right(order)) {
        let stay = order.planned(order.batch, view.replicas);
        transition = transition.batch(order.batch, batch.state, Some(stay), "");
    }
    transition.decided()
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
    if old.desired < pods && puts_right(order) {
        // Somebody scaled the Deployment meanwhile.
        return restore_old(order, view);
    }
    if old.desired < pods || old.ready() < pods {
        let state = format!("{} of {pods} old pods are Ready", old.ready());
        return on_deadline(order, now, &state).unwrap_or_else(|| wait(Some(deadline(order))));
    }
    let stay = staying(order, view.replicas);
    Transition::new(order, moving(order), Step::RemoveNew)
        .with(change::scale(new, stay, view.replicas))
        .because(while_waiting(order, format!("{stay} new pods stay")))
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
    let stay = staying(order, view.replicas);
    let new = view.new.as_ref();
    let gone = new.is_some_and(|set| {
        // Another number meanwhile is another share, which is looked at again.
        (set.desired == stay || puts_right(order))
            && set.status_replicas == set.desired
            && i32::try_from(set.pods.len()) == Ok(set.desired)
    });
    if !gone {
        return on_deadline(order, now, "the new pods do not go")
            .unwrap_or_else(|| wait(Some(deadline(order))));
    }
    if is_in_batch(order) {
        return Transition::new(order, State::Running, Step::BringUp)
            .because(format!("batch {} has its {stay} pods", order.batch + 1))
            .decided();
    }
    let next = order.batch + 1;
    let mut transition = if order.confirmed > next {
        batches::begin_batch(order, snapshot, view, next, view.replicas, false)
    } else {
        let state = if waits(order) { order.state } else { State::WaitingConfirmation };
        let message = waits_for(state, next);
        let told = match order.hands.told.as_str() {
            "" => message.clone(),
            told => format!("{message}; {told}"),
        };
        Transition::new(order, state, Step::Paused)
            .with(change::pause(&snapshot.settings, min_ready_seconds(order)))
            .batch(next, state, None, told.clone())
            .because(told)
    };
    transition.completes_step_back = true;
    transition.decided()
}

/// Somebody scaled the Deployment meanwhile: the same batches are other numbers.
fn scaled(order: &Order, view: &DeploymentView) -> Option<Decision> {
    let planned = order.batches.get(order.batch)?.target;
    let now = order.planned(order.batch, view.replicas);
    // Numbers that are put right are those of now at each step.
    (planned != now && !puts_right(order))
        .then(|| hold_still(order, view, order.batch + 1, moving(order)))
}

/// Whether only numbers are put right: nobody asked to step back.
fn puts_right(order: &Order) -> bool {
    waits(order) || is_in_batch(order)
}

fn waits_for(state: State, next: usize) -> String {
    match state {
        State::WaitingInterval => format!("batch {} waits for its time", next + 1),
        _ => format!("batch {} waits for confirmation", next + 1),
    }
}

/// What is going on in an order; of one that waits, what it waits for too.
pub(in crate::rollout) fn while_waiting(order: &Order, message: String) -> String {
    waiting_in(order.state, order.batch, message)
}

/// The same of an order that is in this state after its batch.
pub(in crate::rollout) fn waiting_in(state: State, batch: usize, message: String) -> String {
    match state {
        State::WaitingConfirmation | State::WaitingInterval => {
            format!("{}; {message}", waits_for(state, batch + 1))
        }
        _ => message,
    }
}

/// Whether the order waits for a person or for its time.
pub(in crate::rollout) fn waits(order: &Order) -> bool {
    matches!(order.state, State::WaitingConfirmation | State::WaitingInterval)
}

/// The state while pods come and go: an order that waits goes on waiting where only numbers
/// are put right.
pub(in crate::rollout) fn moving(order: &Order) -> State {
    if waits(order) { order.state } else { State::Running }
}

/// Whether the batch under way still brings its pods: then old ones go only for those of
/// the batches before it.
pub(in crate::rollout) fn is_in_batch(order: &Order) -> bool {
    order.batches.get(order.batch).is_some_and(|batch| batch.state == State::Running)
}

/// New pods that Kubernetes may have too many: it rounds as it shares a number.
const ROUNDED: i32 = 1;

/// Whether a batch under way has more new pods than planned. Kubernetes shares another
/// number of pods between the versions as they stand, and never gives those back.
pub(in crate::rollout) fn has_too_many(order: &Order, view: &DeploymentView) -> bool {
    // Of the same version as before there is nothing to plan.
    let is_another =
        order.snapshot.as_ref().is_some_and(|it| !is_same(&it.template, &view.template));
    is_another
        && order.strategy.count() > 1
        && order.target.max_unavailable == 0
        && view.new_desired() > order.planned(order.batch, view.replicas) + ROUNDED
}

/// Whether an order that rests has other numbers of pods than planned.
pub(in crate::rollout) fn has_drifted(order: &Order, view: &DeploymentView) -> bool {
    let planned = order.planned(order.batch, view.replicas);
    order.target.max_unavailable == 0
        && view.all_desired() == view.replicas
        && (has_too_many(order, view) || (planned > 0 && view.new_desired() == 0))
}

/// Closes the gate so that the numbers can be put right; the order goes on waiting.
pub(in crate::rollout) fn close_gate_to_correct(order: &Order, view: &DeploymentView) -> Decision {
    let (new, replicas) = (view.new_desired(), view.replicas);
    let planned = order.planned(order.batch, replicas);
    let message = while_waiting(
        order,
        format!(
            "the Deployment was scaled to {replicas} pods, of which {new} are new: putting that right to the {planned} that are planned"
        ),
    );
    let mut transition =
        Transition::new(order, order.state, Step::CloseGate).with(change::close_gate());
    transition.tell(order, order.hands.told.clone(), |hands| {
        hands.waits_since.get_or_insert(order.step_since);
    });
    transition.because(message).decided()
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

/// How many new pods stay. Of so few pods that the share of the batch is none, one does: the
/// Deployment controller takes an old one for it for as long as the numbers are held.
fn staying(order: &Order, replicas: i32) -> i32 {
    let least = i32::from(replicas > 0 && !is_in_batch(order));
    order.planned(order.batch, replicas).max(least)
}

/// How many pods `old` must have beside the new ones that may take the place of old ones,
/// and those of other versions.
fn wanted(order: &Order, view: &DeploymentView, old: &ReplicaSetView) -> i32 {
    let others: i32 = view.old.iter().filter(|set| set.uid != old.uid).map(|set| set.desired).sum();
    let replaced = match order.batch {
        0 if is_in_batch(order) => 0,
        batch if is_in_batch(order) => order.planned(batch - 1, view.replicas),
        _ => staying(order, view.replicas),
    };
    (view.replicas - replaced - others).max(0)
}
