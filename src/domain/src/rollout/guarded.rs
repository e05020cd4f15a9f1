//! The guardrails at the place that every template passes which is written.

use super::{Decision, Transition, fail};
use crate::order::{
    Kind, Order,
    intent::{Change, Effect},
};

/// What follows in place of a decision whose template the order's author may not ask for.
/// A version that came before comes back whatever it has: a rollback is never refused.
pub(in crate::rollout) fn judged(order: &Order, decision: Decision) -> Decision {
    let Some(guardrails) =
        order.target.guardrails.as_ref().filter(|_| order.kind != Kind::Rollback)
    else {
        return decision;
    };
    let Decision::Transition(transition) = &decision else { return decision };
    let (template, before) = match &transition.effect {
        Some(Effect::Deployment(Change::Create { template, .. })) => (template, None),
        Some(Effect::Deployment(Change::Patch(patch))) => match &patch.template {
            Some(template) => {
                let snapshot = transition.snapshot.as_ref().or(order.snapshot.as_ref());
                (template, snapshot.map(|snapshot| &snapshot.template))
            }
            None => return decision,
        },
        _ => return decision,
    };
    match guardrails.judge(&order.namespace, template, before).refusal() {
        Some(why) => match fail(order, &why) {
            Decision::Transition(failure) => Transition { guarded: true, ..*failure }.decided(),
            other => other,
        },
        None => decision,
    }
}
