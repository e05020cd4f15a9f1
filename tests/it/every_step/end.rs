//! How everything is at the end of a life: on the cluster, and in the database. Ids, times and
//! tokens, which are new in each life, are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use domain::template::names::NAME_LABEL;
use futures::StreamExt;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    runtime::watcher::{self, Event},
};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};

use super::life::{Life, NAMESPACE};
use crate::support::{DEADLINE, found::owners};

/// Looks that must show the same until an end counts as one.
const SAME: usize = 15;

/// What was seen of the Deployment and its pods.
pub struct Seen {
    seen: Arc<Mutex<Changes>>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Default)]
struct Changes {
    /// Every spec that the Deployment had, by its generation.
    specs: BTreeMap<i64, Value>,
    /// Every pod that there was, with its image.
    pods: BTreeMap<String, String>,
}

impl Seen {
    pub fn watch(client: Client, name: &str) -> Self {
        let named = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let labelled = watcher::Config::default().labels(&format!("{NAME_LABEL}={name}"));
        let seen = Arc::<Mutex<Changes>>::default();
        let tasks = [
            tokio::spawn(follow(Api::namespaced(client.clone(), NAMESPACE), named, {
                let seen = seen.clone();
                move |deployment: Deployment| {
                    let generation = deployment.metadata.generation.unwrap_or(0);
                    let spec = serde_json::to_value(&deployment.spec).unwrap();
                    seen.lock().unwrap().specs.entry(generation).or_insert(spec);
                }
            })),
            tokio::spawn(follow(Api::namespaced(client, NAMESPACE), labelled, {
                let seen = seen.clone();
                move |pod: Pod| {
                    let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone());
                    seen.lock().unwrap().pods.insert(pod.name_any(), image.unwrap_or_default());
                }
            })),
        ];
        Self { seen, tasks }
    }

    /// The specs that the Deployment had, in their order, and how many pods of each image
    /// there ever were.
    fn told(&self) -> Value {
        let seen = self.seen.lock().unwrap();
        let mut images = BTreeMap::<&str, usize>::new();
        for image in seen.pods.values() {
            *images.entry(image).or_default() += 1;
        }
        // A write that is made again has a new token, which makes another generation.
        let mut specs: Vec<&Value> = seen.specs.values().collect();
        specs.dedup();
        json!({ "specs": specs, "pods ever": images })
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn follow<K>(api: Api<K>, config: watcher::Config, note: impl Fn(K))
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
    K::DynamicType: Default,
{
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
            note(object);
        }
    }
}

/// The end of a life as soon as it is as expected; or when nothing changes any more.
pub async fn settled(life: &Life, expected: Option<&str>) -> String {
    let began = Instant::now();
    let (mut last, mut same) = (String::new(), 0);
    let mut looks = tokio::time::interval(std::time::Duration::from_millis(30));
    while same < SAME && began.elapsed() < DEADLINE {
        looks.tick().await;
        let now = told(life).await;
        if expected == Some(now.as_str()) {
            return now;
        }
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
    last
}

async fn told(life: &Life) -> String {
    let deployments: Api<Deployment> = Api::namespaced(life.simulation().client(), NAMESPACE);
    let live = deployments.get_opt(&life.name).await.unwrap();
    let live = serde_json::to_value(live).unwrap();
    let pods: Api<Pod> = Api::namespaced(life.simulation().client(), NAMESPACE);
    let pods = pods
        .list(&ListParams::default().labels(&format!("{NAME_LABEL}={}", life.name)))
        .await
        .unwrap()
        .items;
    let whole = json!({
        "Deployment": {
            "labels": live["metadata"]["labels"],
            "annotations": live["metadata"]["annotations"],
            "spec": live["spec"],
            "status": counts(&live["status"]),
            "owners": if live.is_null() { Value::Null } else { owners(&live) },
        },
        "pods": pods_of(&pods),
        "seen": life.seen.told(),
        "database": rows(life).await,
    });
    // Paths in the books of field managers name it too.
    let named = whole.to_string().replace(&life.name, "web");
    let mut whole = serde_json::from_str(&named).unwrap();
    without_what_is_new(&mut whole);
    serde_json::to_string_pretty(&whole).unwrap()
}

fn counts(status: &Value) -> Value {
    let names = ["replicas", "updatedReplicas", "readyReplicas", "unavailableReplicas"];
    Value::Object(names.map(|name| (name.to_owned(), status[name].clone())).into_iter().collect())
}

/// How many pods there are of each image, Ready or not.
fn pods_of(pods: &[Pod]) -> BTreeMap<String, usize> {
    let mut told = BTreeMap::new();
    for pod in pods {
        let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone());
        let conditions = pod.status.iter().filter_map(|it| it.conditions.as_ref()).flatten();
        let is_ready = conditions.into_iter().any(|it| it.type_ == "Ready" && it.status == "True");
        let goes = pod.metadata.deletion_timestamp.is_some();
        let name = format!("{} ready {is_ready} goes {goes}", image.unwrap_or_default());
        *told.entry(name).or_default() += 1;
    }
    told
}

/// The rows of the application. What the checks before an order noted is left out: an order is
/// accepted without it where nobody could look.
async fn rows(life: &Life) -> Value {
    sqlx::query_scalar(
        "SELECT jsonb_build_object(
            'application', (SELECT jsonb_build_object('replicas', replicas, 'rests', resting_snapshot IS NOT NULL, 'resting_replicas', resting_replicas,
                'before_stop', replicas_before_stop, 'deleted', deleted_at IS NOT NULL,
                'release', (SELECT image FROM release WHERE release.id = a.release_id))),
            'versions', (SELECT jsonb_agg(jsonb_build_object('version', version, 'image', image, 'released', released_at IS NOT NULL) ORDER BY created_at, id) FROM release WHERE application_id = a.id),
            'orders', (SELECT jsonb_agg(jsonb_build_object(
                'kind', kind, 'state', state, 'step', step, 'batch', batch, 'confirmed', confirmed, 'back_to', back_to, 'finalizing', finalizing, 'message', message, 'trouble', trouble,
                'notes', (SELECT jsonb_agg(note) FROM unnest(notes) AS note WHERE note NOT LIKE 'Readiness: %' AND note NOT LIKE 'Drain: %'), 'hands', hands, 'goes_on', goes_on, 'is_made', applied IS NOT NULL, 'rolls_back', rolls_back IS NOT NULL, 'outage', outage_since IS NOT NULL,
                'due', finished_at IS NULL AND run_after < 'infinity',
                'batches', (SELECT jsonb_agg(jsonb_build_object('state', state, 'target', target, 'message', message, 'pods', jsonb_array_length(pods)) ORDER BY index) FROM batch WHERE order_id = o.id),
                'events', (SELECT jsonb_agg(jsonb_build_object('kind', kind, 'actor', actor, 'cause', cause, 'state', detail->'state', 'step', detail->'step', 'batch', detail->'batch') ORDER BY id) FROM event WHERE order_id = o.id)
              ) ORDER BY created_at, id) FROM change_order o WHERE application_id = a.id))
         FROM application a WHERE cluster_id = $1 AND name = $2",
    )
    .bind(life.cluster())
    .bind(&life.name)
    .fetch_optional(life.pool())
    .await
    .unwrap()
    .unwrap_or_default()
}

/// Annotations that are new in each life.
const NEW: [&str; 2] = ["sluice.dev/fence", "sluice.dev/restarted-at"];

/// Leaves out what is new in each life.
fn without_what_is_new(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields.iter_mut() {
                if NEW.contains(&field.as_str()) && value.is_string() {
                    *value = "…".into();
                }
                without_what_is_new(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_what_is_new),
        Value::String(text) => *text = without_names(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text without ids, names of pods, and what is said of a container.
fn without_names(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_id = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
    let is_pod = |word: &str| word.starts_with("web-") && word.matches('-').count() == 2;
    let mut words = BTreeSet::new();
    for word in text.split(|c| !is_part(c)) {
        if is_id(word) || is_pod(word) {
            words.insert(word);
        }
    }
    // A kubelet says something else each time that it tries again.
    let said = text.split_once(", container web: ").map_or(text, |(before, _)| before);
    words.iter().fold(said.to_owned(), |said, word| said.replace(word, "…"))
}

/// The lines in which two ends differ.
pub fn difference(expected: &str, found: &str) -> String {
    let (left, right): (Vec<&str>, Vec<&str>) =
        (expected.lines().collect(), found.lines().collect());
    let same = left.iter().zip(&right).take_while(|(left, right)| left == right).count();
    let same_end = left[same..]
        .iter()
        .rev()
        .zip(right[same..].iter().rev())
        .take_while(|(left, right)| left == right)
        .count();
    let part = |lines: &[&str], sign: &str| {
        let end = lines.len() - same_end;
        lines[same..end].iter().take(40).map(|line| format!("{sign} {line}")).collect::<Vec<_>>()
    };
    let context = left[same.saturating_sub(4)..same].iter().map(|line| format!("  {line}"));
    context.chain(part(&left, "-")).chain(part(&right, "+")).collect::<Vec<_>>().join("\n")
}
