//! What follows where the Deployment changed before a change of the order was made.

use super::*;
use crate::rollout::batches;

/// What follows where the Deployment is not what a change was decided for, so that it was
/// not made.
#[must_use]
pub fn changed_meanwhile(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    if order.state.is_final() {
        return at_the_end(order, view);
    }
    let mut decision = after_change(order, view, now);
    if let Decision::Transition(transition) = &mut decision {
        note(order, &Facts::from(Observation::Present(Box::new(view.clone()))), transition);
    }
    decision
}

/// What an order that ended still has to write overrules what was set meanwhile; another
/// Deployment of the name is left alone.
fn at_the_end(order: &Order, view: &DeploymentView) -> Decision {
    let change = match order.intent.as_ref().map(|intent| &intent.effect) {
        Some(Effect::Deployment(Change::Patch(patch))) => patch,
        _ => return done(order),
    };
    match &change.expects {
        Some(expected) if expected.uid == view.uid => {
            let patch = Patch { expects: None, ..change.clone() };
            Transition::new(order, order.state, order.step).with(Change::Patch(patch)).decided()
        }
        _ => done(order),
    }
}

fn after_change(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    let patch = match order.intent.as_ref().map(|intent| &intent.effect) {
        Some(Effect::Deployment(Change::Patch(patch))) => patch,
        // The ReplicaSet is gone. Once that is seen, the numbers of those that are there count.
        Some(Effect::ReplicaSet(change)) if view.sets().all(|set| set.uid != change.uid) => {
            return answer(order, view, &[], now);
        }
        // The Deployment has another number of pods: the same batches are other numbers.
        Some(Effect::ReplicaSet(change))
            if change.part_of.is_some_and(|all| all != view.replicas) =>
        {
            return step_back::restore_old(order, view);
        }
        _ => return wait(None),
    };
    let Some(expected) = &patch.expects else { return wait(None) };
    if expected.uid != view.uid {
        return made_anew(order);
    }
    if order.kind == Kind::Rollback && order.step == Step::RollBack && order.template.is_none() {
        // Nothing was written yet: it begins with what is there now.
        let afresh = Order { step: Step::Start, intent: None, ..order.clone() };
        return restore::start(&afresh, view, now);
    }
    if patch.is_overtaken(&view.template) {
        // It was made, and its answer was lost: theirs came after it.
        if view.written_by == Some(order.id) {
            return restore::superseded(order, view);
        }
        // Nothing was written: the order begins on top of what there is now.
        let afresh = Order { step: Step::Start, snapshot: None, intent: None, ..order.clone() };
        return batches::start(&afresh, view, now);
    }
    if order.hands.paused_by.is_some() {
        // Whatever else changed: what somebody paused stays so until a person lets it go on.
        return if order.goes_on || !view.settings.paused {
            go_on(order, view)
        } else {
            Transition::new(order, order.state, order.step).with(change::fence()).decided()
        };
    }
    let before = Written {
        min_ready_seconds: Some(expected.settings.min_ready_seconds),
        progress_deadline_seconds: Some(expected.settings.progress_deadline_seconds),
        paused: Some(expected.settings.paused),
        strategy: Some(expected.settings.strategy.clone()),
    };
    if !expected.settings.paused && view.settings.paused && patch.paused != Some(true) {
        let mut rest = rest(order, view, Some(change::fence()));
        // What was not made is not what the order wrote: the rest is not somebody else's doing.
        if let Decision::Transition(transition) = &mut rest
            && let Some(hands) = &mut transition.hands
        {
            hands.written = before;
        }
        return rest;
    }
    answer(order, view, &edits(&before, view), now)
}
