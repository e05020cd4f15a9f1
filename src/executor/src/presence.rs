//! Shows the other executors that this one lives, and takes over at once from those whose
//! process was killed.

use std::{sync::Arc, time::Duration};

use super::Executor;
use store::{Presence, Presences, StoreError};

/// Time between two looks at the others.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Pause before the lock is taken again that was lost.
const AGAIN: Duration = Duration::from_millis(200);

impl Executor {
    pub(super) async fn keep_presence(self: Arc<Self>) {
        loop {
            let shown = self.store.show_presence(&self.settings.cluster, &self.holder).await;
            let lost = match shown {
                Ok(Some(presence)) => self.look_at_others(presence).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            match lost {
                Ok(()) => {
                    tracing::warn!(
                        "a pooler before Postgres lends a connection for each transaction: if this process is killed, its orders wait until its leases run out (--lease)"
                    );
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the connection that shows that this executor lives was lost");
                }
            }
            // Others may hold its leases by now: it looks whether it still does.
            self.wake_all().await;
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Looks at the others until the connection is lost, or is found to be shared.
    async fn look_at_others(&self, mut presence: Presence) -> Result<(), StoreError> {
        let cluster = &self.settings.cluster;
        loop {
            match presence.look(cluster, &self.holder).await? {
                Presences::Gone(gone) if gone.is_empty() => {}
                Presences::Gone(gone) => self.end_leases_of(&gone).await,
                Presences::Unrecorded => presence.record(cluster, &self.holder).await?,
                Presences::Shared => return self.store.withdraw_presence(&self.holder).await,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn end_leases_of(&self, gone: &[String]) {
        match self.store.end_leases_of(&self.settings.cluster, gone).await {
            Ok(0) => {}
            Ok(orders) => {
                tracing::info!(orders, "an executor is gone, and its orders are taken over");
                self.due.notify_one();
            }
            Err(error) => {
                tracing::warn!(%error, "the leases of an executor that is gone could not be ended")
            }
        }
    }
}
