//! What follows where the Deployment changed before a change of the order was made.

use super::{
    edit::{AT_DEADLINE, AT_MIN_READY, AT_PARTS, STRATEGY},
    *,
};
use crate::{order::intent::is_strategy, rollout::batches};

/// What follows where the Deployment is not what a change was decided for, so that it was
/// not made.
#[must_use]
pub fn changed_meanwhile(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    if order.state.is_final() && order.step != Step::PauseInPlace {
        return at_the_end(order, view);
    }
    let mut decision = if order.state.is_final() {
        while_it_comes_to_rest(order, view)
    } else {
        after_change(order, view, now)
    };
    if let Decision::Transition(transition) = &mut decision {
        note(order, &Facts::from(Observation::Present(Box::new(view.clone()))), transition);
    }
    decision
}

/// An order that ended comes to rest beside what was set since that was decided.
fn while_it_comes_to_rest(order: &Order, view: &DeploymentView) -> Decision {
    let is_its_own = order.intent.as_ref().is_some_and(|intent| match &intent.effect {
        Effect::Deployment(Change::Patch(patch)) => patch.is_for(&view.uid),
        _ => true,
    });
    if is_its_own { restore::pause_in_place(order, view, false) } else { done(order) }
}

/// An order that ended still makes the way back that it owes, whatever was set meanwhile; what it
/// gives back gives way to that. Another Deployment of the name is left alone.
fn at_the_end(order: &Order, view: &DeploymentView) -> Decision {
    let Some(Effect::Deployment(Change::Patch(change))) =
        order.intent.as_ref().map(|intent| &intent.effect)
    else {
        return done(order);
    };
    let (true, Some(expected)) = (change.is_for(&view.uid), &change.expects) else {
        return done(order);
    };
    let patch = if change.borrow == Borrow::Returned {
        given_back_beside(change, &expected.settings, view)
    } else {
        Patch { expects: None, ..change.clone() }
    };
    Transition::new(order, order.state, order.step).with(Change::Patch(patch)).decided()
}

/// The patch that gives the settings back, but for those that somebody else set since it was
/// decided.
fn given_back_beside(change: &Patch, before: &BorrowedSettings, view: &DeploymentView) -> Patch {
    let edits = edits(&ours(change, before, view), view);
    let own = BorrowedSettings {
        min_ready_seconds: change.min_ready_seconds.unwrap_or(view.settings.min_ready_seconds),
        progress_deadline_seconds: change
            .progress_deadline_seconds
            .unwrap_or(view.settings.progress_deadline_seconds),
        paused: change.paused.unwrap_or(view.settings.paused),
        strategy: change.strategy.clone().unwrap_or_else(|| view.settings.strategy.clone()),
    };
    let now = taken::beside(&own, view, &edits);
    let mut patch = Patch {
        min_ready_seconds: Some(now.min_ready_seconds),
        progress_deadline_seconds: Some(now.progress_deadline_seconds),
        paused: Some(now.paused),
        strategy: Some(now.strategy),
        expects: Some(Expected {
            uid: view.uid.clone(),
            settings: view.settings.clone(),
            template: None,
            replicas: None,
        }),
        ..change.clone()
    };
    if let Some(back) = &mut patch.give_back {
        // The same field stays theirs who set it.
        let is_theirs = |field: &str| {
            edits
                .iter()
                .any(|edit| edit.path == field || (edit.is_of_strategy() && field == STRATEGY))
        };
        back.fields.retain(|field| !is_theirs(field));
    }
    patch
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
            return if order.step == Step::ScaleDownOld {
                answer(order, view, &[], now)
            } else {
                step_back::restore_old(order, view)
            };
        }
        _ => return wait(None),
    };
    if !patch.is_for(&view.uid) {
        return made_anew(order);
    }
    let Some(expected) = &patch.expects else { return wait(None) };
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
        // Nothing was written: the order begins on top of what there is now. Settings that an
        // earlier order left borrowed are known from it alone.
        let resting = order.snapshot.as_ref().filter(|it| it.settings != expected.settings);
        let snapshot = resting.map(|resting| DeploymentBefore {
            template: view.template.clone(),
            replicas: view.replicas,
            ..resting.clone()
        });
        let afresh = Order { step: Step::Start, snapshot, intent: None, ..order.clone() };
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
    let before = ours(patch, &expected.settings, view);
    let edits = edits(&before, view);
    if edits.is_empty()
        && let (Some(snapshot), Some(ready)) = (&order.snapshot, patch.ready)
        && view.new_ready(0, now) < ready
    {
        if is_strategy_of(patch, view) {
            // It was made, and its answer was lost: old pods went already.
            let again = Change::Patch(Patch { ready: None, ..patch.clone() });
            return Transition::new(order, order.state, order.step).with(again).decided();
        }
        let index = order.batch;
        return batches::begin_batch(order, snapshot, view, index, view.replicas, false)
            .because(format!("pods of batch {} are not Ready any more: old ones stay", index + 1))
            .decided();
    }
    if edits.is_empty() && !patch.is_planned_for(view.replicas) {
        return for_another_number(order, patch, view, now);
    }
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
    answer(order, view, &edits, now)
}

/// The first patch of a release in batches, where the Deployment has another number of pods than
/// it was decided for: by another hand, or by an order before it whose last write came late.
fn for_another_number(
    order: &Order,
    patch: &Patch,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    if view.written_by == Some(order.id) {
        // It was made, and its answer was lost: the plan follows the number once that is known.
        let again = Change::Patch(patch.clone());
        return Transition::new(order, order.state, order.step).with(again).decided();
    }
    let afresh = Order { step: Step::Start, intent: None, ..order.clone() };
    batches::start(&afresh, view, now)
}

/// Whether the Deployment has the strategy that the patch brings.
fn is_strategy_of(patch: &Patch, view: &DeploymentView) -> bool {
    patch.strategy.as_ref().is_some_and(|it| is_strategy(it, &view.settings.strategy))
}

/// What is not somebody else's, field by field: what was there before, or what is there now and
/// nobody else owns. The patch may have been made, and its answer lost, before somebody else
/// set other fields; so may one before it, which came late.
fn ours(patch: &Patch, before: &BorrowedSettings, view: &DeploymentView) -> Written {
    let found = &view.settings;
    // Kubernetes notes who set a field, unless it is one that counts as not set.
    let notes_owners = view.owners.as_array().is_some_and(|owners| !owners.is_empty());
    let is_ours = |at: &str, is_set: bool, is_made: bool| {
        manager(view, at).is_none() && (is_made || (notes_owners && is_set))
    };
    let number = |before: i32, made: Option<i32>, found: i32, at: &str| {
        Some(if is_ours(at, found != 0, made == Some(found)) { found } else { before })
    };
    let is_paused = is_ours(AT_PAUSED, found.paused, patch.paused == Some(found.paused));
    let mut strategy = before.strategy.clone();
    let made = patch.strategy.as_ref().unwrap_or(&before.strategy);
    if found.strategy["type"] == made["type"] && made["type"] != before.strategy["type"] {
        strategy = made.clone();
    }
    for (part, at) in AT_PARTS {
        let (made, found) = (&made["rollingUpdate"][part], &found.strategy["rollingUpdate"][part]);
        if !found.is_null() && is_ours(at, true, made == found) {
            strategy["rollingUpdate"][part] = found.clone();
        }
    }
    Written {
        min_ready_seconds: number(
            before.min_ready_seconds,
            patch.min_ready_seconds,
            found.min_ready_seconds,
            AT_MIN_READY,
        ),
        progress_deadline_seconds: number(
            before.progress_deadline_seconds,
            patch.progress_deadline_seconds,
            found.progress_deadline_seconds,
            AT_DEADLINE,
        ),
        paused: Some(if is_paused { found.paused } else { before.paused }),
        strategy: Some(strategy),
    }
}
