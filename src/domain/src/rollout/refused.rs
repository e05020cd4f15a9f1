//! What follows where nothing more can be done on the Deployment: the cluster refuses it, the
//! Deployment is not there, or somebody else releases it.

use super::{Decision, done, fail, wait};
use crate::order::{Kind, Order, Step};

/// What follows for an order whose change the cluster refused for good.
#[must_use]
pub fn refused(order: &Order, why: &str) -> Decision {
    if order.state.is_final() {
        return done(order);
    }
    let message = format!("the cluster refused the change: {why}");
    let Decision::Transition(mut failure) = fail(order, &message) else { return wait(None) };
    // The first change of all was refused: there is nothing to roll back.
    if order.template.is_none() {
        (failure.roll_back, failure.finalizes, failure.step) = (false, false, Step::Done);
    }
    Decision::Transition(failure)
}

/// What follows for an order whose Deployment somebody else releases.
#[must_use]
pub fn left_alone(order: &Order, why: &str) -> Decision {
    if order.state.is_final() {
        return done(order);
    }
    let message = format!("the Deployment {} is left alone: {why}", order.name);
    let Decision::Transition(mut failure) = fail(order, &message) else { return wait(None) };
    (failure.roll_back, failure.finalizes, failure.step) = (false, false, Step::Done);
    Decision::Transition(failure)
}

/// What follows for an order whose Deployment is not there.
#[must_use]
pub fn gone(order: &Order) -> Decision {
    if order.state.is_final() {
        return done(order);
    }
    let again = if order.step == Step::Start { "" } else { " any more" };
    let way_out = match (order.kind, order.step) {
        (Kind::Create, _) => "",
        (Kind::DeployVersion, Step::Start) if order.target.replicas_if_created.is_some() => {
            ": it was adopted, so create it again as it was created before"
        }
        _ => ": release a version of the history, which creates it again unless it was adopted",
    };
    let message = format!(
        "the Deployment {} does not exist in namespace {}{again}{way_out}",
        order.name, order.namespace
    );
    let Decision::Transition(mut failure) = fail(order, &message) else { return wait(None) };
    (failure.roll_back, failure.finalizes, failure.step) = (false, false, Step::Done);
    Decision::Transition(failure)
}
