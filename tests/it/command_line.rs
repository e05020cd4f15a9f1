//! The command line as a client of the whole program on a simulated cluster.

mod missing;
mod read;
mod steer;
mod terminal;

use std::process::Stdio;

use domain::{order::State, snapshot::Snapshot};
use sqlx::PgPool;
use tokio::process::Command;

use crate::support::server::Server;

/// An image that the simulated cluster cannot pull.
pub const BROKEN: &str = "shop/web:9.0--image-pull-error";

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn each_exit_code_says_how_it_ended(pool: PgPool) {
    let server = Server::start(pool).await;
    let web = server.app.create("web", 4).await;
    let shown = server.ends(0, "release web --image shop/web:2.0 --version-text two").await;
    assert!(shown.contains("succeeded"), "{shown}");
    // It waits for a person: reached, not to be waited for, and waited for too long.
    server.ends(0, "release web --image shop/web:3.0 --batches 2 --manual --until gate").await;
    server.ends(5, "follow web --no-input").await;
    server.ends(124, "follow web --timeout 1s").await;
    server.ends(4, "release web --image shop/web:4.0").await;
    server.ends(0, "continue web").await;
    assert_eq!(server.newest(web).await, State::Succeeded);
    server.ends(0, "release web --image shop/web:4.0 --batches 4 --manual --until gate").await;
    server.ends(0, "continue web --all").await;
    // Failed, and the version before runs again.
    let shown = server.ends(3, &format!("release web --image {BROKEN}")).await;
    assert!(shown.contains("ErrImagePull") || shown.contains("ImagePullBackOff"), "{shown}");
    // Ended by a person: where it is, and on the way back.
    server.ends(0, "release web --image shop/web:5.0 --batches 2 --manual --until gate").await;
    server.ends(0, "abort web").await;
    server.ends(6, "follow web").await;
    server.ends(0, "rollback web").await;
    server.ends(0, "rollback web --to two").await;
    server.ends(0, "scale web 2").await;
    server.ends(2, "release web").await;
    server.ends(2, "delete web").await;
    server.ends(8, "follow nothing").await;
    server.ends(8, "order 00000000-0000-0000-0000-000000000000").await;
    let wrong = server.command("apps").env("SLUICE_ACCESS_KEY_SECRET", "wrong").output().await;
    assert_eq!(wrong.unwrap().status.code(), Some(7));
    let away = server.command("apps").env("SLUICE_ENDPOINT", "http://127.0.0.1:9").output().await;
    assert_eq!(away.unwrap().status.code(), Some(9));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_failure_that_stays_is_1_and_is_tried_again_and_ctrl_c_ends_the_following_alone(
    pool: PgPool,
) {
    let mut server = Server::start(pool).await;
    let web = server.app.create("web", 2).await;
    server.ends(0, "release web --image shop/web:2.0 --batches 2 --manual --detach").await;
    let mut following =
        server.command("follow web -o jsonl").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(following.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
    let first: Snapshot = serde_json::from_str(&line).unwrap();
    assert_eq!(first.order.application.name, "web");
    let id = following.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let rest = async { tokio::io::AsyncReadExt::read_to_end(&mut lines, &mut Vec::new()).await };
    let (ended, _) = tokio::join!(following.wait(), rest);
    assert_eq!(ended.unwrap().code(), Some(130));
    assert!(!server.newest(web).await.is_final(), "the order goes on");
    server.ends(0, "rollback web").await;
    // A server that leaves a failed release where it is.
    let policy = domain::order::FailurePolicy { roll_back: false, ..Default::default() };
    server.app = server.app.tolerating(policy);
    let server = server.again().await;
    server.ends(1, &format!("release web --image {BROKEN}")).await;
    server.ends(1, "retry web").await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn lists_are_filtered_and_read_page_by_page(pool: PgPool) {
    let server = Server::start(pool).await;
    for name in ["alpha", "beta", "gamma"] {
        server.app.create(name, 1).await;
    }
    let shown = server.ends(0, "apps -o jsonl").await;
    assert_eq!(shown.lines().count(), 3, "{shown}");
    assert_eq!(server.ends(0, "apps --filter BETA -o jsonl").await.lines().count(), 1);
    assert_eq!(server.ends(0, "orders --state open -o jsonl").await.lines().count(), 0);
    assert_eq!(server.ends(0, "orders alpha --since 1h -o jsonl").await.lines().count(), 1);
    server.ends(4, "orders --state lost").await;
    let filter = service::OrderFilter::default();
    let page = server.app.service.order_lines(&filter, 2).await.unwrap();
    let (first, more) = (page.rows, page.has_more);
    assert!(more && first.len() == 2);
    let filter = service::OrderFilter { after: Some(first[1].id), ..filter };
    let page = server.app.service.order_lines(&filter, 2).await.unwrap();
    let (rest, more) = (page.rows, page.has_more);
    assert!(!more && rest.len() == 1 && rest[0].application.name == "alpha", "{rest:?}");
    for words in [
        "app alpha",
        "order alpha",
        "pods alpha",
        "events alpha",
        "history alpha",
        "whoami",
        "doctor",
    ] {
        assert!(!server.ends(0, words).await.is_empty(), "{words}");
    }
    let plan = server.ends(0, "plan alpha --image shop/web:2.0").await;
    assert!(plan.contains("plan hash"), "{plan}");
}
