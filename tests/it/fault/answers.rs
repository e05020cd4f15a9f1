//! Answers of the API server that a client must heed: that it is busy and for how long, and that
//! a change is invalid.

use domain::order::plan::Strategy;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::*;
use crate::support::batches;

/// How often somebody touches the Deployment: each time wakes whoever drives its order.
const TOUCHES: usize = 20;

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_api_server_that_asks_for_time_is_not_asked_again_meanwhile_whatever_wakes_the_order(
    pool: PgPool,
) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    // Longer than all of what follows takes.
    simulation.fail_next(1, Fault::Throttle(30), move |call: &Call| {
        is_ours(call) && {
            counted.fetch_add(1, Ordering::Relaxed);
            true
        }
    });
    let seen = calls.clone();
    simulation.fail_next(usize::MAX, Fault::Refuse(500), move |call: &Call| {
        if is_ours(call) {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        false
    });
    let order = app.deploy(application, NEW, batches(2)).await;
    eventually(async || {
        let asked = calls.load(Ordering::Relaxed);
        if asked == 1 { Ok(()) } else { Err(format!("asked {asked} times")) }
    })
    .await;
    for touch in 0..TOUCHES {
        let labels = json!({ "metadata": { "labels": { "touched": touch.to_string() } } });
        let by = PatchParams { field_manager: Some("somebody".into()), ..PatchParams::default() };
        app.deployments().patch("web", &by, &Patch::Merge(labels)).await.unwrap();
        // The executor saw it: what it is asked about is answered from what its watches show.
        let touched = touch.to_string();
        eventually(async || {
            let shown = app.service.deployment(application).await.unwrap();
            if shown["metadata"]["labels"]["touched"] == touched.as_str() {
                Ok(())
            } else {
                Err(shown.to_string())
            }
        })
        .await;
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1, "it was asked once, and left alone");
    let done = app.end_of(order).await;
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert!(calls.load(Ordering::Relaxed) > 1);
}

/// Whoever answers so means it: the change is not made again and again.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_change_that_is_invalid_ends_the_release_in_the_api_servers_words_and_it_comes_back(
    pool: PgPool,
) {
    let app = App::start(pool).await;
    let simulation = app.simulation.clone().unwrap();
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    for (strategy, strikes_at) in
        [(Strategy::ALL_AT_ONCE, 1), (batches(3), 1), (batches(3), 2), (manual(3), 3)]
    {
        let calls = Arc::new(AtomicUsize::new(0));
        let order_calls = calls.clone();
        simulation.fail_next(1, Fault::Refuse(422), move |call: &Call| {
            is_ours(call) && order_calls.fetch_add(1, Ordering::Relaxed) + 1 == strikes_at
        });
        watch.so_far();
        let order = app.deploy(application, NEW, strategy).await;
        let failed = app.end_of(order).await;
        assert_eq!(failed.state, State::Failed, "{strikes_at}: {failed:#?}");
        assert!(failed.message.contains("the cluster refused the change: "), "{failed:#?}");
        if let Some(back) = failed.rolled_back_by {
            let back = app.end_of(back).await;
            assert_eq!(back.state, State::Succeeded, "{back:#?}");
        } else {
            assert_eq!(strikes_at, 1, "nothing was changed: {failed:#?}");
        }
        eventually(async || {
            let now = watch.now();
            if (now.of(OLD), now.of(NEW)) == (6, 0) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
        let live = app.deployments().get("web").await.unwrap();
        assert!(!live.metadata.annotations.unwrap().contains_key("sluice.dev/borrowed-settings"));
        let rolling = live.spec.unwrap().strategy.unwrap().rolling_update.unwrap();
        let rolling = serde_json::to_value(rolling).unwrap();
        assert_eq!(rolling, json!({ "maxSurge": "25%", "maxUnavailable": "25%" }));
        let seen = watch.so_far();
        assert!(seen.iter().all(|it| it.ready >= 6), "{strikes_at}: {seen:#?}");
        simulation.clear_faults();
    }
}
