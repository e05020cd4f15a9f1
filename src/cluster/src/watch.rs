//! The watches that keep the view: one stream a kind, or a kind and namespace where
//! namespaces are named; never a polling request.
//!
//! A stream that breaks begins again with a new list, after a growing pause;
//! what vanished meanwhile is noticed then. All begin again where another cluster
//! answers than before. Without the right to see events all
//! goes on, only with less said about failures.

use std::{sync::Arc, time::Duration};

use domain::order::outage::Obstacle;
use futures::StreamExt;
use kube::{
    Client,
    api::{Api, DynamicObject},
    runtime::watcher::{self, Event},
};
use tokio::{task::JoinSet, time::Instant};

use super::{
    apps, core,
    request::error_of,
    view::{Stream, View, WatchedKind},
};

/// The one namespace that is watched where namespaces are named: its UID is the cluster's.
const IDENTITY: &str = "metadata.name=kube-system";

/// Pauses before a stream that broke begins again: nothing is decided until it does.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The longest one of what is not needed, and may be hidden from us for good.
const LONGEST_PAUSE_OF_EVENTS: Duration = Duration::from_secs(30);

/// A stream that held so long had begun well.
const HELD: Duration = Duration::from_secs(10);

/// Starts the watches of `view`.
pub(super) fn spawn(client: &Client, view: &Arc<View>, tasks: &mut JoinSet<()>) {
    for stream in view.streams() {
        let (resource, fields) = match stream.kind {
            WatchedKind::Deployment => (apps("Deployment"), None),
            WatchedKind::ReplicaSet => (apps("ReplicaSet"), None),
            WatchedKind::Pod => (core("Pod"), None),
            // Of the others nothing is to be known where some are named.
            WatchedKind::Namespace => (core("Namespace"), view.scope().names().map(|_| IDENTITY)),
            WatchedKind::Warning => (core("Event"), Some("type=Warning,involvedObject.kind=Pod")),
            WatchedKind::DeploymentWarning => {
                (core("Event"), Some("type=Warning,involvedObject.kind=Deployment"))
            }
        };
        let config = watcher::Config::default();
        let config = fields.map_or(config.clone(), |fields| config.fields(fields));
        let api: Api<DynamicObject> = match &stream.namespace {
            None => Api::all_with(client.clone(), &resource),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        };
        tasks.spawn(follow(api, stream.clone(), config, view.clone()));
    }
}

async fn follow(api: Api<DynamicObject>, of: Stream, config: watcher::Config, view: Arc<View>) {
    let longest = match of.kind {
        WatchedKind::Warning | WatchedKind::DeploymentWarning => LONGEST_PAUSE_OF_EVENTS,
        WatchedKind::Deployment
        | WatchedKind::ReplicaSet
        | WatchedKind::Pod
        | WatchedKind::Namespace => LONGEST_PAUSE,
    };
    let (mut replaced, mut renewed) = (view.replaced(), view.renewed());
    let mut pause = FIRST_PAUSE;
    loop {
        let began = Instant::now();
        tokio::select! {
            biased;
            _ = renewed.changed() => continue,
            // The view is empty again: this stream may still be the other cluster's.
            _ = replaced.changed() => continue,
            () = stream(&api, &of, &config, &view) => {}
        }
        if began.elapsed() >= HELD {
            pause = FIRST_PAUSE;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// Takes in what a stream tells, until it breaks. The next one begins with a list: one that
/// only went on would not say that it does, where nothing changes.
async fn stream(api: &Api<DynamicObject>, of: &Stream, config: &watcher::Config, view: &View) {
    let kind = of.kind;
    let mut events = watcher::watcher(api.clone(), config.clone()).boxed();
    while let Some(event) = events.next().await {
        let outcome = if event.is_ok() { "event" } else { "break" };
        metrics::counter!("sluice_watch_events_total", "kind" => kind.name(), "outcome" => outcome)
            .increment(1);
        match event {
            Err(error) => {
                let namespace = of.namespace.as_deref();
                tracing::warn!(kind = ?kind, namespace, %error, "a watch broke and begins again");
                view.lose(of, reason(&error));
                return;
            }
            Ok(Event::Init) => view.begin_list(of),
            Ok(Event::InitApply(object) | Event::Apply(object)) => view.put(of, object),
            Ok(Event::InitDone) => view.end_list(of),
            Ok(Event::Delete(object)) => view.delete(of, &object),
        }
    }
}

/// Why a watch shows nothing.
fn reason(error: &watcher::Error) -> (Obstacle, String) {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            let meant = error_of(error);
            let said = || (Obstacle::Failing, meant.to_string());
            meant.obstacle().unwrap_or_else(said)
        }
        watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => {
            (Obstacle::Failing, error.to_string())
        }
    }
}
