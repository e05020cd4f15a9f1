//! The rights in `docs/rights.yaml`, and those that `sluice rights` prints, on a real control
//! plane: an executor that has exactly these does everything that Sluice offers on the
//! cluster. Only a real API server knows rights.

mod admission;
pub mod named;
pub mod printed;

use std::collections::BTreeMap;

use domain::{
    OrderId,
    object::config_data::Held,
    observed::cluster_state::PodLog,
    order::State,
    precheck::{Finding, Subject},
};
use k8s_openapi::api::{
    core::v1::Event,
    rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding, RoleRef, Subject as Who},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use service::{Config, WantedLogs};
use sqlx::PgPool;

use crate::{
    documents,
    support::{App, CLUSTER, batches, caller, eventually, manual, real, release},
};

/// Gives `user` the rights of the document: what Sluice must see in the whole cluster,
/// and the rest in the namespace of the test alone. Returns the roles' names.
async fn grant(app: &App, user: &str) -> Vec<String> {
    let roles: Api<ClusterRole> = Api::all(app.client.clone());
    let mut made = Vec::new();
    for role in documents::rights().into_iter().filter(|it| it["kind"] == "ClusterRole") {
        let mut role: ClusterRole = serde_json::from_value(role).unwrap();
        let named = role.metadata.name.clone().unwrap();
        let name = format!("{named}-{}", app.namespace);
        role.metadata.name = Some(name.clone());
        roles.create(&PostParams::default(), &role).await.unwrap();
        bind(app, &name, user, named == "sluice-observe").await;
        made.push(name);
    }
    assert_eq!(made.len(), 4);
    made
}

async fn bind(app: &App, role: &str, user: &str, in_the_whole_cluster: bool) {
    let metadata = ObjectMeta { name: Some(role.to_owned()), ..ObjectMeta::default() };
    let api_group = "rbac.authorization.k8s.io".to_owned();
    let role_ref =
        RoleRef { api_group: api_group.clone(), kind: "ClusterRole".into(), name: role.to_owned() };
    let subjects = Some(vec![Who {
        api_group: Some(api_group),
        kind: "User".into(),
        name: user.to_owned(),
        namespace: None,
    }]);
    if in_the_whole_cluster {
        let api: Api<ClusterRoleBinding> = Api::all(app.client.clone());
        api.create(&PostParams::default(), &ClusterRoleBinding { metadata, role_ref, subjects })
            .await
            .unwrap();
    } else {
        let api: Api<RoleBinding> = Api::namespaced(app.client.clone(), &app.namespace);
        api.create(&PostParams::default(), &RoleBinding { metadata, role_ref, subjects })
            .await
            .unwrap();
    }
}

async fn ends_well(app: &App, order: OrderId) {
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_executor_with_the_rights_of_the_document_can_do_everything(pool: PgPool) {
    let mut app = App::start_real(pool).await;
    let user = format!("sluice-{}", app.namespace);
    let roles = grant(&app, &user).await;
    let administrator = app.client.clone();
    app.client = real::as_user(&user).await;
    app.hand_over().await;

    let application = app.create("web", 4).await;
    let request = release(application, "shop/web:2.0", batches(2));
    let report = app.service.preview(&caller(), request).await.unwrap();
    let unseen: Vec<_> =
        report.checks.iter().filter(|check| check.finding == Finding::Unseen).collect();
    assert!(unseen.is_empty(), "{unseen:?}");
    let rights = report.checks.iter().find(|check| check.subject == Subject::Rights).unwrap();
    assert_eq!(rights.finding, Finding::Passed, "{}", rights.reason);

    let order = app.deploy(application, "shop/web:2.0", manual(3)).await;
    app.confirm(order, 2).await;
    app.order_when(order, |order| order.batches[2].state == State::WaitingConfirmation).await;
    app.service.step_back(&caller(), order, Some(1)).await.unwrap();
    app.confirm(order, 2).await;
    app.confirm(order, 3).await;
    ends_well(&app, order).await;
    let rollback = app.service.roll_back(&caller(), order).await.unwrap();
    ends_well(&app, rollback).await;

    let failing = app.deploy(application, "shop/web:3.0--image-pull-error", batches(2)).await;
    let failed = app.end_of(failing).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    ends_well(&app, failed.rolled_back_by.expect("it is rolled back")).await;
    let events: Api<Event> = Api::namespaced(administrator.clone(), &app.namespace);
    eventually(async || {
        let found = events.list(&ListParams::default()).await.unwrap().items;
        let told = found.iter().any(|event| event.reason.as_deref() == Some("ChangeOrderFailed"));
        if told { Ok(()) } else { Err(format!("{} events, and none of Sluice", found.len())) }
    })
    .await;

    let values = BTreeMap::from([("password".to_owned(), "Z2VoZWlt".to_owned())]);
    let texts = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
    for held in [Held::Texts(texts), Held::Secret(None, values)] {
        let kind = held.kind();
        let config = Config {
            cluster: CLUSTER.into(),
            namespace: app.namespace.clone(),
            name: "shop".into(),
            held,
        };
        app.service.create_config(&caller(), config).await.unwrap();
        let listed = app
            .service
            .configs(&crate::support::caller(), kind, None, &app.namespace, false)
            .await
            .unwrap();
        assert!(listed.iter().any(|config| config.object["metadata"]["name"] == "shop"));
        app.service
            .delete_config(&caller(), kind, (CLUSTER, &app.namespace, "shop"))
            .await
            .unwrap();
    }

    // The nodes of this control plane have no kubelet that answers; but that it is asked is a right.
    let logs = app.service.logs(application, WantedLogs::default()).await.unwrap().logs;
    let is_forbidden = |it: &&PodLog| it.unread.contains("forbidden");
    assert!(!logs.is_empty() && logs.iter().find(is_forbidden).is_none(), "{logs:?}");

    let deletion = app.service.delete(&caller(), application).await.unwrap();
    ends_well(&app, deletion).await;

    let (bindings, all): (Api<ClusterRoleBinding>, Api<ClusterRole>) =
        (Api::all(administrator.clone()), Api::all(administrator));
    for role in roles {
        all.delete(&role, &DeleteParams::default()).await.unwrap();
        if role.starts_with("sluice-observe") {
            bindings.delete(&role, &DeleteParams::default()).await.unwrap();
        }
    }
}
