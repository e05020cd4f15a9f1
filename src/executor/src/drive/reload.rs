//! An order that is driven is known from what was written. Where that may not be all, it is read.

use super::{Drive, pods::Pods};
use crate::Executor;
use store::{StoreError, TakenUp};

impl Executor {
    /// Reads the order, which somebody else may have changed.
    pub(super) async fn reload(&self, drive: &mut Drive) -> Result<(), StoreError> {
        if let Some(order) = self.store.order(drive.lease.order).await? {
            drive.order = order;
        }
        Ok(())
    }

    /// Reads the order with what is recorded of its pods, after a write of which nobody knows
    /// whether it was carried out.
    pub(super) async fn read_anew(&self, drive: &mut Drive) -> Result<(), StoreError> {
        if let Some(taken) = self.store.take_up(&[drive.lease]).await?.pop() {
            let TakenUp { order, pods, .. } = taken?;
            drive.pods = Pods::of(pods, &order.batches, order.batch);
            drive.order = order;
        }
        drive.is_known = true;
        Ok(())
    }
}
