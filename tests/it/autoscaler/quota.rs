//! An autoscaler asks for more pods than a quota allows. Only a real control plane has quotas.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{DeleteParams, PostParams};

use super::*;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_canary_that_waits_stands_scaling_past_a_quota_and_ends_well_once_it_is_lifted(
    pool: PgPool,
) {
    let app = App::start_real(pool).await;
    let application = app.create("web", 10).await;
    let order = app.deploy(application, NEW, canary(3, 1)).await;
    let watch = app.watch("web").await;
    at_rest(&app, order, &watch, 10, (3, 3)).await;
    let quotas: Api<ResourceQuota> = Api::namespaced(app.client.clone(), &app.namespace);
    let quota = json!({ "metadata": { "name": "few" }, "spec": { "hard": { "pods": "12" } } });
    quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
    eventually(async || {
        let status = quotas.get("few").await.unwrap().status;
        let used = status.and_then(|it| it.used).unwrap_or_default();
        if used.get("pods").is_some_and(|it| it.0 == "10") {
            Ok(())
        } else {
            Err(format!("{used:?}"))
        }
    })
    .await;
    watch.so_far();
    scale(&app, 20).await;
    let told = app.order_when(order, |it| it.message.contains("exceeded quota: few")).await;
    assert_eq!(told.state, State::WaitingConfirmation, "{told:#?}");
    let next = told.batches[1].id;
    let refused = app.service.confirm(&caller(), next, true).await.unwrap_err().to_string();
    assert!(refused.contains("exceeded quota: few"), "{refused}");
    eventually(async || {
        let all: i32 = watch.now().pods.values().sum();
        if all == 12 && watch.now().ready == 12 {
            Ok(())
        } else {
            Err(format!("{:?}", watch.now()))
        }
    })
    .await;
    quotas.delete("few", &DeleteParams::default()).await.unwrap();
    at_rest(&app, order, &watch, 20, (6, 7)).await;
    // 3 of 10 are 6 of 20.
    let seen = watch.so_far();
    assert!(seen.iter().all(|it| it.of(NEW) <= 6 + 1 && it.ready >= 10), "{seen:#?}");
    let well = app.order_when(order, |it| it.trouble.is_empty()).await;
    assert_eq!(well.state, State::WaitingConfirmation, "{well:#?}");
    app.confirm(order, 2).await;
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert!(watch.end().iter().all(|it| it.ready >= 20), "no pod is missing meanwhile");
}
