//! An order that cannot go on for now: nothing of its cluster can be seen, or its change
//! cannot be made. What follows is decided in `domain`; this keeps the time, and says it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Drive, End, Executor};
use cluster::ClusterError;
use domain::{
    OrderId,
    observed::Observation,
    order::outage::{Met, Obstacle, Outage},
    rollout::{self, Decision},
};
use store::{Newer, StoreError};

/// Time after which an outage is written down, and told. Shorter ones pass unnoticed.
const TOLD_AFTER: SignedDuration = SignedDuration::from_secs(2);

/// Time until it is told again, in the words of then.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Longest time for which an API server that asks for it is left alone.
const LONGEST_BUSY: Duration = Duration::from_secs(30);

/// Pause before the cluster is looked at again, should no change be seen.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// The present outage, as this drive knows it.
#[derive(Debug)]
pub(super) struct Present {
    met: Met,
    /// When this drive met anything first.
    first: Timestamp,
    /// When it was told last.
    told: Option<Instant>,
}

impl Executor {
    /// Waits while nothing of the cluster can be seen.
    pub(super) async fn wait_for_sight(
        &self,
        drive: &mut Drive,
        (obstacle, why): (Obstacle, String),
        stop: &CancellationToken,
    ) -> Result<Option<End>, StoreError> {
        let what = "nothing of the cluster can be seen";
        let (outage, unseen) = ((obstacle, what, why), Observation::Unknown);
        if let Some(end) = self.note_outage(drive, outage, &unseen).await? {
            return self.write(drive, &end).await;
        }
        self.wait(drive, Some(self.clock.now() + LOOK_AGAIN), stop).await;
        Ok(None)
    }

    /// Waits to make a change again that could not be made; or says that it is not to be
    /// tried any more.
    pub(super) async fn wait_to_write(
        &self,
        drive: &mut Drive,
        error: &ClusterError,
        stop: &CancellationToken,
    ) -> Result<Option<End>, StoreError> {
        let Some((obstacle, why)) = error.obstacle() else { return Ok(None) };
        tracing::warn!(why, "the change could not be made; trying again");
        let what = "the change cannot be made";
        if obstacle == Obstacle::Denied {
            self.denied.lock().await.insert(drive.lease.order, why.clone());
            self.stand_changed.notify_one();
        }
        let seen = self.cluster.observe(&drive.key);
        if let Some(end) = self.note_outage(drive, (obstacle, what, why), &seen).await? {
            self.forget_denied(drive.lease.order).await;
            return self.write(drive, &end).await;
        }
        if let ClusterError::Busy { seconds, .. } = error {
            let pause = Duration::from_secs(u64::from(*seconds)).min(LONGEST_BUSY);
            drive.busy_until = Some(Instant::now() + pause);
        }
        self.wait_to_retry(drive, stop).await;
        Ok(None)
    }

    /// Notes that the order cannot go on. Some = it ends so.
    async fn note_outage(
        &self,
        drive: &mut Drive,
        (obstacle, what, why): (Obstacle, &'static str, String),
        seen: &Observation,
    ) -> Result<Option<rollout::Transition>, StoreError> {
        let (now, order) = (self.clock.now(), &mut drive.order);
        let present = drive.outage.get_or_insert_with(|| Present {
            met: order.outages.meet(obstacle, now),
            first: now,
            told: None,
        });
        present.met = present.met.then(obstacle, now);
        let outage = Outage { met: present.met, what, why };
        let is_new = present.told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if !order.state.is_final() && is_new && now.duration_since(present.first) >= TOLD_AFTER {
            present.told = Some(Instant::now());
            let message = rollout::outage_message(order, &outage);
            self.store.note_outage(drive.lease, outage.met, &message, now).await?;
            order.outages.since.get_or_insert(outage.met.any_since);
            order.outages.obstacle = Some((obstacle, outage.met.lasts(now)));
            self.changed.note(drive.lease.order);
        }
        match rollout::outage(order, &outage, seen, now) {
            Decision::Transition(end) => Ok(Some(*end)),
            Decision::Wait { until, .. } => {
                // Nothing ends by this outage now. Should it later, then by what lasts from now.
                if until.is_none() {
                    present.met = present.met.anew(now);
                }
                Ok(None)
            }
        }
    }

    /// The order can go on: what it was kept from does not count.
    pub(super) async fn end_outage(&self, drive: &mut Drive) -> Result<(), StoreError> {
        if self.note_answer(drive).await? {
            tracing::info!("the order can go on");
            self.reload(drive).await?;
        }
        Ok(())
    }

    /// An answer came, whatever it says: nothing is in the way any more. The order stays as
    /// it was asked for. Returns whether that was noted.
    pub(super) async fn note_answer(&self, drive: &mut Drive) -> Result<bool, StoreError> {
        drive.outage = None;
        let order = &mut drive.order;
        if order.outages.since.is_none() || order.state.is_final() {
            return Ok(false);
        }
        let now = self.clock.now();
        self.store.end_outage(drive.lease, now).await?;
        order.outages = order.outages.ended(now);
        self.changed.note(drive.lease.order);
        Ok(true)
    }

    pub(super) async fn forget_denied(&self, order: OrderId) {
        if self.denied.lock().await.remove(&order).is_some() {
            self.stand_changed.notify_one();
        }
    }

    /// What follows from a newer fencing token on the Deployment.
    pub(super) async fn meet_newer(
        &self,
        drive: &mut Drive,
        token: i64,
        by: Option<OrderId>,
    ) -> Result<Option<End>, StoreError> {
        match self.store.raise_token(drive.lease, token, by).await? {
            Newer::Executor => {
                tracing::warn!(token, "a newer executor wrote the Deployment");
                Ok(Some(End::Lost))
            }
            Newer::Nobody(lease) => {
                tracing::warn!(
                    token,
                    lease.generation,
                    "the fencing token on the Deployment is newer than any of this database: it was restored from a backup, or somebody edited the annotation; tokens go on from there"
                );
                drive.lease = lease;
                drive.raised += 1;
                // A second program on a copy of this database would do the same, in turns.
                if drive.raised <= 1 {
                    return Ok(None);
                }
                let twice = "its fencing token keeps being newer than any of this database: another program releases it too, on a copy of this database. Nothing is done on it";
                self.leave_alone(drive, twice).await
            }
            Newer::Order(by) => {
                let moved = format!(
                    "the change order {by} released it since, and this database does not know that one: it was restored from an older backup. The Deployment is left as it is"
                );
                self.leave_alone(drive, &moved).await
            }
        }
    }

    /// Ends the order without another write: the Deployment is somebody else's.
    pub(super) async fn leave_alone(
        &self,
        drive: &mut Drive,
        why: &str,
    ) -> Result<Option<End>, StoreError> {
        match rollout::left_alone(&drive.order, why) {
            Decision::Transition(transition) => self.write(drive, &transition).await,
            Decision::Wait { .. } => Ok(None),
        }
    }
}
