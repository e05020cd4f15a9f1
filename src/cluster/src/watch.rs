//! The watches that keep the view: one stream a kind, never a polling request.
//!
//! A stream that breaks begins again with a new list, after a growing delay;
//! what vanished meanwhile is noticed then. All begin again where another cluster
//! answers than before. Without the right to see events all
//! goes on, only with less said about failures.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Client,
    api::{Api, DynamicObject},
    runtime::{
        WatchStreamExt,
        utils::Backoff,
        watcher::{self, Event},
    },
};
use domain::order::outage::Obstacle;
use tokio::task::JoinSet;

use super::{
    apps, core,
    request::error_of,
    view::{View, WatchedKind},
};

/// Pauses before a stream that broke begins again: nothing is decided until it does.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// The next pause.
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.0;
        self.0 = (now * 2).min(LONGEST_PAUSE);
        Some(now)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = FIRST_PAUSE;
    }
}

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
    let (mut replaced, mut renewed) = (view.replaced(), view.renewed());
    loop {
        tokio::select! {
            biased;
            _ = renewed.changed() => {}
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
    let watch = watcher::watcher(api.clone(), config.clone());
    let mut events = watch.backoff(Pauses(FIRST_PAUSE)).boxed();
    while let Some(event) = events.next().await {
        match event {
            Err(error) => {
                tracing::warn!(kind = ?kind, %error, "a watch broke and begins again");
                view.lose(kind, reason(&error));
            }
            Ok(Event::Init) => view.begin_list(kind),
            Ok(Event::InitApply(object)) => view.put(kind, object),
            Ok(Event::Apply(object)) => {
                view.put(kind, object);
                view.regain(kind);
            }
            Ok(Event::InitDone) => {
                view.end_list(kind);
                view.regain(kind);
            }
            Ok(Event::Delete(object)) => {
                view.delete(kind, &object);
                view.regain(kind);
            }
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
