//! A Deployment that somebody else made becomes an application, and nothing of it
//! changes before its first release.

use domain::order::{Kind, State};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::PostParams;
use serde_json::json;
use service::{Adopt, RollBackTo};
use sqlx::PgPool;

use crate::support::{
    App, CLUSTER, batches, caller, creation, eventually, manual, on_both_clusters,
};

on_both_clusters!(
    an_adopted_deployment_stays_as_it_is_and_is_released_and_taken_back_exactly,
    creating_an_application_whose_deployment_is_there_adopts_it,
    what_is_not_there_or_taken_cannot_be_adopted,
    an_adopted_deployment_is_deleted_with_its_application_before_anything_was_written_to_it,
    a_deployment_that_was_let_go_runs_on_and_is_adopted_released_and_deleted_again,
    a_deployment_with_borrowed_settings_is_not_let_go,
);

/// A Deployment with settings of its own and a container that does not bear its name.
async fn foreign(app: &App) -> Deployment {
    let label = json!({ "app.kubernetes.io/name": "web" });
    let deployment = json!({
        "metadata": { "name": "web", "labels": { "team": "shop" } },
        "spec": {
            "replicas": 4, "minReadySeconds": 1, "revisionHistoryLimit": 3,
            "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": "50%", "maxUnavailable": 1 } },
            "selector": { "matchLabels": label },
            "template": { "metadata": { "labels": label }, "spec": { "containers": [
                { "name": "main", "image": "shop/web:1.0", "env": [{ "name": "OWN", "value": "1" }] },
            ] } },
        },
    });
    app.deployments()
        .create(&PostParams::default(), &serde_json::from_value(deployment).unwrap())
        .await
        .unwrap();
    eventually(async || {
        let found = app.deployments().get("web").await.unwrap();
        let ready = found.status.as_ref().and_then(|status| status.available_replicas);
        if ready == Some(4) { Ok(found) } else { Err(format!("{ready:?}")) }
    })
    .await
}

fn adoption(app: &App, name: &str) -> Adopt {
    Adopt {
        name: name.into(),
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        logical_region: None,
        description: String::new(),
        version: Some("as found".into()),
        container: None,
    }
}

async fn an_adopted_deployment_stays_as_it_is_and_is_released_and_taken_back_exactly(app: App) {
    let before = foreign(&app).await;
    let (application, order) = eventually(async || {
        app.service.adopt(&caller(), adoption(&app, "web")).await.map_err(|why| why.to_string())
    })
    .await;
    let order = app.service.order(order).await.unwrap();
    assert_eq!((order.kind, order.state), (Kind::Create, State::Succeeded), "{order:#?}");
    assert!(order.message.contains("adopted the Deployment web as it runs"), "{}", order.message);
    let after = app.deployments().get("web").await.unwrap();
    assert_eq!(
        (&after.metadata.resource_version, &after.spec),
        (&before.metadata.resource_version, &before.spec),
        "nothing was written"
    );
    let history = app.service.history(application).await.unwrap();
    assert_eq!(
        history.iter().map(|it| (it.version.as_str(), it.image.as_str())).collect::<Vec<_>>(),
        [("as found", "shop/web:1.0")]
    );

    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0", batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let released = app.deployments().get("web").await.unwrap();
    let mut expected = before.spec.clone().unwrap();
    expected.template = released.spec.clone().unwrap().template;
    assert_eq!(released.spec.as_ref(), Some(&expected), "only the template is another one");
    assert_eq!(released.metadata.uid, before.metadata.uid);
    let container = &expected.template.spec.as_ref().unwrap().containers[0];
    assert_eq!(
        (container.name.as_str(), container.image.as_deref()),
        ("main", Some("shop/web:2.0"))
    );

    let first =
        RollBackTo { application, version: "as found".into(), batches: None, wait_minutes: None };
    let order = app.service.roll_back_to(&caller(), first).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(
        app.deployments().get("web").await.unwrap().spec,
        before.spec,
        "exactly as it was found"
    );
    assert!(watch.end().iter().all(|sample| sample.ready >= 4));
}

async fn creating_an_application_whose_deployment_is_there_adopts_it(app: App) {
    let before = foreign(&app).await;
    let request = creation(&app.namespace, "web", 9);
    // Until the executor has seen it, too, the API server's refusal is told.
    let (application, order) = eventually(async || {
        app.service
            .create_application(&caller(), request.clone())
            .await
            .map_err(|why| why.to_string())
    })
    .await;
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert!(order.message.contains("adopted"), "{}", order.message);
    assert_eq!(app.service.application(application).await.unwrap().replicas, 4);
    let after = app.deployments().get("web").await.unwrap();
    assert_eq!(
        after.metadata.resource_version, before.metadata.resource_version,
        "nothing was written"
    );
}

async fn what_is_not_there_or_taken_cannot_be_adopted(app: App) {
    let why = app.service.adopt(&caller(), adoption(&app, "nobody")).await.unwrap_err().to_string();
    assert!(
        why.contains("application's name has the value nobody")
            && why.contains("no such Deployment"),
        "{why}"
    );
    app.create("web", 1).await;
    let why = app.service.adopt(&caller(), adoption(&app, "web")).await.unwrap_err().to_string();
    assert!(why.contains("exists already"), "{why}");
    assert_eq!(app.service.applications(None).await.unwrap().len(), 1);
}

async fn an_adopted_deployment_is_deleted_with_its_application_before_anything_was_written_to_it(
    app: App,
) {
    foreign(&app).await;
    let adopted = async || {
        app.service.adopt(&caller(), adoption(&app, "web")).await.map_err(|why| why.to_string())
    };
    let (application, _) = eventually(adopted).await;
    let order = app.service.delete(&caller(), application).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    assert!(app.deployments().get_opt("web").await.unwrap().is_none());
    assert!(app.service.applications(None).await.unwrap().is_empty());
}

async fn a_deployment_that_was_let_go_runs_on_and_is_adopted_released_and_deleted_again(app: App) {
    let application = app.create("web", 2).await;
    let adopt_again = async || {
        let (application, _) = eventually(async || {
            app.service.adopt(&caller(), adoption(&app, "web")).await.map_err(|why| why.to_string())
        })
        .await;
        application
    };
    let seen = async || app.deployments().get("web").await.unwrap();
    let before = seen().await;
    let order = app.service.forget(&caller(), application).await.unwrap();
    let order = app.service.order(order).await.unwrap();
    assert_eq!((order.kind, order.state), (Kind::Delete, State::Succeeded), "{order:#?}");
    assert!(app.service.application(application).await.is_err(), "the application is no more");
    let again = adopt_again().await;
    assert_eq!(
        (seen().await.spec, seen().await.metadata.uid),
        (before.spec.clone(), before.metadata.uid.clone())
    );

    let order = app.deploy(again, "shop/web:2.0", batches(2)).await;
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    app.service.forget(&caller(), again).await.unwrap();
    // Nothing was written for this one: the Deployment still says that it is the one before.
    let last = adopt_again().await;
    let order = app.service.delete(&caller(), last).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert!(app.deployments().get_opt("web").await.unwrap().is_none(), "{order:#?}");
}

async fn a_deployment_with_borrowed_settings_is_not_let_go(app: App) {
    let application = app.create("web", 2).await;
    let order = app.deploy(application, "shop/web:2.0", manual(2)).await;
    let refused = app.service.forget(&caller(), application).await.unwrap_err().to_string();
    assert!(refused.contains("is still running"), "{refused}");
    app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    app.service.abort(&caller(), order).await.unwrap();
    let refused = app.service.forget(&caller(), application).await.unwrap_err().to_string();
    assert!(refused.contains("rests half way"), "{refused}");
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    assert_eq!(app.end_of(back).await.state, State::Succeeded);
    app.service.forget(&caller(), application).await.unwrap();
}
