//! `kubectl rollout undo`: after orders, and in the middle of one.

use super::*;

on_both_clusters!(
    an_annotation_that_an_undo_brought_back_is_no_truth,
    an_undo_in_the_middle_of_a_batch_ends_the_order_and_brings_the_version_before_back,
    an_undo_while_the_order_waits_is_told_and_the_order_can_be_stopped,
);

/// `kubectl rollout undo`: the template and the annotations of the ReplicaSet of before.
/// Says whether these have the settings of an order in them.
async fn undo(app: &App, image: &str) -> bool {
    let sets: Api<ReplicaSet> = Api::namespaced(app.client.clone(), &app.namespace);
    let sets = sets.list(&ListParams::default()).await.unwrap();
    let of = |set: &&ReplicaSet| {
        let template = set.spec.as_ref().unwrap().template.as_ref().unwrap();
        template.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(image)
    };
    let set = sets.iter().find(of).unwrap();
    let mut template = serde_json::to_value(set.spec.as_ref().unwrap().template.as_ref()).unwrap();
    template["metadata"]["labels"].as_object_mut().unwrap().remove("pod-template-hash");
    let mut annotations = set.annotations().clone();
    annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
    let patch: json_patch::Patch = serde_json::from_value(json!([
        { "op": "replace", "path": "/spec/template", "value": template },
        { "op": "replace", "path": "/metadata/annotations", "value": annotations },
    ]))
    .unwrap();
    let by = PatchParams { field_manager: Some("kubectl-rollout".into()), ..Default::default() };
    app.deployments().patch("web", &by, &Patch::Json::<()>(patch)).await.unwrap();
    set.annotations().contains_key(BORROWED_SETTINGS_ANNOTATION)
}

async fn an_annotation_that_an_undo_brought_back_is_no_truth(app: App) {
    let application = app.create("web", 4).await;
    for image in [NEW, "shop/web:3.0"] {
        let order = app.deploy(application, image, batches(2)).await;
        assert_eq!(app.end_of(order).await.state, State::Succeeded);
    }
    assert!(undo(&app, NEW).await, "it brings back what an order of before borrowed");
    app.rolled_out("web").await;
    let rolling = json!({ "maxSurge": 1, "maxUnavailable": 0 });
    let own = json!({ "minReadySeconds": 1, "strategy": { "rollingUpdate": rolling } });
    hand(&app, "kubectl-patch", json!({ "spec": own })).await;
    app.rolled_out("web").await;
    let before = spec(&app).await;
    let order = app.deploy(application, "shop/web:4.0", batches(2)).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    app.rolled_out("web").await;
    let after = spec(&app).await;
    for field in ["strategy", "minReadySeconds", "progressDeadlineSeconds", "paused"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    let annotations = app.deployments().get("web").await.unwrap().metadata.annotations.unwrap();
    assert!(!annotations.contains_key(BORROWED_SETTINGS_ANNOTATION), "{annotations:?}");
}

async fn an_undo_in_the_middle_of_a_batch_ends_the_order_and_brings_the_version_before_back(
    app: App,
) {
    let application = app.create("web", 10).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    undo(&app, OLD).await;
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.contains("superseded by kubectl-rollout"), "{}", ended.message);
    has_pods(&watch, OLD, 10).await;
    has_pods(&watch, NEW, 0).await;
    kept(&watch, NEW, 3, 10);
    has_own_settings(&app, &before).await;
    // The next one is as any other.
    let order = app.deploy(application, NEW, batches(2)).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    has_own_settings(&app, &before).await;
}

async fn an_undo_while_the_order_waits_is_told_and_the_order_can_be_stopped(app: App) {
    let order = waiting(&app, 10, canary(3, 1)).await;
    let watch = app.watch("web").await;
    held(&app, &watch, 3).await;
    watch.so_far();
    undo(&app, OLD).await;
    let words = "kubectl-rollout changed the Deployment's pod template";
    let told = app.order_when(order, |it| it.trouble.contains(words)).await;
    assert_eq!(told.state, State::WaitingConfirmation, "{told:#?}");
    kept(&watch, NEW, 3, 10);
    app.service.abort(&caller(), order).await.unwrap();
    eventually(async || {
        let order = app.store.order(order).await.unwrap().unwrap();
        if order.finalizing { Err("it comes to rest".into()) } else { Ok(()) }
    })
    .await;
    // Theirs stays. It is released by whoever lets it go.
    assert_eq!(spec(&app).await["template"]["spec"]["containers"][0]["image"], OLD);
    resume(&app).await;
    has_pods(&watch, OLD, 10).await;
    has_pods(&watch, NEW, 0).await;
}
