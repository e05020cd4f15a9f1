//! What the pods of an application have printed: a bounded part, read once.

use std::{collections::VecDeque, time::Duration};

use futures::{AsyncRead, AsyncReadExt, future::join_all};
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

/// Most bytes that are read of the lines of one pod, of which the last are kept.
const MOST_READ: u64 = 16 << 20;

/// Longest time for one pod: another's kubelet may not answer, and whoever asked waits.
const WITHIN: Duration = Duration::from_secs(4);

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
                ..LogParams::default()
            };
            let stream = api.log_stream(&pod.name, &parameters).await?;
            end_of(stream.take(MOST_READ)).await.map_err(kube::Error::ReadEvents)
        };
        let read = tokio::time::timeout(WITHIN, bounded(read)).await;
        let late = || ClusterError::Transient(format!("no answer within {} s", WITHIN.as_secs()));
        match read.unwrap_or_else(|_| Err(late())) {
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

/// The last [`LOGGED_BYTES`] of a stream. A limit that the kubelet is told counts from the
/// first of the lines that are asked for, so that the newest ones would be missing.
async fn end_of(mut stream: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut part) = (VecDeque::new(), vec![0; 8192]);
    loop {
        let read = stream.read(&mut part).await?;
        if read == 0 {
            return Ok(kept.into());
        }
        kept.extend(&part[..read]);
        let over = kept.len().saturating_sub(LOGGED_BYTES);
        kept.drain(..over);
    }
}

/// The application's container of a pod; the first one where that is in doubt.
fn container_of(pod: &Pod, key: &Key, wanted: &LogQuery) -> String {
    let object = pod.object.as_ref().unwrap_or(&Value::Null);
    let names = container::names(object);
    let index = container::find(object, &wanted.known, &key.name, None).unwrap_or(0);
    names.get(index).cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_much_the_end_is_kept() {
        let text: Vec<u8> = (0..LOGGED_BYTES * 2 + 5).map(|at| (at % 251) as u8).collect();
        let kept = end_of(text.as_slice()).await.unwrap();
        assert_eq!(kept, text[text.len() - LOGGED_BYTES..]);
        assert_eq!(end_of(&b"ab"[..]).await.unwrap(), b"ab");
    }
}
