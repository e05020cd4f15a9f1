//! The object store: every object, one resourceVersion for all, and the window
//! of changes that watches replay.
//!
//! Promises that versions only grow by one, that a change of nothing is no
//! change, and that an object handed out is never altered. Knows nothing of what
//! is inside an object except names, owners and versions.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::field;
use super::kind::Kind;

/// Where an object lives. Ordered by kind, namespace, name, which is the order
/// of lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// What it is.
    pub(super) kind: Kind,
    /// Empty for cluster-wide kinds.
    pub(super) namespace: String,
    /// Its name.
    pub(super) name: String,
}

impl Key {
    /// The key of an object of this kind.
    pub(super) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Added,
    Modified,
    Deleted,
}

/// One change, as watches see it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// The resourceVersion it made.
    pub(super) version: u64,
    pub(super) action: Action,
    pub(super) key: Key,
    /// The object after it; for a deletion the last state, with its version.
    pub(super) object: Arc<Value>,
    /// The object before it.
    pub(super) before: Option<Arc<Value>>,
}

/// All objects.
#[derive(Debug)]
pub(super) struct Objects {
    all: BTreeMap<Key, Arc<Value>>,
    dependents: HashMap<String, BTreeSet<Key>>,
    orphans: BTreeSet<Key>,
    changes: VecDeque<Change>,
    window: usize,
    version: u64,
}

impl Objects {
    /// An empty store that remembers this many changes.
    pub(super) fn new(window: usize) -> Self {
        Self {
            all: BTreeMap::new(),
            dependents: HashMap::new(),
            orphans: BTreeSet::new(),
            changes: VecDeque::new(),
            window,
            version: 0,
        }
    }

    /// The newest resourceVersion.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The object, if it is there.
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Value>> {
        self.all.get(key)
    }

    /// Objects of a kind, of one namespace or of all, in the order of lists.
    pub(super) fn list<'a>(
        &'a self,
        kind: Kind,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let first = Key::new(kind, namespace.unwrap_or_default(), "");
        self.all.range(first..).take_while(move |(key, _)| {
            key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace)
        })
    }

    /// The objects that name this uid as an owner.
    pub(super) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).map(|keys| keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// Pods and ReplicaSets of a namespace that no controller owns.
    pub(super) fn orphans(&self, kind: Kind, namespace: &str) -> Vec<Key> {
        self.orphans
            .range(Key::new(kind, namespace, "")..)
            .take_while(|key| key.kind == kind && key.namespace == namespace)
            .cloned()
            .collect()
    }

    /// Writes an object under its key and gives it the next version; none when
    /// it is there already with just these contents.
    pub(super) fn put(&mut self, key: &Key, mut object: Value) -> Option<&Change> {
        let before = self.all.get(key).cloned();
        if let Some(before) = &before {
            object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            if **before == object {
                return None;
            }
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if let Some(before) = &before {
            self.forget(key, before);
        }
        let object = Arc::new(object);
        for owner in field::items(&object, "/metadata/ownerReferences") {
            if let Some(uid) = field::text(owner, "/uid") {
                self.dependents.entry(uid.to_owned()).or_default().insert(key.clone());
            }
        }
        if matches!(key.kind, Kind::Pod | Kind::ReplicaSet) && field::controller(&object).is_none()
        {
            self.orphans.insert(key.clone());
        }
        self.all.insert(key.clone(), Arc::clone(&object));
        let action = if before.is_some() { Action::Modified } else { Action::Added };
        Some(self.record(action, key, object, before))
    }

    /// Takes an object away.
    pub(super) fn remove(&mut self, key: &Key) -> Option<&Change> {
        let before = self.all.remove(key)?;
        self.forget(key, &before);
        self.version += 1;
        let mut object = Value::clone(&before);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        Some(self.record(Action::Deleted, key, Arc::new(object), Some(before)))
    }

    /// Alters an object that is there as if it had always been so: without a version of
    /// its own.
    pub(super) fn replace_quietly(&mut self, key: &Key, alter: impl FnOnce(&mut Value)) {
        if let Some(object) = self.all.get_mut(key) {
            alter(Arc::make_mut(object));
        }
    }

    /// The changes after a version, oldest first; none when some of them are
    /// forgotten, with the oldest version one may ask for.
    pub(super) fn since(&self, version: u64) -> Result<impl Iterator<Item = &Change>, u64> {
        let oldest = self.oldest();
        if version < oldest {
            return Err(oldest);
        }
        let skip = usize::try_from(version - oldest).unwrap_or(usize::MAX);
        Ok(self.changes.iter().skip(skip))
    }

    /// Forgets every change so far: watches from before must start anew.
    pub(super) fn forget_changes(&mut self) {
        // A version of its own, so that even a watch that had seen everything
        // is behind.
        self.version += 1;
        self.changes.clear();
    }

    fn oldest(&self) -> u64 {
        self.changes.front().map_or(self.version, |first| first.version - 1)
    }

    fn record(
        &mut self,
        action: Action,
        key: &Key,
        object: Arc<Value>,
        before: Option<Arc<Value>>,
    ) -> &Change {
        if self.changes.len() >= self.window.max(1) {
            self.changes.pop_front();
        }
        self.changes.push_back(Change {
            version: self.version,
            action,
            key: key.clone(),
            object,
            before,
        });
        &self.changes[self.changes.len() - 1]
    }

    fn forget(&mut self, key: &Key, object: &Value) {
        self.orphans.remove(key);
        for owner in field::items(object, "/metadata/ownerReferences") {
            let Some(uid) = field::text(owner, "/uid") else {
                continue;
            };
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str) -> (Key, Value) {
        (
            Key::new(Kind::Pod, "default", name),
            json!({"metadata": {"name": name, "namespace": "default"}}),
        )
    }

    #[test]
    fn a_change_of_nothing_makes_no_version() {
        let mut objects = Objects::new(10);
        let (key, object) = pod("a");
        assert_eq!(objects.put(&key, object.clone()).unwrap().version, 1);
        assert!(objects.put(&key, object).is_none());
        assert_eq!(objects.version(), 1);
    }

    #[test]
    fn the_window_keeps_the_newest_changes_and_says_what_is_lost() {
        let mut objects = Objects::new(2);
        for name in ["a", "b", "c"] {
            let (key, object) = pod(name);
            objects.put(&key, object);
        }
        let versions = |objects: &Objects, since| -> Result<Vec<u64>, u64> {
            Ok(objects.since(since)?.map(|change| change.version).collect())
        };
        assert_eq!(versions(&objects, 1), Ok(vec![2, 3]));
        assert_eq!(versions(&objects, 3), Ok(vec![]));
        assert_eq!(versions(&objects, 0), Err(1));
    }

    #[test]
    fn a_forgotten_window_leaves_even_the_newest_watch_behind() {
        let mut objects = Objects::new(10);
        let (key, object) = pod("a");
        objects.put(&key, object);
        objects.forget_changes();
        assert!(objects.since(1).is_err());
        assert!(objects.since(objects.version()).is_ok());
    }

    #[test]
    fn owners_find_their_dependents_until_these_are_gone() {
        let mut objects = Objects::new(10);
        let (key, mut object) = pod("a");
        assert!(objects.put(&key, object.clone()).is_some());
        assert_eq!(objects.orphans(Kind::Pod, "default"), vec![key.clone()]);
        object["metadata"]["ownerReferences"] = json!([{"uid": "u", "controller": true}]);
        objects.put(&key, object);
        assert_eq!(objects.dependents("u"), vec![key.clone()]);
        assert!(objects.orphans(Kind::Pod, "default").is_empty());
        objects.remove(&key);
        assert!(objects.dependents("u").is_empty());
    }

    #[test]
    fn a_list_holds_one_kind_of_one_namespace() {
        let mut objects = Objects::new(10);
        for (namespace, name) in [("b", "x"), ("a", "y"), ("a", "x")] {
            objects.put(&Key::new(Kind::Pod, namespace, name), json!({"metadata": {}}));
        }
        objects.put(&Key::new(Kind::Service, "a", "z"), json!({"metadata": {}}));
        let names = |namespace| {
            objects
                .list(Kind::Pod, namespace)
                .map(|(key, _)| format!("{}/{}", key.namespace, key.name))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Some("a")), ["a/x", "a/y"]);
        assert_eq!(names(None), ["a/x", "a/y", "b/x"]);
    }
}
