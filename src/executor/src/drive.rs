//! Carries out one leased order, in rounds: make the change that is written down, observe
//! the cluster, decide, write the transition down. If the program dies at any point,
//! another one begins with the same round.

mod events;
mod hold;
mod numbers;
mod outage;
mod owed;
mod pods;
mod reload;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch::Receiver, time::Instant};
use tokio_util::sync::CancellationToken;

use super::Executor;
use cluster::{ClusterError, Key, manifest::WriteContext};
use domain::{
    TraceParent,
    observed::{CreateFailure, Facts, Observation},
    order::{
        Order, State, Step,
        intent::{Borrow, Change, Effect, Expected},
    },
    rollout::{self, Decision, Transition},
};
use pods::{LOOK_EVERY, Pods, RECORD_EVERY};
use store::{Advanced, Lease, Made, StoreError, TakenUp};

/// Pause before a failed request is retried; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// How long the Deployment controller may take to act before Sluice looks for the reason,
/// and how often it looks.
const ASK_WHY_AFTER: SignedDuration = SignedDuration::from_secs(1);
const ASK_WHY_EVERY: Duration = Duration::from_secs(5);

/// Pause before the ReplicaSets' sizes are compared again, should no change be seen.
const SIZES_AGAIN: SignedDuration = SignedDuration::from_millis(200);

/// Why a drive ends.
enum End {
    /// The order waits, has ended, or is given back: due again at that time, or at once.
    GiveBack(Option<Timestamp>),
    /// The lease is lost: this program must not write any more.
    Lost,
}

/// A leased order.
struct Drive {
    lease: Lease,
    order: Order,
    key: Key,
    woken: Receiver<u64>,
    changed: Receiver<u64>,
    extended: Instant,
    pause: Duration,
    pods: Pods,
    /// The last known reason why the Deployment controller does not act.
    why: Option<(Instant, Option<String>)>,
    /// What keeps it from going on.
    outage: Option<outage::Present>,
    /// Until when the API server wants to be left alone.
    busy_until: Option<Instant>,
    /// How often a fencing token was met that nobody had given out.
    raised: u32,
    /// Whether it has begun, and that is not left beside the Deployment yet.
    begins: bool,
    /// Whether what is known of the order is what is on record, also of what is sealed.
    is_known: bool,
}

impl Executor {
    /// Drives an order as far as it goes. Returns its lease.
    pub(super) async fn drive(
        self: Arc<Self>,
        taken: TakenUp,
        woken: Receiver<u64>,
        stop: CancellationToken,
    ) -> Lease {
        let (lease, order) = (taken.lease, &taken.order);
        // The same trace at each drive of the order, by whichever program.
        let trace = taken.trace.map_or_else(TraceParent::new, TraceParent::child);
        let span = tracing::info_span!("drive", order.id = %lease.order, lease.generation = lease.generation, cluster.id = %self.settings.cluster, namespace = order.namespace, application = order.name,
            trace.id = %trace.trace(), span.id = trace.recorded_span().map(tracing::field::display), parent.id = taken.trace.map(|parent| tracing::field::display(parent.span())));
        let driven = tracing::Instrument::instrument(self.drive_to_end(taken, woken, stop), span);
        driven.await;
        lease
    }

    async fn drive_to_end(&self, taken: TakenUp, woken: Receiver<u64>, stop: CancellationToken) {
        let Some(mut drive) = self.begin(taken, woken) else { return };
        let end = loop {
            match self.round(&mut drive, &stop).await {
                Ok(Some(end)) => break end,
                Ok(None) => {}
                Err(StoreError::Fenced { .. }) => break End::Lost,
                Err(error) => {
                    // It may have been written all the same.
                    drive.is_known = false;
                    tracing::warn!(%error, "a transition could not be written; trying again");
                    self.wait_to_retry(&mut drive, &stop).await;
                    if stop.is_cancelled() {
                        break End::GiveBack(Some(Timestamp::UNIX_EPOCH));
                    }
                }
            }
        };
        self.forget_denied(drive.lease.order).await;
        match end {
            End::Lost => tracing::info!("the order is no longer ours"),
            End::GiveBack(due) => {
                if drive.order.rests() {
                    self.note_rested(drive.lease.order, &drive.key);
                }
                if let Err(error) = self.store.give_back(drive.lease, due, &drive.order).await {
                    tracing::warn!(%error, "the lease could not be given back, and runs out by itself");
                }
                self.with_upcoming(|upcoming| upcoming.note(due));
            }
        }
    }

    fn begin(&self, taken: TakenUp, woken: Receiver<u64>) -> Option<Drive> {
        let TakenUp { lease, order, pods, .. } = taken;
        if order.cluster != self.settings.cluster {
            tracing::error!(cluster = %order.cluster, "the order is another cluster's, and is left alone");
            return None;
        }
        let key = Key { namespace: order.namespace.clone(), name: order.name.clone() };
        let pods = Pods::of(pods, &order.batches, order.batch);
        let changed = self.cluster.changes(&key);
        Some(Drive {
            lease,
            order,
            key,
            woken,
            changed,
            extended: Instant::now(),
            pause: FIRST_PAUSE,
            pods,
            why: None,
            outage: None,
            busy_until: None,
            raised: 0,
            begins: false,
            is_known: true,
        })
    }

    /// One round. Ends the drive, or leads to the next round.
    async fn round(
        &self,
        drive: &mut Drive,
        stop: &CancellationToken,
    ) -> Result<Option<End>, StoreError> {
        if !drive.is_known {
            self.read_anew(drive).await?;
        }
        let woken = drive.woken.has_changed().unwrap_or(false);
        if drive.extended.elapsed() > self.settings.lease / 3 || woken {
            drive.woken.borrow_and_update();
            let extended = self.store.extend(drive.lease, self.settings.lease).await?;
            let Some(progress) = extended else { return Ok(Some(End::Lost)) };
            progress.bring(&mut drive.order);
            drive.extended = Instant::now();
            if drive.outage.is_none() {
                drive.pause = FIRST_PAUSE;
            }
        }
        if stop.is_cancelled() {
            return Ok(Some(End::GiveBack(Some(Timestamp::UNIX_EPOCH))));
        }
        if let Some(hold) = drive.order.hold.clone() {
            return self.hold_off(drive, &hold).await;
        }
        drive.changed.borrow_and_update();
        if drive.order.has_change_to_make() {
            return if drive.order.is_owed() {
                self.make_owed(drive, stop).await
            } else {
                self.make_change(drive, None, stop).await
            };
        }
        let facts = Facts { deployment: self.observe(drive).await };
        if facts.deployment == Observation::Unknown
            && let Some(blindness) = self.cluster.blindness_of(&drive.key.namespace)
        {
            return self.wait_for_sight(drive, blindness, stop).await;
        }
        self.end_outage(drive).await?;
        let observation = &facts.deployment;
        let decision = rollout::decide(&drive.order, &facts, self.clock.now());
        self.record_pods(drive, observation, matches!(decision, Decision::Transition(_))).await?;
        if let Decision::Wait { rest: true, .. } = decision {
            self.record_resting(drive.lease, &drive.order, observation).await?;
            self.note_trouble(drive, &facts).await?;
        }
        match decision {
            Decision::Transition(transition)
                if !self.may_write(drive, &transition, observation).await =>
            {
                self.wait(drive, Some(self.clock.now() + SIZES_AGAIN), stop).await;
                Ok(None)
            }
            Decision::Transition(transition)
                if transition.effect.is_some() && drive.order.target.allows_no_surge =>
            {
                self.decide_room(drive, stop).await?;
                Ok(None)
            }
            Decision::Transition(transition) => self.write(drive, &transition).await,
            Decision::Wait { until, rest: true } => Ok(Some(End::GiveBack(until))),
            Decision::Wait { until, rest: false } => {
                self.wait(drive, until, stop).await;
                Ok(None)
            }
        }
    }

    /// Decides whether old pods go first, of an order for which nobody could look before
    /// whether there is room for both: it is about to begin.
    async fn decide_room(
        &self,
        drive: &mut Drive,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let Some(max_unavailable) = self.max_unavailable_of(&drive.order).await else {
            self.wait(drive, Some(self.clock.now() + SIZES_AGAIN), stop).await;
            return Ok(());
        };
        tracing::info!(max_unavailable, "decided whether old pods go first");
        self.store.decide_room(drive.lease, &drive.order, max_unavailable).await?;
        self.reload(drive).await
    }

    /// The observation of the application; with the reason why the Deployment controller
    /// does not act, if it takes long.
    async fn observe(&self, drive: &mut Drive) -> Observation {
        let mut observation = self.cluster.observe(&drive.key);
        let Observation::Present(view) = &mut observation else { return observation };
        let since = if view.observed {
            rollout::stalled_since(&drive.order, view)
        } else {
            (drive.order.step != Step::Start).then_some(drive.order.step_since)
        };
        let now = self.clock.now();
        let Some(since) = since.filter(|since| now.duration_since(*since) >= ASK_WHY_AFTER) else {
            drive.why = None;
            return observation;
        };
        if drive.why.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= ASK_WHY_EVERY) {
            drive.why = Some((Instant::now(), self.cluster.refuses_sizes(&drive.key, view).await));
        }
        let message = drive.why.as_ref().and_then(|(_, why)| why.clone());
        view.refused = message.map(|message| CreateFailure { message, since: Some(since) });
        observation
    }

    /// Whether a decision stands on what is true. Pods of an order that waits are judged by how
    /// long they are sick, so what is seen must be of now: a watch that broke shows what was
    /// then. The number that a Deployment is paused with must be that of its pods, or Kubernetes
    /// makes up the difference: the ReplicaSets' sizes are read anew for it.
    async fn may_write(
        &self,
        drive: &Drive,
        transition: &Transition,
        observation: &Observation,
    ) -> bool {
        if transition.by_health {
            return self.sees_for(drive.order.target.failure_policy.grace_seconds);
        }
        let (Step::PauseInPlace, Observation::Present(view)) = (transition.step, observation)
        else {
            return true;
        };
        match self.cluster.has_sizes(&drive.key, view).await {
            Ok(is_so) => is_so,
            Err(error) => {
                tracing::warn!(%error, "the ReplicaSets cannot be read");
                false
            }
        }
    }

    /// Makes the change that is written down; if something was looked at for it, only to that.
    async fn make_change(
        &self,
        drive: &mut Drive,
        looked_at: Option<&Observation>,
        stop: &CancellationToken,
    ) -> Result<Option<End>, StoreError> {
        if let Some(left) = drive.busy_until.map(|at| at.saturating_duration_since(Instant::now()))
        {
            if !left.is_zero() {
                self.pause_for(left.min(self.settings.lease / 3), stop).await;
                return Ok(None);
            }
            drive.busy_until = None;
        }
        let context = self.context(drive).await?;
        let Some(intent) = &drive.order.intent else { return Ok(None) };
        let (effect, stands_on_a_look) = match (looked_at, &intent.effect) {
            // What is given back was decided for settings, and gives way to those set since.
            (Some(Observation::Present(view)), Effect::Deployment(Change::Patch(patch)))
                if patch.borrow != Borrow::Returned || patch.expects.is_none() =>
            {
                let expected = Expected {
                    uid: view.uid.clone(),
                    settings: view.settings.clone(),
                    template: Some(view.template.clone()),
                    replicas: None,
                };
                (&intent.effect.clone().standing_on(expected), true)
            }
            (_, effect) => (effect, false),
        };
        let made = self.cluster.writer().make(&drive.key, context, effect).await;
        if made.as_ref().is_err_and(|error| error.obstacle().is_none()) {
            self.note_answer(drive).await?;
        }
        let order = &drive.order;
        let Some(intent) = &order.intent else { return Ok(None) };
        let decision = match made {
            Ok(made) => {
                let version = made.applied.deployment;
                let is_ours = order.owns_template_after(&intent.effect);
                let template = made.template.filter(|_| is_ours);
                let recorded = Made { applied: made.applied, template: template.as_ref() };
                let now = self.clock.now();
                let progress =
                    self.store.record_applied(drive.lease, order, &recorded, now).await?;
                self.changed.note(order.id);
                tracing::info!(step = %order.step, batch = order.batch + 1, version, "made the change");
                drive.pause = FIRST_PAUSE;
                drive.outage = None;
                self.forget_denied(drive.lease.order).await;
                progress.bring_made(recorded.applied, template, &mut drive.order);
                self.leave_begin(drive).await;
                return Ok(None);
            }
            Err(ClusterError::Fenced { newer, by }) => {
                return self.meet_newer(drive, newer, by).await;
            }
            Err(error @ ClusterError::Foreign(_)) => {
                return self.leave_alone(drive, &error.to_string()).await;
            }
            Err(ClusterError::Gone) => rollout::gone(order),
            Err(ClusterError::Changed) => match self.cluster.observe(&drive.key) {
                Observation::Present(view) if !stands_on_a_look => {
                    rollout::changed_meanwhile(order, &view, self.clock.now())
                }
                // It is looked at and tried again, and found to be gone if it is.
                Observation::Present(_) | Observation::Absent | Observation::Unknown => {
                    self.wait_to_retry(drive, stop).await;
                    return Ok(None);
                }
            },
            Err(ClusterError::Refused(why)) => rollout::refused(order, &why),
            Err(
                error @ (ClusterError::Transient(_)
                | ClusterError::Busy { .. }
                | ClusterError::Unanswered(_)
                | ClusterError::Denied { .. }),
            ) => return self.wait_to_write(drive, &error, stop).await,
        };
        match decision {
            Decision::Transition(transition) => self.write(drive, &transition).await,
            Decision::Wait { .. } => {
                self.wait_to_retry(drive, stop).await;
                Ok(None)
            }
        }
    }

    /// Says what keeps the next batch of an order that waits from beginning.
    async fn note_trouble(&self, drive: &mut Drive, facts: &Facts) -> Result<(), StoreError> {
        let now = self.clock.now();
        let trouble = rollout::trouble_while_waiting(&drive.order, facts, now).unwrap_or_default();
        if trouble == drive.order.trouble {
            return Ok(());
        }
        self.store.note_trouble(drive.lease, &drive.order, &trouble, now).await?;
        self.changed.note(drive.lease.order);
        if trouble.is_empty() {
            tracing::info!("what kept the next batch from beginning has passed");
        } else {
            tracing::warn!("the next batch cannot begin: {trouble}");
            self.warn(drive, "ChangeOrderInTrouble", &trouble).await;
        }
        drive.order.trouble = trouble;
        Ok(())
    }

    async fn write(
        &self,
        drive: &mut Drive,
        transition: &Transition,
    ) -> Result<Option<End>, StoreError> {
        let (pods, now) = (drive.pods.unrecorded(), self.clock.now());
        let advanced = self.store.advance(drive.lease, &drive.order, transition, pods, now).await?;
        self.changed.note(drive.lease.order);
        drive.pause = FIRST_PAUSE;
        let Advanced::Written { progress, opened } = advanced else {
            self.reload(drive).await?;
            return Ok(None);
        };
        drive.pods.note_recorded();
        drive.pods.follow(&drive.order.batches, &transition.batches);
        self.count(&drive.order, transition);
        let (state, step, batch) = (transition.state, transition.step, transition.batch + 1);
        let message = match transition.message.as_str() {
            "" => format!("{step} follows"),
            message => message.to_owned(),
        };
        if matches!(state, State::Failed | State::SystemFailed) {
            tracing::warn!(%state, %step, batch, "{message}");
        } else {
            tracing::info!(%state, %step, batch, "{message}");
        }
        if let Some(opened) = opened {
            tracing::info!(rollback.id = %opened, "opened the rollback order");
            self.due.notify_one();
        }
        // After the way back was opened: nothing waits for this.
        self.leave_begin(drive).await;
        drive.begins |= drive.order.state == State::Ready && state == State::Running;
        self.leave_events(drive, transition).await;
        progress.bring_after(transition, &mut drive.order);
        Ok(None)
    }

    /// Waits for a change of the order or of the cluster, at most until `until`,
    /// and never longer than the lease allows.
    async fn wait(&self, drive: &mut Drive, until: Option<Timestamp>, stop: &CancellationToken) {
        let mut longest = self.settings.lease / 3;
        if let Some(until) = until {
            let left = Duration::try_from(until.duration_since(self.clock.now()))
                .unwrap_or(Duration::ZERO);
            longest = longest.min(left.max(Duration::from_millis(1)));
        }
        if drive.pods.recorded.is_some() {
            let left = RECORD_EVERY.saturating_sub(drive.pods.at.elapsed());
            let record = left.max(Duration::from_millis(1));
            longest = longest.min(if drive.pods.seen.is_some() { record } else { LOOK_EVERY });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            _ = drive.woken.changed() => drive.woken.mark_changed(),
            _ = drive.changed.changed() => {}
            () = tokio::time::sleep(longest) => {}
        }
    }

    async fn wait_to_retry(&self, drive: &mut Drive, stop: &CancellationToken) {
        // The lease is extended in time between two tries.
        let pause = drive.pause.min(self.settings.lease / 3);
        drive.pause = (drive.pause * 2).min(LONGEST_PAUSE);
        self.pause_for(pause, stop).await;
    }

    async fn pause_for(&self, pause: Duration, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Who writes to the cluster.
    async fn context(&self, drive: &Drive) -> Result<WriteContext, StoreError> {
        let installation = *self.installation.get_or_try_init(|| self.store.installation()).await?;
        Ok(WriteContext {
            application: drive.order.application,
            order: drive.order.id,
            generation: drive.lease.generation,
            installation,
        })
    }
}
