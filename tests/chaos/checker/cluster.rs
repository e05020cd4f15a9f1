//! Deployments and pods, change by change, against the rows: each write of Sluice was
//! announced, no write came under an older token or out of its turn, each batch got its
//! pods once, no batch got more than its plan, no Ready pod went missing by our doing, and
//! the user's settings are back at the end of every path.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{
    Deployment, Pod, Recording, Settings, What,
    hands::{CARRIED_OUT, Hands},
    order::{Order, orders},
};

pub fn judge(recording: &Recording) -> Vec<String> {
    let orders = orders(&recording.rows);
    let mut eye = Eye { orders: Some(&orders), ..Eye::default() };
    for seen in &recording.seen {
        eye.patience(seen.at);
        match &seen.what {
            What::Deployment(deployment) => eye.deployment(seen.at, deployment),
            What::Pod(pod) => eye.pod(seen.at, pod),
            What::Hand(hand) => eye.hand(seen.at, hand),
        }
    }
    let last = eye.now.clone();
    eye.end_of_order(last.as_ref());
    eye.found
}

/// What is known so far.
#[derive(Default)]
pub(super) struct Eye<'a> {
    orders: Option<&'a HashMap<String, Order>>,
    pub(super) now: Option<Deployment>,
    pub(super) pods: BTreeMap<String, Pod>,
    /// The settings that are the user's.
    pub(super) user: Settings,
    /// The order that wrote last, and how many of its changes were made.
    pub(super) order: Option<String>,
    made: usize,
    /// Whether it made the last of them once more.
    pub(super) made_again: bool,
    /// The newest token that Sluice wrote under.
    token: Option<i64>,
    /// The version that the order brings, and the number of pods that it was planned for.
    version: Option<String>,
    base: i64,
    /// New pods of it that there may be.
    pub(super) most: i64,
    /// When the last change was announced that brings up a batch's pods, by batch, since the
    /// last change of direction.
    brought: BTreeMap<i64, i64>,
    /// When the batches became other numbers last, or a hand did something.
    again_since: Option<i64>,
    /// Ready pods that there must be.
    pub(super) least: i64,
    pub(super) hands: Hands,
    pub(super) found: Vec<String>,
}

impl<'a> Eye<'a> {
    pub(super) fn wrong(&mut self, what: String) {
        let order = self.order.as_deref().unwrap_or("no order");
        let kind = self.of().map_or("", |order| order.kind.as_str()).to_owned();
        self.found.push(format!("{what} ({kind} {order})"));
    }

    pub(super) fn of(&self) -> Option<&'a Order> {
        self.orders?.get(self.order.as_ref()?)
    }

    pub(super) fn of_id(&self, id: &str) -> Option<&'a Order> {
        self.orders?.get(id)
    }

    /// Whether the order that wrote last may write still, and what is there is its own.
    pub(super) fn is_under_way(&self, at: i64) -> bool {
        let is_open = |order: &Order| order.ended_at.is_none_or(|ended| at < ended);
        self.of().is_some_and(is_open)
            && self.now.as_ref().is_some_and(|now| now.release == self.version)
    }

    /// What was brought up may be brought up once more.
    pub(super) fn each_batch_again(&mut self, at: i64) {
        self.again_since = Some(at);
    }

    fn deployment(&mut self, at: i64, seen: &Deployment) {
        if seen.gone {
            self.goes(at);
            return;
        }
        let anew = self.now.as_ref().is_some_and(|before| before.uid != seen.uid);
        if anew {
            self.goes(at);
        }
        let Some(before) = self.now.replace(seen.clone()) else {
            self.user = seen.settings.clone();
            self.least = 0;
            self.comes(at, seen);
            if seen.fence.is_some() {
                self.write(at, seen, None);
            }
            return;
        };
        self.least = self.least.min(seen.replicas);
        if before.replicas != seen.replicas && rounds_to_none(&seen.settings, seen.replicas) {
            self.least = self.least.min(seen.replicas - 1);
        }
        let is_named = before.fence != seen.fence || before.order != seen.order;
        let changed = changed(&before, seen);
        let is_ours =
            changed.iter().any(|field| seen.ours.iter().any(|ours| ours.starts_with(field)));
        if before.hand != seen.hand {
            self.changed_by_hand(&before, seen, &changed);
            // Who takes the token away, or brings an old one back, opens the fence.
            if seen.fence < before.fence {
                self.token = seen.fence;
            }
        } else if is_named || is_ours || self.resumes(at, seen, &changed) {
            self.write(at, seen, Some(&before));
            self.put_back(&before, seen, &changed);
        } else if !changed.is_empty() && !changed.contains(&"replicas") {
            self.user = seen.settings.clone();
        }
        if before.replicas != seen.replicas {
            self.each_batch_again(at);
            self.share(seen.replicas);
        }
    }

    /// Whether Sluice resumed it: of that no owner is left.
    fn resumes(&self, at: i64, seen: &Deployment, changed: &[&str]) -> bool {
        changed == ["paused"]
            && !seen.settings.paused
            && self.of().is_some_and(|order| {
                let next = order.find(self.made, at, seen);
                next.is_some_and(|index| order.announced[index].effect["paused"] == false)
            })
    }

    /// A write of Sluice.
    fn write(&mut self, at: i64, seen: &Deployment, before: Option<&Deployment>) {
        if before.is_some() && seen.fence < self.token {
            self.wrong(format!("a write came under the token {:?} after a newer one", seen.fence));
        }
        self.token = self.token.max(seen.fence);
        self.made_again = false;
        if seen.order != self.order {
            self.end_of_order(before);
            (self.order, self.made) = (seen.order.clone(), 0);
            self.brought.clear();
            self.hands.order_begins();
            self.version.clone_from(&seen.release);
            self.base = before.map_or(seen.replicas, |before| before.replicas);
            self.most = self.new_pods();
        }
        let Some(order) = self.of() else {
            return self.wrong("a write names an order that there is not".into());
        };
        if !seen.fence.is_some_and(|fence| order.generations.contains(&fence)) {
            self.wrong(format!("a write came under the token {:?}, never the order's", seen.fence));
        }
        self.may_write();
        let Some(index) = order.find(self.made, at, seen) else {
            return self.wrong(format!(
                "a write was not announced, or came after a later one: {:?}",
                seen.settings
            ));
        };
        self.made_again = index + 1 == self.made;
        self.made = index + 1;
        let announced = &order.announced[index];
        if announced.at > at {
            self.wrong(format!("a write of {} came before it was announced", announced.step));
        }
        if self.made_again {
            return;
        }
        let after = order.plan.after(announced.batch, seen.replicas, self.base);
        match announced.step.as_str() {
            "bring_up" if !announced.brings_up() => {}
            "bring_up" => {
                // What was announced before may come after.
                let earlier = self.brought.insert(announced.batch, announced.at);
                let may_again =
                    |earlier| self.again_since.is_some_and(|at| earlier <= at + CARRIED_OUT);
                if earlier.is_some_and(|earlier| !may_again(earlier)) {
                    self.wrong(format!("batch {} was brought up twice", announced.batch + 1));
                }
                self.most = self.most.max(after);
            }
            "step_back" => self.brought.clear(),
            "paused" => self.most = after,
            "restore_settings" => self.most = self.most.max(seen.replicas),
            _ => {}
        }
        let brought = self.hands.may_bring_pods();
        let as_planned = self.new_pods() <= self.planned_now();
        // A hand's version is its own rollout.
        if seen.release == self.version {
            self.hands.answered(at, &announced.step, as_planned);
        }
        if brought && !self.hands.may_bring_pods() {
            self.most = self.planned_now();
        }
    }

    /// Other pods for the batches that have begun, where the Deployment was scaled.
    fn share(&mut self, replicas: i64) {
        let Some(order) = self.of() else { return };
        let begun = order.announced.iter().take(self.made).map(|it| it.batch).max().unwrap_or(0);
        self.most = self.most.max(order.plan.after(begun, replicas, self.base));
    }

    /// The change that Sluice made last.
    pub(super) fn last_made(&self) -> Option<&'a super::order::Announced> {
        self.of()?.announced.get(self.made.checked_sub(1)?)
    }

    /// New pods that the plan has by now, of the number of pods that there is now, and one
    /// more, which Kubernetes may have as it shares another number between both versions.
    pub(super) fn planned_now(&self) -> i64 {
        let (Some(order), Some(now), Some(last)) = (self.of(), &self.now, self.last_made()) else {
            return self.most;
        };
        match last.step.as_str() {
            "restore_settings" | "roll_back" => now.replicas,
            _ => order.plan.after(last.batch, now.replicas, self.base) + 1,
        }
    }

    fn pod(&mut self, at: i64, pod: &Pod) {
        let before = self.pods.get(&pod.name).cloned();
        if pod.gone {
            self.pods.remove(&pod.name);
        } else {
            self.pods.insert(pod.name.clone(), pod.clone());
        }
        let was_ready = before.is_some_and(|before| before.ready);
        let taken = pod.gone && self.hands.took(&pod.name);
        // No write of ours makes a pod fail, or takes it without ending it.
        if was_ready && (taken || pod.lost || (!pod.gone && !pod.ready)) {
            self.least = (self.least - 1).max(0);
            // What was decided before is carried out still.
            self.hands.lost_pod(at);
            self.each_batch_again(at);
        }
        let ready = i64::try_from(self.pods.values().filter(|pod| pod.ready).count()).unwrap_or(0);
        let wanted = self.now.as_ref().map_or(0, |now| now.replicas);
        if ready >= wanted && self.hands.are_answered(at) {
            self.least = wanted;
        }
        if ready < self.least {
            self.wrong(format!("{ready} pods are Ready, {} must be", self.least));
            self.least = ready;
        }
        self.count(at);
    }

    /// Whether there are more new pods than planned.
    fn count(&mut self, at: i64) {
        let new = self.new_pods();
        if !self.is_batched() {
            return;
        }
        if self.hands.may_bring_pods() {
            let planned = self.planned_now();
            self.hands.beyond(at, new - planned);
            self.most = self.most.max(new);
            return;
        }
        if new > self.most {
            // Where an order ends half way, the gate closes around one pod more.
            let ended = self.of().and_then(|order| order.end.as_deref());
            let slack = i64::from(matches!(ended, Some("aborted" | "failed")));
            if new > self.most + slack {
                self.wrong(format!("{new} new pods, the plan has {}", self.most));
            }
            self.most = new;
        }
    }

    fn is_batched(&self) -> bool {
        self.of().is_some_and(|order| {
            matches!(order.kind.as_str(), "deploy" | "deploy_version" | "configure")
                && order.plan.count() > 1
        })
    }

    fn new_pods(&self) -> i64 {
        let is_new = |pod: &&Pod| self.version.is_some() && pod.release == self.version;
        i64::try_from(self.pods.values().filter(is_new).count()).unwrap_or(0)
    }

    /// Whether an order borrows settings: one that only has another number of pods does not,
    /// nor one that takes such a number back.
    fn borrows(&self, order: &Order) -> bool {
        match (order.kind.as_str(), order.rolls_back.as_deref().and_then(|id| self.of_id(id))) {
            ("rollback", Some(before)) => self.borrows(before),
            (kind, _) => {
                matches!(kind, "deploy" | "deploy_version" | "configure" | "restart" | "rollback")
            }
        }
    }

    /// What the order that wrote last leaves, if the Deployment that it wrote is still there.
    pub(super) fn end_of_order(&mut self, last: Option<&Deployment>) {
        let (Some(order), Some(last)) = (self.of(), last) else { return };
        if self.order.as_ref().is_some_and(|id| self.hands.wrote_one_before(id)) {
            return;
        }
        let settings = last.settings.clone();
        let back = || Settings { paused: settings.paused, ..self.user.clone() };
        let (is, want) = match (order.kind.as_str(), order.end.as_deref()) {
            (_, Some("succeeded")) if self.borrows(order) => (settings.clone(), back()),
            (_, Some("failed"))
                if self.borrows(order) && order.is_superseded() && self.made > 0 =>
            {
                (settings.clone(), back())
            }
            (_, Some("aborted")) if order.rests && order.made_any(self.made) => (
                Settings { strategy: Value::Null, ..settings.clone() },
                Settings {
                    paused: self.rests_paused(&settings),
                    strategy: Value::Null,
                    ..self.user.clone()
                },
            ),
            _ => return,
        };
        if is != want {
            self.wrong(format!("the user's settings are not back: {is:?}, not {want:?}"));
        }
    }
}

/// Whether so few pods are left that neither bound of the strategy is a whole one: then the
/// Deployment controller lets one be missing.
fn rounds_to_none(settings: &Settings, replicas: i64) -> bool {
    let rolling = &settings.strategy["rollingUpdate"];
    let share = rolling["maxUnavailable"].as_str().and_then(|it| it.strip_suffix('%'));
    let share = share.and_then(|it| it.parse::<i64>().ok());
    rolling["maxSurge"] == 0 && share.is_some_and(|percent| percent * replicas < 100)
}

fn differs(was: &Settings, is: &Settings, path: &str) -> bool {
    was.strategy.pointer(path) != is.strategy.pointer(path)
}

pub(super) fn changed(before: &Deployment, now: &Deployment) -> Vec<&'static str> {
    let (was, is) = (&before.settings, &now.settings);
    [
        ("replicas", before.replicas != now.replicas),
        ("paused", was.paused != is.paused),
        ("minReadySeconds", was.min_ready != is.min_ready),
        ("progressDeadlineSeconds", was.deadline != is.deadline),
        ("strategy.type", differs(was, is, "/type")),
        ("strategy.rollingUpdate.maxSurge", differs(was, is, "/rollingUpdate/maxSurge")),
        (
            "strategy.rollingUpdate.maxUnavailable",
            differs(was, is, "/rollingUpdate/maxUnavailable"),
        ),
        ("template", before.release != now.release),
    ]
    .into_iter()
    .filter_map(|(field, changed)| changed.then_some(field))
    .collect()
}
