//! Pictures of orders, and the lines of their changes.

use domain::order::Step;
use serde_json::json;

use super::*;

pub(crate) fn example() -> Snapshot {
    let pod = |name: &str, ready: bool, message: &str| json!({ "name": name, "ip": "", "phase": if ready { "Running" } else { "Pending" }, "ready": ready, "message": message });
    serde_json::from_value(json!({
        "id": "0193f0c2-5e2a-7c41-8d6e-2a4f6b8c0d1e",
        "application": { "id": "0193f0c2-0000-7c41-8d6e-2a4f6b8c0d1e", "name": "web", "namespace": "shop", "cluster": "default" },
        "kind": "deploy", "state": "running", "step": "bring_up", "version": "2026.11.28-1", "image": "nginx:1.29", "package": null,
        "description": "", "message": "batch 2 is under way", "created_by": "ci", "source": "api",
        "created_at": "2026-11-28T12:00:00Z", "finished_at": null,
        "strategy": { "canary": 1, "batches": 1, "pace": "manual" }, "replicas": null, "replicas_before": null,
        "batches": [
            { "id": "0193f0c2-0000-7c41-8d6e-000000000001", "number": 1, "canary": true, "state": "succeeded", "size": 1, "target": 1,
              "started_at": "2026-11-28T12:00:00Z", "finished_at": "2026-11-28T12:00:18Z", "message": "", "pods": [pod("web-7c9f-aaaaa", true, "")] },
            { "id": "0193f0c2-0000-7c41-8d6e-000000000002", "number": 2, "canary": false, "state": "running", "size": 3, "target": 4,
              "started_at": "2026-11-28T12:00:18Z", "finished_at": null, "message": "", "pods": [
                pod("web-7c9f-9kd7p", false, ""), pod("web-7c9f-x2lmq", false, "ErrImagePull: the registry said: manifest unknown"), pod("web-7c9f-bbbbb", true, "")] }
        ],
        "notes": [], "rolls_back": null, "rolled_back_by": null, "timeline": [], "actions": [{ "action": "abort" }]
    }))
    .unwrap()
}

#[test]
fn a_picture_that_is_too_high_keeps_its_first_line_and_its_end() {
    let lines = |count: usize| (0..count).map(|at| Line::plain(at.to_string())).collect();
    let text = |lines: Vec<Line>| lines.into_iter().map(|it| it.text).collect::<Vec<_>>();
    assert_eq!(text(fit(lines(4), 4)), ["0", "1", "2", "3"]);
    assert_eq!(text(fit(lines(6), 4)), ["0", "  … 3 lines are left out", "4", "5"]);
}

#[test]
fn a_line_comes_for_each_change_and_none_without_one() {
    let before = example();
    assert_eq!(changes(Some(&before), &before), Vec::<String>::new());
    let mut after = before.clone();
    after.batches[1].pods[0].ready = true;
    after.batches[1].pods[1].message = "OOMKilled".into();
    assert_eq!(
        changes(Some(&before), &after),
        ["batch 2/2 running 2/3 ready", "pod web-7c9f-x2lmq: OOMKilled"]
    );
    after.order.state = State::WaitingConfirmation;
    after.step = Step::Paused;
    after.actions = vec![Action::Continue { batch: after.batches[1].id, number: 2, pods: 3 }];
    assert_eq!(
        changes(Some(&before), &after).last().unwrap(),
        "order 0193f0c2-5e2a waiting confirmation: batch 2 (3 pods) waits for `sluice continue`"
    );
}

#[test]
fn a_pods_message_cannot_steer_the_terminal() {
    let mut order = example();
    order.batches[1].pods[0].message = "\u{1b}[2J gone\r".into();
    let lines = render(&order, order.order.created_at, 120);
    let shown: String = lines.iter().map(|line| line.written(false)).collect();
    assert!(!shown.contains(['\u{1b}', '\r']), "{shown:?}");
}
