//! Looks at every change of pods and ReplicaSets and remembers the extremes.
//!
//! Fed by watches from before the first change, so no moment is missed. Ready
//! pods are counted as a Service in front of them would: ending ones are not. How
//! many pods a release may have is a promise about what the ReplicaSets *want*:
//! for a moment there may be more pods, when one set makes its new ones before
//! another has taken its old ones away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use kube::ResourceExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::Space;

const LIMIT: Duration = Duration::from_secs(30);

/// What there is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
struct Scene {
    /// Image and readiness of each pod.
    pods: BTreeMap<String, (String, bool)>,
    /// Image and size of each ReplicaSet.
    sets: BTreeMap<String, (String, i32)>,
}

#[derive(Debug, Default)]
struct State {
    scene: Scene,
    fewest_ready: usize,
    most_wanted: i32,
    most_of: BTreeMap<String, usize>,
    trace: Vec<String>,
}

/// A sampler at work; it ends when it is dropped.
pub struct Sampler {
    state: Arc<Mutex<State>>,
    changed: watch::Receiver<()>,
    tasks: [AbortHandle; 2],
    space: Space,
}

impl Sampler {
    /// Begins with what there is.
    pub async fn start(space: &Space) -> Self {
        let state = Arc::new(Mutex::new(State { fewest_ready: usize::MAX, ..State::default() }));
        let (tell, changed) = watch::channel(());
        let tell = Arc::new(tell);
        let mut scene = Scene::default();
        let pods = list::<Pod>(space, &mut scene).await;
        let sets = list::<ReplicaSet>(space, &mut scene).await;
        state.lock().unwrap().see(scene);
        let tasks = [
            feed::<Pod>(space, pods, &state, &tell).await,
            feed::<ReplicaSet>(space, sets, &state, &tell).await,
        ];
        Self { state, changed, tasks, space: space.clone() }
    }

    /// Waits until everything up to now has been counted.
    async fn catch_up(&self) {
        let mut changed = self.changed.clone();
        let mut now = Scene::default();
        list::<Pod>(&self.space, &mut now).await;
        list::<ReplicaSet>(&self.space, &mut now).await;
        let wait = async {
            loop {
                changed.mark_unchanged();
                if self.state.lock().unwrap().scene == now {
                    return;
                }
                changed.changed().await.expect("the sampler still runs");
            }
        };
        tokio::time::timeout(LIMIT, wait).await.expect("the sampler sees what the lists show");
    }

    /// Asserts that there were never fewer ready pods, with the story if there
    /// were.
    pub async fn assert_ready_never_under(&self, least: usize) {
        self.catch_up().await;
        let state = self.state.lock().unwrap();
        assert!(
            state.fewest_ready >= least,
            "only {} ready, not {least}: {:#?}",
            state.fewest_ready,
            state.trace
        );
    }

    /// Asserts that the ReplicaSets never wanted more pods together.
    pub async fn assert_never_more_wanted(&self, most: i32) {
        self.catch_up().await;
        let state = self.state.lock().unwrap();
        assert!(
            state.most_wanted <= most,
            "{} wanted, not {most}: {:#?}",
            state.most_wanted,
            state.trace
        );
    }

    /// Asserts that there were never more pods of an image.
    pub async fn assert_never_more_of(&self, image: &str, most: usize) {
        self.catch_up().await;
        let state = self.state.lock().unwrap();
        let seen = state.most_of.get(image).copied().unwrap_or(0);
        assert!(seen <= most, "{seen} of {image}, not {most}: {:#?}", state.trace);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl State {
    fn see(&mut self, scene: Scene) {
        let ready = scene.pods.values().filter(|(_, ready)| *ready).count();
        let wanted = scene.sets.values().map(|(_, size)| *size).sum();
        self.fewest_ready = self.fewest_ready.min(ready);
        self.most_wanted = self.most_wanted.max(wanted);
        let mut numbers = BTreeMap::<String, usize>::new();
        for (image, _) in scene.pods.values() {
            *numbers.entry(image.clone()).or_default() += 1;
        }
        self.trace.push(format!("{numbers:?}, {ready} ready, {wanted} wanted"));
        for (image, number) in numbers {
            let most = self.most_of.entry(image).or_default();
            *most = number.max(*most);
        }
        self.scene = scene;
    }
}

/// What a sampler looks at.
trait Subject: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> {
    /// Brings the scene up to date with this object.
    fn enter(&self, scene: &mut Scene);
    /// Takes it out of the scene.
    fn leave(&self, scene: &mut Scene);
}

fn image_of(template: Option<&PodTemplateSpec>) -> Option<String> {
    let container = template?.spec.as_ref()?.containers.first()?;
    container.image.clone()
}

impl Subject for Pod {
    fn enter(&self, scene: &mut Scene) {
        let phase = self.status.as_ref().and_then(|s| s.phase.as_deref());
        let ended = matches!(phase, Some("Failed" | "Succeeded"));
        if ended || self.metadata.deletion_timestamp.is_some() {
            return self.leave(scene);
        }
        let template = PodTemplateSpec { spec: self.spec.clone(), ..PodTemplateSpec::default() };
        let ready = self
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let image = image_of(Some(&template)).unwrap_or_default();
        scene.pods.insert(self.name_any(), (image, ready));
    }

    fn leave(&self, scene: &mut Scene) {
        scene.pods.remove(&self.name_any());
    }
}

impl Subject for ReplicaSet {
    fn enter(&self, scene: &mut Scene) {
        let spec = self.spec.clone().unwrap_or_default();
        let image = image_of(spec.template.as_ref()).unwrap_or_default();
        let size = spec.replicas.unwrap_or(0);
        scene.sets.insert(self.name_any(), (image, size));
    }

    fn leave(&self, scene: &mut Scene) {
        scene.sets.remove(&self.name_any());
    }
}

/// Enters all objects there are; the version to go on from.
async fn list<K>(space: &Space, scene: &mut Scene) -> String
where
    K: Subject + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = space.api();
    let list = api.list(&ListParams::default()).await.expect("pods and ReplicaSets can be listed");
    for object in &list.items {
        object.enter(scene);
    }
    list.metadata.resource_version.expect("a list has a version")
}

/// Follows the changes of a kind.
async fn feed<K>(
    space: &Space,
    version: String,
    state: &Arc<Mutex<State>>,
    tell: &Arc<watch::Sender<()>>,
) -> AbortHandle
where
    K: Subject + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let (state, tell) = (Arc::clone(state), Arc::clone(tell));
    let api: Api<K> = space.api();
    let events = api
        .watch(&WatchParams::default(), &version)
        .await
        .expect("pods and ReplicaSets can be watched");
    tokio::spawn(async move {
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            let mut state = state.lock().unwrap();
            let mut scene = state.scene.clone();
            match event.expect("the watch goes on") {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    object.enter(&mut scene);
                }
                WatchEvent::Deleted(object) => object.leave(&mut scene),
                WatchEvent::Bookmark(_) => {}
                WatchEvent::Error(status) => panic!("{status:?}"),
            }
            state.see(scene);
            drop(state);
            tell.send_replace(());
        }
    })
    .abort_handle()
}
