//! The drill of a restored backup, with the programs that a person would use: the database is dumped,
//! the work goes on, the dump takes the place of the database, and a person follows what
//! docs/operate.md says.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use domain::{
    ApplicationId, OrderId,
    order::{FailurePolicy, State, plan::Strategy},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::Value;
use service::{Adopt, Service};
use sqlx::PgPool;
use store::Store;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{
    documents::root,
    support::{App, CLUSTER, caller, database_url, eventually, manual, own_pool, settings},
};

/// A program of ours that runs, and what it has logged.
struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Program {
    fn start(pool: &PgPool, kubeconfig: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        let mut child = command
            .args(arguments)
            .env("DATABASE_URL", database_url(pool))
            .env("SLUICE_KEYRING", test_support::keyring::TEXT)
            .env("SLUICE_LISTEN", "127.0.0.1:0")
            .env("SLUICE_LOG_FORMAT", "json")
            .env("KUBECONFIG", kubeconfig)
            .env_remove("SLUICE_CLUSTER")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut read = BufReader::new(child.stderr.take().unwrap()).lines();
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let into = lines.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = read.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                into.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    /// The fields of the lines with this message.
    fn said(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        let fields = lines.iter().map(|line| line["fields"].clone());
        fields
            .filter(|fields| fields["message"].as_str().is_some_and(|it| it.contains(message)))
            .collect()
    }

    async fn end(mut self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
        let ended = tokio::time::timeout(crate::support::DEADLINE, self.child.wait()).await;
        assert!(ended.expect("it must end").unwrap().success());
    }
}

/// One of Postgres' own programs on the test's database.
async fn postgres(pool: &PgPool, program: &str, arguments: &[&str]) {
    let folder = Command::new(root().join("scripts/postgres")).arg("programs").output();
    let folder = String::from_utf8(folder.await.unwrap().stdout).unwrap();
    let done = Command::new(PathBuf::from(folder.trim()).join(program))
        .args(arguments)
        .args(["--quiet"].iter().filter(|_| program == "psql"))
        .arg("--dbname")
        .arg(database_url(pool))
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What a person prints with `sluice cluster moved-on`.
async fn moved_on(pool: &PgPool) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let output = command
        .args(["cluster", "moved-on"])
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT)
        .output();
    let output = output.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The use cases on the test's database, whose orders the program carries out.
async fn asking(pool: &PgPool, client: &Client) -> App {
    let store = Store::on(own_pool(pool).await, test_support::keyring::keyring());
    let rules = settings(FailurePolicy::default());
    let service = Service::new(store.clone(), Default::default(), rules);
    let app = App::asking(service, store, client.clone(), "default");
    app.known_namespace().await;
    app
}

async fn released(app: &App, application: ApplicationId, image: &str) -> OrderId {
    let order = app.deploy(application, image, Strategy::ALL_AT_ONCE).await;
    let ended = app.end_of(order).await;
    assert_eq!(ended.state, State::Succeeded, "{}", ended.message);
    order
}

async fn image(client: &Client, name: &str) -> String {
    let found = Api::<Deployment>::default_namespaced(client.clone()).get(name).await.unwrap();
    let pods = found.spec.unwrap().template.spec.unwrap();
    pods.containers[0].image.clone().unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_person_brings_what_moved_on_since_a_backup_to_a_good_end(pool: PgPool) {
    let folder = tempfile::TempDir::new().unwrap();
    let (kubeconfig, dump) = (folder.path().join("kubeconfig"), folder.path().join("dump.sql"));
    let (kubeconfig, dump) = (kubeconfig.as_path(), dump.to_str().unwrap());
    let simulate =
        ["simulate", "--listen", "127.0.0.1:0", "--kubeconfig", kubeconfig.to_str().unwrap()];
    let _cluster = Program::start(&pool, kubeconfig, &simulate);
    let client = eventually(async || {
        let read = Kubeconfig::read_from(kubeconfig).map_err(|error| error.to_string())?;
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        Client::try_from(config.map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())
    })
    .await;
    let serve = ["serve", "--lease", "1s"];
    Store::on(pool.clone(), test_support::keyring::keyring())
        .register_cluster(&CLUSTER.into())
        .await
        .unwrap();

    // What the backup has: a release that is done, and one that waits for a person.
    let program = Program::start(&pool, kubeconfig, &serve);
    let app = asking(&pool, &client).await;
    let web = app.create("web", 2).await;
    let api = app.create("api", 4).await;
    released(&app, web, "shop/web:2.0").await;
    let open = app.deploy(api, "shop/api:2.0", manual(2)).await;
    app.order_when(open, |it| it.state == State::WaitingConfirmation).await;
    postgres(&pool, "pg_dump", &["--file", dump]).await;

    // It goes on, with releases and with an application that the backup does not know.
    let last_of_web = released(&app, web, "shop/web:3.0").await;
    app.confirm(open, 2).await;
    assert_eq!(app.end_of(open).await.state, State::Succeeded);
    let last_of_api = released(&app, api, "shop/api:3.0").await;
    app.create("late", 1).await;

    // The database is lost, and the backup takes its place.
    program.end().await;
    drop(app);
    let anew = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    postgres(&pool, "psql", &["--command", anew]).await;
    postgres(&pool, "psql", &["--set", "ON_ERROR_STOP=1", "--file", dump]).await;
    let program = Program::start(&pool, kubeconfig, &serve);

    // The program says what moved on, each by its name and order, and touches none of it.
    let of_each = "was released by a change order that this database does not know";
    let said = eventually(async || {
        let said = program.said("what moved on since the backup rests as it is");
        said.first().cloned().ok_or_else(|| format!("{:#?}", program.lines.lock().unwrap()))
    })
    .await;
    assert_eq!(said["deployments"], 3);
    let mut named: Vec<(String, String)> = program
        .said(of_each)
        .iter()
        .map(|it| (it["name"].as_str().unwrap().into(), it["order.id"].as_str().unwrap().into()))
        .collect();
    named.sort();
    assert_eq!(named[0], ("api".into(), last_of_api.to_string()));
    assert_eq!(named[2], ("web".into(), last_of_web.to_string()));
    let printed = moved_on(&pool).await;
    for line in [
        format!("default/api shop/api:3.0 by change order {last_of_api}"),
        format!("default/web shop/web:3.0 by change order {last_of_web}"),
        "default/late shop/web:1.0 by change order ".into(),
        "To take one up, release a version of it".into(),
        "`sluice adopt NAME` first where the application is not known".into(),
    ] {
        assert!(printed.contains(&line), "{line}: {printed}");
    }
    let app = asking(&pool, &client).await;
    // The order that was open leaves the Deployment alone and ends.
    let view = app.service.order(open).await.unwrap();
    if !view.state.is_final() {
        let _ = app.service.confirm(&caller(), view.batches[1].id, true).await;
    }
    let ended = app.end_of(open).await;
    assert_eq!((ended.state, ended.rolled_back_by), (State::Failed, None), "{ended:#?}");
    // It finds another template, or the order that wrote it, whichever it looks at first.
    let newer = last_of_api.to_string();
    let says = [newer.as_str(), "that version was left in place"];
    assert!(says.iter().any(|it| ended.message.contains(it)), "{}", ended.message);
    for (name, runs) in [("web", "shop/web:3.0"), ("api", "shop/api:3.0"), ("late", "shop/web:1.0")]
    {
        assert_eq!(image(&client, name).await, runs);
    }

    // A person takes up what is known, and adopts what is not.
    released(&app, web, "shop/web:4.0").await;
    released(&app, api, "shop/api:4.0").await;
    assert!(!moved_on(&pool).await.contains("default/web"));
    let adopt = Adopt {
        name: "late".into(),
        cluster: CLUSTER.into(),
        namespace: "default".into(),
        logical_region: None,
        description: String::new(),
        version: None,
        container: None,
    };
    let (late, adopted) = app.service.adopt(&caller(), adopt).await.unwrap();
    assert_eq!(app.end_of(adopted).await.state, State::Succeeded);
    released(&app, late, "shop/web:2.0").await;
    assert_eq!(moved_on(&pool).await, "nothing moved on that nobody has decided about\n");
    // Whoever starts next has nothing to say.
    program.end().await;
    let program = Program::start(&pool, kubeconfig, &serve);
    let next = released(&app, web, "shop/web:5.0").await;
    assert_eq!(image(&client, "web").await, "shop/web:5.0");
    assert_eq!(program.said(of_each), Vec::<Value>::new(), "{next}");
}
