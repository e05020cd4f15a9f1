//! The whole state machine of a change order: [`decide`].
//!
//! Given an order, what the cluster shows and the time, it says what is to be
//! written down next, or that nothing is. The executor writes a [`Move`] in one
//! transaction, makes the change that it holds, and asks again; a program that
//! died anywhere asks again too. So there is no path for recovery.
//!
//! ```text
//!  Start ─▶ Surge ─▶ Shrink ─▶ Hold ─▶ Rearm ─┐     Start ─▶ Create ─▶ Done
//!             ▲ │                             │
//!             │ └── (no pause) ──▶ next batch ◀┘    Start ─▶ Return ─▶ Finish ─▶ Done
//!             └──────────────────────┘ └─▶ Finish ─▶ Done       (a rollback order)
//!
//!  Surge, Shrink or Rearm ─▶ Back ─▶ Regrow ─▶ Retire ─▶ Hold  (back to fewer batches)
//!
//!  Start ─▶ Resize ─▶ Done                                     (another number of pods)
//!  Start ─▶ Delete ─▶ Done                                     (no Deployment any more)
//! ```

mod back;
mod change;
mod delete;
mod earliest;
mod release;
mod resize;
mod restore;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use super::{
    failure::{self, Cause, Measure, Verdict},
    graceful_start::GracefulStart,
    intent::{Change, Intent},
    observation::{DeploymentView, Observation, PodView},
    order::{Kind, Order, Settings, Snapshot, Source, State, Step},
    pod_template::is_same,
};

/// Seconds that a new order waits for an earlier rollout to settle before it
/// begins all the same.
pub const SETTLE_SECONDS: i64 = 60;

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Nothing until the cluster or the order changes, or the time comes.
    Wait {
        /// When to look again even if nothing changed.
        until: Option<Timestamp>,
        /// The order rests: nobody needs to hold it meanwhile.
        rest: bool,
    },
    /// Write this down, then make the change in it.
    Move(Box<Move>),
}

/// One transition of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// The order's state from now on.
    pub state: State,
    /// Its step from now on.
    pub step: Step,
    /// The batch under way from now on.
    pub batch: usize,
    /// The change to make, if the move has one.
    pub change: Option<Change>,
    /// The Deployment before the order, where this move is the first to change it.
    pub snapshot: Option<Snapshot>,
    /// What becomes of batches.
    pub batches: Vec<BatchMove>,
    /// Why the order stands as it does, for people; empty = nothing to say.
    pub message: String,
    /// Whether an order that takes this one back is opened with it.
    pub roll_back: bool,
    /// Whether the order ends with its Deployment half way, to be brought to rest.
    pub settles: bool,
    /// Whether the wish to go back within the release is done with it.
    pub is_back: bool,
}

/// What becomes of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchMove {
    /// Its index, from 0.
    pub index: usize,
    /// Its state from now on.
    pub state: State,
    /// Pods of the new version when it is done, where that is newly known.
    pub target: Option<i32>,
    /// Why, for people.
    pub message: String,
}

impl Move {
    fn new(order: &Order, state: State, step: Step) -> Self {
        Self {
            state,
            step,
            batch: order.batch,
            change: None,
            snapshot: None,
            batches: Vec::new(),
            message: String::new(),
            roll_back: false,
            settles: false,
            is_back: false,
        }
    }

    fn with(mut self, change: Change) -> Self {
        self.change = Some(change);
        self
    }

    fn batch(mut self, index: usize, state: State, target: Option<i32>, message: impl Into<String>) -> Self {
        self.batches.push(BatchMove { index, state, target, message: message.into() });
        self
    }

    fn because(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    fn decided(self) -> Decision {
        Decision::Move(Box::new(self))
    }
}

/// What follows for `order`, given what the cluster shows at `now`.
///
/// Expects that the order's last change was made (the executor makes it before
/// it asks); where the watches do not show that yet, the answer is to wait.
#[must_use]
pub fn decide(order: &Order, observation: &Observation, now: Timestamp) -> Decision {
    let ended = order.state.is_final();
    if order.step == Step::Done || (ended && !order.settling) {
        return Decision::Wait { until: None, rest: true };
    }
    if order.has_change_to_make() {
        return wait(None);
    }
    if order.kind == Kind::Delete {
        return delete::decide(order, observation, now);
    }
    if order.step == Step::Start
        && let Some(decision) = start_without_view(order, observation)
    {
        return decision;
    }
    let view = match observation {
        Observation::Unknown => return wait(None),
        Observation::Absent => return gone(order),
        Observation::Present(view) => view,
    };
    let shown = order.intent.as_ref().and_then(|intent| intent.applied).is_none_or(|version| view.resource_version >= version);
    if (!shown || !view.observed)
        && let Some(decision) = unobserved(order, view, shown, now)
    {
        return decision;
    }
    if ended {
        let is_paused = |intent: &Intent| matches!(&intent.change, Change::Patch(patch) if patch.paused == Some(true));
        let rests = matches!(order.step, Step::Hold | Step::Freeze) && order.intent.as_ref().is_none_or(is_paused);
        return if rests { done(order) } else { restore::freeze(order, view, !view.observed) };
    }
    // Where only the number of pods changes, the template is anybody's.
    if order.step != Step::Start
        && !order.resizes()
        && let Some(expected) = &order.template
        && !is_same(expected, &view.template)
    {
        return restore::superseded(order, view);
    }
    if let Some(decision) = back::begin(order, view) {
        return decision;
    }
    match order.step {
        Step::Start if order.resizes() => resize::start(order, view),
        Step::Start if order.kind == Kind::Rollback => restore::start(order, view),
        Step::Start => release::start(order, view, now),
        Step::Create => release::create(order, view, now),
        Step::Resize => resize::resize(order, view, now),
        Step::Surge => release::surge(order, view, now),
        Step::Shrink => release::shrink(order, view, now),
        Step::Hold => release::hold(order, now),
        Step::Rearm => release::rearm(order, view, now),
        Step::Back => back::regrow(order, view),
        Step::Regrow => back::retire(order, view, now),
        Step::Retire => back::rest(order, view, now),
        Step::Return => restore::come_back(order, view, now),
        Step::Finish => release::finish(order, view, now),
        Step::Delete | Step::Freeze | Step::Done => done(order),
    }
}

/// What follows while the Deployment controller has not acted on the newest spec, or a
/// view is older than our last write: nothing may be concluded from it then. None where
/// the order goes on all the same.
fn unobserved(order: &Order, view: &DeploymentView, shown: bool, now: Timestamp) -> Option<Decision> {
    let after = |since: Timestamp, seconds| since.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
    if order.state.is_final() {
        // One that cannot act would keep the Deployment half way for ever.
        let patience = after(order.step_since, order.target.tolerance.grace_seconds);
        return (!shown || now < patience).then(|| wait(Some(patience).filter(|_| shown)));
    }
    match order.step {
        Step::Hold => return Some(wait(None)),
        // Whatever keeps it from acting, the way back is one write.
        Step::Start if order.kind == Kind::Rollback => return None,
        // The newest spec is not ours: nothing but its own trouble is waited for.
        Step::Start => {
            let patience = after(order.created_at, SETTLE_SECONDS);
            return (now < patience).then(|| wait(Some(patience)));
        }
        Step::Create
        | Step::Resize
        | Step::Delete
        | Step::Surge
        | Step::Shrink
        | Step::Rearm
        | Step::Back
        | Step::Regrow
        | Step::Retire
        | Step::Return
        | Step::Finish
        | Step::Freeze
        | Step::Done => {}
    }
    let cause = failure::judge_controller(view, measure(order, now)).filter(|_| shown);
    if let Some(trouble) = cause.as_ref().and_then(|cause| lasting(order, cause, now)) {
        let trouble = if order.step == Step::Return { restore::no_way_back(&trouble) } else { trouble };
        return Some(fail(order, &trouble));
    }
    let state = cause.as_ref().map_or("the Deployment controller does not react", |cause| cause.sentence.as_str());
    Some(keep_waiting(order, now, state, cause.as_ref(), None))
}

/// What follows for an order whose change the cluster refused for good.
#[must_use]
pub fn refused(order: &Order, why: &str) -> Decision {
    if order.state.is_final() {
        return done(order);
    }
    let message = format!("the cluster refused the change: {why}");
    let Decision::Move(mut failure) = fail(order, &message) else { return wait(None) };
    // The first change of all was refused: there is nothing to take back.
    if order.template.is_none() {
        (failure.roll_back, failure.settles, failure.step) = (false, false, Step::Done);
    }
    Decision::Move(failure)
}

fn start_without_view(order: &Order, observation: &Observation) -> Option<Decision> {
    match (order.kind, observation) {
        (_, Observation::Unknown) => Some(wait(None)),
        (Kind::Create, _) => Some(release::start_create(order)),
        (Kind::Rollback, _) if order.snapshot.is_none() => Some(done_well(order, "the order that is taken back had changed nothing")),
        _ => None,
    }
}

/// What follows for an order whose Deployment is not there.
#[must_use]
pub fn gone(order: &Order) -> Decision {
    if order.state.is_final() {
        return done(order);
    }
    let again = if order.step == Step::Start { "" } else { " any more" };
    let message = format!("the Deployment {} does not exist in namespace {}{again}", order.name, order.namespace);
    let Decision::Move(mut failure) = fail(order, &message) else { return wait(None) };
    (failure.roll_back, failure.settles, failure.step) = (false, false, Step::Done);
    Decision::Move(failure)
}

fn wait(until: Option<Timestamp>) -> Decision {
    Decision::Wait { until, rest: false }
}

/// The order ended earlier; its work on the cluster ends here.
fn done(order: &Order) -> Decision {
    Move::new(order, order.state, Step::Done).decided()
}

fn done_well(order: &Order, message: &str) -> Decision {
    let last = order.batches.len().saturating_sub(1);
    Move::new(order, State::Succeeded, Step::Done).batch(last, State::Succeeded, None, "").because(message).decided()
}

/// The batch under way failed, and the order with it. A release is taken back,
/// or comes to rest where it is, if that is what was asked for.
fn fail(order: &Order, message: &str) -> Decision {
    // Before its first change an order has nothing to take back.
    let begun = order.kind.releases() && order.step != Step::Start;
    let settles = begun && !order.target.tolerance.roll_back && order.rests_on_abort();
    let step = if settles { order.step } else { Step::Done };
    let mut failure = Move::new(order, State::Failed, step).batch(order.batch, State::Failed, None, message).because(message);
    failure.roll_back = begun && order.target.tolerance.roll_back;
    failure.settles = settles;
    failure.decided()
}

/// When the batch under way has taken as long as it may.
fn deadline(order: &Order) -> Timestamp {
    let started = order.batches.get(order.batch).and_then(|batch| batch.started_at);
    // A step after the batch's pods came up has its own time, as long again.
    let since = match order.step {
        Step::Surge | Step::Create | Step::Resize | Step::Delete | Step::Return => started.unwrap_or(order.step_since),
        Step::Start
        | Step::Shrink
        | Step::Hold
        | Step::Rearm
        | Step::Back
        | Step::Regrow
        | Step::Retire
        | Step::Finish
        | Step::Freeze
        | Step::Done => order.step_since,
    };
    since.checked_add(SignedDuration::from_secs(order.target.batch_timeout_seconds)).unwrap_or(Timestamp::MAX)
}

fn on_deadline(order: &Order, now: Timestamp, state: &str) -> Option<Decision> {
    if now < deadline(order) {
        return None;
    }
    let seconds = order.target.batch_timeout_seconds;
    Some(fail(order, &format!("batch {} was not done within {seconds} s: {state}", order.batch + 1)))
}

/// Waits until something is likely to have changed, or fails where the batch has taken
/// too long. `ready_at` is when a pod will count that does not yet.
fn keep_waiting(order: &Order, now: Timestamp, state: &str, cause: Option<&Cause>, ready_at: Option<Timestamp>) -> Decision {
    if let Some(failure) = on_deadline(order, now, state) {
        return failure;
    }
    let fatal_at = cause.and_then(|cause| match cause.verdict {
        Verdict::FatalAt(at) => Some(at),
        Verdict::Fatal | Verdict::KeepWaiting => None,
    });
    wait([ready_at, fatal_at, Some(deadline(order))].into_iter().flatten().min())
}

/// The Deployment as it was before the order.
fn snapshot(order: &Order, view: &DeploymentView) -> Snapshot {
    order.snapshot.clone().unwrap_or_else(|| Snapshot {
        template: view.template.clone(),
        replicas: view.replicas,
        settings: view.kept.clone().unwrap_or_else(|| view.settings.clone()),
        owners: view.owners.clone(),
    })
}

/// By what the order's pods are judged `now`.
#[must_use]
pub fn measure(order: &Order, now: Timestamp) -> Measure {
    Measure { tolerance: order.target.tolerance, since: order.created_at, now }
}

/// The trouble of the order's pods, whatever is to follow from it.
fn cause(order: &Order, view: &DeploymentView, now: Timestamp) -> Option<Cause> {
    let measure = measure(order, now);
    if order.resizes() { failure::judge_added(view, measure) } else { failure::judge(view, measure) }
}

/// Whether the order brought this pod. Of a release they are those of its version.
#[must_use]
pub fn brought(order: &Order, pod: &PodView) -> bool {
    order.kind != Kind::Delete && (!order.resizes() || failure::is_since(pod.created_at, order.created_at))
}

/// Why the order will not get all its pods, as a sentence.
fn trouble(order: &Order, view: &DeploymentView, now: Timestamp) -> Option<String> {
    lasting(order, &cause(order, view, now)?, now)
}

/// The same of a cause that is known.
fn lasting(order: &Order, cause: &Cause, now: Timestamp) -> Option<String> {
    match cause.verdict {
        Verdict::Fatal => Some(cause.sentence.clone()),
        Verdict::FatalAt(at) if at <= now => {
            Some(format!("{} (waited {} s for it to pass)", cause.sentence, order.target.tolerance.grace_seconds))
        }
        Verdict::FatalAt(_) | Verdict::KeepWaiting => None,
    }
}

/// The seconds a pod must be Ready before it counts, for Kubernetes too.
fn min_ready_seconds(order: &Order) -> i32 {
    order.snapshot.as_ref().map_or(order.target.min_ready_seconds.unwrap_or(0), |before| min_ready_seconds_of(order, &before.settings))
}

/// The same on top of these settings of the user.
fn min_ready_seconds_of(order: &Order, own: &Settings) -> i32 {
    order.target.min_ready_seconds.unwrap_or(own.min_ready_seconds)
}

/// The seconds a pod must be Ready before its batch is done.
fn settle_seconds(order: &Order) -> i32 {
    min_ready_seconds(order).max(order.target.tolerance.watch_seconds).max(warm_up_seconds(order, order.snapshot.as_ref()))
}

/// The seconds a pod of the version that is released must be Ready before an old one
/// goes for it, as its graceful start says. `snapshot` is the Deployment before it.
fn warm_up_seconds(order: &Order, snapshot: Option<&Snapshot>) -> i32 {
    if !order.kind.releases() {
        return 0;
    }
    let before = || snapshot.and_then(|snapshot| GracefulStart::of(&snapshot.template));
    let rule = match &order.target.source {
        Source::Exact(template) => GracefulStart::of(template),
        Source::Change(change) => change.graceful_start.after(before(), change.drain_seconds),
        Source::Renewed(_) | Source::Kept => before(),
    };
    rule.map_or(0, |rule| rule.warm_up())
}
