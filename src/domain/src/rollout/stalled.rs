//! Whether an order waits for a controller that has no reason to wait.

use jiff::Timestamp;

use crate::{
    observed::DeploymentView,
    order::{Order, Step, intent::GATE_SECONDS},
};

/// Since when nothing moves of what the order waits for, although every pod that is there
/// is Ready and none is on its way out; none where something moves, or may.
#[must_use]
pub fn stalled_since(order: &Order, view: &DeploymentView) -> Option<Timestamp> {
    if !view.observed || view.settings.paused || view.leaving > 0 {
        return None;
    }
    let goal = order.planned(order.batch, view.replicas);
    let is_sized = match order.step {
        Step::BringUp => {
            view.new_desired() >= goal && (order.strategy.count() > 1 || view.old_desired() == 0)
        }
        Step::ScaleDownOld => view.old_desired() <= view.replicas - goal,
        Step::RollBack => view.new_desired() >= view.replicas && view.old_desired() == 0,
        Step::Resize => view.all_desired() == view.replicas,
        Step::Start
        | Step::Delete
        | Step::Create
        | Step::Paused
        | Step::CloseGate
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew
        | Step::RestoreSettings
        | Step::PauseInPlace
        | Step::Done => return None,
    };
    if is_sized {
        return None;
    }
    // Behind a closed gate no pod counts for Kubernetes, and none is waited for.
    let seconds = match view.settings.min_ready_seconds {
        GATE_SECONDS => 0,
        seconds => seconds,
    };
    let mut since = order.step_since;
    for set in view.new.iter().chain(&view.old) {
        if i32::try_from(set.pods.len()) != Ok(set.desired) {
            return None;
        }
        for pod in &set.pods {
            since = since.max(pod.counts_at(seconds)?);
        }
    }
    Some(view.left_at.map_or(since, |left| since.max(left)))
}
