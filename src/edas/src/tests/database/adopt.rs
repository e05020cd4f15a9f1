//! Signed calls that take over a Deployment that is there already.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, api::PostParams};
use serde_json::json;

use super::{reading::Live, *};

const CONVERT: &str = "/pop/v5/oam/k8s_resource_convert";
const LIST: &str = "/pop/v5/app/app_list";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_is_converted_as_it_runs(pool: PgPool) {
    let live = Live::start(pool).await;
    let label = json!({ "app": "shop" });
    let theirs = json!({ "metadata": { "name": "shop" }, "spec": {
        "replicas": 2, "selector": { "matchLabels": label },
        "template": { "metadata": { "labels": label }, "spec": { "containers": [{ "name": "main", "image": "shop/web:1.0" }] } } } });
    let api: Api<Deployment> = Api::namespaced(live.client(), "default");
    let before =
        api.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();

    let named = |name| {
        [
            ("ClusterId", "default"),
            ("Namespace", "default"),
            ("ResourceType", "Deployment"),
            ("ResourceName", name),
        ]
    };
    let refused = live.server.call("POST", CONVERT, &named("other")).await;
    let message = refused["Message"].as_str().unwrap();
    assert!(
        refused["Code"] == 601
            && message.starts_with("parameter ResourceName has the value other: there is no such"),
        "{refused:?}"
    );

    let parameters = named("shop");
    let reply = live.until("POST", CONVERT, &parameters, |reply| reply["Code"] == 200).await;
    shape::check("ConvertK8sResource", &reply);
    let listed: Value = live.server.call("POST", LIST, &[("AppName", "shop")]).await.into();
    let shop = &listed["ApplicationList"]["Application"][0];
    assert_eq!((&shop["Name"], &shop["Instances"]), (&json!("shop"), &json!(2)), "{listed:#}");
    assert_eq!(api.get("shop").await.unwrap().spec, before.spec, "nothing of it was written");
    let again = live.server.call("POST", CONVERT, &parameters).await;
    assert!(
        again["Code"] == 601 && again["Message"].as_str().unwrap().contains("shop exists already"),
        "{again:?}"
    );
}
