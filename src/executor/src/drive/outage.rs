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
    order::outage::{Obstacle, Outage},
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
    since: Timestamp,
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
        if let Some(end) = self.note_outage(drive, obstacle, what, why).await? {
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
        if let Some(end) = self.note_outage(drive, obstacle, what, why).await? {
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
        obstacle: Obstacle,
        what: &'static str,
        why: String,
    ) -> Result<Option<rollout::Transition>, StoreError> {
        let now = self.clock.now();
        let since = drive.order.outages.since;
        let present =
            drive.outage.get_or_insert_with(|| Present { since: since.unwrap_or(now), told: None });
        let outage = Outage { obstacle, what, why, since: present.since };
        let is_new = present.told.is_none_or(|at| at.elapsed() >= TELL_EVERY);
        if !drive.order.state.is_final()
            && is_new
            && now.duration_since(present.since) >= TOLD_AFTER
        {
            present.told = Some(Instant::now());
            let message = rollout::outage_message(&outage);
            self.store.note_outage(drive.lease, outage.since, &message).await?;
            self.changed.note(drive.lease.order);
        }
        match rollout::outage(&drive.order, &outage, now) {
            Decision::Transition(end) => Ok(Some(*end)),
            Decision::Wait { .. } => Ok(None),
        }
    }

    /// The order can go on: what it was kept from does not count.
    pub(super) async fn end_outage(&self, drive: &mut Drive) -> Result<(), StoreError> {
        let present = drive.outage.take();
        let is_noted = drive.order.outages.since.is_some()
            || present.is_some_and(|present| present.told.is_some());
        if !is_noted || drive.order.state.is_final() {
            return Ok(());
        }
        self.store.end_outage(drive.lease, self.clock.now()).await?;
        self.changed.note(drive.lease.order);
        tracing::info!("the order can go on");
        self.reload(drive).await
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
