//! Releases on real pods, which a kubelet starts, probes and ends, while requests
//! come in through the application's Service all the time.
//!
//! They need the test bed's real node and its network, and are run by a step of
//! their own: `make test STEPS=kubelet`. Each prints what it measured.

mod package;
mod readiness;
mod site;
mod traffic;

use std::time::Instant;

use domain::{
    order::{FailurePolicy, State, plan::Strategy},
    template::spec::Field,
};
use serde_json::json;
use service::RollBackTo;
use sqlx::PgPool;

use crate::support::{batches, caller, canary, eventually, manual};
use site::{DRAIN, Site, V1, V2, ended_twice, no_image, probe, serve, waits};

/// Trouble that may pass is waited out for so long.
const GRACE: FailurePolicy =
    FailurePolicy { grace_seconds: 10, restarts: 1, watch_seconds: 0, roll_back: true };

// --- releases of a version that is well ---

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn all_at_once_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "all at once").await;
    let order = site.deploy(V2, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn three_batches_lose_no_request(pool: PgPool) {
    let site = Site::open(pool, "three automatic batches").await;
    let order = site.deploy(V2, batches(3)).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn batches_that_a_person_confirms_lose_no_request(pool: PgPool) {
    let site = Site::open(pool, "two manual batches").await;
    let order = site.deploy(V2, manual(2)).await;
    site.app.confirm_at_rest(order, 2, &site.watch, V2, 2).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_canary_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "a canary and one batch").await;
    let order = site.deploy(V2, canary(1, 1)).await;
    site.app.confirm_at_rest(order, 2, &site.watch, V2, 1).await;
    site.succeeds(order).await;
    site.close_whole(V2, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn taken_back_in_the_middle_it_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "aborted and rolled back in batch 2").await;
    let order = site.deploy(V2, batches(3)).await;
    eventually(async || {
        if site.watch.now().of(V2) > 1 { Ok(()) } else { Err(format!("{:?}", site.watch.now())) }
    })
    .await;
    let asked = Instant::now();
    let rollback = site.app.service.roll_back(&caller(), order).await.unwrap();
    site.succeeds(rollback).await;
    println!(
        "measured: {}: back {:.2} s after it was asked for",
        site.about,
        asked.elapsed().as_secs_f64()
    );
    site.close_whole(V1, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn back_to_a_version_of_the_history_it_loses_no_request(pool: PgPool) {
    let site = Site::open(pool, "released, and back to the first version").await;
    let order = site.deploy(V2, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;
    let history = site.app.service.history(site.application).await.unwrap();
    let first = RollBackTo {
        application: site.application,
        version: history[1].version.clone(),
        batches: Some(2),
        wait_minutes: None,
    };
    let order = site.app.service.roll_back_to(&caller(), first).await.unwrap();
    site.succeeds(order).await;
    site.close_whole(V1, &["v1", "v2"]).await;
}

/// A program that stops listening as soon as it is told to end loses the requests
/// that the node still sends there. No release can help that; how many are lost
/// is counted and printed.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn without_a_drain_what_is_lost_is_counted(pool: PgPool) {
    let site = Site::open_with(
        pool,
        "all at once, and in four batches, without a drain",
        None,
        FailurePolicy::default(),
    )
    .await;
    for (image, strategy) in [(V2, Strategy::ALL_AT_ONCE), (V1, batches(4))] {
        let order = site.deploy(image, strategy).await;
        site.succeeds(order).await;
    }
    let counts = site.close(V1).await;
    assert!(counts.of("v1") > 0 && counts.of("v2") > 0, "{counts:#?}");
}

/// The same program, once a release has given it a `preStop` hook that sleeps. It
/// goes on answering meanwhile, but knows nothing of it and asks no client to close
/// its connection. In the end some are closed just as a request is on its way, which
/// HTTP clients then send again; nothing else is lost.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn with_drain_seconds_a_program_without_a_drain_loses_no_request(pool: PgPool) {
    let mut site =
        Site::open_with(pool, "after DrainSeconds=3", None, FailurePolicy::default()).await;
    let order = site.order(|request| request.spec.drain_seconds = Some(3)).await;
    site.succeeds(order).await;
    site.count_anew("the release that brings DrainSeconds=3", V2).await;
    for (image, strategy) in [(V1, Strategy::ALL_AT_ONCE), (V2, batches(2)), (V1, batches(4))] {
        let order = site.deploy(image, strategy).await;
        site.succeeds(order).await;
    }
    let counts = site.close(V1).await;
    assert_eq!(counts.new.failed(), 0, "{counts:#?}");
    assert!(
        counts
            .kept
            .failures
            .keys()
            .all(|kind| kind == "reset" || kind == "closed before the answer"),
        "{counts:#?}"
    );
    assert!(counts.of("v1") > 0 && counts.of("v2") > 0, "{counts:#?}");
}

// --- releases of a version that is not ---

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_image_that_the_registry_does_not_have_is_named_and_goes_back(pool: PgPool) {
    let site = Site::open(pool, "image not found").await;
    let registry = json!({ "name": "registry", "image": V1, "readinessProbe": { "tcpSocket": { "port": 5000 }, "periodSeconds": 1 },
        "env": [{ "name": "BEHAVIOUR", "value": "registry" }, { "name": "PORT", "value": "5000" }] });
    serve(&site.app, "registry", json!({ "hostNetwork": true, "terminationGracePeriodSeconds": 1, "containers": [registry] })).await;
    let report = site.report(no_image);
    let order = site.deploy("localhost:5000/shop/web:2.0", batches(2)).await;
    site.fails(
        order,
        Some(report),
        &["pod web-", "container web: ErrImagePull", "localhost:5000/shop/web:2.0: not found"],
    )
    .await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_registry_that_cannot_be_reached_is_waited_for_and_then_named(pool: PgPool) {
    let site = Site::open_with(pool, "registry out of reach", DRAIN, GRACE).await;
    let report = site.report(no_image);
    let order = site.deploy("sluice.test/web:missing", batches(2)).await;
    site.fails(
        order,
        Some(report),
        &["pod web-", "container web: ", "sluice.test/web:missing", "waited 10 s"],
    )
    .await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_crash_loop_is_named_and_goes_back(pool: PgPool) {
    let site = Site::open(pool, "crash loop").await;
    let report = site.report(ended_twice);
    let order = site.deploy("sluice.test/web:crash-loop", batches(2)).await;
    site.fails(order, Some(report), &["pod web-", "container web", "exit code 3, Error"]).await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_version_that_needs_too_much_memory_is_named_and_goes_back(pool: PgPool) {
    let site = Site::open(pool, "out of memory").await;
    let report = site.report(ended_twice);
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:hungry".into());
            request.spec.memory_limit = Some(48);
        })
        .await;
    site.fails(order, Some(report), &["pod web-", "container web", "exit code 137, OOMKilled"])
        .await;
    site.close_whole(V1, &["v1"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_version_that_is_never_ready_fails_at_its_deadline(pool: PgPool) {
    let site = Site::open(pool, "never ready, BatchTimeout 15 s").await;
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:never-ready".into());
            request.batch_timeout_seconds = Some(15);
        })
        .await;
    let parts = [
        "batch 1 was not done within 15 s",
        "0 of 2 new pods are Ready",
        "HTTP probe failed with statuscode: 503",
    ];
    site.fails(order, None, &parts).await;
    site.close_whole(V1, &["v1"]).await;
}

/// A key that is not there when the release is ordered is refused; this one goes
/// between two batches. Only the new version needs it, so there is a way back.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_config_map_key_that_goes_between_two_batches_is_named_and_goes_back(pool: PgPool) {
    let mut site = Site::open(pool, "ConfigMap key gone").await;
    site.settings(json!({ "colour": "green" })).await;
    let from = json!({ "name": "COLOUR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "colour" } } });
    site.edit(json!({ "spec": { "template": { "spec": { "containers": [{ "name": "web", "env": [from] }] } } } })).await;
    let order = site.deploy(V2, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;
    let history = site.app.service.history(site.application).await.unwrap();
    let order = site.release_again(history[1].id, Strategy::ALL_AT_ONCE).await;
    site.succeeds(order).await;

    let order = site.release_again(history[0].id, manual(2)).await;
    site.app
        .order_when(order, |order| {
            order.state.is_final() || order.state == State::WaitingConfirmation
        })
        .await;
    site.settings(json!({ "color": "green" })).await;
    let report = site.report(waits("CreateContainerConfigError"));
    site.app.confirm_at_rest(order, 2, &site.watch, V2, 2).await;
    site.fails(
        order,
        Some(report),
        &[
            "pod web-",
            "container web: CreateContainerConfigError",
            "couldn't find key colour in ConfigMap",
        ],
    )
    .await;
    site.close_whole(V1, &["v1", "v2"]).await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_init_container_that_fails_is_named_and_goes_back(pool: PgPool) {
    let mut site = Site::open(pool, "init container").await;
    site.settings(json!({ "prepare": "done" })).await;
    let from = json!({ "name": "BEHAVIOUR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "prepare" } } });
    let prepare = json!({ "name": "prepare", "image": V1, "env": [from] });
    site.edit(json!({ "spec": { "template": { "spec": { "initContainers": [prepare] } } } })).await;
    site.settings(json!({ "prepare": "crash-loop" })).await;
    let report = site.report(ended_twice);
    let order = site.deploy(V2, batches(2)).await;
    site.fails(order, Some(report), &["pod web-", "init container prepare", "exit code 3, Error"])
        .await;
    site.close_whole(V1, &["v1"]).await;
}

/// The pods are Ready at first: only a time for which that must last shows it.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_the_kubelet_ends_as_sick_are_named_and_go_back(pool: PgPool) {
    let site = Site::open(pool, "liveness probe").await;
    let report = site.report(ended_twice);
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:sick".into());
            request.spec.liveness = Field::Set(probe("/live"));
            // It ends as soon as it is told to, so that this soon happened often enough.
            request.spec.env = Field::Clear;
            request.min_ready_seconds = Some(20);
        })
        .await;
    site.fails(order, Some(report), &["pod web-", "container web"]).await;
    // What is ended while it is Ready loses requests; those that were let in to it.
    let counts = site.close(V1).await;
    assert!(counts.of("v1") > 0, "{counts:#?}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_are_ready_and_then_not_any_more_are_named_and_go_back(pool: PgPool) {
    let site = Site::open_with(pool, "ready, and then not any more", DRAIN, GRACE).await;
    let order = site
        .order(|request| {
            request.spec.image = Some("sluice.test/web:fading".into());
            request.min_ready_seconds = Some(20);
        })
        .await;
    site.fails(
        order,
        None,
        &["pod web-", "is not Ready any more", "statuscode: 503", "waited 10 s"],
    )
    .await;
    site.close_whole(V1, &["v1", "fading"]).await;
}

/// The kubelet rejects each pod of the new version, and its ReplicaSet makes the next one.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn pods_that_the_kubelet_rejects_are_named_and_go_back(pool: PgPool) {
    let site = Site::open_with(pool, "rejected by the kubelet", DRAIN, GRACE).await;
    let order = site
        .order(|request| {
            let sysctl = json!({ "name": "kernel.msgmax", "value": "65536" });
            request.spec.pods.security = Field::Set(json!({ "sysctls": [sysctl] }));
        })
        .await;
    let parts = ["failed: SysctlForbidden", "forbidden sysctl: \"kernel.msgmax\" not allowlisted"];
    site.fails(order, None, &parts).await;
    site.close_whole(V1, &["v1"]).await;
}
