//! Objects beside a Deployment on a cluster, however often and by whom they are written.

use super::*;

on_both_clusters!(
    services_are_created_changed_and_deleted_and_no_pod_hears_of_it,
    an_adopted_deployments_own_labels_find_its_pods,
    ingress_rules_are_written_and_listed,
    what_the_api_server_refuses_is_told_in_its_words,
    an_object_write_that_was_carried_out_twice_was_carried_out_once,
);

fn tcp(port: u16) -> Port {
    Port { port, target: PortTarget::Number(8080), transport: Transport::Tcp }
}

fn expose(application: ApplicationId, name: &str, ports: Vec<Port>) -> Expose {
    Expose {
        application,
        name: name.into(),
        reach: Some(Reach::ClusterIp),
        policy: None,
        ports: Some(ports),
    }
}

fn services(app: &App) -> Api<Service> {
    Api::namespaced(app.client.clone(), &app.namespace)
}

async fn pods(app: &App) -> Vec<(Option<String>, Option<String>)> {
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    pods.list(&Default::default())
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|pod| (pod.metadata.name, pod.metadata.uid))
        .collect()
}

async fn services_are_created_changed_and_deleted_and_no_pod_hears_of_it(app: App) {
    let application = app.create("web", 2).await;
    let before =
        (pods(&app).await, app.deployments().get("web").await.unwrap().metadata.resource_version);
    let caller = caller();
    let order = app
        .service
        .create_service(&caller, expose(application, "front", vec![tcp(80), tcp(81)]))
        .await
        .unwrap();
    let view = app.service.order(order).await.unwrap();
    assert_eq!(
        (view.kind, view.state, view.batches.len()),
        (Kind::ObjectWrite, State::Succeeded, 1)
    );
    let made = services(&app).get("front").await.unwrap();
    let selector = app.deployments().get("web").await.unwrap().spec.unwrap().selector.match_labels;
    assert_eq!(made.spec.as_ref().unwrap().selector, selector);
    let address = made.spec.unwrap().cluster_ip;

    let change = Expose {
        reach: Some(Reach::NodePort),
        policy: Some(TrafficPolicy::Local),
        ..expose(application, "front", vec![tcp(80), tcp(81)])
    };
    app.service.change_service(&caller, change).await.unwrap();
    let node_port = async || {
        let spec = services(&app).get("front").await.unwrap().spec.unwrap();
        (
            spec.cluster_ip,
            spec.ports
                .unwrap()
                .into_iter()
                .map(|port| (port.port, port.node_port))
                .collect::<BTreeMap<_, _>>(),
        )
    };
    let first = node_port().await;
    assert_eq!(first.0, address, "its address stays");
    let change = Expose { reach: None, ..expose(application, "front", vec![tcp(80), tcp(82)]) };
    app.service.change_service(&caller, change).await.unwrap();
    let second = node_port().await;
    assert_eq!(second.1.keys().collect::<Vec<_>>(), [&80, &82]);
    assert_eq!(second.1[&80], first.1[&80], "a port that stays keeps its port on the nodes");
    assert!(app.simulation.is_some() || second.1[&80].is_some());
    app.service
        .change_service(&caller, Expose { ports: None, ..expose(application, "front", Vec::new()) })
        .await
        .unwrap();
    assert!(node_port().await.1.values().all(|port| app.simulation.is_some() || port.is_none()));

    let listener = Listener { port: 80, target: PortTarget::Number(8080), speech: Speech::Http };
    let balancer = Balancer {
        id: Some("lb-1".into()),
        listeners: Some(vec![listener]),
        ..Balancer::default()
    };
    let bind = Bind {
        application,
        cluster: Some(CLUSTER.into()),
        network: Network::Intranet,
        name: None,
        balancer,
    };
    app.service.bind(&caller, bind.clone()).await.unwrap();
    let bound = services(&app).get("web-intranet").await.unwrap();
    assert_eq!(bound.spec.unwrap().type_.as_deref(), Some("LoadBalancer"));
    let names: Vec<_> = app
        .service
        .services(application)
        .await
        .unwrap()
        .iter()
        .map(|it| it["metadata"]["name"].clone())
        .collect();
    assert_eq!(names, ["front", "web-intranet"]);
    app.service.unbind(&caller, bind).await.unwrap();
    app.service.delete_service(&caller, application, "front").await.unwrap();
    assert!(app.service.services(application).await.unwrap().is_empty());
    let gone =
        app.service.delete_service(&caller, application, "front").await.unwrap_err().to_string();
    assert!(gone.contains("the Service front does not exist"), "{gone}");
    assert_eq!(
        (pods(&app).await, app.deployments().get("web").await.unwrap().metadata.resource_version),
        before
    );
}

async fn an_adopted_deployments_own_labels_find_its_pods(app: App) {
    let labels = json!({ "app": "theirs" });
    let deployment = json!({
        "metadata": { "name": "theirs", "labels": labels },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [{ "name": "c", "image": "shop/web:1.0" }] } },
        },
    });
    let deployments: Api<Deployment> = Api::namespaced(app.client.clone(), &app.namespace);
    deployments
        .create(&PostParams::default(), &serde_json::from_value(deployment).unwrap())
        .await
        .unwrap();
    let adoption = Adopt {
        name: "theirs".into(),
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    };
    let adopted = async || {
        app.service.adopt(&caller(), adoption.clone()).await.map_err(|why| why.to_string())
    };
    let (application, _) = eventually(adopted).await;
    app.service
        .create_service(&caller(), expose(application, "front", vec![tcp(80)]))
        .await
        .unwrap();
    let made = services(&app).get("front").await.unwrap();
    assert_eq!(json!(made.spec.unwrap().selector), labels);
}

async fn ingress_rules_are_written_and_listed(app: App) {
    let application = app.create("web", 1).await;
    let caller = caller();
    app.service.create_service(&caller, expose(application, "front", vec![tcp(80)])).await.unwrap();
    let path = ingress::Path {
        path: "/".into(),
        matched: PathMatch::Prefix,
        service: "front".into(),
        port: PortTarget::Number(80),
    };
    let rule = IngressRule {
        host: Some("shop.example".into()),
        secret: Some("tls".into()),
        paths: vec![path],
    };
    let route = Route {
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        name: "shop".into(),
        rules: Some(vec![rule]),
        labels: Texts::from([("team".into(), Some("shop".into()))]),
        annotations: Texts::new(),
    };
    app.service.create_route(&caller, route.clone()).await.unwrap();
    let listed = app.service.routes(None, &app.namespace).await.unwrap();
    let rules = &listed[0].rules;
    assert_eq!(
        (listed.len(), rules[0].host.as_str(), rules[0].secret.as_deref()),
        (1, "shop.example", Some("tls"))
    );
    assert_eq!(
        (rules[0].paths[0].backend, rules[0].paths[0].application.as_ref().unwrap().1.as_str()),
        (Backend::Normal, "web")
    );
    let everywhere = app.service.routes(None, "").await.unwrap();
    assert!(
        everywhere
            .iter()
            .any(|route| route.object["metadata"]["uid"] == listed[0].object["metadata"]["uid"])
    );
    let again = app.service.create_route(&caller, route.clone()).await.unwrap_err().to_string();
    assert_eq!(again, "the Ingress shop exists already");

    let changed = Route { rules: None, labels: Texts::from([("team".into(), None)]), ..route };
    app.service.change_route(&caller, changed).await.unwrap();
    let ingresses: Api<Ingress> = Api::namespaced(app.client.clone(), &app.namespace);
    let object = ingresses.get("shop").await.unwrap();
    assert!(!object.metadata.labels.unwrap().contains_key("team"));
    app.service.delete_route(&caller, CLUSTER, &app.namespace, "shop").await.unwrap();
    assert!(ingresses.get_opt("shop").await.unwrap().is_none());
}

async fn what_the_api_server_refuses_is_told_in_its_words(app: App) {
    let caller = caller();
    let route = Route {
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        name: "shop".into(),
        rules: Some(vec![IngressRule {
            host: None,
            secret: None,
            paths: vec![ingress::Path {
                path: "/".into(),
                matched: PathMatch::Exact,
                service: "s".into(),
                port: PortTarget::Number(80),
            }],
        }]),
        labels: Texts::new(),
        annotations: Texts::from([("note".into(), Some("x".repeat(262_145)))]),
    };
    let refused = app.service.create_route(&caller, route).await.unwrap_err().to_string();
    assert!(
        refused.contains("metadata.annotations")
            && refused.contains("may not be more than 262144 bytes"),
        "{refused}"
    );
    assert!(app.service.routes(None, &app.namespace).await.unwrap().is_empty());
}

/// The first attempt's executor falls silent after its write, and another one goes on;
/// then the first wakes up again.
async fn an_object_write_that_was_carried_out_twice_was_carried_out_once(app: App) {
    let application = app.create("web", 1).await;
    let owner = Owner { id: application, name: "web".into() };
    let object = json!({ "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] } });
    let creation = ObjectWrite {
        kind: ObjectKind::Service,
        name: "front".into(),
        owner: Some(owner),
        action: Action::Create(object),
    };
    let cluster = ::cluster::Cluster::watch(app.client.clone(), Scope::Whole);
    cluster.trust(Some(&cluster.identify().await.unwrap()));
    let text = Uuid::now_v7().to_string();
    let attempt = |generation, repeated| domain::object::write::Attempt {
        object_write: &text,
        generation,
        repeated,
    };
    let first = cluster
        .apply(&app.namespace, &creation, attempt(5, false))
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let second =
        cluster.apply(&app.namespace, &creation, attempt(6, true)).await.unwrap().unwrap().unwrap();
    assert_eq!(
        (&first["uid"], &first["resourceVersion"]),
        (&second["uid"], &second["resourceVersion"])
    );

    let deletion = ObjectWrite { action: Action::Delete, ..creation.clone() };
    let other = Uuid::now_v7().to_string();
    let later = |generation, repeated| domain::object::write::Attempt {
        object_write: &other,
        generation,
        repeated,
    };
    assert_eq!(
        cluster.apply(&app.namespace, &deletion, later(7, false)).await.unwrap().unwrap(),
        Ok(Value::Null)
    );
    assert_eq!(
        cluster.apply(&app.namespace, &deletion, later(8, true)).await.unwrap().unwrap(),
        Ok(Value::Null)
    );
    // A third one made it again; the silent ones of before leave it alone.
    let third = Uuid::now_v7().to_string();
    let newest =
        domain::object::write::Attempt { object_write: &third, generation: 9, repeated: false };
    let made = cluster.apply(&app.namespace, &creation, newest).await.unwrap().unwrap().unwrap();
    let stale = cluster
        .apply(&app.namespace, &deletion, later(8, true))
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert!(stale.contains("meanwhile"), "{stale}");
    assert_eq!(
        services(&app).get("front").await.unwrap().metadata.uid.as_deref(),
        made["uid"].as_str()
    );
    services(&app).delete("front", &DeleteParams::default()).await.unwrap();
}
