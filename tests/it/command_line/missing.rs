//! A Deployment that somebody deleted, as commands tell it.

use domain::snapshot::ApplicationLine;
use kube::api::DeleteParams;
use sqlx::PgPool;

use crate::support::{eventually, server::Server};

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_deployment_that_is_gone_is_told_with_the_way_back(pool: PgPool) {
    let server = Server::start(pool).await;
    server.app.create("web", 2).await;
    server.app.create("other", 1).await;
    server.ends(0, "release web --image shop/web:2.0 --version-text two").await;
    let missing = async |wanted: bool| {
        eventually(async || {
            let said = server.ends(0, "app web -o json").await;
            let line: ApplicationLine = serde_json::from_str(&said).unwrap();
            let is_so = line.deployment_missing == wanted && (line.ready == 0) == wanted;
            if is_so && line.replicas == 2 { Ok(()) } else { Err(said) }
        })
        .await;
    };
    missing(false).await;
    let said = server.ends(0, "apps").await + &server.ends(0, "app web").await;
    assert!(!said.contains("no Deployment"), "{said}");
    let delete = DeleteParams::background();
    server.app.deployments().delete("web", &delete).await.unwrap();
    missing(true).await;
    let said = server.ends(0, "apps").await;
    let rows: Vec<&str> = said.lines().filter(|it| it.contains("no Deployment")).collect();
    assert!(rows.len() == 1 && rows[0].contains("web"), "{said}");
    let said = server.ends(0, "app web").await;
    let way_back = "`sluice rollback default/web --to VERSION` creates it again with 2 pods";
    assert!(said.contains(way_back), "{said}");
    server.ends(0, "rollback default/web --to two").await;
    missing(false).await;
    let said = server.ends(0, "app web").await;
    assert!(!said.contains("no Deployment"), "{said}");
}
