//! What a release does to a pod template that somebody else wrote: which container it
//! changes, what stays, what is told, and whose the fields are afterwards. Each check runs
//! on the simulated cluster and on a real control plane, and some on the real one alone.

mod owners;

use domain::{
    ApplicationId, OrderId,
    order::State,
    template::{
        pods::{Placement, PodChange},
        spec::{EnvVar, Field, SpecChange},
    },
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use serde_json::{Value, json};
use service::{EditDeployment, OrderView};
use sqlx::PgPool;

use crate::support::{
    App, CLUSTER, batches, caller, eventually,
    found::{own, owners},
    on_both_clusters, release,
};

on_both_clusters!(
    a_template_with_a_hash_label_of_its_own_is_released_and_taken_back,
    the_container_that_the_annotation_names_gets_the_image,
    the_container_whose_image_has_the_same_repository_gets_the_image,
    a_release_is_refused_where_it_is_in_doubt_which_container_is_meant,
    an_image_of_another_containers_repository_is_refused_until_somebody_chooses,
    a_container_is_chosen_at_adoption_and_chosen_again,
    variables_keep_their_order_and_their_references,
    what_else_an_affinity_says_stays_and_what_is_replaced_is_told,
    an_image_that_nodes_may_have_already_is_warned_of,
    names_that_only_kubernetes_allows_are_adopted_and_released,
    a_deployment_that_a_controller_owns_is_warned_of,
    fields_that_were_given_back_have_their_owners_again,
);

/// The Deployment `web` with a part of its spec and of its template replaced.
fn web(spec: Value, template: Value) -> Value {
    let mut deployment = json!({
        "metadata": { "name": "web" },
        "spec": {
            "replicas": 2, "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "shop/web:1.0" }] },
            },
        },
    });
    json_patch::merge(&mut deployment, &json!({ "spec": spec }));
    json_patch::merge(&mut deployment, &json!({ "spec": { "template": template } }));
    deployment
}

async fn ordered(
    app: &App,
    application: ApplicationId,
    spec: SpecChange,
    count: i32,
) -> Result<OrderView, String> {
    let mut request = release(application, "unused", batches(count));
    request.spec = spec;
    match app.service.deploy(&caller(), request).await {
        Ok(order) => Ok(app.end_of(order).await),
        Err(error) => Err(error.to_string()),
    }
}

async fn released(app: &App, application: ApplicationId, spec: SpecChange) -> OrderView {
    let order = ordered(app, application, spec, 2).await.unwrap();
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    order
}

fn image(image: &str) -> SpecChange {
    SpecChange { image: Some(image.into()), ..SpecChange::default() }
}

async fn back(app: &App, order: OrderId) {
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
}

/// Name and image of each container.
async fn images(app: &App) -> Vec<(String, String)> {
    let live = app.live("web").await;
    let containers = live["spec"]["template"]["spec"]["containers"].as_array().unwrap().iter();
    containers
        .map(|it| {
            (it["name"].as_str().unwrap().to_owned(), it["image"].as_str().unwrap().to_owned())
        })
        .collect()
}

async fn a_template_with_a_hash_label_of_its_own_is_released_and_taken_back(app: App) {
    let labels =
        json!({ "metadata": { "labels": { "app": "web", "pod-template-hash": "abc123" } } });
    let application = app.adopted(&web(json!({}), labels)).await;
    let before = own(&app.live("web").await);
    let order = released(&app, application, image("shop/web:2.0")).await;
    assert_eq!(
        app.live("web").await["spec"]["template"]["metadata"]["labels"]["pod-template-hash"],
        "abc123"
    );
    back(&app, order.id).await;
    assert_eq!(own(&app.live("web").await), before);
}

fn mesh(annotation: Option<&str>) -> Value {
    let mut template = json!({ "spec": { "containers": [{ "name": "istio-proxy", "image": "shop/proxy:1" }, { "name": "app", "image": "shop/web:1.0" }] } });
    if let Some(name) = annotation {
        template["metadata"] =
            json!({ "annotations": { "kubectl.kubernetes.io/default-container": name } });
    }
    web(json!({}), template)
}

fn pair(proxy: &str, app: &str) -> Vec<(String, String)> {
    vec![("istio-proxy".into(), proxy.into()), ("app".into(), app.into())]
}

async fn the_container_that_the_annotation_names_gets_the_image(app: App) {
    let application = app.adopted(&mesh(Some("app"))).await;
    released(&app, application, image("shop/other:2.0")).await;
    assert_eq!(images(&app).await, pair("shop/proxy:1", "shop/other:2.0"));
}

async fn the_container_whose_image_has_the_same_repository_gets_the_image(app: App) {
    let application = app.adopted(&mesh(None)).await;
    released(&app, application, image("shop/web:2.0")).await;
    assert_eq!(images(&app).await, pair("shop/proxy:1", "shop/web:2.0"));
    // It is known from then on.
    released(
        &app,
        application,
        SpecChange { image_tag: Some("3.0".into()), ..SpecChange::default() },
    )
    .await;
    assert_eq!(images(&app).await, pair("shop/proxy:1", "shop/web:3.0"));
}

async fn an_image_of_another_containers_repository_is_refused_until_somebody_chooses(app: App) {
    let application = app.adopted(&mesh(Some("istio-proxy"))).await;
    let why = ordered(&app, application, image("shop/web:2.0"), 1).await.unwrap_err();
    for part in ["istio-proxy by the annotation", "app by its present image", "--set app"] {
        assert!(why.contains(part), "{why}");
    }
    app.service.choose_container(&caller(), application, Some("app")).await.unwrap();
    released(&app, application, image("shop/web:2.0")).await;
    assert_eq!(images(&app).await, pair("shop/proxy:1", "shop/web:2.0"));
}

async fn a_release_is_refused_where_it_is_in_doubt_which_container_is_meant(app: App) {
    app.put(&mesh(None)).await;
    let before = app.live("web").await;
    let (application, order) = app.adopt("web", None).await.unwrap();
    let notes = app.service.order(order).await.unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("istio-proxy, app")), "{notes:?}");
    let why = ordered(&app, application, image("shop/other:2.0"), 1).await.unwrap_err();
    for part in ["istio-proxy, app", "kubectl.kubernetes.io/default-container", "sluice container"]
    {
        assert!(why.contains(part), "{why}");
    }
    assert_eq!(own(&app.live("web").await), own(&before), "nothing was written");
    // What is about no container is released.
    let labels = PodChange {
        labels: Field::Set([("tier".to_owned(), "front".to_owned())].into()),
        ..PodChange::default()
    };
    released(&app, application, SpecChange { pods: Box::new(labels), ..SpecChange::default() })
        .await;
    assert_eq!(images(&app).await, pair("shop/proxy:1", "shop/web:1.0"));
}

async fn a_container_is_chosen_at_adoption_and_chosen_again(app: App) {
    app.put(&mesh(Some("istio-proxy"))).await;
    let why = app.adopt("web", Some("gone")).await.unwrap_err();
    assert!(
        why.contains("container's name has the value gone") && why.contains("istio-proxy, app"),
        "{why}"
    );
    let (application, _) = app.adopt("web", Some("app")).await.unwrap();
    let shown = app.service.container(application).await.unwrap();
    assert_eq!((shown.name.as_deref(), shown.chosen, shown.all.len()), (Some("app"), true, 2));
    released(&app, application, image("shop/other:2.0")).await;
    assert_eq!(images(&app).await, pair("shop/proxy:1", "shop/other:2.0"));
    assert!(app.service.choose_container(&caller(), application, Some("gone")).await.is_err());
    app.service.choose_container(&caller(), application, None).await.unwrap();
    assert_eq!(
        app.service.container(application).await.unwrap().name.as_deref(),
        Some("istio-proxy"),
        "as the annotation says"
    );
}

async fn variables_keep_their_order_and_their_references(app: App) {
    let ip = json!({ "name": "POD_IP", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "status.podIP" } } });
    let env = json!([ip, { "name": "ADVERTISE", "value": "http://$(POD_IP):8080" }]);
    let template = json!({ "spec": { "containers": [{ "name": "web", "image": "shop/web:1.0", "env": env }] } });
    let application = app.adopted(&web(json!({}), template)).await;
    let wanted =
        vec![EnvVar::plain("ADVERTISE", "http://$(POD_IP):9090"), EnvVar::plain("LEVEL", "debug")];
    released(&app, application, SpecChange { env: Field::Set(wanted), ..SpecChange::default() })
        .await;
    let env = app.live("web").await["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    assert_eq!(
        env,
        json!([ip, { "name": "ADVERTISE", "value": "http://$(POD_IP):9090" }, { "name": "LEVEL", "value": "debug" }])
    );
}

async fn what_else_an_affinity_says_stays_and_what_is_replaced_is_told(app: App) {
    let terms = json!([{ "matchExpressions": [{ "key": "disk", "operator": "NotIn", "values": ["tape"] }] }]);
    let node =
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } });
    let application = app
        .adopted(&web(json!({}), json!({ "spec": { "affinity": { "nodeAffinity": node } } })))
        .await;
    let placed = |placement: Placement| SpecChange {
        pods: Box::new(PodChange { placement, ..PodChange::default() }),
        ..SpecChange::default()
    };
    let order = released(
        &app,
        application,
        placed(Placement { apart_by_node: Some(true), ..Placement::default() }),
    )
    .await;
    assert!(!order.notes.iter().any(|note| note.contains("affinity")), "{:?}", order.notes);
    let affinity = async || app.live("web").await["spec"]["template"]["spec"]["affinity"].clone();
    let now = affinity().await;
    assert_eq!(now["nodeAffinity"], node);
    assert!(!now["podAntiAffinity"].is_null());
    let other = json!({ "podAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
        { "weight": 1, "podAffinityTerm": { "topologyKey": "rack", "labelSelector": { "matchLabels": { "app": "cache" } } } }] } });
    let order = released(
        &app,
        application,
        placed(Placement { affinity: Field::Set(other.clone()), ..Placement::default() }),
    )
    .await;
    assert!(
        order.notes.iter().any(|note| note.contains("nodeAffinity, podAntiAffinity")),
        "{:?}",
        order.notes
    );
    assert_eq!(affinity().await, other);
}

async fn an_image_that_nodes_may_have_already_is_warned_of(app: App) {
    let template = json!({ "spec": { "containers": [{ "name": "web", "image": "nginx:1.28", "imagePullPolicy": "IfNotPresent" }] } });
    let application = app.adopted(&web(json!({}), template)).await;
    let order = released(&app, application, image("nginx:1.29")).await;
    assert!(!order.notes.iter().any(|note| note.contains("imagePullPolicy")), "{:?}", order.notes);
    let order = released(&app, application, image("nginx:latest")).await;
    assert!(
        order.notes.iter().any(
            |note| note.contains("nginx:latest is not pulled") && note.contains("IfNotPresent")
        ),
        "{:?}",
        order.notes
    );
}

async fn names_that_only_kubernetes_allows_are_adopted_and_released(app: App) {
    for name in ["a-name-of-forty-three-characters-for-a-service", "3scale-gateway", "a.b"] {
        let mut deployment = web(json!({}), json!({}));
        deployment["metadata"]["name"] = json!(name);
        // Pods are told by their labels: each Deployment needs its own.
        for path in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
            *deployment.pointer_mut(path).unwrap() = json!({ "app": name });
        }
        let application = app.adopted(&deployment).await;
        released(&app, application, image("shop/web:2.0")).await;
        assert_eq!(
            app.live(name).await["spec"]["template"]["spec"]["containers"][0]["image"],
            "shop/web:2.0"
        );
    }
    let mut new = crate::support::creation(&app.namespace, "a.b.c", 1);
    let why = app.service.create_application(&caller(), new.clone()).await.unwrap_err().to_string();
    assert!(
        why.contains("application's name has the value a.b.c") && why.contains("36"),
        "EDAS' rule is for what is created: {why}"
    );
    new.name = "3scale-gateway".into();
    assert!(
        app.service
            .create_application(&caller(), new)
            .await
            .unwrap_err()
            .to_string()
            .contains("exists already")
    );
}

async fn a_deployment_that_a_controller_owns_is_warned_of(app: App) {
    let maps: Api<ConfigMap> = Api::namespaced(app.client.clone(), &app.namespace);
    let owner = ConfigMap {
        metadata: ObjectMeta { name: Some("books".into()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    };
    let owner = maps.create(&PostParams::default(), &owner).await.unwrap();
    let mut deployment = web(json!({}), json!({}));
    deployment["metadata"]["ownerReferences"] = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "books", "uid": owner.metadata.uid, "controller": true }]);
    app.put(&deployment).await;
    let (application, order) = app.adopt("web", None).await.unwrap();
    let notes = app.service.order(order).await.unwrap().notes;
    assert!(
        notes.iter().any(|note| note.contains("controlled by the ConfigMap books")),
        "{notes:?}"
    );
    let mut request = release(application, "shop/web:2.0", batches(1));
    let report = app.service.preview(&caller(), request.clone()).await.unwrap();
    assert!(
        report
            .checks
            .iter()
            .any(|check| check.reason.contains("controlled by the ConfigMap books")),
        "{report:#?}"
    );
    request.spec = image("shop/web:2.0");
    let order = app.service.deploy(&caller(), request).await.unwrap();
    assert!(
        app.end_of(order)
            .await
            .notes
            .iter()
            .any(|note| note.contains("controlled by the ConfigMap books"))
    );
}

async fn fields_that_were_given_back_have_their_owners_again(app: App) {
    let strategy = json!({ "strategy": { "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }, "replicas": 3 });
    let application = app.adopted(&web(strategy, json!({}))).await;
    let before = app.live("web").await;
    let order = ordered(&app, application, image("shop/web:2.0"), 3).await.unwrap();
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let ours = eventually(async || {
        let owners = owners(&app.live("web").await);
        let ours = owners["sluice Update"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        if ours == ["f:template"] { Ok(ours) } else { Err(format!("{owners:#}")) }
    })
    .await;
    assert_eq!(ours, ["f:template"]);
    let others = |live: &Value| owners(live)["kubectl-create Update"]["f:strategy"].clone();
    assert_eq!(others(&app.live("web").await), others(&before));
    back(&app, order.id).await;
    let after = app.live("web").await;
    assert_eq!(
        owners(&after),
        owners(&before),
        "and of the template nothing, once it is as before"
    );
    assert_eq!(own(&after), own(&before));
}

/// On the real control plane alone: what it fills in and how it judges owners is its own.
mod control_plane {
    use super::*;

    async fn sent(app: &App, wanted: Value) -> Result<Option<OrderId>, String> {
        let request = EditDeployment {
            cluster: Some(CLUSTER.into()),
            namespace: Some(app.namespace.clone()),
            wanted,
        };
        app.service.edit_deployment(&caller(), request).await.map_err(|error| error.to_string())
    }

    fn text(deployment: &Value) -> Value {
        let mut text = deployment.clone();
        text["apiVersion"] = json!("apps/v1");
        text["kind"] = json!("Deployment");
        text
    }

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn a_server_side_apply_by_its_owner_meets_no_conflict(pool: PgPool) {
        let app = App::start_real(pool).await;
        let mut deployment = web(
            json!({ "replicas": 3, "strategy": { "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } } }),
            json!({}),
        );
        app.apply(&deployment, "ci").await.unwrap();
        app.rolled_out("web").await;
        let (application, _) = app.adopt("web", None).await.unwrap();
        let before = app.live("web").await;
        let order = ordered(&app, application, image("shop/web:2.0"), 3).await.unwrap();
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop/web:2.0");
        deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = json!("50%");
        app.apply(&deployment, "ci").await.unwrap();
        deployment["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = json!(1);
        app.apply(&deployment, "ci").await.unwrap();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop/web:1.0");
        assert!(
            app.apply(&deployment, "ci").await.unwrap_err().contains("conflict"),
            "the image was released, and not given back"
        );
        back(&app, order.id).await;
        app.apply(&deployment, "ci").await.unwrap();
        assert_eq!(owners(&app.live("web").await), owners(&before));
    }

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn the_text_that_was_applied_orders_nothing(pool: PgPool) {
        let app = App::start_real(pool).await;
        let container = json!({
            "name": "web", "image": "shop/web:1.0", "ports": [{ "containerPort": 80 }], "resources": { "limits": { "memory": "1024Mi", "cpu": "1000m" } },
            "readinessProbe": { "httpGet": { "port": 80 } }, "env": [{ "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } }],
            "volumeMounts": [{ "name": "files", "mountPath": "/files" }],
        });
        let volumes = json!([{ "name": "files", "configMap": { "name": "files", "optional": true, "defaultMode": 256 } }]);
        let deployment =
            web(json!({}), json!({ "spec": { "containers": [container], "volumes": volumes } }));
        let application = app.adopted(&deployment).await;
        assert_eq!(sent(&app, text(&deployment)).await, Ok(None));
        // Neither do other ways to write the same, nor a restart by kubectl.
        let mut other = deployment.clone();
        other["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] =
            json!("1Gi");
        app.merge(
            "web",
            json!({ "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": "now" } } } } }),
        )
        .await;
        app.rolled_out("web").await;
        assert_eq!(sent(&app, text(&other)).await, Ok(None));
        released(&app, application, image("shop/web:2.0")).await;
        other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop/web:2.0");
        assert_eq!(sent(&app, text(&other)).await, Ok(None), "nor what is released already");
        other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("shop/web:3.0");
        let order = sent(&app, text(&other)).await.unwrap().unwrap();
        assert_eq!(app.end_of(order).await.state, State::Succeeded);
    }

    #[sqlx::test(migrator = "store::MIGRATIONS")]
    async fn amounts_that_are_written_otherwise_are_the_same_template(pool: PgPool) {
        let app = App::start_real(pool).await;
        let memory = |amount: &str| json!({ "spec": { "containers": [{ "name": "web", "image": "shop/web:1.0", "resources": { "limits": { "memory": amount } } }] } });
        let application = app.adopted(&web(json!({}), memory("1Gi"))).await;
        app.merge("web", json!({ "spec": { "template": memory("1073741824") } })).await;
        app.rolled_out("web").await;
        let order = released(&app, application, image("shop/web:2.0")).await;
        back(&app, order.id).await;
    }
}
