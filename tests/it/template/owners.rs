//! Who owns the number of pods after a stop and a start, as the real control plane judges it.

use domain::order::State;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use service::Start;
use sqlx::PgPool;

use super::web;
use crate::support::{App, caller, found::owners};

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_number_of_pods_is_its_owners_again_after_a_stop_and_a_start(pool: PgPool) {
    let app = App::start_real(pool).await;
    let mut deployment = web(json!({ "replicas": 2 }), json!({}));
    app.apply(&deployment, "ci").await.unwrap();
    app.rolled_out("web").await;
    let (application, _) = app.adopt("web", None).await.unwrap();
    let before = owners(&app.live("web").await);
    let stop = app.service.stop(&caller(), application, None).await.unwrap();
    assert_eq!(app.end_of(stop).await.state, State::Succeeded);
    let start = Start { application, replicas: None, timeout_seconds: None };
    let start = app.service.start(&caller(), start).await.unwrap();
    assert_eq!(app.end_of(start).await.state, State::Succeeded);
    assert_eq!(owners(&app.live("web").await), before);
    deployment["spec"]["replicas"] = json!(3);
    app.apply(&deployment, "ci").await.unwrap();
}

/// An autoscaler owns the number by the scale, and so does whoever scales by hand.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_number_of_pods_is_the_autoscalers_again_after_a_scale_and_its_way_back(pool: PgPool) {
    let app = App::start_real(pool).await;
    let deployment = web(json!({ "replicas": 2 }), json!({}));
    app.apply(&deployment, "ci").await.unwrap();
    app.rolled_out("web").await;
    let parameters =
        PatchParams { field_manager: Some("autoscaler".into()), ..PatchParams::default() };
    let four = Patch::Merge(json!({ "spec": { "replicas": 4 } }));
    app.objects().patch_scale("web", &parameters, &four).await.unwrap();
    app.rolled_out("web").await;
    let before = owners(&app.live("web").await);
    assert!(before["autoscaler Update scale"].is_object(), "{before:#}");
    let (application, _) = app.adopt("web", None).await.unwrap();
    let stop = app.service.stop(&caller(), application, None).await.unwrap();
    assert_eq!(app.end_of(stop).await.state, State::Succeeded);
    let start = Start { application, replicas: None, timeout_seconds: None };
    let start = app.service.start(&caller(), start).await.unwrap();
    assert_eq!(app.end_of(start).await.state, State::Succeeded);
    assert_eq!(owners(&app.live("web").await), before);
    let refused = app.apply(&deployment, "ci").await.unwrap_err();
    assert!(refused.contains("conflict with \"autoscaler\""), "{refused}");
}
