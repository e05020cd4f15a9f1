//! The findings that follow directly from the evidence, with their texts.

use super::*;
use crate::Advice;

pub(super) fn rights(evidence: &Evidence) -> Option<(Finding, String)> {
    let denied = evidence.rights.iter().filter(|(_, given)| *given == Some(false));
    let (needed, useful): (Vec<_>, Vec<_>) =
        denied.map(|(right, _)| right).partition(|right| right.needed);
    let name = |right: &&evidence::Right| {
        let group =
            if right.group.is_empty() { String::new() } else { format!(".{}", right.group) };
        format!("{} {}{group}", right.verb, right.resource)
    };
    let told = |rights: &[&evidence::Right]| rights.iter().map(name).collect::<Vec<_>>().join(", ");
    if !needed.is_empty() {
        return Some((
            Finding::Refused,
            format!("Sluice lacks rights in the namespace: {}", told(&needed)),
        ));
    }
    if !useful.is_empty() {
        return Some((
            Finding::Warned,
            format!(
                "Sluice lacks rights in the namespace that a release can do without: {}",
                told(&useful)
            ),
        ));
    }
    let unknown =
        !evidence.rights.is_empty() && evidence.rights.iter().all(|(_, given)| given.is_none());
    unknown.then(|| (Finding::Unseen, "the cluster does not say which rights Sluice has".into()))
}

/// What the caller may ask for; the outer none = anything.
pub(super) fn guarded(
    proposal: &Proposal,
    template: &Value,
    before: Option<&Value>,
) -> Option<Option<(Finding, String)>> {
    let guardrails = proposal.target.guardrails.as_ref()?;
    let judgement = guardrails.judge(&proposal.namespace, template, before);
    let refused = judgement.refusal().map(|why| (Finding::Refused, why));
    Some(refused.or_else(|| judgement.note().map(|note| (Finding::Warned, note))))
}

pub(super) fn references(evidence: &Evidence, template: &Value) -> Option<(Finding, String)> {
    let (mut missing, mut warned, mut unseen) = (Vec::new(), Vec::new(), Vec::new());
    let pull = pull_secrets(template);
    for (reference, presence) in &evidence.named {
        let name = format!("{} {}", reference.kind.word(), reference.name);
        match (presence, &reference.key) {
            (Presence::Missing, _) if !reference.optional => {
                missing.push(format!("the {name} does not exist"))
            }
            (Presence::Missing, _)
                if reference.kind == ReferenceKind::Secret
                    && pull.contains(&reference.name.as_str()) =>
            {
                warned.push(format!("the pull secret {} does not exist", reference.name));
            }
            (Presence::There { keys, .. }, Some(key))
                if !reference.optional && !keys.contains(key) =>
            {
                missing.push(format!("the {name} has no key {key}"));
            }
            (Presence::Unseen(why), _) if !reference.optional => {
                unseen.push(format!("the {name} was not looked at: {why}"))
            }
            _ => {}
        }
    }
    missing.dedup();
    let told = [(Finding::Refused, missing), (Finding::Warned, warned), (Finding::Unseen, unseen)];
    told.into_iter()
        .find(|(_, sentences)| !sentences.is_empty())
        .map(|(finding, sentences)| (finding, sentences.join("; ")))
}

pub(super) fn volumes(
    proposal: &Proposal,
    is_created: bool,
    evidence: &Evidence,
    settings: &BorrowedSettings,
    (replicas, max_unavailable): (i32, i32),
) -> Option<(Finding, String)> {
    let pinning = room::pinning_claims(evidence);
    let (claim, one_pod) = pinning.iter().max_by_key(|(_, one_pod)| *one_pod)?;
    if is_created || replicas == 0 {
        return None;
    }
    let in_batches = proposal.strategy.count() > 1;
    let old_go_first = max_unavailable > 0 || (!in_batches && settings.surge(replicas) == 0);
    if !*one_pod {
        // On the node of the old pods new ones can have it, too.
        let why = format!(
            "only one node may have the PersistentVolumeClaim {claim} at a time: a new pod on another node waits until no pod of the old node has it"
        );
        return (!old_go_first).then_some((Finding::Warned, why));
    }
    let only =
        format!("only one pod may have the PersistentVolumeClaim {claim} (ReadWriteOncePod)");
    if in_batches {
        let way_out = "release all at once, with the Deployment's strategy Recreate, or give the claim the access mode ReadWriteMany";
        return Some((Finding::Refused, format!("{only}, so batches are not possible: {way_out}")));
    }
    (!old_go_first).then(|| {
        (
            Finding::Refused,
            format!(
                "{only}, and new pods come before old ones go: use the strategy Recreate, or {}",
                Advice::OldPodsFirst
            ),
        )
    })
}

/// The shortage that no way out is known of, if there is one.
pub(super) fn worst(shortages: &[Shortage]) -> Option<&Shortage> {
    shortages.iter().min_by_key(|shortage| shortage.by_surge)
}

pub(super) fn shortage(
    shortage: Option<&Shortage>,
    max_unavailable: i32,
) -> Option<(Finding, String)> {
    let shortage = shortage?;
    let way_out = if shortage.by_surge && max_unavailable == 0 {
        format!("; {}", Advice::OldPodsFirst)
    } else {
        String::new()
    };
    Some((Finding::Refused, format!("{}{way_out}", shortage.reason)))
}

pub(super) fn budget(
    evidence: &Evidence,
    template: &Value,
    plan: &ReleasePlan,
) -> Option<(Finding, String)> {
    let ClusterList::Seen(budgets) = &evidence.budgets else { return None };
    let share = |value: &Value| share::pods(value, plan.replicas, Rounding::Up);
    // The Deployment controller takes no notice of budgets: where new pods come first,
    // nothing changes for them.
    if plan.max_unavailable == 0 {
        return None;
    }
    let left = plan.replicas - plan.max_unavailable;
    budgets.iter().filter(|budget| selects(&budget["spec"]["selector"], labels(template))).find_map(|budget| {
        let spec = &budget["spec"];
        let least = share(&spec["minAvailable"]).or(share(&spec["maxUnavailable"]).map(|most| plan.replicas - most))?;
        let name = budget["metadata"]["name"].as_str().unwrap_or_default();
        (plan.replicas > 0 && left < least).then(|| {
            let why = format!(
                "the PodDisruptionBudget {name} wants {least} pods available, and the release leaves {left} of {}: meanwhile no node with its pods can be drained",
                plan.replicas
            );
            (Finding::Warned, why)
        })
    })
}

pub(super) fn scaler(proposal: &Proposal, evidence: &Evidence) -> Option<(Finding, String)> {
    let ClusterList::Seen(scalers) = &evidence.scalers else { return None };
    let own = scalers.iter().find(|scaler| {
        let target = &scaler["spec"]["scaleTargetRef"];
        target["kind"] == "Deployment" && target["name"] == *proposal.name
    })?;
    let name = own["metadata"]["name"].as_str().unwrap_or_default();
    let follows = if proposal.target.replicas.is_some() {
        ", which will change the number of pods that is asked for"
    } else {
        ""
    };
    Some((
        Finding::Warned,
        format!(
            "the HorizontalPodAutoscaler {name} scales the Deployment{follows}; batches follow as shares of its number"
        ),
    ))
}

/// A full quota refuses to try one more pod, and is judged by its own check.
///
/// What asks here is Sluice, and what makes the pods is the ReplicaSet controller: whoever
/// refuses one to the former need not refuse it to the latter.
pub(super) fn pod_tried(evidence: &Evidence) -> Option<(Finding, String)> {
    let why = match &evidence.pod {
        Tried::Refused(why) if why.contains("exceeded quota") => {
            return Some((Finding::Unseen, format!("not tried: {why}")));
        }
        Tried::Refused(why) => why,
        other => return tried(other, "the cluster would refuse its pods"),
    };
    match &evidence.present_pod {
        Tried::Refused(present) if refuser(present) == refuser(why) => Some((
            Finding::Warned,
            format!(
                "the cluster may refuse its pods, and would refuse those of the version that runs likewise if Sluice made them: {why}"
            ),
        )),
        Tried::Untried(_) if asks_who(why) => Some((
            Finding::Warned,
            format!(
                "the cluster may refuse its pods, unless that is a matter of who makes them: {why}"
            ),
        )),
        _ => tried(&evidence.pod, "the cluster would refuse its pods"),
    }
}

/// Whether a refusal is by a policy or a webhook, which may look at who asks.
fn asks_who(why: &str) -> bool {
    refuser(why).contains("denied")
}

/// Who refuses a pod, without the pod's name and without what is said of it.
fn refuser(why: &str) -> &str {
    let rest = why.split_once("is forbidden: ").map_or(why, |(_, rest)| rest);
    for end in ["denied the request", "denied request", "violates PodSecurity"] {
        if let Some(at) = rest.find(end) {
            return &rest[..at + end.len()];
        }
    }
    rest
}

/// The same, where nothing of it can stand in the way.
pub(super) fn not_refused(found: Option<(Finding, String)>) -> Option<(Finding, String)> {
    found.map(|(finding, reason)| match finding {
        Finding::Refused => (
            Finding::Warned,
            format!("{reason} (there are no pods now, and those to come need it)"),
        ),
        other => (other, reason),
    })
}

pub(super) fn unseen(listed: &ClusterList, what: &str) -> Option<(Finding, String)> {
    match listed {
        ClusterList::Unseen(why) => {
            Some((Finding::Unseen, format!("{what} were not looked at: {why}")))
        }
        ClusterList::Seen(_) | ClusterList::Unneeded => None,
    }
}

pub(super) fn tried(tried: &Tried, what: &str) -> Option<(Finding, String)> {
    match tried {
        Tried::Accepted(_) => None,
        // A webhook with side effects is asked when it is meant, and says nothing before.
        Tried::Refused(why) if why.contains("does not support dry run") => {
            Some((Finding::Unseen, format!("not tried: {why}")))
        }
        Tried::Refused(why) => Some((Finding::Refused, format!("{what}: {why}"))),
        Tried::Untried(why) => Some((Finding::Unseen, format!("not tried: {why}"))),
    }
}
