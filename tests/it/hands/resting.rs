//! A release that was stopped rests, and others go on from there.

use super::*;

on_both_clusters!(
    what_somebody_set_and_released_on_a_release_that_rested_is_what_comes_back,
    an_image_that_somebody_set_on_a_canary_and_let_go_is_the_version_before_the_next_release,
    what_is_set_while_an_aborted_release_comes_to_rest_is_kept_for_the_one_that_waits,
    what_somebody_takes_away_on_a_release_that_rested_stays_away,
    what_somebody_takes_away_on_a_release_that_rested_stays_away_on_the_way_back,
);

async fn has_ended(app: &App, order: OrderId) {
    app.end_of(order).await;
    eventually(async || {
        let order = app.store.order(order).await.unwrap().unwrap();
        if order.finalizing { Err("it comes to its end".into()) } else { Ok(()) }
    })
    .await;
}

async fn set_image(app: &App, image: &str) {
    let container = json!([{ "name": "web", "image": image }]);
    let patch = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    let by = PatchParams { field_manager: Some("kubectl-set".into()), ..Default::default() };
    app.deployments().patch("web", &by, &Patch::Strategic(patch)).await.unwrap();
}

async fn what_somebody_set_and_released_on_a_release_that_rested_is_what_comes_back(app: App) {
    let first = waiting(&app, 4, manual(2)).await;
    let application = app.service.order(first).await.unwrap().application;
    app.service.abort(&caller(), first).await.unwrap();
    has_ended(&app, first).await;
    assert_eq!(spec(&app).await["paused"], true, "it rests half way");
    let rolling = json!({ "maxSurge": "40%", "maxUnavailable": "10%" });
    let theirs = json!({ "spec": { "strategy": { "rollingUpdate": rolling } } });
    hand(&app, "kubectl-patch", theirs).await;
    // Another one on top of it, and somebody's own version in the middle of that.
    let second = app.deploy(application, "shop/web:3.0--never-ready", batches(2)).await;
    let watch = app.watch("web").await;
    has_pods(&watch, "shop/web:3.0--never-ready", 2).await;
    set_image(&app, "shop/web:9.0").await;
    has_ended(&app, second).await;
    let ended = app.service.order(second).await.unwrap();
    assert!(ended.message.contains("superseded by kubectl-set"), "{}", ended.message);
    app.rolled_out("web").await;
    let third = app.deploy(application, "shop/web:4.0", batches(2)).await;
    has_ended(&app, third).await;
    let done = app.service.order(third).await.unwrap();
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let live = spec(&app).await;
    assert_eq!(live["strategy"]["rollingUpdate"], rolling, "theirs, and not those of before");
    assert_eq!(live["paused"], Value::Null);
    // Their version is the one before, and not that of before the release that rested.
    let back = app.service.roll_back(&caller(), third).await.unwrap();
    has_ended(&app, back).await;
    let live = spec(&app).await;
    assert_eq!(live["template"]["spec"]["containers"][0]["image"], "shop/web:9.0");
    assert_eq!(live["strategy"]["rollingUpdate"], rolling);
}

async fn an_image_that_somebody_set_on_a_canary_and_let_go_is_the_version_before_the_next_release(
    app: App,
) {
    let first = waiting(&app, 4, canary(1, 1)).await;
    let application = app.service.order(first).await.unwrap().application;
    set_image(&app, "shop/web:9.0").await;
    app.service.abort(&caller(), first).await.unwrap();
    has_ended(&app, first).await;
    resume(&app).await;
    app.rolled_out("web").await;
    let next = app.deploy(application, "shop/web:3.0", batches(2)).await;
    has_ended(&app, next).await;
    let back = app.service.roll_back(&caller(), next).await.unwrap();
    has_ended(&app, back).await;
    let live = spec(&app).await;
    assert_eq!(live["template"]["spec"]["containers"][0]["image"], "shop/web:9.0");
    assert_eq!(live["paused"], Value::Null);
}

async fn what_is_set_while_an_aborted_release_comes_to_rest_is_kept_for_the_one_that_waits(
    mut app: App,
) {
    let first = waiting(&app, 4, manual(2)).await;
    let application = app.service.order(first).await.unwrap().application;
    app.stop_executor().await;
    app.service.abort(&caller(), first).await.unwrap();
    // It was accepted with what the aborted one knew.
    let second = app.deploy(application, "shop/web:3.0", batches(2)).await;
    hand(&app, "kubectl-patch", json!({ "spec": { "minReadySeconds": 2 } })).await;
    app.start_executor(Duration::from_secs(2));
    has_ended(&app, second).await;
    let done = app.service.order(second).await.unwrap();
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert_eq!(spec(&app).await["minReadySeconds"], 2, "theirs, although the order came before");
}

/// A release that was stopped half way, on settings of the user's that somebody takes away then.
async fn without_settings(app: &App) -> OrderId {
    let application = app.create("web", 4).await;
    let theirs = json!({ "minReadySeconds": 1, "progressDeadlineSeconds": 900 });
    hand(app, "kubectl-edit", json!({ "spec": theirs })).await;
    let first = app.deploy(application, NEW, manual(2)).await;
    crate::waiting::at_rest(app, first).await;
    app.service.abort(&caller(), first).await.unwrap();
    has_ended(app, first).await;
    let live = spec(app).await;
    assert_eq!(
        (&live["minReadySeconds"], &live["progressDeadlineSeconds"]),
        (&json!(1), &json!(900))
    );
    // Kubernetes leaves the one out, and notes no owner of it; the other one has a default.
    let away = json!({ "minReadySeconds": 0, "progressDeadlineSeconds": null });
    hand(app, "kubectl-edit", json!({ "spec": away })).await;
    first
}

async fn is_without_settings(app: &App, order: OrderId) {
    has_ended(app, order).await;
    let done = app.service.order(order).await.unwrap();
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let live = spec(app).await;
    let found = (&live["minReadySeconds"], &live["progressDeadlineSeconds"], &live["paused"]);
    assert_eq!(found, (&Value::Null, &json!(600), &Value::Null));
}

async fn what_somebody_takes_away_on_a_release_that_rested_stays_away(app: App) {
    let first = without_settings(&app).await;
    let application = app.service.order(first).await.unwrap().application;
    let next = app.deploy(application, "shop/web:3.0", batches(2)).await;
    is_without_settings(&app, next).await;
}

async fn what_somebody_takes_away_on_a_release_that_rested_stays_away_on_the_way_back(app: App) {
    let first = without_settings(&app).await;
    let back = app.service.roll_back(&caller(), first).await.unwrap();
    is_without_settings(&app, back).await;
}
