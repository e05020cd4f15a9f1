//! Drives every cluster whose kubeconfig is in the database, beside the program's own. They come,
//! go and get other kubeconfigs while the program runs.
//!
//! Each has an executor of its own, and none waits for another. Several programs may drive the
//! same clusters: an order's lease says which of them carries it out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clock::Clock;
use cluster::{Cluster, credential::Replace};
use domain::{ClusterId, rights::Scope};
use executor::{Executor, ExecutorConfig, Hearer, Notice, Notices};
use secrecy::ExposeSecret;
use service::OwnExecutors;
use store::{Kubeconfig, KubeconfigMark, Store};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Time between two looks at the clusters, should no notification arrive.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What the executors of a program have in common.
pub(crate) struct Driving {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) notices: Arc<Notices>,
    pub(crate) executors: OwnExecutors,
    pub(crate) lease: Duration,
    pub(crate) concurrency: usize,
    /// Whether requests to clusters are counted, and spans.
    pub(crate) counted: bool,
}

/// A cluster that is driven with a kubeconfig of the database.
struct Driven {
    version: Uuid,
    scope: Scope,
    replace: Replace,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The clusters that are driven now.
#[derive(Default)]
struct Fleet {
    driven: BTreeMap<ClusterId, Driven>,
    /// Why others cannot be.
    failed: BTreeMap<ClusterId, String>,
    /// Executors that are ending.
    ending: JoinSet<()>,
}

impl Driving {
    /// An executor of a cluster, which does nothing yet.
    pub(crate) fn executor(
        &self,
        cluster: &ClusterId,
        client: kube::Client,
        scope: &Scope,
    ) -> Arc<Executor> {
        let work = ExecutorConfig {
            cluster: cluster.clone(),
            lease: self.lease,
            concurrency: self.concurrency,
        };
        let client = if self.counted { cluster::counted(client) } else { client };
        let watched = Cluster::watch(client, scope.clone());
        let (store, clock) = (self.store.clone(), self.clock.clone());
        Executor::hearing(store, watched, clock, work, Some(self.notices.clone()))
    }

    /// Drives the clusters of the database, but for the program's own, until `stop` is cancelled
    /// and every executor has ended.
    pub(crate) async fn keep(self, own: Option<ClusterId>, stop: CancellationToken) {
        let (mut fleet, mut hearer) = (Fleet::default(), self.notices.hear());
        while !stop.is_cancelled() {
            match self.store.kubeconfig_marks().await {
                Ok(mut marks) => {
                    marks.retain(|it| Some(&it.cluster) != own.as_ref());
                    self.adjust(&mut fleet, &marks, &stop).await;
                }
                Err(error) => tracing::warn!(%error, "could not look which clusters there are"),
            }
            while fleet.ending.try_join_next().is_some() {}
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = told(&mut hearer) => {}
            }
        }
        for (_, driven) in fleet.driven {
            fleet.ending.spawn(ended(driven));
        }
        fleet.ending.join_all().await;
    }

    /// Brings what is driven in line with what is on record.
    async fn adjust(&self, fleet: &mut Fleet, marks: &[KubeconfigMark], stop: &CancellationToken) {
        let is_marked = |id: &ClusterId| marks.iter().any(|it| it.cluster == *id);
        let gone: Vec<ClusterId> =
            fleet.driven.keys().filter(|id| !is_marked(id)).cloned().collect();
        for id in gone {
            tracing::info!(cluster = %id, "the cluster is driven no more: its kubeconfig was removed");
            self.end(fleet, &id);
        }
        fleet.failed.retain(|id, _| {
            if !is_marked(id) {
                self.executors.ended(id);
            }
            is_marked(id)
        });
        for mark in marks {
            let id = &mark.cluster;
            if fleet.driven.get(id).is_some_and(|it| it.task.is_finished()) {
                tracing::error!(cluster = %id, "an executor ended by itself, and begins anew");
                self.end(fleet, id);
            }
            if fleet.driven.get(id).is_some_and(|it| it.version == mark.version) {
                continue;
            }
            match self.take_up(fleet, id, stop).await {
                Ok(()) => {
                    fleet.failed.remove(id);
                }
                // Said once; tried at each look.
                Err(why) if fleet.failed.get(id) == Some(&why) => {}
                Err(why) => {
                    tracing::error!(cluster = %id, why, "the kubeconfig of the cluster cannot be used");
                    if !fleet.driven.contains_key(id) {
                        self.executors.failed(id, &why);
                    }
                    fleet.failed.insert(id.clone(), why);
                }
            }
        }
    }

    /// Begins with a cluster, or goes on with its kubeconfig of now.
    async fn take_up(
        &self,
        fleet: &mut Fleet,
        id: &ClusterId,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let read = self.store.kubeconfig(id).await;
        let Some(read) = read.map_err(|error| format!("the kubeconfig cannot be read: {error}"))?
        else {
            // It was removed just now.
            return Ok(());
        };
        let client = cluster::kubeconfig::client(read.kubeconfig.expose_secret()).await;
        let client = client.map_err(|why| format!("the kubeconfig cannot be used: {why}"))?;
        let Kubeconfig { version, scope, .. } = read;
        if let Some(driven) = fleet.driven.get_mut(id).filter(|it| it.scope == scope) {
            driven.replace.with(client);
            driven.version = version;
            tracing::info!(cluster = %id, "the cluster has another kubeconfig, which is used from now on");
            return Ok(());
        }
        self.end(fleet, id);
        let (client, replace) = cluster::credential::replaceable(client);
        let executor = self.executor(id, client, &scope);
        self.executors.begun(id, executor.holder());
        let stop = stop.child_token();
        let task = tokio::spawn(executor.run(stop.clone()));
        tracing::info!(cluster = %id, "the cluster is driven with the kubeconfig of the database");
        fleet.driven.insert(id.clone(), Driven { version, scope, replace, stop, task });
        Ok(())
    }

    /// Ends with a cluster; nobody waits until its executor has.
    fn end(&self, fleet: &mut Fleet, id: &ClusterId) {
        if let Some(driven) = fleet.driven.remove(id) {
            driven.stop.cancel();
            self.executors.ended(id);
            fleet.ending.spawn(ended(driven));
        }
    }
}

/// Waits until an executor has given back what it held.
async fn ended(driven: Driven) {
    if driven.task.await.is_err() {
        tracing::error!("an executor ended in a panic");
    }
}

/// Returns when other clusters may be on record.
async fn told(hearer: &mut Hearer) {
    while !matches!(hearer.next().await, Notice::Clusters | Notice::Anything) {}
}
