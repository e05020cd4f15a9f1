//! Orders that delete the application's Deployment.
//!
//! A Deployment that does not exist, or whose name another Deployment has, counts as
//! deleted. So the order can be repeated, and an application that lost its Deployment can
//! be deleted too.

use jiff::Timestamp;

use super::{Decision, Transition, deadline, done, fail, on_deadline, wait};
use crate::{
    observed::{DeploymentView, Observation},
    order::{
        Order, State, Step,
        intent::{Change, Effect},
    },
};

/// What follows. The deletion is sent even if no Deployment is seen: the view may not
/// have it yet.
pub(in crate::rollout) fn next(
    order: &Order,
    observation: &Observation,
    now: Timestamp,
) -> Decision {
    let shown = match observation {
        Observation::Unknown => return wait(None),
        Observation::Absent => None,
        Observation::Present(view) => Some(&**view),
    };
    let own = shown.filter(|view| match &view.application {
        Some(application) if *application == order.application.to_string() => true,
        Some(application)
            if !order
                .target
                .former_applications
                .iter()
                .any(|former| former.to_string() == *application) =>
        {
            false
        }
        _ => order.target.adopted_uid.as_ref() == Some(&view.uid),
    });
    match order.step {
        Step::Start => begin(order, own),
        Step::Delete if own.is_some_and(|own| is_meant(order, own)) => {
            // It goes once nothing holds it any more; the watch says when.
            on_deadline(order, now, "the Deployment is still there: is it held by finalizers?")
                .unwrap_or_else(|| wait(Some(deadline(order))))
        }
        Step::Delete => {
            let message = match shown {
                Some(other) if own.is_none() => format!(
                    "the Deployment {} ({}) is another one and was left alone",
                    order.name, other.uid
                ),
                _ => String::new(),
            };
            Transition::new(order, State::Succeeded, Step::Done)
                .batch(0, State::Succeeded, None, "deleted")
                .because(message)
                .decided()
        }
        _ => done(order),
    }
}

fn begin(order: &Order, own: Option<&DeploymentView>) -> Decision {
    if let Some(release) = own.and_then(|own| own.helm_release.as_ref()) {
        return fail(order, &belongs_to_helm(&order.name, release));
    }
    let message = match own {
        Some(own) => {
            format!("deleting the Deployment {} with {} pods", order.name, own.all_desired())
        }
        None => format!("the Deployment {} is gone already", order.name),
    };
    Transition::new(order, State::Running, Step::Delete)
        .with(Change::Delete {
            uid: own.map(|own| own.uid.clone()).or(order.target.adopted_uid.clone()),
            former_applications: order.target.former_applications.clone(),
        })
        .batch(0, State::Running, Some(0), message.clone())
        .because(message)
        .decided()
}

/// Why a Deployment of Helm's is not deleted.
#[must_use]
pub fn belongs_to_helm(name: &str, release: &str) -> String {
    let release = crate::rejection::shortened(release);
    format!(
        "the Deployment {name} belongs to Helm (release {release}) and is not deleted: uninstall the release, or let go of the application and keep its Deployment"
    )
}

/// Whether this is the very Deployment that is being deleted.
fn is_meant(order: &Order, own: &DeploymentView) -> bool {
    match order.intent.as_ref().map(|intent| &intent.effect) {
        Some(Effect::Deployment(Change::Delete { uid: Some(uid), .. })) => *uid == own.uid,
        _ => true,
    }
}
