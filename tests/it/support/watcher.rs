//! What somebody outside sees of applications' pods, by a watch of their own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use domain::template::names::NAME_LABEL;
use futures::StreamExt;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api, Client,
    api::ResourceExt,
    runtime::watcher::{self, Event},
};
use tokio::{sync::oneshot, task::JoinHandle};

/// Pods per image, as seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Pods that are not on their way out, by image.
    pub pods: HashMap<String, i32>,
    /// Those of all images that are Ready.
    pub ready: i32,
}

impl Sample {
    pub fn of(&self, image: &str) -> i32 {
        self.pods.get(image).copied().unwrap_or(0)
    }
}

/// What was seen of one application.
#[derive(Default)]
struct Seen {
    /// Image of each pod, and whether it is Ready.
    pods: HashMap<String, (String, bool)>,
    /// Size of each ReplicaSet.
    sizes: HashMap<String, i32>,
    samples: Vec<Sample>,
    wanted: i32,
}

/// By the application's name.
type All = Arc<Mutex<HashMap<String, Seen>>>;

/// Watches the pods of every application of a namespace.
pub struct Watches {
    all: All,
    tasks: [JoinHandle<()>; 2],
}

impl Watches {
    /// Begins to watch; returns once the present pods are known.
    pub async fn start(client: Client, namespace: &str) -> Self {
        Self::choose(client, namespace, NAME_LABEL).await
    }

    async fn choose(client: Client, namespace: &str, labels: &str) -> Self {
        let all = All::default();
        let config = watcher::Config::default().labels(labels);
        let (listed, is_listed) = oneshot::channel();
        let tasks = [
            tokio::spawn(add_up(
                Api::namespaced(client.clone(), namespace),
                config.clone(),
                all.clone(),
            )),
            tokio::spawn(follow(Api::namespaced(client, namespace), config, all.clone(), listed)),
        ];
        is_listed.await.unwrap();
        Self { all, tasks }
    }

    /// What is seen of one application.
    pub fn of(&self, name: &str) -> Watch {
        Watch { name: name.into(), all: self.all.clone(), _own: None }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Watches the pods of one application, and remembers every state it saw; and the
/// sizes of its ReplicaSets.
pub struct Watch {
    name: String,
    all: All,
    /// Where nobody else watches.
    _own: Option<Watches>,
}

impl Watch {
    /// Begins to watch; returns once the present pods are known.
    pub async fn start(client: Client, namespace: &str, name: &str) -> Self {
        let own = Watches::choose(client, namespace, &format!("{NAME_LABEL}={name}")).await;
        let watch = own.of(name);
        watch.look(Seen::note);
        Self { _own: Some(own), ..watch }
    }

    fn look<T>(&self, at: impl FnOnce(&mut Seen) -> T) -> T {
        at(self.all.lock().unwrap().entry(self.name.clone()).or_default())
    }

    /// Ends the watch: all states that were seen, in order.
    pub fn end(self) -> Vec<Sample> {
        self.so_far()
    }

    /// All states that were seen since this was asked last, in order. The newest of
    /// them is also the first of the next time.
    pub fn so_far(&self) -> Vec<Sample> {
        self.look(|seen| {
            let newest = seen.samples.last().cloned();
            std::mem::replace(&mut seen.samples, newest.into_iter().collect())
        })
    }

    /// Most pods of an image that were there at once so far.
    pub fn most(&self, image: &str) -> i32 {
        self.look(|seen| seen.samples.iter().map(|sample| sample.of(image)).max().unwrap_or(0))
    }

    /// Most pods that all ReplicaSets together should have had at once so far. This is
    /// what Kubernetes keeps exactly: a ReplicaSet made smaller has its pods until
    /// its own controller looks, so for a moment there may be more of these.
    pub fn most_wanted(&self) -> i32 {
        self.look(|seen| seen.wanted)
    }

    /// The newest state.
    pub fn now(&self) -> Sample {
        self.look(|seen| seen.samples.last().cloned().unwrap_or_default())
    }
}

async fn add_up(api: Api<ReplicaSet>, config: watcher::Config, all: All) {
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        let event = event.expect("the watch must hold");
        let mut all = all.lock().unwrap();
        match event {
            Event::Init => all.values_mut().for_each(|seen| seen.sizes.clear()),
            Event::InitApply(set) | Event::Apply(set) => {
                let seen = all.entry(application(&set)).or_default();
                seen.sizes
                    .insert(set.name_any(), set.spec.and_then(|spec| spec.replicas).unwrap_or(0));
                seen.wanted = seen.wanted.max(seen.sizes.values().sum());
            }
            Event::Delete(set) => {
                all.entry(application(&set)).or_default().sizes.remove(&set.name_any());
            }
            Event::InitDone => {}
        }
    }
}

async fn follow(api: Api<Pod>, config: watcher::Config, all: All, listed: oneshot::Sender<()>) {
    let mut listed = Some(listed);
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        let event = event.expect("the watch must hold");
        let mut all = all.lock().unwrap();
        match event {
            Event::Init => all.values_mut().for_each(|seen| seen.pods.clear()),
            Event::InitApply(pod) => all.entry(application(&pod)).or_default().put(&pod),
            Event::Apply(pod) => {
                let seen = all.entry(application(&pod)).or_default();
                seen.put(&pod);
                seen.note();
            }
            Event::Delete(pod) => {
                let seen = all.entry(application(&pod)).or_default();
                seen.pods.remove(&pod.name_any());
                seen.note();
            }
            Event::InitDone => {
                all.values_mut().for_each(Seen::note);
                if let Some(listed) = listed.take() {
                    let _ = listed.send(());
                }
            }
        }
    }
}

fn application(object: &impl ResourceExt) -> String {
    object.labels().get(NAME_LABEL).cloned().unwrap_or_default()
}

impl Seen {
    fn put(&mut self, pod: &Pod) {
        if pod.metadata.deletion_timestamp.is_some() {
            self.pods.remove(&pod.name_any());
            return;
        }
        let image =
            pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone()).unwrap_or_default();
        let conditions =
            pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        let ready = conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        self.pods.insert(pod.name_any(), (image, ready));
    }

    fn note(&mut self) {
        let mut sample = Sample::default();
        for (image, ready) in self.pods.values() {
            *sample.pods.entry(image.clone()).or_default() += 1;
            sample.ready += i32::from(*ready);
        }
        self.samples.push(sample);
    }
}
