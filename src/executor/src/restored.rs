//! A database that was restored from a backup: what moved on since then is listed when an
//! executor starts.

use std::{sync::Arc, time::Duration};

use super::Executor;
use store::Released;

/// Pause until it is looked again whether the cluster is seen.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl Executor {
    /// Lists, once, the Deployments that an order released which the database does not know.
    pub(super) async fn list_moved_on(self: Arc<Self>) {
        while !self.cluster.is_reachable() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        loop {
            match self.note_moved_on().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "what moved on since a backup cannot be noted");
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn note_moved_on(&self) -> Result<(), store::StoreError> {
        let installation = self.store.installation().await?;
        let found: Vec<Released> = self
            .cluster
            .released(installation)
            .into_iter()
            .map(|it| Released {
                namespace: it.key.namespace,
                name: it.key.name,
                order: it.order,
                image: it.image,
            })
            .collect();
        let now = self.clock.now();
        let moved = self.store.note_moved_on(&self.settings.cluster, &found, now).await?;
        for it in &moved {
            tracing::warn!(
                namespace = it.namespace,
                name = it.name,
                order.id = %it.order,
                image = it.image,
                "the Deployment was released by a change order that this database does not know: it was restored from an older backup"
            );
        }
        if !moved.is_empty() {
            tracing::warn!(
                deployments = moved.len(),
                "what moved on since the backup rests as it is: `sluice cluster moved-on` lists it, and says how to take it up or let it go"
            );
        }
        Ok(())
    }
}
