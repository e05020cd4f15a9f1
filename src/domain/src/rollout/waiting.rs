//! An order that rests between two batches, and what becomes of its Deployment meanwhile.
//!
//! Nobody holds the order then, but the Deployment is watched. What keeps the next batch
//! from beginning is its *trouble*: it is told, and nothing goes on while it lasts. New pods
//! that stop being Ready are a failure after the grace, as at any other time. A pod template
//! that somebody else wrote is left alone, and so is the pause: to go on would release it.
//! Pods that a quota does not let come fail nothing: somebody asked for more than it allows.

use jiff::{SignedDuration, Timestamp};

use super::{Decision, cause, decide, fail, judge_context, lasting, wait_resting};
use crate::{
    observed::{
        ContainerState, DeploymentView, Facts, Observation, PodView,
        failure::{self, Cause, Verdict},
    },
    order::{Order, Step},
    template::sameness::is_same,
};

/// What keeps the next batch of a waiting order from beginning, as a sentence.
#[must_use]
pub fn trouble(order: &Order, facts: &Facts, now: Timestamp) -> Option<String> {
    if !order.rests() {
        return None;
    }
    let Observation::Present(view) = &facts.deployment else { return None };
    let is_at_rest = order.step == Step::Paused && order.hands.paused_by.is_none();
    let sick = || sick(order, view, now).filter(|_| is_at_rest).map(|sick| sick.sentence);
    foreign(order, view).or_else(sick).or_else(|| short(order, view, now).filter(|_| is_at_rest))
}

/// Pods of either version that Kubernetes is not let create: somebody's number may be past a
/// quota. That is told, and no fault of the version that is released.
fn short(order: &Order, view: &DeploymentView, now: Timestamp) -> Option<String> {
    let sets = || view.new.iter().chain(&view.old);
    let there: usize = sets().map(|set| set.pods.len()).sum();
    let refused = sets().find_map(|set| {
        let failure = set.create_failure.as_ref()?;
        Some(failure::judge_set(&set.name, failure, judge_context(order, now)).sentence)
    });
    let is_short = i32::try_from(there).is_ok_and(|there| there < view.replicas);
    refused
        .filter(|_| is_short)
        .map(|why| format!("{there} of {} pods are there: {why}", view.replicas))
}

/// Whether there is something to do for an order that rests, or to say of it. While nothing
/// can be seen there is not, and whoever watches is told when something can.
#[must_use]
pub fn wakes(order: &Order, facts: &Facts, now: Timestamp) -> bool {
    facts.deployment != Observation::Unknown
        && (trouble(order, facts, now).unwrap_or_default() != order.trouble
            || !matches!(decide(order, facts, now), Decision::Wait { .. }))
}

/// That somebody else changed the pod template.
fn foreign(order: &Order, view: &DeploymentView) -> Option<String> {
    let expected = order.template.as_ref()?;
    let who = view.other_manager.as_deref().unwrap_or("somebody else");
    (!is_same(expected, &view.template)).then(|| {
        format!(
            "{who} changed the Deployment's pod template: nothing goes on until it is what it was, or until somebody stops this order or rolls it back"
        )
    })
}

/// New pods that are not Ready although their batch was done.
struct Sick {
    sentence: String,
    /// When that is a failure; none = it is waited for.
    fails_at: Option<Timestamp>,
}

fn sick(order: &Order, view: &DeploymentView, now: Timestamp) -> Option<Sick> {
    let wanted = order.batches.get(order.batch)?.target.min(view.new_desired());
    let pods = || view.new.iter().flat_map(|set| &set.pods);
    let ready = pods().filter(|pod| pod.ready_since.is_some()).count();
    let ready = i32::try_from(ready).unwrap_or(i32::MAX);
    if ready >= wanted {
        return None;
    }
    let told = cause(order, view, now);
    let unready = || pods().filter(|pod| pod.ready_since.is_none());
    let by_pods = unready().map(|pod| patience(order, pod)).min();
    let fails_at = match told.as_ref().map(|cause| cause.verdict) {
        Some(Verdict::Fatal) => Some(now),
        Some(Verdict::FatalAt(at)) => Some(by_pods.map_or(at, |other| other.min(at))),
        Some(Verdict::KeepWaiting) | None => by_pods,
    };
    let why = match (&told, unready().map(|pod| &pod.name).min()) {
        (Some(Cause { sentence, .. }), _) => sentence.clone(),
        (None, Some(name)) => format!("pod {name} is not Ready"),
        (None, None) => "the others are not there".into(),
    };
    Some(Sick { sentence: format!("{ready} of {wanted} new pods are Ready: {why}"), fails_at })
}

/// Until when a pod may stay not Ready: for the grace, but for as long as a batch may take
/// where it came in the place of another, began anew, or has lost its node.
fn patience(order: &Order, pod: &PodView) -> Timestamp {
    let lost = pod.unready_since.unwrap_or(order.step_since).max(order.step_since);
    let began = pod.containers.iter().filter(|it| !it.is_init).filter_map(|it| match it.state {
        ContainerState::Running { since } => since,
        _ => None,
    });
    let began = began.max().filter(|at| *at > order.step_since);
    let (since, seconds) = match pod.created_at.max(began) {
        Some(began) if began > order.step_since => (began, order.target.batch_timeout_seconds),
        _ if pod.is_lost => (lost, order.target.batch_timeout_seconds),
        _ => (lost, order.target.failure_policy.grace_seconds),
    };
    since.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// What follows for an order that rests, where not all is well; none where it is.
pub(in crate::rollout) fn unwell(
    order: &Order,
    view: &DeploymentView,
    now: Timestamp,
) -> Option<Decision> {
    if foreign(order, view).is_some() {
        return Some(wait_resting(None));
    }
    // Whoever asked to step back does not wait for sick pods: they may be why.
    let Sick { sentence, fails_at } = sick(order, view, now).filter(|_| order.back_to.is_none())?;
    if fails_at.is_none_or(|at| now < at) {
        return Some(wait_resting(fails_at));
    }
    let told = cause(order, view, now).and_then(|cause| lasting(order, &cause, now));
    let sentence = told.unwrap_or(sentence);
    let message = format!("while batch {} waited: {sentence}", order.batch + 2);
    let mut failure = fail(order, &message);
    if let Decision::Transition(transition) = &mut failure {
        transition.by_health = true;
    }
    Some(failure)
}
