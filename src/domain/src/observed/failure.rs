//! Judges what Kubernetes shows of pods: why they are not Ready, and what that means for
//! the release.
//!
//! Some trouble never goes away: the batch fails *now*, not at its deadline. Some may
//! pass by itself and is tolerated for a *grace*. The rest is only reported, if the
//! batch misses its deadline. Each cause is a sentence that
//! names pod, container, image, reason and Kubernetes' own text. Pure: one table
//! ([`WAITING`]) and a few rules beside it.

mod reason;
mod recurrence;
mod words;

pub use reason::reason_of;

use jiff::{SignedDuration, Timestamp};

use self::{
    recurrence::Recurrence,
    words::{how, killing_probe, kind, probe, sanitize, says},
};
use crate::template::names::PACKAGE_CONTAINER;
use crate::{
    observed::{
        ContainerState, ContainerView, CreateFailure, DeploymentView, Ending, FailedPod, PodView,
        ReplicaSetView,
    },
    order::FailurePolicy,
};

/// What a cause means for the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It will not go away: the batch fails now.
    Fatal,
    /// It may pass: the batch fails if the cause is still there then.
    FatalAt(Timestamp),
    /// The pod may still become Ready.
    KeepWaiting,
}

/// Why a pod is not Ready, or is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// What follows from it.
    pub verdict: Verdict,
    pub sentence: String,
}

/// What the verdict on pods depends on.
#[derive(Debug, Clone, Copy)]
pub struct JudgeContext {
    /// How much trouble a batch tolerates.
    pub failure_policy: FailurePolicy,
    /// When the order began: what happened to a pod before is none of its doing.
    pub since: Timestamp,
    pub now: Timestamp,
}

/// What a waiting container's reason means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitingRule {
    /// It will not go away.
    Fatal,
    Grace,
    /// Kubernetes' text says which: it may pass, unless these words are in it and
    /// none of [`PASSING`] is.
    FatalIf(&'static [&'static str]),
    /// It will not go away, unless one of [`PASSING`] is in the text.
    FatalUnlessPassing,
    /// It ended repeatedly: fatal if more often than the failure policy allows.
    Endings,
}

/// The reasons for which a container waits in trouble, in the kubelet's words.
/// Every other one (`ContainerCreating`, `PodInitializing`) is no trouble.
const WAITING: &[(&str, WaitingRule)] = &[
    // The image: its name, its registry, or the right to pull it.
    ("InvalidImageName", WaitingRule::Fatal),
    ("ErrImageNeverPull", WaitingRule::Fatal),
    ("SignatureValidationFailed", WaitingRule::Fatal),
    ("ErrImagePull", WaitingRule::FatalIf(NO_IMAGE)),
    ("ImagePullBackOff", WaitingRule::FatalIf(NO_IMAGE)),
    ("ImageInspectError", WaitingRule::Grace),
    ("RegistryUnavailable", WaitingRule::Grace),
    // A ConfigMap, Secret or key that the container names does not exist.
    ("CreateContainerConfigError", WaitingRule::FatalUnlessPassing),
    // The runtime cannot make or start the container.
    ("CreateContainerError", WaitingRule::FatalUnlessPassing),
    ("RunContainerError", WaitingRule::FatalUnlessPassing),
    ("PreCreateHookError", WaitingRule::Fatal),
    ("PreStartHookError", WaitingRule::Fatal),
    ("PostStartHookError", WaitingRule::Fatal),
    ("CrashLoopBackOff", WaitingRule::Endings),
];

/// Texts of a registry that refuses the image.
const NO_IMAGE: &[&str] = &[
    "not found",
    "manifest unknown",
    "name unknown",
    "no such image",
    "does not exist",
    "unauthorized",
    "authentication required",
    "authorization failed",
    "denied",
    "forbidden",
    "invalid reference",
    "no matching manifest",
    "no match for platform",
];

/// Texts of a passing fault of the network or of a server, in lower case.
const PASSING: &[&str] = &[
    "timeout",
    "timed out",
    "deadline exceeded",
    "connection refused",
    "connection reset",
    "no such host",
    "server misbehaving",
    "temporary failure",
    "network is unreachable",
    "no route to host",
    "unexpected eof",
    ": eof",
    "toomanyrequests",
    "too many requests",
    "internal server error",
    "bad gateway",
    "service unavailable",
    "failed to sync configmap cache",
    "failed to sync secret cache",
    "is reserved for",
];

/// Texts of an API server that will never accept the pod.
const NEVER_TAKEN: &[&str] =
    &["violates podsecurity", "denied the request", "denied request", "is invalid"];

/// Warnings that keep a pod from starting, while its containers only say that
/// they are being created.
const NOT_STARTED: &[&str] = &[
    "FailedMount",
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedCreatePodSandBox",
    "NetworkNotReady",
    "FailedPodSandBoxStatus",
    "FailedPrepareDynamicResources",
];

/// How often a warning must repeat to count as lasting trouble: after one or two, the
/// trouble may have passed.
const LASTING_WARNINGS: usize = 3;

/// How many pods must fail in a row to conclude that the next one will fail too.
const LASTING_ROUNDS: usize = 2;

/// What says that there is no room, and that pods which go make some.
const NO_ROOM: &[&str] = &["exceeded quota"];

/// The cause that is fatal first, if the present version has any trouble.
#[must_use]
pub fn judge(view: &DeploymentView, context: JudgeContext) -> Option<Cause> {
    judge_controller(view, context).or_else(|| judge_sets(view, view.new.iter(), |_| true, context))
}

/// The same of all versions, and of those pods only that came since the order began:
/// what became of the others is none of its doing.
#[must_use]
pub fn judge_added(view: &DeploymentView, context: JudgeContext) -> Option<Cause> {
    judge_sets(
        view,
        view.new.iter().chain(&view.old),
        |pod| is_since(pod.created_at, context.since),
        context,
    )
}

/// Whether a pod was made since the order began. Kubernetes tells whole seconds.
#[must_use]
pub fn is_since(created: Option<Timestamp>, since: Timestamp) -> bool {
    created.is_none_or(|created| created.as_second() >= since.as_second())
}

/// What keeps the Deployment controller from making the ReplicaSet of the present
/// version, in its own words. Where that is there, it is told of by itself.
#[must_use]
pub fn judge_controller(view: &DeploymentView, context: JudgeContext) -> Option<Cause> {
    if let Some(refused) = &view.refused {
        let text = sanitize(&refused.message);
        let sentence = format!(
            "the Deployment controller cannot go on: the cluster refuses changes of its ReplicaSets: {text}"
        );
        return Some(Cause { verdict: grace(refused.since, context), sentence });
    }
    if view.new.is_some() {
        return None;
    }
    let is_now =
        |at: Option<Timestamp>| at.is_some_and(|at| at.as_second() >= context.since.as_second());
    let warned = view
        .warnings
        .iter()
        .rev()
        .find(|warning| is_now(warning.at))
        .map(|it| (it.reason.as_str(), &it.message, it.first));
    let in_status = || {
        view.set_failure
            .as_ref()
            .filter(|it| is_now(it.since))
            .map(|it| ("ReplicaSetCreateError", &it.message, it.since))
    };
    let (reason, message, first) = warned.or_else(in_status)?;
    let sentence =
        format!("the Deployment controller cannot go on: {reason}: {}", sanitize(message));
    let verdict = if says(message, NEVER_TAKEN) { Verdict::Fatal } else { grace(first, context) };
    Some(Cause { verdict, sentence })
}

fn judge_sets<'a>(
    view: &DeploymentView,
    sets: impl Iterator<Item = &'a ReplicaSetView>,
    counts: impl Fn(&PodView) -> bool,
    context: JudgeContext,
) -> Option<Cause> {
    let of_set = |set: &'a ReplicaSetView| {
        let refused = set.create_failure.iter().map(|failure| {
            unless_room_comes(
                judge_set(&set.name, failure, context),
                says(&failure.message, NO_ROOM),
                view.leaving_nearby,
                view,
                context,
            )
        });
        let troubled = set.pods.iter().filter(|pod| counts(pod)).filter_map(|pod| {
            Some(unless_room_comes(
                judge_pod(pod, context)?,
                pod.unschedulable.is_some(),
                view.leaving,
                view,
                context,
            ))
        });
        refused.chain(troubled).chain(judge_failed(set, context)).min_by_key(|cause| cause.verdict)
    };
    sets.filter_map(of_set).min_by_key(|cause| cause.verdict)
}

/// The same cause, where it may be that pods on their way out make room: they are
/// waited for, however long they take.
fn unless_room_comes(
    cause: Cause,
    lacks_room: bool,
    leaving: i32,
    view: &DeploymentView,
    context: JudgeContext,
) -> Cause {
    let Verdict::FatalAt(at) = cause.verdict else { return cause };
    if !lacks_room {
        return cause;
    }
    if leaving > 0 {
        let sentence =
            format!("{}; {leaving} pods are on their way out, and are waited for", cause.sentence);
        return Cause { verdict: Verdict::KeepWaiting, sentence };
    }
    let Some(left) = view.left_at else { return cause };
    // Whoever is refused asks again after pauses that double: the next one may be as
    // long as all before it.
    let grace = SignedDuration::from_secs(context.failure_policy.grace_seconds);
    let pause = at.checked_sub(grace).map_or(grace, |began| left.duration_since(began).max(grace));
    Cause {
        verdict: Verdict::FatalAt(left.checked_add(pause).unwrap_or(Timestamp::MAX).max(at)),
        ..cause
    }
}

/// Why the pod is not Ready; none if it is, or if it is just starting.
#[must_use]
pub fn judge_pod(pod: &PodView, context: JudgeContext) -> Option<Cause> {
    if pod.ready_since.is_some() {
        return None;
    }
    if let Some(text) = &pod.unschedulable {
        let sentence = format!("pod {} cannot be scheduled: {}", pod.name, sanitize(text));
        return Some(Cause { verdict: grace(pod.created_at, context), sentence });
    }
    if let Some(text) = &pod.scheduling_gated {
        // Whoever set the gate removes it, at any time.
        let sentence = format!("pod {} is not scheduled yet: {}", pod.name, sanitize(text));
        return Some(Cause { verdict: Verdict::KeepWaiting, sentence });
    }
    let containers =
        pod.containers.iter().filter_map(|container| judge_container(pod, container, context));
    let trouble = containers.min_by_key(|cause| cause.verdict);
    trouble.or_else(|| not_started(pod, context)).or_else(|| not_ready(pod, context))
}

/// What it means that the ReplicaSet `name` cannot create pods.
#[must_use]
pub fn judge_set(name: &str, failure: &CreateFailure, context: JudgeContext) -> Cause {
    let sentence =
        format!("the ReplicaSet {name} cannot create pods: {}", sanitize(&failure.message));
    let verdict = if says(&failure.message, NEVER_TAKEN) {
        Verdict::Fatal
    } else {
        grace(failure.since, context)
    };
    Cause { verdict, sentence }
}

/// What it means that pods of the ReplicaSet failed since the order began. One may be
/// evicted, and the next runs; it lasts where a pod fails that came after one that had.
fn judge_failed(set: &ReplicaSetView, context: JudgeContext) -> Option<Cause> {
    let failed: Vec<&FailedPod> =
        set.failed.iter().filter(|pod| is_since(pod.created_at, context.since)).collect();
    let newest = failed.last()?;
    let mut rounds: Vec<Timestamp> = Vec::new();
    for pod in &failed {
        let (Some(created), Some(at)) = (pod.created_at, pod.at) else { continue };
        if rounds.last().is_none_or(|before| created >= *before) {
            rounds.push(at);
        }
    }
    let course = Recurrence::of(rounds.into_iter())?;
    let lasts = course.goes_on(LASTING_ROUNDS, context);
    let reason = if newest.reason.is_empty() { "no reason given" } else { newest.reason.as_str() };
    let text = if newest.message.is_empty() {
        String::new()
    } else {
        format!(": {}", sanitize(&newest.message))
    };
    let all = match set.failed_count.max(failed.len()) {
        1 => String::new(),
        count => format!("; {count} pods of the ReplicaSet {} have failed", set.name),
    };
    let sentence = format!("pod {} failed: {reason}{text}{all}", newest.name);
    Some(Cause {
        verdict: if lasts { grace(Some(course.first), context) } else { Verdict::KeepWaiting },
        sentence,
    })
}

fn judge_container(
    pod: &PodView,
    container: &ContainerView,
    context: JudgeContext,
) -> Option<Cause> {
    let (reason, message) = match &container.state {
        ContainerState::Running { .. } => {
            let last = container.last.as_ref().filter(|_| endings(pod, container, context) > 0)?;
            return Some(ended(pod, container, "was started again", last, context));
        }
        // An init container is done when it ends well.
        ContainerState::Ended(ending) if container.is_init && ending.exit_code == 0 => return None,
        ContainerState::Ended(ending) => {
            return Some(ended(pod, container, "ended", ending, context));
        }
        ContainerState::Waiting { reason, message } => (reason, message),
    };
    let (_, rule) = WAITING.iter().find(|(word, _)| word == reason)?;
    // The image's own name says nothing of what went wrong with it.
    let said = message.replace(&container.image, "");
    let verdict = match rule {
        WaitingRule::Fatal => Verdict::Fatal,
        WaitingRule::FatalIf(words) if says(&said, words) && !says(&said, PASSING) => {
            Verdict::Fatal
        }
        WaitingRule::FatalUnlessPassing if !says(&said, PASSING) => Verdict::Fatal,
        WaitingRule::Grace | WaitingRule::FatalIf(_) | WaitingRule::FatalUnlessPassing => {
            grace(pod.troubled_since.or(pod.created_at), context)
        }
        WaitingRule::Endings => by_endings(pod, container, context),
    };
    let last = container
        .last
        .as_ref()
        .map(|ending| format!(" (it ended last with {})", how(ending)))
        .unwrap_or_default();
    let text = if message.is_empty() { String::new() } else { format!(": {}", sanitize(message)) };
    let sentence = format!(
        "pod {}, {} {}: {reason} (image {}){text}{last}{}",
        pod.name,
        kind(container),
        container.name,
        container.image,
        killing_probe(pod)
    );
    Some(Cause { verdict, sentence })
}

fn ended(
    pod: &PodView,
    container: &ContainerView,
    what: &str,
    ending: &Ending,
    context: JudgeContext,
) -> Cause {
    let (kind, name, image) = (kind(container), &container.name, &container.image);
    let sentence = format!(
        "pod {}, {kind} {name}: it {what} after {} (image {image}){}",
        pod.name,
        how(ending),
        killing_probe(pod)
    );
    Cause { verdict: by_endings(pod, container, context), sentence }
}

fn by_endings(pod: &PodView, container: &ContainerView, context: JudgeContext) -> Verdict {
    // What fetches a package has tried again itself, as often as there is sense in it.
    let tolerated =
        if container.name == PACKAGE_CONTAINER { 0 } else { context.failure_policy.restarts };
    let fatal = endings(pod, container, context) > tolerated;
    if fatal { Verdict::Fatal } else { Verdict::KeepWaiting }
}

/// How often the container ended in the order's time. That Kubernetes holds it
/// back counts once more: it says itself that this goes on.
fn endings(pod: &PodView, container: &ContainerView, context: JudgeContext) -> i32 {
    let now = match &container.state {
        ContainerState::Running { .. } => 0,
        ContainerState::Ended(_) => 1,
        ContainerState::Waiting { reason, .. } if reason == "CrashLoopBackOff" => 2,
        ContainerState::Waiting { .. } => 0,
    };
    // Of a pod that was there before, earlier restarts are none of the order's doing.
    now + if is_since(pod.created_at, context.since) { container.restarts } else { 0 }
}

/// A pod whose volumes or network cannot be had: its containers are silent on it. Only
/// warnings tell, and a warning tells of the past: it counts while it comes again.
fn not_started(pod: &PodView, context: JudgeContext) -> Option<Cause> {
    let waits =
        |container: &ContainerView| matches!(container.state, ContainerState::Waiting { .. });
    if !pod.containers.is_empty() && !pod.containers.iter().any(waits) {
        return None;
    }
    let told = NOT_STARTED.iter().filter_map(|reason| {
        let newest = pod.warnings.iter().rev().find(|warning| warning.reason == *reason)?;
        Some((
            newest,
            Recurrence::of_warnings(
                pod.warnings.iter().filter(|warning| warning.reason == *reason),
            )?,
        ))
    });
    let (warning, course) =
        told.max_by_key(|(_, course)| (course.goes_on(LASTING_WARNINGS, context), course.last))?;
    let said = format!("{}: {}", warning.reason, sanitize(&warning.message));
    if course.goes_on(LASTING_WARNINGS, context) {
        let sentence = format!("pod {} cannot start: {said}", pod.name);
        return Some(Cause { verdict: grace(Some(course.first), context), sentence });
    }
    let sentence = format!("pod {} has not started, and its last warning was {said}", pod.name);
    Some(Cause { verdict: Verdict::KeepWaiting, sentence })
}

/// A pod that runs and is not Ready: not yet, or not any more.
fn not_ready(pod: &PodView, context: JudgeContext) -> Option<Cause> {
    let started =
        pod.containers.iter().filter(|container| !container.is_init).map(
            |container| match container.state {
                ContainerState::Running { since } => since,
                ContainerState::Waiting { .. } | ContainerState::Ended(_) => None,
            },
        );
    let started = started.collect::<Option<Vec<Timestamp>>>()?.into_iter().max()?;
    // Kubernetes notes when that changed: later than the start, it was Ready before.
    let lost = pod.unready_since.filter(|since| *since > started);
    let (verdict, what) = match lost {
        Some(since) => (grace(Some(since), context), "is not Ready any more"),
        None => (Verdict::KeepWaiting, "runs and is not Ready"),
    };
    let why = match &pod.gated {
        Some(said) => format!(", although its containers are: {}", sanitize(said)),
        None => probe(pod),
    };
    Some(Cause { verdict, sentence: format!("pod {} {what}{why}", pod.name) })
}

/// When trouble that began then has lasted too long.
fn grace(since: Option<Timestamp>, context: JudgeContext) -> Verdict {
    let since = since.unwrap_or(context.since).max(context.since);
    Verdict::FatalAt(
        since
            .checked_add(SignedDuration::from_secs(context.failure_policy.grace_seconds))
            .unwrap_or(Timestamp::MAX),
    )
}

#[cfg(test)]
mod tests;
