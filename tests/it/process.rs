//! The program itself: killed in the middle of a batch it loses nothing, told to
//! stop it ends in good order, and it says what is wrong with its settings.

use std::{process::Stdio, time::Duration};

use sluice::{
    clock::Clock,
    domain::order::State,
    service::{self, Service},
    store::Store,
};
use sqlx::PgPool;
use tokio::process::{Child, Command};

use crate::support::{App, CLUSTER, batches, eventually, real};

/// The URL of a test's own database.
fn url(pool: &PgPool) -> String {
    let server = std::env::var("DATABASE_URL").unwrap();
    let name = pool.connect_options().get_database().unwrap().to_owned();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (base, _) = base.rsplit_once('/').unwrap();
    format!("{base}/{name}?{query}")
}

fn sluice(pool: &PgPool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.env("DATABASE_URL", url(pool)).env("SLUICE_LISTEN", "127.0.0.1:0").env_remove("SLUICE_CLUSTER").kill_on_drop(true);
    command.stdin(Stdio::null());
    command
}

fn serve(pool: &PgPool) -> Child {
    let kubeconfig = std::env::var("SLUICE_TEST_KUBECONFIG").expect("SLUICE_TEST_KUBECONFIG must name a test cluster's kubeconfig");
    sluice(pool).args(["serve", "--lease", "2s"]).env("KUBECONFIG", kubeconfig).spawn().unwrap()
}

async fn end(child: &mut Child) -> std::process::ExitStatus {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    let told = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await.unwrap();
    assert!(told.success());
    tokio::time::timeout(Duration::from_secs(10), child.wait()).await.expect("it must end within 10 s").unwrap()
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn killed_while_a_batch_runs_it_goes_on_when_started_again(pool: PgPool) {
    // The test only asks; orders are driven by the program.
    let client = real::client().await;
    let namespace = real::namespace(&client).await;
    let store = Store::on(pool.clone());
    store.register_cluster(CLUSTER).await.unwrap();
    let settings = service::Settings { cluster: CLUSTER.into(), region: "cn-test".into(), batch_timeout_seconds: 60 };
    let service = Service::new(store.clone(), Clock::default(), settings);
    let app = App::asking(service, store, client, &namespace);
    let mut program = serve(&pool);
    app.known_namespace().await;

    let application = app.create("web", 10).await;
    let watch = app.watch("web").await;
    let order = app.deploy(application, "shop/web:2.0", batches(5)).await;
    for begun in [1, 5] {
        eventually(async || if watch.now().of("shop/web:2.0") >= begun { Ok(()) } else { Err(format!("{:?}", watch.now())) }).await;
        program.kill().await.unwrap();
        program = serve(&pool);
    }
    let order = app.end_of(order).await;
    assert_eq!(order.state, State::Succeeded, "{order:#?}");
    let seen = watch.end();
    assert!(seen.iter().all(|sight| sight.ready >= 10), "{seen:#?}");
    // Batches of two: never more than two pods too many, and never one back.
    assert!(seen.iter().all(|sight| sight.pods.values().sum::<i32>() <= 12), "{seen:#?}");
    assert!(seen.windows(2).all(|pair| pair[0].of("shop/web:2.0") <= pair[1].of("shop/web:2.0")), "{seen:#?}");
    assert!(end(&mut program).await.success());
}

#[sqlx::test(migrator = "sluice::store::MIGRATIONS")]
async fn told_to_stop_it_gives_back_what_it_holds_and_exits_with_0(pool: PgPool) {
    let mut program = sluice(&pool).args(["serve", "--cluster", "simulated"]).spawn().unwrap();
    let executors = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM executor").fetch_one(&pool).await.unwrap();
    eventually(async || if executors().await == 1 { Ok(()) } else { Err("no executor gave a sign of life".into()) }).await;
    assert!(end(&mut program).await.success());
    assert_eq!(executors().await, 0, "an executor that stops signs off");
}

#[sqlx::test(migrations = false)]
async fn a_schema_that_does_not_fit_is_refused_with_what_to_do(pool: PgPool) {
    let output = sluice(&pool).args(["serve", "--cluster", "simulated"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("sluice migrate") && text.contains("--migrate"), "{text}");
    assert!(sluice(&pool).arg("migrate").status().await.unwrap().success());
    assert!(sluice(&pool).arg("migrate").status().await.unwrap().success(), "again changes nothing");
    let output = sluice(&pool).args(["key", "create", "--name", "ci", "--output", "json"]).output().await.unwrap();
    let key: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        key["AccessKeyId"].as_str().is_some_and(|id| id.len() >= 16)
            && key["AccessKeySecret"].as_str().is_some_and(|secret| secret.len() >= 30)
    );
    let again = sluice(&pool).args(["key", "create", "--name", "ci"]).output().await.unwrap();
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("there is a key named ci already"));
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused_by_name() {
    for (arguments, says) in
        [(["serve", "--lease", "1ms"], "--lease"), (["serve", "--listen", "nowhere"], "--listen"), (["serve", "--role", "king"], "--role")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(arguments)
            .env("DATABASE_URL", "postgres://u:geheim@localhost/none")
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && text.contains(says) && !text.contains("geheim"), "{text}");
    }
}
