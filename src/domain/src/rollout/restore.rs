//! Orders that end otherwise than by a release: a rollback order, an aborted order whose
//! Deployment is paused, and an order that ends since somebody else changed the template.

use jiff::{SignedDuration, Timestamp};

use super::{
    Decision, GAVE_WAY, Transition, accepted_at, batches, change, done, done_well, fail, hands,
    min_ready_seconds_of, ready_seconds, trouble, wait,
};
use crate::{
    observed::DeploymentView,
    order::{
        Order, State, Step,
        intent::{Borrow, Change, Effect, GATE_SECONDS, Patch},
    },
};

/// The ways out of a rollback that failed, for people.
const WAYS_OUT: &str = "every pod that is Ready stays; release another version, or one of the history that can still run";

/// Longest time for which a way back waits until the pods are counted as they are.
const COUNTED_WITHIN: SignedDuration = SignedDuration::from_secs(5);

/// Brings the earlier version back. The change is made even if the view already
/// shows that version: a write of the order that is rolled back may still be on
/// its way, and only a newer fence stops it.
///
/// A status that still counts pods that are gone would make the Deployment controller
/// take Ready ones in their place, so it is awaited, but not for long.
pub(in crate::rollout) fn start(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    let Some(snapshot) = &order.snapshot else { return done_well(order, "nothing to roll back") };
    let until = accepted_at(order).checked_add(COUNTED_WITHIN).unwrap_or(Timestamp::MAX);
    if !view.is_counted() && now < until {
        return wait(Some(until));
    }
    let replicas = order.target.replicas.unwrap_or(view.replicas);
    let left = Some(snapshot.left_min_ready_seconds());
    let before = hands::with_what_others_set(snapshot, view, left);
    // They may change once more before the change is made.
    let change = match change::roll_back(order, &before) {
        Change::Patch(patch) if now < until => Change::Patch(Patch { counted: true, ..patch }),
        change => change,
    };
    let mut transition = Transition::new(order, State::Running, Step::RollBack)
        .with(change)
        .batch(0, State::Running, Some(replicas), "")
        .because("bringing the earlier version back");
    transition.snapshot = (before != *snapshot).then_some(before);
    transition.decided()
}

/// Waits until the earlier version has all its pods and the other has none.
pub(in crate::rollout) fn roll_back(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    let Some(snapshot) = &order.snapshot else {
        return fail(order, "the settings before the order are not known");
    };
    let min_ready = ready_seconds(order);
    let whole = view.status_replicas == view.replicas && view.status_updated == view.replicas;
    if whole && view.old_pods() == 0 && view.new_ready(min_ready, now) >= view.replicas {
        return Transition::new(order, State::Running, Step::RestoreSettings)
            .with(change::finish_return(snapshot, order.target.replicas == Some(snapshot.replicas)))
            .decided();
    }
    if let Some(trouble) = trouble(order, view, now) {
        return fail(order, &no_way_back(&trouble));
    }
    batches::await_pods(order, view, now, min_ready, view.replicas)
}

/// What is said of a rollback that fails.
pub(in crate::rollout) fn no_way_back(trouble: &str) -> String {
    format!("the earlier version does not come back: {trouble}; {WAYS_OUT}")
}

/// Brings the Deployment of an order that ended half way to rest where it is.
///
/// While pods still come or go, a number for the rest would be wrong by the time it
/// is written, and Kubernetes would make up the difference in both versions, Ready
/// pods or not. So a write that may still arrive is fenced off first; the gate closes
/// where it is open; what it lets through is awaited, Ready or not; and then the
/// Deployment is paused with the numbers that are left. Where the Deployment controller
/// `is_stuck` nothing comes or goes, and it is paused at once.
pub(in crate::rollout) fn pause_in_place(
    order: &Order,
    view: &DeploymentView,
    is_stuck: bool,
) -> Decision {
    let since = hands::set_since_its_end(order, view);
    let Some(snapshot) = since.as_ref().or(order.snapshot.as_ref()) else { return done(order) };
    let mut stopping = Transition::new(order, order.state, Step::PauseInPlace);
    stopping.snapshot.clone_from(&since);
    // What the next order gives back is what the Deployment says.
    let is_noted = view.borrowed.as_ref() == Some(&snapshot.settings);
    let borrowed = (!is_noted).then(|| Borrow::Borrowed(snapshot.settings.clone()));
    let old = view.old_desired();
    if !change::is_recreate(&view.settings) {
        if order.intent.as_ref().is_some_and(|intent| intent.applied.is_none()) {
            return stopping.with(change::fence()).decided();
        }
        match change::rest(&view.settings, view.replicas, old) {
            _ if is_stuck => {}
            // Somebody opened it again: nobody is fought for ever.
            None if order.step == Step::PauseInPlace && has_closed(order) => {}
            None if !view.settings.paused => {
                let halt = change::halt(order, snapshot, view);
                return stopping.with(change::noting(halt, borrowed)).decided();
            }
            Some((new_at_rest, old_at_rest))
                if view.new_desired() < new_at_rest || old > old_at_rest =>
            {
                return wait(None);
            }
            None | Some(_) => {}
        }
    }
    let surplus = (view.new_desired() + old - view.replicas).max(0);
    let seconds = min_ready_seconds_of(order, &snapshot.settings);
    let pause = change::pause_in_place(&snapshot.settings, seconds, surplus);
    stopping.with(change::noting(pause, borrowed)).decided()
}

/// Opens the gate of a ReplicaSet that is not the newest any more, as that of a release whose
/// rollback was aborted: its Ready pods would count as unavailable, and go first.
pub(in crate::rollout) fn open_old(order: &Order, view: &DeploymentView) -> Option<Decision> {
    let last = order.intent.as_ref().and_then(|intent| match &intent.effect {
        Effect::ReplicaSet(change) => Some(&change.uid),
        Effect::Deployment(_) => None,
    });
    let set = view.old.iter().find(|set| {
        // Nobody is fought for ever.
        set.desired > 0 && set.min_ready_seconds == GATE_SECONDS && last != Some(&set.uid)
    })?;
    let own_seconds = order.snapshot.as_ref()?.settings.min_ready_seconds;
    let opening = Transition::new(order, order.state, Step::PauseInPlace);
    Some(opening.with(change::open(set, own_seconds)).decided())
}

/// Whether the order's last change closed the gate around the pods that were there.
fn has_closed(order: &Order) -> bool {
    order.intent.as_ref().is_some_and(|intent| {
        matches!(&intent.effect, Effect::Deployment(Change::Patch(patch)) if patch.min_ready_seconds == Some(GATE_SECONDS))
    })
}

/// Somebody else changed the template. Their version is left alone; only the
/// borrowed settings go back, since a closed gate would hold it up for ever.
pub(in crate::rollout) fn superseded(order: &Order, view: &DeploymentView) -> Decision {
    let who = view.other_manager.as_deref().unwrap_or("somebody else");
    let message = format!(
        "{GAVE_WAY} by {who}, who changed the Deployment's pod template while the order ran; that version was left in place"
    );
    let Decision::Transition(mut failure) = fail(order, &message) else { return wait(None) };
    (failure.roll_back, failure.finalizes, failure.step) = (false, false, Step::Done);
    if let (Some(snapshot), true) = (hands::before(order, view), order.step != Step::Create) {
        let own_seconds = snapshot.settings.min_ready_seconds;
        failure.effect = Some(change::restore_settings(&snapshot, own_seconds, false).into());
    }
    Decision::Transition(failure)
}
