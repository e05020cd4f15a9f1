//! Deployments and pods, change by change, against the rows: each write of Sluice was
//! announced, no write came under an older token or out of its turn, each batch got its
//! pods once, no batch got more than its plan, no Ready pod went missing by our doing, and
//! the user's settings are back at the end of every path.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{Deployment, Pod, Recording, Row, Settings, What, is_final, plan::Batches, text};

/// A change that an order announced.
#[derive(Debug)]
struct Announced {
    at: i64,
    step: String,
    batch: i64,
    effect: Value,
}

#[derive(Debug, Default)]
struct Order {
    kind: String,
    plan: Batches,
    release: Option<String>,
    generations: BTreeSet<i64>,
    announced: Vec<Announced>,
    /// How it ended, and whether its Deployment was to be brought to rest then.
    end: Option<String>,
    rests: bool,
}

pub fn judge(recording: &Recording) -> Vec<String> {
    let orders = orders(&recording.rows);
    let mut eye = Eye { orders: Some(&orders), ..Eye::default() };
    for seen in &recording.seen {
        match &seen.what {
            What::Deployment(deployment) => eye.deployment(seen.at, deployment),
            What::Pod(pod) => eye.pod(pod),
        }
    }
    let last = eye.now.clone();
    eye.end_of_order(last.as_ref());
    eye.found
}

fn orders(rows: &[Row]) -> HashMap<String, Order> {
    let mut orders: HashMap<String, Order> = HashMap::new();
    for row in rows.iter().filter(|row| row.table == "change_order") {
        let after = &row.after;
        let order = orders.entry(text(after, "id").to_owned()).or_default();
        order.kind = text(after, "kind").to_owned();
        order.plan = Batches::of(&after["strategy"]);
        order.release = after["release_id"].as_str().map(str::to_owned);
        order.generations.extend(after["generation"].as_i64());
        let before = row.before.as_ref().unwrap_or(&Value::Null);
        let is_new = before["intent"] != after["intent"] || !before["applied"].is_null();
        if !after["intent"].is_null() && after["applied"].is_null() && is_new {
            order.announced.push(Announced {
                at: row.at,
                step: text(after, "step").to_owned(),
                batch: after["batch"].as_i64().unwrap_or(0),
                effect: after["intent"].clone(),
            });
        }
        if is_final(text(after, "state")) {
            order.end = Some(text(after, "state").to_owned());
            order.rests |= after["finalizing"] == true;
        }
    }
    orders
}

/// What is known so far.
#[derive(Default)]
struct Eye<'a> {
    orders: Option<&'a HashMap<String, Order>>,
    now: Option<Deployment>,
    pods: BTreeMap<String, Pod>,
    /// The settings that are the user's.
    user: Settings,
    /// The order that wrote last, and how many of its changes were made.
    order: Option<String>,
    made: usize,
    /// New pods of it that there may be.
    most: i64,
    /// Batches whose pods were brought up since the last change of direction.
    brought: BTreeSet<i64>,
    /// Ready pods that there must be.
    least: i64,
    found: Vec<String>,
}

impl<'a> Eye<'a> {
    fn wrong(&mut self, what: String) {
        let order = self.order.as_deref().unwrap_or("no order");
        let kind = self.of().map_or("", |order| order.kind.as_str()).to_owned();
        self.found.push(format!("{what} ({kind} {order})"));
    }

    fn of(&self) -> Option<&'a Order> {
        self.orders?.get(self.order.as_ref()?)
    }

    fn deployment(&mut self, at: i64, seen: &Deployment) {
        if seen.gone {
            self.now = None;
            return;
        }
        let Some(before) = self.now.replace(seen.clone()) else {
            self.user = seen.settings.clone();
            self.least = 0;
            if seen.fence.is_some() {
                self.write(at, seen, None);
            }
            return;
        };
        self.least = self.least.min(seen.replicas);
        let is_named = before.fence != seen.fence || before.order != seen.order;
        let changed = changed(&before, seen);
        let is_ours =
            changed.iter().any(|field| seen.ours.iter().any(|ours| ours.starts_with(field)));
        if is_named || is_ours {
            self.write(at, seen, Some(&before));
        } else if !changed.is_empty() && !changed.contains(&"replicas") {
            self.user = seen.settings.clone();
        }
        if before.replicas != seen.replicas {
            // The batches are other numbers: each may be brought up anew.
            self.brought.clear();
            self.raise(seen.replicas);
        }
    }

    /// A write of Sluice.
    fn write(&mut self, at: i64, seen: &Deployment, before: Option<&Deployment>) {
        if before.is_some_and(|before| seen.fence < before.fence) {
            self.wrong(format!("a write came under the token {:?} after a newer one", seen.fence));
        }
        if seen.order != self.order {
            self.end_of_order(before);
            (self.order, self.made) = (seen.order.clone(), 0);
            self.brought.clear();
            self.most = self.new_pods();
        }
        let Some(order) = self.of() else {
            return self.wrong("a write names an order that there is not".into());
        };
        if !seen.fence.is_some_and(|fence| order.generations.contains(&fence)) {
            self.wrong(format!("a write came under the token {:?}, never the order's", seen.fence));
        }
        let Some(index) = order.find(self.made, at, seen) else {
            return self.wrong(format!(
                "a write was not announced, or came after a later one: {:?}",
                seen.settings
            ));
        };
        let is_again = index + 1 == self.made;
        self.made = index + 1;
        let announced = &order.announced[index];
        if announced.at > at {
            self.wrong(format!("a write of {} came before it was announced", announced.step));
        }
        if is_again {
            return;
        }
        match announced.step.as_str() {
            "bring_up" => {
                if !self.brought.insert(announced.batch) {
                    self.wrong(format!("batch {} was brought up twice", announced.batch + 1));
                }
                self.most = self.most.max(order.plan.after(announced.batch, seen.replicas));
            }
            "step_back" => self.brought.clear(),
            "paused" => self.most = order.plan.after(announced.batch, seen.replicas),
            "restore_settings" => self.most = self.most.max(seen.replicas),
            _ => {}
        }
    }

    /// More pods for the batches that have begun, where the Deployment was scaled up.
    fn raise(&mut self, replicas: i64) {
        let Some(order) = self.of() else { return };
        let begun = order.announced.iter().take(self.made).map(|it| it.batch).max().unwrap_or(0);
        self.most = self.most.max(order.plan.after(begun, replicas));
    }

    fn pod(&mut self, pod: &Pod) {
        let before = self.pods.get(&pod.name).cloned();
        if pod.gone {
            self.pods.remove(&pod.name);
        } else {
            self.pods.insert(pod.name.clone(), pod.clone());
        }
        let was_ready = before.is_some_and(|before| before.ready);
        // No write of ours makes a pod fail, or takes it without ending it.
        if was_ready && (pod.lost || (!pod.gone && !pod.ready)) {
            self.least = (self.least - 1).max(0);
        }
        let ready = i64::try_from(self.pods.values().filter(|pod| pod.ready).count()).unwrap_or(0);
        let wanted = self.now.as_ref().map_or(0, |now| now.replicas);
        if ready >= wanted {
            self.least = wanted;
        }
        if ready < self.least {
            self.wrong(format!("{ready} pods are Ready, {} must be", self.least));
            self.least = ready;
        }
        let new = self.new_pods();
        if self.is_batched() && new > self.most {
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
        let release = self.of().and_then(|order| order.release.as_ref());
        let new =
            self.pods.values().filter(|pod| release.is_some() && pod.release.as_ref() == release);
        i64::try_from(new.count()).unwrap_or(0)
    }

    /// What the order that wrote last leaves.
    fn end_of_order(&mut self, last: Option<&Deployment>) {
        let (Some(order), Some(last)) = (self.of(), last) else { return };
        let settings = last.settings.clone();
        let (is, want) = match (order.kind.as_str(), order.end.as_deref()) {
            (
                "deploy" | "deploy_version" | "configure" | "restart" | "rollback",
                Some("succeeded"),
            ) => (settings.clone(), Settings { paused: settings.paused, ..self.user.clone() }),
            (_, Some("aborted")) if order.rests && order.made_any(self.made) => (
                Settings { strategy: Value::Null, ..settings.clone() },
                Settings { paused: true, strategy: Value::Null, ..self.user.clone() },
            ),
            _ => return,
        };
        if is != want {
            self.wrong(format!("the user's settings are not back: {settings:?}, not {want:?}"));
        }
    }
}

impl Order {
    /// The announced change that a Deployment shows, of which `made` were made before: the
    /// next one, the last one again, or one that was announced later.
    fn find(&self, made: usize, at: i64, seen: &Deployment) -> Option<usize> {
        let shows = |index: &usize| fits(&self.announced[*index].effect, seen);
        let mut later = (made..self.announced.len()).filter(shows);
        later
            .clone()
            .find(|index| self.announced[*index].at <= at)
            .or_else(|| made.checked_sub(1).filter(shows))
            .or_else(|| later.next())
    }

    fn made_any(&self, made: usize) -> bool {
        made > 0 && made == self.announced.len()
    }
}

fn differs(was: &Settings, is: &Settings, path: &str) -> bool {
    was.strategy.pointer(path) != is.strategy.pointer(path)
}

fn changed(before: &Deployment, now: &Deployment) -> Vec<&'static str> {
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

/// Whether a Deployment shows what was announced.
fn fits(effect: &Value, seen: &Deployment) -> bool {
    let is = |field: &str, value: Value| effect[field].is_null() || effect[field] == value;
    match text(effect, "do") {
        "create" => is("replicas", seen.replicas.into()),
        "patch" => {
            is("replicas", seen.replicas.into())
                && is("paused", seen.settings.paused.into())
                && is("min_ready_seconds", seen.settings.min_ready.into())
                && is("progress_deadline_seconds", seen.settings.deadline.into())
                && is("strategy", seen.settings.strategy.clone())
        }
        _ => false,
    }
}
