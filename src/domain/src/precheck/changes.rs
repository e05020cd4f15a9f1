//! Warnings about a pod template: parts that a release replaces without naming them, and
//! settings that may not have the meant effect. Nothing here refuses a release. Pure.

use serde_json::{Map, Value};

use super::{
    FirstChange,
    evidence::{Evidence, Tried},
};
use crate::{order::TemplateSource, precheck::proposal::Proposal, template::spec::Field};

/// What somebody should know of the change of `before` to `after`, as sentences.
#[must_use]
pub fn told(proposal: &Proposal, before: &Value, after: &Value) -> Vec<String> {
    let mut told = Vec::new();
    if let TemplateSource::Change(change) = &proposal.target.source {
        let (pods, placement) = (&change.pods, &change.pods.placement);
        if placement.replaces_affinity() {
            let lost = parts_lost(&before["spec"]["affinity"], &after["spec"]["affinity"]);
            told.extend(sentence(
                "the affinity that is asked for replaces what the Deployment has: ",
                &lost,
            ));
        }
        if placement.replaces_tolerations() {
            let lost = items_lost(&before["spec"]["tolerations"], &after["spec"]["tolerations"]);
            told.extend(sentence(
                "the tolerations that are asked for replace some that the Deployment has: ",
                &lost,
            ));
        }
        if let (Some(before), Some(after)) =
            (proposal.container_of(before), proposal.container_of(after))
        {
            let of = |container: &Map<String, Value>, field: &str| {
                container.get(field).cloned().unwrap_or_default()
            };
            if change.env != Field::Keep {
                let lost = names_lost(&of(before, "env"), &of(after, "env"));
                told.extend(sentence(
                    "the variables that are asked for replace all of the container's, and these go: ",
                    &lost,
                ));
            }
            if pods.env_from != Field::Keep {
                let lost = items_lost(&of(before, "envFrom"), &of(after, "envFrom"));
                told.extend(sentence("the sources of variables that are asked for replace some that the container has: ", &lost));
            }
            if pods.security != Field::Keep {
                let lost =
                    parts_lost(&of(before, "securityContext"), &of(after, "securityContext"));
                told.extend(sentence(
                    "the security settings that are asked for replace what the container has: ",
                    &lost,
                ));
            }
            let hook = |container: &Map<String, Value>| {
                container.get("lifecycle").and_then(|hooks| hooks.get("preStop")).cloned()
            };
            if change.drain_seconds.is_some()
                && let Some(own) = hook(before).filter(|own| own.get("sleep").is_none())
                && hook(after).as_ref() != Some(&own)
            {
                told.push(
                    "the drain that is asked for replaces the container's own preStop hook".into(),
                );
            }
        }
        if pods.security != Field::Keep {
            let lost =
                parts_lost(&before["spec"]["securityContext"], &after["spec"]["securityContext"]);
            told.extend(sentence(
                "the security settings that are asked for replace what the pod has: ",
                &lost,
            ));
        }
    }
    if let Some(container) = proposal.container_of(after) {
        told.extend(old_image(container));
    }
    told
}

/// An image whose name stays while what it is changes, on nodes that may have an older one.
fn old_image(container: &Map<String, Value>) -> Option<String> {
    let image = container.get("image")?.as_str()?;
    let policy = container.get("imagePullPolicy")?.as_str()?;
    let last = image.rsplit('/').next().unwrap_or(image);
    let is_moving =
        !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    (is_moving && matches!(policy, "IfNotPresent" | "Never")).then(|| {
        format!(
            "the image {image} is not pulled by a node that has one of this name (imagePullPolicy {policy} stays as it is), so that old and \
             new may run beside each other: give the image a tag of its own, or set the policy to Always with kubectl"
        )
    })
}

/// The parts of an object that are gone or other afterwards.
fn parts_lost(before: &Value, after: &Value) -> Vec<String> {
    let parts = before.as_object().into_iter().flatten().filter(|(_, value)| !is_empty(value));
    parts
        .filter(|(key, value)| after.get(key.as_str()) != Some(value))
        .map(|(key, _)| key.clone())
        .collect()
}

/// The names of items that are gone; of their values nothing is said.
fn names_lost(before: &Value, after: &Value) -> Vec<String> {
    let names = |items: &Value| -> Vec<String> {
        let items = items.as_array().into_iter().flatten();
        items.filter_map(|item| item["name"].as_str().map(str::to_owned)).collect()
    };
    let after = names(after);
    let mut lost: Vec<String> =
        names(before).into_iter().filter(|name| !after.contains(name)).collect();
    lost.dedup();
    lost
}

/// The items of a list that are not there afterwards, by the first name in each.
fn items_lost(before: &Value, after: &Value) -> Vec<String> {
    let after = after.as_array().map(Vec::as_slice).unwrap_or_default();
    let lost = before.as_array().into_iter().flatten().filter(|item| !after.contains(item));
    lost.map(|item| name_in(item).unwrap_or_else(|| item.to_string())).collect()
}

fn name_in(item: &Value) -> Option<String> {
    let fields = item.as_object()?;
    let named = fields
        .get("key")
        .or_else(|| fields.get("name"))
        .or_else(|| fields.values().find_map(|it| it.get("name")));
    named?.as_str().map(Into::into)
}

/// Whether a field is not there, or holds nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    value.is_null()
        || value.as_object().is_some_and(Map::is_empty)
        || value.as_array().is_some_and(Vec::is_empty)
}

fn sentence(begin: &str, lost: &[String]) -> Option<String> {
    (!lost.is_empty()).then(|| format!("{begin}{}", lost.join(", ")))
}

/// What is to be known of a Deployment that something else controls.
#[must_use]
pub fn controlled(controller: &str) -> String {
    format!(
        "the Deployment is controlled by the {controller}, which may undo what is released here: see that it leaves the Deployment alone"
    )
}

/// The template of the release, with the API server's defaults where it said them.
pub(super) fn template_after<'a>(first: &'a FirstChange, evidence: &'a Evidence) -> &'a Value {
    match &evidence.change {
        Tried::Accepted(deployment) => &deployment["spec"]["template"],
        Tried::Refused(_) | Tried::Untried(_) => &first.template,
    }
}
