//! `/readyz` says within 5 s that the cluster does not answer, or the database does not, and
//! tells what can still be read from what cannot be released.

use service::Unready;

use super::*;

on_both_clusters!(readiness_names_an_api_server_that_is_gone_or_hangs_within_5_s,);

/// Waits until readiness is as `wanted`, for as long as it may take.
async fn becomes(app: &App, wanted: impl Fn(&Result<(), Unready>) -> bool) {
    let honest = async {
        eventually(async || {
            let now = app.service.readiness().await;
            if wanted(&now) { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    };
    tokio::time::timeout(HONEST_WITHIN, honest).await.expect("readiness must be honest in time");
}

async fn readiness_names_an_api_server_that_is_gone_or_hangs_within_5_s(mut app: App) {
    let (proxy, client) = Proxy::of(&app).await;
    let next = Running::start(&app.store, client, &app.clock, LEASE);
    std::mem::replace(&mut app.executor, next).stop().await;
    eventually(async || app.service.readiness().await.map_err(|it| it.to_string())).await;
    for way in [Way::Gone, Way::Hangs] {
        proxy.set(way);
        becomes(&app, |now| matches!(now, Err(Unready::Cluster(why)) if why.contains("no executor reaches the cluster"))).await;
        assert_eq!(
            app.service.applications(None).await.unwrap(),
            [],
            "what needs only the database"
        );
        proxy.set(Way::Open);
        eventually(async || app.service.readiness().await.map_err(|it| it.to_string())).await;
    }
}

/// All connections are taken: whoever asks whether the database answers is not kept waiting.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn readiness_says_within_a_second_that_no_connection_is_free_and_orders_go_on_afterwards(
    pool: PgPool,
) {
    let app = App::start(pool).await;
    let application = app.create("web", 2).await;
    let mut taken = Vec::new();
    // As many as the pool has.
    while let Ok(tx) = tokio::time::timeout(Duration::from_secs(1), app.store.begin()).await {
        taken.push(tx.unwrap());
    }
    assert!(taken.len() > 1);
    let said = tokio::time::timeout(Duration::from_secs(2), app.service.readiness()).await;
    assert!(matches!(said, Ok(Err(Unready::Database(_)))), "{said:?}");
    drop(taken);
    becomes(&app, Result::is_ok).await;
    ends_well(&app, deploy(&app, application, NEW, (manual(1), 60)).await).await;
}
