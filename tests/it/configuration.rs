//! What is written beside an application: ConfigMaps, Secrets, and the autoscaler that
//! a scaling rule is while it is enabled.

use std::collections::BTreeMap;

use domain::{
    object::{
        autoscaling::{Resource, Trigger},
        config_data::Held,
        write::ObjectKind,
    },
    template::spec::Field,
};
use k8s_openapi::api::{
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, Secret},
};
use kube::{Api, api::PostParams};
use serde_json::json;
use service::{Config, Range, RuleUpdate};
use sqlx::PgPool;

use crate::support::{App, CLUSTER, batches, caller, on_both_clusters};

on_both_clusters!(
    config_maps_and_secrets_are_written_and_those_of_others_stay,
    a_rule_is_an_autoscaler_while_it_is_enabled_and_stays_through_a_release,
);

fn config(app: &App, name: &str, held: Held) -> Config {
    Config { cluster: CLUSTER.into(), namespace: app.namespace.clone(), name: name.into(), held }
}

async fn config_maps_and_secrets_are_written_and_those_of_others_stay(app: App) {
    let maps: Api<ConfigMap> = Api::namespaced(app.client.clone(), &app.namespace);
    let secrets: Api<Secret> = Api::namespaced(app.client.clone(), &app.namespace);
    let texts =
        |value: &str| Held::Texts(BTreeMap::from([("application.yaml".into(), value.into())]));
    app.service.create_config(&caller(), config(&app, "shop", texts("port: 80"))).await.unwrap();
    app.service.change_config(&caller(), config(&app, "shop", texts("port: 81"))).await.unwrap();
    assert_eq!(maps.get("shop").await.unwrap().data.unwrap()["application.yaml"], "port: 81");

    let values = BTreeMap::from([("password".into(), "Z2VoZWlt".into())]);
    app.service
        .create_config(&caller(), config(&app, "shop", Held::Secret(None, values)))
        .await
        .unwrap();
    let written = secrets.get("shop").await.unwrap();
    assert_eq!(
        (written.type_.as_deref(), &written.data.unwrap()["password"].0[..]),
        (Some("Opaque"), &b"geheim"[..])
    );

    let theirs = json!({ "metadata": { "name": "theirs" }, "data": { "a": "b" } });
    maps.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    for refused in [
        app.service.change_config(&caller(), config(&app, "theirs", texts("x"))).await,
        app.service
            .delete_config(&caller(), ObjectKind::ConfigMap, (CLUSTER, &app.namespace, "theirs"))
            .await,
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("theirs"), "{refused}");
    }
    assert_eq!(maps.get("theirs").await.unwrap().data.unwrap()["a"], "b");

    app.service
        .delete_config(&caller(), ObjectKind::ConfigMap, (CLUSTER, &app.namespace, "shop"))
        .await
        .unwrap();
    app.service
        .delete_config(&caller(), ObjectKind::Secret, (CLUSTER, &app.namespace, "shop"))
        .await
        .unwrap();
    assert!(
        maps.get_opt("shop").await.unwrap().is_none()
            && secrets.get_opt("shop").await.unwrap().is_none()
    );
}

async fn a_rule_is_an_autoscaler_while_it_is_enabled_and_stays_through_a_release(app: App) {
    let application = app.create("web", 2).await;
    let autoscalers: Api<HorizontalPodAutoscaler> =
        Api::namespaced(app.client.clone(), &app.namespace);
    let range = Range {
        input: domain::Input::RuleTrigger,
        min_replicas: 2,
        max_replicas: 4,
        triggers: vec![Trigger { name: "cpu".into(), resource: Resource::Cpu, percent: 60 }],
    };
    let update = RuleUpdate {
        application,
        name: "busy".into(),
        range: Some(range),
        behaviour: Field::Keep,
        enabled: None,
    };
    app.service.create_rule(&caller(), update).await.unwrap();
    let made = autoscalers.get("web-busy").await.unwrap();
    let spec = made.spec.unwrap();
    assert_eq!(
        (spec.min_replicas, spec.max_replicas, spec.scale_target_ref.name.as_str()),
        (Some(2), 4, "web")
    );

    let order = app.deploy(application, "shop/web:2.0", batches(2)).await;
    let order = app.end_of(order).await;
    assert_eq!(order.message, "", "{order:#?}");
    assert_eq!(autoscalers.get("web-busy").await.unwrap().metadata.uid, made.metadata.uid);

    app.service.switch_rule(&caller(), application, "busy".into(), false).await.unwrap();
    assert!(
        autoscalers
            .get_opt("web-busy")
            .await
            .unwrap()
            .is_none_or(|it| it.metadata.deletion_timestamp.is_some())
    );
    app.service.switch_rule(&caller(), application, "busy".into(), true).await.unwrap();
    app.service.delete_rule(&caller(), application, "busy").await.unwrap();
    assert!(
        autoscalers
            .get_opt("web-busy")
            .await
            .unwrap()
            .is_none_or(|it| it.metadata.deletion_timestamp.is_some())
    );
    assert!(app.service.rules(application).await.unwrap().is_empty());
}
