//! Whether a release can work, judged before anything of it is written: [`evaluate`].
//!
//! The state machine itself decides what would be done, on what the cluster shows now.
//! The objects that the release depends on come as [`Evidence`]. Each [`Check`] says
//! passed, warned, refused, or that it could not be looked at, and why. Only what
//! is certain is refused. Pure.

pub mod apart;
pub mod changes;
pub mod evidence;
pub mod nodes;
pub mod preview;
pub mod proposal;
mod report;
pub mod room;
pub mod template;
mod verdicts;

use jiff::Timestamp;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use changes::controlled;
pub use report::{Check, Existing, Finding, PrecheckReport, ReleasePlan, Subject};

use self::{
    evidence::{ClusterList, Evidence, Presence, ReferenceKind, Tried},
    room::{Present, Shortage},
    template::{labels, pull_secrets},
    verdicts::{
        budget, guarded, not_refused, pod_tried, references, rights, scaler, shortage, tried,
        unseen, volumes, worst,
    },
};
use super::order::{Kind, Order, State};
use crate::template::names::{RELEASE_ANNOTATION, RESTART_ANNOTATION};
use crate::template::settings::BorrowedSettings;
use crate::{
    observed::{DeploymentView, Observation},
    order::{
        intent::{Change, Effect},
        plan::BatchGate,
    },
    precheck::proposal::Proposal,
    rollout::{self, Decision},
    template::{
        graceful_start::GracefulStart,
        selector::selects,
        share::{self, Rounding},
    },
};

/// What would be done first, and what that is about.
#[derive(Debug)]
pub struct FirstChange {
    /// The order that the proposal would be.
    pub order: Order,
    /// Its first change; or why there is none.
    pub change: Result<Change, String>,
    /// The template of its pods, where it gets that far.
    pub template: Value,
}

/// What would be done first about `proposal`. None where the cluster does not say
/// yet what there is.
#[must_use]
pub fn first_change(
    proposal: &Proposal,
    observation: &Observation,
    now: Timestamp,
) -> Option<FirstChange> {
    let shown = match observation {
        Observation::Unknown => return None,
        Observation::Absent => proposal.target.replicas_to_create(),
        Observation::Present(view) => view.replicas,
    };
    let mut order = proposal.order(proposal.target.replicas.unwrap_or(shown));
    // They have a check of their own.
    order.target.guardrails = None;
    // What it has not done yet, the Deployment controller will have done by then.
    let observation = match observation {
        Observation::Present(view) => {
            Observation::Present(Box::new(DeploymentView { observed: true, ..(**view).clone() }))
        }
        other => other.clone(),
    };
    let Decision::Transition(transition) = rollout::decide(&order, &observation.into(), now) else {
        return None;
    };
    let change = match transition.effect {
        Some(Effect::Deployment(change)) if transition.state != State::Failed => Ok(change),
        _ => Err(transition.message),
    };
    let template = match &change {
        Ok(Change::Create { template, .. }) => template.clone(),
        Ok(Change::Patch(patch)) => patch.template.clone().unwrap_or_default(),
        Ok(Change::Delete { .. }) | Err(_) => Value::Null,
    };
    Some(FirstChange { order, change, template })
}

/// Judges a release, from what it would do first and what was looked at for it.
#[must_use]
pub fn evaluate(
    proposal: &Proposal,
    first: &FirstChange,
    observation: &Observation,
    evidence: &Evidence,
) -> PrecheckReport {
    let view = match observation {
        Observation::Present(view) => Some(&**view),
        Observation::Unknown | Observation::Absent => None,
    };
    let mut checks = Vec::new();
    let mut check = |subject, found: Option<(Finding, String)>| {
        let (finding, reason) = found.unwrap_or((Finding::Passed, String::new()));
        checks.push(Check { subject, finding, reason });
    };
    let rights = rights(evidence);
    if let Err(why) = &first.change {
        let other = evidence.other_workload.map(|kind| {
            format!("{} is a {kind}, and only Deployments are released", proposal.name)
        });
        check(Subject::Deployment, Some((Finding::Refused, other.unwrap_or_else(|| why.clone()))));
        check(Subject::Rights, rights);
        return PrecheckReport {
            checks,
            plan: None,
            replicas: view.map(|view| view.replicas),
            lacks_room: false,
            existing: None,
        };
    }
    if let (true, Some(view)) = (proposal.kind.scales(), view) {
        check(Subject::Rights, rights.filter(|(finding, _)| *finding != Finding::Warned));
        check(Subject::Quota, room_to_add(proposal, view, evidence));
        check(Subject::Admission, tried(&evidence.change, "the cluster would refuse the change"));
        return PrecheckReport {
            checks,
            plan: None,
            replicas: Some(view.replicas),
            lacks_room: false,
            existing: None,
        };
    }
    if let (Kind::Create, Some(view)) = (proposal.kind, view) {
        let why = "there is a Deployment of this name: it becomes the application as it runs, and nothing is created".to_owned();
        check(Subject::Deployment, Some((Finding::Warned, why)));
        check(Subject::Rights, rights);
        // Who takes it over answers for all that it has.
        if let Some(found) = guarded(proposal, &view.template, None) {
            check(Subject::Guardrails, found);
        }
        let settings = rollout::own_settings(view);
        let existing = Existing {
            uid: view.uid.clone(),
            template: view.template.clone(),
            replicas: view.replicas,
            min_ready_seconds: settings.min_ready_seconds,
            controller: view.controller.clone(),
        };
        return PrecheckReport {
            checks,
            plan: None,
            replicas: Some(view.replicas),
            lacks_room: false,
            existing: Some(existing),
        };
    }
    let settings = first.order.snapshot.as_ref().map(|snapshot| snapshot.settings.clone());
    let settings =
        settings.or(view.map(|view| rollout::own_settings(view).clone())).unwrap_or_else(fresh);
    let plan = plan(proposal, first, view, &settings);
    // As the API server would store it, where it said so.
    let stored = if let Tried::Accepted(deployment) = &evidence.change {
        &deployment["spec"]["template"]
    } else {
        &first.template
    };
    let pods = if let ClusterList::Seen(pods) = &evidence.pods { pods.as_slice() } else { &[] };
    let pod = match (&evidence.pod, view) {
        (Tried::Accepted(pod), _) => pod.clone(),
        (_, Some(view)) => room::with_defaults(stored, &view.template, pods, view),
        (_, None) => stored.clone(),
    };
    let peaks = if plan.max_unavailable > 0 || view.is_none() {
        vec![preview::PodCount { new: plan.replicas, old: 0 }]
    } else {
        preview::peaks(&proposal.strategy, &settings, plan.replicas)
    };
    let before = view.map(|view| &view.template);
    let present = Present::of(pods, view);
    // Without the pods nothing can be said of how much of a quota is their own.
    let judged = if let (ClusterList::Unseen(_), Some(_)) = (&evidence.pods, view) {
        &ClusterList::Unneeded
    } else {
        &evidence.quotas
    };
    let mut quotas = room::quota_shortages(judged, &pod, before, &present, &peaks, plan.replicas);
    quotas.extend(room::replica_set_shortage(&evidence.quotas, stored, view));
    let versions =
        apart::Versions { namespace: &proposal.namespace, new: &first.template, old: before };
    let apart = apart::placement_shortage(&evidence.nodes, versions, plan.peak_pods, plan.replicas);
    let ports = room::port_shortage(evidence, stored, view, plan.peak_pods, plan.replicas);
    let placement: Vec<Shortage> = apart.into_iter().chain(ports).collect();
    let numbers = (plan.replicas, plan.max_unavailable);
    let volumes = volumes(proposal, view.is_none(), evidence, &settings, numbers);

    check(
        Subject::Deployment,
        view.and_then(|view| view.controller.as_deref())
            .map(|owner| (Finding::Warned, controlled(owner))),
    );
    check(Subject::Rights, rights);
    let known = proposal.snapshot.as_ref().map(|snapshot| &snapshot.template).or(before);
    if let Some(found) = guarded(proposal, &first.template, known) {
        check(Subject::Guardrails, found);
    }
    // Without pods there is none that could miss anything.
    let unless_empty = |found| if plan.replicas == 0 { not_refused(found) } else { found };
    check(Subject::References, unless_empty(references(evidence, &first.template)));
    check(Subject::Volumes, volumes);
    let quota = unseen(&evidence.quotas, "resourcequotas")
        .or(shortage(worst(&quotas), plan.max_unavailable));
    check(
        Subject::Quota,
        quota.or(unseen(&evidence.pods, "the pods of the namespace, which a quota counts,")),
    );
    let places =
        unseen(&evidence.nodes, "nodes").or(shortage(worst(&placement), plan.max_unavailable));
    check(
        Subject::Placement,
        places.or(unseen(&evidence.port_holders, "the pods that take ports of nodes")),
    );
    check(
        Subject::DisruptionBudget,
        unseen(&evidence.budgets, "poddisruptionbudgets").or(budget(
            evidence,
            &first.template,
            &plan,
        )),
    );
    check(Subject::Admission, tried(&evidence.change, "the cluster would refuse the change"));
    check(Subject::PodAdmission, unless_empty(pod_tried(evidence)));
    check(
        Subject::Autoscaler,
        unseen(&evidence.scalers, "horizontalpodautoscalers").or(scaler(proposal, evidence)),
    );
    let container = proposal.container_of(&first.template);
    let probed = container.is_some_and(|container| container.get("readinessProbe").is_some());
    let drained = container.is_some_and(|container| {
        container.get("lifecycle").is_some_and(|hooks| hooks.get("preStop").is_some())
    });
    check(
        Subject::Readiness,
        (!probed).then(|| {
            let delayed = GracefulStart::of(&first.template).is_some_and(|rule| rule.on && rule.delay_seconds > 0);
            let more = if delayed { "; the delay of its graceful start needs one, too" } else { "" };
            (
                Finding::Warned,
                format!("there is no readiness probe: a pod counts as Ready as soon as it runs, whether it can serve or not{more}"),
            )
        }),
    );
    check(
        Subject::Drain,
        (!drained).then(|| {
            let why = "there is no preStop hook: unless the program itself goes on answering for some seconds when it is told to end, requests are lost as pods go";
            (Finding::Warned, why.into())
        }),
    );
    let told = changes::told(
        proposal,
        view.map_or(&Value::Null, |view| &view.template),
        changes::template_after(first, evidence),
    );
    check(Subject::Template, (!told.is_empty()).then(|| (Finding::Warned, told.join("; "))));
    let refused: Vec<&Check> =
        checks.iter().filter(|check| check.finding == Finding::Refused).collect();
    let by_surge = quotas.iter().chain(&placement).all(|shortage| shortage.by_surge);
    // Of a claim that one pod alone may have a release in one batch needs nothing else.
    let only_room = refused.iter().all(|check| match check.subject {
        Subject::Quota | Subject::Placement => true,
        Subject::Volumes => proposal.strategy.count() == 1,
        _ => false,
    });
    let lacks_room = !refused.is_empty() && only_room && by_surge && plan.max_unavailable == 0;
    PrecheckReport {
        checks,
        plan: Some(plan),
        replicas: view.map(|view| view.replicas),
        lacks_room,
        existing: None,
    }
}

/// Whether quotas have room for the pods that another number of them adds.
fn room_to_add(
    proposal: &Proposal,
    view: &DeploymentView,
    evidence: &Evidence,
) -> Option<(Finding, String)> {
    let goal = proposal.target.replicas.unwrap_or(view.replicas);
    // Of a release that rests half way both versions grow, each by its share.
    let (ClusterList::Seen(pods), true) = (&evidence.pods, view.old_pods() == 0) else {
        return unseen(&evidence.quotas, "resourcequotas")
            .or(unseen(&evidence.pods, "the pods of the namespace, which a quota counts,"));
    };
    if goal <= view.replicas {
        return None;
    }
    let pod = room::with_defaults(&view.template, &view.template, pods, view);
    let present = Present::of(pods, Some(view));
    let peak = preview::PodCount { new: goal - view.replicas, old: view.replicas };
    let before = Some(&view.template);
    let found = room::quota_shortages(&evidence.quotas, &pod, before, &present, &[peak], goal);
    found.first().map(|shortage| {
        (Finding::Refused, shortage.reason.replace("the release needs", "its pods need"))
    })
}

/// A new Deployment's settings, as far as they matter.
fn fresh() -> BorrowedSettings {
    BorrowedSettings {
        min_ready_seconds: 0,
        progress_deadline_seconds: 600,
        paused: false,
        strategy: Value::Null,
    }
}

fn plan(
    proposal: &Proposal,
    first: &FirstChange,
    view: Option<&DeploymentView>,
    settings: &BorrowedSettings,
) -> ReleasePlan {
    let before = view.map_or(0, |view| view.replicas);
    let target = &proposal.target;
    let replicas = view.map_or_else(
        || target.replicas_to_create(),
        |view| target.replicas.unwrap_or(view.replicas),
    );
    let max_unavailable = proposal.target.max_unavailable;
    let preview = preview::preview(&proposal.strategy, settings, before, replicas);
    let peak_pods = if max_unavailable > 0 || view.is_none() {
        replicas.max(before)
    } else {
        preview.peak_pods
    };
    let plain = |template: &Value| {
        let mut template = template.clone();
        if let Some(annotations) =
            template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        {
            annotations.remove(RELEASE_ANNOTATION);
            annotations.remove(RESTART_ANNOTATION);
        }
        template
    };
    let what = json!({
        "kind": proposal.kind, "strategy": proposal.strategy, "before": before, "replicas": replicas, "missing": max_unavailable,
        "min_ready_seconds": proposal.target.min_ready_seconds, "settings": settings,
        "from": view.map(|view| plain(&view.template)), "to": plain(&first.template),
    });
    let waits: i64 = preview
        .batches
        .iter()
        .map(|batch| {
            if let BatchGate::Pause(minutes) = batch.batch_gate {
                i64::from(minutes) * 60
            } else {
                0
            }
        })
        .sum();
    let batches = i64::try_from(preview.batches.len()).unwrap_or(i64::MAX);
    ReleasePlan {
        replicas,
        peak_pods,
        max_unavailable,
        expected_seconds: proposal.batch_seconds.map(|seconds| seconds * batches + waits),
        batches: preview.batches,
        hash: hex::encode(Sha256::digest(sorted(&what).to_string())),
    }
}

/// The same value, with the keys of its objects in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut pairs: Vec<(&String, &Value)> = object.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(
                pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
