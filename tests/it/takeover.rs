//! A program that is killed is missed at once: its lease lasts for ten minutes here, and no
//! test waits for that.

use std::process::Stdio;

use clock::Clock;
use domain::{
    OrderId,
    order::{FailurePolicy, State},
};
use service::Service;
use sqlx::PgPool;
use store::Store;
use tokio::process::{Child, Command};

use crate::support::{App, CLUSTER, batches, database_url, eventually, settings};

const LEASE: &str = "10m";

/// A simulated cluster that outlives the programs which drive orders on it.
pub(super) struct Cluster {
    pub(super) kubeconfig: std::path::PathBuf,
    _folder: tempfile::TempDir,
    _program: Child,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let program = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["simulate", "--listen", "127.0.0.1:0", "--simulated-start-delay", "300ms"])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually(async || match std::fs::read_to_string(&kubeconfig) {
            Ok(text) if text.contains("server") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        Self { kubeconfig, _folder: folder, _program: program }
    }

    fn serve(&self, pool: &PgPool) -> Child {
        Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["serve", "--lease", LEASE, "--role", "executor", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", database_url(pool))
            .env("SLUICE_KEYRING", test_support::keyring::TEXT)
            .env("KUBECONFIG", &self.kubeconfig)
            .env_remove("SLUICE_CLUSTER")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn client(&self) -> kube::Client {
        let file = kube::config::Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        kube::Client::try_from(kube::Config::from_custom_kubeconfig(file, &options).await.unwrap())
            .unwrap()
    }
}

struct Scene {
    pool: PgPool,
    cluster: Cluster,
    app: App,
    order: OrderId,
}

impl Scene {
    /// A release of six pods in six batches that a program has begun.
    async fn begin(pool: PgPool) -> (Self, Child) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cluster = Cluster::start().await;
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        store.register_cluster(&CLUSTER.into()).await.unwrap();
        let config = settings(FailurePolicy::default());
        let service = Service::new(store.clone(), Clock::default(), config);
        let app = App::asking(service, store, cluster.client().await, "default");
        let program = cluster.serve(&pool);
        app.known_namespace().await;
        let application = app.create("web", 6).await;
        let order = app.deploy(application, "shop/web:2.0", batches(6)).await;
        let scene = Self { pool, cluster, app, order };
        scene.until_held_by_other("").await;
        (scene, program)
    }

    async fn until_held_by_other(&self, before: &str) -> String {
        let holder = "SELECT lease_holder FROM change_order WHERE id = $1";
        eventually(async || {
            let holder: Option<String> =
                sqlx::query_scalar(holder).bind(self.order.0).fetch_one(&self.pool).await.unwrap();
            holder.filter(|holder| holder != before).ok_or_else(|| format!("as {before}"))
        })
        .await
    }

    async fn assert_whole(self) {
        let order = self.app.end_of(self.order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn another_program_goes_on_at_once_with_the_order_of_one_that_was_killed(pool: PgPool) {
    let (scene, mut first) = Scene::begin(pool).await;
    let holder = scene.until_held_by_other("").await;
    let _second = scene.cluster.serve(&scene.pool);
    let shown =
        "SELECT count(*) FROM executor WHERE presence_key IS NOT NULL AND cluster_reachable";
    eventually(async || {
        let count: i64 = sqlx::query_scalar(shown).fetch_one(&scene.pool).await.unwrap();
        if count == 2 { Ok(()) } else { Err(format!("{count} are there")) }
    })
    .await;
    first.kill().await.unwrap();
    scene.until_held_by_other(&holder).await;
    scene.assert_whole().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_that_is_started_again_goes_on_at_once(pool: PgPool) {
    let (scene, mut program) = Scene::begin(pool).await;
    for _ in 0..2 {
        let holder = scene.until_held_by_other("").await;
        program.kill().await.unwrap();
        program = scene.cluster.serve(&scene.pool);
        scene.until_held_by_other(&holder).await;
    }
    scene.assert_whole().await;
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn all_connections_are_lost_as_when_postgres_starts_again_and_the_order_goes_on(
    pool: PgPool,
) {
    let (scene, _program) = Scene::begin(pool).await;
    let key = "SELECT presence_key FROM executor WHERE presence_key IS NOT NULL";
    let before: i64 = sqlx::query_scalar(key).fetch_one(&scene.pool).await.unwrap();
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::query(all).execute(&scene.pool).await.unwrap();
    eventually(async || {
        let now: Option<i64> = sqlx::query_scalar(key).fetch_optional(&scene.pool).await.unwrap();
        if now.is_some_and(|now| now != before) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    scene.assert_whole().await;
}
