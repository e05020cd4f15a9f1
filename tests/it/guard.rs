//! Attacks with the key of a team, which may release and operate what is its own: pods with
//! the rights of their node, Deployments of Helm, hosts and namespaces of others. Each is
//! refused by name, and nothing is written.

mod agreement;
mod neighbours;
mod record;
mod wire;

use std::net::{IpAddr, Ipv4Addr};

use domain::{
    ApplicationId, Rejection,
    access::{Action, Exceptions, Grant, Group, Role, Scope},
    audit::Outcome,
    guard::{INGRESS_ANNOTATIONS, Level, OBEYED_ANNOTATIONS},
    order::{FailurePolicy, State},
    template::spec::SpecChange,
};
use serde_json::{Value, json};
use service::{Adopt, Deploy, EditDeployment, Error, Permit, Service, policy_named};
use sqlx::PgPool;

use crate::support::{
    App, CLUSTER, batches,
    by_hand::{adopt, adopted, foreign},
    caller, creation, eventually, on_both_clusters, release,
};

on_both_clusters!(
    a_privileged_pod_with_the_nodes_root_folder_does_not_run,
    a_privileged_deployment_is_adopted_by_nobody_who_may_not_ask_for_it,
    a_release_of_an_adopted_privileged_deployment_changes_its_image_and_adds_nothing,
    a_version_of_the_history_is_judged_like_a_new_one,
    an_order_that_nobody_could_judge_is_judged_when_it_begins,
    a_failed_batch_is_tried_again_by_those_who_may_ask_for_its_version,
    a_rollback_is_never_refused_and_tells_what_comes_back,
    a_deployment_of_helms_is_adopted_and_released_and_never_deleted,
    an_adopted_deployment_is_deleted_by_those_who_are_allowed_to,
);

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What the console and the API call these actions.
const CREATE: Action = Action::new("InsertK8sApplication", Group::ManageApplication);
const DELETE: Action = Action::new("DeleteK8sApplication", Group::ManageApplication);
const EDIT: Action = Action::new("UpdateK8sResource", Group::ManageApplication);

/// The service for whoever has this, doing that.
fn with(app: &App, grants: &[Grant], action: Action) -> Service {
    let access = app.service.access(grants, PEER, true);
    app.service.within(Permit::of(access, action).unwrap())
}

/// A key of a team: an operator of the test's namespace.
fn team(app: &App) -> Grant {
    Grant::role(Role::Operator, Scope::read(&app.namespace, "*").unwrap())
}

fn with_exceptions(app: &App, exceptions: Exceptions) -> Grant {
    Grant { exceptions, ..team(app) }
}

fn policy(statement: &str) -> Grant {
    let mut grant = policy_named("test");
    let document = format!(r#"{{"Version":"1","Statement":[{statement}]}}"#);
    grant.policy.as_mut().unwrap().document = document;
    grant
}

fn attack() -> Value {
    json!({
        "volumes": [{ "name": "root", "hostPath": { "path": "/" } }],
        "containers": [{
            "name": "web", "image": "shop/web:1.0", "securityContext": { "privileged": true },
            "volumeMounts": [{ "name": "root", "mountPath": "/node" }],
        }],
    })
}

/// The Deployment's text, with this in its pods' spec.
async fn text(app: &App, spec: Value) -> EditDeployment {
    let mut wanted = serde_json::to_value(app.deployments().get("web").await.unwrap()).unwrap();
    wanted["apiVersion"] = json!("apps/v1");
    wanted["kind"] = json!("Deployment");
    json_patch::merge(&mut wanted["spec"]["template"]["spec"], &spec);
    EditDeployment { cluster: Some(CLUSTER.into()), namespace: Some(app.namespace.clone()), wanted }
}

fn adoption(app: &App) -> Adopt {
    Adopt {
        name: "web".into(),
        cluster: CLUSTER.into(),
        namespace: app.namespace.clone(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>, parts: &[&str]) {
    let refusal = result.expect_err("it must be refused").to_string();
    for part in parts {
        assert!(refusal.contains(part), "{part} in: {refusal}");
    }
}

async fn orders(app: &App, application: ApplicationId) -> usize {
    app.service.recent_orders(application).await.unwrap().len()
}

async fn live_spec(app: &App) -> Value {
    let live = app.deployments().get("web").await.unwrap();
    serde_json::to_value(live.spec.unwrap().template.spec.unwrap()).unwrap()
}

async fn a_privileged_pod_with_the_nodes_root_folder_does_not_run(app: App) {
    let created = with(&app, &[team(&app)], CREATE)
        .create_application(&caller(), creation(&app.namespace, "web", 1))
        .await;
    let (application, order) = created.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    let before = (orders(&app, application).await, live_spec(&app).await);

    let named = [
        "spec.volumes[root].hostPath is /",
        "spec.containers[web].securityContext.privileged is true",
        "level baseline of Pod Security",
        "edas:UsePodSecurityPrivileged",
    ];
    let edit = with(&app, &[team(&app)], EDIT);
    refused(edit.edit_deployment(&caller(), text(&app, attack()).await).await, &named);
    for (spec, part) in [
        (
            json!({ "hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet" }),
            "spec.hostNetwork",
        ),
        (json!({ "serviceAccountName": "builder" }), "edas:UseServiceAccount"),
        (json!({ "automountServiceAccountToken": true }), "spec.automountServiceAccountToken"),
        (json!({ "nodeName": "node-1" }), "edas:UseNode"),
        (json!({ "tolerations": [{ "operator": "Exists" }] }), "edas:UseControlPlane"),
    ] {
        refused(edit.edit_deployment(&caller(), text(&app, spec).await).await, &[part]);
    }
    let after = (orders(&app, application).await, live_spec(&app).await);
    assert_eq!(after, before, "nothing was written");

    // Whoever the level is granted to may.
    let exceptions = Exceptions { pod_security: Some(Level::Privileged), ..Exceptions::default() };
    let edit = with(&app, &[with_exceptions(&app, exceptions)], EDIT);
    let order = edit.edit_deployment(&caller(), text(&app, attack()).await).await.unwrap();
    let order = app.end_of(order.unwrap()).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert_eq!(live_spec(&app).await["containers"][0]["securityContext"]["privileged"], true);
}

async fn a_privileged_deployment_is_adopted_by_nobody_who_may_not_ask_for_it(app: App) {
    foreign(&app, "web", 1, json!({ "template": { "spec": attack() } })).await;
    let creates = with(&app, &[team(&app)], CREATE);
    let named = ["spec.volumes[root].hostPath is /", "edas:UsePodSecurityPrivileged"];
    refused(creates.adopt(&caller(), adoption(&app)).await, &named);
    let request = creation(&app.namespace, "web", 1);
    refused(creates.create_application(&caller(), request).await, &named);
    assert!(app.service.applications(None).await.unwrap().is_empty());
    adopt(&app, "web").await;
}

async fn a_release_of_an_adopted_privileged_deployment_changes_its_image_and_adds_nothing(
    app: App,
) {
    let more = json!({ "template": { "spec": attack() } });
    let application = adopted(&app, "web", 1, more).await;
    let releases = with(&app, &[team(&app)], Action::RELEASE);
    let request = release(application, "shop/web:2.0", batches(1));
    let report = releases.preview(&caller(), request.clone()).await.unwrap();
    assert!(report.refusal().is_none(), "{report:#?}");
    let order = releases.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    assert!(order.notes.iter().any(|it| it.contains("keeps it: spec.volumes[root]")), "{order:#?}");
    let text = text(&app, json!({ "hostPID": true })).await;
    let edit = with(&app, &[team(&app)], EDIT);
    refused(edit.edit_deployment(&caller(), text).await, &["spec.hostPID is true"]);

    // Who is held to the whole of it releases nothing of the kind.
    let denied = policy(r#"{"Effect":"Deny","Action":"edas:KeepExcess","Resource":"*"}"#);
    let strict = with(&app, &[team(&app), denied], Action::RELEASE);
    let request = release(application, "shop/web:3.0", batches(1));
    let report = strict.preview(&caller(), request.clone()).await.unwrap();
    assert!(report.refusal().unwrap().reason.contains("privileged is true"), "{report:#?}");
    refused(strict.deploy(&caller(), request).await, &["privileged is true"]);
}

/// An application that ran a privileged version once, by an admin. Returns that version.
async fn once_privileged(app: &App) -> (ApplicationId, domain::ReleaseId) {
    let application = app.create("web", 1).await;
    let order = app.service.edit_deployment(&caller(), text(app, attack()).await).await.unwrap();
    assert_eq!(app.end_of(order.unwrap()).await.state, State::Succeeded);
    let history = app.service.history(application).await.unwrap();
    let order = app.service.deploy(&caller(), version(application, history[1].id)).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    (application, history[0].id)
}

fn version(application: ApplicationId, release_id: domain::ReleaseId) -> Deploy {
    Deploy {
        spec: SpecChange::default(),
        release: Some(release_id),
        ..release(application, "", batches(1))
    }
}

async fn a_version_of_the_history_is_judged_like_a_new_one(app: App) {
    let (application, privileged) = once_privileged(&app).await;
    let before = orders(&app, application).await;
    let releases = with(&app, &[team(&app)], Action::RELEASE);
    let named = ["spec.volumes[root].hostPath is /", "edas:UsePodSecurityPrivileged"];
    refused(releases.deploy(&caller(), version(application, privileged)).await, &named);
    assert_eq!(orders(&app, application).await, before);
    let restarts = with(&app, &[team(&app)], Action::RESTART);
    let order = restarts.restart(&caller(), application, None).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded, "what is there is restarted");
}

async fn an_order_that_nobody_could_judge_is_judged_when_it_begins(mut app: App) {
    let (application, privileged) = once_privileged(&app).await;
    app.stop_executor().await;
    let releases = with(&app, &[team(&app)], Action::RELEASE);
    let order = eventually(async || {
        let request = version(application, privileged);
        releases.deploy(&caller(), request).await.map_err(|why| why.to_string())
    })
    .await;
    app.start_executor(std::time::Duration::from_secs(2));
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let object =
        format!("Guardrails namespace/{}/application/web order/{}", app.namespace, order.id);
    let on_record = app.store.begin().await.unwrap().audit_entries_to_log(1000).await.unwrap();
    let refused = &on_record.last().unwrap().entry;
    assert_eq!((refused.operation.as_str(), &refused.object), ("sluice:begin_order", &object));
    assert_eq!((refused.outcome, refused.principal.as_str()), (Outcome::Refused, "tester"));
    assert!(order.message.contains("securityContext.privileged is true"), "{}", order.message);
    assert_eq!(
        live_spec(&app).await["containers"][0]["securityContext"]["privileged"],
        Value::Null
    );
}

async fn a_failed_batch_is_tried_again_by_those_who_may_ask_for_its_version(app: App) {
    let stays = FailurePolicy { grace_seconds: 1, roll_back: false, ..FailurePolicy::default() };
    let app = app.tolerating(stays);
    app.create("web", 2).await;
    let mut spec = attack();
    spec["containers"][0]["image"] = json!("shop/web:2.0--image-pull-error");
    let order = app.service.edit_deployment(&caller(), text(&app, spec).await).await.unwrap();
    let failed = app.end_of(order.unwrap()).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    let retries = with(&app, &[team(&app)], Action::RETRY);
    let again = eventually(async || {
        let retried = retries.retry(&caller(), failed.batches[0].id).await;
        retried.map_err(|why| why.to_string())
    })
    .await;
    let again = app.end_of(again).await;
    assert_eq!(again.state, State::Failed);
    assert!(again.message.contains("securityContext.privileged is true"), "{}", again.message);
}

async fn a_rollback_is_never_refused_and_tells_what_comes_back(app: App) {
    let app = app.tolerating(FailurePolicy { grace_seconds: 1, ..FailurePolicy::default() });
    let application = adopted(&app, "web", 1, json!({ "template": { "spec": attack() } })).await;
    let releases = with(&app, &[team(&app)], Action::RELEASE);
    let request = release(application, "shop/web:2.0--image-pull-error", batches(1));
    let order = app.end_of(releases.deploy(&caller(), request).await.unwrap()).await;
    assert_eq!(order.state, State::Failed, "{order:#?}");
    let rollback = order.rolled_back_by.expect("it is rolled back automatically");
    let rollback = app.end_of(rollback).await;
    assert_eq!(rollback.state, State::Succeeded, "{rollback:#?}");
    let told = rollback.notes.join("\n");
    assert!(told.contains("comes back all the same") && told.contains("hostPath"), "{told}");
    assert_eq!(live_spec(&app).await["containers"][0]["image"], "shop/web:1.0");
}

async fn a_deployment_of_helms_is_adopted_and_released_and_never_deleted(app: App) {
    let mut made = json!({ "metadata": { "name": "web" } });
    made["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "Helm" });
    made["metadata"]["annotations"] = json!({ "meta.helm.sh/release-name": "shop" });
    foreign(&app, "web", 1, json!({})).await;
    let patch = kube::api::Patch::Merge(&made);
    app.deployments().patch("web", &Default::default(), &patch).await.unwrap();
    let creates = with(&app, &[team(&app)], CREATE);
    let application = eventually(async || {
        creates.adopt(&caller(), adoption(&app)).await.map_err(|why| why.to_string())
    })
    .await
    .0;
    let request = release(application, "shop/web:2.0", batches(1));
    let releases = with(&app, &[team(&app)], Action::RELEASE);
    let order = app.end_of(releases.deploy(&caller(), request).await.unwrap()).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");

    let before = orders(&app, application).await;
    let deletes = with(&app, &[team(&app)], DELETE);
    refused(deletes.delete(&caller(), application).await, &["edas:DeleteAdoptedDeployment"]);
    let helm = ["belongs to Helm (release shop)", "keep its Deployment"];
    refused(app.service.delete(&caller(), application).await, &helm);
    assert_eq!(orders(&app, application).await, before);
    let order = deletes.forget(&caller(), application).await.unwrap();
    assert_eq!(app.service.order(order).await.unwrap().state, State::Succeeded);
    assert!(app.deployments().get_opt("web").await.unwrap().is_some(), "it runs on");
}

async fn an_adopted_deployment_is_deleted_by_those_who_are_allowed_to(app: App) {
    let application = adopted(&app, "web", 1, json!({})).await;
    let refusal = with(&app, &[team(&app)], DELETE).delete(&caller(), application).await;
    let Err(Error::Rejected(Rejection::NotAllowed { action, resource })) = refusal else {
        panic!("{refusal:?}")
    };
    assert_eq!(action, "edas:DeleteAdoptedDeployment");
    assert_eq!(resource.unwrap(), format!("namespace/{}/application/web", app.namespace));
    let allowed = policy(
        r#"{"Effect":"Allow","Action":"edas:DeleteAdoptedDeployment","Resource":"acs:edas:*:*:namespace/*"}"#,
    );
    let deletes = with(&app, &[team(&app), allowed], DELETE);
    let order = deletes.delete(&caller(), application).await.unwrap();
    assert_eq!(app.end_of(order).await.state, State::Succeeded);
    assert!(app.deployments().get_opt("web").await.unwrap().is_none());
}

#[test]
fn the_document_lists_what_the_program_knows() {
    let text =
        std::fs::read_to_string(crate::documents::root().join("docs/guardrails.md")).unwrap();
    let listed = |heading: &str, end: &str| -> Vec<String> {
        let after = text.split_once(heading).expect("it has the list").1;
        let list = after.split_once(end).expect("it has an end").0;
        list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let obeyed = listed("## Annotations that other controllers obey", "Annotations of AppArmor");
    assert_eq!(obeyed, OBEYED_ANNOTATIONS);
    assert_eq!(listed("without a domain, and these:", "- **Load"), INGRESS_ANNOTATIONS);
    for action in Action::OF_GUARDRAILS {
        assert!(text.contains(&format!("`{}`", action.shown())), "{}", action.shown());
    }
}
