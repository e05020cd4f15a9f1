//! The program itself: killed in the middle of a batch it loses nothing, told to
//! stop it ends in good order, and it says what is wrong with its settings.

use std::{process::Stdio, time::Duration};

use clock::Clock;
use domain::{
    OrderId,
    order::{FailurePolicy, State},
};
use service::Service;
use sqlx::PgPool;
use store::Store;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use test_support::authority::{Authority, Pair};

use crate::support::{
    App, CLUSTER, batches, database_url, eventually, real, settings, watcher::Watch,
};

const NEW: &str = "shop/web:2.0";

fn sluice(pool: &PgPool) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT)
        .env("SLUICE_LISTEN", "127.0.0.1:0")
        .env_remove("SLUICE_CLUSTER")
        .kill_on_drop(true);
    command.stdin(Stdio::null());
    command
}

fn serve(pool: &PgPool) -> Child {
    let kubeconfig = std::env::var("SLUICE_TEST_KUBECONFIG")
        .expect("SLUICE_TEST_KUBECONFIG must name a test cluster's kubeconfig");
    sluice(pool).args(["serve", "--lease", "2s"]).env("KUBECONFIG", kubeconfig).spawn().unwrap()
}

async fn end(child: &mut Child) -> std::process::ExitStatus {
    tell(child, "-TERM").await;
    tokio::time::timeout(Duration::from_secs(10), child.wait())
        .await
        .expect("it must end within 10 s")
        .unwrap()
}

async fn tell(child: &Child, signal: &str) {
    let told = Command::new("kill")
        .args([signal, &child.id().unwrap().to_string()])
        .status()
        .await
        .unwrap();
    assert!(told.success());
}

/// A release of ten pods in five batches on the real control plane, which the
/// program drives and the test only asks for.
struct Release {
    app: App,
    order: OrderId,
    watch: Watch,
}

impl Release {
    async fn begin(pool: &PgPool) -> (Self, Child) {
        let client = real::client().await;
        let namespace = real::namespace(&client).await;
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        store.register_cluster(&CLUSTER.into()).await.unwrap();
        let service =
            Service::new(store.clone(), Clock::default(), settings(FailurePolicy::default()));
        let app = App::asking(service, store, client, &namespace);
        let program = serve(pool);
        app.known_namespace().await;
        let application = app.create("web", 10).await;
        let watch = app.watch("web").await;
        let order = app.deploy(application, NEW, batches(5)).await;
        (Self { app, order, watch }, program)
    }

    async fn until_new(&self, pods: i32) {
        eventually(async || {
            if self.watch.now().of(NEW) >= pods {
                Ok(())
            } else {
                Err(format!("{:?}", self.watch.now()))
            }
        })
        .await;
    }

    /// Waits for the end, and checks that the batches came as planned.
    async fn assert_whole(self) {
        let order = self.app.end_of(self.order).await;
        assert_eq!(order.state, State::Succeeded, "{order:#?}");
        let wanted = self.watch.most_wanted();
        let seen = self.watch.end();
        assert!(seen.iter().all(|sample| sample.ready >= 10), "{seen:#?}");
        // Batches of two: never more than two pods too many, and never one back.
        assert!((11..=12).contains(&wanted), "{wanted} pods were wanted at once: {seen:#?}");
        assert!(seen.windows(2).all(|pair| pair[0].of(NEW) <= pair[1].of(NEW)), "{seen:#?}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn killed_while_a_batch_runs_it_goes_on_when_started_again(pool: PgPool) {
    let (release, mut program) = Release::begin(&pool).await;
    for begun in [1, 5] {
        release.until_new(begun).await;
        program.kill().await.unwrap();
        program = serve(&pool);
    }
    release.assert_whole().await;
    assert!(end(&mut program).await.success());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn one_that_slept_longer_than_its_lease_leaves_the_order_to_the_other(pool: PgPool) {
    let (release, mut sleeper) = Release::begin(&pool).await;
    release.until_new(1).await;
    tell(&sleeper, "-STOP").await;
    let mut other = serve(&pool);
    release.until_new(5).await;
    // It wakes in the middle of the other's work, and believes that the order is its own.
    tell(&sleeper, "-CONT").await;
    release.assert_whole().await;
    assert!(end(&mut sleeper).await.success() && end(&mut other).await.success());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn told_to_stop_it_gives_back_what_it_holds_and_exits_with_0(pool: PgPool) {
    let mut program = sluice(&pool).args(["serve", "--cluster", "simulated"]).spawn().unwrap();
    let executors = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM executor")
            .fetch_one(&pool)
            .await
            .unwrap()
    };
    eventually(async || {
        if executors().await == 1 { Ok(()) } else { Err("no executor sent a heartbeat".into()) }
    })
    .await;
    assert!(end(&mut program).await.success());
    assert_eq!(executors().await, 0, "an executor that stops signs off");
}

/// Waits until the program's executor reaches its cluster.
async fn reaching(pool: &PgPool) -> String {
    let reaching = "SELECT identity FROM kubernetes_cluster c JOIN executor e ON e.cluster_id = c.id AND e.cluster_reachable";
    eventually(async || {
        sqlx::query_scalar::<_, String>(reaching)
            .fetch_optional(pool)
            .await
            .unwrap()
            .ok_or("none reaches it".into())
    })
    .await
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn two_programs_do_not_work_on_different_clusters_under_one_id(pool: PgPool) {
    let simulated = ["serve", "--cluster", "simulated"];
    let mut first = sluice(&pool).args(simulated).spawn().unwrap();
    let identity = reaching(&pool).await;
    // Each program's simulated cluster is one of its own.
    let second = sluice(&pool).args(simulated).output().await.unwrap();
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{text}");
    assert!(
        text.contains(&format!("that of default is {identity}"))
            && text.contains("kube-system, is simulated-"),
        "{text}"
    );
    assert!(
        text.contains("sluice cluster replace --cluster-id default --identity simulated-"),
        "{text}"
    );
    // With an id of its own it may.
    let mut other = sluice(&pool).args(simulated).args(["--cluster-id", "other"]).spawn().unwrap();
    eventually(async || {
        let reaching =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM executor WHERE cluster_reachable")
                .fetch_one(&pool)
                .await
                .unwrap();
        if reaching == 2 { Ok(()) } else { Err(format!("{reaching} reach theirs")) }
    })
    .await;
    assert!(end(&mut other).await.success() && end(&mut first).await.success());
    // Started again it simulates anew, and what was begun on the one before is over.
    let mut again = sluice(&pool).args(simulated).spawn().unwrap();
    let second = reaching(&pool).await;
    assert_ne!(second, identity);
    // After a crash, too, once it is certain that nobody lives there any more.
    again.kill().await.unwrap();
    let mut again = sluice(&pool).args(simulated).spawn().unwrap();
    eventually(async || {
        let now = sqlx::query_scalar::<_, String>(
            "SELECT identity FROM kubernetes_cluster WHERE id = 'default'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        if now == second { Err("it still waits".into()) } else { Ok(()) }
    })
    .await;
    reaching(&pool).await;
    assert!(end(&mut again).await.success());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_cluster_is_replaced_by_name_and_identity_only(pool: PgPool) {
    let (new, old) =
        ("0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c11", "0b9ee1f5-b7ba-4f4c-8d0f-6f4a0f7a2c12");
    let replace = async |identity: &str| {
        let arguments = ["cluster", "replace", "--cluster-id", CLUSTER, "--identity", identity];
        let output = sluice(&pool).args(arguments).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, text) = replace(new).await;
    assert!(code == Some(1) && text.contains(CLUSTER), "{text}");
    Store::on(pool.clone(), test_support::keyring::keyring())
        .record_identity(&CLUSTER.into(), &old.parse().unwrap())
        .await
        .unwrap();
    for wrong in ["a b", "nonsense", "simulated-1"] {
        let (code, text) = replace(wrong).await;
        assert!(code == Some(2) && text.contains("--identity"), "{text}");
    }
    let recorded = async || {
        Store::on(pool.clone(), test_support::keyring::keyring())
            .identity(&CLUSTER.into())
            .await
            .unwrap()
    };
    assert_eq!(recorded().await, Some(old.parse().unwrap()));
    let (code, text) = replace(new).await;
    assert!(code == Some(0) && text.contains(new) && text.contains(old), "{text}");
    assert_eq!(recorded().await, Some(new.parse().unwrap()));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_whose_cluster_is_away_starts_and_does_nothing_until_it_is_seen(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    // Nobody listens there.
    let text = "{apiVersion: v1, kind: Config, current-context: a, clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], \
                contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {}}]}";
    std::fs::write(&kubeconfig, text).unwrap();
    let mut program = sluice(&pool).arg("serve").env("KUBECONFIG", &kubeconfig).spawn().unwrap();
    let trouble =
        "SELECT trouble FROM executor WHERE NOT cluster_reachable AND trouble IS NOT NULL";
    let said: String = eventually(async || {
        sqlx::query_scalar(trouble)
            .fetch_optional(&pool)
            .await
            .unwrap()
            .ok_or("it did not start".into())
    })
    .await;
    assert!(said.contains("identity is not seen yet"), "{said}");
    assert!(end(&mut program).await.success());
}

#[sqlx::test(migrations = false)]
async fn a_schema_that_does_not_fit_is_refused_with_what_to_do(pool: PgPool) {
    let output = sluice(&pool).args(["serve", "--cluster", "simulated"]).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && text.contains("sluice migrate") && text.contains("--migrate"),
        "{text}"
    );
    let newest = store::MIGRATIONS.iter().map(|it| it.version).max().unwrap();
    // Again changes nothing.
    for _ in 0..2 {
        let output = sluice(&pool).arg("migrate").output().await.unwrap();
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text, format!("the schema is at migration {newest}\n"));
    }
    let output = sluice(&pool)
        .args(["key", "create", "--name", "ci", "--output", "json"])
        .output()
        .await
        .unwrap();
    let key: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        key["AccessKeyId"].as_str().is_some_and(|id| id.len() >= 16)
            && key["AccessKeySecret"].as_str().is_some_and(|secret| secret.len() >= 30)
    );
    let again = sluice(&pool).args(["key", "create", "--name", "ci"]).output().await.unwrap();
    assert!(
        !again.status.success()
            && String::from_utf8_lossy(&again.stderr)
                .contains("there is an access key of this name already")
    );
}

/// The addresses that a program which logs JSON listens on: plain, and with TLS.
async fn addresses(program: &mut Child) -> (String, String) {
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let (mut plain, mut tls) = (None, None);
    while plain.is_none() || tls.is_none() {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .expect("it ended");
        let fields = serde_json::from_str::<serde_json::Value>(&line).unwrap()["fields"].take();
        let address = || fields["address"].as_str().map(str::to_owned);
        match fields["message"].as_str() {
            Some("listening") => plain = address(),
            Some("listening with TLS") => tls = address(),
            _ => {}
        }
    }
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (plain.unwrap(), tls.unwrap())
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn plain_http_and_https_are_served_at_once(pool: PgPool) {
    let authority = Authority::new();
    let pair = Pair::new(&authority.issue());
    let mut program = sluice(&pool)
        .args(["serve", "--cluster", "simulated", "--log-format", "json"])
        .env("SLUICE_TLS_LISTEN", "127.0.0.1:0")
        .env("SLUICE_TLS_CERT", pair.certificate())
        .env("SLUICE_TLS_KEY", pair.key())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (plain, tls) = addresses(&mut program).await;
    for url in [format!("http://{plain}/healthz"), format!("https://{tls}/healthz")] {
        assert_eq!(authority.client().get(&url).send().await.unwrap().status(), 200, "{url}");
    }
    assert!(end(&mut program).await.success());
}

#[sqlx::test(migrations = false)]
async fn what_is_wrong_with_the_listeners_is_said_before_anything_else(pool: PgPool) {
    let authority = Authority::new();
    let pair = Pair::new(&authority.issue());
    let other = Pair::new(&authority.issue());
    let (certificate, key) =
        (pair.certificate().display().to_string(), other.key().display().to_string());
    let on = ["--tls-listen", "127.0.0.1:0"];
    let wrong_pair = format!(
        "--tls-key: the key in {key} is not that of the (first) certificate in {certificate} (--tls-cert)"
    );
    for (arguments, says) in [
        (
            vec!["--listen", "off"],
            "--listen is off, and --tls-listen (SLUICE_TLS_LISTEN) is not given",
        ),
        (on.to_vec(), "--tls-listen needs --tls-cert (SLUICE_TLS_CERT)"),
        ([&on[..], &["--tls-cert", &certificate, "--tls-key", &key]].concat(), &wrong_pair),
        (
            [&on[..], &["--tls-cert", "/none.pem", "--tls-key", &key]].concat(),
            "--tls-cert: /none.pem cannot be read",
        ),
    ] {
        let output = sluice(&pool)
            .args(["serve", "--cluster", "simulated"])
            .args(arguments)
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(says), "{text}");
    }
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused_by_name() {
    for (arguments, says) in [
        (["serve", "--lease", "1ms"], "--lease"),
        (["serve", "--listen", "nowhere"], "--listen"),
        (["serve", "--role", "king"], "--role"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(arguments)
            .env("DATABASE_URL", "postgres://u:geheim@localhost/none")
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(2) && text.contains(says) && !text.contains("geheim"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_filter_for_log_lines_that_cannot_be_read_is_refused_and_no_file_gets_colours() {
    let simulate = |filter: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(["simulate", "--listen", "127.0.0.1:0"]).env("SLUICE_LOG", filter);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    };
    let refused = simulate("sluice=loud").output().await.unwrap();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("SLUICE_LOG"), "{text}");
    let mut program = simulate("info").spawn().unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.unwrap();
    let line = line.unwrap().unwrap();
    assert!(line.contains("a simulated cluster is served") && !line.contains('\u{1b}'), "{line:?}");
    assert!(end(&mut program).await.success());
}

#[tokio::test]
async fn a_reader_may_leave_in_the_middle_of_a_document() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .arg("openapi")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(program.stdout.take());
    let output = program.wait_with_output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.is_empty(), "{text}");
}
