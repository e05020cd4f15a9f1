//! Watches: where they begin, what they tell, how they go on.
//!
//! Events are read as plain JSON lines, so that nothing a client library does hides
//! what the server sent; one check goes through kube's own watcher.

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher;
use serde_json::{Value, json};

use crate::support::{Space, with};

const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

/// A Deployment that its controller lets alone after a moment.
async fn quiet(space: &Space) {
    let deadline = json!({"paused": true, "progressDeadlineSeconds": i32::MAX});
    space.create(&with(0, "shop/web:1", &deadline)).await;
    space
        .until_web("with its availability", |deployment| {
            deployment.status.as_ref().is_some_and(|status| status.conditions.is_some())
        })
        .await;
}

async fn label(space: &Space, value: &str) -> Deployment {
    let change = json!({"metadata": {"labels": {"color": value}}});
    space.deployments().patch("web", &PatchParams::default(), &Patch::Merge(change)).await.unwrap()
}

/// The next events: type and the label.
async fn next(events: &mut (impl Stream<Item = Value> + Unpin), number: usize) -> Vec<String> {
    let events = events.take(number).map(|event| {
        let color = &event["object"]["metadata"]["labels"]["color"];
        format!("{} {}", event["type"].as_str().unwrap_or_default(), color.as_str().unwrap_or("-"))
    });
    tokio::time::timeout(LIMIT, events.collect()).await.expect("the events come")
}

pub async fn a_watch_goes_on_from_a_version(space: Space) {
    quiet(&space).await;
    label(&space, "red").await;
    let version = label(&space, "green").await.resource_version().unwrap();
    label(&space, "blue").await;
    let query = format!("resourceVersion={version}");
    let mut events = Box::pin(space.watch_deployments(&query).await);
    assert_eq!(next(&mut events, 1).await, ["MODIFIED blue"]);
    label(&space, "white").await;
    assert_eq!(next(&mut events, 1).await, ["MODIFIED white"]);
    let api = space.deployments();
    api.delete("web", &Default::default()).await.unwrap();
    assert_eq!(next(&mut events, 1).await, ["DELETED white"]);
}

pub async fn a_watch_tells_what_begins_and_stops_to_match(space: Space) {
    quiet(&space).await;
    let version = space.web().await.resource_version().unwrap();
    let query = format!("resourceVersion={version}&labelSelector=color%3Dred");
    let mut events = Box::pin(space.watch_deployments(&query).await);
    for color in ["blue", "red", "green"] {
        label(&space, color).await;
    }
    let seen = next(&mut events, 2).await;
    assert_eq!(seen[0], "ADDED red");
    assert!(seen[1].starts_with("DELETED "), "{seen:?}");
}

pub async fn a_watch_can_begin_with_a_list(space: Space) {
    quiet(&space).await;
    label(&space, "red").await;
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                 &allowWatchBookmarks=true&timeoutSeconds=20";
    let mut events = Box::pin(space.watch_deployments(query).await);
    assert_eq!(next(&mut events, 1).await, ["ADDED red"]);
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let metadata = &bookmark["object"]["metadata"];
    assert_eq!(metadata["annotations"]["k8s.io/initial-events-end"], "true");
    let version = metadata["resourceVersion"].as_str().unwrap().to_owned();
    // The bookmark's version is one to go on from.
    label(&space, "blue").await;
    let query = format!("resourceVersion={version}");
    let mut events = Box::pin(space.watch_deployments(&query).await);
    assert_eq!(next(&mut events, 1).await, ["MODIFIED blue"]);
}

pub async fn a_watcher_outlives_its_streams(space: Space) {
    quiet(&space).await;
    for config in [
        watcher::Config::default().timeout(1),
        watcher::Config::default().timeout(1).streaming_lists(),
    ] {
        let mut events = std::pin::pin!(watcher(space.deployments(), config));
        let mut wait_for = async |color: &str| {
            let wait = async {
                loop {
                    use watcher::Event::{Apply, InitApply};
                    if let Apply(d) | InitApply(d) = events.next().await.unwrap().unwrap()
                        && d.labels().get("color").map(String::as_str) == Some(color)
                    {
                        return;
                    }
                }
            };
            tokio::time::timeout(LIMIT, wait).await.expect("it is seen");
        };
        // Longer than one stream lives: the server ends it in between.
        for color in ["red", "green", "blue", "white"] {
            label(&space, color).await;
            wait_for(color).await;
            let query = "timeoutSeconds=1&resourceVersion=0";
            let other = space.watch_deployments(query).await;
            other.for_each(|_| std::future::ready(())).await;
        }
    }
}
