//! What somebody takes away or sets in the middle of a batch.

use k8s_openapi::api::core::v1::Namespace;

use super::*;

on_both_clusters!(
    a_deployment_that_is_deleted_in_the_middle_of_a_batch_ends_the_order,
    a_replica_set_of_the_new_version_that_is_deleted_in_the_middle_of_a_batch_comes_again,
    annotations_that_are_taken_away_in_the_middle_of_a_batch_are_not_missed,
    a_strategy_that_becomes_recreate_in_the_middle_of_a_release_is_set_back_and_the_users_at_the_end,
);

async fn a_deployment_that_is_deleted_in_the_middle_of_a_batch_ends_the_order(app: App) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    app.deployments().delete("web", &DeleteParams::background()).await.unwrap();
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.contains("does not exist"), "{}", ended.message);
    assert!(ended.message.contains("release a version of the history"), "{}", ended.message);
    assert!(!ended.batches.iter().any(|it| it.state == State::Running), "{ended:#?}");
    eventually(async || {
        let now = app.service.application(application).await.unwrap();
        let is_so = now.deployment_missing && now.ready_replicas == 0;
        if is_so { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    has_pods(&watch, NEW, 0).await;
    assert!(app.deployments().get_opt("web").await.unwrap().is_none(), "nothing is made anew");
}

/// On the real control plane alone, which empties namespaces.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_namespace_that_is_deleted_in_the_middle_of_a_batch_ends_the_order(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 4).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(2)).await;
    has_pods(&watch, NEW, 2).await;
    let namespaces: Api<Namespace> = Api::all(app.client.clone());
    namespaces.delete(&app.namespace, &DeleteParams::default()).await.unwrap();
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by.is_some()), (State::Failed, false), "{ended:#?}");
    assert!(ended.message.contains("does not exist"), "{}", ended.message);
}

async fn a_replica_set_of_the_new_version_that_is_deleted_in_the_middle_of_a_batch_comes_again(
    app: App,
) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    let sets: Api<ReplicaSet> = Api::namespaced(app.client.clone(), &app.namespace);
    let all = sets.list(&ListParams::default()).await.unwrap();
    let is_new = |set: &&ReplicaSet| set.spec.as_ref().unwrap().replicas == Some(3);
    let new = all.iter().find(is_new).unwrap();
    let orphans_nothing = DeleteParams::background();
    sets.delete(&new.name_any(), &orphans_nothing).await.unwrap();
    eventually(async || {
        let all = sets.list(&ListParams::default()).await.unwrap();
        let is_anew = all.iter().any(|it| it.name_any() == new.name_any() && it.uid() != new.uid());
        if is_anew { Ok(()) } else { Err("it has not come again".into()) }
    })
    .await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    has_pods(&watch, NEW, 10).await;
    let seen = watch.end();
    assert!(seen.iter().all(|it| it.ready >= 10), "the old ones stayed meanwhile: {seen:#?}");
}

async fn annotations_that_are_taken_away_in_the_middle_of_a_batch_are_not_missed(app: App) {
    let application = app.create("web", 10).await;
    let mut before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    let live = app.live("web").await;
    let all = live["metadata"]["annotations"].as_object().unwrap();
    let ours: serde_json::Map<String, Value> = all
        .keys()
        .filter(|name| name.starts_with("sluice.dev/"))
        .map(|name| (name.clone(), Value::Null))
        .collect();
    assert!(ours.contains_key(BORROWED_SETTINGS_ANNOTATION) && ours.len() > 2, "{ours:?}");
    hand(&app, "kubectl-annotate", json!({ "metadata": { "annotations": ours } })).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert!(watch.end().iter().all(|it| it.ready >= 10), "no pod is missing meanwhile");
    // The release asked for these.
    before["minReadySeconds"] = json!(3);
    has_own_settings(&app, &before).await;
    let order = app.deploy(application, OLD, batches(2)).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    has_own_settings(&app, &before).await;
}

async fn a_strategy_that_becomes_recreate_in_the_middle_of_a_release_is_set_back_and_the_users_at_the_end(
    app: App,
) {
    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = slow(&app, application, batches(3)).await;
    has_pods(&watch, NEW, 3).await;
    watch.so_far();
    let theirs = json!({ "type": "Recreate", "rollingUpdate": null });
    hand(&app, "kubectl-patch", json!({ "spec": { "strategy": theirs } })).await;
    let told = app.order_when(order, has_told).await;
    has_note(&told, "kubectl-patch changed");
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?} {:#?}", self::told(&app, order).await);
    has_pods(&watch, NEW, 10).await;
    eventually(async || {
        let live = spec(&app).await;
        let is_theirs = live["strategy"] == json!({ "type": "Recreate" });
        if is_theirs { Ok(()) } else { Err(live.to_string()) }
    })
    .await;
}
