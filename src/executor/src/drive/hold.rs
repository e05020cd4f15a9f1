//! Orders that are held off before they begin.

use super::{Drive, End};
use crate::Executor;
use domain::hold::Hold;
use store::StoreError;

impl Executor {
    /// Leaves an order alone that is held off, until that ends by itself or somebody says
    /// something. One that nothing holds any more goes on.
    pub(super) async fn hold_off(
        &self,
        drive: &mut Drive,
        hold: &Hold,
    ) -> Result<Option<End>, StoreError> {
        let now = self.clock.now();
        let Some((held, message)) = hold.judge(now) else {
            self.store.end_hold(drive.lease, &drive.order, now).await?;
            self.changed.note(drive.order.id);
            self.reload(drive).await?;
            return Ok(None);
        };
        if hold.found != Some(held) {
            tracing::info!(by = %held.by, "{message}");
            self.store.record_hold(drive.lease, &drive.order, held, &message, now).await?;
            self.changed.note(drive.order.id);
        }
        Ok(Some(End::GiveBack(held.until)))
    }
}
