//! The clusters that servers drive, as an operator adds and removes them.

use crate::{Error, Service, read::EXECUTOR_SECONDS};
use domain::{ClusterId, ClusterIdentity, Input, Rejection};
use store::{NewKubeconfig, SeenCluster, Tx};

/// Most clusters that servers drive with a kubeconfig.
const MOST_DRIVEN: i64 = 100;

/// A cluster as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrivenCluster {
    pub seen: SeenCluster,
    /// Change orders of it that are open.
    pub open_orders: i64,
}

impl Service {
    /// Has servers drive a cluster with a kubeconfig, or lets an executor of its own drive it
    /// where there is none. Says whether a kubeconfig was dropped.
    ///
    /// # Errors
    /// An id or an identity that is on record otherwise, a kubeconfig that is there already, or
    /// one cluster too many.
    pub async fn add_cluster(
        &self,
        id: &ClusterId,
        credential: Option<(&ClusterIdentity, &NewKubeconfig)>,
    ) -> Result<bool, Error> {
        self.on_record("add_cluster", &format!("cluster/{id}"), |tx| {
            Box::pin(async {
                let before = tx.lock_identity(id).await?.flatten();
                let known = tx.recorded_cluster(id).await?;
                let is_new = known.is_none_or(|it| it.forgotten);
                let Some((identity, new)) = credential else {
                    tx.remember_cluster(id).await?;
                    return Ok(tx.delete_kubeconfig(id).await?);
                };
                if known.is_some_and(|it| it.has_kubeconfig) {
                    let allowed = format!(
                        "has a kubeconfig already: `sluice cluster rotate {id} --kubeconfig FILE` puts another one in its place"
                    );
                    return Err(Rejection::invalid(Input::Cluster, id, allowed).into());
                }
                let is_other = before.as_ref() != Some(identity);
                if let Some(before) = before.filter(|_| is_other && !is_new) {
                    return Err(other_identity(id, &before, identity).into());
                }
                free_identity(tx, id, identity).await?;
                if tx.count_kubeconfigs().await? >= MOST_DRIVEN {
                    let allowed = format!("servers drive {MOST_DRIVEN} clusters at the most");
                    return Err(Rejection::invalid(Input::Cluster, id, allowed).into());
                }
                tx.remember_cluster(id).await?;
                if is_other {
                    tx.replace_identity(id, identity).await?;
                }
                tx.insert_kubeconfig(id, new, self.clock.now()).await?;
                Ok(false)
            })
        })
        .await
    }

    /// Puts another kubeconfig of the same cluster in the place of the one that servers drive
    /// it with.
    ///
    /// # Errors
    /// An unknown cluster, one without a kubeconfig, or a kubeconfig of another cluster.
    pub async fn rotate_kubeconfig(
        &self,
        id: &ClusterId,
        identity: &ClusterIdentity,
        new: &NewKubeconfig,
    ) -> Result<(), Error> {
        self.on_record("rotate_kubeconfig", &format!("cluster/{id}"), |tx| {
            Box::pin(async {
                let before = self.lock_known(tx, id).await?;
                if !tx.recorded_cluster(id).await?.is_some_and(|it| it.has_kubeconfig) {
                    let allowed = format!(
                        "has no kubeconfig: `sluice cluster add {id} --kubeconfig FILE` has servers drive it"
                    );
                    return Err(Rejection::invalid(Input::Cluster, id, allowed).into());
                }
                if let Some(before) = before.filter(|it| it != identity) {
                    return Err(other_identity(id, &before, identity).into());
                }
                Ok(tx.rotate_kubeconfig(id, new, self.clock.now()).await?)
            })
        })
        .await
    }

    /// Removes a cluster that nothing is left on: its kubeconfig is deleted, requests do not know
    /// it any more, and its identity may get another id.
    ///
    /// # Errors
    /// An unknown cluster, one with applications or open work, or one that an executor of its
    /// own drives, which would go on.
    pub async fn forget_cluster(&self, id: &ClusterId) -> Result<(), Error> {
        let alive = self.store.executors(id, EXECUTOR_SECONDS).await?.alive;
        self.on_record("forget_cluster", &format!("cluster/{id}"), |tx| {
            Box::pin(async {
                self.lock_known(tx, id).await?;
                let now = self.clock.now();
                let applications = tx.remove_cluster(id, now).await?;
                let open = tx.open_work(id).await?;
                let orders = open.orders.len();
                if applications > 0 || orders > 0 || open.object_writes > 0 {
                    let allowed = format!(
                        "is removed once nothing is left on it: it has {applications} applications, {orders} open change orders and {} other writes that are not over",
                        open.object_writes
                    );
                    return Err(Rejection::invalid(Input::Cluster, id, allowed).into());
                }
                if !tx.delete_kubeconfig(id).await? && alive > 0 {
                    let allowed = format!(
                        "is removed once no program drives it as its own: {alive} of them run with --cluster-id {id}"
                    );
                    return Err(Rejection::invalid(Input::Cluster, id, allowed).into());
                }
                Ok(tx.forget_cluster(id, now).await?)
            })
        })
        .await
    }

    /// Every cluster that is on record, by its id.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn driven_clusters(&self) -> Result<Vec<DrivenCluster>, Error> {
        let mut all = Vec::new();
        for seen in self.store.clusters(EXECUTOR_SECONDS).await? {
            let open_orders = self.store.count_open_orders(&seen.id).await?;
            all.push(DrivenCluster { seen, open_orders });
        }
        Ok(all)
    }

    /// The identity of a cluster that is on record, which stays until the transaction ends.
    async fn lock_known(
        &self,
        tx: &mut Tx,
        id: &ClusterId,
    ) -> Result<Option<ClusterIdentity>, Error> {
        let unknown = || Rejection::UnknownCluster(id.to_string());
        let identity = tx.lock_identity(id).await?.ok_or_else(unknown)?;
        match tx.recorded_cluster(id).await? {
            Some(known) if !known.forgotten => Ok(identity),
            _ => Err(unknown().into()),
        }
    }
}

/// Refuses an identity that another cluster has; one that was removed gives it up.
async fn free_identity(
    tx: &mut Tx,
    id: &ClusterId,
    identity: &ClusterIdentity,
) -> Result<(), Error> {
    let Some(other) = tx.cluster_of(identity).await?.filter(|other| other != id) else {
        return Ok(());
    };
    tx.lock_identity(&other).await?;
    if tx.recorded_cluster(&other).await?.is_some_and(|it| it.forgotten) {
        return Ok(tx.release_identity(&other).await?);
    }
    let allowed =
        format!("it is the identity of the cluster {other} already, and a cluster has one id");
    Err(Rejection::invalid(Input::ClusterIdentity, identity, allowed).into())
}

fn other_identity(
    id: &ClusterId,
    before: &ClusterIdentity,
    identity: &ClusterIdentity,
) -> Rejection {
    let allowed = format!(
        "the cluster {id} has the identity {before}, and this is another cluster. If it takes the place of {id}, since that was built anew: `sluice cluster replace --cluster-id {id} --identity {identity}`"
    );
    Rejection::invalid(Input::ClusterIdentity, identity, allowed)
}
