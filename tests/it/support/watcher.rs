//! What somebody outside sees of an application's pods, by a watch of their own.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

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
pub struct Sight {
    /// Pods that are not on their way out, by image.
    pub pods: HashMap<String, i32>,
    /// Those of all images that are Ready.
    pub ready: i32,
}

impl Sight {
    pub fn of(&self, image: &str) -> i32 {
        self.pods.get(image).copied().unwrap_or(0)
    }
}

/// Watches the pods of one application, and remembers every state it saw; and the
/// sizes of its ReplicaSets.
pub struct Watch {
    seen: Arc<Mutex<Vec<Sight>>>,
    wanted: Arc<Mutex<i32>>,
    tasks: [JoinHandle<()>; 2],
}

impl Watch {
    /// Begins to watch; returns once the present pods are known.
    pub async fn start(client: Client, namespace: &str, name: &str) -> Self {
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let sets: Api<ReplicaSet> = Api::namespaced(client, namespace);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (listed, is_listed) = oneshot::channel();
        let config = watcher::Config::default().labels(&format!("app.kubernetes.io/name={name}"));
        let wanted = Arc::new(Mutex::new(0));
        let tasks = [tokio::spawn(add_up(sets, config.clone(), wanted.clone())), tokio::spawn(follow(api, config, seen.clone(), listed))];
        is_listed.await.unwrap();
        Self { seen, wanted, tasks }
    }

    /// Ends the watch: all states that were seen, in order.
    pub fn end(self) -> Vec<Sight> {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.seen.lock().unwrap().clone()
    }

    /// Most pods of an image that were there at once so far.
    pub fn most(&self, image: &str) -> i32 {
        self.seen.lock().unwrap().iter().map(|sight| sight.of(image)).max().unwrap_or(0)
    }

    /// Most pods that all ReplicaSets together should have had at once so far. This is
    /// what Kubernetes keeps exactly: a ReplicaSet made smaller has its pods until
    /// its own controller looks, so for a moment there may be more of these.
    pub fn most_wanted(&self) -> i32 {
        *self.wanted.lock().unwrap()
    }

    /// The newest state.
    pub fn now(&self) -> Sight {
        self.seen.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

async fn add_up(api: Api<ReplicaSet>, config: watcher::Config, wanted: Arc<Mutex<i32>>) {
    let mut sizes: HashMap<String, i32> = HashMap::new();
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        match event.expect("the watch must hold") {
            Event::Init => sizes.clear(),
            Event::InitApply(set) | Event::Apply(set) => {
                sizes.insert(set.name_any(), set.spec.and_then(|spec| spec.replicas).unwrap_or(0));
            }
            Event::Delete(set) => drop(sizes.remove(&set.name_any())),
            Event::InitDone => {}
        }
        let mut most = wanted.lock().unwrap();
        *most = (*most).max(sizes.values().sum());
    }
}

async fn follow(api: Api<Pod>, config: watcher::Config, seen: Arc<Mutex<Vec<Sight>>>, listed: oneshot::Sender<()>) {
    let mut listed = Some(listed);
    let mut pods: HashMap<String, (String, bool)> = HashMap::new();
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        let complete = match event.expect("the watch must hold") {
            Event::Init => {
                pods.clear();
                false
            }
            Event::InitApply(pod) => {
                put(&mut pods, &pod);
                false
            }
            Event::Apply(pod) => {
                put(&mut pods, &pod);
                true
            }
            Event::Delete(pod) => {
                pods.remove(&pod.name_any());
                true
            }
            Event::InitDone => true,
        };
        if complete {
            let mut sight = Sight::default();
            for (image, ready) in pods.values() {
                *sight.pods.entry(image.clone()).or_default() += 1;
                sight.ready += i32::from(*ready);
            }
            seen.lock().unwrap().push(sight);
            if let Some(listed) = listed.take() {
                let _ = listed.send(());
            }
        }
    }
}

fn put(pods: &mut HashMap<String, (String, bool)>, pod: &Pod) {
    if pod.metadata.deletion_timestamp.is_some() {
        pods.remove(&pod.name_any());
        return;
    }
    let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone()).unwrap_or_default();
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    pods.insert(pod.name_any(), (image, ready));
}
