//! Orders as their rows tell of them: what each announced to do, and how it ended.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Deployment, Row, is_final, plan::Batches, text};

/// A change that an order announced.
#[derive(Debug)]
pub struct Announced {
    pub at: i64,
    /// When it was decided, by the clock of the life, in seconds.
    pub decided: i64,
    pub step: String,
    pub batch: i64,
    pub effect: Value,
}

#[derive(Debug, Default)]
pub struct Order {
    pub kind: String,
    /// When it was accepted.
    pub at: i64,
    pub plan: Batches,
    pub release: Option<String>,
    pub generations: BTreeSet<i64>,
    pub announced: Vec<Announced>,
    /// How it ended, why, and whether its Deployment was to be brought to rest then.
    pub end: Option<String>,
    pub ended_at: Option<i64>,
    pub message: String,
    pub rests: bool,
    /// The order that it takes back.
    pub rolls_back: Option<String>,
}

pub fn orders(rows: &[Row]) -> HashMap<String, Order> {
    let mut orders: HashMap<String, Order> = HashMap::new();
    for row in rows.iter().filter(|row| row.table == "change_order") {
        let after = &row.after;
        let order = orders
            .entry(text(after, "id").to_owned())
            .or_insert_with(|| Order { at: row.at, ..Order::default() });
        order.kind = text(after, "kind").to_owned();
        order.rolls_back = after["rolls_back"].as_str().map(str::to_owned);
        order.plan = Batches::of(&after["strategy"]);
        order.release = after["release_id"].as_str().map(str::to_owned);
        order.generations.extend(after["generation"].as_i64());
        let before = row.before.as_ref().unwrap_or(&Value::Null);
        let is_new = before["intent"] != after["intent"] || !before["applied"].is_null();
        if !after["intent"].is_null() && after["applied"].is_null() && is_new {
            let decided = text(after, "step_since").parse::<jiff::Timestamp>();
            order.announced.push(Announced {
                at: row.at,
                decided: decided.map_or(0, jiff::Timestamp::as_second),
                step: text(after, "step").to_owned(),
                batch: after["batch"].as_i64().unwrap_or(0),
                effect: after["intent"].clone(),
            });
        }
        order.message = text(after, "message").to_owned();
        if is_final(text(after, "state")) {
            order.end = Some(text(after, "state").to_owned());
            order.ended_at.get_or_insert(row.at);
            order.rests |= after["finalizing"] == true;
        }
    }
    orders
}

impl Order {
    /// The announced change that a Deployment shows, of which `made` were made before: the
    /// next one, the last one again, or one that was announced later.
    pub fn find(&self, made: usize, at: i64, seen: &Deployment) -> Option<usize> {
        let shows = |index: &usize| fits(&self.announced[*index].effect, seen);
        let mut later = (made..self.announced.len()).filter(shows);
        later
            .clone()
            .find(|index| self.announced[*index].at <= at)
            .or_else(|| made.checked_sub(1).filter(shows))
            .or_else(|| later.next())
    }

    pub fn made_any(&self, made: usize) -> bool {
        made > 0 && made == self.announced.len()
    }

    /// Whether it ended since somebody else released something.
    pub fn is_superseded(&self) -> bool {
        self.message.starts_with("superseded by ")
    }
}

impl Announced {
    /// Whether it says how pods come up, and does not only put its token on the Deployment.
    pub fn brings_up(&self) -> bool {
        self.step == "bring_up"
            && ["template", "strategy"].iter().any(|it| !self.effect[*it].is_null())
    }
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
