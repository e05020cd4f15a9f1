//! What only the cluster knows of an application: its Deployment and its pods.
//!
//! An executor looks for us; the question goes to it and the answer comes back
//! through the database. If no executor can reach the cluster, the call fails; stale data is never returned.

use std::{collections::BTreeMap, time::Duration};

use super::{Error, Service, read::EXECUTOR_SECONDS};
use crate::answer::until_answered;
use domain::{
    ApplicationId, ClusterId, Rejection,
    application::Application,
    object::write::ObjectKind,
    observed::cluster_state::{ClusterState, Pod, QueryKind},
};
use store::OrderView;

/// How long it is waited for: the API server takes seconds to tell of thousands of pods,
/// and a request has 8 s in all.
const SEEN_WITHIN: Duration = Duration::from_secs(6);

/// A pod of an application.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceView {
    pub pod: Pod,
    /// Text of the version it is; empty where it does not say.
    pub version: String,
    /// Whether it is a canary of an open order.
    pub canary: bool,
    /// The labels of its node; none where they were not wanted or may not be seen.
    pub node_labels: Option<serde_json::Value>,
}

impl Service {
    /// The Deployment of an application, as it is now.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`], [`Rejection::NoDeployment`] or [`Rejection::Unseen`].
    pub async fn deployment(&self, id: ApplicationId) -> Result<serde_json::Value, Error> {
        let application = self.permitted_application(id).await?;
        self.deployment_of(&application, QueryKind::Deployment).await
    }

    /// The Deployment of an application, as it is wanted.
    pub(super) async fn deployment_of(
        &self,
        application: &Application,
        wanted: QueryKind,
    ) -> Result<serde_json::Value, Error> {
        let seen = self.query(application, wanted).await?;
        let none = || Rejection::NoDeployment {
            namespace: application.namespace.clone(),
            name: application.name.clone(),
        };
        seen.and_then(|state| state.deployment).ok_or_else(|| none().into())
    }

    /// The pods of an application, as they are now; with their objects where
    /// `whole`, and with the labels of their nodes where `nodes`. Empty where there
    /// is no Deployment.
    ///
    /// # Errors
    /// [`Rejection::UnknownApplication`] or [`Rejection::Unseen`].
    pub async fn instances(
        &self,
        id: ApplicationId,
        whole: bool,
        nodes: bool,
    ) -> Result<Vec<InstanceView>, Error> {
        let application = self.permitted_application(id).await?;
        let Some(state) = self.query(&application, QueryKind::Pods { whole, nodes }).await? else {
            return Ok(Vec::new());
        };
        let versions = self.store.version_texts(id).await?;
        let newest = self.store.newest_order(id).await?;
        let canaries = match newest.filter(has_canary) {
            Some(order) => self
                .store
                .batch_rows(order.id)
                .await?
                .into_iter()
                .take(1)
                .flat_map(|batch| batch.pods)
                .collect(),
            None => Vec::new(),
        };
        let view = |pod: Pod| InstanceView {
            version: pod
                .release
                .and_then(|release| versions.get(&release).cloned())
                .unwrap_or_default(),
            canary: canaries.iter().any(|canary| canary.name == pod.name),
            node_labels: state.node_labels.get(&pod.node).cloned(),
            pod,
        };
        Ok(state.pods.into_iter().map(view).collect())
    }

    pub(super) async fn query(
        &self,
        application: &Application,
        wanted: QueryKind,
    ) -> Result<Option<ClusterState>, Error> {
        self.query_cluster(&application.cluster, &application.namespace, &application.name, wanted)
            .await
    }

    /// Objects of a kind as they are now on a cluster, whoever made them: of one namespace or of all
    /// (empty), with one name or any (empty), with these labels.
    ///
    /// # Errors
    /// [`Rejection::Unseen`].
    pub async fn objects(
        &self,
        cluster: &ClusterId,
        kind: ObjectKind,
        namespace: &str,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Result<Vec<serde_json::Value>, Error> {
        let seen = self
            .query_cluster(cluster, namespace, name, QueryKind::Objects { kind, labels })
            .await?;
        Ok(seen.map(|state| state.objects).unwrap_or_default())
    }

    async fn query_cluster(
        &self,
        cluster: &ClusterId,
        namespace: &str,
        name: &str,
        wanted: QueryKind,
    ) -> Result<Option<ClusterState>, Error> {
        if self.store.executors(cluster, EXECUTOR_SECONDS).await?.reaching == 0 {
            return Err(Rejection::Unseen("no executor reaches it".into()).into());
        }
        let id = self
            .store
            .send_cluster_query(cluster, namespace, name, wanted, self.clock.now())
            .await?;
        match until_answered(SEEN_WITHIN, || self.store.take_query_answer(id)).await? {
            Some(Ok(seen)) => Ok(seen),
            Some(Err(why)) => Err(Rejection::Unseen(why).into()),
            None => {
                self.store.withdraw_cluster_query(id).await?;
                Err(Rejection::Unseen("no executor answered in time: try again".into()).into())
            }
        }
    }
}

fn has_canary(order: &OrderView) -> bool {
    order.strategy.canary > 0 && !order.state.is_final()
}
