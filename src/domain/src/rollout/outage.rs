//! What follows while nothing of the cluster can be seen, or nothing can be written to it.
//!
//! That time does not count against pods, and what was decided is tried again. It has an end
//! of its own, so that no order is open for ever: a right that is missing is trouble like
//! any other and has the grace; an API server that says that it cannot has a batch's time;
//! one that does not answer at all has longer. A way back that ends so is still made once it
//! can be: nothing that was borrowed stays. Each kind of trouble has its own time; where they
//! take turns, the longest of these counts from the first.

use jiff::{SignedDuration, Timestamp};

use super::{Decision, Transition, change, done, fail, ready_seconds, step_back, trouble, wait};
use crate::{
    observed::{DeploymentView, Observation},
    order::{
        Kind, Order, Step,
        intent::{Borrow, Change, Effect},
        outage::{Met, Obstacle, Outage},
    },
};

/// Seconds for which an API server may not answer at all: longer than its upgrade takes.
pub const UNANSWERED_SECONDS: i64 = 1800;

/// What a way back says that was made after its end.
const MADE_GOOD: &str =
    "the earlier version could not be brought back in time, and was brought back later";

/// How long the order waits for the end of such an outage.
fn patience(order: &Order, obstacle: Obstacle) -> i64 {
    let batch = order.target.batch_timeout_seconds;
    match obstacle {
        // What was begun is to be put right, whoever may not write for a while.
        Obstacle::Denied if order.kind == Kind::Rollback => {
            batch.max(order.target.failure_policy.grace_seconds)
        }
        Obstacle::Denied => order.target.failure_policy.grace_seconds,
        Obstacle::Failing => batch,
        Obstacle::Unanswered => batch.max(UNANSWERED_SECONDS),
    }
}

/// When the outage has lasted too long, and for how many seconds then.
fn end_of(order: &Order, met: Met) -> (Timestamp, i64) {
    let after = |since: Timestamp, seconds| {
        since.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    };
    let own = patience(order, met.obstacle);
    let longest = [Obstacle::Denied, Obstacle::Failing, Obstacle::Unanswered]
        .map(|it| patience(order, it))
        .into_iter()
        .fold(own, i64::max);
    (after(met.since, own), own).min((after(met.any_since, longest), longest))
}

/// Whether the order changed nothing, since its first write was never made: what that writes
/// beside the template is not there.
fn has_changed_nothing(order: &Order, observation: &Observation) -> bool {
    let borrows = order.intent.as_ref().is_some_and(|intent| {
        matches!(
            &intent.effect,
            Effect::Deployment(Change::Patch(patch)) if matches!(patch.borrow, Borrow::Borrowed(_))
        )
    });
    let is_untouched = matches!(observation, Observation::Present(view) if view.borrowed.is_none());
    order.template.is_none() && borrows && is_untouched
}

/// What an order says while it cannot go on; of one that waits, what it waits for too.
#[must_use]
pub fn outage_message(order: &Order, outage: &Outage) -> String {
    let message = format!("{} now, and it is tried again: {}", outage.what, outage.why);
    step_back::while_waiting(order, message)
}

/// What follows for an order that cannot go on, of whose Deployment this is seen.
#[must_use]
pub fn outage(
    order: &Order,
    outage: &Outage,
    observation: &Observation,
    now: Timestamp,
) -> Decision {
    // One that waits for a person, or the clock, has all the time.
    let waits = order.rests() && !order.goes_on && !order.has_change_to_make();
    if order.state.is_final() || waits {
        return wait(None);
    }
    let (until, seconds) = end_of(order, outage.met);
    if now < until {
        return wait(Some(until));
    }
    let Outage { what, why, .. } = outage;
    if order.kind != Kind::Rollback {
        let message =
            format!("batch {} could not go on for {seconds} s: {what}: {why}", order.batch + 1);
        let Decision::Transition(mut failure) = fail(order, &message) else { return wait(None) };
        // A no is certain, where another error may come of a write that is still on its way.
        if outage.met.obstacle == Obstacle::Denied && has_changed_nothing(order, observation) {
            (failure.roll_back, failure.finalizes, failure.step) = (false, false, Step::Done);
        }
        return Decision::Transition(failure);
    }
    let message = format!(
        "the earlier version could not be brought back within {seconds} s: {what}: {why}; it comes back as soon as that is possible"
    );
    let Decision::Transition(mut failure) = fail(order, &message) else { return wait(None) };
    if order.snapshot.is_some() {
        (failure.finalizes, failure.step) = (true, order.step);
        if order.step == Step::RollBack && !order.has_change_to_make() {
            // Its pods have their whole time from when this can be written.
            failure.effect = Some(change::fence().into());
        }
    }
    Decision::Transition(failure)
}

/// What such a way back still owes; its end was told already.
pub(in crate::rollout) fn make_good(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    let Some(snapshot) = &order.snapshot else { return done(order) };
    let next = |step| Transition::new(order, order.state, step);
    match order.step {
        Step::Start if order.only_scales() => {
            next(Step::Done).with(change::resize_back(snapshot)).because(MADE_GOOD).decided()
        }
        Step::Start => next(Step::RollBack).with(change::roll_back(order, snapshot)).decided(),
        Step::RollBack => {
            // The settings of before could let Ready pods go while others are missing.
            let whole =
                view.old_pods() == 0 && view.new_ready(ready_seconds(order), now) >= view.replicas;
            let until = deadline_of(order);
            if !whole && now < until && trouble(order, view, now).is_none() {
                return wait(Some(until));
            }
            let replicas = view.replicas == snapshot.replicas && order.target.replicas.is_some();
            let back = change::finish_return(snapshot, replicas);
            next(Step::Done).with(back).because(MADE_GOOD).decided()
        }
        _ => done(order),
    }
}

/// Until when its pods are waited for.
fn deadline_of(order: &Order) -> Timestamp {
    let seconds = SignedDuration::from_secs(order.target.batch_timeout_seconds);
    order.outages.put_off(order.step_since.checked_add(seconds).unwrap_or(Timestamp::MAX))
}
