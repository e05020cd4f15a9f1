//! The whole state machine of a change order: [`decide`].
//!
//! From an order, an observation of the cluster and the time, it decides the next
//! [`Transition`], or that there is none yet. The executor writes the transition in one
//! database transaction, makes the change that it holds, and decides again. A program
//! that takes over an order does the same, so there is no separate path for recovery.
//!
//! ```text
//!  Start ─▶ BringUp ─▶ RestoreSettings ─▶ Done                 (a release)
//!             ▲ │
//!             │ ├─▶ BringUp of the next batch                 (nothing is waited for)
//!             │ └─▶ ScaleDownOld ─▶ Paused ─▶ CloseGate ─┐    (a person or an interval is)
//!             └──────────────────────────────────────────┘
//!
//!  BringUp, ScaleDownOld or CloseGate ─▶ StepBack ─▶ RestoreOld ─▶ RemoveNew ─▶ Paused
//!                                                              (back to fewer batches)
//!
//!  Start ─▶ Create ─▶ Done                                     (a first version)
//!  Start ─▶ RollBack ─▶ RestoreSettings ─▶ Done                (a rollback order)
//!  Start ─▶ Resize ─▶ Done                                     (another number of pods)
//!  Start ─▶ Delete ─▶ Done                                     (no Deployment any more)
//! ```

mod batches;
mod before;
mod change;
mod delete;
mod earliest;
mod guarded;
mod hands;
mod outage;
mod owed;
mod refused;
mod resize;
mod restore;
mod stalled;
mod step_back;
#[cfg(test)]
mod tests;
mod unobserved;
mod waiting;

use jiff::{SignedDuration, Timestamp};

use super::order::{DeploymentBefore, Kind, Order, State, Step, TemplateSource, hands::Hands};
use crate::template::settings::BorrowedSettings;
use crate::{
    observed::{
        DeploymentView, Facts, Observation, PodView,
        failure::{self, Cause, JudgeContext, Verdict},
    },
    order::intent::{Borrow, Change, Effect, Intent},
    template::{graceful_start::GracefulStart, sameness::is_same},
};

pub use delete::belongs_to_helm;
pub use hands::{changed_meanwhile, own_settings};
pub use outage::{UNANSWERED_SECONDS, outage, outage_message};
pub use refused::{gone, left_alone, refused};
pub use stalled::stalled_since;
pub use waiting::{trouble as trouble_while_waiting, wakes};

/// Seconds that a new order waits for an earlier rollout to end before it
/// begins all the same.
pub const EARLIER_ROLLOUT_SECONDS: i64 = 60;

/// What the message of an order begins with that gave way to somebody else.
const GAVE_WAY: &str = "superseded";

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Wait until the cluster or the order changes, or the time comes.
    Wait {
        /// When to look again even if nothing changed.
        until: Option<Timestamp>,
        /// No executor needs to hold the order meanwhile.
        rest: bool,
    },
    /// Write this down, then make the change in it.
    Transition(Box<Transition>),
}

/// One transition of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// The order's state from now on.
    pub state: State,
    /// Its step from now on.
    pub step: Step,
    /// The batch under way from now on.
    pub batch: usize,
    /// What to do on the cluster, if the transition has an effect.
    pub effect: Option<Effect>,
    /// The Deployment before the order, if this transition is the first to change it.
    pub snapshot: Option<DeploymentBefore>,
    /// The new states of batches.
    pub batches: Vec<BatchTransition>,
    /// Why the order is in this state, for people; empty = no message.
    pub message: String,
    /// Whether an order that rolls this one back is opened with it.
    pub roll_back: bool,
    /// Whether the order ends half way, so that it is finalizing until its Deployment is
    /// paused.
    pub finalizes: bool,
    /// Whether this transition completes a requested step back.
    pub completes_step_back: bool,
    /// What the order wrote and knows of other hands from now on, if that changed.
    pub hands: Option<Hands>,
    /// Whether it obeys a person who let the order go on.
    pub clears_go_on: bool,
    /// Whether guardrails refuse what the order was to write.
    pub guarded: bool,
    /// Whether it follows from pods that were sick for long enough while the order waited: the
    /// cluster must have been seen all the while.
    pub by_health: bool,
}

/// The new state of one batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchTransition {
    /// Its index, from 0.
    pub index: usize,
    /// Its state from now on.
    pub state: State,
    /// Pods of the new version when it is done, if that changed.
    pub target: Option<i32>,
    /// Why, for people.
    pub message: String,
}

impl Transition {
    fn new(order: &Order, state: State, step: Step) -> Self {
        Self {
            state,
            step,
            batch: order.batch,
            effect: None,
            snapshot: None,
            batches: Vec::new(),
            message: String::new(),
            roll_back: false,
            finalizes: false,
            completes_step_back: false,
            by_health: false,
            hands: None,
            clears_go_on: false,
            guarded: false,
        }
    }

    /// Whether it gives all back that was borrowed of the Deployment.
    #[must_use]
    pub fn gives_back(&self) -> bool {
        matches!(
            &self.effect,
            Some(Effect::Deployment(Change::Patch(patch))) if patch.borrow == Borrow::Returned
        )
    }

    /// Whether the order fails since it gives way to somebody who changes its Deployment.
    #[must_use]
    pub fn gave_way(&self) -> bool {
        self.state == State::Failed && self.message.starts_with(GAVE_WAY)
    }

    fn with(mut self, effect: impl Into<Effect>) -> Self {
        self.effect = Some(effect.into());
        self
    }

    fn batch(
        mut self,
        index: usize,
        state: State,
        target: Option<i32>,
        message: impl Into<String>,
    ) -> Self {
        self.batches.push(BatchTransition { index, state, target, message: message.into() });
        self
    }

    fn because(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    fn decided(self) -> Decision {
        Decision::Transition(Box::new(self))
    }
}

/// Decides what follows for `order` from what is known of it at `now`.
///
/// Expects that the order's last change was made (the executor makes it before it
/// decides). While the watches do not show that change yet, the decision is to wait.
#[must_use]
pub fn decide(order: &Order, facts: &Facts, now: Timestamp) -> Decision {
    let mut decision = next(order, facts, now);
    if let Decision::Transition(transition) = &mut decision {
        hands::note(order, facts, transition);
    }
    guarded::judged(order, decision)
}

fn next(order: &Order, facts: &Facts, now: Timestamp) -> Decision {
    let observation = &facts.deployment;
    let ended = order.state.is_final();
    if order.step == Step::Done || (ended && !order.finalizing) {
        return Decision::Wait { until: None, rest: true };
    }
    if order.has_change_to_make() {
        return owed::before_it_is_made(order, observation);
    }
    if order.kind == Kind::Delete {
        return delete::next(order, observation, now);
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
    let shown = order.intent.as_ref().is_none_or(|intent| unobserved::shows(view, intent));
    if shown
        && order.step != Step::Start
        && let Some(decision) = hands::next(order, view, now)
    {
        return decision;
    }
    if (!shown || !view.observed)
        && let Some(decision) = unobserved::next(order, view, shown, now)
    {
        return decision;
    }
    if order.is_owed() {
        return owed::next(order, view, now);
    }
    if ended {
        let is_paused = |intent: &Intent| match &intent.effect {
            Effect::Deployment(Change::Patch(patch)) => patch.paused == Some(true),
            Effect::ReplicaSet(change) => change.min_ready_seconds.is_some(),
            Effect::Deployment(_) => false,
        };
        // Somebody may have resumed it since. Once it was paused at its end it is let be.
        let is_at_rest = match order.step {
            Step::Paused => view.settings.paused,
            step => step == Step::PauseInPlace,
        };
        let rests = is_at_rest && order.intent.as_ref().is_none_or(is_paused);
        return if rests {
            restore::open_old(order, view).unwrap_or_else(|| done(order))
        } else {
            restore::pause_in_place(order, view, !view.observed)
        };
    }
    if order.step == Step::Paused
        && let Some(decision) = waiting::unwell(order, view, now)
    {
        return decision;
    }
    // Where only the number of pods changes, the template is anybody's.
    if order.step != Step::Start
        && !order.only_scales()
        && let Some(expected) = &order.template
        && !is_same(expected, &view.template)
    {
        return restore::superseded(order, view);
    }
    if let Some(decision) = step_back::begin(order, view) {
        return decision;
    }
    match order.step {
        Step::Start if order.only_scales() => resize::start(order, view),
        Step::Start if order.kind == Kind::Rollback => restore::start(order, view, now),
        Step::Start => batches::start(order, view, now),
        Step::Create => batches::create(order, view, now),
        Step::Resize => resize::resize(order, view, now),
        Step::BringUp => batches::bring_up(order, view, now),
        Step::ScaleDownOld => batches::scale_down_old(order, view, now),
        Step::Paused => batches::paused(order, view, now),
        Step::CloseGate => batches::close_gate(order, view, now),
        Step::StepBack => step_back::restore_old(order, view),
        Step::RestoreOld => step_back::remove_new(order, view, now),
        Step::RemoveNew => step_back::rest(order, view, now),
        Step::RollBack => restore::roll_back(order, view, now),
        Step::RestoreSettings => batches::restore_settings(order, view, now),
        Step::Delete | Step::PauseInPlace | Step::Done => done(order),
    }
}

fn start_without_view(order: &Order, observation: &Observation) -> Option<Decision> {
    match (order.kind, observation) {
        (_, Observation::Unknown) => Some(wait(None)),
        (Kind::Create, _) => Some(batches::start_create(order)),
        (Kind::DeployVersion, Observation::Absent) => batches::start_again(order),
        (Kind::Rollback, _) if order.snapshot.is_none() => Some(done_well(
            order,
            "the order that is rolled back had changed nothing that was there before it",
        )),
        _ => None,
    }
}

fn wait(until: Option<Timestamp>) -> Decision {
    Decision::Wait { until, rest: false }
}

/// The same while nobody needs to hold the order.
fn wait_resting(until: Option<Timestamp>) -> Decision {
    Decision::Wait { until, rest: true }
}

/// The order ended earlier; its work on the cluster ends here.
fn done(order: &Order) -> Decision {
    Transition::new(order, order.state, Step::Done).decided()
}

fn done_well(order: &Order, message: &str) -> Decision {
    let last = order.batches.len().saturating_sub(1);
    Transition::new(order, State::Succeeded, Step::Done)
        .batch(last, State::Succeeded, None, "")
        .because(message)
        .decided()
}

/// The batch under way failed, and the order with it. A release is rolled back,
/// or comes to rest where it is, if that is what was asked for.
fn fail(order: &Order, message: &str) -> Decision {
    // Before its first change an order has nothing to roll back, nor where it created the Deployment.
    let begun = order.kind.releases() && !matches!(order.step, Step::Start | Step::Create);
    let finalizes = begun && !order.target.failure_policy.roll_back && order.rests_on_abort();
    let step = if finalizes { order.step } else { Step::Done };
    let mut failure = Transition::new(order, State::Failed, step)
        .batch(order.batch, State::Failed, None, message)
        .because(message);
    failure.roll_back = begun && order.target.failure_policy.roll_back;
    failure.finalizes = finalizes;
    // Nothing waits in an order that ended.
    let next = order.batches.get(order.batch + 1).map(|batch| batch.state);
    if matches!(next, Some(State::WaitingConfirmation | State::WaitingInterval)) {
        failure = failure.batch(order.batch + 1, State::Aborted, None, "");
    }
    failure.decided()
}

/// When the batch under way has taken as long as it may.
fn deadline(order: &Order) -> Timestamp {
    let started = order.batches.get(order.batch).and_then(|batch| batch.started_at);
    // A step after the batch's pods came up has its own time, as long again.
    let since = match order.step {
        Step::BringUp | Step::Create | Step::Resize | Step::Delete | Step::RollBack => {
            started.unwrap_or(order.step_since)
        }
        Step::Start
        | Step::ScaleDownOld
        | Step::Paused
        | Step::CloseGate
        | Step::StepBack
        | Step::RestoreOld
        | Step::RemoveNew
        | Step::RestoreSettings
        | Step::PauseInPlace
        | Step::Done => order.step_since,
    };
    let at = since
        .checked_add(SignedDuration::from_secs(order.target.batch_timeout_seconds))
        .unwrap_or(Timestamp::MAX);
    order.outages.put_off(at)
}

fn on_deadline(order: &Order, now: Timestamp, state: &str) -> Option<Decision> {
    if now < deadline(order) {
        return None;
    }
    let seconds = order.target.batch_timeout_seconds;
    Some(fail(
        order,
        &format!("batch {} was not done within {seconds} s: {state}", order.batch + 1),
    ))
}

/// Waits until something is likely to have changed, or fails where the batch has taken
/// too long. `ready_at` is when a pod will count that does not yet.
fn keep_waiting(
    order: &Order,
    now: Timestamp,
    state: &str,
    cause: Option<&Cause>,
    ready_at: Option<Timestamp>,
) -> Decision {
    if let Some(failure) = on_deadline(order, now, state) {
        return failure;
    }
    let fatal_at = cause.and_then(|cause| match cause.verdict {
        Verdict::FatalAt(at) => Some(order.outages.put_off(at)),
        Verdict::Fatal | Verdict::KeepWaiting => None,
    });
    wait([ready_at, fatal_at, Some(deadline(order))].into_iter().flatten().min())
}

/// By what the order's pods are judged `now`.
#[must_use]
pub fn judge_context(order: &Order, now: Timestamp) -> JudgeContext {
    JudgeContext { failure_policy: order.target.failure_policy, since: order.created_at, now }
}

/// The trouble of the order's pods, whatever is to follow from it.
fn cause(order: &Order, view: &DeploymentView, now: Timestamp) -> Option<Cause> {
    let context = judge_context(order, now);
    if order.only_scales() {
        failure::judge_added(view, context)
    } else {
        failure::judge(view, context)
    }
}

/// Whether the order brought this pod. Of a release they are those of its version.
#[must_use]
pub fn brought(order: &Order, pod: &PodView) -> bool {
    order.kind != Kind::Delete
        && (!order.only_scales() || failure::is_since(pod.created_at, order.created_at))
}

/// Why the order will not get all its pods, as a sentence.
fn trouble(order: &Order, view: &DeploymentView, now: Timestamp) -> Option<String> {
    lasting(order, &cause(order, view, now)?, now)
}

/// The same of a cause that is known.
fn lasting(order: &Order, cause: &Cause, now: Timestamp) -> Option<String> {
    match cause.verdict {
        Verdict::Fatal => Some(cause.sentence.clone()),
        Verdict::FatalAt(at) if order.outages.put_off(at) <= now => Some(format!(
            "{} (waited {} s for it to pass)",
            cause.sentence, order.target.failure_policy.grace_seconds
        )),
        Verdict::FatalAt(_) | Verdict::KeepWaiting => None,
    }
}

/// The seconds a pod must be Ready before it counts, for Kubernetes too.
fn min_ready_seconds(order: &Order) -> i32 {
    order.snapshot.as_ref().map_or(order.target.min_ready_seconds.unwrap_or(0), |before| {
        min_ready_seconds_of(order, &before.settings)
    })
}

/// The same on top of these settings of the user.
fn min_ready_seconds_of(order: &Order, own: &BorrowedSettings) -> i32 {
    order.asked_min_ready_seconds().unwrap_or(own.min_ready_seconds)
}

/// When what an order that begins waits for began. It is made younger than those before it where
/// the clock is behind theirs, and that is no time to wait.
fn accepted_at(order: &Order) -> Timestamp {
    order.created_at.min(order.step_since)
}

/// The seconds a pod must be Ready before its batch is done.
fn ready_seconds(order: &Order) -> i32 {
    min_ready_seconds(order)
        .max(order.target.failure_policy.watch_seconds)
        .max(warm_up_seconds(order, order.snapshot.as_ref()))
}

/// The seconds a pod of the version that is released must be Ready before an old one
/// goes for it, as its graceful start says. `snapshot` is the Deployment before it.
fn warm_up_seconds(order: &Order, snapshot: Option<&DeploymentBefore>) -> i32 {
    if !order.kind.releases() {
        return 0;
    }
    let before = || snapshot.and_then(|snapshot| GracefulStart::of(&snapshot.template));
    let rule = match &order.target.source {
        TemplateSource::Exact(template) => GracefulStart::of(template),
        TemplateSource::Change(change) => {
            change.graceful_start.after(before(), change.drain_seconds)
        }
        TemplateSource::Renewed(_) | TemplateSource::Unchanged => before(),
    };
    rule.map_or(0, |rule| rule.warm_up())
}
