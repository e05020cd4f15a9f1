//! What the service needs to know of the cluster, written to the database: its
//! version and namespaces, how many pods applications have, and that an
//! executor is alive.

use std::{sync::Arc, time::Duration};

use super::Executor;

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(3);

impl Executor {
    pub(super) async fn heartbeat(self: Arc<Self>) {
        let mut version = None;
        let mut mirrored = None;
        loop {
            let reachable = self.cluster.is_reachable();
            if reachable && version.is_none() {
                version = self.cluster.version().await.ok();
            }
            if let Err(error) = self.store.heartbeat(&self.holder, reachable).await {
                tracing::warn!(%error, "could not give a sign of life");
            }
            let seen = (version.clone(), self.cluster.namespaces());
            if let (true, Some(version)) = (mirrored.as_ref() != Some(&seen), &seen.0) {
                let done = self.store.mirror_cluster(&self.settings.cluster, version, &seen.1, self.clock.now()).await;
                match done {
                    Ok(()) => mirrored = Some(seen),
                    Err(error) => tracing::warn!(%error, "could not mirror the cluster"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.cluster.namespaces_changed() => {}
            }
        }
    }

    pub(super) async fn mirror_replicas(self: Arc<Self>) {
        loop {
            for mirror in self.cluster.mirrored().await {
                let (namespace, name) = (&mirror.key.namespace, &mirror.key.name);
                let done = self.store.mirror_replicas(&self.settings.cluster, namespace, name, mirror.replicas, mirror.ready).await;
                if let Err(error) = done {
                    tracing::warn!(%error, namespace, name, "could not mirror an application");
                }
            }
        }
    }
}
