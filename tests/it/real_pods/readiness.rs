//! Whether enough pods were Ready all the time.
//!
//! The kubelet may tell of a new pod that it is Ready, take that back, and tell it
//! again, all within a second or so and without a probe that failed: when a probe's
//! first success comes in while it is adding up the pod's state from before. Nobody
//! can wait for what comes only afterwards, so a pod counts for a while from when it
//! was Ready first, as long as it is not on its way out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    runtime::watcher::{self, Event},
};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::support::App;

/// How soon the kubelet tells again that a pod is Ready.
const FLICKER: Duration = Duration::from_secs(3);

/// Watches the pods of an application for a time at which too few of them are Ready.
pub struct Readiness {
    fewer: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Seen {
    is_ready: bool,
    /// When it was Ready for the first time.
    first: Option<Instant>,
}

impl Readiness {
    /// Begins; returns once the present pods are known and enough of them are Ready: one
    /// may have taken it back just now.
    pub async fn start(app: &App, least: i32) -> Self {
        let fewer = Arc::new(Mutex::new(Vec::new()));
        let (begun, has_begun) = oneshot::channel();
        let task = tokio::spawn(follow(
            Api::namespaced(app.client.clone(), &app.namespace),
            least,
            fewer.clone(),
            begun,
        ));
        has_begun.await.unwrap();
        Self { fewer, task }
    }

    /// Ends it: each state in which there were too few.
    pub fn end(self) -> Vec<String> {
        self.task.abort();
        std::mem::take(&mut self.fewer.lock().unwrap())
    }
}

async fn follow(
    api: Api<Pod>,
    least: i32,
    fewer: Arc<Mutex<Vec<String>>>,
    begun: oneshot::Sender<()>,
) {
    let mut begun = Some(begun);
    let mut is_listed = false;
    let mut pods: HashMap<String, Seen> = HashMap::new();
    let mut events =
        watcher::watcher(api, watcher::Config::default().labels("app.kubernetes.io/name=web"))
            .boxed();
    while let Some(event) = events.next().await {
        match event.expect("the watch must hold") {
            Event::Init => pods.clear(),
            Event::InitApply(pod) | Event::Apply(pod) => note(&mut pods, &pod),
            Event::Delete(pod) => drop(pods.remove(&pod.name_any())),
            Event::InitDone => is_listed = true,
        }
        let counts =
            |pod: &&Seen| pod.is_ready || pod.first.is_some_and(|first| first.elapsed() < FLICKER);
        let are_enough = pods.values().filter(counts).count() as i32 >= least;
        if is_listed
            && are_enough
            && let Some(begun) = begun.take()
        {
            let _ = begun.send(());
        }
        if begun.is_none() && !are_enough {
            fewer.lock().unwrap().push(format!("{pods:?}"));
        }
    }
}

fn note(pods: &mut HashMap<String, Seen>, pod: &Pod) {
    let name = pod.name_any();
    if pod.metadata.deletion_timestamp.is_some() {
        pods.remove(&name);
        return;
    }
    let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
    let is_ready = conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let seen = pods.entry(name).or_insert(Seen { is_ready, first: None });
    seen.is_ready = is_ready;
    if is_ready {
        seen.first.get_or_insert_with(Instant::now);
    }
}
