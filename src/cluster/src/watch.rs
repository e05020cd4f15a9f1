//! The watches that keep the view: one stream a kind, never a polling request.
//!
//! A stream that breaks begins again with a new list, after a growing delay;
//! what vanished meanwhile is noticed then. All begin again where another cluster
//! answers than before. Without the right to see events all
//! goes on, only with less said about failures.

use std::sync::Arc;

use futures::StreamExt;
use kube::{
    Client,
    api::{Api, DynamicObject},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use tokio::task::JoinSet;

use super::{
    apps, core,
    view::{View, WatchedKind},
};

/// Starts the watches of `view`.
pub(super) fn spawn(client: &Client, view: &Arc<View>, tasks: &mut JoinSet<()>) {
    let everything = watcher::Config::default();
    for (kind, resource, config) in [
        (WatchedKind::Deployment, apps("Deployment"), everything.clone()),
        (WatchedKind::ReplicaSet, apps("ReplicaSet"), everything.clone()),
        (WatchedKind::Pod, core("Pod"), everything.clone()),
        (WatchedKind::Namespace, core("Namespace"), everything.clone()),
        (
            WatchedKind::Warning,
            core("Event"),
            everything.clone().fields("type=Warning,involvedObject.kind=Pod"),
        ),
        (
            WatchedKind::DeploymentWarning,
            core("Event"),
            everything.fields("type=Warning,involvedObject.kind=Deployment"),
        ),
    ] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        tasks.spawn(follow(api, kind, config, view.clone()));
    }
}

async fn follow(
    api: Api<DynamicObject>,
    kind: WatchedKind,
    config: watcher::Config,
    view: Arc<View>,
) {
    let mut replaced = view.replaced();
    loop {
        tokio::select! {
            biased;
            // The view is empty again: this stream may still be the other cluster's.
            _ = replaced.changed() => {}
            () = stream(&api, kind, &config, &view) => return,
        }
    }
}

async fn stream(
    api: &Api<DynamicObject>,
    kind: WatchedKind,
    config: &watcher::Config,
    view: &View,
) {
    let mut events = watcher::watcher(api.clone(), config.clone()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        if let Err(error) = &event {
            tracing::warn!(kind = ?kind, %error, "a watch broke and begins again");
        }
        view.set_broken(kind, event.is_err());
        match event {
            Err(_) => {}
            Ok(Event::Init) => view.begin_list(kind),
            Ok(Event::InitApply(object) | Event::Apply(object)) => view.put(kind, object),
            Ok(Event::InitDone) => view.end_list(kind),
            Ok(Event::Delete(object)) => view.delete(kind, &object),
        }
    }
}
