//! The Deployment as an order finds it, which is what a rollback brings back.

use super::{hands, own_settings};
use crate::{
    observed::DeploymentView,
    order::{DeploymentBefore, Order},
};

/// The Deployment as it was before the order.
pub(in crate::rollout) fn snapshot(order: &Order, view: &DeploymentView) -> DeploymentBefore {
    let Some(resting) = &order.snapshot else {
        let now = DeploymentBefore {
            template: view.template.clone(),
            replicas: view.replicas,
            settings: own_settings(view).clone(),
            owners: view.owners.clone(),
            left_min_ready: None,
        };
        return hands::with_what_others_set(&now, view, Some(now.left_min_ready_seconds()));
    };
    let left = Some(resting.left_min_ready_seconds());
    let mut before = hands::with_what_others_set(resting, view, left);
    if order.batch == 0 && !order.only_scales() {
        // Its batches are shares of the pods that it finds.
        before.replicas = view.replicas;
    }
    if is_resumed(order, view) {
        before.template.clone_from(&view.template);
    }
    before
}

/// Whether somebody resumed the Deployment that an earlier order left at rest: what is there
/// is released by Kubernetes, and is the version before this order.
pub(in crate::rollout) fn is_resumed(order: &Order, view: &DeploymentView) -> bool {
    let begins = order.batch == 0 && !order.only_scales();
    order.snapshot.is_some() && begins && !view.settings.paused && hands::borrowed(view).is_none()
}
