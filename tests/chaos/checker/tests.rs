//! A recording that keeps every promise, and what is found where one is broken in it.

use serde_json::{Value, json};

use super::{Deployment, Pod, Recording, Row, Seen, Settings, What, judge};

mod hands;

const APPLICATION: &str = "application";
const ORDER: &str = "order";

/// A canary of 1 of 4 pods that was confirmed and is done.
struct Story {
    recording: Recording,
    order: Value,
    time: i64,
    version: u64,
    /// The mark of another hand's last write.
    hand: Option<String>,
}

fn settings(paused: bool, gate: bool, surge: impl Into<Value>, unavailable: i64) -> Settings {
    let (min_ready, deadline) = if gate { (1_000_000, 1_000_001) } else { (0, 600) };
    Settings {
        paused,
        min_ready,
        deadline,
        strategy: json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge.into(), "maxUnavailable": unavailable } }),
    }
}

fn user() -> Settings {
    settings(false, false, "25%", 1)
}

impl Story {
    fn new() -> Self {
        let order = json!({
            "id": ORDER, "application_id": APPLICATION, "kind": "deploy", "state": "ready", "step": "start", "batch": 0,
            "strategy": { "canary": 1, "batches": 1 }, "release_id": "new", "generation": 0, "lease_holder": null,
            "lease_expires_at": null, "finished_at": null, "finalizing": false, "intent": null, "applied": null,
            "message": "", "trouble": "",
        });
        let mut story =
            Self { recording: Recording::default(), order, time: 0, version: 0, hand: None };
        story.shows(0, &user(), "kubectl");
        (0..4).for_each(|number| story.pod(&format!("old-{number}"), "old", true));
        let accepted = story.order.clone();
        story.row("accept", "change_order", None, accepted);
        story.event("accept", "order.accepted", json!({}));
        for index in 0..2 {
            story.batch("accept", index, "ready");
        }
        story
    }

    /// It goes as it should.
    fn told() -> Self {
        let mut story = Self::new();
        story.leases(7);
        story.moves(
            "running",
            "bring_up",
            0,
            "batch 1 of 2",
            Some(&settings(false, true, 1, 0)),
            &[(0, "running")],
        );
        story.makes(7, &settings(false, true, 1, 0));
        story.pod("new-0", "new", false);
        story.pod("new-0", "new", true);
        story.moves(
            "running",
            "scale_down_old",
            0,
            "",
            Some(&settings(false, true, 0, 1)),
            &[(0, "succeeded")],
        );
        story.makes(7, &settings(false, true, 0, 1));
        story.ends("old-0");
        story.moves(
            "waiting_confirmation",
            "paused",
            0,
            "batch 2 waits for confirmation",
            Some(&settings(true, false, 0, 1)),
            &[(1, "waiting_confirmation")],
        );
        story.makes(7, &settings(true, false, 0, 1));
        story.moves(
            "running",
            "close_gate",
            0,
            "batch 2 is about to begin",
            Some(&settings(true, true, 0, 1)),
            &[(1, "ready")],
        );
        story.makes(7, &settings(true, true, 0, 1));
        story.moves(
            "running",
            "bring_up",
            1,
            "batch 2 of 2",
            Some(&settings(false, true, 3, 1)),
            &[(1, "running")],
        );
        story.makes(7, &settings(false, true, 3, 1));
        for number in 1..4 {
            story.pod(&format!("new-{number}"), "new", true);
        }
        story.moves("running", "restore_settings", 1, "", Some(&user()), &[(1, "succeeded")]);
        story.makes(7, &user());
        (1..4).for_each(|number| story.ends(&format!("old-{number}")));
        story.moves("succeeded", "done", 1, "", None, &[]);
        story
    }

    fn now(&mut self) -> i64 {
        self.time += 10;
        self.time
    }

    fn row(&mut self, transaction: &str, table: &str, before: Option<Value>, after: Value) {
        let at = self.now();
        let (transaction, table) = (transaction.to_owned(), table.to_owned());
        self.recording.rows.push(Row { at, began: at, transaction, table, before, after });
    }

    fn event(&mut self, transaction: &str, kind: &str, detail: Value) {
        let event = json!({ "order_id": ORDER, "application_id": APPLICATION, "kind": kind, "cause": "", "detail": detail });
        self.row(transaction, "event", None, event);
    }

    fn batch(&mut self, transaction: &str, index: i64, state: &str) {
        self.row(
            transaction,
            "batch",
            None,
            json!({ "order_id": ORDER, "index": index, "state": state }),
        );
    }

    fn change(&mut self, transaction: &str, change: &Value) {
        let before = self.order.clone();
        for (field, value) in change.as_object().unwrap() {
            self.order[field] = value.clone();
        }
        let after = self.order.clone();
        self.row(transaction, "change_order", Some(before), after);
    }

    fn leases(&mut self, generation: i64) {
        self.change("lease", &json!({ "generation": generation, "lease_holder": "one", "lease_expires_at": "2030-01-01T00:00:00Z" }));
    }

    /// A transition, and the settings that it announces.
    fn moves(
        &mut self,
        state: &str,
        step: &str,
        batch: i64,
        message: &str,
        settings: Option<&Settings>,
        batches: &[(i64, &str)],
    ) {
        let transaction = format!("{step} {batch} {}", self.time);
        let generation = self.order["generation"].clone();
        let mut change =
            json!({ "state": state, "step": step, "batch": batch, "message": message });
        if let Some(at) = self.order.get("step_since") {
            change["step_since"] = at.clone();
        }
        if state == "succeeded" {
            change["finished_at"] = "2026-01-01T00:00:00Z".into();
        }
        if let Some(settings) = settings {
            change["applied"] = Value::Null;
            change["intent"] = json!({
                "do": "patch", "paused": settings.paused, "min_ready_seconds": settings.min_ready,
                "progress_deadline_seconds": settings.deadline, "strategy": settings.strategy,
            });
        }
        self.change(&transaction, &change);
        batches.iter().for_each(|(index, state)| self.batch(&transaction, *index, state));
        self.event(&transaction, &format!("order.{step}"), json!({ "generation": generation }));
    }

    /// The change is made, and recorded.
    fn makes(&mut self, fence: i64, settings: &Settings) {
        self.shows(fence, settings, "sluice");
        let transaction = format!("made {}", self.time);
        self.change(&transaction, &json!({ "applied": { "deployment": self.version } }));
        self.event(&transaction, "change.made", json!({ "generation": self.order["generation"] }));
    }

    fn see(&mut self, what: What) {
        self.version += 1;
        let (version, at) = (self.version, self.now());
        self.recording.seen.push(Seen { version, at, what });
    }

    fn shows(&mut self, fence: i64, settings: &Settings, manager: &str) {
        let fields = [
            "paused",
            "minReadySeconds",
            "progressDeadlineSeconds",
            "strategy.rollingUpdate.maxSurge",
            "strategy.rollingUpdate.maxUnavailable",
        ];
        let is_ours = manager == "sluice";
        self.see(What::Deployment(Deployment {
            gone: false,
            uid: "one".into(),
            hand: self.hand.clone(),
            fence: (fence > 0).then_some(fence),
            order: (fence > 0).then(|| ORDER.to_owned()),
            replicas: 4,
            settings: settings.clone(),
            release: Some(if fence > 0 { "new" } else { "old" }.into()),
            ours: fields.iter().filter(|_| is_ours).map(|field| (*field).to_owned()).collect(),
        }));
    }

    fn pod(&mut self, name: &str, release: &str, ready: bool) {
        self.see(What::Pod(Pod {
            name: name.into(),
            ready,
            release: Some(release.into()),
            ..Pod::default()
        }));
    }

    fn ends(&mut self, name: &str) {
        self.see(What::Pod(Pod {
            name: name.into(),
            gone: true,
            ready: true,
            release: Some("old".into()),
            lost: false,
        }));
    }

    /// What is found, with this in the place of the row that it picks.
    fn with_row(mut self, chosen: impl Fn(&Row) -> bool, change: impl Fn(&mut Row)) -> Vec<String> {
        let row = self.recording.rows.iter_mut().find(|row| chosen(row)).unwrap();
        change(row);
        judge(&self.recording)
    }

    fn insert_after_pod(mut self, name: &str, seen: What) -> Vec<String> {
        let is_it = |it: &Seen| matches!(&it.what, What::Pod(pod) if pod.name == name && pod.ready);
        let at = self.recording.seen.iter().position(is_it).unwrap();
        let before = self.recording.seen[at].clone();
        self.recording.seen.insert(at + 1, Seen { what: seen, ..before });
        judge(&self.recording)
    }
}

fn step(row: &Row, step: &str) -> bool {
    row.table == "change_order"
        && row.after["step"] == step
        && row.before.as_ref().is_some_and(|before| before["step"] != step)
}

fn assert_found(found: &[String], what: &str) {
    assert!(found.iter().any(|it| it.contains(what)), "{what:?} in {found:#?}");
}

#[test]
fn a_recording_that_keeps_the_promises_has_no_violation() {
    assert_eq!(judge(&Story::told().recording), Vec::<String>::new());
}

#[test]
fn more_new_pods_than_the_plan_are_found() {
    let pod = Pod { name: "more".into(), release: Some("new".into()), ..Pod::default() };
    assert_found(
        &Story::told().insert_after_pod("new-0", What::Pod(pod)),
        "2 new pods, the plan has 1",
    );
}

#[test]
fn a_ready_pod_that_is_taken_too_early_is_found() {
    let pod = Pod {
        name: "old-3".into(),
        gone: true,
        ready: true,
        release: Some("old".into()),
        lost: false,
    };
    let mut story = Story::told();
    let is_new = |it: &Seen| matches!(&it.what, What::Pod(pod) if pod.name == "new-0");
    let at = story.recording.seen.iter().position(is_new).unwrap();
    let before = story.recording.seen[at].clone();
    story.recording.seen.insert(at, Seen { what: What::Pod(pod), ..before });
    assert_found(&judge(&story.recording), "3 pods are Ready, 4 must be");
}

#[test]
fn a_pod_that_a_foreign_hand_took_is_no_violation() {
    let pod = Pod {
        name: "old-3".into(),
        gone: true,
        ready: true,
        release: Some("old".into()),
        lost: true,
    };
    let found = Story::told().insert_after_pod("new-3", What::Pod(pod));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_batch_that_is_brought_up_twice_is_found() {
    let mut story = Story::new();
    story.leases(7);
    for surge in [1, 2] {
        story.moves(
            "running",
            "bring_up",
            0,
            "",
            Some(&settings(false, true, surge, 0)),
            &[(0, "running")],
        );
        story.makes(7, &settings(false, true, surge, 0));
    }
    assert_found(&judge(&story.recording), "batch 1 was brought up twice");
}

#[test]
fn a_write_that_nobody_announced_is_found() {
    let mut story = Story::new();
    story.leases(7);
    story.shows(7, &settings(false, true, 2, 0), "sluice");
    assert_found(&judge(&story.recording), "a write was not announced");
}

#[test]
fn a_write_before_its_announcement_is_found() {
    let mut story = Story::new();
    story.leases(7);
    story.shows(7, &settings(false, true, 1, 0), "sluice");
    story.moves(
        "running",
        "bring_up",
        0,
        "",
        Some(&settings(false, true, 1, 0)),
        &[(0, "running")],
    );
    assert_found(&judge(&story.recording), "came before it was announced");
}

#[test]
fn a_write_under_an_older_token_is_found() {
    let mut story = Story::new();
    story.leases(7);
    story.leases(8);
    story.moves(
        "running",
        "bring_up",
        0,
        "",
        Some(&settings(false, true, 1, 0)),
        &[(0, "running")],
    );
    story.makes(8, &settings(false, true, 1, 0));
    story.shows(7, &settings(false, true, 1, 0), "sluice");
    assert_found(
        &judge(&story.recording),
        "a write came under the token Some(7) after a newer one",
    );
}

#[test]
fn settings_that_are_not_given_back_are_found() {
    let mut story = Story::told();
    let is_last = |it: &&mut Seen| matches!(&it.what, What::Deployment(it) if it.fence.is_some());
    let Some(What::Deployment(last)) =
        story.recording.seen.iter_mut().rfind(is_last).map(|it| &mut it.what)
    else {
        panic!()
    };
    last.settings.deadline = 601;
    assert_found(&judge(&story.recording), "the user's settings are not back");
}

#[test]
fn a_transition_under_another_token_is_found() {
    let found = Story::told().with_row(
        |row| row.table == "event" && row.after["kind"] == "order.bring_up",
        |row| row.after["detail"]["generation"] = 6.into(),
    );
    assert_found(&found, "under a fencing token that is not the order's");
}

#[test]
fn a_transition_without_a_lease_is_found() {
    let found = Story::told().with_row(
        |row| step(row, "paused"),
        |row| row.before.as_mut().unwrap()["lease_expires_at"] = "1969-01-01T00:00:00Z".into(),
    );
    assert_found(&found, "moved an order without a lease");
}

#[test]
fn a_change_that_counts_as_made_when_it_is_announced_is_found() {
    let found = Story::told().with_row(
        |row| step(row, "bring_up"),
        |row| row.after["applied"] = json!({ "deployment": 1 }),
    );
    assert_found(&found, "counts as made in the write that announces it");
}

#[test]
fn a_second_open_order_is_found() {
    let mut story = Story::new();
    let mut second = story.order.clone();
    second["id"] = "second".into();
    story.row("second", "change_order", None, second);
    assert_found(&judge(&story.recording), "two orders of an application are open");
}

#[test]
fn an_end_that_is_left_is_found() {
    let mut story = Story::told();
    story.change("again", &json!({ "state": "running", "finished_at": null }));
    assert_found(&judge(&story.recording), "an order left its end");
}

#[test]
fn an_order_without_an_end_is_found() {
    assert_found(&judge(&Story::new().recording), "an order did not come to its end");
}

#[test]
fn a_missing_event_is_found() {
    let found = Story::told().with_row(
        |row| row.table == "event" && row.after["kind"] == "order.paused",
        |row| row.after["order_id"] = "another".into(),
    );
    assert_found(&found, "no event says that the order moved");
    let found = Story::told().with_row(
        |row| row.table == "event" && row.after["kind"] == "change.made",
        |row| row.after["order_id"] = "another".into(),
    );
    assert_found(&found, "no event says that the change was made");
}

#[test]
fn a_text_that_is_not_true_is_found() {
    let found = Story::told().with_row(
        |row| step(row, "close_gate"),
        |row| row.after["message"] = "batch 2 waits for confirmation".into(),
    );
    assert_found(&found, "an order runs and says");
    let found = Story::told()
        .with_row(|row| step(row, "done"), |row| row.after["message"] = "waits for pods".into());
    assert_found(&found, "an order ended and says");
    let found = Story::told().with_row(
        |row| step(row, "paused"),
        |row| row.after["message"] = "batch 3 waits for confirmation".into(),
    );
    assert_found(&found, "an order waits for batch 2 and says");
}

#[test]
fn a_batch_that_waits_in_an_order_that_ended_is_found() {
    let mut story = Story::told();
    let transaction = story.recording.rows.last().unwrap().transaction.clone();
    story.batch(&transaction, 1, "waiting_confirmation");
    assert_found(
        &judge(&story.recording),
        "an order ended and its batch 1 is waiting_confirmation",
    );
}
