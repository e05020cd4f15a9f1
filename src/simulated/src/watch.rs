//! Watches: a stream of changes, one JSON line each.
//!
//! A watch starts from what is there or from a version, goes through the window
//! of changes, and ends by its time-out, by the cluster's end, or when it is cut.
//! One that is behind the window gets `410 Expired` as its last event and has to
//! list again. Knows the store and selectors; carries no write.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use kube::core::Selector;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Shared;
use super::clock::Clock;
use super::kind::Kind;
use super::objects::{Action, Change};
use super::refusal::Refusal;
use super::selector::{self, Fields};
use super::table::Shape;
use super::world::World;

/// Which objects a list or watch is about.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) kind: Kind,
    pub(super) namespace: Option<String>,
    pub(super) labels: Selector,
    pub(super) fields: Fields,
}

impl Choice {
    /// Whether labels and fields fit. The namespace is checked by the list.
    pub(super) fn fits(&self, object: &Value) -> bool {
        selector::matches(&self.labels, object, "/metadata/labels") && self.fields.matches(object)
    }
}

/// A watch under way.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    choice: Choice,
    shape: Shape,
    clock: Clock,
    seen: watch::Receiver<u64>,
    cursor: u64,
    cuts: u64,
    lines: VecDeque<Bytes>,
    deadline: Option<Instant>,
    bookmark: Option<(Duration, Instant)>,
    ended: bool,
}

impl Watch {
    /// Starts a watch: from a version, or else with all objects there are.
    pub(super) fn start(
        shared: &Arc<Shared>,
        world: &World,
        (choice, shape): (Choice, Shape),
        version: Option<u64>,
        bookmarks: bool,
        timeout: Option<u64>,
    ) -> Self {
        let now = Instant::now();
        let every = world.config.bookmark_every;
        let mut watch = Self {
            shared: Arc::clone(shared),
            seen: world.seen.subscribe(),
            cursor: version.unwrap_or_else(|| world.objects.version()),
            cuts: world.cuts,
            lines: VecDeque::new(),
            deadline: timeout.map(|seconds| now + Duration::from_secs(seconds)),
            bookmark: bookmarks.then_some((every, now + every)),
            ended: false,
            choice,
            shape,
            clock: world.clock,
        };
        if version.is_none() {
            let namespace = watch.choice.namespace.clone();
            for (_, object) in world.objects.list(watch.choice.kind, namespace.as_deref()) {
                if watch.choice.fits(object) {
                    let event = watch.event("ADDED", object);
                    watch.lines.push_back(event);
                }
            }
            if bookmarks {
                watch.push_bookmark(true);
            }
        }
        watch
    }

    /// The lines of the watch. An error breaks the connection.
    pub(super) fn lines(self) -> impl Stream<Item = io::Result<Bytes>> {
        futures::stream::unfold(self, |mut watch| async move {
            let line = watch.next().await?;
            Some((line, watch))
        })
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(Ok(line));
            }
            if self.ended {
                return None;
            }
            self.seen.mark_unchanged();
            if self.catch_up() {
                self.ended = true;
                return Some(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
            }
            if self.lines.is_empty() && !self.ended {
                self.rest().await;
            }
        }
    }

    /// Takes over what has happened since the last time; says whether the
    /// connection is to break.
    fn catch_up(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let world = shared.lock();
        if world.cuts != self.cuts {
            return true;
        }
        match world.objects.since(self.cursor) {
            Ok(changes) => {
                for change in changes {
                    if let Some(line) = self.line_of(change) {
                        self.lines.push_back(line);
                    }
                }
                self.cursor = self.cursor.max(world.objects.version());
            }
            Err(oldest) => {
                let status = Refusal::expired(self.cursor, oldest).status();
                self.lines.push_back(line("ERROR", &status));
                self.ended = true;
            }
        }
        false
    }

    /// Waits for a change, a bookmark's time or the end.
    async fn rest(&mut self) {
        let stop = self.shared.stop.clone();
        let bookmark = self.bookmark.map(|(_, at)| at);
        tokio::select! {
            changed = self.seen.changed() => self.ended |= changed.is_err(),
            () = stop.cancelled() => self.ended = true,
            () = until(self.deadline) => {
                self.ended = true;
                if self.bookmark.is_some() {
                    self.push_bookmark(false);
                }
            }
            () = until(bookmark) => {
                self.bookmark = self.bookmark.map(|(every, _)| (every, Instant::now() + every));
                self.push_bookmark(false);
            }
        }
    }

    /// How the watcher sees a change: an object that begins or stops to match
    /// comes and goes.
    fn line_of(&self, change: &Change) -> Option<Bytes> {
        let ours = change.key.kind == self.choice.kind
            && self
                .choice
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == change.key.namespace);
        if !ours {
            return None;
        }
        let fitted = change.before.as_ref().is_some_and(|before| self.choice.fits(before));
        let fits = change.action != Action::Deleted && self.choice.fits(&change.object);
        let event = match (fitted, fits) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(self.event(event, &change.object))
    }

    fn event(&self, event: &str, object: &Value) -> Bytes {
        match self.shape {
            Shape::Object => line(event, object),
            Shape::Table(_) => {
                line(event, &self.shape.answer(self.choice.kind, &self.clock, object.clone()))
            }
        }
    }

    fn push_bookmark(&mut self, initial: bool) {
        let mut object = json!({
            "kind": self.choice.kind.name(),
            "apiVersion": self.choice.kind.api_version(),
            "metadata": {"resourceVersion": self.cursor.to_string()},
        });
        if initial {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.lines.push_back(line("BOOKMARK", &object));
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn line(event: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{{\"type\":\"{event}\",\"object\":{object}}}\n"))
}
