//! Following orders: how often they are loaded, who misses what, and the command line as a
//! client of the whole program on a simulated cluster.

use std::{
    collections::HashMap,
    process::{Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use domain::{ApplicationId, OrderId, order::State, snapshot::Snapshot};
use futures::{StreamExt, future::join_all};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, runtime::watcher};
use service::Viewer;
use sqlx::PgPool;
use tokio::{net::TcpListener, process::Command, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::support::{App, DEADLINE, batches, caller, manual};

const NEW: &str = "shop/web:2.0";
/// An image that the simulated cluster cannot pull.
const BROKEN: &str = "shop/web:9.0--image-pull-error";

const FOLLOWERS: usize = 1000;

/// The service's part that those who follow orders need, until it is dropped.
struct Kept(CancellationToken);

impl Kept {
    async fn of(app: &App) -> Self {
        let (viewer, secret) = (viewer(), "secret".into());
        app.store.insert_key(&viewer.key_id, &secret, "tester", app.clock.now()).await.unwrap();
        let (service, stop) = (app.service.clone(), CancellationToken::new());
        let until = stop.clone();
        tokio::spawn(async move { service.keep_watches(until).await });
        Self(stop)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn viewer() -> Viewer {
    Viewer { key_id: caller().key_id, session: None }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_thousand_who_follow_an_order_cost_one_load_for_a_change(pool: PgPool) {
    let mut app = App::start(pool).await;
    let kept = Kept::of(&app).await;
    let application = app.create("web", 2).await;
    app.stop_executor().await;
    let order = app.deploy(application, NEW, manual(2)).await;
    let viewer = viewer();
    let begin = (0..FOLLOWERS).map(|_| app.service.watch_order(order, &viewer));
    let mut all: Vec<_> = join_all(begin).await.into_iter().map(Result::unwrap).collect();
    for watch in &mut all {
        assert_eq!(watch.next().await.unwrap().order.state, State::Ready);
    }
    let loads = app.service.watched_loads();
    app.service.abort(&caller(), order).await.unwrap();
    let seen = join_all(all.iter_mut().map(|watch| watch.next())).await;
    let first = seen[0].as_ref().unwrap();
    assert_eq!(first.order.state, State::Aborted);
    let drawn = AtomicUsize::new(0);
    for shown in seen.iter().flatten() {
        shown.page(|order| format!("{} {}", drawn.fetch_add(1, Relaxed), order.order.id).into());
        assert!(std::sync::Arc::ptr_eq(shown, first), "all share one snapshot");
        assert_eq!(shown.event().as_ptr(), first.event().as_ptr(), "and its event");
    }
    assert_eq!(drawn.into_inner(), 1, "and what people see of it");
    // A read of the net beneath may have come between.
    let cost = app.service.watched_loads() - loads;
    assert!((1..=3).contains(&cost), "{cost} loads for one change and {FOLLOWERS} who follow");
    drop(kept);
    let ends = join_all(all.iter_mut().map(|watch| watch.next())).await;
    assert!(ends.iter().all(Option::is_none), "with the server all of it ends");
    assert!(
        app.service.watch_order(order, &viewer).await.is_err(),
        "and nobody is let in any more"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn whoever_is_slow_gets_the_newest_and_an_order_that_is_none_is_told(pool: PgPool) {
    let app = App::start(pool).await;
    let _kept = Kept::of(&app).await;
    let application = app.create("web", 4).await;
    let order = app.deploy(application, NEW, batches(2)).await;
    let (mut slow, mut quick) = (
        app.service.watch_order(order, &viewer()).await.unwrap(),
        app.service.watch_order(order, &viewer()).await.unwrap(),
    );
    let mut seen = 0;
    while !quick.next().await.unwrap().order.state.is_final() {
        seen += 1;
    }
    assert!(seen > 1, "it went on in steps: {seen}");
    let newest = slow.next().await.unwrap();
    assert_eq!(newest.order.state, State::Succeeded, "{newest:#?}");
    assert_eq!(newest.batches.iter().map(|batch| batch.ready()).sum::<usize>(), 4);
    assert!(newest.timeline.iter().any(|event| event.kind == "order.accepted"));
    let unknown = app.service.watch_order(OrderId::new(), &viewer()).await.unwrap_err();
    assert!(unknown.to_string().contains("does not exist"), "{unknown}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_pods_change_is_on_the_stream_soon(pool: PgPool) {
    let config = simulated::Config {
        start_delay: Duration::from_millis(50),
        jitter: Duration::from_secs(2),
        ..simulated::Config::default()
    };
    let app = App::start_with(pool, config).await;
    let _kept = Kept::of(&app).await;
    let application = app.create("web", 100).await;
    let order = app.deploy(application, NEW, batches(1)).await;
    let pods: Api<Pod> = Api::namespaced(app.client.clone(), &app.namespace);
    let became = tokio::spawn(async move {
        let mut events = watcher::watcher(pods, watcher::Config::default()).boxed();
        let mut at: HashMap<String, Instant> = HashMap::new();
        while at.len() < 200
            && let Some(Ok(event)) = events.next().await
        {
            if let watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) = event {
                let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                let is_ready = conditions
                    .into_iter()
                    .flatten()
                    .any(|it| it.type_ == "Ready" && it.status == "True");
                if is_ready {
                    at.entry(pod.name_any()).or_insert_with(Instant::now);
                }
            }
        }
        at
    });
    let mut shown: HashMap<String, Instant> = HashMap::new();
    let mut watch = app.service.watch_order(order, &viewer()).await.unwrap();
    while let Some(snapshot) = watch.next().await {
        for pod in snapshot.batches.iter().flat_map(|batch| &batch.pods).filter(|pod| pod.ready) {
            shown.entry(pod.name.clone()).or_insert_with(Instant::now);
        }
        if snapshot.order.state.is_final() {
            break;
        }
    }
    let became = tokio::time::timeout(DEADLINE, became).await.unwrap().unwrap();
    let mut delays: Vec<Duration> = shown
        .iter()
        .filter_map(|(name, at)| Some(at.saturating_duration_since(*became.get(name)?)))
        .collect();
    delays.sort_unstable();
    assert_eq!(delays.len(), 100, "each pod's change was shown");
    println!("a pod's change to the stream: median {:?}, p99 {:?}", delays[49], delays[98]);
}

/// The program's API on a listener, and its command line.
struct Server {
    app: App,
    endpoint: String,
    secret: String,
    _kept: Kept,
}

impl Server {
    async fn start(pool: PgPool) -> Self {
        let app = App::start(pool).await;
        let kept = Kept::of(&app).await;
        let secret = "secret-of-the-test".to_owned();
        let key: secrecy::SecretString = secret.clone().into();
        assert!(app.store.insert_key("the-key", &key, "ci", app.clock.now()).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = edas::router(app.service.clone(), edas::EdgeConfig::default());
        let connections = edas::Connections::new(edas::ConnectionSettings::default());
        tokio::spawn(connections.serve(listener, router, std::future::pending()));
        Self { app, endpoint, secret, _kept: kept }
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command
            .args(words.split_whitespace())
            .env_clear()
            .env("SLUICE_ENDPOINT", &self.endpoint)
            .env("SLUICE_ACCESS_KEY_ID", "the-key")
            .env("SLUICE_ACCESS_KEY_SECRET", &self.secret)
            .env("SLUICE_CONTEXT_FILE", "/nowhere/contexts.json")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, words: &str) -> Output {
        let output = self.command(words).output();
        tokio::time::timeout(DEADLINE, output).await.expect(words).unwrap()
    }

    /// The exit code must be `code`. Returns what was printed.
    async fn ends(&self, code: i32, words: &str) -> String {
        let output = self.run(words).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{words}\n{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        text(&output.stdout)
    }

    async fn newest(&self, application: ApplicationId) -> State {
        self.app.service.newest_order(application).await.unwrap().unwrap().state
    }
}

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

impl Server {
    /// The API anew, on the service that the application has now.
    async fn again(self) -> Self {
        let kept = Kept::of(&self.app).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = edas::router(self.app.service.clone(), edas::EdgeConfig::default());
        let connections = edas::Connections::new(edas::ConnectionSettings::default());
        tokio::spawn(connections.serve(listener, router, std::future::pending()));
        Self { endpoint, _kept: kept, ..self }
    }
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
