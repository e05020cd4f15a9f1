//! Deletions.

use super::*;

on_both_clusters!(
    a_deleted_application_is_gone_with_its_deployment_and_its_name_is_free,
    another_deployment_of_the_name_is_left_alone,
    a_delete_is_refused_while_an_order_is_open,
);

async fn delete(app: &App, application: ApplicationId) -> OrderView {
    let order = app.service.delete(&caller(), application).await.unwrap();
    app.end_of(order).await
}

/// No client finds the application any more.
async fn assert_gone(app: &App, application: ApplicationId) {
    for refused in [
        app.service.application(application).await.map(|_| ()),
        app.service.history(application).await.map(|_| ()),
        app.service.recent_orders(application).await.map(|_| ()),
        app.service.delete(&caller(), application).await.map(|_| ()),
        app.service
            .deploy(&caller(), release(application, NEW, Strategy::ALL_AT_ONCE))
            .await
            .map(|_| ()),
    ] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            format!("the application {application} does not exist")
        );
    }
    assert!(
        app.service.applications(None).await.unwrap().iter().all(|listed| listed.id != application)
    );
}

async fn a_deleted_application_is_gone_with_its_deployment_and_its_name_is_free(app: App) {
    let application = app.create("web", 3).await;
    let first = app.deployments().get("web").await.unwrap();
    let other = app.create("other", 1).await;
    let deleted = delete(&app, application).await;
    assert_eq!(
        (deleted.state, deleted.kind, deleted.can_roll_back),
        (State::Succeeded, Kind::Delete, false),
        "{deleted:#?}"
    );
    assert_gone(&app, application).await;
    assert!(app.deployments().get_opt("web").await.unwrap().is_none());
    assert!(app.deployments().get_opt("other").await.unwrap().is_some());
    // Clients poll the order to its end, and may look at it later.
    assert_eq!(app.service.order(deleted.id).await.unwrap().state, State::Succeeded);
    let again = app.create("web", 2).await;
    assert_ne!(again, application);
    assert_ne!(app.deployments().get("web").await.unwrap().metadata.uid, first.metadata.uid);
    let names: Vec<ApplicationId> =
        app.service.applications(None).await.unwrap().iter().map(|listed| listed.id).collect();
    assert_eq!(names, [other, again]);
    let order = app.deploy(again, NEW, batches(2)).await;
    assert_eq!(
        app.end_of(order).await.state,
        State::Succeeded,
        "the new one is released as any other"
    );
    assert_eq!(app.service.history(again).await.unwrap().len(), 2);
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || match pods.list(&ListParams::default()).await.unwrap().items.len() {
        3 => Ok(()),
        number => Err(format!("{number} pods are left")),
    })
    .await;
}

async fn another_deployment_of_the_name_is_left_alone(app: App) {
    let application = app.create("web", 1).await;
    let mut foreign = app.deployments().get("web").await.unwrap();
    app.deployments().delete("web", &DeleteParams::foreground()).await.unwrap();
    eventually(async || match app.deployments().get_opt("web").await.unwrap() {
        None => Ok(()),
        Some(_) => Err("still there".into()),
    })
    .await;
    // Somebody's own, under the name that is free on the cluster.
    let labels = BTreeMap::from([("app".to_owned(), "theirs".to_owned())]);
    foreign.metadata = ObjectMeta { name: Some("web".into()), ..ObjectMeta::default() };
    foreign.status = None;
    let spec = foreign.spec.as_mut().unwrap();
    spec.selector.match_labels = Some(labels.clone());
    spec.template.metadata = Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() });
    let made = app.deployments().create(&PostParams::default(), &foreign).await.unwrap();
    let deleted = delete(&app, application).await;
    assert_eq!(deleted.state, State::Succeeded, "{deleted:#?}");
    assert_gone(&app, application).await;
    let left = app.deployments().get("web").await.unwrap();
    assert_eq!((left.metadata.uid, left.metadata.deletion_timestamp), (made.metadata.uid, None));
}

async fn a_delete_is_refused_while_an_order_is_open(app: App) {
    let application = app.create("web", 2).await;
    let order = app.deploy(application, NEW, manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    let refused = app.service.delete(&caller(), application).await.unwrap_err().to_string();
    assert!(refused.contains(&order.to_string()) && refused.contains("still running"), "{refused}");
    app.service.abort(&caller(), order).await.unwrap();
    // Half way, and aborted a moment ago.
    let deleted = delete(&app, application).await;
    assert_eq!(deleted.state, State::Succeeded, "{deleted:#?}");
    assert_gone(&app, application).await;
}
