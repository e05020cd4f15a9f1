//! The cluster says no for a while, or nothing at all: a right is taken away, a credential does
//! not count any more, a webhook is down, the API server hangs or is gone. That is told, does not
//! count against pods, and ends by itself; nothing that was borrowed stays.

use std::time::Duration;

use ::simulated::{Call, Fault};
use domain::{
    ApplicationId, OrderId,
    order::{FailurePolicy, State, plan::Strategy},
    template::spec::{EnvVar, Field, SpecChange},
};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    core::v1::Pod,
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use service::OrderView;
use sqlx::PgPool;

use crate::support::{
    App, Running, caller, eventually, manual, on_both_clusters,
    proxy::{Proxy, Way},
    real as real_cluster, release,
};

mod credential;
mod edges;
mod readiness;

const NEW: &str = "shop/web:2.0";
const THEIRS: &str = "shop/web:3.0";

/// Longer than a heartbeat takes, shorter than any test's patience.
const LEASE: Duration = Duration::from_secs(2);

/// Readiness is honest after so long.
const HONEST_WITHIN: Duration = Duration::from_secs(5);

on_both_clusters!(
    a_right_that_is_taken_away_for_a_moment_ends_neither_an_order_nor_its_way_back,
    a_right_that_stays_away_ends_the_order_by_name_and_the_way_back_is_made_once_it_is_back,
    a_version_that_somebody_released_before_the_way_back_could_be_made_stays,
    a_webhook_that_is_down_for_a_while_is_named_and_does_not_count_against_pods,
    an_order_that_a_webhook_keeps_from_beginning_ends_at_its_time_and_leaves_nothing_borrowed,
    an_api_server_that_is_gone_for_longer_than_a_batch_may_take_fails_no_batch,
    an_api_server_that_hangs_for_longer_than_a_batch_may_take_fails_no_batch,
);

/// A release of `pods` that may take so many seconds a batch.
async fn deploy(
    app: &App,
    application: ApplicationId,
    image: &str,
    by: (Strategy, i64),
) -> OrderId {
    let mut release = release(application, image, by.0);
    release.batch_timeout_seconds = Some(by.1);
    app.service.deploy(&caller(), release).await.unwrap()
}

fn is_ours(call: &Call) -> bool {
    call.verb == "patch"
        && call.resource == "deployments"
        && call.manager == "sluice"
        && !call.dry_run
}

async fn says(app: &App, order: OrderId, what: &str) -> OrderView {
    app.order_when(order, |it| it.state.is_final() || it.message.contains(what)).await
}

/// The Deployment has its own settings, and this image.
async fn is_as_before(app: &App, image: &str) {
    eventually(async || {
        let now = app.deployments().get("web").await.unwrap();
        let is_borrowed = now.annotations().contains_key("sluice.dev/borrowed-settings");
        let spec = now.spec.unwrap();
        let rolling = spec.strategy.as_ref().and_then(|it| it.rolling_update.clone()).unwrap();
        let rolling = serde_json::to_value(rolling).unwrap();
        let found = spec.template.spec.unwrap().containers[0].image.clone();
        let is_whole = !is_borrowed
            && rolling == json!({ "maxSurge": "25%", "maxUnavailable": "25%" })
            && spec.min_ready_seconds.unwrap_or(0) == 0
            && !spec.paused.unwrap_or(false)
            && found.as_deref() == Some(image);
        if is_whole {
            Ok(())
        } else {
            Err(format!(
                "{is_borrowed} {rolling} {:?} {:?} {found:?}",
                spec.min_ready_seconds, spec.paused
            ))
        }
    })
    .await;
}

/// Waits until the first batch is done, and the Deployment was paused for the next one.
async fn rests(app: &App, order: OrderId) {
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    eventually(async || {
        let spec = app.deployments().get("web").await.unwrap().spec.unwrap();
        if spec.paused == Some(true) { Ok(()) } else { Err("it is not paused".to_owned()) }
    })
    .await;
}

async fn ends_well(app: &App, order: OrderId) {
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
}

/// The right to write Deployments, of the executor of a test.
struct Right {
    role: Option<String>,
}

impl Right {
    /// On a real cluster the executor becomes a user who may do anything, by two roles: one to
    /// look and one to write.
    async fn of(app: &mut App) -> Self {
        if app.simulation.is_some() {
            return Self { role: None };
        }
        let user = format!("sluice-{}", app.namespace);
        let looks = format!("looks-{}", app.namespace);
        let writes = format!("writes-{}", app.namespace);
        let verbs = json!(["get", "list", "watch"]);
        for (name, verbs) in [(&looks, verbs), (&writes, json!(["*"]))] {
            let role: ClusterRole = serde_json::from_value(json!({
                "metadata": { "name": name },
                "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": verbs }],
            }))
            .unwrap();
            let roles: Api<ClusterRole> = Api::all(app.client.clone());
            roles.create(&PostParams::default(), &role).await.unwrap();
            bind(app, name, &user).await;
        }
        let client = real_cluster::as_user(&user).await;
        let next = Running::start(&app.store, client, &app.clock, LEASE);
        std::mem::replace(&mut app.executor, next).stop().await;
        Self { role: Some(writes) }
    }

    async fn take(&self, app: &App) {
        match (&self.role, &app.simulation) {
            (Some(role), _) => {
                let bindings: Api<ClusterRoleBinding> = Api::all(app.client.clone());
                bindings.delete(role, &DeleteParams::default()).await.unwrap();
            }
            (None, Some(simulation)) => simulation.fail_next(usize::MAX, Fault::Deny, is_ours),
            (None, None) => unreachable!(),
        }
    }

    async fn give(&self, app: &App) {
        match (&self.role, &app.simulation) {
            (Some(role), _) => bind(app, role, &format!("sluice-{}", app.namespace)).await,
            (None, Some(simulation)) => simulation.clear_faults(),
            (None, None) => unreachable!(),
        }
    }
}

async fn bind(app: &App, role: &str, user: &str) {
    let group = "rbac.authorization.k8s.io";
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": role },
        "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": role },
        "subjects": [{ "apiGroup": group, "kind": "User", "name": user }],
    }))
    .unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(app.client.clone());
    bindings.create(&PostParams::default(), &binding).await.unwrap();
}

async fn a_right_that_is_taken_away_for_a_moment_ends_neither_an_order_nor_its_way_back(
    mut app: App,
) {
    let right = Right::of(&mut app).await;
    let application = app.create("web", 4).await;
    let order = deploy(&app, application, NEW, (manual(2), 60)).await;
    rests(&app, order).await;
    right.take(&app).await;
    app.confirm(order, 2).await;
    let told = says(&app, order, "cannot patch resource").await;
    assert_eq!(told.state, State::Running, "{told:#?}");
    assert!(told.message.starts_with("the change cannot be made now, and it is tried again"));
    eventually(async || match app.service.readiness().await {
        Err(service::Unready::Cluster(why)) if why.contains("cannot patch resource") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    let told = says(&app, back, "cannot patch resource").await;
    assert_eq!(told.state, State::Running, "{told:#?}");
    right.give(&app).await;
    ends_well(&app, back).await;
    is_as_before(&app, "shop/web:1.0").await;
    eventually(async || app.service.readiness().await.map_err(|it| it.to_string())).await;

    // The same without a way back.
    let order = deploy(&app, application, NEW, (manual(2), 60)).await;
    rests(&app, order).await;
    right.take(&app).await;
    app.confirm(order, 2).await;
    says(&app, order, "cannot patch resource").await;
    right.give(&app).await;
    ends_well(&app, order).await;
    is_as_before(&app, NEW).await;
}

async fn a_right_that_stays_away_ends_the_order_by_name_and_the_way_back_is_made_once_it_is_back(
    app: App,
) {
    let policy = FailurePolicy { grace_seconds: 4, ..FailurePolicy::default() };
    let mut app = app.tolerating(policy);
    let right = Right::of(&mut app).await;
    let application = app.create("web", 4).await;
    let order = deploy(&app, application, NEW, (manual(2), 5)).await;
    rests(&app, order).await;
    right.take(&app).await;
    app.confirm(order, 2).await;
    let failed = app.end_of(order).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    let is_named = failed.message.contains("for 4 s: the change cannot be made")
        && failed.message.contains("cannot patch resource");
    assert!(is_named, "{}", failed.message);
    let back = failed.rolled_back_by.expect("it is rolled back");
    let late = app.end_of(back).await;
    assert_eq!(late.state, State::Failed, "{late:#?}");
    assert!(late.message.contains("it comes back as soon as that is possible"), "{late:#?}");
    // It is still to be made: that is the way back.
    assert_eq!(app.service.roll_back(&caller(), order).await.unwrap(), back);
    right.give(&app).await;
    is_as_before(&app, "shop/web:1.0").await;
    let made = says(&app, back, "was brought back later").await;
    assert!(made.message.contains("was brought back later"), "{made:#?}");
    eventually(async || match app.service.roll_back(&caller(), order).await {
        Err(why) if why.to_string().contains("which failed") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    ends_well(&app, deploy(&app, application, NEW, (manual(1), 60)).await).await;
}

async fn a_version_that_somebody_released_before_the_way_back_could_be_made_stays(app: App) {
    let policy = FailurePolicy { grace_seconds: 4, ..FailurePolicy::default() };
    let mut app = app.tolerating(policy);
    let right = Right::of(&mut app).await;
    let application = app.create("web", 4).await;
    let order = deploy(&app, application, NEW, (manual(2), 5)).await;
    rests(&app, order).await;
    right.take(&app).await;
    app.confirm(order, 2).await;
    let back = app.end_of(order).await.rolled_back_by.expect("it is rolled back");
    assert_eq!(app.end_of(back).await.state, State::Failed);
    let theirs = json!([
        { "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": THEIRS },
    ]);
    let theirs = Patch::<()>::Json(serde_json::from_value(theirs).unwrap());
    let by = PatchParams { field_manager: Some("kubectl-set".into()), ..PatchParams::default() };
    app.deployments().patch("web", &by, &theirs).await.unwrap();
    right.give(&app).await;
    is_as_before(&app, THEIRS).await;
    let words = "kubectl-set changed the Deployment's pod template";
    let told = app.order_when(back, |it| it.message.contains(words)).await;
    assert_eq!(told.state, State::Failed, "{told:#?}");
    // What comes next builds on that version.
    let mut request = release(application, "", manual(1));
    let env = Field::Set(vec![EnvVar::plain("COLOUR", "green")]);
    request.spec = SpecChange { env, ..SpecChange::default() };
    ends_well(&app, app.service.deploy(&caller(), request).await.unwrap()).await;
    is_as_before(&app, THEIRS).await;
}

/// A webhook that must be asked before a Deployment changes, and does not answer.
async fn webhook_goes_down(app: &App) {
    if let Some(simulation) = &app.simulation {
        return simulation.fail_next(usize::MAX, Fault::Refuse(500), is_ours);
    }
    let hook: ValidatingWebhookConfiguration = serde_json::from_value(json!({
        "metadata": { "name": format!("down-{}", app.namespace) },
        "webhooks": [{
            "name": "down.sluice.test",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": app.namespace } },
            "rules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments"] }],
            "clientConfig": { "service": { "namespace": app.namespace, "name": "nobody" } },
        }],
    }))
    .unwrap();
    let hooks: Api<ValidatingWebhookConfiguration> = Api::all(app.client.clone());
    hooks.create(&PostParams::default(), &hook).await.unwrap();
    // The API server notices it a moment later.
    eventually(async || {
        let nothing = json!({ "metadata": { "annotations": { "test": "x" } } });
        let parameters = PatchParams { dry_run: true, ..PatchParams::default() };
        match app.deployments().patch("web", &parameters, &Patch::Merge(nothing)).await {
            Err(kube::Error::Api(status)) if status.code == 500 => Ok(()),
            other => Err(format!("{:?}", other.map(|it| it.name_any()))),
        }
    })
    .await;
}

async fn webhook_is_gone(app: &App) {
    if let Some(simulation) = &app.simulation {
        return simulation.clear_faults();
    }
    let hooks: Api<ValidatingWebhookConfiguration> = Api::all(app.client.clone());
    let name = format!("down-{}", app.namespace);
    hooks.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// What it says of a webhook that is down.
fn words(app: &App) -> &'static str {
    if app.simulation.is_some() { "500" } else { "down.sluice.test" }
}

async fn a_webhook_that_is_down_for_a_while_is_named_and_does_not_count_against_pods(app: App) {
    let application = app.create("web", 1).await;
    webhook_goes_down(&app).await;
    let order = deploy(&app, application, "shop/web:2.0--never-ready", (manual(1), 60)).await;
    let told = says(&app, order, words(&app)).await;
    assert_eq!(told.state, State::Running, "{told:#?}");
    // Close to the end of the batch's time.
    app.clock.advance(50);
    webhook_is_gone(&app).await;
    app.order_when(order, |it| it.state.is_final() || !it.message.contains("cannot be made")).await;
    // Past the end of it, if that time counted.
    app.clock.advance(30);
    new_pod_becomes_ready(&app, "shop/web:2.0--never-ready").await;
    ends_well(&app, order).await;
    is_as_before(&app, "shop/web:2.0--never-ready").await;
}

async fn an_order_that_a_webhook_keeps_from_beginning_ends_at_its_time_and_leaves_nothing_borrowed(
    app: App,
) {
    let application = app.create("web", 2).await;
    webhook_goes_down(&app).await;
    let order = deploy(&app, application, NEW, (manual(2), 30)).await;
    says(&app, order, words(&app)).await;
    app.clock.advance(30);
    let failed = app.end_of(order).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    assert!(
        failed.message.contains("for 30 s") && failed.message.contains(words(&app)),
        "{failed:#?}"
    );
    let back = failed.rolled_back_by.expect("its write may have been made");
    says(&app, back, words(&app)).await;
    app.clock.advance(30);
    assert_eq!(app.end_of(back).await.state, State::Failed);
    webhook_is_gone(&app).await;
    is_as_before(&app, "shop/web:1.0").await;
    ends_well(&app, deploy(&app, application, NEW, (manual(1), 60)).await).await;
}

/// Makes the pod of the new version say that it is Ready, again and again: the kubelet of the
/// test bed may write its status besides.
async fn new_pod_becomes_ready(app: &App, image: &str) {
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    eventually(async || {
        let all = pods.list(&ListParams::default()).await.unwrap();
        let is_new =
            |pod: &&Pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some(image);
        let Some(pod) = all.iter().find(is_new) else { return Err("no new pod".to_owned()) };
        let status = pod.status.as_ref();
        if status.and_then(|it| it.phase.as_deref()) != Some("Running") {
            return Err("it does not run".to_owned());
        }
        let now = k8s_openapi::jiff::Timestamp::now().to_string();
        let conditions: Vec<_> = ["Ready", "ContainersReady"]
            .map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": now }))
            .into();
        let status = json!({ "status": { "conditions": conditions } });
        let written = pods
            .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(status))
            .await;
        written.map(|_| ()).map_err(|error| error.to_string())
    })
    .await;
}

async fn fails_no_batch(mut app: App, way: Way) {
    let image = "shop/web:2.0--never-ready";
    let (proxy, client) = Proxy::of(&app).await;
    let next = Running::start(&app.store, client, &app.clock, LEASE);
    std::mem::replace(&mut app.executor, next).stop().await;
    let application = app.create("web", 1).await;
    let order = deploy(&app, application, image, (manual(1), 30)).await;
    app.order_when(order, |it| it.batches[0].pods.len() == 1).await;
    proxy.set(way);
    let told = says(&app, order, "nothing of the cluster can be seen now").await;
    assert_eq!(told.state, State::Running, "{told:#?}");
    app.clock.advance(45);
    // Nothing ends meanwhile: it is told again, and again.
    let again = says(&app, order, "it is tried again").await;
    assert_eq!(again.state, State::Running, "{again:#?}");
    new_pod_becomes_ready(&app, image).await;
    proxy.set(Way::Open);
    ends_well(&app, order).await;
    is_as_before(&app, image).await;
}

async fn an_api_server_that_is_gone_for_longer_than_a_batch_may_take_fails_no_batch(app: App) {
    fails_no_batch(app, Way::Gone).await;
}

async fn an_api_server_that_hangs_for_longer_than_a_batch_may_take_fails_no_batch(app: App) {
    fails_no_batch(app, Way::Hangs).await;
}
