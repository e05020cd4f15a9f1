//! What follows while nothing may be concluded from what is seen of the Deployment.

use jiff::{SignedDuration, Timestamp};

use super::{
    Decision, EARLIER_ROLLOUT_SECONDS, accepted_at, fail, judge_context, keep_waiting, lasting,
    restore, wait,
};
use crate::{
    observed::{DeploymentView, ReplicaSetView, failure},
    order::{
        Kind, Order, Step,
        intent::{Effect, Intent},
    },
};

/// Whether a view is as new as what the order did last.
pub(in crate::rollout) fn shows(view: &DeploymentView, intent: &Intent) -> bool {
    let Some(applied) = intent.applied else { return true };
    let written = match &intent.effect {
        Effect::Deployment(_) => None,
        Effect::ReplicaSet(change) => view.sets().find(|set| set.uid == change.uid),
    };
    let is_newer = |set: &ReplicaSetView| {
        applied.replica_set.is_none_or(|version| set.resource_version >= version)
    };
    view.resource_version >= applied.deployment && written.is_none_or(is_newer)
}

/// What follows while the Deployment controller has not acted on the newest spec, or a
/// view is older than our last write: nothing may be concluded from it then. None where
/// the order goes on all the same.
pub(in crate::rollout) fn next(
    order: &Order,
    view: &DeploymentView,
    shown: bool,
    now: Timestamp,
) -> Option<Decision> {
    let after = |since: Timestamp, seconds| {
        since.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    };
    if order.state.is_final() {
        // One that cannot act would keep the Deployment half way for ever.
        let patience = after(order.step_since, order.target.failure_policy.grace_seconds);
        return (!shown || now < patience).then(|| wait(Some(patience).filter(|_| shown)));
    }
    match order.step {
        Step::Paused => return Some(wait(None)),
        // Whatever keeps it from acting, the way back is one write.
        Step::Start if order.kind == Kind::Rollback => return None,
        // The newest spec is not ours: nothing but its own trouble is waited for.
        Step::Start => {
            let patience = after(accepted_at(order), EARLIER_ROLLOUT_SECONDS);
            return (now < patience).then(|| wait(Some(patience)));
        }
        Step::Create
        | Step::Resize
        | Step::Delete
        | Step::BringUp
        | Step::ScaleDownOld
        | Step::CloseGate
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew
        | Step::RollBack
        | Step::RestoreSettings
        | Step::PauseInPlace
        | Step::Done => {}
    }
    let cause = failure::judge_controller(view, judge_context(order, now)).filter(|_| shown);
    if let Some(trouble) = cause.as_ref().and_then(|cause| lasting(order, cause, now)) {
        let trouble =
            if order.step == Step::RollBack { restore::no_way_back(&trouble) } else { trouble };
        return Some(fail(order, &trouble));
    }
    let state = cause
        .as_ref()
        .map_or("the Deployment controller does not react", |cause| cause.sentence.as_str());
    Some(keep_waiting(order, now, state, cause.as_ref(), None))
}
