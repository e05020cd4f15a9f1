//! Other people's hands on a Deployment while its order is open: the plan holds, a brake is
//! obeyed, what somebody set is theirs again at the end, and nobody is fought for ever. Each
//! check runs on the simulated cluster and on a real control plane.

use std::time::Duration;

use ::simulated::Fault;
use domain::{ApplicationId, OrderId, order::State};
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use service::OrderView;
use sqlx::PgPool;

use crate::support::{
    App, batches, caller, canary, eventually, manual, on_both_clusters, release, watcher::Watch,
};
use domain::{order::plan::Strategy, template::names::BORROWED_SETTINGS_ANNOTATION};

mod deleted;
mod first;
mod gone;
mod midway;
mod resting;
mod undone;

const OLD: &str = "shop/web:1.0";
const NEW: &str = "shop/web:2.0";

/// Time between two looks at the pods.
const LOOK: Duration = Duration::from_millis(20);

/// Looks within which new pods beyond a plan that somebody broke must be gone.
const MOST_LOOKS: usize = 500;

on_both_clusters!(
    a_resume_while_the_order_waits_does_not_break_the_plan,
    a_crash_while_the_plan_is_put_right_leads_to_the_same_end,
    a_second_resume_within_a_minute_ends_the_order_at_rest,
    a_pause_in_the_middle_of_a_batch_is_obeyed_until_a_person_continues,
    a_pause_of_a_release_in_one_batch_is_obeyed_until_it_is_resumed,
    a_paused_release_is_rolled_back_by_a_person,
    settings_that_are_changed_in_the_middle_keep_neither_the_plan_nor_pods,
    settings_that_are_changed_in_the_middle_are_the_users_at_the_end,
    a_tool_that_puts_the_same_field_back_is_not_fought_for_ever,
    a_restart_in_the_middle_of_a_batch_is_named_and_left_in_place,
);

/// As kubectl writes the Deployment under this name.
async fn hand(app: &App, manager: &str, patch: Value) {
    let by = PatchParams { field_manager: Some(manager.into()), ..Default::default() };
    app.deployments().patch("web", &by, &Patch::Merge(patch)).await.unwrap();
}

/// `kubectl rollout resume`, which takes the field away.
async fn resume(app: &App) {
    hand(app, "kubectl-rollout", json!({ "spec": { "paused": null } })).await;
}

async fn pause(app: &App) {
    hand(app, "kubectl-rollout", json!({ "spec": { "paused": true } })).await;
}

async fn spec(app: &App) -> Value {
    serde_json::to_value(app.deployments().get("web").await.unwrap().spec.unwrap()).unwrap()
}

/// A release whose canary, or first batch, is done and whose next batch waits.
async fn waiting(app: &App, replicas: i32, strategy: Strategy) -> OrderId {
    let application = app.create("web", replicas).await;
    let order = app.deploy(application, NEW, strategy).await;
    crate::waiting::at_rest(app, order).await;
    order
}

/// A release of which each batch takes so long that a hand can come in between.
async fn slow(app: &App, application: ApplicationId, strategy: Strategy) -> OrderId {
    let mut request = release(application, NEW, strategy);
    request.min_ready_seconds = Some(3);
    app.service.deploy(&caller(), request).await.unwrap()
}

async fn has_pods(watch: &Watch, image: &str, pods: i32) {
    eventually(async || {
        if watch.now().of(image) == pods { Ok(()) } else { Err(format!("{:?}", watch.now())) }
    })
    .await;
}

/// Waits until so many pods of the new version are there and the Deployment is paused.
async fn held(app: &App, watch: &Watch, new: i32) {
    eventually(async || {
        let (now, paused) = (watch.now(), spec(app).await["paused"] == true);
        let total: i32 = now.pods.values().sum();
        if paused && now.of(NEW) == new && total == 10 && now.ready == 10 {
            Ok(())
        } else {
            Err(format!("paused {paused}, {now:?}"))
        }
    })
    .await;
}

/// What was seen since it was asked last: new pods beyond the plan by one at most, and no Ready
/// pod fewer than there were.
fn kept(watch: &Watch, image: &str, plan: i32, ready: i32) {
    let seen = watch.so_far();
    let is_kept = seen.iter().all(|it| it.of(image) <= plan + 1 && it.ready >= ready);
    assert!(is_kept, "more than {plan} and one, or fewer than {ready} Ready: {seen:#?}");
}

/// Waits until the plan stands again that somebody broke. Meanwhile no more Ready pods go than
/// Kubernetes let go for that, and new ones beyond the plan and one are there for some looks at
/// most: it takes a second, and ten on a busy machine.
async fn stands_again(watch: &Watch, image: &str, new: (i32, i32), least: i32) {
    let (mut ticks, mut beyond) = (tokio::time::interval(LOOK), 0);
    let (plan, all) = new;
    loop {
        ticks.tick().await;
        let now = watch.now();
        let total: i32 = now.pods.values().sum();
        if now.of(image) == plan && total == all && now.ready == 10 {
            break;
        }
        beyond += usize::from(now.of(image) > plan + 1);
        assert!(beyond <= MOST_LOOKS, "{now:?}, {plan} planned");
    }
    let seen = watch.so_far();
    assert!(seen.iter().all(|it| it.ready >= least), "fewer than {least} Ready: {seen:#?}");
}

/// Waits until the Deployment's borrowed fields are as they were.
async fn has_own_settings(app: &App, before: &Value) {
    const FIELDS: [&str; 4] = ["strategy", "minReadySeconds", "progressDeadlineSeconds", "paused"];
    eventually(async || {
        let live = spec(app).await;
        let is_so = FIELDS.iter().all(|it| live[*it] == before[*it]);
        if is_so { Ok(()) } else { Err(live.to_string()) }
    })
    .await;
}

fn has_told(order: &OrderView) -> bool {
    order.notes.iter().any(|note| note.contains("the plan holds"))
}

/// What the order did, and when.
async fn told(app: &App, order: OrderId) -> Vec<String> {
    let events = app.store.events(order).await.unwrap();
    events.iter().map(|it| format!("{} {} {} {}", it.at, it.kind, it.cause, it.detail)).collect()
}

/// How often the order changed something on the cluster.
async fn changes(app: &App, order: OrderId) -> usize {
    let events = app.store.events(order).await.unwrap();
    events.iter().filter(|event| event.kind == "change.made").count()
}

fn has_note(order: &OrderView, says: &str) {
    assert!(order.notes.iter().any(|note| note.contains(says)), "{says} in {:?}", order.notes);
}

async fn a_resume_while_the_order_waits_does_not_break_the_plan(app: App) {
    let order = waiting(&app, 10, canary(1, 1)).await;
    let watch = app.watch("web").await;
    held(&app, &watch, 1).await;
    watch.so_far();
    resume(&app).await;
    let told = app.order_when(order, |it| it.message.contains("resumed the Deployment web")).await;
    // By the strategy that it rests with, one goes at a time.
    stands_again(&watch, NEW, (1, 10), 9).await;
    held(&app, &watch, 1).await;
    let state =
        app.order_when(order, |it| it.state == State::WaitingConfirmation && has_told(it)).await;
    has_note(&state, "resumed the Deployment web; the plan holds");
    assert_eq!(told.state, State::WaitingConfirmation, "it waits all the time");
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    has_pods(&watch, NEW, 10).await;
}

async fn a_crash_while_the_plan_is_put_right_leads_to_the_same_end(mut app: App) {
    let order = waiting(&app, 10, canary(3, 1)).await;
    let watch = app.watch("web").await;
    held(&app, &watch, 3).await;
    resume(&app).await;
    for _ in 0..3 {
        let seen = app.store.events(order).await.unwrap().len();
        app.crash();
        eventually(async || {
            let (now, state) = (app.store.events(order).await.unwrap().len(), watch.now());
            let rests = spec(&app).await["paused"] == true && state.of(NEW) == 3;
            if now > seen || rests { Ok(()) } else { Err(format!("{now} events, {state:?}")) }
        })
        .await;
    }
    held(&app, &watch, 3).await;
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

async fn a_second_resume_within_a_minute_ends_the_order_at_rest(app: App) {
    // Pods that Kubernetes replaces take their time, however busy the machine is.
    let application = app.create("web", 10).await;
    let order = slow(&app, application, canary(1, 1)).await;
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    let before = spec(&app).await["template"].clone();
    let watch = app.watch("web").await;
    held(&app, &watch, 1).await;
    resume(&app).await;
    app.order_when(order, has_told).await;
    held(&app, &watch, 1).await;
    app.order_when(order, |it| it.step == domain::order::Step::Paused).await;
    eventually(async || {
        let live = spec(&app).await;
        if live["minReadySeconds"].as_i64().unwrap_or(0) < 100 {
            Ok(())
        } else {
            Err(live.to_string())
        }
    })
    .await;
    resume(&app).await;
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.starts_with("superseded: "), "{}", ended.message);
    let states: Vec<State> = ended.batches.iter().map(|batch| batch.state).collect();
    assert_eq!(states, [State::Failed, State::Aborted]);
    // It stands where it is, with pods of both versions.
    eventually(async || {
        let live = spec(&app).await;
        let settled = live["paused"] == true && live["minReadySeconds"].as_i64().unwrap_or(0) < 100;
        if settled { Ok(()) } else { Err(live.to_string()) }
    })
    .await;
    assert!(watch.now().of(OLD) > 0, "{:?} {:#?}", watch.now(), told(&app, order).await);
    assert_eq!(spec(&app).await["template"], before);
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    has_pods(&watch, OLD, 10).await;
}

async fn a_pause_in_the_middle_of_a_batch_is_obeyed_until_a_person_continues(app: App) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    pause(&app).await;
    let rests = app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    assert!(rests.message.starts_with("kubectl-rollout paused the Deployment"), "{rests:#?}");
    assert_eq!(rests.batches[0].state, State::WaitingConfirmation);
    let events = app.store.events(order).await.unwrap().len();
    // The time of the batch does not count meanwhile.
    app.clock.advance(600);
    assert_eq!(watch.now().of(NEW), 3);
    app.confirm(order, 1).await;
    app.order_when(order, |it| it.state != State::WaitingConfirmation).await;
    let next = app.store.events(order).await.unwrap()[events].clone();
    assert_eq!(next.kind, "batch.confirmed", "nothing was done before");
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    has_note(&done, "kubectl-rollout paused the Deployment");
    assert_eq!(spec(&app).await["paused"], Value::Null);
    assert!(watch.end().iter().all(|sample| sample.ready >= 10), "no pod is missing meanwhile");
}

async fn a_pause_of_a_release_in_one_batch_is_obeyed_until_it_is_resumed(app: App) {
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, Strategy::ALL_AT_ONCE).await;
    eventually(
        async || {
            if watch.now().of(NEW) > 0 { Ok(()) } else { Err(format!("{:?}", watch.now())) }
        },
    )
    .await;
    pause(&app).await;
    let rests = app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    assert!(rests.message.starts_with("kubectl-rollout paused the Deployment"), "{rests:#?}");
    assert!(watch.now().of(OLD) > 0, "{:?}", watch.now());
    resume(&app).await;
    let on = app.order_when(order, |it| it.state != State::WaitingConfirmation).await;
    assert!(matches!(on.state, State::Running | State::Succeeded), "{on:#?}");
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert!(watch.end().iter().all(|sample| sample.ready >= 6), "no pod is missing meanwhile");
}

async fn a_paused_release_is_rolled_back_by_a_person(app: App) {
    let application = app.create("web", 10).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    pause(&app).await;
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    has_pods(&watch, NEW, 0).await;
    assert_eq!(spec(&app).await, before);
}

async fn settings_that_are_changed_in_the_middle_keep_neither_the_plan_nor_pods(app: App) {
    let application = app.create("web", 10).await;
    let image = "shop/web:2.0--never-ready";
    let watch = app.watch("web").await;
    let order = app.deploy(application, image, batches(5)).await;
    has_pods(&watch, image, 2).await;
    watch.so_far();
    let rolling = json!({ "maxSurge": "50%", "maxUnavailable": "50%" });
    let theirs =
        json!({ "spec": { "minReadySeconds": 0, "strategy": { "rollingUpdate": rolling } } });
    hand(&app, "kubectl-patch", theirs).await;
    let told = app.order_when(order, has_told).await;
    for part in
        ["kubectl-patch changed", "maxSurge from 20% to 50%", "maxUnavailable from 0 to 50%"]
    {
        has_note(&told, part);
    }
    // Whatever Kubernetes did in between is put right: theirs let go half of the pods.
    stands_again(&watch, image, (2, 12), 5).await;
    eventually(async || {
        let (now, live) = (watch.now(), spec(&app).await);
        let is_ours = live["strategy"]["rollingUpdate"]["maxSurge"] == "20%";
        if is_ours && now.of(image) == 2 && now.of(OLD) == 10 && now.ready == 10 {
            Ok(())
        } else {
            Err(format!("{live} {now:?}"))
        }
    })
    .await;
    assert_eq!(app.service.order(order).await.unwrap().state, State::Running);
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    let live = spec(&app).await;
    assert_eq!(
        live["strategy"]["rollingUpdate"],
        json!({ "maxSurge": "50%", "maxUnavailable": "50%" })
    );
}

async fn settings_that_are_changed_in_the_middle_are_the_users_at_the_end(app: App) {
    let application = app.create("web", 4).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(2)).await;
    has_pods(&watch, NEW, 2).await;
    let theirs = json!({ "spec": { "strategy": { "rollingUpdate": { "maxSurge": "60%" } } } });
    hand(&app, "kubectl-patch", theirs).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    has_note(&done, "kubectl-patch changed maxSurge from 50% to 60%");
    let live = eventually(async || {
        let live = app.live("web").await;
        let ours = live["metadata"]["annotations"].get(BORROWED_SETTINGS_ANNOTATION).is_some();
        if ours { Err(live.to_string()) } else { Ok(live) }
    })
    .await;
    let spec = &live["spec"];
    assert_eq!(
        spec["strategy"]["rollingUpdate"],
        json!({ "maxSurge": "60%", "maxUnavailable": "25%" })
    );
    eventually(async || {
        let owners = crate::support::found::owners(&app.live("web").await);
        let theirs = &owners["kubectl-patch Update"];
        if theirs["f:strategy"].is_object() { Ok(()) } else { Err(owners.to_string()) }
    })
    .await;
    assert!(watch.end().iter().all(|sample| sample.ready >= 4), "no pod is missing meanwhile");
}

async fn a_tool_that_puts_the_same_field_back_is_not_fought_for_ever(app: App) {
    let order = waiting(&app, 4, manual(2)).await;
    let theirs = json!({ "spec": { "strategy": { "rollingUpdate": { "maxSurge": "30%", "maxUnavailable": "25%" } } } });
    let by = PatchParams { field_manager: Some("argocd-controller".into()), ..Default::default() };
    let (deployments, patch) = (app.deployments(), Patch::Merge(theirs));
    let ended = tokio::time::timeout(crate::support::DEADLINE, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(300));
        loop {
            ticks.tick().await;
            deployments.patch("web", &by, &patch).await.unwrap();
            let order = app.service.order(order).await.unwrap();
            if order.state.is_final() {
                break order;
            }
        }
    })
    .await
    .expect("it is not fought for ever");
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(
        ended.message.starts_with("superseded: argocd-controller changed max"),
        "{}",
        ended.message
    );
    eventually(async || {
        let live = spec(&app).await;
        let order = app.store.order(order).await.unwrap().unwrap();
        if !order.finalizing && live["paused"] == true { Ok(()) } else { Err(live.to_string()) }
    })
    .await;
    let writes = changes(&app, order).await;
    deployments.patch("web", &by, &patch).await.unwrap();
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    assert_eq!(changes(&app, order).await, writes, "nothing was written any more");
    let settings = spec(&app).await["strategy"]["rollingUpdate"].clone();
    assert_eq!(
        settings,
        json!({ "maxSurge": "30%", "maxUnavailable": "25%" }),
        "theirs is given back"
    );
}

async fn a_restart_in_the_middle_of_a_batch_is_named_and_left_in_place(app: App) {
    let application = app.create("web", 4).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0--never-ready", batches(2)).await;
    has_pods(&watch, "shop/web:2.0--never-ready", 2).await;
    let mark = json!({ "kubectl.kubernetes.io/restartedAt": "now" });
    hand(
        &app,
        "kubectl-rollout",
        json!({ "spec": { "template": { "metadata": { "annotations": mark } } } }),
    )
    .await;
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.contains("superseded by kubectl-rollout"), "{}", ended.message);
    eventually(async || {
        let now = spec(&app).await;
        if now["strategy"] == before["strategy"] { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
}

/// Somebody pauses the Deployment just before the next batch is written: that is not
/// written over.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_pause_just_before_a_write_is_not_overruled(pool: PgPool) {
    let (app, held) = App::start_held(pool).await;
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let mut writes = held.hold("web");
    let order = app.deploy(application, NEW, batches(3)).await;
    writes.next().await.make();
    let second = writes.next().await;
    pause(&app).await;
    second.make();
    // What is written instead only says that the order holds the Deployment.
    writes.next().await.make();
    drop(writes);
    let rests = app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    assert!(rests.message.starts_with("kubectl-rollout paused the Deployment"), "{rests:#?}");
    assert_eq!(spec(&app).await["paused"], true);
    assert_eq!(watch.now().of(NEW), 3);
    let number =
        rests.batches.iter().position(|it| it.state == State::WaitingConfirmation).unwrap();
    app.confirm(order, number + 1).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert!(watch.end().iter().all(|sample| sample.ready >= 10), "no pod is missing meanwhile");
}

/// Pods of an order that waits are judged once the cluster was seen for long enough; what
/// somebody wrote is answered at once.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_second_resume_soon_after_an_outage_is_answered_at_once(pool: PgPool) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let is_ready = async || app.service.readiness().await.map_err(|why| why.to_string());
    simulation.fail_next(usize::MAX, Fault::Refuse(503), |call| call.resource == "namespaces");
    eventually(async || match is_ready().await {
        Ok(()) => Err("it is ready".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    app.clock.advance(5);
    simulation.clear_faults();
    eventually(is_ready).await;
    a_second_resume_within_a_minute_ends_the_order_at_rest(app).await;
}
