//! An application with settings of its user's own, and what the cluster shows of it.

use domain::ApplicationId;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams, ResourceExt},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use service::ReleaseView;

use crate::support::{
    App, at_leisure,
    watcher::{Watch, Watches},
};

/// What every application begins with.
pub const OLD: &str = "shop/web:1.0";

/// What writers keep on a Deployment about their writes.
const OF_WRITERS: [&str; 3] =
    ["sluice.dev/fence", "sluice.dev/order", "deployment.kubernetes.io/revision"];

/// An application with its user's settings, one order after the other.
pub struct Application {
    pub id: ApplicationId,
    pub name: String,
    pub user: User,
    pub watch: Watch,
    /// How many versions it was given.
    pub versions: usize,
}

/// Settings that a user may have made on a Deployment.
#[derive(Debug, Clone, Copy)]
pub struct User {
    min_ready_seconds: i32,
    pub revision_history_limit: i32,
    paused: bool,
}

const USERS: [User; 4] = [
    User { min_ready_seconds: 0, revision_history_limit: 7, paused: false },
    User { min_ready_seconds: 0, revision_history_limit: 2, paused: true },
    User { min_ready_seconds: 0, revision_history_limit: 0, paused: false },
    User { min_ready_seconds: 1, revision_history_limit: 3, paused: false },
];

impl User {
    fn edit(self, replicas: i32) -> Value {
        json!({
            "metadata": { "labels": { "team": "shop" }, "annotations": { "shop.example/owner": "somebody" } },
            "spec": {
                "replicas": replicas,
                "strategy": { "rollingUpdate": { "maxSurge": "30%", "maxUnavailable": 1 } },
                "minReadySeconds": self.min_ready_seconds,
                "progressDeadlineSeconds": 777,
                "revisionHistoryLimit": self.revision_history_limit,
                "paused": self.paused,
            },
        })
    }
}

impl Application {
    /// Creates it, and has its user edit the Deployment; `number` says which user.
    pub async fn create(
        app: &App,
        watches: &Watches,
        name: String,
        number: usize,
        replicas: i32,
    ) -> Self {
        let user = USERS[number % USERS.len()];
        let id = app.create(&name, 0).await;
        let edit =
            PatchParams { field_manager: Some("kubectl-edit".into()), ..PatchParams::default() };
        app.deployments().patch(&name, &edit, &Patch::Merge(user.edit(replicas))).await.unwrap();
        // The executor has seen the edit once it says how many pods there are.
        at_leisure(async || {
            let now = app.service.application(id).await.unwrap();
            let numbers = (now.replicas, now.ready_replicas);
            if numbers == (replicas, replicas) { Ok(()) } else { Err(format!("{numbers:?}")) }
        })
        .await;
        let watch = watches.of(&name);
        at_leisure(async || {
            if watch.now().ready == replicas { Ok(()) } else { Err(format!("{:?}", watch.now())) }
        })
        .await;
        watch.so_far();
        Self { id, name, user, watch, versions: 1 }
    }

    pub async fn version(&self, app: &App) -> ReleaseView {
        app.service.current_spec(self.id).await.unwrap().release.unwrap()
    }
}

/// The Deployment, but for what every write changes.
pub async fn deployment(app: &App, name: &str) -> Value {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api: Api<DynamicObject> = Api::namespaced_with(app.client.clone(), &app.namespace, &kind);
    let mut object = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(field);
    }
    for annotation in OF_WRITERS {
        metadata["annotations"].as_object_mut().unwrap().remove(annotation);
    }
    object
}

pub async fn replica_sets(app: &App, name: &str) -> Vec<ReplicaSet> {
    let api: Api<ReplicaSet> = Api::namespaced(app.client.clone(), &app.namespace);
    api.list(&ListParams::default().labels(&format!("app.kubernetes.io/name={name}")))
        .await
        .unwrap()
        .items
}

/// The uid of the only one that has pods.
pub fn has_pods(sets: &[ReplicaSet]) -> String {
    let mut with_pods =
        sets.iter().filter(|set| set.spec.as_ref().and_then(|spec| spec.replicas) > Some(0));
    let (Some(set), None) = (with_pods.next(), with_pods.next()) else {
        panic!("one must have pods: {sets:#?}")
    };
    set.uid().unwrap()
}
