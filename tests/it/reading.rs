//! What is told of an application by looking at the cluster: its Deployment and its
//! pods as they are, and nothing of others.

use domain::observed::cluster_state::PodHealth;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{App, eventually, on_both_clusters};
use domain::template::names::APPLICATION_LABEL;

on_both_clusters!(pods_are_told_as_they_are_and_none_of_others);

async fn pods_are_told_as_they_are_and_none_of_others(app: App) {
    let application = app.create("web", 2).await;
    app.create("other", 1).await;
    // One that has the labels, but that nobody made for the Deployment.
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    let stray = json!({
        "metadata": { "name": "stray", "labels": { APPLICATION_LABEL: application.to_string() } },
        "spec": { "containers": [{ "name": "c", "image": "shop/web:1.0" }] },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(stray).unwrap()).await.unwrap();

    let release = app.store.application(application).await.unwrap().release;
    let instances = eventually(async || {
        let found = app.service.instances(application, true, true).await.unwrap();
        if found.len() == 2 && found.iter().all(|it| it.pod.health() == PodHealth::Ready) {
            Ok(found)
        } else {
            Err(format!("{found:#?}"))
        }
    })
    .await;
    for instance in &instances {
        let pod = pods.get(&instance.pod.name).await.unwrap();
        let (spec, status) = (pod.spec.unwrap(), pod.status.unwrap());
        assert_eq!(
            (Some(&instance.pod.node), Some(&instance.pod.ip)),
            (spec.node_name.as_ref(), status.pod_ip.as_ref())
        );
        assert_eq!(instance.pod.release, release);
        let object = instance.pod.object.as_ref().unwrap();
        assert_eq!(object["metadata"]["uid"], pod.metadata.uid.unwrap());
        assert!(object["metadata"]["managedFields"].is_null());
        // Only a real cluster has nodes that can be asked for.
        assert!(
            app.simulation.is_some()
                || instance
                    .node_labels
                    .as_ref()
                    .is_some_and(|labels| labels["kubernetes.io/hostname"].is_string())
        );
    }
    let light = app.service.instances(application, false, false).await.unwrap();
    assert!(light.iter().all(|it| it.pod.object.is_none() && it.node_labels.is_none()));

    let deployment = app.service.deployment(application).await.unwrap();
    let live = app.deployments().get("web").await.unwrap();
    assert_eq!(
        (&deployment["metadata"]["uid"], &deployment["spec"]["replicas"]),
        (&json!(live.metadata.uid), &json!(2))
    );
}
