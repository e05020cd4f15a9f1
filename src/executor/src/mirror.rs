//! Mirrors into the database what the service needs to know: the cluster's version and
//! namespaces, the applications' numbers of pods, and the heartbeat of the executor.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Executor;
use cluster::{Key, Mirror};
use domain::KnownCluster;
use store::Numbers;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// Time for which a cluster's version is taken to be the same.
const VERSION_FOR: Duration = Duration::from_secs(3600);

/// Time after which the cluster is mirrored anew: another executor may have written something
/// else since, or the database was restored.
const CLUSTER_ANEW: Duration = Duration::from_secs(60);

/// Time after which the numbers of all Deployments are mirrored anew.
const MIRROR_ANEW: Duration = Duration::from_secs(10);

/// Shortest time between two mirrors of numbers of pods: those that change meanwhile are mirrored
/// together, each once.
const MIRROR_APART: Duration = Duration::from_secs(1);

/// Deployments in one statement.
const MIRRORED_AT_ONCE: usize = 1000;

impl Executor {
    pub(super) async fn heartbeat(self: Arc<Self>) {
        let mut standing = self.standing.subscribe();
        let (mut version, mut asked_at) = (None, Instant::now());
        let (mut mirrored, mut mirrored_at, mut before) = (None, Instant::now(), None);
        loop {
            let (known, reachable) = (self.known(), self.cluster.is_reachable());
            // Control planes are upgraded, and replaced.
            if known != before || asked_at.elapsed() > VERSION_FOR {
                (version, before) = (None, known.clone());
            }
            let trouble = if reachable && known.is_some() {
                self.denied.lock().await.values().min().map(|why| {
                    format!("changes cannot be made on the cluster, a right is missing: {why}")
                })
            } else {
                Some(self.trouble())
            };
            if reachable && version.is_none() {
                (version, asked_at) = (self.cluster.version().await.ok(), Instant::now());
            }
            if let Err(error) = self
                .store
                .heartbeat(
                    &self.settings.cluster,
                    &self.holder,
                    trouble.as_deref().map_or(Ok(()), Err),
                    &self.warnings(),
                )
                .await
            {
                tracing::warn!(%error, "heartbeat failed");
            }
            let seen = (known, version.clone(), self.cluster.namespaces());
            if mirrored_at.elapsed() > CLUSTER_ANEW {
                mirrored = None;
            }
            if let (true, (Some(cluster), Some(version), namespaces)) =
                (reachable && mirrored.as_ref() != Some(&seen), &seen)
            {
                match self
                    .store
                    .mirror_cluster(
                        cluster,
                        version,
                        namespaces,
                        self.cluster.scope(),
                        self.clock.now(),
                    )
                    .await
                {
                    Ok(()) => (mirrored, mirrored_at) = (Some(seen), Instant::now()),
                    Err(error) => tracing::warn!(%error, "could not mirror the cluster"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(HEARTBEAT) => {}
                () = self.cluster.namespaces_changed() => {}
                () = self.stand_changed.notified() => {}
                _ = standing.changed() => {}
            }
        }
    }

    /// Mirrors numbers of pods as they change; and all of them now and then, since an
    /// application that was adopted meanwhile began with those of a moment before.
    pub(super) async fn mirror_replicas(self: Arc<Self>) {
        let mut anew = tokio::time::interval(MIRROR_ANEW);
        loop {
            let (mut mirrored, is_anew) = tokio::select! {
                mirrored = self.cluster.mirrored() => (mirrored, false),
                _ = anew.tick() => (self.cluster.mirrored_anew(), true),
            };
            let Some(cluster) = self.known() else { continue };
            if is_anew {
                mirrored.extend(self.absent(&cluster).await);
            }
            for part in mirrored.chunks(MIRRORED_AT_ONCE) {
                let seen: Vec<Numbers<'_>> = part
                    .iter()
                    .map(|it| Numbers {
                        namespace: &it.key.namespace,
                        name: &it.key.name,
                        replicas: it.replicas,
                        ready: it.ready,
                    })
                    .collect();
                if let Err(error) = self.store.mirror_replicas(&cluster, &seen).await {
                    tracing::warn!(%error, "could not mirror applications");
                }
            }
            tokio::time::sleep(MIRROR_APART).await;
        }
    }

    /// Applications whose Deployment is not there: it may have gone while nobody looked.
    async fn absent(&self, cluster: &KnownCluster) -> Vec<Mirror> {
        match self.store.deployments_on_record(cluster).await {
            Ok(keys) => {
                let keys = keys.into_iter().map(|(namespace, name)| Key { namespace, name });
                self.cluster.absent(keys.collect())
            }
            Err(error) => {
                tracing::warn!(%error, "could not read which applications there are");
                Vec::new()
            }
        }
    }
}
