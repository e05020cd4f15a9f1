//! A world that a test drives step by step, without a runtime and without time.
//!
//! Pods start at once, so a release runs through in one go, and an invariant can be
//! looked at after every single step of every controller. Test code only.

use std::time::Duration;

use serde_json::{Value, json};

use super::Config;
use super::field::{condition, count, int, items, text};
use super::kind::Kind;
use super::objects::Key;
use super::queue::Next;
use super::world::{Half, World, Writer};

const TEST: Writer<'static> = Writer { manager: "test", dry_run: false };

/// A world with at most one Deployment, `web`.
pub(super) struct Workbench {
    pub(super) world: World,
}

impl Workbench {
    /// An empty world. With a seed the controllers work in random order.
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self {
            world: World::new(Config {
                seed: seed.unwrap_or(0),
                shuffle: seed.is_some(),
                start_delay: Duration::ZERO,
                ..Config::default()
            }),
        }
    }

    /// Creates `web` of this size and image, with a merge patch to its spec, and
    /// lets it settle.
    pub(super) fn deploy(&mut self, replicas: i32, image: &str, patch: &Value) {
        let mut object = json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": "web", "image": image}]},
                },
            },
        });
        json_patch::merge(&mut object["spec"], patch);
        self.world.create(TEST, Kind::Deployment, "default", object).unwrap();
        self.settle();
    }

    /// Applies merge patches to the spec of `web`, in one write; nothing else moves
    /// yet.
    pub(super) fn patch(&mut self, patches: &[Value]) {
        let key = Self::web();
        let mut object = Value::clone(&self.world.present(&key).unwrap());
        for patch in patches {
            json_patch::merge(&mut object["spec"], patch);
        }
        self.world.revise(TEST, &key, Half::Spec, object).unwrap();
    }

    /// Lets everything happen that needs no time.
    pub(super) fn settle(&mut self) {
        self.settle_and(|_| {});
    }

    /// Does so and looks at the world after every step.
    pub(super) fn settle_and(&mut self, look: impl Fn(&Self)) {
        for _ in 0..100_000 {
            match self.world.step() {
                None => look(self),
                Some(Next::At(_) | Next::Nothing) => return,
                Some(Next::Now(_)) => unreachable!("a step takes it"),
            }
        }
        panic!("the controllers find no rest");
    }

    /// The patch that sets the image.
    pub(super) fn image(image: &str) -> Value {
        json!({"template": {"spec": {"containers": [{"name": "web", "image": image}]}}})
    }

    /// The key of `web`.
    pub(super) fn web() -> Key {
        Key::new(Kind::Deployment, "default", "web")
    }

    /// The Deployment.
    pub(super) fn deployment(&self) -> Value {
        Value::clone(&self.world.present(&Self::web()).unwrap())
    }

    /// The ReplicaSets, oldest revision first.
    pub(super) fn sets(&self) -> Vec<Value> {
        let sets = self.world.objects.list(Kind::ReplicaSet, Some("default"));
        let mut sets: Vec<Value> = sets.map(|(_, set)| Value::clone(set)).collect();
        sets.sort_by_key(|set| {
            let revision = &set["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            revision.as_str().and_then(|text| text.parse::<i64>().ok())
        });
        sets
    }

    /// Their sizes as wanted.
    pub(super) fn sizes(&self) -> Vec<i32> {
        let sets = self.sets();
        sets.iter().map(|set| count(set, "/spec/replicas")).collect()
    }

    /// How many pods that are not ending there are, and how many are ready, of an
    /// image or of all.
    pub(super) fn pods(&self, image: Option<&str>) -> (i32, i32) {
        let (mut all, mut ready) = (0, 0);
        for (_, pod) in self.world.objects.list(Kind::Pod, Some("default")) {
            let ending = text(pod, "/metadata/deletionTimestamp").is_some();
            let other = image.is_some() && text(pod, "/spec/containers/0/image") != image;
            if ending || other {
                continue;
            }
            all += 1;
            ready += i32::from(
                condition(pod, "Ready").is_some_and(|c| text(c, "/status") == Some("True")),
            );
        }
        (all, ready)
    }

    /// Whether the status says that the release is done.
    pub(super) fn is_complete(&self) -> bool {
        let web = self.deployment();
        let size = count(&web, "/spec/replicas");
        int(&web, "/status/observedGeneration") == int(&web, "/metadata/generation")
            && ["replicas", "updatedReplicas", "availableReplicas"]
                .iter()
                .all(|key| count(&web, &format!("/status/{key}")) == size)
            && items(&web, "/status/conditions").len() >= 2
    }
}
