//! A Deployment's whole text, as `kubectl get` shows it, edited and sent back: a change
//! order like others. Each check runs on the simulated cluster and on a real control plane.

use domain::{
    OrderId,
    order::{Kind, State},
};
use serde_json::{Value, json};
use service::EditDeployment;
use sqlx::PgPool;

use crate::support::{App, CLUSTER, caller, eventually, manual, on_both_clusters};

on_both_clusters!(
    an_edited_text_is_released_exactly_and_goes_into_the_history,
    an_edited_text_that_fails_is_taken_back,
    an_edited_text_ends_a_release_that_rests_half_way,
    a_text_that_the_cluster_would_refuse_is_refused_before,
);

const OLD: &str = "shop/web:1.0";

async fn text(app: &App) -> Value {
    let mut text = serde_json::to_value(app.deployments().get("web").await.unwrap()).unwrap();
    text["apiVersion"] = json!("apps/v1");
    text["kind"] = json!("Deployment");
    text
}

async fn sent(app: &App, wanted: Value) -> Result<Option<OrderId>, String> {
    let request = EditDeployment {
        cluster: Some(CLUSTER.into()),
        namespace: Some(app.namespace.clone()),
        wanted,
    };
    app.service.edit_deployment(&caller(), request).await.map_err(|error| error.to_string())
}

fn with_image(mut text: Value, image: &str) -> Value {
    text["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image);
    text
}

async fn an_edited_text_is_released_exactly_and_goes_into_the_history(app: App) {
    let application = app.create("web", 3).await;
    let before = text(&app).await;
    assert_eq!(sent(&app, before.clone()).await, Ok(None), "nothing is other");

    let mut edited = with_image(before.clone(), "shop/web:2.0");
    edited["spec"]["template"]["spec"]["hostAliases"] =
        json!([{ "ip": "10.0.0.9", "hostnames": ["db"] }]);
    edited["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = json!(7);
    let watch = app.watch("web").await;
    let order = app.end_of(sent(&app, edited.clone()).await.unwrap().unwrap()).await;
    assert_eq!((order.state, order.kind), (State::Succeeded, Kind::Deploy), "{order:#?}");
    let made = text(&app).await;
    let pods = |text: &Value| text["spec"]["template"]["spec"].clone();
    assert_eq!(pods(&made), pods(&edited));
    assert_eq!(made["metadata"]["uid"], before["metadata"]["uid"]);
    for field in ["strategy", "selector", "replicas", "progressDeadlineSeconds"] {
        assert_eq!(made["spec"][field], before["spec"][field], "{field}");
    }
    assert!(watch.end().iter().all(|sample| sample.ready >= 3), "never fewer than were asked for");
    assert_eq!(app.service.history(application).await.unwrap().len(), 2);
    // With what the API server filled in, and what `kubectl get` showed before: an older mark.
    assert_eq!(sent(&app, edited).await, Ok(None));

    let mut scaled = made;
    scaled["spec"]["replicas"] = json!(5);
    let order = app.end_of(sent(&app, scaled).await.unwrap().unwrap()).await;
    assert_eq!(
        (order.state, order.kind, order.replicas),
        (State::Succeeded, Kind::Scale, Some(5)),
        "{order:#?}"
    );
}

async fn an_edited_text_that_fails_is_taken_back(app: App) {
    app.create("web", 2).await;
    let before = text(&app).await;
    let bad = with_image(before.clone(), "shop/web:2.0--image-pull-error");
    let order = app.end_of(sent(&app, bad).await.unwrap().unwrap()).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let back = app.end_of(order.rolled_back_by.unwrap()).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    assert_eq!(text(&app).await["spec"]["template"], before["spec"]["template"]);
}

async fn an_edited_text_ends_a_release_that_rests_half_way(app: App) {
    let application = app.create("web", 4).await;
    let own = text(&app).await["spec"].clone();
    let half = app.deploy(application, "shop/web:2.0", manual(2)).await;
    app.order_when(half, |order| order.state == State::WaitingConfirmation).await;
    let refused = sent(&app, with_image(text(&app).await, "shop/web:3.0")).await.unwrap_err();
    assert!(refused.contains("is still running"), "{refused}");
    app.service.abort(&caller(), half).await.unwrap();
    app.end_of(half).await;

    // What is read now has the settings that are borrowed.
    let resting = eventually(async || {
        let text = text(&app).await;
        let rests = text["spec"]["paused"] == true
            && text["spec"]["progressDeadlineSeconds"] == own["progressDeadlineSeconds"];
        if rests && text["spec"]["strategy"] != own["strategy"] {
            Ok(text)
        } else {
            Err(text["spec"].to_string())
        }
    })
    .await;
    let order =
        app.end_of(sent(&app, with_image(resting, "shop/web:3.0")).await.unwrap().unwrap()).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let made = text(&app).await["spec"].clone();
    for field in ["strategy", "minReadySeconds", "progressDeadlineSeconds", "paused", "replicas"] {
        assert_eq!(made[field], own[field], "{field}");
    }
    assert_eq!(made["template"]["spec"]["containers"][0]["image"], "shop/web:3.0");
}

async fn a_text_that_the_cluster_would_refuse_is_refused_before(app: App) {
    app.create("web", 1).await;
    let before = text(&app).await;
    let mut wrong = with_image(before.clone(), "shop/web:2.0");
    wrong["spec"]["template"]["spec"]["containers"][0]["ports"] =
        json!([{ "containerPort": 99_999 }]);
    let why = sent(&app, wrong).await.unwrap_err();
    assert!(why.starts_with("it cannot work: ") && why.contains("containerPort"), "{why}");
    // The API server quotes what it cannot read, with its passwords; this server does not.
    let secret = json!([{ "name": "PASSWORD", "value": "geheim" }]);
    for (field, value, says) in
        [("imagePullPolcy", json!("Always"), "unknown field"), ("args", json!("one"), "args")]
    {
        let mut odd = with_image(before.clone(), "shop/web:2.0");
        odd["spec"]["template"]["spec"]["containers"][0]["env"] = secret.clone();
        odd["spec"]["template"]["spec"]["containers"][0][field] = value;
        if app.simulation.is_none() {
            let why = sent(&app, odd).await.unwrap_err();
            assert!(
                why.starts_with("it cannot work: ") && why.contains(says) && why.len() < 500,
                "{why}"
            );
            assert!(!why.contains("geheim"), "{why}");
        }
    }
    assert_eq!(text(&app).await["spec"], before["spec"]);
    assert_eq!(before["spec"]["template"]["spec"]["containers"][0]["image"], OLD);
}
