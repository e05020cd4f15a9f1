//! The watches that keep the view: one stream a kind, never a polling request.
//!
//! A stream that breaks begins again with a new list, after a growing delay;
//! what vanished meanwhile is noticed then.

use std::sync::Arc;

use futures::StreamExt;
use kube::{
    Client,
    api::{Api, ApiResource, DynamicObject},
    core::GroupVersionKind,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use tokio::task::JoinSet;

use super::{
    apps,
    view::{Kind, View},
};

/// Starts the watches of `view`.
pub(super) fn spawn(client: &Client, view: &Arc<View>, tasks: &mut JoinSet<()>) {
    let core = |kind: &str| ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", kind));
    for (kind, resource) in [
        (Kind::Deployment, apps("Deployment")),
        (Kind::ReplicaSet, apps("ReplicaSet")),
        (Kind::Pod, core("Pod")),
        (Kind::Namespace, core("Namespace")),
    ] {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        tasks.spawn(follow(api, kind, view.clone()));
    }
}

async fn follow(api: Api<DynamicObject>, kind: Kind, view: Arc<View>) {
    let mut events = watcher::watcher(api, watcher::Config::default()).default_backoff().boxed();
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
