//! Fields that somebody else set, who that was, and how it is told.

use serde_json::Value;

use crate::{
    observed::DeploymentView,
    order::{Order, hands::Written, intent::Change},
    template::names::OWNER,
};

/// A borrowed field that somebody else set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edit {
    /// Its path in the spec.
    pub(super) path: &'static str,
    ours: Value,
    pub(super) theirs: Value,
    pub(super) by: Option<String>,
}

impl Edit {
    /// Whether it is of the strategy, or a part of it.
    pub(super) fn is_of_strategy(&self) -> bool {
        matches!(self.path, STRATEGY | SURGE | UNAVAILABLE)
    }
}

pub(super) const MIN_READY: &str = "minReadySeconds";
pub(super) const DEADLINE: &str = "progressDeadlineSeconds";
pub(super) const PAUSED: &str = "paused";
pub(super) const STRATEGY: &str = "strategy";
pub(super) const SURGE: &str = "maxSurge";
pub(super) const UNAVAILABLE: &str = "maxUnavailable";

/// Where they stand in `managedFields`.
pub(super) const AT_MIN_READY: &str = "/f:minReadySeconds";
pub(super) const AT_DEADLINE: &str = "/f:progressDeadlineSeconds";
pub(super) const AT_PAUSED: &str = "/f:paused";
pub(super) const AT_PARTS: [(&str, &str); 2] = [
    (SURGE, "/f:strategy/f:rollingUpdate/f:maxSurge"),
    (UNAVAILABLE, "/f:strategy/f:rollingUpdate/f:maxUnavailable"),
];

/// Who is named where Kubernetes notes nobody.
pub(super) const SOMEBODY: &str = "somebody";

/// The fields that are not as `written`.
pub(super) fn edits(written: &Written, view: &DeploymentView) -> Vec<Edit> {
    let live = &view.settings;
    let mut found = Vec::new();
    let mut see = |path: &'static str, ours: Option<Value>, theirs: Value, at: &str| {
        if let Some(ours) = ours.filter(|ours| !ours.is_null() && *ours != theirs) {
            found.push(Edit { path, ours, theirs, by: manager(view, at) });
        }
    };
    see(
        MIN_READY,
        written.min_ready_seconds.map(Value::from),
        live.min_ready_seconds.into(),
        AT_MIN_READY,
    );
    see(
        DEADLINE,
        written.progress_deadline_seconds.map(Value::from),
        live.progress_deadline_seconds.into(),
        AT_DEADLINE,
    );
    see(PAUSED, written.paused.map(Value::from), live.paused.into(), AT_PAUSED);
    let Some(strategy) = &written.strategy else { return found };
    if !strategy["type"].is_null() && strategy["type"] != live.strategy["type"] {
        see(
            STRATEGY,
            Some(strategy["type"].clone()),
            live.strategy["type"].clone(),
            "/f:strategy/f:type",
        );
        return found;
    }
    for (path, at) in AT_PARTS {
        let part = |strategy: &Value| strategy["rollingUpdate"][path].clone();
        see(path, Some(part(strategy)), part(&live.strategy), at);
    }
    found
}

/// Who owns a field of the spec, as far as Kubernetes knows: of several the newest.
pub(super) fn manager(view: &DeploymentView, at: &str) -> Option<String> {
    let owns = |entry: &&Value| {
        entry["manager"] != OWNER && entry["fieldsV1"]["f:spec"].pointer(at).is_some()
    };
    let newest = view
        .owners
        .as_array()?
        .iter()
        .filter(owns)
        .max_by_key(|it| it["time"].as_str().unwrap_or_default())?;
    newest["manager"].as_str().map(str::to_owned)
}

/// Whether the change sets another value than the edit did.
pub(super) fn is_fought(edit: &Edit, change: &Change) -> bool {
    let Change::Patch(patch) = change else { return false };
    let ours = match edit.path {
        MIN_READY => patch.min_ready_seconds.map(Value::from),
        DEADLINE => patch.progress_deadline_seconds.map(Value::from),
        PAUSED => patch.paused.map(Value::from),
        STRATEGY => patch.strategy.as_ref().map(|it| it["type"].clone()),
        part => patch.strategy.as_ref().map(|it| it["rollingUpdate"][part].clone()),
    };
    ours.is_some_and(|ours| ours != edit.theirs)
}

/// What others did, as a sentence.
pub(super) fn sentence(order: &Order, edits: &[Edit]) -> String {
    let mut parts = Vec::new();
    for edit in edits {
        let by = edit.by.as_deref().unwrap_or(SOMEBODY);
        parts.push(match edit.path {
            PAUSED if edit.by.is_none() && edit.theirs == false => format!(
                "somebody (Kubernetes notes no field manager for this) resumed the Deployment {}",
                order.name
            ),
            PAUSED if edit.theirs == true => format!("{by} paused the Deployment {}", order.name),
            PAUSED => format!("{by} resumed the Deployment {}", order.name),
            path => {
                format!("{by} changed {path} from {} to {}", shown(&edit.ours), shown(&edit.theirs))
            }
        });
    }
    parts.join(", ")
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
