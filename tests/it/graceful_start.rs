//! Graceful start: what of it a plain cluster does, told where it does not, kept for
//! later versions and taken out again. Each check runs on the simulated cluster and on
//! a real control plane.

use domain::{
    ApplicationId,
    order::{State, plan::Strategy},
    template::{
        graceful_start::GracefulStartChange,
        spec::{Field, SpecChange},
    },
};
use k8s_openapi::api::apps::v1::DeploymentSpec;
use serde_json::{Value, json};
use service::{Deploy, OrderView};
use sqlx::PgPool;

use crate::support::{App, batches, caller, on_both_clusters, release};

const NEW: &str = "shop/web:2.0";

/// Seconds for which new pods must be warm.
const WARM_UP: i32 = 3;

on_both_clusters!(
    old_pods_stay_until_new_ones_are_warm_and_the_users_settings_come_back,
    batches_wait_for_the_warm_up_too,
    the_rule_holds_for_later_versions_and_goes_back_with_a_rollback,
);

async fn spec(app: &App) -> DeploymentSpec {
    app.deployments().get("web").await.unwrap().spec.unwrap()
}

/// The application's container, as JSON.
async fn container(app: &App) -> Value {
    json!(spec(app).await.template.spec.unwrap().containers[0])
}

fn warm() -> GracefulStartChange {
    GracefulStartChange {
        on: Some(true),
        delay_seconds: Some(1),
        warm_up_seconds: Some(WARM_UP),
        ..GracefulStartChange::default()
    }
}

async fn released(
    app: &App,
    application: ApplicationId,
    strategy: Strategy,
    spec: SpecChange,
) -> OrderView {
    let request =
        Deploy { spec, notes: vec!["told".into()], ..release(application, NEW, strategy) };
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    order
}

/// The order took as long as the warm-up of so many groups of pods, one after another.
/// Kubernetes tells since when a pod is Ready in whole seconds, cut off.
fn assert_waited(order: &OrderView, groups: i32) {
    let took = order.finished_at.unwrap().duration_since(order.created_at).as_secs();
    assert!(took >= i64::from((WARM_UP - 1) * groups), "{took} s: {order:#?}");
}

async fn old_pods_stay_until_new_ones_are_warm_and_the_users_settings_come_back(app: App) {
    let application = app.create("web", 2).await;
    let before = spec(&app).await;
    let change =
        SpecChange { image: Some(NEW.into()), graceful_start: warm(), ..SpecChange::default() };
    let order = released(&app, application, Strategy::ALL_AT_ONCE, change).await;
    // Of two pods one comes beside the old ones at a time.
    assert_waited(&order, 2);
    let after = spec(&app).await;
    let kept = |spec: &DeploymentSpec| {
        (
            spec.min_ready_seconds,
            spec.progress_deadline_seconds,
            spec.strategy.clone(),
            spec.replicas,
        )
    };
    assert_eq!(kept(&after), kept(&before));
    assert_eq!(
        container(&app).await["lifecycle"],
        json!({ "preStop": { "sleep": { "seconds": 5 } } })
    );
    // What has no effect is on the order, and so is what was warned of.
    assert_eq!(order.notes[0], "told");
    assert!(
        order.notes.iter().any(|note| note.starts_with("Readiness: ")
            && note.ends_with("graceful start needs one, too")),
        "{order:#?}"
    );
}

async fn batches_wait_for_the_warm_up_too(app: App) {
    let application = app.create("web", 2).await;
    let change =
        SpecChange { image: Some(NEW.into()), graceful_start: warm(), ..SpecChange::default() };
    let order = released(&app, application, batches(2), change).await;
    assert_waited(&order, 2);
}

async fn the_rule_holds_for_later_versions_and_goes_back_with_a_rollback(app: App) {
    let application = app.create("web", 1).await;
    let before = container(&app).await;
    let probe = |path: &str| json!({ "httpGet": { "path": path, "port": 80 } });
    let probed = |path: &str, graceful_start| SpecChange {
        readiness: Field::Set(probe(path)),
        graceful_start,
        ..SpecChange::default()
    };
    released(&app, application, Strategy::ALL_AT_ONCE, probed("/a", warm())).await;
    released(
        &app,
        application,
        Strategy::ALL_AT_ONCE,
        probed("/b", GracefulStartChange::default()),
    )
    .await;
    let shown = container(&app).await;
    assert_eq!(
        (
            &shown["readinessProbe"]["httpGet"]["path"],
            &shown["readinessProbe"]["initialDelaySeconds"]
        ),
        (&json!("/b"), &json!(1))
    );
    let off = GracefulStartChange { on: Some(false), ..GracefulStartChange::default() };
    let order = released(
        &app,
        application,
        Strategy::ALL_AT_ONCE,
        SpecChange { graceful_start: off, ..SpecChange::default() },
    )
    .await;
    let shown = container(&app).await;
    assert_eq!(
        (shown.get("lifecycle"), shown["readinessProbe"].get("initialDelaySeconds")),
        (before.get("lifecycle"), None)
    );
    let rollback = app.service.roll_back(&caller(), order.id).await.unwrap();
    assert_eq!(app.end_of(rollback).await.state, State::Succeeded);
    assert_eq!(container(&app).await["readinessProbe"]["initialDelaySeconds"], 1);
}
