//! The Deployment is ahead of the database, since that was restored from a backup or somebody
//! edited the annotation; and two installations of Sluice on one Deployment.

mod drill;

use domain::{OrderId, order::State};
use kube::{
    ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{App, CLUSTER, caller, eventually, manual, on_both_clusters};

const NEW: &str = "shop/web:2.0";

on_both_clusters!(
    a_fencing_token_ahead_of_the_database_is_made_good_at_once,
    a_fencing_token_that_nobody_can_have_given_out_is_written_over,
    an_order_older_than_one_that_the_database_does_not_know_leaves_the_deployment_alone,
    a_deployment_of_another_installation_is_left_alone_and_the_order_says_whose_it_is,
);

async fn annotate(app: &App, annotations: serde_json::Value) {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    app.deployments().patch("web", &PatchParams::default(), &patch).await.unwrap();
}

async fn fence(app: &App) -> i64 {
    let now = app.deployments().get("web").await.unwrap();
    now.annotations()["sluice.dev/fence"].parse().unwrap()
}

/// A release of four pods whose first batch of two is done.
async fn resting(app: &App) -> (domain::ApplicationId, OrderId) {
    let application = app.create("web", 4).await;
    let order = app.deploy(application, NEW, manual(2)).await;
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    (application, order)
}

async fn ends_well(app: &App, order: OrderId) {
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

async fn a_fencing_token_ahead_of_the_database_is_made_good_at_once(app: App) {
    let (application, order) = resting(&app).await;
    let ahead = fence(&app).await + 1_000_000;
    annotate(&app, json!({ "sluice.dev/fence": ahead.to_string() })).await;
    app.confirm(order, 2).await;
    ends_well(&app, order).await;
    assert!(fence(&app).await > ahead, "every later token is newer than the one that was found");
    ends_well(&app, app.deploy(application, "shop/web:3.0", manual(1)).await).await;
}

async fn a_fencing_token_that_nobody_can_have_given_out_is_written_over(app: App) {
    for token in [i64::MAX.to_string(), "-7".into(), "seven".into(), String::new()] {
        let name = format!("{token:?}");
        if app.deployments().get_opt("web").await.unwrap().is_none() {
            app.create("web", 2).await;
        }
        annotate(&app, json!({ "sluice.dev/fence": token })).await;
        let application = app.service.applications(None).await.unwrap()[0].id;
        let order = app.deploy(application, &format!("shop/web:{}", name.len()), manual(1)).await;
        ends_well(&app, order).await;
        assert!(fence(&app).await < 1_000_000_000, "{name}");
    }
}

async fn an_order_older_than_one_that_the_database_does_not_know_leaves_the_deployment_alone(
    mut app: App,
) {
    let (application, order) = resting(&app).await;
    let unknown = OrderId::new();
    let ahead = (fence(&app).await + 50).to_string();
    annotate(&app, json!({ "sluice.dev/fence": ahead, "sluice.dev/order": unknown.to_string() }))
        .await;
    // Whoever looked at it meanwhile may have ended it.
    let next = app.service.order(order).await.unwrap().batches[1].id;
    let _ = app.service.confirm(&caller(), next, true).await;
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    let says = ended.message.contains(&unknown.to_string())
        && ended.message.contains("restored from an older backup");
    assert!(says, "{}", ended.message);
    assert_eq!(fence(&app).await.to_string(), ahead, "nothing was written");
    // Whoever starts now lists it.
    app.crash();
    let moved = eventually(async || {
        let moved = app.store.moved_on(&CLUSTER.into()).await.unwrap();
        let ours = moved.into_iter().find(|it| it.namespace == app.namespace);
        ours.ok_or_else(|| "nothing moved on".to_owned())
    })
    .await;
    assert_eq!((moved.order, moved.name.as_str(), moved.image.as_str()), (unknown, "web", NEW));
    // What a person orders since then is that person's choice. It waits first, as after any
    // rollout that is not done.
    let order = app.deploy(application, "shop/web:3.0", manual(1)).await;
    app.clock.advance(domain::rollout::EARLIER_ROLLOUT_SECONDS);
    ends_well(&app, order).await;
    let moved = app.store.moved_on(&CLUSTER.into()).await.unwrap();
    assert!(moved.iter().all(|it| it.namespace != app.namespace), "it is taken up");
}

async fn a_deployment_of_another_installation_is_left_alone_and_the_order_says_whose_it_is(
    app: App,
) {
    let application = app.create("web", 2).await;
    let ours = app.store.installation().await.unwrap().to_string();
    let now = app.deployments().get("web").await.unwrap();
    assert_eq!(now.annotations()["sluice.dev/installation"], ours);
    annotate(&app, json!({ "sluice.dev/installation": "another" })).await;
    let before = app.deployments().get("web").await.unwrap();
    let order = app.deploy(application, NEW, manual(2)).await;
    let ended = app.end_of(order).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    assert!(ended.message.contains("another installation of Sluice, another"), "{ended:#?}");
    let after = app.deployments().get("web").await.unwrap();
    assert_eq!(
        (after.spec, after.metadata.annotations),
        (before.spec, before.metadata.annotations)
    );
    // That one is gone for good, a person says.
    annotate(&app, json!({ "sluice.dev/installation": null })).await;
    ends_well(&app, app.deploy(application, NEW, manual(1)).await).await;
}
