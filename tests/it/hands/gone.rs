//! What somebody takes away while an order waits: a pod, a ReplicaSet, the Deployment, its
//! namespace. Nothing is made anew behind anybody's back.

use k8s_openapi::api::core::v1::Namespace;

use super::*;

on_both_clusters!(
    a_pod_that_is_deleted_while_the_order_waits_comes_again_and_the_order_goes_on,
    a_deleted_replica_set_of_the_version_before_fails_the_release_and_it_comes_back,
    a_deployment_that_was_made_anew_is_not_touched,
);

async fn a_pod_that_is_deleted_while_the_order_waits_comes_again_and_the_order_goes_on(app: App) {
    let order = waiting(&app, 10, canary(3, 1)).await;
    let watch = app.watch("web").await;
    held(&app, &watch, 3).await;
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    for image in [NEW, OLD] {
        let all = pods.list(&ListParams::default()).await.unwrap();
        let is =
            |pod: &&Pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(image);
        let name = all.iter().find(is).unwrap().name_any();
        pods.delete(&name, &DeleteParams::default()).await.unwrap();
        eventually(async || match pods.get_opt(&name).await.unwrap() {
            None => Ok(()),
            Some(_) => Err(format!("{name} is still there")),
        })
        .await;
    }
    held(&app, &watch, 3).await;
    // The executor may notice only now what was deleted: a confirmation that is
    // refused for it can be given again.
    let next = app.service.order(order).await.unwrap().batches[1].id;
    eventually(async || match app.service.confirm(&caller(), next, true).await {
        Err(error) if error.to_string().contains("cannot go on now") => Err(error.to_string()),
        given => {
            given.unwrap();
            Ok(())
        }
    })
    .await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

async fn a_deleted_replica_set_of_the_version_before_fails_the_release_and_it_comes_back(app: App) {
    let order = waiting(&app, 10, canary(3, 1)).await;
    let watch = app.watch("web").await;
    held(&app, &watch, 3).await;
    let sets: Api<ReplicaSet> = Api::namespaced(app.client.clone(), &app.namespace);
    let all = sets.list(&ListParams::default()).await.unwrap();
    let is_old = |set: &&ReplicaSet| set.spec.as_ref().unwrap().replicas == Some(7);
    let old = all.iter().find(is_old).unwrap().name_any();
    sets.delete(&old, &DeleteParams::background()).await.unwrap();
    let failed = app.end_of(order).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    assert!(
        failed.message.contains("the ReplicaSet of the version before is gone"),
        "{}",
        failed.message
    );
    let back = app.end_of(failed.rolled_back_by.unwrap()).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    has_pods(&watch, OLD, 10).await;
}

async fn a_deployment_that_was_made_anew_is_not_touched(mut app: App) {
    let order = waiting(&app, 4, manual(2)).await;
    app.stop_executor().await;
    let mut anew = app.deployments().get("web").await.unwrap();
    app.deployments().delete("web", &DeleteParams::background()).await.unwrap();
    eventually(async || match app.deployments().get_opt("web").await.unwrap() {
        None => Ok(()),
        Some(_) => Err("it is still there".into()),
    })
    .await;
    anew.metadata = kube::api::ObjectMeta { name: Some("web".into()), ..Default::default() };
    anew.status = None;
    app.deployments().create(&PostParams::default(), &anew).await.unwrap();
    app.start_executor(Duration::from_secs(2));
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.contains("another one of its name was made"), "{}", ended.message);
    let live = app.live("web").await;
    let ours = live["metadata"]["annotations"].get(domain::template::names::FENCE_ANNOTATION);
    assert_eq!(ours, None, "{live}");
}

/// On the real control plane alone, which empties namespaces.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_namespace_that_is_deleted_ends_the_order(pool: PgPool) {
    let app = App::start_real(pool).await;
    let order = waiting(&app, 4, manual(2)).await;
    let namespaces: Api<Namespace> = Api::all(app.client.clone());
    namespaces.delete(&app.namespace, &DeleteParams::default()).await.unwrap();
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.contains("does not exist"), "{}", ended.message);
}
