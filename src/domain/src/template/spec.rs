//! What is released: the changes a caller asks for, applied to a pod template.
//!
//! A request keeps a field (absent), clears it (present and empty) or sets it (R15).
//! Templates are plain JSON, so that a Deployment written elsewhere keeps every field that
//! Sluice does not own, also fields of a newer Kubernetes that this program does not know.
//! Pure; applying the same change to the same template twice gives the same template.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    container::{self, Ambiguous, Known},
    given,
    graceful_start::{GracefulStart, GracefulStartChange},
    java::{self, JavaChange},
    pods::{Placement, PodChange, is_of_pods},
};
use crate::{ApplicationId, ReleaseId};

pub use super::env::EnvVar;
use crate::template::names::{
    APPLICATION_LABEL, NAME_LABEL, RELEASE_ANNOTATION, RESTART_ANNOTATION,
};

/// What to do with one field of the template.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    Clear,
    /// Give it this value.
    Set(T),
}

/// The changes to a pod template that one release asks for. The default
/// changes nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpecChange {
    /// Full image address of the application's container.
    pub image: Option<String>,
    /// Only the image's tag; the repository stays. Ignored where `image` is given.
    pub image_tag: Option<String>,
    /// Environment variables, in order. Setting replaces all with plain values; those
    /// that come from elsewhere (`valueFrom`) and were not given here stay, unless they
    /// are named.
    pub env: Field<Vec<EnvVar>>,
    /// Environment variables that are added to those that are there, or replace those with
    /// their names. All others stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added_env: Vec<EnvVar>,
    pub command: Field<Vec<String>>,
    pub args: Field<Vec<String>>,
    /// Readiness probe, in Kubernetes' own form (`httpGet`, `tcpSocket`, `exec`, …).
    pub readiness: Field<Value>,
    /// Liveness probe, in the same form.
    pub liveness: Field<Value>,
    /// CPU limit in millicores; 0 removes it.
    pub cpu_limit: Option<u32>,
    /// CPU request in millicores; 0 removes it.
    pub cpu_request: Option<u32>,
    /// Memory limit in MiB; 0 removes it.
    pub memory_limit: Option<u32>,
    /// Memory request in MiB; 0 removes it.
    pub memory_request: Option<u32>,
    /// Seconds for which a pod that goes still answers: a `preStop` hook that sleeps.
    /// 0 removes such a hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_seconds: Option<u32>,
    /// How slowly new pods are let in.
    #[serde(skip_serializing_if = "GracefulStartChange::is_empty")]
    pub graceful_start: GracefulStartChange,
    /// Everything else of the pods.
    #[serde(skip_serializing_if = "PodChange::is_empty")]
    pub pods: Box<PodChange>,
    /// A package in place of an image, and how it runs. An `image` ends it.
    #[serde(skip_serializing_if = "JavaChange::is_empty")]
    pub java: Box<JavaChange>,
    /// What is on record about the container that all this is about.
    #[serde(skip_serializing_if = "Known::is_unknown")]
    pub container: Known,
}

/// The template of an application that has none yet: one container that
/// bears the application's name.
#[must_use]
pub fn first_template(name: &str, application: ApplicationId) -> Value {
    json!({
        "metadata": { "labels": { NAME_LABEL: name, APPLICATION_LABEL: application.to_string() } },
        "spec": { "containers": [ { "name": name } ] },
    })
}

impl SpecChange {
    /// The template that `base` becomes as release `release` of application `name`. Where
    /// it is in doubt which container is the application's, none is changed.
    #[must_use]
    pub fn apply(&self, base: &Value, name: &str, release: ReleaseId) -> Value {
        let mut template = marked(base, release);
        let Ok(index) = self.container_in(&template, name) else {
            self.pods.apply(&mut template, None, name, (&Field::Keep, &[]));
            return template;
        };
        let rule = self
            .graceful_start
            .after(GracefulStart::take_out(&mut template, index), self.drain_seconds);
        let started = java::change(&self.java, self.image.is_some(), &mut template, index);
        if let Some(container) = java::container_at(&mut template, index) {
            self.apply_to_container(container, started.is_package());
        }
        started.finish(&mut template, index);
        self.pods.apply(&mut template, Some(index), name, (&self.env, &self.added_env));
        self.remember_given(&mut template, index);
        if let Some(seconds) = self.drain_seconds {
            drain(&mut template, index, seconds);
        }
        if let Some(rule) = rule {
            rule.put_in(&mut template, index);
        }
        template
    }

    /// The index of the container in `base` that the change is about.
    ///
    /// # Errors
    /// It is in doubt which one that is.
    pub fn container_in(&self, base: &Value, name: &str) -> Result<usize, Ambiguous> {
        container::find(base, &self.container, name, self.image.as_deref())
    }

    /// Why the change cannot be made to `base`: a part of it is about the application's
    /// container, and it is in doubt which one that is.
    #[must_use]
    pub fn doubt(&self, base: &Value, name: &str) -> Option<Ambiguous> {
        let of_pods = PodChange {
            annotations: Field::Keep,
            labels: Field::Keep,
            grace_seconds: None,
            placement: Placement::default(),
            runtime_class: Field::Keep,
            init_containers: Field::Keep,
            sidecars: Field::Keep,
            pull_secret: None,
            security: match &self.pods.security {
                Field::Set(value) if is_of_pods(value) => Field::Keep,
                other => other.clone(),
            },
            ..(*self.pods).clone()
        };
        let of_container =
            Self { pods: Box::new(of_pods), container: Known::Nothing, ..self.clone() };
        if of_container == Self::default() { None } else { self.container_in(base, name).err() }
    }

    fn apply_to_container(&self, container: &mut Map<String, Value>, is_package: bool) {
        if let Some(image) = &self.image {
            container.insert("image".into(), json!(image));
        } else if let Some(tag) = self.image_tag.as_ref().filter(|_| !is_package) {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            container.insert("image".into(), json!(with_tag(image, tag)));
        }
        set(container, "command", &self.command);
        set(container, "args", &self.args);
        set(container, "readinessProbe", &self.readiness);
        set(container, "livenessProbe", &self.liveness);
        for (kind, resource, amount, unit) in [
            ("limits", "cpu", self.cpu_limit, "m"),
            ("requests", "cpu", self.cpu_request, "m"),
            ("limits", "memory", self.memory_limit, "Mi"),
            ("requests", "memory", self.memory_request, "Mi"),
        ] {
            let Some(amount) = amount else { continue };
            set_amount(container, kind, resource, (amount > 0).then(|| format!("{amount}{unit}")));
        }
    }
}

/// Sets or, with none, removes a limit or request of a container.
pub(crate) fn set_amount(
    container: &mut Map<String, Value>,
    kind: &str,
    resource: &str,
    amount: Option<String>,
) {
    match amount {
        Some(amount) => {
            object_in(object_in(container, "resources"), kind)
                .insert(resource.into(), json!(amount));
        }
        None => {
            let amounts =
                container.get_mut("resources").and_then(|all| all.get_mut(kind)?.as_object_mut());
            if let Some(amounts) = amounts {
                amounts.remove(resource);
            }
        }
    }
}

impl SpecChange {
    /// Notes probes and hooks as they were given, so that they are shown without what the
    /// API server fills in.
    fn remember_given(&self, template: &mut Value, index: usize) {
        let Some(container) = java::container_at(template, index) else { return };
        let hook =
            |name: &str| container.get("lifecycle").and_then(|hooks| hooks.get(name)).cloned();
        let parts = [
            ("readinessProbe", &self.readiness, container.get("readinessProbe").cloned()),
            ("livenessProbe", &self.liveness, container.get("livenessProbe").cloned()),
            ("postStart", &self.pods.post_start, hook("postStart")),
            ("preStop", &self.pods.pre_stop, hook("preStop")),
        ];
        for (part, field, now) in parts {
            match field {
                Field::Keep => {}
                Field::Clear => given::forget(template, part),
                // Where it is not there in the end, something else is.
                Field::Set(value) if now.as_ref() == Some(value) => {
                    given::note(template, part, value)
                }
                Field::Set(_) => given::forget(template, part),
            }
        }
    }
}

/// Lets the application's container sleep for so many seconds before it is told to
/// end, while Kubernetes takes its pod out of Services. Kubernetes counts that into
/// the grace period (30 s by default), which must leave the program some time of its
/// own.
pub(crate) fn drain(template: &mut Value, index: usize, seconds: u32) {
    let Some(container) = java::container_at(template, index) else { return };
    if seconds == 0 {
        if let Some(hooks) = container.get_mut("lifecycle").and_then(Value::as_object_mut)
            && hooks.get("preStop").is_some_and(|hook| hook.get("sleep").is_some())
        {
            hooks.remove("preStop");
            if hooks.is_empty() {
                container.remove("lifecycle");
            }
        }
        return;
    }
    object_in(container, "lifecycle")
        .insert("preStop".into(), json!({ "sleep": { "seconds": seconds } }));
    let grace = template["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(DEFAULT_GRACE);
    let needed = i64::from(seconds) + LEFT_AFTER_DRAIN;
    if grace < needed {
        object_at(template, &["spec"])
            .insert("terminationGracePeriodSeconds".into(), json!(needed));
    }
}

/// Kubernetes' own grace period, in seconds.
const DEFAULT_GRACE: i64 = 30;

/// Seconds that a program has after its drain.
pub(crate) const LEFT_AFTER_DRAIN: i64 = 15;

/// The template `base` as release `release`, with nothing else changed.
#[must_use]
pub fn marked(base: &Value, release: ReleaseId) -> Value {
    let mut template = base.clone();
    let annotations = object_at(&mut template, &["metadata", "annotations"]);
    annotations.insert(RELEASE_ANNOTATION.into(), json!(release.to_string()));
    annotations.remove(RESTART_ANNOTATION);
    template
}

/// The same version as `base`, whose pods Kubernetes takes for others.
#[must_use]
pub fn renewed(base: &Value, mark: &str) -> Value {
    let mut template = base.clone();
    object_at(&mut template, &["metadata", "annotations"])
        .insert(RESTART_ANNOTATION.into(), json!(mark));
    template
}

/// The version that `template` is, where it says so.
#[must_use]
pub fn release_of(template: &Value) -> Option<ReleaseId> {
    template["metadata"]["annotations"][RELEASE_ANNOTATION].as_str()?.parse().ok()
}

pub(crate) fn set<T: Serialize>(container: &mut Map<String, Value>, key: &str, field: &Field<T>) {
    match field {
        Field::Keep => {}
        Field::Clear => {
            container.remove(key);
        }
        Field::Set(value) => {
            container.insert(key.into(), json!(value));
        }
    }
}

/// `image` with another tag: `registry:5000/app:1@sha256:…` with `2` is `registry:5000/app:2`.
fn with_tag(image: &str, tag: &str) -> String {
    let undigested = image.split('@').next().unwrap_or(image);
    let name_start = undigested.rfind('/').map_or(0, |slash| slash + 1);
    let repository = match undigested[name_start..].rfind(':') {
        Some(colon) => &undigested[..name_start + colon],
        None => undigested,
    };
    format!("{repository}:{tag}")
}

pub(crate) fn object_in<'a>(
    parent: &'a mut Map<String, Value>,
    key: &str,
) -> &'a mut Map<String, Value> {
    let child = parent.entry(key).or_insert_with(|| json!({}));
    if !child.is_object() {
        *child = json!({});
    }
    child.as_object_mut().expect("it was made an object just above")
}

pub(crate) fn object_at<'a>(value: &'a mut Value, path: &[&str]) -> &'a mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    let mut object = value.as_object_mut().expect("it was made an object just above");
    for key in path {
        object = object_in(object, key);
    }
    object
}

#[cfg(test)]
mod tests {
    mod property;

    use rstest::rstest;

    use super::*;

    fn container_of<'a>(template: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
        container::container_of(template, &Known::Nothing, name)
    }

    fn base() -> Value {
        json!({
            "metadata": { "labels": { "team": "a" }, "annotations": { "note": "kept" } },
            "spec": {
                "futureField": { "x": 1 },
                "containers": [
                    { "name": "sidecar", "image": "side:1" },
                    {
                        "name": "web", "image": "registry.example:5000/shop/web:1@sha256:ab", "command": ["run"], "args": ["a"],
                        "env": [{ "name": "OLD", "value": "1" }, { "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }],
                        "readinessProbe": { "tcpSocket": { "port": 80 } },
                        "resources": { "limits": { "cpu": "1", "memory": "64Mi" }, "claims": [] },
                    },
                ],
            },
        })
    }

    #[test]
    fn a_change_of_nothing_only_names_the_release() {
        let release = ReleaseId::new();
        let mut expected = base();
        expected["metadata"]["annotations"][RELEASE_ANNOTATION] = json!(release.to_string());
        assert_eq!(SpecChange::default().apply(&base(), "web", release), expected);
    }

    #[test]
    fn a_restart_marks_the_same_version_and_the_next_release_knows_nothing_of_it() {
        let release = ReleaseId::new();
        let first = SpecChange::default().apply(&base(), "web", release);
        let (once, again) = (renewed(&first, "1"), renewed(&renewed(&first, "1"), "2"));
        assert!(once != first && again != once && release_of(&again) == Some(release));
        let mut unmarked = again;
        unmarked["metadata"]["annotations"].as_object_mut().unwrap().remove(RESTART_ANNOTATION);
        assert_eq!(unmarked, first, "and nothing else");
        assert_eq!(SpecChange::default().apply(&once, "web", release), first);
    }

    #[test]
    fn absent_keeps_empty_clears_and_a_value_sets() {
        let change = SpecChange {
            image: Some("shop/web:2".into()),
            env: Field::Set(vec![EnvVar::plain("NEW", "ü")]),
            command: Field::Clear,
            readiness: Field::Clear,
            liveness: Field::Set(json!({ "exec": { "command": ["ok"] } })),
            cpu_limit: Some(0),
            memory_limit: Some(128),
            ..SpecChange::default()
        };
        let template = change.apply(&base(), "web", ReleaseId::new());
        let web = container_of(&template, "web").unwrap();
        assert_eq!(
            Value::Object(web.clone()),
            json!({
                "name": "web", "image": "shop/web:2", "args": ["a"],
                "env": [{ "name": "POD", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }, { "name": "NEW", "value": "ü" }],
                "livenessProbe": { "exec": { "command": ["ok"] } },
                "resources": { "limits": { "memory": "128Mi" }, "claims": [] },
            })
        );
        assert_eq!(template["spec"]["containers"][0], base()["spec"]["containers"][0]);
        assert_eq!(template["spec"]["futureField"], json!({ "x": 1 }));
    }

    #[test]
    fn a_drain_sleeps_before_the_end_and_fits_into_the_grace_period() {
        let drained = |seconds, base: &Value| {
            SpecChange { drain_seconds: Some(seconds), ..SpecChange::default() }.apply(
                base,
                "web",
                ReleaseId::new(),
            )
        };
        let hook = |template: &Value| {
            container_of(template, "web")
                .unwrap()
                .get("lifecycle")
                .map(|hooks| hooks["preStop"].clone())
        };
        let short = drained(5, &base());
        assert_eq!(hook(&short), Some(json!({ "sleep": { "seconds": 5 } })));
        assert!(short["spec"].get("terminationGracePeriodSeconds").is_none());
        let long = drained(60, &short);
        assert_eq!(
            (hook(&long), &long["spec"]["terminationGracePeriodSeconds"]),
            (Some(json!({ "sleep": { "seconds": 60 } })), &json!(75))
        );
        assert_eq!(hook(&drained(0, &long)), None);
        // A hook of the user's own is not ours to remove.
        let mut own = base();
        own["spec"]["containers"][1]["lifecycle"] =
            json!({ "preStop": { "exec": { "command": ["bye"] } } });
        assert_eq!(hook(&drained(0, &own)), hook(&own));
    }

    #[rstest]
    #[case("web", "2", "web:2")]
    #[case("web:1", "2", "web:2")]
    #[case("registry.example:5000/web", "2", "registry.example:5000/web:2")]
    #[case("registry.example:5000/web:1@sha256:ab", "2", "registry.example:5000/web:2")]
    fn a_tag_alone_leaves_the_repository(
        #[case] image: &str,
        #[case] tag: &str,
        #[case] expected: &str,
    ) {
        assert_eq!(with_tag(image, tag), expected);
    }

    #[test]
    fn no_container_is_changed_where_it_is_in_doubt_which_is_meant() {
        let release = ReleaseId::new();
        let change = SpecChange {
            image: Some("shop/other:2".into()),
            env: Field::Clear,
            ..SpecChange::default()
        };
        let why = change.doubt(&base(), "other").unwrap();
        assert_eq!(why, Ambiguous::Unsaid { containers: vec!["sidecar".into(), "web".into()] });
        assert_eq!(change.apply(&base(), "other", release), marked(&base(), release));
        let labels = SpecChange {
            pods: Box::new(PodChange {
                labels: Field::Set([("a".to_owned(), "b".to_owned())].into()),
                ..PodChange::default()
            }),
            ..SpecChange::default()
        };
        assert_eq!(labels.doubt(&base(), "other"), None, "labels are of no container");
        assert_eq!(labels.apply(&base(), "other", release)["metadata"]["labels"]["a"], "b");
        let chosen = SpecChange { container: Known::Chosen("sidecar".into()), ..change };
        assert_eq!(chosen.doubt(&base(), "other"), None);
        assert_eq!(
            chosen.apply(&base(), "other", release)["spec"]["containers"][0]["image"],
            "shop/other:2"
        );
    }
}
