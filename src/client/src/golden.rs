//! What each command draws, at 60, 80 and 120 columns, held up to the files in `golden`.
//!
//! `SLUICE_GOLDEN=write cargo test -p sluice-client golden` writes them again; read what
//! changed before you keep it.

use std::{fs, path::PathBuf};

use domain::{
    order::State,
    snapshot::{ApplicationLine, OrderLine, Snapshot},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    doctor,
    paint::Line,
    prompt,
    render::{self, tests::example},
    show,
};

const WIDTHS: [usize; 3] = [60, 80, 120];

fn now() -> Timestamp {
    "2026-11-28T12:02:13Z".parse().unwrap()
}

/// An order that waits before its last batch.
fn at_the_gate() -> Snapshot {
    let mut order = example();
    order.order.state = State::WaitingConfirmation;
    order.batches[1].state = State::Succeeded;
    order.batches[1].finished_at = Some("2026-11-28T12:01:00Z".parse().unwrap());
    for pod in &mut order.batches[1].pods {
        pod.ready = true;
        pod.message.clear();
    }
    let mut last = order.batches[1].clone();
    last.id = "0193f0c2-0000-7c41-8d6e-000000000003".parse().unwrap();
    (last.number, last.state, last.size, last.target) = (3, State::WaitingConfirmation, 6, 10);
    (last.pods, last.started_at, last.finished_at) = (Vec::new(), None, None);
    order.actions = serde_json::from_value(
        json!([{ "action": "continue", "batch": last.id, "number": 3, "pods": 6 }, { "action": "abort" }, { "action": "roll_back" }]),
    )
    .unwrap();
    order.batches.push(last);
    order
}

/// One that failed, and whose notes and events are shown.
fn failed() -> Snapshot {
    let mut order = example();
    order.order.state = State::Failed;
    order.order.message =
        "pod web-7c9f-x2lmq: container web: ErrImagePull: the registry said: manifest unknown"
            .into();
    order.order.finished_at = Some("2026-11-28T12:01:59Z".parse().unwrap());
    order.batches[1].state = State::Failed;
    order.notes = vec!["the JDK has no effect".into()];
    let event = |id: i64, at: &str, actor: &str, kind: &str, cause: &str| json!({ "id": id, "at": at, "actor": actor, "kind": kind, "cause": cause });
    order.timeline = serde_json::from_value(json!([
        event(1, "2026-11-28T12:00:00.001Z", "ci", "order.accepted", "the nightly build"),
        event(2, "2026-11-28T12:00:00.250Z", "sluice", "order.bring_up", ""),
        event(
            3,
            "2026-11-28T12:01:59Z",
            "sluice",
            "order.failed",
            "pod web-7c9f-x2lmq: container web: ErrImagePull: the registry said: manifest unknown"
        ),
    ]))
    .unwrap();
    order
}

fn lines_of_orders() -> Vec<OrderLine> {
    vec![at_the_gate().order, failed().order]
}

fn applications() -> Vec<ApplicationLine> {
    let order = |state: &str| json!({ "id": "0193f0c2-5e2a-7c41-8d6e-2a4f6b8c0d1e", "kind": "deploy", "state": state, "message": "" });
    let one = |name: &str, ready: i32, order: Value| {
        json!({ "id": "0193f0c2-0000-7c41-8d6e-2a4f6b8c0d1e", "name": name, "namespace": "shop",
        "cluster": "default", "replicas": 10, "ready": ready, "version": "2026.11.28-1", "image": "registry.example/shop/web:2026.11.28-1", "last_order": order })
    };
    serde_json::from_value(json!([
        one("web", 10, order("waiting_confirmation")),
        one("payments-gateway-with-a-long-name", 7, order("failed")),
        one("search", 10, Value::Null),
        without_deployment(one("gone", 0, order("succeeded"))),
        // An order is open that may be about to create it.
        without_deployment(one("new", 0, order("running"))),
    ]))
    .unwrap()
}

fn without_deployment(mut application: Value) -> Value {
    application["deployment_missing"] = true.into();
    application
}

fn preview() -> Value {
    json!({
        "Plan": { "PlanHash": "5f3a", "Batches": [
            { "Number": 1, "Canary": true, "Added": 1, "Removed": 1, "NewPods": 1, "OldPods": 9, "Next": "confirm", "WaitMinutes": 0 },
            { "Number": 2, "Canary": false, "Added": 4, "Removed": 4, "NewPods": 5, "OldPods": 5, "Next": "wait", "WaitMinutes": 2 },
            { "Number": 3, "Canary": false, "Added": 5, "Removed": 5, "NewPods": 10, "OldPods": 0, "Next": "go_on", "WaitMinutes": 0 },
        ] },
        "Checks": [
            { "Name": "Rights", "Verdict": "passed", "Reason": "" },
            { "Name": "Readiness", "Verdict": "warned", "Reason": "there is no readiness probe: a pod counts as Ready as soon as it runs, whether it can serve or not" },
            { "Name": "Quota", "Verdict": "refused", "Reason": "the quota pods has room for 0 more pods, and 1 is needed" },
        ],
        "Difference": [
            { "Kind": "same", "Text": "  containers:" },
            { "Kind": "removed", "Text": "  - image: shop/web:1.0" },
            { "Kind": "added", "Text": "  - image: shop/web:2.0" },
            { "Kind": "gap", "Text": "" },
            { "Kind": "same", "Text": "  terminationGracePeriodSeconds: 30" },
        ],
    })
}

fn logs() -> Value {
    json!({ "UnreadPods": 2, "Logs": [
        { "Pod": "web-7c9f-x2lmq", "Container": "web", "Text": "", "Unread": "container \"web\" in pod \"web-7c9f-x2lmq\" is waiting to start: trying and failing to pull image" },
        { "Pod": "web-7c9f-aaaaa", "Container": "web", "Text": "listening on :8080\nGET / 200 in 3 ms, from a client with an address that is longer than any terminal of this test is wide, and so on\n", "Unread": "" },
    ] })
}

fn versions() -> Vec<Value> {
    let one = |version: &str| json!({ "PackageVersion": version, "WarUrl": format!("registry.example/shop/web:{version}"), "CreateTime": "2026-11-28 12:00:00", "Id": "0193f0c2-1111-7c41-8d6e-2a4f6b8c0d1e" });
    vec![one("2026.11.28-1"), one("2026.11.27-4")]
}

fn gate(width: usize) -> Vec<Line> {
    let order = at_the_gate();
    let mut lines = render::render(&order, now(), width);
    lines.extend(prompt::Question::of(&order).unwrap().lines());
    lines
}

/// Something keeps the next batch from beginning.
fn trouble(width: usize) -> Vec<Line> {
    let mut order = at_the_gate();
    order.actions.retain(|it| !matches!(it, domain::snapshot::Action::Continue { .. }));
    order.trouble = "0 of 1 new pods are Ready: pod web-7c9f-x2lmq is not Ready".into();
    let mut lines = render::render(&order, now(), width);
    lines.extend(prompt::Question::of(&order).unwrap().lines());
    lines
}

/// Somebody ended it before its last batches began.
fn aborted(width: usize) -> Vec<Line> {
    let mut order = at_the_gate();
    order.order.state = domain::order::State::Aborted;
    order.order.message = "aborted by ci".into();
    order.actions.clear();
    render::render(&order, now(), width)
}

/// A command, and what it draws within a width.
type Drawing = (&'static str, fn(usize) -> Vec<Line>);

const DRAWINGS: [Drawing; 17] = [
    ("follow", |width| render::render(&example(), now(), width)),
    ("follow-gate", gate),
    ("follow-trouble", trouble),
    ("follow-aborted", aborted),
    ("follow-failed", |width| render::render(&failed(), now(), width)),
    ("order", |width| render::whole(&failed(), now(), width)),
    ("apps", |width| show::applications(&applications(), width)),
    ("app", |width| show::application(&applications()[0], &lines_of_orders(), width)),
    ("app-gone", |width| show::application(&applications()[3], &lines_of_orders()[1..], width)),
    ("orders", |width| show::orders(&lines_of_orders(), width)),
    ("pods", |width| show::pods(&example(), width)),
    ("events", |width| show::events(&failed(), width)),
    ("history", |width| show::versions(&versions(), width)),
    ("plan", |width| show::plan(&preview(), width)),
    ("diff", |width| show::difference(&preview(), width)),
    ("logs", |width| show::logs(&logs(), width)),
    ("doctor", |width| doctor::show(&doctor::of_checks(&preview(), "shop/web"), width)),
];

#[test]
fn each_command_draws_what_its_golden_files_say() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/golden");
    let writes = std::env::var_os("SLUICE_GOLDEN").is_some_and(|it| it == "write");
    let mut known = Vec::new();
    for (name, draw) in DRAWINGS {
        for width in WIDTHS {
            let file = format!("{name}.{width}.txt");
            let drawn: String = draw(width).iter().map(|line| line.written(false) + "\n").collect();
            let path = folder.join(&file);
            if writes {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &drawn).unwrap();
            }
            let golden = fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(drawn, golden, "{file}: SLUICE_GOLDEN=write writes it again");
            known.push(file);
        }
    }
    for file in fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "nothing draws {name} any more");
    }
}

#[test]
fn pictures_and_tables_fit_their_width() {
    // What a program printed, and reasons to act on, are not cut.
    let uncut = ["logs", "doctor", "diff", "order"];
    for (name, draw) in DRAWINGS.iter().filter(|(name, _)| !uncut.contains(name)) {
        for width in WIDTHS {
            for line in draw(width) {
                let columns = crate::table::columns(&line.text);
                assert!(columns <= width, "{name} at {width}: {}", line.text);
            }
        }
    }
}
