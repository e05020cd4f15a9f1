//! Looking at what a release stands on, for [`domain::precheck`].
//!
//! Reads, reviews of our own rights, and dry runs: nothing is changed. What the
//! API server does not let us see is reported as unseen. Values of Secrets and
//! ConfigMaps are dropped at once; only the names of their keys go on.

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, PatchParams, PostParams, ValidationDirective},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{
    Cluster, ClusterError, FIELD_MANAGER, Key,
    apply::{ATTEMPTS, get},
    apps, core,
    manifest::{self, WriteContext},
    request::{MOST_OBJECTS, bounded, pages, value},
    rights::{self, Asked},
};
use domain::{
    ApplicationId, InstallationId, OrderId,
    observed::{Observation, ReplicaSetView},
    order::{Kind, intent::Change},
    precheck::{
        FirstChange,
        evidence::{
            ClusterList, Evidence, Presence, Reference, ReferenceKind, Right, Tried, footprint,
        },
        nodes::host_ports,
        template::{amount, anti_affinity, references},
    },
    template::sameness::HASH_LABEL,
};

/// Requests for one proposal that are under way at once.
const AT_ONCE: usize = 8;

/// Texts of an API server that has no such kind.
const NO_SUCH_KIND: &str = "the server could not find the requested resource";

impl Cluster {
    /// Looks at everything that `first` stands on.
    pub async fn gather(
        &self,
        key: &Key,
        application: ApplicationId,
        first: &FirstChange,
    ) -> Evidence {
        let asker = Asker { client: &self.client, key };
        let creates =
            first.order.kind == Kind::Create || matches!(first.change, Ok(Change::Create { .. }));
        let rights = asker.rights(creates).await;
        let Ok(change) = &first.change else {
            let other_workload = if creates { None } else { asker.other_workload().await };
            return Evidence { rights, other_workload, ..Evidence::none() };
        };
        let template = &first.template;
        let observation = self.view.observe(key);
        let running = match &observation {
            Observation::Present(view) => view.new.as_ref(),
            Observation::Unknown | Observation::Absent => None,
        };
        let may_try_pods =
            rights.iter().any(|(right, given)| right.resource == "pods" && *given == Some(true));
        let pod = async {
            let untried = |why: &str| Tried::Untried(why.into());
            if template.is_null() {
                // Only the number of pods changes.
                return (untried("there is no need to"), untried("there is no need to"));
            }
            if !may_try_pods {
                let why = "Sluice may not create pods, not even as a dry run";
                return (untried(why), untried(why));
            }
            let pod = asker.try_pod(template, running).await;
            let present = match (&pod, running.filter(|set| set.ready() > 0)) {
                (Tried::Refused(_), Some(set)) => asker.try_pod(&set.template, running).await,
                (Tried::Refused(_), None) => untried("no pod of it runs"),
                (Tried::Accepted(_) | Tried::Untried(_), _) => untried("there is no need to"),
            };
            (pod, present)
        };
        let takes_ports = !host_ports(template).is_empty();
        let nodes = async {
            if !takes_ports && anti_affinity(template).next().is_none() {
                return ClusterList::Unneeded;
            }
            asker.list(None, "", "v1", "Node", |node| Some(json!({ "metadata": { "name": node["metadata"]["name"], "labels": node["metadata"]["labels"] }, "spec": node["spec"] }))).await
        };
        // The watch of pods has them: a large cluster has many, and few that take ports.
        let port_holders = if takes_ports {
            ClusterList::Seen(self.view.port_holders())
        } else {
            ClusterList::Unneeded
        };
        let wanted = references(template);
        let named = stream::iter(wanted)
            .map(|reference| asker.presence(reference))
            .buffered(AT_ONCE)
            .collect::<Vec<_>>();
        let namespace = Some(key.namespace.as_str());
        let quotas = async {
            let quotas = asker.list(namespace, "", "v1", "ResourceQuota", Some).await;
            let pods = if counts_pods(&quotas) {
                asker.list(namespace, "", "v1", "Pod", |pod| Some(footprint(&pod))).await
            } else {
                ClusterList::Unneeded
            };
            (quotas, pods)
        };
        let (named, (quotas, pods), budgets, scalers, nodes, change, (pod, present_pod)) = tokio::join!(
            named,
            quotas,
            asker.list(namespace, "policy", "v1", "PodDisruptionBudget", Some),
            asker.list(namespace, "autoscaling", "v2", "HorizontalPodAutoscaler", Some),
            nodes,
            self.try_change(key, application, change),
            pod,
        );
        Evidence {
            rights,
            other_workload: None,
            named,
            quotas,
            budgets,
            scalers,
            nodes,
            pods,
            port_holders,
            change,
            pod,
            present_pod,
        }
    }

    /// What the API server says to the change itself.
    async fn try_change(&self, key: &Key, application: ApplicationId, change: &Change) -> Tried {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &key.namespace, &apps("Deployment"));
        let mut live = self.view.deployment(key);
        let mut attempt = 1;
        loop {
            let tried = self.try_once(&api, key, application, change, live.as_ref()).await;
            let Tried::Refused(why) = tried else { return tried };
            // A test that failed, since somebody wrote the object meanwhile, is refused in
            // the same way as a change that is wrong.
            let now = get(&api, &key.name).await.ok();
            match (&live, now) {
                (Some(before), Some(now)) if manifest::fails_tests(before, &now, change) => {
                    if attempt == ATTEMPTS {
                        return Tried::Untried(format!("the Deployment keeps changing: {why}"));
                    }
                    (live, attempt) = (Some(now), attempt + 1);
                }
                _ => return Tried::Refused(why),
            }
        }
    }

    /// One try of [`Cluster::try_change`], on top of the Deployment as it was seen.
    async fn try_once(
        &self,
        api: &Api<DynamicObject>,
        key: &Key,
        application: ApplicationId,
        change: &Change,
        live: Option<&Value>,
    ) -> Tried {
        let generation = live.and_then(manifest::fence).map_or(1, |fence| fence.saturating_add(1));
        let (order, installation) = (OrderId::new(), InstallationId::new());
        let context = WriteContext { application, order, generation, installation };
        let answer = match (change, live) {
            (Change::Create { template, replicas, min_ready_seconds }, _) => {
                let object = manifest::deployment(
                    &key.namespace,
                    &key.name,
                    context,
                    template,
                    *replicas,
                    *min_ready_seconds,
                );
                create(api, object).await
            }
            (Change::Patch(patch), Some(live)) => {
                let operations = match manifest::json_patch(live, context, patch) {
                    Ok(operations) => operations,
                    Err(error) => return Tried::Untried(error.to_string()),
                };
                // A field that the API server does not know is a mistake, and would be dropped.
                let field_validation = Some(ValidationDirective::Strict);
                let field_manager = Some(FIELD_MANAGER.into());
                let parameters = PatchParams {
                    dry_run: true,
                    field_manager,
                    field_validation,
                    ..PatchParams::default()
                };
                bounded(api.patch(
                    &key.name,
                    &parameters,
                    &kube::api::Patch::Json::<()>(operations),
                ))
                .await
                .and_then(value)
            }
            (Change::Patch(_), None) | (Change::Delete { .. }, _) => {
                return Tried::Untried("the Deployment is not known yet".into());
            }
        };
        let answer = tried(answer);
        let now = self.view.deployment(key);
        match answer {
            // Somebody wrote it meanwhile: the refusal may be about that.
            Tried::Refused(why)
                if now
                    .as_ref()
                    .and_then(manifest::fence)
                    .is_some_and(|fence| fence >= generation) =>
            {
                Tried::Untried(why)
            }
            other => other,
        }
    }
}

/// Who asks about what.
struct Asker<'a> {
    client: &'a Client,
    key: &'a Key,
}

impl Asker<'_> {
    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.key.namespace, resource)
    }

    async fn rights(&self, creates: bool) -> Vec<(Right, Option<bool>)> {
        let deployments =
            |verb| Right { verb, group: "apps", resource: "deployments", needed: true };
        let written = if creates { deployments("create") } else { deployments("patch") };
        let wanted = [
            written,
            deployments("get"),
            Right { verb: "patch", group: "apps", resource: "replicasets", needed: false },
            Right { verb: "create", group: "", resource: "pods", needed: false },
        ];
        stream::iter(wanted)
            .map(async |right| (right, self.may(right).await))
            .buffered(AT_ONCE)
            .collect()
            .await
    }

    /// Whether we have a right; none = not known.
    async fn may(&self, right: Right) -> Option<bool> {
        let namespace = self.key.namespace.as_str();
        let Right { verb, group, resource, .. } = right;
        rights::may(self.client, Asked { namespace, verb, group, resource, name: "" }).await.ok()
    }

    /// What else bears the name.
    async fn other_workload(&self) -> Option<&'static str> {
        for kind in ["StatefulSet", "DaemonSet"] {
            if bounded(self.api(&apps(kind)).get_metadata(&self.key.name)).await.is_ok() {
                return Some(kind);
            }
        }
        None
    }

    async fn presence(&self, reference: Reference) -> (Reference, Presence) {
        let found = match bounded(self.api(&core(reference.kind.word())).get(&reference.name))
            .await
            .and_then(value)
        {
            Ok(object) => {
                let keys = ["data", "binaryData", "stringData"]
                    .iter()
                    .filter_map(|part| object[part].as_object());
                let keys = keys.flat_map(|part| part.keys().cloned()).collect();
                let holds_values =
                    matches!(reference.kind, ReferenceKind::ConfigMap | ReferenceKind::Secret);
                Presence::There {
                    keys,
                    spec: if holds_values { Value::Null } else { object["spec"].clone() },
                }
            }
            Err(ClusterError::Gone) => self.missing(reference.kind).await,
            Err(error) => Presence::Unseen(error.to_string()),
        };
        (reference, found)
    }

    /// A name that is not there, on a cluster that has the kind at all.
    async fn missing(&self, kind: ReferenceKind) -> Presence {
        match bounded(self.api(&core(kind.word())).list_metadata(&ListParams::default().limit(1)))
            .await
        {
            Err(ClusterError::Gone) => Presence::Unseen(NO_SUCH_KIND.into()),
            // It answered for the name, and that is what counts.
            Ok(_) | Err(_) => Presence::Missing,
        }
    }

    /// All objects of a kind, each as `keep` leaves it. None of them, rather than some,
    /// where they cannot be read to their end.
    async fn list(
        &self,
        namespace: Option<&str>,
        group: &str,
        version: &str,
        kind: &str,
        keep: impl Fn(Value) -> Option<Value>,
    ) -> ClusterList {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let mut found = Vec::new();
        let page = async |selected| api.list(&selected).await;
        let read = pages(ListParams::default(), page, |items: Vec<DynamicObject>| {
            found.extend(items.into_iter().filter_map(|it| value(it).ok()).filter_map(&keep));
            Ok(())
        })
        .await;
        match read {
            // A cluster without the kind has none of it.
            Ok(true) | Err(ClusterError::Gone) => ClusterList::Seen(found),
            Ok(false) => ClusterList::Unseen(format!("there are more than {MOST_OBJECTS}")),
            Err(error) => ClusterList::Unseen(error.to_string()),
        }
    }

    /// What the API server says to a pod of `template`, made as the ReplicaSet controller
    /// makes it: with the label of a version, and a ReplicaSet that controls it. `running`
    /// is the one of now; where there is none, one is made up.
    async fn try_pod(&self, template: &Value, running: Option<&ReplicaSetView>) -> Tried {
        let metadata = &template["metadata"];
        let hash = running
            .and_then(|set| set.template["metadata"]["labels"][HASH_LABEL].as_str())
            .unwrap_or("5d4f8c7b9");
        let (name, uid) = match running {
            Some(set) => (set.name.clone(), set.uid.clone()),
            None => (format!("{}-{hash}", self.key.name), ApplicationId::new().to_string()),
        };
        let mut labels = metadata["labels"].clone();
        if !labels.is_object() {
            labels = json!({});
        }
        labels[HASH_LABEL] = json!(hash);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "generateName": format!("{name}-"), "namespace": self.key.namespace,
                "labels": labels, "annotations": metadata["annotations"],
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid, "controller": true,
                }],
            },
            "spec": template["spec"],
        });
        tried(create(&self.api(&core("Pod")), pod).await)
    }
}

/// Whether a quota of these counts pods, or what they ask for.
fn counts_pods(quotas: &ClusterList) -> bool {
    let ClusterList::Seen(quotas) = quotas else { return false };
    let names = quotas
        .iter()
        .filter_map(|quota| quota["status"]["hard"].as_object())
        .flat_map(|hard| hard.keys());
    names.into_iter().any(|name| amount(&Value::Null, name).is_some())
}

async fn create(api: &Api<DynamicObject>, object: Value) -> Result<Value, ClusterError> {
    let object =
        serde_json::from_value(object).map_err(|error| ClusterError::Refused(error.to_string()))?;
    let parameters = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.into()) };
    bounded(api.create(&parameters, &object)).await.and_then(value)
}

fn tried(answer: Result<Value, ClusterError>) -> Tried {
    match answer {
        Ok(object) => Tried::Accepted(object),
        Err(ClusterError::Refused(why) | ClusterError::Denied { why, is_credential: false }) => {
            Tried::Refused(why)
        }
        Err(error) => Tried::Untried(error.to_string()),
    }
}
