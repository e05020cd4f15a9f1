//! Object writes: objects written on the cluster beside an application's Deployment, such
//! as Services, and what of the cluster's present state follows for each.
//!
//! An object write is absolute and may be carried out again: an executor that claims it
//! reads the object first ([`next_request`]). The object names the object write that wrote
//! it last, and its fencing token. Objects without our label are never changed or deleted.
//! Pure; an object write travels through the database as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::template::names::{
    APPLICATION_LABEL, FENCE_ANNOTATION, NAME_LABEL, OWNER, OWNER_LABEL, WRITE_ANNOTATION,
};
use crate::{ApplicationId, OrderId, Source, TraceParent, name::is_label_value};

/// The kinds of object that object writes are about, and that can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    Service,
    Ingress,
    ConfigMap,
    Secret,
    HorizontalPodAutoscaler,
}

impl ObjectKind {
    /// Kubernetes' word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Ingress => "Ingress",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
        }
    }

    /// API group, empty for core, and version.
    #[must_use]
    pub fn group_version(self) -> (&'static str, &'static str) {
        match self {
            Self::Service | Self::ConfigMap | Self::Secret => ("", "v1"),
            Self::Ingress => ("networking.k8s.io", "v1"),
            Self::HorizontalPodAutoscaler => ("autoscaling", "v2"),
        }
    }
}

/// The application that an object belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub id: ApplicationId,
    pub name: String,
}

/// What is wanted of one object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectWrite {
    pub kind: ObjectKind,
    pub name: String,
    /// The application that it belongs to; none = to none. One that belongs to
    /// another is not changed.
    pub owner: Option<Owner>,
    pub action: Action,
}

/// What is to be done to an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It must not exist, and is created so. Kind, name and our marks are added.
    Create(Value),
    /// It must exist and be ours. Each part, by its JSON Pointer, is replaced as a
    /// whole, or removed where it is null; the rest stays.
    Set(BTreeMap<String, Value>),
    /// It must be so: it is created, or, where it is ours, has its specification and what
    /// it goes with replaced.
    Put(Value),
    /// It must exist and be ours, and goes.
    Delete,
    /// It must not be there as ours: it goes, where it is.
    Remove,
}

/// The change order that is recorded once an object write is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub order: OrderId,
    /// The application that it is an order of.
    pub application: ApplicationId,
    /// What was done, for people.
    pub description: String,
    /// Name of the access key that wanted it.
    pub created_by: String,
    /// What it was asked for through.
    pub source: Source,
    /// Whether an order is recorded, as failed, where it cannot be done: nobody waits for
    /// the answer.
    #[serde(default)]
    pub refusals: bool,
    /// The trace of the request; none = one of an earlier version, or no request asked.
    #[serde(default)]
    pub trace: Option<TraceParent>,
}

/// What came of an object write: metadata of the object as written (null where it was
/// deleted), or why not, for people.
pub type Outcome = Result<Value, String>;

/// An attempt at an object write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt<'a> {
    pub object_write: &'a str,
    pub generation: i64,
    /// Whether somebody was at it before, and may have done it.
    pub repeated: bool,
}

/// What to do next about an object write.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Create(Value),
    /// Replace the object by this one, unless it was written meanwhile.
    Replace(Value),
    /// Delete the object with this uid and resourceVersion.
    Delete {
        uid: String,
        resource_version: String,
    },
    /// Nothing: it is done, and this is the object.
    Done(Value),
    /// Nothing: it cannot be done.
    Refuse(String),
    /// Nothing: somebody else has the object write by now.
    Leave,
}

/// Whether we made the object.
#[must_use]
pub fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][OWNER_LABEL] == OWNER
}

/// What follows for an object write from the object as it is now; none = there is none.
#[must_use]
pub fn next_request(
    object_write: &ObjectWrite,
    attempt: Attempt<'_>,
    live: Option<&Value>,
) -> Next {
    let what = format!("{} {}", object_write.kind.word(), object_write.name);
    let Some(live) = live else {
        return match &object_write.action {
            Action::Create(object) | Action::Put(object) => {
                Next::Create(created(object_write, attempt, object))
            }
            Action::Delete if attempt.repeated => Next::Done(Value::Null),
            Action::Remove => Next::Done(Value::Null),
            Action::Set(_) | Action::Delete => Next::Refuse(format!("the {what} does not exist")),
        };
    };
    let annotations = &live["metadata"]["annotations"];
    let newest = annotations[FENCE_ANNOTATION]
        .as_str()
        .and_then(|fence| fence.parse::<i64>().ok())
        .unwrap_or(0);
    if annotations[WRITE_ANNOTATION] == attempt.object_write && is_ours(live) {
        return if newest > attempt.generation { Next::Leave } else { Next::Done(live.clone()) };
    }
    if let Action::Create(_) = object_write.action {
        return Next::Refuse(match is_ours(live) {
            true => format!("the {what} exists already"),
            false => format!(
                "the {what} exists already, and this server did not make it: it is left alone"
            ),
        });
    }
    if !is_ours(live) {
        if object_write.action == Action::Remove {
            return Next::Done(Value::Null);
        }
        return Next::Refuse(format!(
            "the {what} was not made by this server (it has no label {OWNER_LABEL}={OWNER}): it is left alone"
        ));
    }
    let belongs_to = live["metadata"]["labels"][APPLICATION_LABEL].as_str();
    if belongs_to != object_write.owner.as_ref().map(|owner| owner.id.to_string()).as_deref() {
        return Next::Refuse(match belongs_to {
            Some(other) => format!("the {what} belongs to the application {other}"),
            None => format!("the {what} belongs to no application"),
        });
    }
    if newest > attempt.generation {
        return Next::Refuse(format!(
            "another request wrote the {what} meanwhile: look at it and try again"
        ));
    }
    let text =
        |path: &str| live.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    match &object_write.action {
        Action::Create(_) | Action::Delete | Action::Remove => Next::Delete {
            uid: text("/metadata/uid"),
            resource_version: text("/metadata/resourceVersion"),
        },
        Action::Set(parts) => {
            let mut object = live.clone();
            for (path, value) in parts {
                set(&mut object, path, value.clone());
            }
            mark(&mut object, object_write, attempt);
            Next::Replace(object)
        }
        Action::Put(wanted) => {
            let mut object = live.clone();
            set(&mut object, "/spec", wanted["spec"].clone());
            set(
                &mut object,
                "/metadata/ownerReferences",
                wanted["metadata"]["ownerReferences"].clone(),
            );
            mark(&mut object, object_write, attempt);
            Next::Replace(object)
        }
    }
}

/// What is told of an object that was written.
#[must_use]
pub fn written_metadata(object: &Value) -> Value {
    let mut metadata = object["metadata"].clone();
    if let Some(fields) = metadata.as_object_mut() {
        fields.remove("managedFields");
    }
    metadata
}

fn created(object_write: &ObjectWrite, attempt: Attempt<'_>, object: &Value) -> Value {
    let (group, version) = object_write.kind.group_version();
    let mut object = object.clone();
    let api_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    set(&mut object, "/apiVersion", json!(api_version));
    set(&mut object, "/kind", json!(object_write.kind.word()));
    set(&mut object, "/metadata/name", json!(object_write.name));
    mark(&mut object, object_write, attempt);
    object
}

/// Says on an object whose it is and who wrote it.
fn mark(object: &mut Value, object_write: &ObjectWrite, attempt: Attempt<'_>) {
    let mut put = |part: &str, key: &str, value: String| {
        set(object, &format!("/metadata/{part}/{}", escaped(key)), json!(value))
    };
    put("labels", OWNER_LABEL, OWNER.into());
    if let Some(owner) = &object_write.owner {
        put("labels", APPLICATION_LABEL, owner.id.to_string());
        // A Deployment's name may be too long for a label; the id says whose it is.
        if is_label_value(&owner.name) {
            put("labels", NAME_LABEL, owner.name.clone());
        }
    }
    put("annotations", WRITE_ANNOTATION, attempt.object_write.into());
    put("annotations", FENCE_ANNOTATION, attempt.generation.to_string());
}

/// A name as a part of a JSON Pointer.
#[must_use]
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Replaces the part of `object` at a JSON Pointer, which leads through objects
/// only; those that are missing are made. Null removes it.
fn set(object: &mut Value, path: &str, value: Value) {
    let mut at = object;
    let mut parts = path
        .trim_start_matches('/')
        .split('/')
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .peekable();
    while let Some(part) = parts.next() {
        if !at.is_object() {
            if value.is_null() {
                return;
            }
            *at = Value::Object(Map::new());
        }
        let Some(fields) = at.as_object_mut() else { return };
        if parts.peek().is_none() {
            if value.is_null() {
                fields.remove(&part);
            } else {
                fields.insert(part, value);
            }
            return;
        }
        at = fields.entry(part).or_insert(Value::Null);
    }
}

#[cfg(test)]
mod tests;
