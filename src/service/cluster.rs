//! The cluster as clients import and remove it.
//!
//! A server drives one cluster, and its operator decided so: nothing that a client says
//! ends that. A removed cluster is one that clients do not see, until one imports it
//! again or puts an application on it.

use super::{Caller, Error, Service};
use crate::domain::Rejection;

impl Service {
    /// Removes the cluster from what clients see.
    ///
    /// # Errors
    /// Another cluster, one that was removed before, or one with applications.
    pub async fn remove_cluster(&self, caller: &Caller, id: &str) -> Result<(), Error> {
        self.known_cluster(id)?;
        let mut tx = self.store.begin().await?;
        if let Some(first) = self.answered(&mut tx, caller).await? {
            return Ok(first);
        }
        if self.cluster().await?.removed {
            return Err(Rejection::RemovedCluster(id.into()).into());
        }
        let applications = tx.remove_cluster(id, self.clock.now()).await?;
        if applications > 0 {
            return Err(Rejection::ClusterInUse { id: id.into(), applications }.into());
        }
        self.answer(tx, caller, ()).await
    }

    /// Shows the cluster to clients again, where one removed it.
    ///
    /// # Errors
    /// Another cluster.
    pub async fn import_cluster(&self, id: &str) -> Result<(), Error> {
        self.known_cluster(id)?;
        let mut tx = self.store.begin().await?;
        tx.import_cluster(id).await?;
        Ok(tx.commit().await?)
    }
}
