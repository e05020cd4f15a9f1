//! The steps of an order that releases a version: batch by batch through the batch
//! gate, or all at once.

use jiff::{SignedDuration, Timestamp};

use super::{
    BatchTransition, Decision, EARLIER_ROLLOUT_SECONDS, Transition, accepted_at,
    before::{is_resumed, snapshot},
    cause, change, deadline, done_well, earliest, fail, judge_context, keep_waiting,
    min_ready_seconds, min_ready_seconds_of, on_deadline, own_settings, ready_seconds, step_back,
    trouble, wait,
};
use crate::{
    Input,
    observed::{
        DeploymentView,
        failure::{self, Verdict},
    },
    order::{
        DeploymentBefore, Order, State, Step, TemplateSource, hands::Hands, intent::GATE_SECONDS,
        plan::BatchGate,
    },
    template::names::APPLICATION_LABEL,
};

/// What is said of a batch that has no pods.
const NONE_LEFT: &str = "no pods are left for this batch";

/// Creates the application's Deployment.
pub(in crate::rollout) fn start_create(order: &Order) -> Decision {
    let replicas = order.target.replicas_to_create();
    Transition::new(order, State::Running, Step::Create)
        .with(change::create(order))
        .batch(0, State::Running, Some(replicas), "")
        .because(format!("creating the Deployment {} with {replicas} pods", order.name))
        .decided()
}

/// Creates the Deployment again, with a version of the history: somebody deleted it, and this
/// release was asked for since. None where the order may not, or the selector is not known: the
/// Deployment of an adopted application had one of its own.
pub(in crate::rollout) fn start_again(order: &Order) -> Option<Decision> {
    order.target.replicas_if_created?;
    let TemplateSource::Exact(template) = &order.target.source else { return None };
    let application = order.application.to_string();
    let is_selected = template["metadata"]["labels"][APPLICATION_LABEL] == application.as_str();
    is_selected.then(|| start_create(order))
}

/// Waits for the first version's pods, or those of the Deployment that was created again.
pub(in crate::rollout) fn create(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    let min_ready = ready_seconds(order);
    if view.new_ready(min_ready, now) >= view.replicas && view.new_desired() >= view.replicas {
        let mut done = Transition::new(order, State::Succeeded, Step::Done).batch(
            0,
            State::Succeeded,
            None,
            "",
        );
        // All pods came with the first batch.
        for index in 1..order.batches.len() {
            done = done.batch(index, State::Succeeded, Some(view.replicas), NONE_LEFT);
        }
        return done.decided();
    }
    // Nothing came before, so nothing is rolled back.
    if let Some(trouble) = trouble(order, view, now) {
        return fail(order, &trouble);
    }
    await_pods(order, view, now, min_ready, view.replicas)
}

/// Begins a release: remembers the Deployment as it is and closes the gate with
/// the first batch.
pub(in crate::rollout) fn start(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    let earlier_rollout_until = accepted_at(order)
        .checked_add(SignedDuration::from_secs(EARLIER_ROLLOUT_SECONDS))
        .unwrap_or(Timestamp::MAX);
    let goes_by_itself = order.snapshot.is_none() || is_resumed(order, view);
    let may_settle = goes_by_itself && view.old_pods() > 0 && can_settle(order, view, now);
    if may_settle && now < earlier_rollout_until {
        // Pods of a version that is still going would be counted as those of
        // the new one, or go in their place.
        return if order.state == State::Ready {
            Transition::new(order, State::Running, Step::Start)
                .because(format!(
                    "waits for pods of the version before, whose rollout is not done yet; begins after {EARLIER_ROLLOUT_SECONDS} s in any case"
                ))
                .decided()
        } else {
            wait(Some(earlier_rollout_until))
        };
    }
    let snapshot = snapshot(order, view);
    let replicas = order.target.replicas.unwrap_or(view.replicas);
    if let Some(why) = impossible(order, &snapshot, view, replicas) {
        return fail(order, &why);
    }
    if order.batch > 0 {
        // Taken up again: earlier batches stay, what the failed one left goes first.
        let mut transition = Transition::new(order, State::Running, Step::CloseGate)
            .with(change::take_up(order, &snapshot));
        transition.snapshot = Some(snapshot);
        return transition.because(format!("going on from batch {}", order.batch + 1)).decided();
    }
    let planned = Order { snapshot: Some(snapshot.clone()), ..order.clone() };
    let mut transition = begin_batch(&planned, &snapshot, view, 0, replicas, true);
    transition.snapshot = Some(snapshot);
    transition.decided()
}

/// Whether the rollout that is under way may come to its end by itself.
fn can_settle(order: &Order, view: &DeploymentView, now: Timestamp) -> bool {
    let paused_by_owner = own_settings(view).paused && view.settings.paused;
    let is_lost = || {
        failure::judge(view, judge_context(order, now))
            .is_some_and(|cause| cause.verdict == Verdict::Fatal)
    };
    !paused_by_owner && !is_lost()
}

fn impossible(
    order: &Order,
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    replicas: i32,
) -> Option<String> {
    let own = &snapshot.settings;
    if let TemplateSource::Change(change) = &order.target.source
        && let Some(doubt) = change.doubt(&snapshot.template, &order.name)
    {
        return Some(doubt.to_string());
    }
    if order.strategy.count() > 1 && change::is_recreate(own) && replicas > 0 {
        return Some(
            "the Deployment's strategy is Recreate, which replaces all pods at once: release in one batch, or change it to RollingUpdate"
                .into(),
        );
    }
    if order.strategy.count() > 1 && order.strategy.fits(replicas).is_err() {
        return Some(format!(
            "the Deployment has {replicas} pods by now, too few for {} batches{}",
            order.strategy.batches,
            if order.strategy.canary > 0 {
                format!(" after a canary of {}", order.strategy.canary)
            } else {
                String::new()
            }
        ));
    }
    let min_ready = min_ready_seconds_of(order, own);
    if min_ready >= own.progress_deadline_seconds {
        return Some(format!(
            "the {} {min_ready} s is not below the Deployment's progressDeadlineSeconds {} s, which Kubernetes refuses",
            Input::MinReadyTime,
            own.progress_deadline_seconds
        ));
    }
    // Without pods there is nothing to wait for.
    if replicas == 0 { None } else { earliest::too_slow(order, snapshot, view, replicas) }
}

/// Waits for the batch's new pods, then goes on.
pub(in crate::rollout) fn bring_up(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    let Some(snapshot) = &order.snapshot else {
        return fail(order, "the settings before the order are not known");
    };
    let replicas = view.replicas;
    let goal = order.planned(order.batch, replicas);
    let planned = order.batches.get(order.batch).map_or(goal, |batch| batch.target);
    // Whatever the number is by now: the share of it is too large.
    if step_back::has_too_many(order, view) {
        return step_back::restore_old(order, view);
    }
    if goal != planned {
        // Somebody scaled the Deployment: the batch is the same share of another number.
        return begin_batch(order, snapshot, view, order.batch, replicas, false)
            .because(format!("the Deployment was scaled to {replicas} pods"))
            .decided();
    }
    if let Some(trouble) = trouble(order, view, now) {
        return fail(order, &trouble);
    }
    let min_ready = ready_seconds(order);
    let native = order.strategy.count() == 1;
    let replaced = !native
        || (view.old_pods() == 0
            && view.status_replicas == replicas
            && view.status_updated == replicas);
    if view.new_desired() < goal || view.new_ready(min_ready, now) < goal || !replaced {
        return await_pods(order, view, now, min_ready, goal);
    }
    if !native && !view.old.iter().all(|set| set.observed && set.available <= set.desired) {
        // A status that still counts old pods that are gone would make the
        // Deployment controller take others in their place.
        let state = "the ReplicaSet controller does not react";
        return on_deadline(order, now, state).unwrap_or_else(|| wait(Some(deadline(order))));
    }
    let finished = BatchTransition {
        index: order.batch,
        state: State::Succeeded,
        target: None,
        message: String::new(),
    };
    if order.batch + 1 >= order.strategy.count() {
        let mut transition = Transition::new(order, State::Running, Step::RestoreSettings)
            .with(change::restore_settings(snapshot, min_ready_seconds(order), false));
        transition.batches.push(finished);
        return transition.decided();
    }
    match order.strategy.batch_gate_after(order.batch) {
        BatchGate::None => {
            let mut transition =
                begin_batch(order, snapshot, view, order.batch + 1, replicas, false);
            transition.batches.push(finished);
            transition.decided()
        }
        BatchGate::Pause(_) | BatchGate::Confirmation => {
            let mut transition = Transition::new(order, State::Running, Step::ScaleDownOld)
                .with(change::scale_down_old(goal, view.replicas));
            transition.batches.push(finished);
            transition.decided()
        }
    }
}

/// Waits until the old pods that the batch replaced are gone, then rests.
pub(in crate::rollout) fn scale_down_old(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    let Some(snapshot) = &order.snapshot else {
        return fail(order, "the settings before the order are not known");
    };
    let goal = order.planned(order.batch, view.replicas);
    let is_scaled = order.batches.get(order.batch).is_some_and(|batch| batch.target != goal);
    if is_scaled && goal > 0 {
        return Transition::new(order, State::Running, Step::ScaleDownOld)
            .batch(order.batch, State::Succeeded, Some(goal), "")
            .because(format!("the Deployment was scaled to {} pods", view.replicas))
            .with(change::scale_down_old(goal, view.replicas))
            .decided();
    }
    // Where the batch has no pods any more, no old one goes for it. Of so few pods Kubernetes
    // would let one go all the same, so the Deployment is paused at once.
    let goes = goal > 0;
    // Kubernetes rounds as it shares another number. It never takes a new pod back that is too
    // many, and would not come to rest.
    let old = view.old_desired();
    if let Some(new) = view.new.as_ref().filter(|new| new.desired > goal)
        && goes
        && old <= view.replicas - goal
        && new.desired + old > view.replicas
    {
        let stay = (view.replicas - old).max(goal);
        return Transition::new(order, State::Running, Step::ScaleDownOld)
            .with(change::scale(new, stay, view.replicas))
            .because(format!("{stay} new pods stay"))
            .decided();
    }
    if goes && (view.old_pods() > view.replicas - goal || view.status_replicas > view.replicas) {
        let state =
            format!("{} old pods are left, {} should be", view.old_pods(), view.replicas - goal);
        return on_deadline(order, now, &state).unwrap_or_else(|| wait(Some(deadline(order))));
    }
    let (state, message) = match order.strategy.batch_gate_after(order.batch) {
        BatchGate::Pause(minutes) => {
            (State::WaitingInterval, format!("batch {} begins in {minutes} min", order.batch + 2))
        }
        BatchGate::None | BatchGate::Confirmation => (
            State::WaitingConfirmation,
            format!("batch {} waits for confirmation", order.batch + 2),
        ),
    };
    let mut transition = Transition::new(order, state, Step::Paused)
        .with(change::pause(&snapshot.settings, min_ready_seconds(order)))
        .batch(order.batch + 1, state, None, message.clone())
        .because(message);
    if is_scaled {
        transition = transition.batch(order.batch, State::Succeeded, Some(goal), "");
    }
    transition.decided()
}

/// Rests until a person or the clock says to go on.
pub(in crate::rollout) fn paused(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    // After a step back a person says when to go on, whatever the pace.
    let due = match order.strategy.batch_gate_after(order.batch) {
        BatchGate::Pause(minutes) if order.state == State::WaitingInterval => {
            let since = order.hands.waits_since.unwrap_or(order.step_since);
            since.checked_add(SignedDuration::from_mins(minutes.into())).ok()
        }
        BatchGate::None | BatchGate::Pause(_) | BatchGate::Confirmation => None,
    };
    if order.confirmed > order.batch + 1 || due.is_some_and(|due| due <= now) {
        return Transition::new(order, State::Running, Step::CloseGate)
            .with(change::close_gate())
            .batch(order.batch + 1, State::Ready, None, "")
            .because(format!("batch {} is about to begin", order.batch + 2))
            .decided();
    }
    if step_back::has_drifted(order, view) {
        return step_back::close_gate_to_correct(order, view);
    }
    Decision::Wait { until: due, rest: true }
}

/// Waits until the new pods no longer count as available, then begins the next batch.
pub(in crate::rollout) fn close_gate(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    let Some(snapshot) = &order.snapshot else {
        return fail(order, "the settings before the order are not known");
    };
    let closed = view.new.as_ref().is_none_or(|set| {
        set.observed && set.min_ready_seconds == GATE_SECONDS && set.available == 0
    });
    if !closed {
        return on_deadline(order, now, "the new pods still count as available")
            .unwrap_or_else(|| wait(Some(deadline(order))));
    }
    if let Some(stay) = order.back_to.filter(|stay| *stay <= order.batch) {
        return step_back::hold_still(order, view, stay, State::Running);
    }
    if step_back::waits(order) && order.confirmed <= order.batch + 1 {
        // It closed to put numbers right.
        return if view.new_desired() < order.planned(order.batch, view.replicas) {
            let mut transition =
                begin_batch(order, snapshot, view, order.batch, view.replicas, false);
            // Its time begins anew.
            let (index, message) = (order.batch, String::new());
            let anew = BatchTransition { index, state: State::Ready, target: None, message };
            transition.batches.insert(0, anew);
            transition.decided()
        } else {
            step_back::hold_still(order, view, order.batch + 1, order.state)
        };
    }
    begin_batch(order, snapshot, view, order.batch + 1, view.replicas, false).decided()
}

/// Waits until the last old pod is gone and the user's settings hold.
pub(in crate::rollout) fn restore_settings(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Decision {
    let min_ready = ready_seconds(order);
    let whole = view.status_replicas == view.replicas && view.status_updated == view.replicas;
    if whole && view.old_pods() == 0 && view.new_ready(min_ready, now) >= view.replicas {
        return done_well(order, "");
    }
    if let Some(trouble) = trouble(order, view, now) {
        return fail(order, &trouble);
    }
    await_pods(order, view, now, min_ready, view.replicas)
}

/// Waits for pods, or fails where the batch has taken too long.
pub(in crate::rollout) fn await_pods(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
    min_ready: i32,
    goal: i32,
) -> Decision {
    let mut state = format!("{} of {goal} new pods are Ready", view.new_ready(min_ready, now));
    let cause = cause(order, view, now);
    if view.leaving > 0 && view.new_desired() == 0 && change::is_recreate(&view.settings) {
        let leaving = view.leaving;
        state = format!(
            "{state}, {leaving} old pods are on their way out, and Recreate waits for them"
        );
    }
    if let Some(cause) = &cause {
        state = format!("{state}: {}", cause.sentence);
    }
    if order.step != Step::Create && view.old_pods() > 0 && order.strategy.count() == 1 {
        state = format!("{state}, {} old ones are left", view.old_pods());
    }
    keep_waiting(order, now, &state, cause.as_ref(), view.next_ready(min_ready, now))
}

/// The transition that begins batch `from`, or the next one that has pods: where the
/// Deployment has fewer pods by now than there are batches, some have none.
pub(in crate::rollout) fn begin_batch(
    order: &Order,
    snapshot: &DeploymentBefore,
    view: &DeploymentView,
    from: usize,
    replicas: i32,
    first: bool,
) -> Transition {
    let last = order.strategy.count() - 1;
    let index = (from..last).find(|&index| order.planned_size(index, replicas) > 0).unwrap_or(last);
    let target = order.planned(index, replicas);
    let mut transition = Transition::new(order, State::Running, Step::BringUp);
    transition.batch = index;
    if index != order.batch && order.hands.waits_since.is_some() {
        // The next wait is another one.
        transition.hands = Some(Hands { waits_since: None, ..order.hands.clone() });
    }
    for skipped in from..index {
        let target = order.planned(skipped, replicas);
        transition = transition.batch(skipped, State::Succeeded, Some(target), NONE_LEFT);
    }
    transition
        .batch(index, State::Running, Some(target), "")
        .with(change::bring_up(order, snapshot, view, index, replicas, first))
        .because(format!(
            "batch {} of {}: {target} of {replicas} pods",
            index + 1,
            order.strategy.count()
        ))
}
