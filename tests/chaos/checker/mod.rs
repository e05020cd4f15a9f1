//! Judges a recording: what a cluster's watches showed, and which rows were written.
//!
//! It shares no code with the engine, and knows of it only what is documented: the names of
//! columns, annotations and steps. [`cluster`] judges Deployments and pods against the rows,
//! [`rows`] judges the rows alone.

mod cluster;
mod hands;
mod order;
mod plan;
mod rows;
#[cfg(test)]
mod tests;

use serde_json::Value;

/// Sluice's annotations on a Deployment.
pub const FENCE: &str = "sluice.dev/fence";
pub const ORDER: &str = "sluice.dev/order";

/// The mark that each write of another hand leaves on the Deployment.
pub const HAND: &str = "chaos.test/hand";

/// The mark of `kubectl rollout restart`.
pub const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// What was seen from the first change to the last.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// By the cluster's order.
    pub seen: Vec<Seen>,
    /// By the database's order.
    pub rows: Vec<Row>,
}

/// A change of an object.
#[derive(Debug, Clone)]
pub struct Seen {
    pub version: u64,
    /// When it was seen, in microseconds.
    pub at: i64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Deployment(Deployment),
    Pod(Pod),
    /// Another hand is about to do something.
    Hand(Hand),
}

/// What another hand does, as far as promises depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hand {
    /// Another pod template.
    Template,
    /// Fields that an order borrows; a resume is one.
    Settings,
    Pause,
    Scale,
    /// Annotations, which no pod depends on.
    Annotations,
    /// Pods whose names begin like this go.
    Takes(String),
    /// The Deployment goes, with all its pods.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deployment {
    pub gone: bool,
    pub uid: String,
    /// The mark of another hand's last write.
    pub hand: Option<String>,
    /// The fencing token and the order of Sluice's last write.
    pub fence: Option<i64>,
    pub order: Option<String>,
    pub replicas: i64,
    pub settings: Settings,
    /// The version that its template is of.
    pub release: Option<String>,
    /// The fields of its spec that Sluice owns.
    pub ours: Vec<String>,
}

/// The fields of a Deployment that a release borrows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    pub paused: bool,
    pub min_ready: i64,
    pub deadline: i64,
    pub strategy: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    pub name: String,
    /// It is there no more, or is on its way out.
    pub gone: bool,
    /// It went without ending first, as when its node is lost; or nobody saw how it went.
    pub lost: bool,
    pub ready: bool,
    /// The version that it is of.
    pub release: Option<String>,
}

/// A row that was written.
#[derive(Debug, Clone)]
pub struct Row {
    /// When, and when its transaction began, in microseconds.
    pub at: i64,
    pub began: i64,
    pub transaction: String,
    pub table: String,
    pub before: Option<Value>,
    pub after: Value,
}

/// Every violation of a promise, in words; none = all are kept.
pub fn judge(recording: &Recording) -> Vec<String> {
    let mut found = rows::judge(&recording.rows);
    found.extend(cluster::judge(recording));
    found.dedup();
    found
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn is_final(state: &str) -> bool {
    matches!(state, "succeeded" | "failed" | "aborted" | "system_failed")
}

impl Seen {
    /// What a watch shows of an object.
    pub fn of(kind: &str, version: u64, at: i64, object: &Value, gone: bool) -> Self {
        let what = if kind == "Pod" {
            What::Pod(Pod::of(object, gone))
        } else {
            What::Deployment(Deployment::of(object, gone))
        };
        Self { version, at, what }
    }
}

impl Deployment {
    fn of(object: &Value, gone: bool) -> Self {
        let (spec, metadata) = (&object["spec"], &object["metadata"]);
        let annotation = |name: &str| metadata["annotations"][name].as_str().map(str::to_owned);
        let managers = metadata["managedFields"].as_array().into_iter().flatten();
        let mut ours = Vec::new();
        for entry in managers.filter(|entry| text(entry, "manager") == "sluice") {
            leaves("", &entry["fieldsV1"]["f:spec"], &mut ours);
        }
        Self {
            gone,
            uid: text(metadata, "uid").to_owned(),
            hand: annotation(HAND),
            fence: annotation(FENCE).and_then(|text| text.parse().ok()),
            order: annotation(ORDER),
            replicas: spec["replicas"].as_i64().unwrap_or(1),
            settings: Settings {
                paused: spec["paused"] == true,
                min_ready: spec["minReadySeconds"].as_i64().unwrap_or(0),
                deadline: spec["progressDeadlineSeconds"].as_i64().unwrap_or(600),
                strategy: spec["strategy"].clone(),
            },
            release: release(&spec["template"]),
            ours,
        }
    }
}

/// The paths of fields that a manager owns, with dots.
fn leaves(path: &str, fields: &Value, found: &mut Vec<String>) {
    for (key, below) in fields.as_object().into_iter().flatten() {
        let Some(field) = key.strip_prefix("f:") else { continue };
        let path = if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        if below.as_object().is_some_and(|below| below.keys().any(|key| key.starts_with("f:"))) {
            leaves(&path, below, found);
        } else {
            found.push(path);
        }
    }
}

impl Pod {
    fn of(object: &Value, gone: bool) -> Self {
        let metadata = &object["metadata"];
        let ends = !metadata["deletionTimestamp"].is_null();
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        Self {
            name: text(metadata, "name").to_owned(),
            gone: gone || ends,
            lost: gone && !ends,
            ready: conditions
                .into_iter()
                .any(|it| text(it, "type") == "Ready" && text(it, "status") == "True"),
            release: release(object),
        }
    }
}

/// The version that a pod or a template is of. What another hand made of a version is another
/// one, though it has that one's annotation.
fn release(object: &Value) -> Option<String> {
    let annotations = &object["metadata"]["annotations"];
    let mut release = annotations["sluice.dev/release"].as_str()?.to_owned();
    let image = text(&object["spec"]["containers"][0], "image");
    if image.contains(":hand-") {
        release = format!("{release} with {image}");
    }
    if let Some(at) = annotations[RESTARTED].as_str() {
        release = format!("{release} after {at}");
    }
    Some(release)
}

/// A recording as lines, for whoever looks for the cause of a violation.
pub fn told(recording: &Recording) -> String {
    let mut lines: Vec<(i64, String)> = Vec::new();
    for seen in &recording.seen {
        lines.push((seen.at, format!("{} {:?}", seen.version, seen.what)));
    }
    for row in recording.rows.iter().filter(|row| row.table != "batch") {
        let line = match row.table.as_str() {
            "event" => format!("event {} {}", row.after["kind"], row.after["cause"]),
            _ => format!(
                "order {} {} {} batch {} generation {} applied {} finalizing {} {} intent {}",
                row.after["kind"],
                row.after["state"],
                row.after["step"],
                row.after["batch"],
                row.after["generation"],
                row.after["applied"],
                row.after["finalizing"],
                row.after["message"],
                row.after["intent"]
            ),
        };
        lines.push((row.at, line));
    }
    lines.sort();
    lines.into_iter().map(|(at, line)| format!("{} {line}\n", at % 1_000_000_000)).collect()
}
