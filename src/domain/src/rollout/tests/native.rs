//! A model of the native controllers: one Deployment, its ReplicaSets, its pods.
//!
//! It goes one small step at a time, in any order that the caller chooses: one
//! look of the Deployment controller, one look of the ReplicaSet controller at
//! one set, one pod that becomes Ready. The rules are those of Kubernetes 1.36,
//! as far as an order can meet them: no node failures, no quotas. It must not
//! know of orders.

mod measured;

use std::{cmp::Reverse, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::pod;
use crate::{
    OrderId,
    observed::{DeploymentView, PodView, ReplicaSetView},
    order::intent::{Applied, Borrow, Change, Effect, SizeChange},
    template::settings::BorrowedSettings,
};

/// A Deployment with everything beneath it.
#[derive(Debug, Clone)]
pub(in crate::rollout::tests) struct Cluster {
    pub now: Timestamp,
    pub settings: BorrowedSettings,
    pub borrowed: Option<BorrowedSettings>,
    pub template: Value,
    pub replicas: i32,
    pub sets: Vec<Set>,
    /// Whose write came last, as an annotation says.
    pub written_by: Option<OrderId>,
    version: u64,
    generation: i64,
    observed: i64,
    status_replicas: i32,
    status_updated: i32,
    names: u32,
}

#[derive(Debug, Clone)]
pub(in crate::rollout::tests) struct Set {
    pub template: Value,
    pub desired: i32,
    pub pods: Vec<PodView>,
    version: u64,
    min_ready_seconds: i32,
    /// The Deployment's size plus surge when this set was sized last.
    maximum: i32,
    /// The Deployment's size then: another one now makes Kubernetes scale before it rolls.
    wanted: i32,
    is_observed: bool,
    status_replicas: i32,
    available: i32,
}

impl Set {
    fn name(&self) -> String {
        format!("web-{}", self.template["spec"]["containers"][0]["image"])
    }

    fn is_settled(&self, now: Timestamp) -> bool {
        let pods = i32::try_from(self.pods.len()).unwrap();
        self.is_observed
            && self.desired == pods
            && self.status_replicas == pods
            && self.available == self.count_available(now)
    }

    fn count_available(&self, now: Timestamp) -> i32 {
        let counts =
            |pod: &&PodView| pod.counts_at(self.min_ready_seconds).is_some_and(|at| at <= now);
        i32::try_from(self.pods.iter().filter(counts).count()).unwrap()
    }
}

impl Cluster {
    /// A Deployment at rest: all pods of `template` Ready for long.
    pub fn at_rest(
        now: Timestamp,
        template: Value,
        replicas: i32,
        settings: BorrowedSettings,
    ) -> Self {
        let since = now - SignedDuration::from_hours(1);
        let first = Set {
            template: template.clone(),
            desired: replicas,
            pods: (0..replicas).map(|number| pod(format!("pod-{number}"), Some(since))).collect(),
            version: 1,
            min_ready_seconds: settings.min_ready_seconds,
            maximum: 0,
            wanted: replicas,
            is_observed: true,
            status_replicas: replicas,
            available: replicas,
        };
        let names = replicas.unsigned_abs();
        let (status_replicas, status_updated) = (replicas, replicas);
        let sets = vec![first];
        Self {
            now,
            settings,
            borrowed: None,
            template,
            replicas,
            sets,
            written_by: None,
            version: 1,
            generation: 1,
            observed: 1,
            status_replicas,
            status_updated,
            names,
        }
    }

    /// Makes an effect, as the API server does. Returns what the objects are then.
    pub fn make(&mut self, effect: &Effect) -> Applied {
        let patch = match effect {
            Effect::Deployment(Change::Patch(patch)) => patch,
            Effect::ReplicaSet(SizeChange { name, replicas, .. }) => {
                let set = self.sets.iter().position(|set| set.name() == *name).unwrap();
                let set = &mut self.sets[set];
                (set.desired, set.is_observed, set.version) = (*replicas, false, set.version + 1);
                return Applied { deployment: self.version, replica_set: Some(set.version) };
            }
            Effect::Deployment(change) => {
                panic!("no release does that to a Deployment: {change:?}")
            }
        };
        let before = (self.template.clone(), self.replicas, self.settings.clone());
        let own = &mut self.settings;
        if let Some(template) = &patch.template {
            self.template = template.clone();
        }
        self.replicas = patch.replicas.unwrap_or(self.replicas);
        own.min_ready_seconds = patch.min_ready_seconds.unwrap_or(own.min_ready_seconds);
        own.progress_deadline_seconds =
            patch.progress_deadline_seconds.unwrap_or(own.progress_deadline_seconds);
        own.paused = patch.paused.unwrap_or(own.paused);
        if let Some(strategy) = &patch.strategy {
            own.strategy = strategy.clone();
        }
        let bounds = &own.strategy["rollingUpdate"];
        let nothing = |bound: &Value| bound == 0 || bound == "0%";
        assert!(
            !(nothing(&bounds["maxSurge"]) && nothing(&bounds["maxUnavailable"])),
            "refused: both bounds are 0 in {patch:?}"
        );
        assert!(
            own.min_ready_seconds < own.progress_deadline_seconds,
            "refused: no time for a deadline in {patch:?}"
        );
        match &patch.borrow {
            Borrow::Unchanged => {}
            Borrow::Borrowed(settings) => self.borrowed = Some(settings.clone()),
            Borrow::Returned => self.borrowed = None,
        }
        self.version += 1;
        if before != (self.template.clone(), self.replicas, self.settings.clone()) {
            self.generation += 1;
        }
        Applied { deployment: self.version, replica_set: None }
    }

    /// What the watches show.
    pub fn view(&self) -> DeploymentView {
        let show = |set: &Set| ReplicaSetView {
            resource_version: set.version,
            name: set.name(),
            uid: set.name(),
            created_at: None,
            template: Arc::new(set.template.clone()),
            desired: set.desired,
            min_ready_seconds: set.min_ready_seconds,
            status_replicas: set.status_replicas,
            available: set.available,
            observed: set.is_observed,
            create_failure: None,
            pods: set.pods.clone(),
            failed: Vec::new(),
            failed_count: 0,
        };
        let is_active =
            |set: &&Set| set.desired > 0 || set.status_replicas > 0 || !set.pods.is_empty();
        DeploymentView {
            uid: "uid".into(),
            application: None,
            resource_version: self.version,
            observed: self.observed == self.generation,
            replicas: self.replicas,
            settings: self.settings.clone(),
            borrowed: self.borrowed.clone(),
            template: self.template.clone(),
            fence: None,
            written_by: self.written_by,
            owners: Value::Null,
            controller: None,
            helm_release: None,
            other_manager: None,
            other_scaler: None,
            status_replicas: self.status_replicas,
            status_updated: self.status_updated,
            new: self.new_set().map(|index| show(&self.sets[index])),
            old: self
                .sets
                .iter()
                .filter(|set| set.template != self.template)
                .filter(is_active)
                .map(show)
                .collect(),
            leaving: 0,
            leaving_nearby: 0,
            left_at: None,
            warnings: Vec::new(),
            set_failure: None,
            refused: None,
            idle: self
                .sets
                .iter()
                .filter(|set| set.template != self.template && !is_active(set))
                .map(show)
                .collect(),
        }
    }

    /// Pods of `template`.
    pub fn pods_of(&self, template: &Value) -> i32 {
        let pods =
            self.sets.iter().filter(|set| set.template == *template).map(|set| set.pods.len());
        i32::try_from(pods.sum::<usize>()).unwrap()
    }

    /// What of it matters to anything that may still happen: no versions, no names.
    pub fn key(&self) -> String {
        let set = |set: &Set| {
            let ready = set.pods.iter().filter(|pod| pod.ready_since.is_some()).count();
            format!(
                "{} {} {}/{ready} {} {} {} {} {} {}",
                set.template["spec"]["containers"][0]["image"],
                set.desired,
                set.pods.len(),
                set.min_ready_seconds,
                set.maximum,
                set.wanted,
                set.is_observed,
                set.status_replicas,
                set.available
            )
        };
        let sets: Vec<String> = self.sets.iter().map(set).collect();
        format!(
            "{:?} {:?} {} {} {sets:?} {} {} {}",
            self.settings,
            self.borrowed,
            self.template,
            self.replicas,
            self.observed == self.generation,
            self.status_replicas,
            self.status_updated
        )
    }

    /// Somebody else changes its spec.
    pub fn edit(&mut self, hand: impl FnOnce(&mut Self)) {
        hand(self);
        (self.version, self.generation) = (self.version + 1, self.generation + 1);
    }

    /// Pods that are not Ready.
    pub fn starting(&self) -> usize {
        self.sets.iter().flat_map(|set| &set.pods).filter(|pod| pod.ready_since.is_none()).count()
    }

    /// All pods that are Ready.
    pub fn ready(&self) -> i32 {
        i32::try_from(
            self.sets
                .iter()
                .flat_map(|set| &set.pods)
                .filter(|pod| pod.ready_since.is_some())
                .count(),
        )
        .unwrap()
    }

    /// Makes one pod Ready that is not, the one at `choice` of those.
    pub fn start_a_pod(&mut self, choice: usize) {
        let now = self.now;
        let mut starting: Vec<&mut PodView> = self
            .sets
            .iter_mut()
            .flat_map(|set| &mut set.pods)
            .filter(|pod| pod.ready_since.is_none())
            .collect();
        let count = starting.len();
        if count > 0 {
            starting[choice % count].ready_since = Some(now);
        }
    }

    /// The ReplicaSet controller writes down the status of the set at `index`.
    pub fn catch_up(&mut self, index: usize) {
        let (now, set) = (self.now, &mut self.sets[index]);
        // Pods that are too many count no more: they go with the same look.
        set.status_replicas = i32::try_from(set.pods.len()).unwrap().min(set.desired);
        set.available = set.count_available(now).min(set.desired);
        set.is_observed = true;
    }

    /// One look of the ReplicaSet controller at the set at `choice`. The status is
    /// that of the pods before it made or ended any, as in Kubernetes.
    pub fn look_at_set(&mut self, choice: usize) {
        let (now, count) = (self.now, self.sets.len());
        let set = &mut self.sets[choice % count];
        set.status_replicas = i32::try_from(set.pods.len()).unwrap();
        set.available = set.count_available(now);
        set.is_observed = true;
        let desired = usize::try_from(set.desired).unwrap();
        while set.pods.len() < desired {
            self.names += 1;
            set.pods.push(pod(format!("pod-{}", self.names), None));
        }
        // Those that are not Ready go first, then the youngest.
        set.pods.sort_by_key(|pod| (Reverse(pod.ready_since.is_some()), pod.ready_since));
        set.pods.truncate(desired);
    }

    /// One look of the Deployment controller.
    pub fn look_at_deployment(&mut self) {
        if let Some(new) = self.new_set() {
            self.pass_on_min_ready(new);
        }
        let wanted = self.replicas;
        let is_scaled = self.sets.iter().any(|set| set.desired > 0 && set.wanted != wanted);
        if self.settings.paused || is_scaled {
            self.scale();
        } else {
            let new = self.new_set().unwrap_or_else(|| self.add_set());
            if !self.grow(new) {
                self.shrink(new);
            }
        }
        self.status_replicas = self.sets.iter().map(|set| set.status_replicas).sum();
        self.status_updated = self.new_set().map_or(0, |new| self.sets[new].status_replicas);
        self.observed = self.generation;
    }

    /// Whether no controller has anything left to do.
    pub fn is_settled(&self) -> bool {
        let mut after = self.clone();
        after.look_at_deployment();
        let sizes = |cluster: &Self| {
            cluster.sets.iter().map(|set| (set.desired, set.min_ready_seconds)).collect::<Vec<_>>()
        };
        let status =
            |cluster: &Self| (cluster.status_replicas, cluster.status_updated, cluster.observed);
        sizes(self) == sizes(&after)
            && status(self) == status(&after)
            && self.sets.iter().all(|set| set.is_settled(self.now))
            && self.sets.iter().flat_map(|set| &set.pods).all(|pod| pod.ready_since.is_some())
    }

    fn new_set(&self) -> Option<usize> {
        self.sets.iter().position(|set| set.template == self.template)
    }

    /// Each set judges availability by its own seconds; only the one of the present
    /// template is told of new ones.
    fn pass_on_min_ready(&mut self, new: usize) {
        let seconds = self.settings.min_ready_seconds;
        let set = &mut self.sets[new];
        if set.min_ready_seconds != seconds {
            (set.min_ready_seconds, set.is_observed) = (seconds, false);
        }
    }

    fn add_set(&mut self) -> usize {
        self.sets.push(Set {
            version: 1,
            template: self.template.clone(),
            desired: 0,
            pods: Vec::new(),
            min_ready_seconds: self.settings.min_ready_seconds,
            maximum: self.replicas + self.max_surge(),
            wanted: self.replicas,
            is_observed: false,
            status_replicas: 0,
            available: 0,
        });
        self.sets.len() - 1
    }

    fn bound(&self, name: &str, round_up: bool) -> i32 {
        match &self.settings.strategy["rollingUpdate"][name] {
            Value::String(percent) => {
                let hundredths =
                    percent.trim_end_matches('%').parse::<i32>().unwrap() * self.replicas;
                if round_up { (hundredths + 99) / 100 } else { hundredths / 100 }
            }
            number => i32::try_from(number.as_i64().unwrap()).unwrap(),
        }
    }

    fn max_surge(&self) -> i32 {
        self.bound("maxSurge", true)
    }

    fn max_unavailable(&self) -> i32 {
        let pods = self.bound("maxUnavailable", false);
        if pods == 0 && self.max_surge() == 0 { 1 } else { pods.min(self.replicas) }
    }

    pub fn total(&self) -> i32 {
        self.sets.iter().map(|set| set.desired).sum()
    }

    fn resize(&mut self, index: usize, size: i32) -> bool {
        let (maximum, wanted) = (self.replicas + self.max_surge(), self.replicas);
        let set = &mut self.sets[index];
        let is_changed = set.desired != size;
        set.wanted = wanted;
        (set.desired, set.maximum) = (size, maximum);
        set.is_observed &= !is_changed;
        is_changed
    }

    fn grow(&mut self, new: usize) -> bool {
        let wanted = self.replicas - self.sets[new].desired;
        let room = self.replicas + self.max_surge() - self.total();
        let step = if wanted < 0 { wanted } else { wanted.min(room.max(0)) };
        self.resize(new, self.sets[new].desired + step)
    }

    fn shrink(&mut self, new: usize) {
        let least = self.replicas - self.max_unavailable();
        let not_yet = self.sets[new].desired - self.sets[new].available;
        let mut room = self.total() - least - not_yet;
        if room <= 0 {
            return;
        }
        let old: Vec<usize> = (0..self.sets.len()).filter(|index| *index != new).collect();
        // Sick ones first, which costs nothing; then what is available beyond the least.
        for &index in &old {
            let set = &self.sets[index];
            let sick = (set.desired - set.available).clamp(0, room);
            room -= sick;
            self.resize(index, self.sets[index].desired - sick);
        }
        let mut spare = self.sets.iter().map(|set| set.available).sum::<i32>() - least;
        for &index in &old {
            let healthy = self.sets[index].desired.min(spare).max(0);
            spare -= healthy;
            self.resize(index, self.sets[index].desired - healthy);
        }
    }

    /// A paused Deployment: its size plus surge, shared in proportion.
    fn scale(&mut self) {
        let mut active: Vec<usize> =
            (0..self.sets.len()).filter(|index| self.sets[*index].desired > 0).collect();
        let maximum = self.replicas + self.max_surge();
        let to_add = maximum - self.total();
        match active.as_slice() {
            // The one of the present template, or else any.
            [] => {
                let one = self.new_set().unwrap_or(0);
                self.resize(one, self.replicas);
            }
            [only] => {
                self.resize(*only, self.replicas);
            }
            _ if to_add == 0 => {
                for index in active {
                    self.resize(index, self.sets[index].desired);
                }
            }
            _ => {
                active.sort_by_key(|index| Reverse(self.sets[*index].desired));
                let mut left = to_add;
                for &index in &active {
                    let set = &self.sets[index];
                    let before = if set.maximum == 0 { self.status_replicas } else { set.maximum };
                    let share =
                        (f64::from(set.desired) * f64::from(maximum) / f64::from(before)).round();
                    #[allow(clippy::cast_possible_truncation)]
                    let part = share as i32 - set.desired;
                    let part = if to_add > 0 { part.clamp(0, left) } else { part.clamp(left, 0) };
                    left -= part;
                    self.resize(index, self.sets[index].desired + part);
                }
                let first = active[0];
                self.resize(first, (self.sets[first].desired + left).max(0));
            }
        }
    }
}
