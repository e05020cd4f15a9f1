//! What the service needs to know of the cluster, written to the database: its
//! version and namespaces, how many pods applications have, and that an
//! executor is alive.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Executor;

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// Time for which a cluster's version is taken to be the same.
const VERSION_FOR: Duration = Duration::from_secs(3600);

/// Time after which a number that could not be written is written again.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

impl Executor {
    pub(super) async fn heartbeat(self: Arc<Self>) {
        let mut standing = self.standing.subscribe();
        let (mut version, mut asked_at) = (None, Instant::now());
        let (mut mirrored, mut before) = (None, None);
        loop {
            let (known, reachable) = (self.known(), self.cluster.is_reachable());
            // Control planes are upgraded, and replaced.
            if known != before || asked_at.elapsed() > VERSION_FOR {
                (version, before) = (None, known.clone());
            }
            let trouble = if reachable && known.is_some() { None } else { Some(self.trouble()) };
            if reachable && version.is_none() {
                (version, asked_at) = (self.cluster.version().await.ok(), Instant::now());
            }
            if let Err(error) = self.store.heartbeat(&self.settings.cluster, &self.holder, trouble.as_deref().map_or(Ok(()), Err)).await {
                tracing::warn!(%error, "could not give a sign of life");
            }
            let seen = (known, version.clone(), self.cluster.namespaces());
            if let (true, (Some(cluster), Some(version), namespaces)) = (reachable && mirrored.as_ref() != Some(&seen), &seen) {
                match self.store.mirror_cluster(cluster, version, namespaces, self.clock.now()).await {
                    Ok(()) => mirrored = Some(seen),
                    Err(error) => tracing::warn!(%error, "could not mirror the cluster"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.cluster.namespaces_changed() => {}
                _ = standing.changed() => {}
            }
        }
    }

    pub(super) async fn mirror_replicas(self: Arc<Self>) {
        let mut standing = self.standing.subscribe();
        loop {
            let mirrored = self.cluster.mirrored().await;
            let Some(cluster) = standing.borrow_and_update().known().cloned() else {
                self.cluster.mirror_again(mirrored.into_iter().map(|mirror| mirror.key));
                // The sender is this executor's own, and lives as long.
                let _ = standing.changed().await;
                continue;
            };
            let mut failed = Vec::new();
            for mirror in mirrored {
                let (namespace, name) = (&mirror.key.namespace, &mirror.key.name);
                let done = self.store.mirror_replicas(&cluster, namespace, name, mirror.replicas, mirror.ready).await;
                if let Err(error) = done {
                    tracing::warn!(%error, namespace, name, "could not mirror an application");
                    failed.push(mirror.key);
                }
            }
            if !failed.is_empty() {
                tokio::time::sleep(WRITE_AGAIN).await;
                self.cluster.mirror_again(failed);
            }
        }
    }
}
