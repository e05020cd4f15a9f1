//! A database of before migration 20, which gave columns, enums and documents other names:
//! it is migrated, and every row of it is read by the functions that the program reads with.

use std::collections::BTreeMap;

use domain::{
    ApplicationId, KnownCluster, OrderId,
    object::write::{Action, ObjectKind},
    observed::cluster_state::QueryKind,
    order::{
        FailurePolicy, Kind, Order, State, Step, TemplateSource,
        intent::{Applied, Borrow, Change, Effect, Intent, Patch, SizeChange},
        plan::BatchGate,
    },
    precheck::Finding,
    template::settings::BorrowedSettings,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::PgPool;
use store::{ClusterQueryId, MIGRATIONS, ObjectWriteId, QueryAnswer, Store};

/// The newest migration that the rows were written under.
const WRITTEN_UNDER: i64 = 16;

/// The failure policy of every order in it.
const POLICY: FailurePolicy =
    FailurePolicy { grace_seconds: 7, restarts: 3, watch_seconds: 2, roll_back: false };

async fn migrated(pool: &PgPool) -> Store {
    MIGRATIONS.run_to(WRITTEN_UNDER, pool).await.unwrap();
    sqlx::raw_sql(include_str!("plain_names.sql")).execute(pool).await.unwrap();
    let store = Store::on(pool.clone(), test_support::keyring::keyring());
    store.migrate().await.unwrap();
    store
}

fn application(number: u8) -> ApplicationId {
    format!("00000000-0000-0000-0000-0000000001{number:02}").parse().unwrap()
}

fn order_id(number: u8) -> OrderId {
    format!("00000000-0000-0000-0000-0000000003{number:02}").parse().unwrap()
}

async fn order(store: &Store, number: u8) -> Order {
    store.order(order_id(number)).await.unwrap().unwrap()
}

/// A pod template of the user's that has words of the program in it.
fn template() -> Value {
    json!({ "metadata": { "annotations": { "keep": "returned", "tolerance": "1" } } })
}

fn rolling(paused: Option<bool>, strategy: Option<Value>) -> Change {
    Change::Patch(Patch { paused, strategy, ..Patch::default() })
}

#[sqlx::test(migrations = false)]
async fn orders_of_a_database_of_before_are_read_at_every_step(pool: PgPool) {
    let store = migrated(&pool).await;
    let expected = [
        (1, Kind::Deploy, State::Ready, Step::Start),
        (2, Kind::Create, State::Running, Step::Create),
        (3, Kind::Deploy, State::Running, Step::BringUp),
        (4, Kind::Deploy, State::Running, Step::ScaleDownOld),
        (5, Kind::Configure, State::WaitingConfirmation, Step::Paused),
        (6, Kind::DeployVersion, State::Running, Step::CloseGate),
        (7, Kind::Deploy, State::Running, Step::StepBack),
        (8, Kind::Deploy, State::Running, Step::RestoreOld),
        (9, Kind::Deploy, State::Running, Step::RemoveNew),
        (10, Kind::Rollback, State::Running, Step::RollBack),
        (11, Kind::Restart, State::Running, Step::RestoreSettings),
        (12, Kind::Deploy, State::Aborted, Step::PauseInPlace),
        (13, Kind::Scale, State::Running, Step::Resize),
        (14, Kind::Delete, State::Running, Step::Delete),
        (15, Kind::Create, State::Succeeded, Step::Done),
        (16, Kind::Deploy, State::Failed, Step::Done),
        (17, Kind::Rollback, State::Succeeded, Step::Done),
        (18, Kind::ObjectWrite, State::Succeeded, Step::Done),
        (19, Kind::Stop, State::Succeeded, Step::Done),
        (20, Kind::Start, State::SystemFailed, Step::Done),
        (21, Kind::Deploy, State::Failed, Step::Done),
        (22, Kind::Deploy, State::Aborted, Step::Done),
    ];
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM change_order").fetch_one(&pool).await.unwrap();
    assert_eq!(usize::try_from(rows), Ok(expected.len()), "each row is read below");
    for (number, kind, state, step) in expected {
        let order = order(&store, number).await;
        assert_eq!((order.kind, order.state, order.step), (kind, state, step), "{number}");
        assert_eq!(order.target.failure_policy, POLICY, "{number}");
        assert_eq!(order.finalizing, number == 12, "{number}");
        let row = store.order_row(order.id).await.unwrap().unwrap();
        assert_eq!(
            (row.kind, row.step, row.rolls_back),
            (kind, step, order.rolls_back),
            "{number}"
        );
        assert_eq!(
            store.batch_rows(order.id).await.unwrap().len(),
            order.strategy.count(),
            "{number}"
        );
        // Its own step as an event, and whatever else happened to it.
        let events = store.events(order.id).await.unwrap();
        assert_eq!(
            (events[0].kind.clone(), &events[0].detail["step"]),
            (format!("order.{}", word(step)), &json!(step)),
            "{number}"
        );
        let change = &events[0].detail["change"];
        let noted = (!change.is_null()).then(|| change.clone());
        let decided = order.intent.map(|intent| {
            intent.effect.with_template_as(|_| Ok::<_, ()>("changed".into())).unwrap()
        });
        assert_eq!(noted, decided, "{number}");
    }
    let rolled_back = store.order_row(order_id(16)).await.unwrap().unwrap();
    assert_eq!(
        (rolled_back.rolled_back_by, order(&store, 17).await.rolls_back),
        (Some(order_id(17)), Some(order_id(16)))
    );
    assert_eq!(order(&store, 10).await.rolls_back, Some(order_id(21)));
    assert_eq!(
        store.newest_order(application(1)).await.unwrap().unwrap().id,
        order_id(22),
        "an object write is none of the Deployment's orders"
    );
}

fn word(step: Step) -> String {
    json!(step).as_str().unwrap().to_owned()
}

#[sqlx::test(migrations = false)]
async fn targets_and_changes_of_a_database_of_before_say_what_they_said(pool: PgPool) {
    let store = migrated(&pool).await;
    // In the middle of a batch, the change not known to be made: whoever goes on makes it.
    let open = order(&store, 3).await;
    assert_eq!((open.batch, open.target.max_unavailable, open.has_change_to_make()), (1, 2, true));
    assert_eq!(open.target.source, TemplateSource::Exact(template()));
    let own = BorrowedSettings {
        min_ready_seconds: 5,
        progress_deadline_seconds: 600,
        paused: false,
        strategy: json!({ "type": "RollingUpdate" }),
    };
    let patch = Patch {
        template: Some(template()),
        paused: Some(false),
        min_ready_seconds: Some(i32::MAX - 1),
        strategy: Some(
            json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 4 } }),
        ),
        borrow: Borrow::Borrowed(own.clone()),
        ..Patch::default()
    };
    assert_eq!(open.intent.map(|intent| intent.effect), Some(Change::Patch(patch).into()));
    let snapshot = open.snapshot.unwrap();
    assert_eq!(
        (snapshot.settings, &snapshot.template["metadata"]["annotations"]["kept"]),
        (own, &json!("kept"))
    );

    let resized = SizeChange {
        name: "web-1".into(),
        uid: "u1".into(),
        replicas: 4,
        part_of: None,
        min_ready_seconds: None,
    };
    assert_eq!(
        order(&store, 8).await.intent,
        Some(Intent {
            effect: Effect::ReplicaSet(resized),
            applied: Some(Applied { deployment: 16, replica_set: None }),
        })
    );
    for (number, change) in [
        (
            2,
            Change::Create {
                template: json!({ "metadata": { "annotations": { "keep": "returned" } } }),
                replicas: 6,
                min_ready_seconds: 0,
            },
        ),
        (
            4,
            rolling(
                None,
                Some(
                    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 0, "maxUnavailable": 2 } }),
                ),
            ),
        ),
        (5, rolling(Some(true), None)),
        (
            11,
            Change::Patch(Patch {
                paused: Some(false),
                borrow: Borrow::Returned,
                ..Patch::default()
            }),
        ),
        (13, Change::Patch(Patch { replicas: Some(9), ..Patch::default() })),
        (14, Change::Delete { uid: Some("u9".into()), former_applications: vec![application(16)] }),
    ] {
        assert_eq!(
            order(&store, number).await.intent.map(|intent| intent.effect),
            Some(Effect::Deployment(change)),
            "{number}"
        );
    }

    let deletion = order(&store, 14).await.target;
    assert_eq!(
        (deletion.adopted_uid.as_deref(), deletion.former_applications),
        (Some("u9"), vec![application(16)])
    );
    assert_eq!((deletion.source, deletion.replicas_before), (TemplateSource::Unchanged, Some(6)));
    assert_eq!(
        order(&store, 11).await.target.source,
        TemplateSource::Renewed("2026-01-02T00:00:00Z".into())
    );
    assert!(order(&store, 13).await.only_scales() && order(&store, 17).await.only_scales());
    assert_eq!(order(&store, 7).await.back_to, Some(1));

    let mut tx = store.begin().await.unwrap();
    assert_eq!(tx.adopted_uid(application(1)).await.unwrap().as_deref(), Some("u1"));
    let (frozen, resting) = tx.lock_application(application(13)).await.unwrap();
    assert_eq!((frozen.name.as_str(), resting.unwrap().template), ("frozen", template()));
    drop(tx);
    assert_eq!(
        store.history(application(1)).await.unwrap()[0].template["metadata"]["annotations"],
        json!({ "keep": "returned", "formerly": "kept" })
    );

    let events = store.events(order_id(3)).await.unwrap();
    let accepted = events.iter().find(|event| event.kind == "order.accepted").unwrap();
    assert_eq!(accepted.detail["target"], json!(null), "events hold nothing of a template");
    assert!(events.iter().any(|event| event.cause == "for step bring_up"), "{events:?}");
    let kinds = async |number| {
        store
            .events(order_id(number))
            .await
            .unwrap()
            .into_iter()
            .map(|event| event.kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        kinds(7).await,
        ["order.step_back", "order.step_back_requested"],
        "the executor's step, and what was asked for"
    );
    assert_eq!(kinds(18).await, ["order.done", "object_write.done"]);
    assert_eq!(
        store.events(order_id(17)).await.unwrap()[1].detail,
        json!({ "rolls_back": order_id(16) })
    );
    let refused =
        sqlx::query("UPDATE event SET actor = 'somebody'").execute(&pool).await.unwrap_err();
    assert!(refused.to_string().contains("only ever added"), "{refused}");
}

#[sqlx::test(migrations = false)]
async fn questions_of_a_database_of_before_are_answered_and_read(pool: PgPool) {
    let store = migrated(&pool).await;
    let known = KnownCluster { id: "default".into(), identity: "known".parse().unwrap() };

    let write = |number: u8| {
        ObjectWriteId(format!("00000000-0000-0000-0000-0000000004{number:02}").parse().unwrap())
    };
    let done = store.object_write_outcome(write(2)).await.unwrap().unwrap();
    assert_eq!(
        (done.outcome, done.order),
        (Ok(json!({ "name": "front", "uid": "u3" })), Some(order_id(18)))
    );
    let refused = store.object_write_outcome(write(3)).await.unwrap().unwrap();
    assert_eq!(
        (refused.outcome, refused.order),
        (Err("the Service front does not exist".into()), None)
    );
    assert!(
        store.has_object_writes(application(1)).await.unwrap()
            && !store.has_object_writes(application(2)).await.unwrap()
    );
    let claimed =
        store.claim_object_write(&known, &domain::rights::Scope::Whole).await.unwrap().unwrap();
    assert_eq!(
        (claimed.id, claimed.object_write.kind, claimed.attempts),
        (write(1), ObjectKind::Service, 1)
    );
    assert_eq!(
        claimed.object_write.action,
        Action::Create(json!({ "metadata": { "annotations": { "deed": "delete" } } }))
    );
    assert!(
        store
            .answer_object_write(
                claimed.id,
                claimed.generation,
                &Ok(json!({ "name": "front" })),
                Timestamp::now()
            )
            .await
            .unwrap()
    );
    let recorded = store
        .order("00000000-0000-0000-0000-000000000399".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((recorded.kind, recorded.state), (Kind::ObjectWrite, State::Succeeded));

    let query = store.claim_cluster_query(&known).await.unwrap().unwrap();
    assert_eq!(
        (query.name.as_str(), query.kind),
        ("web", QueryKind::Pods { whole: true, nodes: false })
    );
    store.answer_cluster_query(query.id, &Ok(None)).await.unwrap();
    assert_eq!(store.take_query_answer(query.id).await.unwrap(), Some(Ok(None)));
    let answers: BTreeMap<String, ClusterQueryId> =
        sqlx::query_as::<_, (String, uuid::Uuid)>("SELECT kind #>> '{}', id FROM cluster_query")
            .fetch_all(&pool)
            .await
            .unwrap()
            .into_iter()
            .map(|(kind, id)| (kind, ClusterQueryId(id)))
            .collect();
    let answer = async |kind: &str| -> QueryAnswer {
        store.take_query_answer(answers[kind]).await.unwrap().unwrap()
    };
    assert_eq!(
        answer("deployment").await.unwrap().unwrap().deployment.unwrap()["metadata"]["annotations"]
            ["keep"],
        "returned"
    );
    assert_eq!(answer("whole").await, Err("forbidden".into()));

    let report = async |name| {
        store.newest_precheck_report(&known.id, "default", name).await.unwrap().unwrap()
    };
    assert_eq!(report("open").await, None);
    let answered = report("answered").await.unwrap();
    assert_eq!(
        answered.checks.iter().map(|check| check.finding).collect::<Vec<_>>(),
        [Finding::Passed, Finding::Warned]
    );
    let plan = answered.plan.unwrap();
    assert_eq!((plan.max_unavailable, plan.expected_seconds), (2, Some(90)));
    let gates: Vec<BatchGate> = plan.batches.iter().map(|batch| batch.batch_gate).collect();
    assert_eq!(gates, [BatchGate::Confirmation, BatchGate::Pause(2), BatchGate::None]);
    assert_eq!(
        report("existing").await.unwrap().existing.unwrap().template["metadata"]["annotations"]["verdict"],
        "v"
    );
    let claimed = store.claim_precheck_requests(&known, 1).await.unwrap().pop();
    let (_, proposal) = claimed.unwrap().unwrap();
    assert_eq!((proposal.target.max_unavailable, proposal.target.failure_policy), (1, POLICY));
    assert_eq!(
        proposal.target.source,
        TemplateSource::Exact(json!({ "metadata": { "annotations": { "tolerance": "1" } } }))
    );
}
