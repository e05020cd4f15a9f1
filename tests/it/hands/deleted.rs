//! Somebody deletes the Deployment while no order is open: that is told within seconds, and a
//! version of the history creates it again, because a person asks for it and never by itself.

use ::simulated::Behaviour;
use service::RollBackTo;

use super::*;
use crate::{
    sign::{Key, Unsigned},
    support::{by_hand, server::Server},
};

on_both_clusters!(
    a_deployment_that_is_deleted_without_an_order_is_told_and_a_version_creates_it_again,
    a_deployment_that_went_while_nobody_looked_is_missed_once_somebody_looks,
    the_deployment_of_an_adopted_application_is_left_to_whoever_made_it,
    what_was_accepted_before_the_deployment_was_deleted_does_not_create_it_again,
);

/// What EDAS' operations say of the application: state, wanted and Ready instances.
async fn said(server: &Server, application: ApplicationId) -> (String, [i64; 4]) {
    let id = application.to_string();
    let list = call(server, ("POST", "/pop/v5/app/app_list"), &[]).await;
    let listed = list["ApplicationList"]["Application"][0].clone();
    let status = call(server, ("GET", "/pop/v5/app/app_status"), &[("AppId", &id)]).await;
    let status = status["AppInfo"]["Application"].clone();
    let numbers = [
        &listed["Instances"],
        &listed["RunningInstanceCount"],
        &status["InstanceCount"],
        &status["RunningInstanceCount"],
    ];
    let numbers = numbers.map(|it| it.as_i64().unwrap_or_else(|| panic!("{list} {status}")));
    (listed["State"].as_str().unwrap().to_owned(), numbers)
}

async fn call(server: &Server, (method, path): (&str, &str), parameters: &[(&str, &str)]) -> Value {
    let (nonce, date) = (OrderId::new().to_string(), server.app.clock.now());
    let signed = Unsigned { method, path, parameters, date, nonce: Some(&nonce) }
        .acs3(Key { id: "the-key", secret: &server.secret });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}{}", server.endpoint, signed.target);
    let mut request = client.request(method.parse().unwrap(), url);
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    let reply = request.send().await.unwrap().bytes().await.unwrap();
    serde_json::from_slice(&reply).unwrap()
}

async fn delete(app: &App) {
    app.deployments().delete("web", &DeleteParams::background()).await.unwrap();
    is_gone(app).await;
}

async fn is_gone(app: &App) {
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let there = app.deployments().get_opt("web").await.unwrap().is_some();
        let pods = pods.list(&ListParams::default()).await.unwrap().items.len();
        if there || pods > 0 { Err(format!("{there} {pods}")) } else { Ok(()) }
    })
    .await;
}

async fn is_missed(app: &App, application: ApplicationId) {
    eventually(async || {
        let now = app.service.application(application).await.unwrap();
        let is_so = now.deployment_missing && now.ready_replicas == 0;
        if is_so { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

/// A release of the version that a release gave this name.
async fn go_back_to(
    app: &App,
    application: ApplicationId,
    version: &str,
    batches: i32,
) -> Result<OrderId, String> {
    let version = version.to_owned();
    let request = RollBackTo { application, version, batches: Some(batches), wait_minutes: None };
    app.service.roll_back_to(&caller(), request).await.map_err(|why| why.to_string())
}

/// A release of an image as the version of this name.
async fn version(app: &App, application: ApplicationId, image: &str, name: &str) {
    let request =
        service::Deploy { version: Some(name.into()), ..release(application, image, batches(2)) };
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

async fn a_deployment_that_is_deleted_without_an_order_is_told_and_a_version_creates_it_again(
    app: App,
) {
    let application = app.create("web", 4).await;
    version(&app, application, NEW, "two").await;
    version(&app, application, "shop/web:3.0", "three").await;
    let server = Server::on(app).await;
    let app = &server.app;
    eventually(async || {
        let said = said(&server, application).await;
        if said == ("RUNNING".into(), [4; 4]) { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
    delete(app).await;
    eventually(async || {
        let said = said(&server, application).await;
        if said == ("STOPPED".into(), [4, 0, 4, 0]) { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
    // Another version builds on what runs, and nothing does: the way out is named.
    let refused = app
        .service
        .deploy(&caller(), release(application, "shop/web:4.0", batches(2)))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("release a version of the history"), "{refused}");
    let order = go_back_to(app, application, "two", 2).await.unwrap();
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let states: Vec<State> = done.batches.iter().map(|batch| batch.state).collect();
    assert_eq!(states, [State::Succeeded; 2]);
    let watch = app.watch("web").await;
    has_pods(&watch, NEW, 4).await;
    eventually(async || {
        let said = said(&server, application).await;
        if said == ("RUNNING".into(), [4; 4]) { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
    // It is released as ever, and goes back as ever.
    let order = app.deploy(application, "shop/web:5.0", batches(2)).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    has_pods(&watch, NEW, 4).await;
    assert_eq!(spec(app).await["strategy"]["rollingUpdate"]["maxSurge"], "25%");
}

async fn a_deployment_that_went_while_nobody_looked_is_missed_once_somebody_looks(mut app: App) {
    let application = app.create("web", 2).await;
    app.stop_executor().await;
    delete(&app).await;
    app.start_executor(Duration::from_secs(2));
    is_missed(&app, application).await;
    assert_eq!(app.service.application(application).await.unwrap().replicas, 2);
}

async fn what_was_accepted_before_the_deployment_was_deleted_does_not_create_it_again(
    mut app: App,
) {
    let application = app.create("web", 2).await;
    version(&app, application, NEW, "two").await;
    version(&app, application, "shop/web:3.0", "three").await;
    app.stop_executor().await;
    let order = go_back_to(&app, application, "two", 1).await.unwrap();
    delete(&app).await;
    app.start_executor(Duration::from_secs(2));
    let failed = app.end_of(order).await;
    assert_eq!((failed.state, failed.rolled_back_by), (State::Failed, None), "{failed:#?}");
    assert!(failed.message.contains("does not exist"), "{}", failed.message);
    assert!(app.deployments().get_opt("web").await.unwrap().is_none());
}

/// Only the simulated cluster can change its mind about an image.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_version_that_does_not_run_any_more_leaves_the_deployment_that_it_created(pool: PgPool) {
    let app = App::start(pool).await;
    let application = app.create("web", 2).await;
    version(&app, application, NEW, "two").await;
    delete(&app).await;
    is_missed(&app, application).await;
    app.simulation.as_ref().unwrap().set_behaviour(NEW, Behaviour::NeverReady, false);
    let released = app.service.current_spec(application).await.unwrap().release.unwrap();
    let mut request = release(application, NEW, batches(1));
    (request.release, request.spec) = (Some(released.id), Default::default());
    request.batch_timeout_seconds = Some(2);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let failed = app.end_of(order).await;
    // There is no version to go back to: nothing is rolled back.
    assert_eq!((failed.state, failed.rolled_back_by), (State::Failed, None), "{failed:#?}");
    assert_eq!(spec(&app).await["template"]["spec"]["containers"][0]["image"], NEW);
    let order = app.deploy(application, "shop/web:3.0", batches(2)).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
}

async fn the_deployment_of_an_adopted_application_is_left_to_whoever_made_it(app: App) {
    let application = by_hand::adopted(&app, "web", 2, json!({})).await;
    version(&app, application, NEW, "two").await;
    delete(&app).await;
    is_missed(&app, application).await;
    let refused = go_back_to(&app, application, "two", 1).await.unwrap_err();
    assert!(refused.contains("does not exist") && refused.contains("it was adopted"), "{refused}");
    assert!(app.deployments().get_opt("web").await.unwrap().is_none());
    // Whoever made it makes it again: it is the application's as before.
    by_hand::foreign(&app, "web", 2, json!({})).await;
    eventually(async || {
        let now = app.service.application(application).await.unwrap();
        let is_back = !now.deployment_missing && now.ready_replicas == 2;
        if is_back { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    version(&app, application, "shop/web:3.0", "three").await;
}
