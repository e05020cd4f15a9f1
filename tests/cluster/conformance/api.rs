//! What the API server makes of objects: defaults, refusals, versions, owners of
//! fields.
//!
//! The texts of refusals are compared as well, since a release tool hands them on
//! to people.

use domain::rights::Scope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::Status;
use serde_json::{Value, json};

use crate::support::{Space, web, with};

/// The `Status` of a refusal.
pub(super) fn refusal<T: std::fmt::Debug>(result: kube::Result<T>) -> Status {
    match result {
        Err(kube::Error::Api(status)) => *status,
        other => panic!("not refused: {other:?}"),
    }
}

/// A frozen Deployment: paused and without pods, so that only the test writes.
pub(super) fn quiet() -> Deployment {
    with(0, "shop/web:1", &json!({"paused": true}))
}

/// Creates it and waits until its controller has nothing more to write.
pub(super) async fn settled(space: &Space) -> Deployment {
    space.create(&quiet()).await;
    space
        .until_web("noticed to be paused", |deployment| {
            deployment
                .status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten())
                .any(|c| c.reason.as_deref() == Some("DeploymentPaused"))
        })
        .await;
    space
        .until_web("with its availability", |deployment| {
            deployment
                .status
                .iter()
                .flat_map(|status| status.conditions.iter().flatten())
                .any(|c| c.type_ == "Available")
        })
        .await
}

pub async fn a_new_deployment_gets_the_defaults(space: Space) {
    let made = with(
        2,
        "shop/web:1",
        &json!({
            "paused": false,
            "minReadySeconds": 0,
            "template": {
                "metadata": {"annotations": {}},
                "spec": {
                    "nodeSelector": {},
                    "containers": [{
                        "name": "web",
                        "image": "shop/web:1",
                        "command": [],
                        "args": ["--log", ""],
                        "env": [{"name": "A", "value": ""}, {"name": "B", "value": "b"}],
                        "ports": [{"containerPort": 80}],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                        "livenessProbe": {
                            "tcpSocket": {"port": 80},
                            "initialDelaySeconds": 0,
                            "timeoutSeconds": 0,
                        },
                        "resources": {
                            "requests": {"cpu": "0.5"},
                            "limits": {"memory": "1024Mi"},
                        },
                    }],
                },
            },
        }),
    );
    space.create(&made).await;
    let object = space.raw_deployment("web").await;
    assert_eq!(
        object["spec"],
        json!({
            "replicas": 2,
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
            },
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "restartPolicy": "Always",
                    "dnsPolicy": "ClusterFirst",
                    "schedulerName": "default-scheduler",
                    "securityContext": {},
                    "terminationGracePeriodSeconds": 30,
                    "containers": [{
                        "name": "web",
                        "image": "shop/web:1",
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["--log", ""],
                        "env": [{"name": "A"}, {"name": "B", "value": "b"}],
                        "ports": [{"containerPort": 80, "protocol": "TCP"}],
                        "terminationMessagePath": "/dev/termination-log",
                        "terminationMessagePolicy": "File",
                        "readinessProbe": {
                            "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
                            "timeoutSeconds": 1,
                            "periodSeconds": 10,
                            "successThreshold": 1,
                            "failureThreshold": 3,
                        },
                        "livenessProbe": {
                            "tcpSocket": {"port": 80},
                            "timeoutSeconds": 1,
                            "periodSeconds": 10,
                            "successThreshold": 1,
                            "failureThreshold": 3,
                        },
                        "resources": {"requests": {"cpu": "500m"}, "limits": {"memory": "1Gi"}},
                    }],
                },
            },
        })
    );
    assert_eq!(object["metadata"]["generation"], 1);
}

pub async fn a_kept_object_settles_again_to_itself(space: Space) {
    let before = settled(&space).await;
    // Everything as it was read, written back: no new version.
    let after = space.deployments().replace("web", &PostParams::default(), &before).await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
}

pub async fn a_wrong_object_is_refused_at_creation(space: Space) {
    let api = space.deployments();
    let post = PostParams::default();
    let mut nameless = web(1, "shop/web:1");
    nameless.metadata.name = None;
    let mut misnamed = web(1, "shop/web:1");
    misnamed.metadata.name = Some("Web_1".to_owned());
    let bare = with(1, "shop/web:1", &json!({"template": {"spec": {"containers": []}}}));
    for (object, message) in [
        (nameless, "metadata.name: Required value: name or generateName is required"),
        (misnamed, "metadata.name: Invalid value: \"Web_1\": a lowercase RFC 1123 subdomain"),
        (bare, "spec.template.spec.containers: Required value"),
    ] {
        let refused = refusal(api.create(&post, &object).await);
        assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
        assert!(refused.message.contains(message), "{}", refused.message);
    }
    let mut elsewhere = web(1, "shop/web:1");
    elsewhere.metadata.namespace = Some("kube-system".to_owned());
    let refused = refusal(api.create(&post, &elsewhere).await);
    assert_eq!((refused.code, refused.reason.as_str()), (400, "BadRequest"));
    let mut versioned = web(1, "shop/web:1");
    versioned.metadata.resource_version = Some("1".to_owned());
    assert_eq!(refusal(api.create(&post, &versioned).await).code, 500);
    space.create(&quiet()).await;
    let refused = refusal(api.create(&post, &quiet()).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(refused.message, "deployments.apps \"web\" already exists");
}

pub async fn what_is_not_there_is_404(space: Space) {
    let api = space.deployments();
    let refused = refusal(api.get("nope").await);
    assert_eq!((refused.code, refused.reason.as_str()), (404, "NotFound"));
    assert_eq!(refused.message, "deployments.apps \"nope\" not found");
    assert_eq!(refusal(api.delete("nope", &Default::default()).await).code, 404);
    assert_eq!(refusal(space.try_patch(json!([])).await).code, 404);
    assert_eq!(refusal(api.get_scale("nope").await).code, 404);
    let nowhere: Api<Deployment> = Api::namespaced(space.client.clone(), "no-such-namespace");
    let refused = refusal(nowhere.create(&PostParams::default(), &quiet()).await);
    assert_eq!(refused.message, "namespaces \"no-such-namespace\" not found");
    let empty = nowhere.list(&ListParams::default()).await.unwrap();
    assert!(empty.items.is_empty());
}

pub async fn a_replacement_from_a_stale_version_is_409(space: Space) {
    let stale = settled(&space).await;
    space.patch(json!([{"op": "add", "path": "/spec/minReadySeconds", "value": 1}])).await;
    let api = space.deployments();
    let refused = refusal(api.replace("web", &PostParams::default(), &stale).await);
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert!(refused.message.contains("the object has been modified"), "{}", refused.message);
    let version = stale.resource_version().unwrap();
    let path = "/metadata/resourceVersion";
    let patch = json!([{"op": "replace", "path": path, "value": version}]);
    assert_eq!(refusal(space.try_patch(patch).await).code, 409);
    // Without a version the last one wins.
    let mut anyway = stale;
    anyway.metadata.resource_version = None;
    let done = api.replace("web", &PostParams::default(), &anyway).await;
    assert_eq!(done.unwrap().spec.unwrap().min_ready_seconds, None);
}

pub async fn annotations_raise_the_generation_and_statuses_do_not(space: Space) {
    let before = settled(&space).await;
    assert_eq!(before.metadata.generation, Some(1));
    let annotated = space
        .patch(json!([{"op": "add", "path": "/metadata/annotations", "value": {"a": "b"}}]))
        .await;
    assert_eq!(annotated.metadata.generation, Some(2));
    let labelled =
        space.patch(json!([{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}])).await;
    assert_eq!(labelled.metadata.generation, Some(2));
    // A status is not written through the object.
    let ignored =
        space.patch(json!([{"op": "add", "path": "/status/replicas", "value": 77}])).await;
    assert_eq!(ignored.status.unwrap().replicas, None);
    let api = space.deployments();
    let status = json!({"status": {"collisionCount": 3}});
    let params = PatchParams::default();
    let written = api.patch_status("web", &params, &Patch::Merge(status)).await;
    let written = written.unwrap();
    assert_eq!(written.status.unwrap().collision_count, Some(3));
    assert_eq!(written.metadata.generation, Some(2));
}

pub async fn a_dry_run_keeps_nothing(space: Space) {
    let before = settled(&space).await;
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    let api = space.deployments();
    let change = json!({"spec": {"replicas": 5}});
    let tried = api.patch("web", &params, &Patch::Merge(change)).await.unwrap();
    assert_eq!(tried.spec.unwrap().replicas, Some(5));
    assert_eq!(tried.metadata.generation, Some(2));
    assert_eq!(space.web().await.resource_version(), before.resource_version());
    let post = PostParams { dry_run: true, ..PostParams::default() };
    let mut other = quiet();
    other.metadata.name = Some("other".to_owned());
    api.create(&post, &other).await.unwrap();
    assert_eq!(api.get_opt("other").await.unwrap(), None);
}

pub async fn the_scale_is_read_and_written_alone(space: Space) {
    settled(&space).await;
    let api = space.deployments();
    let scale = api.get_scale("web").await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, None, "0 is left out");
    let selector = scale.status.unwrap().selector;
    assert_eq!(selector.as_deref(), Some("app=web"));
    let params = PatchParams::default();
    let larger = Patch::Merge(json!({"spec": {"replicas": 3}}));
    let scaled = api.patch_scale("web", &params, &larger).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    let web = space.web().await;
    assert_eq!(web.spec.unwrap().replicas, Some(3));
    assert_eq!(web.metadata.generation, Some(2));
    let negative = Patch::Merge(json!({"spec": {"replicas": -1}}));
    let refused = refusal(api.patch_scale("web", &params, &negative).await);
    assert_eq!(refused.code, 422);
    assert!(refused.message.contains("spec.replicas: Invalid value: -1"), "{}", refused.message);
}

pub async fn managers_own_what_they_wrote_last(space: Space) {
    settled(&space).await;
    let api = space.deployments();
    for (manager, image) in [("one", "shop/web:2"), ("two", "shop/web:3")] {
        let params =
            PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let path = "/spec/template/spec/containers/0/image";
        let patch: json_patch::Patch =
            serde_json::from_value(json!([{"op": "replace", "path": path, "value": image}]))
                .unwrap();
        api.patch("web", &params, &Patch::<()>::Json(patch)).await.unwrap();
    }
    let object = space.raw_deployment("web").await;
    let fields = |manager: &str| -> Vec<Value> {
        object["metadata"]["managedFields"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["manager"] == manager)
            .map(|entry| entry["fieldsV1"].clone())
            .collect()
    };
    assert_eq!(fields("one"), Vec::<Value>::new());
    let image = json!({"f:containers": {"k:{\"name\":\"web\"}": {"f:image": {}}}});
    assert_eq!(fields("two"), [json!({"f:spec": {"f:template": {"f:spec": image}}})]);
}

pub async fn lists_choose_by_labels_and_fields(space: Space) {
    let pods: Api<Pod> = space.api();
    for (name, labels) in [
        ("a", json!({"app": "web", "tier": "front"})),
        ("b", json!({"app": "web"})),
        ("c", json!({"app": "db"})),
    ] {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "shop/web:1"}]},
        }))
        .unwrap();
        pods.create(&PostParams::default(), &pod).await.unwrap();
    }
    let names = async |params: ListParams| {
        let list = pods.list(&params).await.unwrap();
        let names = list.items.iter().map(ResourceExt::name_any);
        names.collect::<Vec<_>>().join("")
    };
    for (labels, expected) in [
        ("app=web", "ab"),
        ("app==web,tier=front", "a"),
        ("app!=web", "c"),
        ("app in (web, db)", "abc"),
        ("app notin (web)", "c"),
        ("tier", "a"),
        ("!tier", "bc"),
    ] {
        let found = names(ListParams::default().labels(labels)).await;
        assert_eq!(found, expected, "{labels}");
    }
    let found = names(ListParams::default().fields("metadata.name=b")).await;
    assert_eq!(found, "b");
    let refused = refusal(pods.list(&ListParams::default().labels("a===b")).await);
    assert_eq!(refused.code, 400);
    let refused = refusal(pods.list(&ListParams::default().fields("spec.nope=1")).await);
    assert_eq!(refused.code, 400);
}

pub async fn a_cluster_is_known_by_the_uid_of_kube_system(space: Space) {
    let cluster = cluster::Cluster::watch(space.client.clone(), Scope::Whole);
    let identity = cluster.identify().await.unwrap();
    let namespace = space.raw("/api/v1/namespaces/kube-system").await;
    assert_eq!(namespace["metadata"]["uid"], identity.as_str());
}
