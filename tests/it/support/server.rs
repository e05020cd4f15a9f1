//! The program's API on a listener, and its command line as a client of it.

use std::process::{Output, Stdio};

use domain::{ApplicationId, order::State};
use sqlx::PgPool;
use tokio::{net::TcpListener, process::Command};
use tokio_util::sync::CancellationToken;

use super::{App, DEADLINE, caller};

/// The service's part that those who follow orders need, until it is dropped.
pub struct Kept(CancellationToken);

impl Kept {
    /// With a key for those who follow in the tests' name.
    pub async fn of(app: &App) -> Self {
        let (key, secret) = (caller().key_id, "secret".into());
        app.store.insert_key(&key, &secret, "tester", app.clock.now()).await.unwrap();
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

/// The program's API on a listener, and its command line.
pub struct Server {
    pub app: App,
    pub endpoint: String,
    pub secret: String,
    _kept: Kept,
}

impl Server {
    pub async fn start(pool: PgPool) -> Self {
        Self::on(App::start(pool).await).await
    }

    pub async fn on(app: App) -> Self {
        let secret = "secret-of-the-test".to_owned();
        let key: secrecy::SecretString = secret.clone().into();
        assert!(app.store.insert_key("the-key", &key, "ci", app.clock.now()).await.unwrap());
        let (endpoint, kept) = serve(&app).await;
        Self { app, endpoint, secret, _kept: kept }
    }

    /// The API anew, on the service that the application has now.
    pub async fn again(self) -> Self {
        let (endpoint, kept) = serve(&self.app).await;
        Self { endpoint, _kept: kept, ..self }
    }

    pub fn command(&self, words: &str) -> Command {
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

    pub async fn run(&self, words: &str) -> Output {
        let output = self.command(words).output();
        tokio::time::timeout(DEADLINE, output).await.expect(words).unwrap()
    }

    /// The exit code must be `code`. Returns what was printed.
    pub async fn ends(&self, code: i32, words: &str) -> String {
        let output = self.run(words).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{words}\n{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        text(&output.stdout)
    }

    pub async fn newest(&self, application: ApplicationId) -> State {
        self.app.service.newest_order(application).await.unwrap().unwrap().state
    }
}

async fn serve(app: &App) -> (String, Kept) {
    let kept = Kept::of(app).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let beside = sluice::beside::console(app.service.clone());
    let router = edas::router_beside(app.service.clone(), edas::EdgeConfig::default(), beside);
    let connections = edas::Connections::new(edas::ConnectionSettings::default());
    tokio::spawn(connections.serve(listener, router, std::future::pending()));
    (endpoint, kept)
}
