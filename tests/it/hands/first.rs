//! A hand between the decision to begin and the order's first write. It can only be met
//! where that write is held up, on the simulated cluster.

use ::simulated::{Call, Fault};

use super::*;

const THEIRS: &str = "shop/web:1.1";

fn image_of(spec: &Value) -> &str {
    spec["template"]["spec"]["containers"][0]["image"].as_str().unwrap()
}

/// A release whose first write is held up: it was decided, and is not made.
async fn held_up(app: &App, replicas: i32, strategy: Strategy) -> OrderId {
    let application = app.create("web", replicas).await;
    let is_ours = |call: &Call| {
        call.verb == "patch"
            && call.resource == "deployments"
            && call.manager == "sluice"
            && !call.dry_run
    };
    let simulation = app.simulation.as_ref().unwrap();
    simulation.fail_next(usize::MAX, Fault::Refuse(503), is_ours);
    let order = app.deploy(application, NEW, strategy).await;
    app.order_when(order, |it| it.message.contains("cannot be made now")).await;
    order
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn another_number_of_pods_just_before_a_canarys_write_brings_no_pod_beyond_it(pool: PgPool) {
    let app = App::start(pool).await;
    let order = held_up(&app, 2, canary(1, 1)).await;
    let watch = app.watch("web").await;
    // Half of them was one, and would be three.
    hand(&app, "kubectl-scale", json!({ "spec": { "replicas": 5 } })).await;
    app.simulation.as_ref().unwrap().clear_faults();
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    assert_eq!(watch.most(NEW), 1);
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert_eq!(watch.now().of(NEW), 5);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_image_that_is_set_just_before_an_orders_first_write_is_the_version_before(
    pool: PgPool,
) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let order = held_up(&app, 6, manual(3)).await;
    let container = json!([{ "name": "web", "image": THEIRS }]);
    let by = PatchParams { field_manager: Some("kubectl-set".into()), ..Default::default() };
    let patch = json!({ "spec": { "template": { "spec": { "containers": container } } } });
    app.deployments().patch("web", &by, &Patch::Strategic(patch)).await.unwrap();
    simulation.clear_faults();
    app.order_when(order, |it| it.state == State::WaitingConfirmation).await;
    assert_eq!(image_of(&spec(&app).await), NEW);
    let back = app.service.roll_back(&caller(), order).await.unwrap();
    let back = app.end_of(back).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    assert_eq!(image_of(&spec(&app).await), THEIRS, "theirs comes back, not the one before it");
}
