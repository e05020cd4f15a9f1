//! What happens to a Deployment while its order rests between two batches is noticed by
//! whoever watches, told in the order, and judged before the next batch begins. Each check
//! runs on the simulated cluster and on a real control plane.

use domain::{
    OrderId,
    order::{FailurePolicy, State},
};
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;
use service::OrderView;
use sqlx::PgPool;

use crate::support::{App, caller, canary, eventually, manual, on_both_clusters, watcher::Watch};

const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    pods_that_stop_being_ready_are_told_keep_the_next_batch_back_and_fail_it_after_the_grace,
    trouble_that_passes_is_over_and_the_next_batch_begins,
    a_foreign_template_is_told_and_not_released_by_a_confirmation,
    a_foreign_template_that_came_while_the_order_waited_is_rolled_back_by_a_person,
    a_foreign_template_stays_where_a_person_stops_the_order_and_runs_once_it_is_let_go,
    a_deployment_that_is_deleted_ends_the_order_that_waits,
    a_pod_is_shown_as_it_is_while_its_order_waits_and_so_is_the_one_in_its_place,
);

/// A release of which the first batch is done, and the next waits.
async fn resting(app: &App, strategy: domain::order::plan::Strategy) -> OrderId {
    let application = app.create("web", 4).await;
    let order = app.deploy(application, NEW, strategy).await;
    at_rest(app, order).await;
    order
}

/// Waits until the order waits and its Deployment is paused. In between Kubernetes releases what
/// somebody else writes.
pub(crate) async fn at_rest(app: &App, order: OrderId) {
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    eventually(async || {
        let spec = app.deployments().get("web").await.unwrap().spec.unwrap();
        if spec.paused == Some(true) { Ok(()) } else { Err(format!("{spec:?}")) }
    })
    .await;
}

fn pods(app: &App) -> Api<Pod> {
    Api::namespaced(app.client.clone(), &app.namespace)
}

/// Makes a pod of the new version say that it is Ready, or not.
pub(crate) async fn set_ready(app: &App, ready: &str) -> String {
    let all = pods(app).list(&ListParams::default()).await.unwrap();
    let is_new =
        |pod: &&Pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(NEW);
    let name = all.iter().find(is_new).unwrap().name_any();
    let now = k8s_openapi::jiff::Timestamp::now().to_string();
    let conditions: Vec<_> = ["Ready", "ContainersReady"]
        .map(|kind| json!({ "type": kind, "status": ready, "lastTransitionTime": now }))
        .into();
    let status = json!({ "status": { "conditions": conditions } });
    let parameters = PatchParams::default();
    pods(app).patch_status(&name, &parameters, &Patch::Strategic(status)).await.unwrap();
    name
}

async fn set_image(app: &App, image: &str) {
    let template = json!({ "spec": { "containers": [{ "name": "web", "image": image }] } });
    let patch = json!({ "spec": { "template": template } });
    let hand = PatchParams { field_manager: Some("kubectl-set".into()), ..Default::default() };
    app.deployments().patch("web", &hand, &Patch::Strategic(patch)).await.unwrap();
}

async fn in_trouble(app: &App, order: OrderId, says: &str) -> OrderView {
    let order = app.order_when(order, |it| it.message.contains(says)).await;
    assert_eq!(order.state, State::WaitingConfirmation, "{order:#?}");
    assert_eq!(order.trouble, order.message);
    order
}

/// Confirms the next batch, which must be refused for this.
async fn is_refused(app: &App, order: &OrderView, why: &str) {
    let next = order.batches.iter().find(|batch| batch.started_at.is_none()).unwrap();
    let refused = app.service.confirm(&caller(), next.id, true).await.unwrap_err().to_string();
    assert!(refused.contains("cannot go on now") && refused.contains(why), "{refused}");
}

async fn pods_that_stop_being_ready_are_told_keep_the_next_batch_back_and_fail_it_after_the_grace(
    app: App,
) {
    let policy = FailurePolicy { grace_seconds: 5, ..FailurePolicy::default() };
    let app = app.tolerating(policy);
    let order = resting(&app, canary(1, 1)).await;
    let pod = set_ready(&app, "False").await;
    let told = in_trouble(&app, order, &pod).await;
    is_refused(&app, &told, &pod).await;
    let actions = app.service.snapshot(order).await.unwrap().actions;
    assert!(
        !actions.iter().any(|it| matches!(it, domain::snapshot::Action::Continue { .. })),
        "{actions:?}"
    );
    let events: Api<Event> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let all = events.list(&ListParams::default()).await.unwrap();
        let said = all.iter().any(|it| {
            it.reason.as_deref() == Some("ChangeOrderInTrouble")
                && it.message.as_deref().is_some_and(|text| text.contains(&pod))
        });
        if said { Ok(()) } else { Err("no event".into()) }
    })
    .await;
    let failed = app.end_of(order).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    let says =
        failed.message.starts_with("while batch 2 waited: ") && failed.message.contains(&pod);
    assert!(says, "{}", failed.message);
    let states: Vec<State> = failed.batches.iter().map(|batch| batch.state).collect();
    assert_eq!(states, [State::Failed, State::Aborted], "nothing waits in an order that ended");
    let back = app.end_of(failed.rolled_back_by.unwrap()).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
}

async fn trouble_that_passes_is_over_and_the_next_batch_begins(app: App) {
    let order = resting(&app, manual(2)).await;
    let pod = set_ready(&app, "False").await;
    in_trouble(&app, order, &pod).await;
    set_ready(&app, "True").await;
    let well = app.order_when(order, |it| it.trouble.is_empty()).await;
    assert_eq!(well.message, "batch 2 waits for confirmation");
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let events = app.store.events(order).await.unwrap();
    let kinds: Vec<_> = events.iter().map(|it| it.kind.as_str()).collect();
    assert!(kinds.contains(&"order.trouble") && kinds.contains(&"order.trouble_over"), "{kinds:?}");
}

async fn a_pod_is_shown_as_it_is_while_its_order_waits_and_so_is_the_one_in_its_place(app: App) {
    let order = resting(&app, manual(2)).await;
    let before = app.service.order(order).await.unwrap().batches[0].pods.clone();
    assert!(before.len() == 2 && before.iter().all(|pod| pod.ready), "{before:#?}");
    let pod = set_ready(&app, "False").await;
    let told = app
        .order_when(order, |it| {
            it.batches[0]
                .pods
                .iter()
                .any(|it| it.name == pod && !it.ready && !it.message.is_empty())
        })
        .await;
    assert_eq!(told.state, State::WaitingConfirmation);
    assert_eq!(told.batches[0].pods.len(), 2, "{:#?}", told.batches[0].pods);
    let shown = app.service.snapshot(order).await.unwrap();
    assert_eq!(shown.batches[0].ready(), 1, "{:#?}", shown.batches[0]);
    pods(&app).delete(&pod, &DeleteParams::default()).await.unwrap();
    let well = app
        .order_when(order, |it| {
            let pods = &it.batches[0].pods;
            pods.len() == 2 && pods.iter().all(|it| it.ready && it.name != pod)
        })
        .await;
    let other = before.iter().find(|it| it.name != pod).unwrap();
    assert_eq!(well.batches[0].pods[0].name, other.name, "the other one stays where it was");
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let counts: Vec<usize> = done.batches.iter().map(|batch| batch.pods.len()).collect();
    assert_eq!(counts, [2, 2], "no pod is in two batches");
}

async fn a_foreign_template_is_told_and_not_released_by_a_confirmation(app: App) {
    let order = resting(&app, manual(2)).await;
    set_image(&app, "shop/web:9.9--image-pull-error").await;
    let told = in_trouble(&app, order, "kubectl-set changed the Deployment's pod template").await;
    is_refused(&app, &told, "kubectl-set").await;
    let spec = app.deployments().get("web").await.unwrap().spec.unwrap();
    assert_eq!(spec.paused, Some(true), "what somebody else wrote is not released");
    set_image(&app, NEW).await;
    app.order_when(order, |it| it.trouble.is_empty()).await;
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

const FOREIGN: &str = "shop/web:9.9";

/// A release that waits with a template of somebody else.
async fn with_foreign_template(app: &App) -> (OrderId, Watch) {
    let order = resting(app, manual(2)).await;
    let watch = app.watch("web").await;
    set_image(app, FOREIGN).await;
    in_trouble(app, order, "kubectl-set changed the Deployment's pod template").await;
    (order, watch)
}

async fn runs(watch: &Watch, image: &str) {
    eventually(async || {
        let now = watch.now();
        let is_whole = now.of(image) == 4 && now.pods.values().sum::<i32>() == 4 && now.ready == 4;
        if is_whole { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

async fn a_foreign_template_that_came_while_the_order_waited_is_rolled_back_by_a_person(app: App) {
    let (order, watch) = with_foreign_template(&app).await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    runs(&watch, "shop/web:1.0").await;
    let seen = watch.end();
    let is_kept = seen.iter().all(|it| it.ready >= 4 && it.of(FOREIGN) == 0);
    assert!(is_kept, "theirs never ran, and no pod was missing: {seen:#?}");
}

async fn a_foreign_template_stays_where_a_person_stops_the_order_and_runs_once_it_is_let_go(
    app: App,
) {
    let (order, watch) = with_foreign_template(&app).await;
    watch.so_far();
    app.service.abort(&caller(), order).await.unwrap();
    eventually(async || {
        let order = app.store.order(order).await.unwrap().unwrap();
        if order.finalizing { Err("it comes to rest".into()) } else { Ok(()) }
    })
    .await;
    let live = app.live("web").await["spec"].clone();
    assert_eq!(live["template"]["spec"]["containers"][0]["image"], FOREIGN, "{live}");
    assert_eq!(watch.now().of(FOREIGN), 0, "nothing is released that nobody asked for");
    let resumed = Patch::Merge(json!({ "spec": { "paused": null } }));
    app.deployments().patch("web", &PatchParams::default(), &resumed).await.unwrap();
    runs(&watch, FOREIGN).await;
    let seen = watch.end();
    // As the Deployment rested: one pod goes at a time.
    assert!(seen.iter().all(|it| it.ready >= 3), "{seen:#?}");
    // What comes next builds on theirs, and gives the settings of before back.
    let application = app.service.order(order).await.unwrap().application;
    let next = app.deploy(application, NEW, manual(1)).await;
    let done = app.end_of(next).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let rolling = app.live("web").await["spec"]["strategy"]["rollingUpdate"].clone();
    assert_eq!(rolling, json!({ "maxSurge": "25%", "maxUnavailable": "25%" }));
}

/// Somebody writes the template just before the Deployment is paused: what is paused then
/// is not what the order released.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_template_that_was_written_just_before_the_pause_is_not_taken_for_the_orders_own(
    pool: PgPool,
) {
    let (app, held) = App::start_held(pool).await;
    let application = app.create("web", 4).await;
    let mut writes = held.hold("web");
    let order = app.deploy(application, NEW, manual(2)).await;
    let pause = loop {
        let write = writes.next().await;
        if app.service.order(order).await.unwrap().state == State::WaitingConfirmation {
            break write;
        }
        write.make();
    };
    set_image(&app, "shop/web:9.9").await;
    pause.make();
    drop(writes);
    let told = in_trouble(&app, order, "kubectl-set changed the Deployment's pod template").await;
    is_refused(&app, &told, "kubectl-set").await;
}

async fn a_deployment_that_is_deleted_ends_the_order_that_waits(app: App) {
    let order = resting(&app, manual(2)).await;
    app.deployments().delete("web", &DeleteParams::default()).await.unwrap();
    let ended = app.end_of(order).await;
    assert_eq!(ended.state, State::Failed, "{ended:#?}");
    assert!(ended.message.contains("does not exist"), "{}", ended.message);
    let states: Vec<State> = ended.batches.iter().map(|batch| batch.state).collect();
    assert_eq!(states, [State::Failed, State::Aborted], "nothing waits in an order that ended");
}
