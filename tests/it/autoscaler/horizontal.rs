//! The autoscaler of Kubernetes itself, which keeps its bounds without any metrics. On the real
//! control plane alone, which has it.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::PostParams;

use super::*;

/// It looks every 15 s.
struct Bounds<'a>(&'a App);

impl Bounds<'_> {
    fn all(&self) -> Api<HorizontalPodAutoscaler> {
        Api::namespaced(self.0.client.clone(), &self.0.namespace)
    }

    async fn create(&self, least: i32, most: i32) {
        let autoscaler = json!({
            "metadata": { "name": "web" },
            "spec": {
                "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
                "minReplicas": least, "maxReplicas": most,
                "metrics": [{ "type": "Resource", "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } }],
            },
        });
        let autoscaler = serde_json::from_value(autoscaler).unwrap();
        self.all().create(&PostParams::default(), &autoscaler).await.unwrap();
    }

    async fn set(&self, least: i32, most: i32) {
        let bounds = json!({ "spec": { "minReplicas": least, "maxReplicas": most } });
        self.all().patch("web", &PatchParams::default(), &Patch::Merge(bounds)).await.unwrap();
    }
}

async fn is_scaled_to(app: &App, replicas: i32) {
    let live = app.deployments().get("web").await.unwrap();
    assert_eq!(live.spec.as_ref().unwrap().replicas, Some(replicas));
    let owners = live.metadata.managed_fields.unwrap_or_default();
    let by_scale = owners.iter().any(|it| it.subresource.as_deref() == Some("scale"));
    assert!(by_scale, "the autoscaler did that: {owners:?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_horizontal_pod_autoscaler_scales_a_canary_that_waits_up_and_down(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    let mut walk = Walk::new(&app, order, canary(3, 1)).await;
    Bounds(&app).create(24, 40).await;
    assert!(walk.follow(24).await, "the order waits");
    is_scaled_to(&app, 24).await;
    at_rest(&app, order, &watch, 24, (6, 8)).await;
    Bounds(&app).set(4, 8).await;
    assert!(walk.follow(8).await, "the order waits");
    is_scaled_to(&app, 8).await;
    at_rest(&app, order, &watch, 8, (2, 3)).await;
    // No Ready pod went that is asked for now.
    let seen = walk.watch.so_far();
    assert!(seen.iter().all(|it| it.ready >= 8), "{:?} {seen:#?}", walk.seen);
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    is_scaled_to(&app, 8).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_horizontal_pod_autoscaler_scales_batches_in_motion_up_and_down(pool: PgPool) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 10).await;
    // It looks twice at least while a batch is in motion.
    let mut request = release(application, NEW, batches(2));
    request.min_ready_seconds = Some(35);
    request.batch_timeout_seconds = Some(600);
    let order = app.service.deploy(&caller(), request).await.unwrap();
    let mut walk = Walk::new(&app, order, batches(2)).await;
    app.order_when(order, |it| it.state == State::Running).await;
    for (index, least, most) in [(0, 14, 40), (1, 4, 8)] {
        app.order_when(order, |it| it.batches[index].state == State::Running).await;
        let replicas = if index == 0 { least } else { most };
        if index == 0 {
            Bounds(&app).create(least, most).await;
        } else {
            Bounds(&app).set(least, most).await;
        }
        assert!(walk.follow(replicas).await, "the order has not ended");
        is_scaled_to(&app, replicas).await;
        let now = app.service.order(order).await.unwrap();
        assert_eq!(now.batches[index].state, State::Running, "{now:#?}");
    }
    let seen = walk.watch.so_far();
    assert!(seen.iter().all(|it| it.ready >= 8), "{:?} {seen:#?}", walk.seen);
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    is_scaled_to(&app, 8).await;
}
