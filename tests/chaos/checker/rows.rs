//! Orders by their rows alone: one open order at a time, ends that stay, transitions under
//! the lease that is held, texts that are true, and a log without gaps.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{Row, is_final, text};

/// Words that only what is still under way may say.
const UNDER_WAY: [&str; 5] =
    ["waits for", "is tried again", "begins in", "old pods come back", "going back to batch"];

#[derive(Default)]
struct Books<'a> {
    orders: BTreeMap<String, &'a Value>,
    batches: BTreeMap<String, BTreeMap<i64, &'a Value>>,
    found: Vec<String>,
}

pub fn judge(rows: &[Row]) -> Vec<String> {
    let mut books = Books::default();
    let events = events(rows);
    // What a transaction wrote counts from its end on: until then nobody else saw it.
    let ends = |rows: &[&Row]| -> HashMap<String, usize> {
        rows.iter().enumerate().map(|(at, row)| (row.transaction.clone(), at)).collect()
    };
    let mut rows: Vec<&Row> = rows.iter().collect();
    let end = ends(&rows);
    rows.sort_by_key(|row| end[&row.transaction]);
    let last = ends(&rows);
    let mut touched: HashMap<&str, BTreeSet<String>> = HashMap::new();
    for (at, row) in rows.iter().copied().enumerate() {
        match row.table.as_str() {
            "change_order" => {
                let id = text(&row.after, "id").to_owned();
                let with = events.get(&(row.transaction.as_str(), id.as_str()));
                books.change(row, with.map_or(&[], Vec::as_slice));
                books.orders.insert(id.clone(), &row.after);
                books.one_is_open(text(&row.after, "application_id"));
                touched.entry(&row.transaction).or_default().insert(id);
            }
            "batch" => {
                let order = text(&row.after, "order_id").to_owned();
                let index = row.after["index"].as_i64().unwrap_or(0);
                books.batches.entry(order.clone()).or_default().insert(index, &row.after);
                touched.entry(&row.transaction).or_default().insert(order);
            }
            _ => {}
        }
        if last[&row.transaction] == at {
            for order in touched.remove(row.transaction.as_str()).unwrap_or_default() {
                books.is_coherent(&order);
            }
        }
    }
    books.has_ended();
    books.found
}

/// The events of each order, by their transaction.
fn events(rows: &[Row]) -> HashMap<(&str, &str), Vec<&Value>> {
    let mut events: HashMap<(&str, &str), Vec<&Value>> = HashMap::new();
    for row in rows.iter().filter(|row| row.table == "event") {
        let key = (row.transaction.as_str(), text(&row.after, "order_id"));
        events.entry(key).or_default().push(&row.after);
    }
    events
}

impl Books<'_> {
    fn wrong(&mut self, order: &Value, what: &str) {
        let (kind, state, step) = (text(order, "kind"), text(order, "state"), text(order, "step"));
        let batch = order["batch"].as_i64().unwrap_or(0);
        let id = text(order, "id");
        self.found.push(format!("{what} ({kind} {id}, {state} at {step}, batch {batch})"));
    }

    fn change(&mut self, row: &Row, events: &[&Value]) {
        let Some(before) = &row.before else {
            if !events.iter().any(|event| text(event, "kind") == "order.accepted") {
                self.wrong(&row.after, "no event says that the order was accepted");
            }
            return;
        };
        let after = &row.after;
        let moved = ["state", "step", "batch"].iter().any(|field| before[*field] != after[*field]);
        let ended = !before["finished_at"].is_null();
        if ended && ["state", "finished_at"].iter().any(|field| before[*field] != after[*field]) {
            self.wrong(after, "an order left its end");
        }
        if before["generation"].as_i64() > after["generation"].as_i64() {
            self.wrong(after, "the fencing token went back");
        }
        if moved && !events.iter().any(|event| text(event, "kind").starts_with("order.")) {
            self.wrong(after, "no event says that the order moved");
        }
        let made = before["applied"].is_null() && !after["applied"].is_null();
        if made && !events.iter().any(|event| text(event, "kind") == "change.made") {
            self.wrong(after, "no event says that the change was made");
        }
        if before["intent"] != after["intent"] && !after["applied"].is_null() {
            self.wrong(after, "a change counts as made in the write that announces it");
        }
        for generation in events.iter().filter_map(|event| event["detail"]["generation"].as_i64()) {
            if after["generation"].as_i64() != Some(generation) {
                self.wrong(
                    after,
                    "an executor wrote under a fencing token that is not the order's",
                );
            }
            let expires = text(before, "lease_expires_at").parse::<jiff::Timestamp>();
            if moved && expires.is_ok_and(|at| at.as_microsecond() <= row.began) {
                self.wrong(after, "an executor moved an order without a lease");
            }
            if moved && before["lease_holder"].is_null() {
                self.wrong(after, "an executor moved an order that nobody holds");
            }
        }
    }

    fn one_is_open(&mut self, application: &str) {
        let open = |order: &&&Value| {
            text(order, "application_id") == application && !is_final(text(order, "state"))
        };
        let open: Vec<&Value> = self.orders.values().filter(open).copied().collect();
        if let [first, _, ..] = open.as_slice() {
            self.wrong(first, "two orders of an application are open");
        }
    }

    /// What an order says of itself at the end of a transaction.
    fn is_coherent(&mut self, id: &str) {
        let Some(order) = self.orders.get(id).copied() else { return };
        let (state, step, message) =
            (text(order, "state"), text(order, "step"), text(order, "message"));
        // Whoever paused the Deployment is obeyed at any step.
        let is_obeyed = order["hands"]["paused_by"].is_string();
        let waits = state.starts_with("waiting_") && !is_obeyed;
        // Numbers are put right while it waits on.
        let may_wait = ["paused", "close_gate", "step_back", "restore_old", "remove_new"];
        if waits && !may_wait.contains(&step) {
            self.wrong(order, "an order waits although it works");
        }
        let batch = order["batch"].as_i64().unwrap_or(0);
        let batches = self.batches.get(id).cloned().unwrap_or_default();
        let of = |index: i64| batches.get(&index).map_or("", |batch| text(batch, "state"));
        if waits && of(batch + 1) != state {
            self.wrong(order, &format!("an order waits and its next batch is {}", of(batch + 1)));
        }
        let says = |word: &&str| message.contains(*word);
        if is_final(state) && UNDER_WAY.iter().any(says) {
            self.wrong(order, &format!("an order ended and says: {message}"));
        }
        if state == "running" && message.contains("waits for confirmation") {
            self.wrong(order, &format!("an order runs and says: {message}"));
        }
        if state == "waiting_confirmation"
            && !is_obeyed
            && text(order, "trouble").is_empty()
            && !message.contains(&format!("batch {}", batch + 2))
        {
            self.wrong(
                order,
                &format!("an order waits for batch {} and says: {message}", batch + 2),
            );
        }
        if is_final(state) {
            let alive = |batch: &&&Value| {
                let state = text(batch, "state");
                state == "running" || state.starts_with("waiting_")
            };
            if let Some(batch) = batches.values().find(alive) {
                let (index, state) = (&batch["index"], text(batch, "state"));
                self.wrong(order, &format!("an order ended and its batch {index} is {state}"));
            }
        }
        if state == "succeeded" && batches.values().any(|it| text(it, "state") != "succeeded") {
            self.wrong(order, "an order succeeded and not all of its batches");
        }
    }

    /// Whether everything came to its end.
    fn has_ended(&mut self) {
        let orders: Vec<&Value> = self.orders.values().copied().collect();
        for order in orders {
            if !is_final(text(order, "state")) || order["finalizing"] == true {
                self.wrong(order, "an order did not come to its end");
            } else if text(order, "step") != "done" {
                self.wrong(order, "an order ended and its steps did not");
            }
        }
    }
}
