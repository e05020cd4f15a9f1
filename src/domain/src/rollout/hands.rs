//! Other people's hands on the Deployment while an order is open, and what follows.
//!
//! Whatever an order writes it remembers, so another value is somebody else's. Nobody is
//! fought for ever: what comes back within a minute ends the order, at rest.
//!
//! | hand | noticed by | what Sluice does | what it says | what a person can choose |
//! |---|---|---|---|---|
//! | `rollout pause` in the middle | `paused` is on, and the order wrote off | obeys: the order rests, and writes nothing; it waits on as it waited before | who paused it | confirm, `rollout resume`, stop, roll back |
//! | `rollout resume` while the order waits | `paused` is off, and the order wrote on | keeps the plan: pauses again, and takes pods beyond the plan back; a second time within a minute ends the order at rest | who resumed it | confirm, stop, roll back |
//! | `minReadySeconds`, `progressDeadlineSeconds`, `strategy` | a value that the order did not write | keeps the plan: writes its own value again; theirs is given back at the end, and what Kubernetes refuses beside it gives way; a second time within a minute ends the order at rest | who, field, old and new value | the same |
//! | the same while an order that ended comes to rest | the same, or the last write was decided for other values | comes to rest as decided, and keeps theirs for the next order; what is given back leaves theirs alone | | |
//! | pod template, `rollout undo`, `rollout restart`, in the middle | it is not the order's template | ends the order; their version stays, with the settings of now | who changed it | release again |
//! | the same before an order's first write | it is not the template that the order was decided for | begins anew on top of it; it is the version before | | |
//! | the same while a way back is owed | neither the version that goes nor the one that comes back | does not bring that one back any more; their version stays, with the settings of before | who changed it | release again |
//! | the same while the Deployment is paused | the same | rests: nothing is released that nobody asked for | who changed it | put it back, stop, roll back |
//! | `spec.replicas`, by an autoscaler or by hand | another number | keeps the plan: each batch is the same share of the new number; what Kubernetes gives the new version beyond it is taken back | the new number | nothing is needed |
//! | an annotation of Sluice, edited or brought back by an undo | settings that are said to be borrowed, and are not | believes the fields of now | | |
//! | ReplicaSet of the version before deleted | more new pods than planned, and none to take their place | fails as any batch does | that it is gone | release again |
//! | ReplicaSet of the new version, or a pod, deleted | pods are missing | waits for those that Kubernetes makes; nothing goes on meanwhile | how many are Ready | stop, roll back |
//! | Deployment or namespace deleted | it is not there | ends the order; nothing is made anew | that it does not exist | release a version of the history |
//! | Deployment made anew under its name | another `metadata.uid` | ends the order; the new one is not touched | that it is another one | release again |

mod changed;
mod edit;
mod taken;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    Decision, GAVE_WAY, Transition, change, done, fail, min_ready_seconds_of, restore, step_back,
    wait, wait_resting,
};
use crate::{
    observed::{DeploymentView, Facts, Observation},
    order::{
        DeploymentBefore, Kind, Order, State, Step,
        hands::{Hands, Written},
        intent::{Borrow, Change, Effect, Expected, GATE_SECONDS, Patch},
    },
    template::{ownership, sameness::is_same, settings::BorrowedSettings},
};

pub use changed::changed_meanwhile;
use edit::{
    AT_PARTS, AT_PAUSED, Edit, MIN_READY, PAUSED, SOMEBODY, edits, is_fought, manager, sentence,
};
pub(in crate::rollout) use taken::with_what_others_set;
use taken::{Taken, taken_over};

/// Who puts a field back again so soon is not fought any more.
const AGAIN_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// The user's settings of now: what the Deployment says of them while they are borrowed is
/// true only as long as they are. An undo brings the word of an old order back.
#[must_use]
pub fn own_settings(view: &DeploymentView) -> &BorrowedSettings {
    borrowed(view).unwrap_or(&view.settings)
}

/// The same while they are borrowed; none where they are not. Who pauses a Deployment that an
/// order left paused owns that alone: the strategy of the order's is told by its owner.
pub(in crate::rollout) fn borrowed(view: &DeploymentView) -> Option<&BorrowedSettings> {
    let (own, live) = (view.borrowed.as_ref()?, &view.settings);
    let part = |of: &BorrowedSettings, part: &str| of.strategy["rollingUpdate"][part].clone();
    let is_ours = |(path, at)| part(own, path) != part(live, path) && manager(view, at).is_none();
    let is_held = || manager(view, AT_PAUSED).is_none() || AT_PARTS.into_iter().any(is_ours);
    let is_borrowed = live.min_ready_seconds == GATE_SECONDS || (live.paused && is_held());
    is_borrowed.then_some(own)
}

/// What follows from other hands; none where there are none, or none that matter here.
pub(in crate::rollout) fn next(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Option<Decision> {
    if !order.hands.uid.is_empty() && order.hands.uid != view.uid {
        return Some(made_anew(order));
    }
    if !borrows(order) {
        return None;
    }
    let is_foreign = order.template.as_ref().is_some_and(|it| !is_same(it, &view.template));
    if order.rests() && is_foreign {
        // What is paused is inert. What somebody let go is theirs.
        return match (view.settings.paused, order.step) {
            (false, _) => Some(restore::superseded(order, view)),
            (true, Step::Paused) => None,
            (true, _) => Some(wait_resting(None)),
        };
    }
    if order.hands.paused_by.is_some() {
        let goes_on = order.goes_on || !view.settings.paused;
        return Some(if goes_on { go_on(order, view) } else { wait_resting(None) });
    }
    if is_foreign {
        return None;
    }
    if order.hands.written.paused == Some(false) && view.settings.paused {
        return Some(rest(order, view, None));
    }
    // At the end they are the user's own again.
    if order.step == Step::RestoreSettings {
        return None;
    }
    let edits = edits(&order.hands.written, view);
    (!edits.is_empty()).then(|| answer(order, view, &edits, now))
}

/// Whether the order borrows fields of the Deployment now.
fn borrows(order: &Order) -> bool {
    !order.only_scales()
        && !order.state.is_final()
        && order.snapshot.is_some()
        && matches!(
            order.step,
            Step::BringUp
                | Step::ScaleDownOld
                | Step::Paused
                | Step::CloseGate
                | Step::StepBack
                | Step::RestoreOld
                | Step::RemoveNew
                | Step::RollBack
                | Step::RestoreSettings
        )
}

/// Writes down with a transition what its change leaves, and what it was decided for.
pub(in crate::rollout) fn note(order: &Order, facts: &Facts, transition: &mut Transition) {
    let mut hands = transition.hands.take().unwrap_or_else(|| order.hands.clone());
    if let (Some(Effect::Deployment(Change::Patch(patch))), Observation::Present(view)) =
        (&mut transition.effect, &facts.deployment)
    {
        if hands.uid.is_empty() {
            hands.uid.clone_from(&view.uid);
        }
        patch.uid = Some(hands.uid.clone());
        hands.written = hands.written.after(patch);
        // A fence of an order that ends is for whatever is still on its way.
        let is_rest = transition.step == Step::PauseInPlace && patch.strategy.is_some();
        let sets = patch.borrow == Borrow::Returned || is_rest;
        if (sets || !transition.state.is_final()) && !order.only_scales() {
            let settings = view.settings.clone();
            // Later ones bring the order's own once more, which is known to be there. A rollback
            // takes the place of whatever version is there.
            let is_first = order.template.is_none() && patch.template.is_some();
            let template =
                (is_first && order.kind != Kind::Rollback).then(|| view.template.clone());
            // A number of its own it brings with it.
            let is_share = is_first && patch.replicas.is_none() && order.strategy.count() > 1;
            let replicas = is_share.then_some(view.replicas);
            patch.expects = Some(Expected { uid: view.uid.clone(), settings, template, replicas });
        }
    }
    transition.hands = (hands != order.hands).then_some(hands);
}

impl Transition {
    /// What others did, if anything is told of it from now on.
    #[must_use]
    pub fn told(&self, order: &Order) -> Option<&str> {
        let told = &self.hands.as_ref()?.told;
        (!told.is_empty() && *told != order.hands.told).then_some(told.as_str())
    }

    pub(in crate::rollout) fn tell(
        &mut self,
        order: &Order,
        told: String,
        note: impl FnOnce(&mut Hands),
    ) {
        let mut hands = order.hands.clone();
        hands.told = told;
        note(&mut hands);
        self.hands = Some(hands);
    }
}

/// The Deployment before the order, with what somebody else set since as its own.
pub(in crate::rollout) fn before(order: &Order, view: &DeploymentView) -> Option<DeploymentBefore> {
    let snapshot = order.snapshot.as_ref()?;
    // Where it only waits to be made, what somebody paused is still as the order wrote it.
    let is_at_its_end = order.step == Step::RestoreSettings && order.hands.paused_by.is_none();
    if !borrows(order) {
        return Some(snapshot.clone());
    }
    if is_at_its_end {
        return Some(with_what_others_set(snapshot, view, order.hands.written.min_ready_seconds));
    }
    Some(taken_over(snapshot, view, &edits(&order.hands.written, view)).before)
}

/// The same of an order that ended and comes to rest, by who owns each field; none where nobody
/// set anything. It knows what it wrote itself.
pub(in crate::rollout) fn set_since_its_end(
    order: &Order,
    view: &DeploymentView,
) -> Option<DeploymentBefore> {
    let snapshot = order.snapshot.as_ref()?;
    let written = order.hands.written.min_ready_seconds;
    let before = with_what_others_set(snapshot, view, written);
    (before != *snapshot).then_some(before)
}

/// The same of a way back that is made after its order ended: what it wrote is known once it
/// brought its template.
pub(in crate::rollout) fn before_owed(
    order: &Order,
    view: &DeploymentView,
) -> Option<DeploymentBefore> {
    let snapshot = order.snapshot.as_ref()?;
    if order.step != Step::RollBack || order.template.is_none() {
        return Some(snapshot.clone());
    }
    Some(taken_over(snapshot, view, &edits(&order.hands.written, view)).before)
}

/// Whether it was somebody else who paused the Deployment.
pub(in crate::rollout) fn is_paused_by_others(view: &DeploymentView) -> bool {
    view.settings.paused && manager(view, AT_PAUSED).is_some()
}

/// Another Deployment has the name of the order's.
fn made_anew(order: &Order) -> Decision {
    if order.state.is_final() {
        return done(order);
    }
    let message = format!(
        "the Deployment {} was deleted, and another one of its name was made meanwhile: that one is left as it is",
        order.name
    );
    ended(order, &message)
}

fn ended(order: &Order, message: &str) -> Decision {
    let Decision::Transition(mut failure) = fail(order, message) else { return wait(None) };
    (failure.roll_back, failure.finalizes, failure.step) = (false, false, Step::Done);
    Decision::Transition(failure)
}

/// Somebody paused the Deployment in the middle: that is obeyed.
fn rest(order: &Order, view: &DeploymentView, effect: Option<Change>) -> Decision {
    let by = manager(view, AT_PAUSED).unwrap_or_else(|| SOMEBODY.into());
    let message = format!(
        "{by} paused the Deployment: nothing goes on until a person continues this order or resumes the Deployment, or stops the order or rolls it back"
    );
    let mut transition = Transition::new(order, State::WaitingConfirmation, order.step);
    transition.effect = effect.map(Into::into);
    transition.tell(order, format!("{by} paused the Deployment"), |hands| {
        hands.paused_by = Some(by);
        hands.waited = step_back::waits(order).then_some(order.state);
    });
    let next = order.batch + usize::from(!step_back::is_in_batch(order));
    // Behind the last there is none: a person continues by that one.
    let waits = next.min(order.batches.len().saturating_sub(1));
    if waits < order.batches.len() {
        transition = transition.batch(waits, State::WaitingConfirmation, None, message.clone());
    }
    transition.because(message).decided()
}

/// A person lets the order go on, here or by the Deployment: its last step begins again.
fn go_on(order: &Order, view: &DeploymentView) -> Decision {
    let (Some(snapshot), by) = (before(order, view), order.hands.paused_by.as_deref()) else {
        return fail(order, "the settings before the order are not known");
    };
    let by = by.unwrap_or(SOMEBODY);
    let (step, change) = again(order, view, &snapshot);
    let waited = order.hands.waited;
    let state = waited.unwrap_or(State::Running);
    let mut transition = Transition::new(order, state, step).with(change);
    for (index, batch) in order.batches.iter().enumerate() {
        if batch.state != State::WaitingConfirmation {
            continue;
        }
        let is_under_way = index == order.batch;
        // The time of a batch that still brings its pods begins anew.
        if !is_under_way || order.step != Step::RestoreSettings {
            let state = waited.filter(|_| !is_under_way).unwrap_or(State::Ready);
            transition = transition.batch(index, state, None, "");
        }
        if is_under_way {
            transition = transition.batch(index, State::Running, None, "");
        }
    }
    let message = if order.goes_on {
        format!("goes on, although {by} had paused the Deployment: a person said so")
    } else {
        format!("goes on: the Deployment, which {by} had paused, was resumed")
    };
    // One that waited before waits on.
    let message = step_back::waiting_in(state, order.batch, message);
    transition.snapshot = Some(snapshot);
    transition.clears_go_on = true;
    transition.tell(order, String::new(), |hands| {
        (hands.paused_by, hands.waited) = (None, None);
    });
    transition.because(message).decided()
}

/// Somebody else set fields that are borrowed.
fn answer(order: &Order, view: &DeploymentView, edits: &[Edit], now: Timestamp) -> Decision {
    let Some(snapshot) = &order.snapshot else { return wait(None) };
    let Taken { before: snapshot, fitted } = taken_over(snapshot, view, edits);
    let (step, change) = again(order, view, &snapshot);
    let fought: Vec<&Edit> = edits.iter().filter(|edit| is_fought(edit, &change)).collect();
    let sentence = sentence(order, edits);
    let is_recent = |edit: &&Edit| {
        order
            .hands
            .put_back
            .get(edit.path)
            .is_some_and(|at| now.duration_since(*at) <= AGAIN_WITHIN)
    };
    let by_hand = edits.iter().any(|edit| edit.path == MIN_READY);
    if fought.iter().any(is_recent) {
        let message = format!(
            "{GAVE_WAY}: {sentence}, again within {} s; the order ends where it stands",
            AGAIN_WITHIN.as_secs()
        );
        let Decision::Transition(mut end) = fail(order, &message) else { return wait(None) };
        let finalizes = order.rests_on_abort();
        (end.roll_back, end.finalizes) = (false, finalizes);
        end.step = if finalizes { order.step } else { Step::Done };
        let is_unmade = order.intent.as_ref().is_some_and(|intent| intent.applied.is_none());
        if finalizes && (is_unmade || order.kind == Kind::Rollback) {
            // What was not made is not to be made any more.
            (end.step, end.effect) = (Step::PauseInPlace, Some(change::fence().into()));
        }
        end.snapshot = Some(snapshot);
        end.tell(order, message, |_| {});
        return Decision::Transition(end);
    }
    let mut transition = Transition::new(order, step_back::moving(order), step).with(change);
    transition.snapshot = Some(snapshot);
    let mut told = if fought.is_empty() {
        format!("{sentence}; that holds after this order")
    } else {
        format!("{sentence}; the plan holds: it was set back{}", kept(edits))
    };
    told.extend(fitted.iter().map(|fitted| format!("; {fitted}")));
    if edits.is_empty() {
        return transition.decided();
    }
    let message = step_back::while_waiting(order, told.clone());
    transition.tell(order, told, |hands: &mut Hands| {
        let times = fought.iter().map(|edit| (edit.path.to_owned(), now));
        hands.put_back.extend(times.collect::<BTreeMap<_, _>>());
        hands.min_ready_by_hand |= by_hand;
        if order.step == Step::Paused {
            hands.waits_since.get_or_insert(order.step_since);
        }
    });
    transition.because(message).decided()
}

fn kept(edits: &[Edit]) -> &'static str {
    if edits.iter().all(|edit| edit.path == PAUSED) { "" } else { ", and holds after this order" }
}

/// The order's last step once more, with every borrowed field: absolute, so that it leads
/// to the same wherever the Deployment stands.
fn again(order: &Order, view: &DeploymentView, snapshot: &DeploymentBefore) -> (Step, Change) {
    let goal = order.planned(order.batch, view.replicas);
    let is_first = order.template.is_none();
    let (step, mut patch) = match order.step {
        Step::ScaleDownOld => {
            (Step::ScaleDownOld, change::scale_down_old_again(goal, view.replicas))
        }
        // Only numbers that were let through need the gate.
        Step::Paused if view.settings.paused => {
            let seconds = min_ready_seconds_of(order, &snapshot.settings);
            (Step::Paused, change::pause(&snapshot.settings, seconds))
        }
        Step::Paused => (Step::CloseGate, change::close_gate_again()),
        Step::CloseGate if is_first => (Step::CloseGate, change::take_up(order, snapshot)),
        Step::CloseGate => (Step::CloseGate, change::close_gate_again()),
        Step::StepBack | Step::RestoreOld | Step::RemoveNew if !step_back::is_in_batch(order) => {
            (Step::StepBack, change::hold_still())
        }
        Step::RollBack => (Step::RollBack, change::roll_back(order, snapshot)),
        Step::RestoreSettings if order.kind == Kind::Rollback => {
            let replicas = order.target.replicas == Some(snapshot.replicas);
            (Step::RestoreSettings, change::finish_return(snapshot, replicas))
        }
        Step::RestoreSettings => {
            let seconds = min_ready_seconds_of(order, &snapshot.settings);
            (Step::RestoreSettings, change::restore_settings(snapshot, seconds, false))
        }
        _ => {
            let all = view.replicas;
            let up = change::bring_up(order, snapshot, view, order.batch, all, is_first);
            (Step::BringUp, up)
        }
    };
    if let Change::Patch(Patch { borrow, .. }) = &mut patch
        && *borrow == Borrow::Unchanged
        && order.snapshot.as_ref() != Some(snapshot)
    {
        *borrow = Borrow::Borrowed(snapshot.settings.clone());
    }
    (step, patch)
}
