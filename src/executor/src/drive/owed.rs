//! A way back whose order ended since the cluster could not be reached.

use tokio_util::sync::CancellationToken;

use super::{Drive, End, Executor};
use domain::{
    observed::{Facts, Observation},
    rollout::{self, Decision},
};
use store::StoreError;

impl Executor {
    /// Makes the change of such an order, but looks first: much time may have passed, and it
    /// must not overwrite what somebody else released since.
    pub(super) async fn make_owed(
        &self,
        drive: &mut Drive,
        stop: &CancellationToken,
    ) -> Result<Option<End>, StoreError> {
        if let Some(blindness) = self.cluster.blindness_of(&drive.key.namespace) {
            return self.wait_for_sight(drive, blindness, stop).await;
        }
        let facts = Facts { deployment: self.cluster.observe(&drive.key) };
        if facts.deployment == Observation::Unknown {
            // A watch broke just now.
            self.wait_to_retry(drive, stop).await;
            return Ok(None);
        }
        match rollout::decide(&drive.order, &facts, self.clock.now()) {
            Decision::Transition(transition) => self.write(drive, &transition).await,
            Decision::Wait { .. } => self.make_change(drive, Some(&facts.deployment), stop).await,
        }
    }
}
