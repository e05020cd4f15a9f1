//! The database in the middle of an order: its server is killed and started again, and its disk
//! is full for a while.

use std::path::{Path, PathBuf};

use sqlx::postgres::PgPoolOptions;
use store::{MIGRATIONS, Store};
use tokio::process::Command;

use super::*;
use crate::{
    every_step::{seam::Seam, wire},
    support::{Running, batches},
};

const LEASE: std::time::Duration = std::time::Duration::from_secs(2);

/// A server of this test alone, which keeps what it has acknowledged. It ends with the test.
struct Postgres {
    folder: PathBuf,
    _parent: tempfile::TempDir,
}

impl Postgres {
    async fn start() -> (Self, PgPool) {
        let parent = tempfile::tempdir().unwrap();
        let server = Self { folder: parent.path().join("postgres"), _parent: parent };
        let url = server.run("start", &["--durable"]).await;
        let pool = PgPoolOptions::new().max_connections(2).connect(url.trim()).await.unwrap();
        MIGRATIONS.run(&pool).await.unwrap();
        (server, pool)
    }

    /// Kills it, as a machine that goes down does, and starts it again.
    async fn crash(&self) {
        self.run("restart", &[]).await;
    }

    async fn run(&self, verb: &str, more: &[&str]) -> String {
        let output = self.command(verb).args(more).output();
        let output = tokio::time::timeout(crate::support::DEADLINE, output).await;
        let output = output.expect("it must end").unwrap();
        assert!(output.status.success(), "{verb}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, verb: &str) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut command = Command::new(root.join("scripts/postgres"));
        command.arg(verb).arg(&self.folder).stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.command("stop").as_std_mut().status();
    }
}

/// The order, once the database answers again.
async fn seen(app: &App, order: domain::OrderId, wanted: impl Fn(&service::OrderView) -> bool) {
    eventually(async || match app.service.order(order).await {
        Ok(view) if wanted(&view) => Ok(()),
        Ok(view) => Err(format!("{view:#?}")),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

async fn survives_crashes(app: App, postgres: Postgres) {
    let application = app.create("web", 6).await;
    let watch = app.watch("web").await;
    let mut request = crate::support::release(application, NEW, batches(6));
    // Each batch takes so long that the server goes down in it.
    request.min_ready_seconds = Some(2);
    let order = app.service.deploy(&crate::support::caller(), request).await.unwrap();
    for pods in [1, 3, 5] {
        eventually(async || {
            if watch.now().of(NEW) >= pods { Ok(()) } else { Err(format!("{:?}", watch.now())) }
        })
        .await;
        postgres.crash().await;
    }
    seen(&app, order, |it| it.state.is_final()).await;
    let done = app.service.order(order).await.unwrap();
    assert_eq!(done.state, State::Succeeded, "{done:#?}");
    assert_eq!(done.batches.iter().map(|batch| batch.pods.len()).collect::<Vec<_>>(), [1; 6]);
    settled(&watch).await;
    assert_exact(&watch.end(), 6, 1);
    // What follows is as ever.
    let next = app.deploy(application, OLD, batches(2)).await;
    seen(&app, next, |it| it.state == State::Succeeded).await;
}

mod simulated_cluster {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_that_crashes_in_the_middle_of_an_order_is_survived() {
        let (postgres, pool) = Postgres::start().await;
        survives_crashes(App::start(pool).await, postgres).await;
    }
}

mod real {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_that_crashes_in_the_middle_of_an_order_is_survived() {
        let (postgres, pool) = Postgres::start().await;
        survives_crashes(App::start_real(pool).await, postgres).await;
    }
}

/// Every third time that the executor commits, the disk is full (53100).
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_disk_that_is_full_when_something_is_committed_keeps_no_order_from_its_end(pool: PgPool) {
    let mut app = App::start(pool.clone()).await;
    let application = app.create("web", 6).await;
    let seam = Seam::new();
    let (through, _proxy) = wire::before(&pool.connect_options(), seam.clone()).await;
    let own = PgPoolOptions::new().max_connections(8).connect_with(through).await.unwrap();
    let store = Store::on(own, test_support::keyring::keyring());
    let next = Running::start(&store, app.client.clone(), &app.clock, LEASE);
    std::mem::replace(&mut app.executor, next).stop().await;
    seam.count(None);
    seam.fill(3);
    release_whole(&app, "web", application).await;
    // The same where the order fails, and its way back is opened in the same transaction.
    let failing = app.deploy(application, "shop/web:3.0--image-pull-error", batches(2)).await;
    let failed = app.end_of(failing).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    let back = app.end_of(failed.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
    assert!(seam.refused() > 10, "{} commits found it full", seam.refused());
}
