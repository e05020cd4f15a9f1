//! A way back that is owed: its order ended since the cluster could not be reached, and it is
//! made once it can be. Somebody may have released something else meanwhile: that stays.

use jiff::Timestamp;

use super::{Decision, Transition, change, hands, outage, wait};
use crate::{
    observed::{DeploymentView, Observation},
    order::{Order, Step},
    template::sameness::is_same,
};

/// What follows before a change of the order is made that is written down: the change, but
/// for an owed way back that would overwrite what somebody else released.
pub(in crate::rollout) fn before_it_is_made(order: &Order, observation: &Observation) -> Decision {
    match observation {
        Observation::Present(view) if order.is_owed() && is_overtaken(order, view) => {
            leave(order, view)
        }
        Observation::Present(_) | Observation::Absent | Observation::Unknown => wait(None),
    }
}

/// What follows for an owed way back.
pub(in crate::rollout) fn next(order: &Order, view: &DeploymentView, now: Timestamp) -> Decision {
    let is_under_way = matches!(order.step, Step::Start | Step::RollBack);
    if is_under_way && is_overtaken(order, view) {
        leave(order, view)
    } else {
        outage::make_good(order, view, now)
    }
}

/// Whether the Deployment has neither the version that comes back nor the one that goes.
/// Where that one is not known nothing is.
fn is_overtaken(order: &Order, view: &DeploymentView) -> bool {
    let Some(snapshot) = order.snapshot.as_ref().filter(|_| !order.only_scales()) else {
        return false;
    };
    match (&order.template, &order.target.replaces) {
        (Some(own), _) => !is_same(own, &view.template),
        (None, Some(replaced)) => {
            ![replaced, &snapshot.template].iter().any(|known| is_same(known, &view.template))
        }
        (None, None) => false,
    }
}

/// Leaves the version that is there, and gives back what was borrowed.
fn leave(order: &Order, view: &DeploymentView) -> Decision {
    let Some(before) = hands::before_owed(order, view) else { return wait(None) };
    let who = view.other_manager.as_deref().unwrap_or("somebody else");
    let message = format!(
        "the earlier version does not come back any more: {who} changed the Deployment's pod template meanwhile; that version was left in place, and the settings of before were given back"
    );
    let seconds = before.settings.min_ready_seconds;
    let is_paused = hands::is_paused_by_others(view);
    let mut end = Transition::new(order, order.state, Step::Done)
        .with(change::restore_settings(&before, seconds, is_paused))
        .because(message.clone());
    end.tell(order, message, |_| {});
    end.decided()
}
