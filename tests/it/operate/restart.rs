//! Restarts.

use super::*;

on_both_clusters!(
    a_restart_replaces_every_pod_and_the_history_stays_as_it_is,
    a_restart_is_taken_back_while_it_runs,
    a_restart_where_a_release_rests_half_way_brings_the_version_before,
);

async fn restart(app: &App, application: ApplicationId) -> OrderView {
    let order = app.service.restart(&caller(), application, None).await.unwrap();
    app.end_of(order).await
}

async fn pod_names(app: &App) -> BTreeSet<String> {
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    let pods = pods.list(&ListParams::default()).await.unwrap().items.into_iter();
    pods.filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| pod.metadata.name)
        .collect()
}

async fn a_restart_replaces_every_pod_and_the_history_stays_as_it_is(app: App) {
    let application = app.create("web", 3).await;
    let (before, history) = (spec(&app).await, app.service.history(application).await.unwrap());
    let watch = app.watch("web").await;
    let mut names = pod_names(&app).await;
    for _ in 0..2 {
        let order = restart(&app, application).await;
        assert_eq!(
            (order.state, order.kind, order.image.as_str()),
            (State::Succeeded, Kind::Restart, OLD),
            "{order:#?}"
        );
        pods_are(&watch, &[(OLD, 3)]).await;
        let now = pod_names(&app).await;
        assert!(now.len() == 3 && now.is_disjoint(&names), "{now:?} after {names:?}");
        assert_eq!(now, order.batches[0].pods.iter().map(|pod| pod.name.clone()).collect());
        names = now;
    }
    assert!(watch.end().iter().all(|sample| sample.ready >= 3), "no pod went missing");
    let now = spec(&app).await;
    assert_eq!(
        DeploymentSpec { template: before.template.clone(), paused: before.paused, ..now },
        before
    );
    assert_eq!(
        app.service.history(application).await.unwrap(),
        history,
        "no version came, and none changed"
    );

    // A release that fails goes back to the pods that were restarted; the version of
    // the history is still exactly what it was first.
    let failed =
        app.deploy(application, "shop/web:2.0--image-pull-error", Strategy::ALL_AT_ONCE).await;
    let failed = app.end_of(failed).await;
    assert_eq!(app.end_of(failed.rolled_back_by.unwrap()).await.state, State::Succeeded);
    assert_eq!(pod_names(&app).await, names);
    let released = app.deploy(application, NEW, Strategy::ALL_AT_ONCE).await;
    assert_eq!(app.end_of(released).await.state, State::Succeeded);
    assert!(
        !format!("{:?}", spec(&app).await.template).contains("restarted-at"),
        "a release is a version of its own"
    );
    let back = RollBackTo {
        application,
        version: history[0].version.clone(),
        batches: None,
        wait_minutes: None,
    };
    let back = app.service.roll_back_to(&caller(), back).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    assert_eq!(spec(&app).await.template, before.template);
}

/// The image is there no more by now: pods of the same version cannot start any more.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_restart_that_fails_goes_back_by_itself(pool: PgPool) {
    let app = App::start(pool).await;
    let application = app.create("web", 2).await;
    let (before, names) = (spec(&app).await, pod_names(&app).await);
    let watch = app.watch("web").await;
    app.simulation.as_ref().unwrap().set_behaviour(OLD, Behaviour::ImagePullError, false);
    let order = restart(&app, application).await;
    assert!(order.state == State::Failed && order.message.contains("ErrImagePull"), "{order:#?}");
    let back = app.end_of(order.rolled_back_by.expect("it goes back")).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    assert_eq!((pod_names(&app).await, spec(&app).await.template), (names, before.template));
    assert!(watch.end().iter().all(|sample| sample.ready == 2));
}

async fn a_restart_is_taken_back_while_it_runs(app: App) {
    let application = app.create("web", 4).await;
    let before = spec(&app).await;
    let watch = app.watch("web").await;
    let order = app.service.restart(&caller(), application, None).await.unwrap();
    eventually(
        async || if watch.now().of(OLD) > 4 { Ok(()) } else { Err(format!("{:?}", watch.now())) },
    )
    .await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    pods_are(&watch, &[(OLD, 4)]).await;
    assert_eq!(spec(&app).await.template, before.template);
    assert!(watch.end().iter().all(|sample| sample.ready >= 4));
}

async fn a_restart_where_a_release_rests_half_way_brings_the_version_before(app: App) {
    let application = app.create("web", 4).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, NEW, manual(2)).await;
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    app.service.abort(&caller(), order).await.unwrap();
    let names = pod_names(&app).await;
    let order = restart(&app, application).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    pods_are(&watch, &[(OLD, 4)]).await;
    assert!(pod_names(&app).await.is_disjoint(&names));
    assert_eq!(stop(&app, application).await.state, State::Succeeded);
    let refused = app.service.restart(&caller(), application, None).await.unwrap_err().to_string();
    assert!(refused.contains("is stopped") && refused.contains("start it instead"), "{refused}");
}
