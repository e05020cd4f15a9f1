//! Refusals: every error answer of the API server, as a `Status` object.
//!
//! Code, reason, message and details are those that Kubernetes 1.37 sends for
//! the same mistake (compared in `tests/cluster`). Knows how to say no, not when.

use serde_json::{Value, json};

use super::kind::Kind;

/// One error answer: `metav1.Status` with status "Failure".
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    /// The HTTP status.
    pub(super) code: u16,
    /// The machine-readable reason (`NotFound`, `Conflict`, `Invalid` ...).
    pub(super) reason: &'static str,
    /// What a person reads.
    pub(super) message: String,
    details: Value,
}

/// One complaint of validation: the field, the kind of cause, what is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cause {
    field: String,
    reason: &'static str,
    message: String,
}

impl Cause {
    /// The field is missing.
    pub(super) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self { field: field.into(), reason: "FieldValueRequired", message }
    }

    /// The field has a value that is not allowed.
    pub(super) fn invalid(field: impl Into<String>, value: &Value, why: &str) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
        }
    }

    /// The field must not be there.
    pub(super) fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
        }
    }

    /// The field has a value outside a list.
    pub(super) fn unsupported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed: Vec<String> = allowed.iter().map(|word| format!("{word:?}")).collect();
        Self {
            field: field.into(),
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                allowed.join(", ")
            ),
        }
    }

    /// The same value twice in a list that must not repeat.
    pub(super) fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            field: field.into(),
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {value}"),
        }
    }
}

impl Refusal {
    /// A refusal of any shape; the details stay empty.
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: json!({}) }
    }

    /// 400: the request cannot be understood.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 404: no such object.
    pub(super) fn not_found(kind: Kind, name: &str) -> Self {
        Self {
            details: about(kind.group(), kind.plural(), name),
            ..Self::new(404, "NotFound", format!("{} {name:?} not found", kind.resource()))
        }
    }

    /// 404: no such path.
    pub(super) fn no_such_resource() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// 405: the path is there, the method is not.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// 409: created twice.
    pub(super) fn already_exists(kind: Kind, name: &str) -> Self {
        Self {
            details: about(kind.group(), kind.plural(), name),
            ..Self::new(
                409,
                "AlreadyExists",
                format!("{} {name:?} already exists", kind.resource()),
            )
        }
    }

    /// 409: written from an old state, or a precondition that does not hold.
    pub(super) fn conflict(kind: Kind, name: &str, why: &str) -> Self {
        Self {
            details: about(kind.group(), kind.plural(), name),
            ..Self::new(
                409,
                "Conflict",
                format!("Operation cannot be fulfilled on {} {name:?}: {why}", kind.resource()),
            )
        }
    }

    /// 403: nothing can be created in a namespace that is going away.
    pub(super) fn namespace_terminating(kind: Kind, name: &str, namespace: &str) -> Self {
        let why = format!("namespace {namespace} is being terminated");
        let mut details = about(kind.group(), kind.plural(), name);
        details["causes"] = json!([{
            "reason": "NamespaceTerminating", "message": why, "field": "metadata.namespace",
        }]);
        Self {
            details,
            ..Self::new(
                403,
                "Forbidden",
                format!(
                    "{} {name:?} is forbidden: unable to create new content in namespace \
                     {namespace} because it is being terminated",
                    kind.resource()
                ),
            )
        }
    }

    /// 422: validation failed. `group` and `kind` name the type, `causes` must
    /// not be empty.
    pub(super) fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let what = match (group, kind) {
            ("", kind) => kind.to_owned(),
            (group, kind) => format!("{kind}.{group}"),
        };
        let said: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let said = match said.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut details = about(group, kind, name);
        details["causes"] =
            causes.iter().map(|cause| json!({"reason": cause.reason, "message": cause.message, "field": cause.field})).collect();
        Self { details, ..Self::new(422, "Invalid", format!("{what} {name:?} is invalid: {said}")) }
    }

    /// 422 for a JSON Patch that cannot be applied, a failed `test` among them:
    /// the API server keeps the cause to itself.
    pub(super) fn patch_failed() -> Self {
        Self::new(422, "Invalid", "the server rejected our request due to an error in our request")
    }

    /// 415: a body of a type that is not taken here.
    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 410: the watch or list asks for a state that is forgotten.
    pub(super) fn expired(asked: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    /// 504: the watch or list asks for a state that is not reached yet.
    pub(super) fn too_large_version(asked: u64, current: u64) -> Self {
        Self {
            details: json!({
                "causes": [{
                    "reason": "ResourceVersionTooLarge",
                    "message": "Too large resource version",
                }],
                "retryAfterSeconds": 1,
            }),
            ..Self::new(
                504,
                "Timeout",
                format!("Timeout: Too large resource version: {asked}, current: {current}"),
            )
        }
    }

    /// The `Status` object of this refusal.
    pub(super) fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        })
    }
}

fn about(group: &str, kind: &str, name: &str) -> Value {
    let mut details = json!({"kind": kind});
    if !group.is_empty() {
        details["group"] = group.into();
    }
    if !name.is_empty() {
        details["name"] = name.into();
    }
    details
}
