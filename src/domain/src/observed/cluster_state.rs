//! The answer to a cluster query: what an executor sees of an application.
//!
//! Plain data; it travels from an executor to the service through the database. No
//! decision depends on it. It has Kubernetes' objects unchanged, but without the fields
//! that only programs read and the secret parts of a package's address.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ReleaseId,
    object::write::{ObjectKind, is_ours},
    observed::PodView,
    template::{container::Known, java, spec::release_of},
};

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryKind {
    /// The Deployment itself, as it may be shown.
    Deployment,
    /// The Deployment itself, with what is secret in a package's address: to compare with.
    Whole,
    /// The same, and beside it this pod template as the API server would store it.
    Filled { template: Value },
    Pods {
        whole: bool,
        /// The labels of their nodes too.
        nodes: bool,
    },
    /// Objects of a kind, whoever made them: those of the namespace, or of all where it
    /// is empty; the one of the name, or all where that is empty.
    Objects {
        kind: ObjectKind,
        /// Labels that they must have; empty = any.
        labels: BTreeMap<String, String>,
    },
    /// What its pods have printed.
    Logs(LogQuery),
}

/// What to read of the logs of an application's pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Only of this pod; none = of all, the first [`LOGGED_PODS`].
    pub pod: Option<String>,
    /// Of this container; none = of the application's.
    pub container: Option<String>,
    /// What is on record about which container is the application's.
    #[serde(default)]
    pub known: Known,
    /// Of the container that ended before the present one.
    pub previous: bool,
    /// Last lines of each.
    pub lines: u32,
}

/// Most pods whose logs are read at once.
pub const LOGGED_PODS: usize = 10;

/// Largest part of a log that is read, in bytes.
pub const LOGGED_BYTES: usize = 64 << 10;

/// Most lines that are read of a log.
pub const LOGGED_LINES: u32 = 1000;

/// What a container of a pod has printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodLog {
    pub pod: String,
    pub container: String,
    pub text: String,
    /// Why nothing can be read, in Kubernetes' words; empty = it could.
    pub unread: String,
}

impl PodLog {
    /// One of which these bytes were read. What is no text is replaced, and so is what the
    /// database cannot hold.
    #[must_use]
    pub fn read(pod: &str, container: &str, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
        Self { pod: pod.into(), container: container.into(), text, unread: String::new() }
    }
}

/// What was seen. Where an application was looked at, there is nothing without a Deployment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClusterState {
    /// The Deployment, where it was wanted.
    pub deployment: Option<Value>,
    /// The pod template that was given, with the API server's own values; none where it
    /// was not wanted, or would be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filled: Option<Value>,
    /// Its pods that are not on their way out, by name; where they were wanted.
    pub pods: Vec<Pod>,
    /// The labels of their nodes, by the node's name, as far as they may be seen.
    pub node_labels: BTreeMap<String, Value>,
    /// The objects that were wanted, by namespace and name, without their bookkeeping.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// The logs that were wanted: those of pods that are not Ready come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<PodLog>,
    /// Pods whose logs were not read, since they are too many.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unread_pods: usize,
}

fn is_none(count: &usize) -> bool {
    *count == 0
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    pub name: String,
    /// Its address, empty while it has none.
    pub ip: String,
    /// Name of its node, empty while it has none.
    pub node: String,
    /// Address of its node, empty while it has none.
    pub node_ip: String,
    pub phase: String,
    /// What a container of it waits for in vain, such as `CrashLoopBackOff`; empty = none does.
    pub trouble: String,
    pub created_at: Option<Timestamp>,
    /// Since when it is Ready; none = it is not.
    pub ready_since: Option<Timestamp>,
    /// Since when it is not Ready, where Kubernetes says so.
    pub unready_since: Option<Timestamp>,
    /// The version it says it is.
    pub release: Option<ReleaseId>,
    /// The object, where it was wanted.
    pub object: Option<Value>,
}

/// What a pod is about, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodHealth {
    Ready,
    /// It runs and is not Ready.
    Unready,
    /// It does not run yet.
    Starting,
    /// It ran to its end, well.
    Ended,
    /// It ran to its end, not well.
    Failed,
    /// Kubernetes does not know.
    Unknown,
}

impl Pod {
    /// The pod that `object` is, as `view` reads it.
    #[must_use]
    pub fn of(object: &Value, view: &PodView, whole: bool) -> Self {
        let text = |path: &str| {
            object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Self {
            name: view.name.clone(),
            ip: view.ip.clone(),
            node: text("/spec/nodeName"),
            node_ip: text("/status/hostIP"),
            phase: view.phase.clone(),
            trouble: view.trouble().unwrap_or_default().to_owned(),
            created_at: view.created_at,
            ready_since: view.ready_since,
            unready_since: view.unready_since,
            release: release_of(object),
            object: whole.then(|| public_view(object.clone(), "/spec")),
        }
    }

    /// What it is about.
    #[must_use]
    pub fn health(&self) -> PodHealth {
        match self.phase.as_str() {
            "Running" if self.ready_since.is_some() => PodHealth::Ready,
            "Running" => PodHealth::Unready,
            "Pending" => PodHealth::Starting,
            "Succeeded" => PodHealth::Ended,
            "Failed" => PodHealth::Failed,
            _ => PodHealth::Unknown,
        }
    }
}

/// A Deployment as it may be shown.
#[must_use]
pub fn public_deployment(object: Value) -> Value {
    public_view(object, "/spec/template/spec")
}

/// Another object as it may be shown: without the bookkeeping of field managers. Of a
/// Secret that we did not make the values are empty: whoever may call us may not see
/// every Secret of the cluster.
#[must_use]
pub fn public_object(mut object: Value) -> Value {
    if object["kind"] == ObjectKind::Secret.word() {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            // kubectl keeps there what was applied.
            metadata.remove("annotations");
        }
        if !is_ours(&object)
            && let Some(data) = object["data"].as_object_mut()
        {
            data.values_mut().for_each(|value| *value = "".into());
        }
    }
    public_view(object, "/-")
}

/// Without the bookkeeping of field managers, and without what is secret in a
/// package's address.
fn public_view(mut object: Value, pod_spec: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(spec) = object.pointer_mut(pod_spec) {
        java::conceal(spec);
    }
    object
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::template::names::PACKAGE_CONTAINER;

    fn pod(phase: &str, ready: bool) -> Pod {
        let view = PodView {
            name: "web-1".into(),
            phase: phase.into(),
            ready_since: ready.then_some(Timestamp::UNIX_EPOCH),
            ..PodView::default()
        };
        Pod::of(
            &json!({ "spec": { "nodeName": "node-1" }, "status": { "hostIP": "10.0.0.1" } }),
            &view,
            false,
        )
    }

    #[rstest]
    #[case("Running", true, PodHealth::Ready)]
    #[case("Running", false, PodHealth::Unready)]
    #[case("Pending", false, PodHealth::Starting)]
    #[case("Succeeded", false, PodHealth::Ended)]
    #[case("Failed", false, PodHealth::Failed)]
    #[case("Unknown", false, PodHealth::Unknown)]
    #[case("", false, PodHealth::Unknown)]
    fn a_pod_is_about_what_its_phase_and_readiness_say(
        #[case] phase: &str,
        #[case] ready: bool,
        #[case] expected: PodHealth,
    ) {
        let pod = pod(phase, ready);
        assert_eq!(
            (pod.health(), pod.node.as_str(), pod.node_ip.as_str()),
            (expected, "node-1", "10.0.0.1")
        );
    }

    #[test]
    fn a_log_that_is_no_text_can_be_kept_and_shown() {
        let log = PodLog::read("web-1", "web", b"a\0b\xff\n");
        assert_eq!(log.text, "a\u{fffd}b\u{fffd}\n");
    }

    #[test]
    fn the_values_of_a_secret_are_shown_only_where_we_made_it() {
        let secret = |labels: Value| {
            let metadata = json!({ "name": "s", "labels": labels, "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "geheim" } });
            public_object(
                json!({ "kind": "Secret", "metadata": metadata, "data": { "a": "geheim" } }),
            )
        };
        let theirs = secret(json!({}));
        assert!(!theirs.to_string().contains("geheim"), "{theirs}");
        assert_eq!(theirs["data"], json!({ "a": "" }));
        let ours = secret(json!({ "app.kubernetes.io/managed-by": "sluice" }));
        assert_eq!(
            (&ours["data"], &ours["metadata"]["annotations"]),
            (&json!({ "a": "geheim" }), &Value::Null)
        );
    }

    #[test]
    fn what_is_shown_has_no_secrets_of_a_package_and_no_bookkeeping() {
        let fetcher = json!({
            "name": PACKAGE_CONTAINER,
            "env": [
                { "name": java::URL_VARIABLE, "value": "https://me:geheim@files.example.com/web.jar?Signature=a$$b#md5=00000000000000000000000000000000" },
                { "name": "OTHER", "value": "stays" },
            ],
        });
        let template = json!({ "spec": { "initContainers": [fetcher], "containers": [{ "name": "web", "env": [{ "name": "A", "value": "b" }] }] } });
        let deployment = json!({ "metadata": { "name": "web", "managedFields": [{}] }, "spec": { "replicas": 2, "template": template } });
        let shown = public_deployment(deployment);
        let text = shown.to_string();
        assert!(
            !text.contains("geheim")
                && !text.contains("Signature")
                && !text.contains("managedFields"),
            "{text}"
        );
        assert_eq!(
            shown["spec"]["template"]["spec"]["initContainers"][0]["env"][0]["value"],
            "https://files.example.com/web.jar"
        );
        assert_eq!(
            shown["spec"]["template"]["spec"]["initContainers"][0]["env"][1]["value"],
            "stays"
        );
        assert_eq!(shown["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"], "b");

        let object = json!({ "metadata": { "name": "web-1" }, "spec": template["spec"] });
        let whole = Pod::of(&object, &PodView::default(), true).object.unwrap().to_string();
        assert!(whole.contains("web.jar") && !whole.contains("geheim"), "{whole}");
    }
}
