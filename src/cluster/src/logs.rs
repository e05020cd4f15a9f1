//! What the pods of an application have printed: a bounded part, read once.

use futures::{AsyncReadExt, future::join_all};
use k8s_openapi::api::core::v1::Pod as PodObject;
use kube::{Api, api::LogParams};
use serde_json::Value;

use super::{Cluster, ClusterError, Key, request::bounded};
use domain::{
    observed::cluster_state::{
        ClusterState, LOGGED_BYTES, LOGGED_LINES, LOGGED_PODS, LogQuery, Pod, PodLog,
    },
    template::container,
};

impl Cluster {
    /// The logs of the Deployment's pods.
    pub(super) async fn logs(
        &self,
        key: &Key,
        deployment: &Value,
        wanted: &LogQuery,
    ) -> Result<ClusterState, ClusterError> {
        let mut pods = self.pods_of(key, deployment, true).await?;
        // Only pods of the application: whoever may read its logs may not read all.
        pods.retain(|pod| wanted.pod.as_ref().is_none_or(|name| *name == pod.name));
        pods.sort_by_key(|pod| pod.ready_since.is_some());
        let unread_pods = pods.len().saturating_sub(LOGGED_PODS);
        let reads = pods.iter().take(LOGGED_PODS).map(|pod| self.log(key, pod, wanted));
        let logs = join_all(reads).await;
        Ok(ClusterState { logs, unread_pods, ..ClusterState::default() })
    }

    async fn log(&self, key: &Key, pod: &Pod, wanted: &LogQuery) -> PodLog {
        let container = wanted.container.clone().unwrap_or_else(|| container_of(pod, key, wanted));
        let read = async {
            let api: Api<PodObject> = Api::namespaced(self.client.clone(), &key.namespace);
            let parameters = LogParams {
                container: Some(container.clone()),
                previous: wanted.previous,
                tail_lines: Some(wanted.lines.clamp(1, LOGGED_LINES).into()),
                limit_bytes: Some(LOGGED_BYTES as i64),
                ..LogParams::default()
            };
            let stream = api.log_stream(&pod.name, &parameters).await?;
            let mut bytes = Vec::new();
            let most = LOGGED_BYTES as u64;
            stream.take(most).read_to_end(&mut bytes).await.map_err(kube::Error::ReadEvents)?;
            Ok(bytes)
        };
        match bounded(read).await {
            Ok(bytes) => PodLog::read(&pod.name, &container, &bytes),
            Err(error) => PodLog {
                unread: match error {
                    ClusterError::Gone => "the pod is gone".into(),
                    error => error.to_string(),
                },
                ..PodLog::read(&pod.name, &container, b"")
            },
        }
    }
}

/// The application's container of a pod; the first one where that is in doubt.
fn container_of(pod: &Pod, key: &Key, wanted: &LogQuery) -> String {
    let object = pod.object.as_ref().unwrap_or(&Value::Null);
    let names = container::names(object);
    let index = container::find(object, &wanted.known, &key.name, None).unwrap_or(0);
    names.get(index).cloned().unwrap_or_default()
}
