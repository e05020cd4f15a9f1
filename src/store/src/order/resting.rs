//! What somebody set while an order that ended came to rest.

use crate::{StoreError, Tx, sealed::SNAPSHOT};
use domain::order::{DeploymentBefore, Order};

impl Tx {
    /// Keeps `before`, what the Deployment was before `order` with what was set since: for the
    /// application, and for the order that was accepted meanwhile and waits to begin.
    ///
    /// # Errors
    /// [`StoreError::Sql`], or a snapshot that cannot be opened.
    pub(super) async fn renew_resting_snapshot(
        &mut self,
        order: &Order,
        before: &DeploymentBefore,
    ) -> Result<(), StoreError> {
        self.keep_resting_snapshot(order.application, Some(&order.leaves(before))).await?;
        let waiting = sqlx::query!(
            "/* waiting_snapshot */ SELECT id, snapshot FROM change_order
             WHERE application_id = $1 AND id <> $2 AND finished_at IS NULL AND step = 'start' AND snapshot IS NOT NULL FOR UPDATE",
            order.application.0,
            order.id.0
        )
        .fetch_optional(self.connection())
        .await?;
        let Some(waiting) = waiting else { return Ok(()) };
        let known: Option<DeploymentBefore> =
            self.keyring.open_some(SNAPSHOT, waiting.id, waiting.snapshot)?;
        let Some(known) = known else { return Ok(()) };
        let renewed = DeploymentBefore {
            settings: before.settings.clone(),
            owners: before.owners.clone(),
            ..known
        };
        let renewed = self.keyring.seal_document(SNAPSHOT, waiting.id, &renewed)?;
        sqlx::query!(
            "/* renew_snapshot */ UPDATE change_order SET snapshot = $2 WHERE id = $1",
            waiting.id,
            renewed.bytes
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
