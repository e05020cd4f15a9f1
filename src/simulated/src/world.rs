//! Everything inside the cluster, and the only way to write an object.
//!
//! Each write gives an object its system metadata (uid, generation, time stamps,
//! managers), makes its new version known to watches and puts those controllers
//! on the queue that have to look at it. Held under one lock, so a write is never
//! seen half done. Knows nothing of HTTP, nor of what the controllers decide.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::audit::{Audit, Call};
use super::clock::Clock;
use super::event::Events;
use super::fault::Faults;
use super::field::{self, section, text};
use super::kind::Kind;
use super::kubelet::Kubelet;
use super::objects::{Action, Key, Objects};
use super::queue::{Next, Queue, Work};
use super::refusal::Refusal;
use super::{
    Config, deployment, garbage, kubelet, managed, reaction, replica_set, schema, update,
    validation,
};

/// Which part of an object a write is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// Everything but the status.
    Spec,
    /// The status, and for a Deployment its annotations.
    Status,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    /// The field manager.
    pub(super) manager: &'a str,
    /// Whether nothing may be kept.
    pub(super) dry_run: bool,
}

/// The built-in controllers.
pub(super) const CONTROLLERS: Writer<'static> =
    Writer { manager: "kube-controller-manager", dry_run: false };
/// The scheduler.
pub(super) const SCHEDULER: Writer<'static> = Writer { manager: "kube-scheduler", dry_run: false };
/// The nodes.
pub(super) const NODES: Writer<'static> = Writer { manager: "kubelet", dry_run: false };

/// The state of the cluster.
#[derive(Debug)]
pub(super) struct World {
    pub(super) objects: Objects,
    pub(super) clock: Clock,
    pub(super) config: Config,
    pub(super) audit: Audit,
    pub(super) faults: Faults,
    pub(super) queue: Queue,
    pub(super) kubelet: Kubelet,
    pub(super) events: Events,
    pub(super) rng: StdRng,
    /// Counts how often all watches were to be cut.
    pub(super) cuts: u64,
    pub(super) seen: watch::Sender<u64>,
    pub(super) wake: Arc<Notify>,
}

impl World {
    /// A cluster with its nodes and the namespaces every cluster has.
    pub(super) fn new(config: Config) -> Self {
        let mut world = Self {
            objects: Objects::new(config.history),
            clock: Clock::start(),
            audit: Audit::new(config.audit),
            faults: Faults::default(),
            queue: Queue::default(),
            kubelet: Kubelet::default(),
            events: Events::default(),
            rng: StdRng::seed_from_u64(config.seed),
            cuts: 0,
            seen: watch::Sender::new(0),
            wake: Arc::new(Notify::new()),
            config,
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            world.found(json!({"metadata": {"name": name}}), Kind::Namespace);
        }
        for number in 1..=world.config.nodes {
            world.found(kubelet::node(number), Kind::Node);
        }
        world.audit = Audit::new(world.config.audit);
        if let Some(identity) = world.config.identity.clone() {
            world.replace_identity(&identity);
        }
        world
    }

    fn found(&mut self, object: Value, kind: Kind) {
        let made = self.create(CONTROLLERS, kind, "", object);
        debug_assert!(made.is_ok(), "the cluster's own {kind:?} is valid");
    }

    /// Gives the namespace `kube-system` another uid, as no change that a watch could see.
    pub(super) fn replace_identity(&mut self, uid: &str) {
        self.objects.replace_quietly(&Key::new(Kind::Namespace, "", "kube-system"), |object| {
            object["metadata"]["uid"] = uid.into()
        });
    }

    /// Looks at the next thing on the queue; says when there will be another.
    pub(super) fn step(&mut self) -> Option<Next> {
        let shuffle = self.config.shuffle.then_some(&mut self.rng);
        let work = match self.queue.next(Instant::now(), shuffle) {
            Next::Now(work) => work,
            idle => return Some(idle),
        };
        let done = match &work {
            Work::Deployment(key) => deployment::sync(self, key),
            Work::ReplicaSet(key) => replica_set::sync(self, key),
            Work::Pod(key) => {
                kubelet::sync(self, key);
                Ok(())
            }
            Work::Collect(uid) => garbage::collect(self, uid),
            Work::Foreground(key) => garbage::finish_foreground(self, key),
            Work::Namespace(name) => garbage::empty_namespace(self, name),
        };
        match done {
            Ok(()) => self.queue.succeed(&work),
            Err(refusal) => {
                tracing::debug!(message = refusal.message, ?work, "will be looked at again");
                self.queue.retry(work, Instant::now());
            }
        }
        None
    }

    /// Creates an object in a namespace (empty for cluster-wide kinds).
    pub(super) fn create(
        &mut self,
        writer: Writer<'_>,
        kind: Kind,
        namespace: &str,
        mut object: Value,
    ) -> Result<Arc<Value>, Refusal> {
        self.name_new(kind, namespace, &mut object);
        let name = text(&object, "/metadata/name").unwrap_or_default().to_owned();
        if kind.is_namespaced() {
            self.check_namespace(kind, namespace, &name)?;
        }
        let mut object =
            schema::settle(kind, object).map_err(|why| update::cannot_be_handled(kind, &why))?;
        let causes = validation::check(kind, &object);
        if !causes.is_empty() {
            return Err(Refusal::invalid(kind.group(), kind.name(), &name, &causes));
        }
        let key = Key::new(kind, namespace, &name);
        if self.objects.get(&key).is_some() {
            return Err(Refusal::already_exists(kind, &name));
        }
        self.begin(kind, &mut object);
        let time = self.clock.stamp();
        managed::record(None, &mut object, writer.manager, "", &time);
        if writer.dry_run {
            return Ok(Arc::new(object));
        }
        self.put(&key, object);
        self.objects.get(&key).cloned().ok_or_else(|| Refusal::not_found(kind, &name))
    }

    /// Replaces a half of an object by that of `object`, after every check a
    /// client's write has to pass.
    pub(super) fn revise(
        &mut self,
        writer: Writer<'_>,
        key: &Key,
        half: Half,
        mut object: Value,
    ) -> Result<Arc<Value>, Refusal> {
        let before = self.present(key)?;
        update::check_identity(key, &before, &object)?;
        update::keep_system_metadata(&before, &mut object);
        object = match half {
            Half::Spec => {
                match before.get("status") {
                    Some(status) => object["status"] = status.clone(),
                    None => {
                        field::remove(&mut object, "", "status");
                    }
                }
                object
            }
            Half::Status => update::only_status(&before, object),
        };
        let object = schema::settle(key.kind, object)
            .map_err(|why| update::cannot_be_handled(key.kind, &why))?;
        let mut causes = validation::check_change(key.kind, &before, &object);
        if half == Half::Spec {
            causes.splice(0..0, validation::check(key.kind, &object));
        }
        if !causes.is_empty() {
            return Err(Refusal::invalid(key.kind.group(), key.kind.name(), &key.name, &causes));
        }
        Ok(self.commit(writer, key, half, &before, object))
    }

    /// Alters a half of an object in place: the way of the built-in controllers,
    /// who are trusted to leave it valid.
    pub(super) fn edit(
        &mut self,
        writer: Writer<'_>,
        key: &Key,
        half: Half,
        alter: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Refusal> {
        let subresource = match half {
            Half::Spec => "",
            Half::Status => "status",
        };
        self.note(writer, "update", key, subresource);
        self.edit_quietly(writer, key, half, alter)
    }

    /// Like `edit`, for a write that is in the log already.
    pub(super) fn edit_quietly(
        &mut self,
        writer: Writer<'_>,
        key: &Key,
        half: Half,
        alter: impl FnOnce(&mut Value),
    ) -> Result<Arc<Value>, Refusal> {
        let before = self.present(key)?;
        let mut object = Value::clone(&before);
        alter(&mut object);
        Ok(self.commit(writer, key, half, &before, object))
    }

    /// Puts a write of a built-in controller into the log.
    pub(super) fn note(
        &mut self,
        writer: Writer<'_>,
        verb: &'static str,
        key: &Key,
        subresource: &'static str,
    ) {
        let code = if verb == "create" { 201 } else { 200 };
        self.audit.record(
            Call {
                verb,
                resource: key.kind.plural(),
                subresource,
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                manager: writer.manager.to_owned(),
                dry_run: false,
            },
            code,
        );
    }

    /// The object, or the refusal that it is not there.
    pub(super) fn present(&self, key: &Key) -> Result<Arc<Value>, Refusal> {
        self.objects.get(key).cloned().ok_or_else(|| Refusal::not_found(key.kind, &key.name))
    }

    /// Takes an object away, whatever it looks like.
    pub(super) fn remove(&mut self, key: &Key) {
        let Some(change) = self.objects.remove(key) else {
            return;
        };
        let (version, object) = (change.version, Arc::clone(&change.object));
        self.kubelet.forget(key);
        reaction::to_change(self, Action::Deleted, key, &object);
        self.tell(version);
    }

    /// Random text of the letters that Kubernetes uses in generated names.
    pub(super) fn suffix(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length).map(|_| char::from(LETTERS[self.rng.random_range(0..LETTERS.len())])).collect()
    }

    /// Makes a fresh uid. Seeded like all else, so that runs repeat.
    fn uid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid().to_string()
    }

    fn name_new(&mut self, kind: Kind, namespace: &str, object: &mut Value) {
        let metadata = section(object, "metadata");
        if kind.is_namespaced() {
            metadata["namespace"] = namespace.into();
        }
        let named = metadata["name"].as_str().is_some_and(|name| !name.is_empty());
        if let (false, Some(start)) = (named, metadata["generateName"].as_str()) {
            let name = format!("{start}{}", self.suffix(5));
            object["metadata"]["name"] = name.into();
        }
    }

    fn check_namespace(&self, kind: Kind, namespace: &str, name: &str) -> Result<(), Refusal> {
        let key = Key::new(Kind::Namespace, "", namespace);
        let found = self.present(&key)?;
        if field::text(&found, "/metadata/deletionTimestamp").is_some() {
            return Err(Refusal::namespace_terminating(kind, name, namespace));
        }
        Ok(())
    }

    /// System metadata and first status of a new object.
    fn begin(&mut self, kind: Kind, object: &mut Value) {
        let uid = self.uid();
        let stamp = self.clock.stamp();
        let metadata = section(object, "metadata");
        metadata["uid"] = uid.into();
        metadata["creationTimestamp"] = stamp.into();
        for key in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            field::remove(metadata, "", key);
        }
        if matches!(kind, Kind::Deployment | Kind::ReplicaSet | Kind::Pod) {
            metadata["generation"] = 1.into();
        }
        match kind {
            Kind::Deployment => object["status"] = json!({}),
            Kind::ReplicaSet => object["status"] = json!({"replicas": 0}),
            Kind::Namespace => object["status"] = json!({"phase": "Active"}),
            Kind::Pod => {
                let class = kubelet::qos_class(object);
                object["status"] = json!({"phase": "Pending", "qosClass": class});
            }
            Kind::Node
            | Kind::ConfigMap
            | Kind::Event
            | Kind::Secret
            | Kind::Service
            | Kind::Ingress
            | Kind::HorizontalPodAutoscaler => {}
        }
    }

    fn commit(
        &mut self,
        writer: Writer<'_>,
        key: &Key,
        half: Half,
        before: &Arc<Value>,
        mut object: Value,
    ) -> Arc<Value> {
        let same = |pointer| before.pointer(pointer) == object.pointer(pointer);
        let bumps = match key.kind {
            // The annotations too, since they are copied to the ReplicaSet.
            Kind::Deployment => !same("/spec") || !same("/metadata/annotations"),
            Kind::ReplicaSet | Kind::Pod => !same("/spec"),
            Kind::Namespace
            | Kind::Node
            | Kind::ConfigMap
            | Kind::Event
            | Kind::Secret
            | Kind::Service
            | Kind::Ingress
            | Kind::HorizontalPodAutoscaler => false,
        };
        if bumps && half == Half::Spec {
            let next = field::int(before, "/metadata/generation").unwrap_or(0) + 1;
            object["metadata"]["generation"] = next.into();
        }
        object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
        if **before == object {
            return Arc::clone(before);
        }
        let subresource = if half == Half::Status { "status" } else { "" };
        let time = self.clock.stamp();
        managed::record(Some(before), &mut object, writer.manager, subresource, &time);
        if writer.dry_run {
            return Arc::new(object);
        }
        let gone = text(&object, "/metadata/deletionTimestamp").is_some()
            && field::items(&object, "/metadata/finalizers").is_empty()
            && !matches!(key.kind, Kind::Pod | Kind::Namespace);
        let written = self.put(key, object);
        if gone {
            self.remove(key);
        }
        // What follows from a write may have written it, too.
        self.objects.get(key).cloned().or(written).unwrap_or_else(|| Arc::clone(before))
    }

    /// What was written; none where it is there already with just these contents.
    fn put(&mut self, key: &Key, object: Value) -> Option<Arc<Value>> {
        let change = self.objects.put(key, object)?;
        let (version, action, object) = (change.version, change.action, Arc::clone(&change.object));
        let before = change.before.clone();
        if let Some(before) = before {
            reaction::to_lost_owner(self, key, &before, &object);
        }
        reaction::to_change(self, action, key, &object);
        self.tell(version);
        Some(object)
    }

    fn tell(&mut self, version: u64) {
        self.seen.send_replace(version);
    }
}
