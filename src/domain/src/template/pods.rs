//! What a release changes of a pod beside its image, probes and limits: names and
//! notes on it, files in it, containers beside it, and where it may run.
//!
//! Of lists and maps that a Deployment's user may fill as well (labels,
//! annotations, volumes, containers) only what was given here earlier is replaced
//! or removed. Volumes are known by their names, everything else by one annotation.
//! Pure; applying the same change twice gives the same template.

mod placement;

pub use placement::Placement;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    env::{self, EnvVar},
    given::Given,
    java,
    spec::{Field, object_at, object_in, set, set_amount},
};
use crate::template::names::{
    CLAIM_VOLUMES, EMPTY_FOLDER_VOLUMES, FILE_VOLUMES, NODE_FOLDER_VOLUMES,
};

/// Changes of a pod. The default changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PodChange {
    pub annotations: Field<BTreeMap<String, String>>,
    pub labels: Field<BTreeMap<String, String>>,
    /// Variables of the application's container whose values are in a ConfigMap or
    /// Secret, in Kubernetes' form (`{name, valueFrom}`), beside those in
    /// [`super::spec::SpecChange::env`]. New ones stand before those, which may refer to them.
    pub env_from_keys: Field<Vec<Value>>,
    /// Whole ConfigMaps and Secrets as variables, in Kubernetes' form.
    pub env_from: Field<Vec<Value>>,
    /// Start-up probe, in Kubernetes' form.
    pub startup: Field<Value>,
    /// What happens after the start, in Kubernetes' form.
    pub post_start: Field<Value>,
    /// What happens before the end, in Kubernetes' form.
    pub pre_stop: Field<Value>,
    /// Seconds until a pod that was told to end is ended.
    pub grace_seconds: Option<i64>,
    /// Limit of the disk space in GiB; 0 removes it.
    pub disk_limit: Option<u32>,
    pub disk_request: Option<u32>,
    /// ConfigMaps and Secrets as files.
    pub files: Field<Vec<Files>>,
    /// Folders of the node.
    pub node_folders: Field<Vec<NodeFolder>>,
    /// Empty folders that live as long as the pod.
    pub empty_folders: Field<Vec<EmptyFolder>>,
    pub claims: Field<Vec<ClaimMount>>,
    /// Where pods may run.
    pub placement: Placement,
    pub runtime_class: Field<String>,
    /// Security settings, in Kubernetes' form.
    pub security: Field<Value>,
    /// Containers that run before the application's, in Kubernetes' form.
    pub init_containers: Field<Vec<Value>>,
    /// Containers beside the application's, in Kubernetes' form.
    pub sidecars: Field<Vec<Value>>,
    /// A pull secret, beside those that are there.
    pub pull_secret: Option<String>,
}

/// A ConfigMap or Secret as files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    pub is_secret: bool,
    pub name: String,
    /// Where its files are.
    pub path: String,
}

/// A folder or file of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFolder {
    /// Kubernetes' `hostPath.type`; empty = anything.
    pub kind: String,
    /// Its path on the node.
    pub node_path: String,
    /// Its path in the container.
    pub path: String,
}

/// An empty folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyFolder {
    /// Its path in the container.
    pub path: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// The part of it that is seen, with variables of the container; empty = all.
    pub sub_path: String,
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMount {
    pub name: String,
    /// Where it is seen, and whether it cannot be written there.
    pub paths: Vec<(String, bool)>,
}

/// Keys that only a pod's security settings have; all others are a container's.
const OF_PODS: [&str; 5] =
    ["fsGroup", "fsGroupChangePolicy", "supplementalGroups", "supplementalGroupsPolicy", "sysctls"];

impl PodChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Changes the template, and the variables to `env` with `added` beside; `container` is the
    /// index of the application's, whose name is `name`.
    pub(crate) fn apply(
        &self,
        template: &mut Value,
        container: Option<usize>,
        name: &str,
        (env, added): (&Field<Vec<EnvVar>>, &[EnvVar]),
    ) {
        if self.is_empty() && *env == Field::Keep && added.is_empty() {
            return;
        }
        let before = Given::of(template);
        let mut given = before.clone();
        let labels_before = template["metadata"]["labels"].clone();
        if self.annotations != Field::Keep {
            replace_pairs(
                object_at(template, &["metadata", "annotations"]),
                &mut given.annotations,
                &self.annotations,
            );
        }
        if self.labels != Field::Keep {
            replace_pairs(
                object_at(template, &["metadata", "labels"]),
                &mut given.labels,
                &self.labels,
            );
        }
        if let Some(index) = container {
            if let Some(fields) = java::container_at(template, index) {
                self.apply_variables(fields, &mut given, env, added);
                self.apply_to_container(fields);
            }
            self.apply_volumes(template, index);
        }
        self.apply_to_pod(template, &labels_before, name);
        // Behind those that are there: the application's keeps its place.
        replace_containers(
            template,
            "initContainers",
            &mut given.init_containers,
            &self.init_containers,
        );
        replace_containers(template, "containers", &mut given.sidecars, &self.sidecars);
        given.keep(&before, template);
    }

    fn apply_variables(
        &self,
        container: &mut Map<String, Value>,
        given: &mut Given,
        env: &Field<Vec<EnvVar>>,
        added: &[EnvVar],
    ) {
        let keys = match &self.env_from_keys {
            Field::Keep => None,
            Field::Clear => Some(&[][..]),
            Field::Set(variables) => Some(&variables[..]),
        };
        let named = match env {
            Field::Keep => None,
            Field::Clear => Some(&[][..]),
            Field::Set(variables) => Some(&variables[..]),
        };
        if keys.is_none() && named.is_none() && added.is_empty() {
            return;
        }
        let mut wanted: Vec<Value> = keys.unwrap_or_default().to_vec();
        wanted.extend(named.unwrap_or_default().iter().map(EnvVar::item));
        let present = container.get("env").and_then(Value::as_array).cloned().unwrap_or_default();
        let all = env::merged(&present, &wanted, |item| match item.get("valueFrom") {
            None => named.is_some(),
            Some(_) => {
                keys.is_some()
                    && item["name"].as_str().is_some_and(|name| given.variables.contains(name))
            }
        });
        let added: Vec<Value> = added.iter().map(EnvVar::item).collect();
        let all = env::merged(&all, &added, |_| false);
        let from_keys = wanted.iter().chain(&added).filter(|item| item.get("valueFrom").is_some());
        let from_keys: BTreeSet<String> =
            from_keys.filter_map(|item| item["name"].as_str().map(Into::into)).collect();
        if keys.is_some() {
            given.variables = from_keys;
        } else {
            given.variables.extend(from_keys);
        }
        set_or_remove(container, "env", all);
    }

    fn apply_to_container(&self, container: &mut Map<String, Value>) {
        set(container, "envFrom", &self.env_from);
        set(container, "startupProbe", &self.startup);
        for (hook, wished) in [("postStart", &self.post_start), ("preStop", &self.pre_stop)] {
            if *wished != Field::Keep
                && (*wished != Field::Clear || container.contains_key("lifecycle"))
            {
                set(object_in(container, "lifecycle"), hook, wished);
            }
        }
        let has_hooks =
            [&self.post_start, &self.pre_stop].into_iter().any(|hook| *hook != Field::Keep);
        if has_hooks && container.get("lifecycle").is_some_and(|hooks| *hooks == json!({})) {
            container.remove("lifecycle");
        }
        for (kind, amount) in [("limits", self.disk_limit), ("requests", self.disk_request)] {
            let Some(amount) = amount else { continue };
            set_amount(
                container,
                kind,
                "ephemeral-storage",
                (amount > 0).then(|| format!("{amount}Gi")),
            );
        }
        match &self.security {
            Field::Set(value) if is_of_pods(value) => {}
            other => set(container, "securityContext", other),
        }
    }

    fn apply_to_pod(&self, template: &mut Value, labels_before: &Value, name: &str) {
        let labels = template["metadata"]["labels"].clone();
        let spec = object_at(template, &["spec"]);
        if let Some(seconds) = self.grace_seconds {
            spec.insert("terminationGracePeriodSeconds".into(), json!(seconds));
        }
        set(spec, "runtimeClassName", &self.runtime_class);
        match &self.security {
            Field::Set(value) if is_of_pods(value) => {
                spec.insert("securityContext".into(), value.clone());
            }
            Field::Clear => {
                spec.remove("securityContext");
            }
            Field::Set(_) | Field::Keep => {}
        }
        if let Some(secret) = &self.pull_secret {
            let secrets = spec.entry("imagePullSecrets").or_insert_with(|| json!([]));
            if let Some(secrets) = secrets.as_array_mut()
                && !secrets.iter().any(|present| present["name"] == *secret)
            {
                secrets.push(json!({ "name": secret }));
            }
        }
        self.placement.apply(spec, [labels_before, &labels], name);
    }

    fn apply_volumes(&self, template: &mut Value, container: usize) {
        let volumes = |list: &Field<Vec<(Value, Vec<Value>)>>,
                       prefix: &str,
                       template: &mut Value| {
            let list = match list {
                Field::Keep => return,
                Field::Clear => &[][..],
                Field::Set(list) => &list[..],
            };
            let is_ours =
                |item: &Value| item["name"].as_str().is_some_and(|name| name.starts_with(prefix));
            let name = |index: usize| json!(format!("{prefix}{}", index + 1));
            let spec = object_at(template, &["spec"]);
            let mut all: Vec<Value> =
                items(spec, "volumes").filter(|item| !is_ours(item)).cloned().collect();
            all.extend(
                list.iter().enumerate().map(|(index, (volume, _))| named(volume, name(index))),
            );
            set_or_remove(spec, "volumes", all);
            let Some(fields) = java::container_at(template, container) else { return };
            let mut mounts: Vec<Value> =
                items(fields, "volumeMounts").filter(|item| !is_ours(item)).cloned().collect();
            for (index, (_, given)) in list.iter().enumerate() {
                mounts.extend(given.iter().map(|mount| named(mount, name(index))));
            }
            set_or_remove(fields, "volumeMounts", mounts);
        };
        let files = each(&self.files, |files| {
            let source = if files.is_secret {
                json!({ "secret": { "secretName": files.name } })
            } else {
                json!({ "configMap": { "name": files.name } })
            };
            (source, vec![json!({ "mountPath": files.path })])
        });
        volumes(&files, FILE_VOLUMES, template);
        let folders = each(&self.node_folders, |folder| {
            (
                json!({ "hostPath": { "path": folder.node_path, "type": folder.kind } }),
                vec![json!({ "mountPath": folder.path })],
            )
        });
        volumes(&folders, NODE_FOLDER_VOLUMES, template);
        let empty = each(&self.empty_folders, |folder| {
            let mut mount = json!({ "mountPath": folder.path });
            if folder.read_only {
                mount["readOnly"] = json!(true);
            }
            if !folder.sub_path.is_empty() {
                mount["subPathExpr"] = json!(folder.sub_path);
            }
            (json!({ "emptyDir": {} }), vec![mount])
        });
        volumes(&empty, EMPTY_FOLDER_VOLUMES, template);
        let claims = each(&self.claims, |claim| {
            let mount = |(path, read_only): &(String, bool)| {
                if *read_only {
                    json!({ "mountPath": path, "readOnly": true })
                } else {
                    json!({ "mountPath": path })
                }
            };
            (
                json!({ "persistentVolumeClaim": { "claimName": claim.name } }),
                claim.paths.iter().map(mount).collect(),
            )
        });
        volumes(&claims, CLAIM_VOLUMES, template);
    }
}

/// Names of the containers that were given here beside the application's.
pub(crate) fn given_sidecars(template: &Value) -> BTreeSet<String> {
    Given::of(template).sidecars
}

/// Whether these security settings are a pod's.
pub(crate) fn is_of_pods(security: &Value) -> bool {
    security
        .as_object()
        .is_some_and(|fields| fields.keys().any(|key| OF_PODS.contains(&key.as_str())))
}

fn each<T, R>(field: &Field<Vec<T>>, to: impl Fn(&T) -> R) -> Field<Vec<R>> {
    match field {
        Field::Keep => Field::Keep,
        Field::Clear => Field::Clear,
        Field::Set(items) => Field::Set(items.iter().map(to).collect()),
    }
}

fn named(item: &Value, name: Value) -> Value {
    let mut item = item.clone();
    item["name"] = name;
    item
}

fn items<'a>(parent: &'a Map<String, Value>, list: &str) -> impl Iterator<Item = &'a Value> {
    parent.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn set_or_remove(parent: &mut Map<String, Value>, key: &str, list: Vec<Value>) {
    if list.is_empty() {
        parent.remove(key);
    } else {
        parent.insert(key.into(), Value::Array(list));
    }
}

fn replace_pairs(
    present: &mut Map<String, Value>,
    given: &mut BTreeSet<String>,
    field: &Field<BTreeMap<String, String>>,
) {
    let pairs = match field {
        Field::Keep => return,
        Field::Clear => &BTreeMap::new(),
        Field::Set(pairs) => pairs,
    };
    present.retain(|key, _| !given.contains(key));
    present.extend(pairs.iter().map(|(key, value)| (key.clone(), json!(value))));
    *given = pairs.keys().cloned().collect();
}

fn replace_containers(
    template: &mut Value,
    list: &str,
    given: &mut BTreeSet<String>,
    field: &Field<Vec<Value>>,
) {
    let containers = match field {
        Field::Keep => return,
        Field::Clear => &[][..],
        Field::Set(containers) => &containers[..],
    };
    let names: BTreeSet<String> = containers
        .iter()
        .filter_map(|container| container["name"].as_str().map(Into::into))
        .collect();
    let spec = object_at(template, &["spec"]);
    let goes =
        |container: &Value| container["name"].as_str().is_some_and(|name| given.contains(name));
    let mut all: Vec<Value> =
        items(spec, list).filter(|container| !goes(container)).cloned().collect();
    all.extend(containers.iter().cloned());
    set_or_remove(spec, list, all);
    *given = names;
}

#[cfg(test)]
mod tests;
