//! Clusters that one program drives with kubeconfigs of the database: they are added, taken away,
//! rotated and removed while it runs.

mod real;
mod told;

use std::{net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use clock::Clock;
use domain::{
    ApplicationId, OrderId,
    order::{FailurePolicy, State},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Namespace};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use service::Service;
use simulated::{Config, SimulatedCluster};
use sqlx::PgPool;
use store::Store;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

use crate::{
    sign::{Key, Unsigned},
    support::{DEADLINE, batches, caller, database_url, eventually, release, settings},
};

const KEY: Key<'_> = Key { id: "the-key", secret: "secret-of-the-test" };

fn sluice(pool: &PgPool, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command
        .args(words)
        .env_clear()
        .env("DATABASE_URL", database_url(pool))
        .env("SLUICE_KEYRING", test_support::keyring::TEXT)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What a command printed that ends with success, or said that does not.
async fn ran(pool: &PgPool, words: &[&str]) -> Result<String, String> {
    let output = tokio::time::timeout(DEADLINE, sluice(pool, words).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{words:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A simulated cluster on ports, where it can be taken away.
struct Site {
    simulation: SimulatedCluster,
    folder: tempfile::TempDir,
}

impl Site {
    fn of(identity: &str) -> Self {
        let simulation = SimulatedCluster::start(Config {
            start_delay: Duration::from_millis(10),
            identity: Some(identity.into()),
            ..Config::default()
        });
        Self { simulation, folder: tempfile::tempdir().unwrap() }
    }

    /// Another port of it, until the token is cancelled; and a kubeconfig for that.
    async fn port(&self) -> (String, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (simulation, stop) = (self.simulation.clone(), CancellationToken::new());
        let until = stop.clone();
        tokio::spawn(async move { simulation.serve(listener, until.cancelled_owned()).await });
        let path: PathBuf = self.folder.path().join(address.port().to_string());
        std::fs::write(&path, simulated::kubeconfig(address)).unwrap();
        (path.to_str().unwrap().to_owned(), stop)
    }

    async fn image(&self, name: &str) -> Option<String> {
        let api = Api::<Deployment>::namespaced(self.simulation.client(), "default");
        let pods = api.get_opt(name).await.unwrap()?.spec.unwrap().template.spec.unwrap();
        pods.containers[0].image.clone()
    }
}

/// A program without a cluster of its own, and its API.
struct Server {
    pool: PgPool,
    endpoint: String,
    service: Service,
    _program: Child,
}

impl Server {
    async fn start(pool: &PgPool) -> Self {
        Self::start_with(pool, &["--cluster", "none"]).await
    }

    /// One with these settings, and a key for its API.
    async fn start_with(pool: &PgPool, settings_of_it: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        let now = jiff::Timestamp::now();
        assert!(store.insert_key(KEY.id, &KEY.secret.into(), "ci", now).await.unwrap());
        Self::with(pool, settings_of_it).await
    }

    async fn with(pool: &PgPool, settings_of_it: &[&str]) -> Self {
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        let serve = ["serve", "--lease", "1s", "--listen", "127.0.0.1:0"];
        let mut program = sluice(pool, &[&serve, settings_of_it].concat())
            .env("SLUICE_LOG_FORMAT", "json")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
        let address = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if line["fields"]["message"] == "listening" {
                    return line["fields"]["address"].as_str().unwrap().to_owned();
                }
            }
            panic!("the program ended");
        };
        let address = tokio::time::timeout(DEADLINE, address).await.unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let service = Service::new(store, Clock::default(), settings(FailurePolicy::default()));
        Self {
            pool: pool.clone(),
            endpoint: format!("http://{address}"),
            service,
            _program: program,
        }
    }

    async fn call(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> Value {
        let nonce = uuid::Uuid::now_v7().to_string();
        let date = jiff::Timestamp::now();
        let signed = Unsigned { method, path, parameters, date, nonce: Some(&nonce) }.acs3(KEY);
        let url = format!("{}{}", self.endpoint, signed.target);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        let text = request.send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
    }

    async fn ready(&self) -> (u16, Value) {
        let answer = reqwest::get(format!("{}/readyz", self.endpoint)).await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    /// Waits until the server says of a cluster whether it releases there.
    async fn until_releases(&self, id: &str, releases: bool) -> (u16, Value) {
        eventually(async || {
            let (status, body) = self.ready().await;
            let all = body["clusters"].as_array().cloned().unwrap_or_default();
            if all.iter().any(|it| it["id"] == id && it["releases"] == releases) {
                Ok((status, body))
            } else {
                Err(body.to_string())
            }
        })
        .await
    }

    async fn ends(&self, order: OrderId) {
        let view = eventually(async || {
            let view = self.service.order(order).await.unwrap();
            if view.state.is_final() { Ok(view) } else { Err(format!("{view:#?}")) }
        })
        .await;
        assert_eq!(view.state, State::Succeeded, "{}", view.message);
    }

    /// Creates an application over the API, and waits until its first version runs.
    async fn create(&self, cluster: &str, name: &str) -> ApplicationId {
        let reply = self.asked_to_create(cluster, name).await;
        assert_eq!(reply["Code"], 200, "{reply}");
        let said = &reply["ApplicationInfo"];
        let id = |field: &str| said[field].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
        self.ends(id("ChangeOrderId").parse().unwrap()).await;
        id("AppId").parse().unwrap()
    }

    async fn asked_to_create(&self, cluster: &str, name: &str) -> Value {
        let wanted = [
            ("AppName", name),
            ("ClusterId", cluster),
            ("ImageUrl", "shop/web:1.0"),
            ("Replicas", "2"),
        ];
        self.call("POST", "/pop/v5/k8s/acs/create_k8s_app", &wanted).await
    }

    async fn deploys(&self, application: ApplicationId, image: &str) {
        let wanted = release(application, image, batches(1));
        let order = self.service.deploy(&caller(), wanted).await.unwrap();
        self.ends(order).await;
    }

    async fn add(&self, id: &str, kubeconfig: &str) -> Result<String, String> {
        ran(&self.pool, &["cluster", "add", id, "--kubeconfig", kubeconfig]).await
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn two_clusters_are_driven_by_one_program_and_one_that_is_away_holds_up_nothing(
    pool: PgPool,
) {
    let (one, two) = (Site::of("the-one"), Site::of("the-two"));
    let ((one_at, _one_runs), (two_at, two_runs)) = (one.port().await, two.port().await);
    let server = Server::start(&pool).await;
    let (status, body) = server.ready().await;
    assert_eq!(status, 503, "{body}");
    assert!(body["reason"].as_str().unwrap().contains("sluice cluster add"), "{body}");

    // Nothing is started again for those that are added.
    let said = server.add("one", &one_at).await.unwrap();
    assert!(said.contains("one is added") && said.contains("the-one"), "{said}");
    server.add("two", &two_at).await.unwrap();
    let twice = server.add("again", &one_at).await.unwrap_err();
    assert!(twice.contains("the identity of the cluster one already"), "{twice}");
    let taken = server.add("one", &two_at).await.unwrap_err();
    assert!(taken.contains("sluice cluster rotate one"), "{taken}");
    server.until_releases("one", true).await;
    let (status, body) = server.until_releases("two", true).await;
    assert_eq!((status, body["clusters"].as_array().unwrap().len()), (200, 2), "{body}");

    // Each application runs on its own cluster, and on no other.
    let (web, api) = (server.create("one", "web").await, server.create("two", "api").await);
    server.deploys(web, "shop/web:2.0").await;
    server.deploys(api, "shop/api:2.0").await;
    assert_eq!(one.image("web").await.as_deref(), Some("shop/web:2.0"));
    assert_eq!(two.image("api").await.as_deref(), Some("shop/api:2.0"));
    assert_eq!((one.image("api").await, two.image("web").await), (None, None));
    let nowhere = server.asked_to_create("nowhere", "web").await;
    assert!(nowhere["Message"].as_str().unwrap().contains("does not exist"), "{nowhere}");

    // Lists show each with its own namespaces.
    let namespaces = Api::<Namespace>::all(two.simulation.client());
    let only = serde_json::from_value(json!({ "metadata": { "name": "only-two" } })).unwrap();
    namespaces.create(&PostParams::default(), &only).await.unwrap();
    let seen = async |id: &str| {
        let path = "/pop/v5/k8s/acs/k8s_namespace";
        let reply = server.call("GET", path, &[("ClusterId", id)]).await;
        reply["Data"].to_string().contains("only-two")
    };
    eventually(async || if seen("two").await { Ok(()) } else { Err("not seen".into()) }).await;
    assert!(!seen("one").await);
    let listed = server.call("POST", "/pop/v5/resource/cluster_list", &[]).await;
    let ids: Vec<&Value> = listed["ClusterList"]["Cluster"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["ClusterId"])
        .collect();
    assert_eq!(ids, ["one", "two"]);

    // One goes away: the server says which, and goes on with the other.
    two_runs.cancel();
    let (status, body) = server.until_releases("two", false).await;
    assert_eq!((status, &body["releases"]), (200, &json!(true)), "{body}");
    let wanted = release(api, "shop/api:3.0", batches(1));
    server.service.deploy(&caller(), wanted).await.unwrap();
    server.deploys(web, "shop/web:3.0").await;
    assert_eq!(one.image("web").await.as_deref(), Some("shop/web:3.0"));
    let state = server.call("POST", "/pop/v5/k8s_clusters", &[("RegionTag", "cn-hangzhou")]).await;
    let state = &state["ClusterPage"]["ClusterList"]["Cluster"];
    assert_eq!((&state[0]["ClusterStatus"], &state[1]["ClusterStatus"]), (&json!(1), &json!(2)));
    let printed = ran(&pool, &["cluster", "list"]).await.unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[1].starts_with("one") && lines[1].ends_with("ok"), "{printed}");
    assert!(lines[2].contains("0 of 1") && !lines[2].ends_with("ok"), "{printed}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_kubeconfig_is_rotated_and_a_cluster_removed_without_a_restart(pool: PgPool) {
    let (one, two) = (Site::of("the-one"), Site::of("the-two"));
    let ((before, before_runs), (two_at, _two_runs)) = (one.port().await, two.port().await);
    let (after, _after_runs) = one.port().await;
    let server = Server::start(&pool).await;
    server.add("one", &before).await.unwrap();
    server.add("two", &two_at).await.unwrap();
    let web = server.create("one", "web").await;

    // Another way to the same cluster takes the place of the one before, and no other cluster does.
    let rotate = async |kubeconfig: &str| {
        ran(&pool, &["cluster", "rotate", "one", "--kubeconfig", kubeconfig]).await
    };
    let other = rotate(&two_at).await.unwrap_err();
    assert!(other.contains("this is another cluster"), "{other}");
    rotate(&after).await.unwrap();
    before_runs.cancel();
    server.deploys(web, "shop/web:2.0").await;
    assert_eq!(one.image("web").await.as_deref(), Some("shop/web:2.0"));
    server.until_releases("one", true).await;

    // What is still used stays; what is not is known no more.
    let used = ran(&pool, &["cluster", "remove", "one"]).await.unwrap_err();
    assert!(used.contains("1 applications"), "{used}");
    let executors = async || {
        let sql = "SELECT count(*) FROM executor WHERE cluster_id = 'two'";
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap()
    };
    assert_eq!(executors().await, 1);
    let listed = async || {
        let reply = server.call("POST", "/pop/v5/resource/cluster_list", &[]).await;
        reply["ClusterList"]["Cluster"].as_array().unwrap().len()
    };
    let (place, of_two) = ("/pop/v5/resource/cluster", [("ClusterId", "two")]);
    let hidden = server.call("DELETE", place, &of_two).await;
    assert_eq!((&hidden["Data"], listed().await), (&json!(true), 1), "{hidden}");
    let shown = server.call("POST", "/pop/v5/import_k8s_cluster", &of_two).await;
    assert_eq!((&shown["Data"], listed().await), (&json!("two"), 2), "{shown}");
    let kept = server.call("DELETE", place, &[("ClusterId", "one")]).await;
    assert!(kept["Message"].as_str().unwrap().contains("one"), "{kept}");
    assert_eq!(listed().await, 2);
    ran(&pool, &["cluster", "remove", "two"]).await.unwrap();
    let gone = async || if executors().await == 0 { Ok(()) } else { Err("it runs on".into()) };
    eventually(gone).await;
    let refused = server.asked_to_create("two", "api").await;
    assert!(refused["Message"].as_str().unwrap().contains("does not exist"), "{refused}");
    let again = ran(&pool, &["cluster", "remove", "two"]).await.unwrap_err();
    assert!(again.contains("the cluster two does not exist"), "{again}");

    // Its identity may get another id, and so may be driven again.
    server.add("anew", &two_at).await.unwrap();
    server.create("anew", "api").await;
    let audit = "SELECT operation || ' ' || object FROM audit_entry WHERE object LIKE 'cluster/%' ORDER BY id";
    let recorded: Vec<String> = sqlx::query_scalar(audit).fetch_all(&pool).await.unwrap();
    assert_eq!(
        recorded,
        [
            "sluice:add_cluster cluster/one",
            "sluice:add_cluster cluster/two",
            "sluice:rotate_kubeconfig cluster/one",
            "edas:DeleteCluster cluster/two",
            "edas:ImportK8sCluster cluster/two",
            "sluice:forget_cluster cluster/two",
            "sluice:add_cluster cluster/anew",
        ]
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_kubeconfig_that_cannot_work_is_refused_and_nothing_is_written(pool: PgPool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let kubeconfig = |cluster: &str, user: &str| {
        format!(
            "clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
        )
    };
    // Nobody listens there: it was bound, and is free again.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let server = format!("server: 'http://{closed}'");
    let long = format!("{server}, tls-server-name: {}", "a".repeat(256 * 1024));
    std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    for (text, says) in [
        (kubeconfig(&server, "exec: {command: aws, args: [geheim]}"), "users[u].exec"),
        (kubeconfig(&server, "auth-provider: {name: geheim}"), "users[u].auth-provider"),
        (
            kubeconfig(&format!("{server}, certificate-authority: gone.pem"), "token: geheim"),
            "certificate-authority: gone.pem",
        ),
        (kubeconfig(&server, "tokenFile: gone, username: geheim"), "tokenFile: gone"),
        (kubeconfig(&long, ""), "more than 262144 bytes"),
        (kubeconfig(&server, "token: geheim"), "cannot be reached"),
        (kubeconfig(&format!("server: 'https://{closed}'"), "token: geheim"), "cannot be reached"),
        (
            kubeconfig(
                &format!("server: 'https://{closed}', certificate-authority: ca.pem"),
                "token: geheim",
            ),
            "certificate-authority: ca.pem holds nothing in PEM",
        ),
        ("token: [geheim".into(), "no kubeconfig"),
    ] {
        std::fs::write(&path, text).unwrap();
        let words = ["cluster", "add", "one", "--kubeconfig", path.to_str().unwrap()];
        let refused = ran(&pool, &words).await.unwrap_err();
        assert!(refused.contains(says) && !refused.contains("geheim"), "{says}: {refused}");
    }
    let agent = ran(&pool, &["cluster", "add", "a/b", "--agent"]).await.unwrap_err();
    assert!(agent.contains("begin with a letter or digit"), "{agent}");
    let rows = "SELECT (SELECT count(*) FROM kubernetes_cluster) + (SELECT count(*) FROM cluster_credential)";
    assert_eq!(sqlx::query_scalar::<_, i64>(rows).fetch_one(&pool).await.unwrap(), 0);

    let said = ran(&pool, &["cluster", "add", "inside", "--agent"]).await.unwrap();
    assert!(said.contains("--role executor --only-own-cluster --cluster-id inside"), "{said}");
    let printed = ran(&pool, &["cluster", "list"]).await.unwrap();
    assert!(printed.contains("agent") && printed.contains("no executor is alive"), "{printed}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_program_drives_its_own_cluster_beside_the_others_or_that_one_alone(pool: PgPool) {
    let (one, inside) = (Site::of("the-one"), Site::of("the-inside"));
    let ((one_at, _one_runs), (inside_at, _inside_runs)) = (one.port().await, inside.port().await);
    let server = Server::start(&pool).await;
    server.add("one", &one_at).await.unwrap();
    server.add("inside", &inside_at).await.unwrap();
    server.create("inside", "web").await;
    let holders = async |id: &str| {
        let sql = "SELECT count(*) FROM executor WHERE cluster_id = $1";
        sqlx::query_scalar::<_, i64>(sql).bind(id).fetch_one(&pool).await.unwrap()
    };
    let has = async |id: &str, wanted: i64| {
        eventually(async || match holders(id).await {
            found if found == wanted => Ok(()),
            found => Err(format!("{id} has {found}")),
        })
        .await;
    };
    has("one", 1).await;

    // An agent takes the place of the kubeconfig. What runs there stays, and so does its identity.
    let said = ran(&pool, &["cluster", "add", "inside", "--agent"]).await.unwrap();
    assert!(said.contains("its kubeconfig is deleted"), "{said}");
    has("inside", 0).await;
    let (status, body) = server.ready().await;
    assert_eq!((status, body.get("clusters")), (200, None), "{body}");
    let agent = Agent::start(&pool, &inside_at, "inside");
    has("inside", 1).await;
    server.create("inside", "api").await;
    assert_eq!(inside.image("api").await.as_deref(), Some("shop/web:1.0"));
    assert_eq!(holders("one").await, 1, "the agent leaves other clusters alone");
    let driven = ran(&pool, &["cluster", "remove", "inside"]).await.unwrap_err();
    assert!(driven.contains("2 applications"), "{driven}");
    drop(agent);

    // One with a cluster of its own drives the others too.
    let _beside = Server::with(&pool, &["--cluster", "simulated", "--cluster-id", "own"]).await;
    has("own", 1).await;
    has("one", 2).await;
    server.create("one", "web").await;
    let taken = server.add("own", &inside_at).await.unwrap_err();
    assert!(taken.contains("this is another cluster"), "{taken}");
    let driven = ran(&pool, &["cluster", "remove", "own"]).await.unwrap_err();
    assert!(driven.contains("1 of them run with --cluster-id own"), "{driven}");
}

/// An executor inside a cluster.
struct Agent(#[expect(dead_code, reason = "it runs while it is kept")] Child);

impl Agent {
    fn start(pool: &PgPool, kubeconfig: &str, id: &str) -> Self {
        let serve = ["serve", "--role", "executor", "--only-own-cluster", "--lease", "1s"];
        let own = ["--cluster-id", id, "--listen", "127.0.0.1:0"];
        let mut command = sluice(pool, &[&serve[..], &own].concat());
        Self(command.env("KUBECONFIG", kubeconfig).stderr(Stdio::null()).spawn().unwrap())
    }
}
