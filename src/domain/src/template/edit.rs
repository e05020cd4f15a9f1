//! Compares a Deployment's whole text with the Deployment on the cluster, and finds the
//! pod template to release.
//!
//! The text may be read from the cluster, edited and sent back, or short and written by
//! hand. Its pod template is taken whole. Elsewhere an absent field stays, and a field
//! that only the API server writes is ignored. Every other difference is refused, and the
//! message names the field, so that nothing is dropped silently. No message quotes the
//! text: it may hold passwords. Pure.

use serde_json::{Map, Value, json};

use super::{java, selector::selects};
use crate::template::names::{
    NAME_LABEL, OWNER_LABEL, PACKAGE_CONTAINER, PREFIX, RELEASE_ANNOTATION, RESTART_ANNOTATION,
};
use crate::{
    Advice, Input, Rejection, limits,
    template::{sameness::is_same, settings::BorrowedSettings},
};

/// Annotations of a Deployment that Kubernetes' own programs write.
const BOOKKEEPING: [&str; 3] = [PREFIX, "deployment.kubernetes.io/", "kubectl.kubernetes.io/"];

/// Fields of the metadata that only the API server writes.
const SERVER_FILLED: [&str; 7] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionGracePeriodSeconds",
];

/// What is to be other about a Deployment; none stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edit {
    /// The pod template, secrets of a package included.
    pub template: Option<Value>,
    pub replicas: Option<i32>,
    /// `spec.minReadySeconds`.
    pub min_ready_seconds: Option<i32>,
}

/// Namespace, where the text has one, and name of the Deployment that is meant.
///
/// # Errors
/// What is no Deployment, or has no name.
pub fn named(wanted: &Value) -> Result<(Option<&str>, &str), Rejection> {
    let Some(fields) = wanted.as_object() else {
        return refuse("it must be one object: a Deployment, as YAML or JSON");
    };
    if fields.get("kind").and_then(Value::as_str) != Some("Deployment") {
        return refuse("kind must be Deployment, since nothing else is released by this server");
    }
    if fields.get("apiVersion").and_then(Value::as_str) != Some("apps/v1") {
        return refuse("apiVersion must be apps/v1");
    }
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    if let Some(other) = fields.keys().find(|field| !known.contains(&field.as_str())) {
        return refuse(format!(
            "a Deployment has only {}, and there is no {}",
            known.join(", "),
            shown(other)
        ));
    }
    let metadata = &wanted["metadata"];
    let namespace = match &metadata["namespace"] {
        Value::Null => None,
        Value::String(namespace) => Some(namespace.as_str()),
        _ => return refuse("metadata.namespace must be a text"),
    };
    match metadata["name"].as_str() {
        Some(name) if !name.is_empty() => Ok((namespace, name)),
        _ => refuse("metadata.name must be the Deployment's name"),
    }
}

impl Edit {
    /// What `wanted` changes of `live`, the Deployment of that name as it is on the cluster.
    ///
    /// # Errors
    /// What cannot be changed, or is no Deployment.
    pub fn read(wanted: &Value, live: &Value) -> Result<Self, Rejection> {
        let borrowed = BorrowedSettings::read_from(live);
        check_metadata(&wanted["metadata"], &live["metadata"])?;
        let Some(spec) = wanted["spec"].as_object() else {
            return refuse("spec must be there, with its template");
        };
        for (field, value) in spec
            .iter()
            .filter(|(field, value)| !value.is_null() && !OWN_FIELDS.contains(&field.as_str()))
        {
            check_field(field, value, &live["spec"][field], borrowed.as_ref())?;
        }
        let template = template(&wanted["spec"]["template"], live)?;
        let there = |field: &str| live["spec"][field].as_i64();
        let replicas = number(spec, "replicas", &[there("replicas")], limits::REPLICAS)?;
        let own = borrowed.map(|borrowed| i64::from(borrowed.min_ready_seconds));
        let ready = [own, there("minReadySeconds").or(Some(0))];
        Ok(Self {
            template,
            replicas,
            min_ready_seconds: number(spec, "minReadySeconds", &ready, limits::SECONDS)?,
        })
    }
}

/// Fields of the spec that a change order can change.
const OWN_FIELDS: [&str; 3] = ["template", "replicas", "minReadySeconds"];

fn refuse<T>(why: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection::invalid(Input::Deployment, "(not shown)", why))
}

/// The name of a field, as far as it is sure to be none of the values.
fn shown(field: &str) -> String {
    field.chars().filter(|it| !it.is_control()).take(60).collect()
}

/// A number that is none of those which are there already.
fn number(
    spec: &Map<String, Value>,
    field: &str,
    there: &[Option<i64>],
    most: i64,
) -> Result<Option<i32>, Rejection> {
    let Some(value) = spec.get(field).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_i64();
    if number.is_some() && there.contains(&number) {
        return Ok(None);
    }
    match number.filter(|number| (0..=most).contains(number)).map(i32::try_from) {
        Some(Ok(number)) => Ok(Some(number)),
        _ => refuse(format!("spec.{field} must be a whole number from 0 to {most}")),
    }
}

fn check_metadata(wanted: &Value, live: &Value) -> Result<(), Rejection> {
    // Of a text that was read from the cluster, what is missing was taken out.
    let was_read = ["uid", "resourceVersion"].iter().any(|field| !wanted[*field].is_null());
    for (field, value) in
        wanted.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null())
    {
        match field.as_str() {
            "name" | "namespace" => {}
            known if SERVER_FILLED.contains(&known) => {}
            "labels" => same_texts("labels", value, &live["labels"], was_read, |key| {
                key.starts_with(PREFIX) || key == OWNER_LABEL || key == NAME_LABEL
            })?,
            "annotations" => {
                same_texts("annotations", value, &live["annotations"], was_read, |key| {
                    BOOKKEEPING.iter().any(|it| key.starts_with(it))
                })?
            }
            _ if *value == live[field] => {}
            _ => {
                return refuse(format!(
                    "metadata.{} is not changed by this server: leave it out",
                    shown(field)
                ));
            }
        }
    }
    Ok(())
}

/// Labels or annotations of the Deployment itself, if they are given, must be those it has:
/// all of them where the text is `whole`. Those that `is_ours` may be there or not.
fn same_texts(
    field: &str,
    wanted: &Value,
    live: &Value,
    whole: bool,
    is_ours: impl Fn(&str) -> bool,
) -> Result<(), Rejection> {
    let Some(wanted) = wanted.as_object() else {
        return refuse(format!("metadata.{field} must be an object"));
    };
    let nothing = Map::new();
    let live = live.as_object().unwrap_or(&nothing);
    let other = wanted
        .iter()
        .find(|(key, value)| !is_ours(key) && live.get(*key) != Some(value))
        .map(|(key, _)| key);
    let missing = || live.keys().find(|key| whole && !is_ours(key) && !wanted.contains_key(*key));
    match other.or_else(missing) {
        None => Ok(()),
        Some(key) => refuse(format!(
            "metadata.{field} has another {} than the Deployment, whose own {field} this server does not change: \
             leave metadata.{field} out, and change them with kubectl",
            shown(key)
        )),
    }
}

fn check_field(
    field: &str,
    wanted: &Value,
    live: &Value,
    borrowed: Option<&BorrowedSettings>,
) -> Result<(), Rejection> {
    let own = borrowed.map(|borrowed| match field {
        "strategy" => borrowed.strategy.clone(),
        "progressDeadlineSeconds" => json!(borrowed.progress_deadline_seconds),
        "paused" => json!(borrowed.paused),
        _ => Value::Null,
    });
    let is_same =
        |there: &Value| covers(there, wanted) || (there.is_null() && *wanted == json!(false));
    if is_same(live) || own.as_ref().is_some_and(is_same) {
        return Ok(());
    }
    match field {
        "selector" => {
            refuse("spec.selector must be that of the Deployment: Kubernetes lets nobody change it")
        }
        "strategy" | "paused" => refuse(format!(
            "spec.{field} must be that of the Deployment, or be left out: this server rolls its releases out by it. \
             A release has batches of its own, and kubectl changes the Deployment"
        )),
        "progressDeadlineSeconds" | "revisionHistoryLimit" => refuse(format!(
            "spec.{field} must be that of the Deployment, or be left out: this server does not change it, kubectl does"
        )),
        other => refuse(format!("spec.{} is not known to this server: leave it out", shown(other))),
    }
}

/// Whether `there` has everything that `wanted` says.
fn covers(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted.iter().all(|(key, value)| {
            value.is_null() || there.get(key).is_some_and(|there| covers(there, value))
        }),
        (there, wanted) => there == wanted,
    }
}

/// The template that is wanted; none where it is the one that is there.
fn template(wanted: &Value, live: &Value) -> Result<Option<Value>, Rejection> {
    if wanted["spec"]["containers"].as_array().is_none_or(Vec::is_empty) {
        return refuse("spec.template must be there, with a list spec.containers");
    }
    let mut wanted = plain(wanted.clone());
    let there = &live["spec"]["template"];
    let mut public = there.clone();
    if let Some(spec) = public.get_mut("spec") {
        java::conceal(spec);
    }
    if is_unchanged(&wanted, &public) || is_unchanged(&wanted, there) {
        return Ok(None);
    }
    let labels = wanted["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    if !selects(&live["spec"]["selector"], &labels) {
        return refuse(
            "spec.template.metadata.labels must have the labels that spec.selector of the Deployment wants",
        );
    }
    if !java::reveal(&mut wanted, there) {
        return refuse(format!(
            "the init container {} must stay as it is or go: {}",
            PACKAGE_CONTAINER,
            Advice::ReleasePackage
        ));
    }
    Ok(Some(wanted))
}

/// Whether a template that is wanted, as the API server would store it, is the one that
/// is there. This server's own annotations say nothing, and so does the mark of a restart
/// by kubectl where the text has none: kubectl leaves it alone, too.
#[must_use]
pub fn is_unchanged(wanted: &Value, there: &Value) -> bool {
    let (mut wanted, mut there) = (plain(wanted.clone()), plain(there.clone()));
    let restarted =
        |template: &Value| template["metadata"]["annotations"].get(KUBECTL_RESTART).is_some();
    let keeps_restart = restarted(&wanted);
    for template in [&mut wanted, &mut there] {
        let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else {
            continue;
        };
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| {
                !key.starts_with(PREFIX) && (keeps_restart || key != KUBECTL_RESTART)
            });
        }
        metadata.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    is_same(&wanted, &there)
}

/// Annotation of a pod template with which `kubectl rollout restart` makes new pods.
const KUBECTL_RESTART: &str = "kubectl.kubernetes.io/restartedAt";

/// A template without what says nothing: absent values, and the marks of a version.
fn plain(mut template: Value) -> Value {
    drop_nulls(&mut template);
    if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("creationTimestamp");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(RELEASE_ANNOTATION);
            annotations.remove(RESTART_ANNOTATION);
        }
        metadata.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    }
    template
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
