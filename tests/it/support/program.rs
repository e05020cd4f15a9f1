//! The program itself, `sluice serve` on a simulated cluster, with what it logs.

use std::{
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::PgPool;
use store::Store;
use test_support::sign::{Key, Unsigned};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{DEADLINE, database_url, eventually};

const KEY: Key<'_> = Key { id: "the-key", secret: "secret-of-the-test" };

pub struct Program {
    child: Child,
    address: String,
    log: Arc<Mutex<Vec<Value>>>,
}

impl Program {
    /// One with these settings besides, and a key that may do everything.
    pub async fn start(pool: &PgPool, settings: &[&str]) -> Self {
        Self::start_in(pool, settings, &[]).await
    }

    /// The same with these variables in its environment.
    pub async fn start_in(pool: &PgPool, settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let store = Store::on(pool.clone(), test_support::keyring::keyring());
        store
            .insert_key(KEY.id, &KEY.secret.to_owned().into(), "ci", Timestamp::now())
            .await
            .unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluice"))
            .args(["serve", "--log-format", "json"])
            .args(["--listen", "127.0.0.1:0", "--simulated-start-delay", "10ms"])
            .args(settings)
            .env("DATABASE_URL", database_url(pool))
            .env("SLUICE_KEYRING", test_support::keyring::TEXT)
            .env("SLUICE_CLUSTER", "simulated")
            .env_remove("SLUICE_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(Vec::<Value>::new()));
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap_or(line.into()));
            }
        });
        let address = eventually(async || {
            let lines = log.lock().unwrap();
            let listening = lines.iter().find(|line| line["fields"]["message"] == "listening");
            let address = listening.and_then(|line| line["fields"]["address"].as_str());
            address.map(str::to_owned).ok_or_else(|| format!("{lines:?}"))
        })
        .await;
        Self { child, address, log }
    }

    /// Asks it to end, and waits until it has.
    pub async fn end(&mut self) -> ExitStatus {
        let id = self.child.id().unwrap().to_string();
        let asked = Command::new("kill").arg(id).status().await.unwrap();
        assert!(asked.success());
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        ended.expect("it must end").unwrap()
    }

    /// Ends it as a crash would.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// What it logged until now, a line each.
    pub fn log(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// Its answer to a signed call with this header besides, if there is one.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
        header: Option<(&str, &str)>,
    ) -> Value {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let nonce = uuid::Uuid::now_v7().to_string();
        let date = Timestamp::now();
        let signed = Unsigned { method, path, parameters, date, nonce: Some(&nonce) }.acs3(KEY);
        let url = format!("http://{}{}", self.address, signed.target);
        let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
        for (name, value) in signed.headers {
            request = request.header(name, value);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = tokio::time::timeout(DEADLINE, request.send()).await.expect(path).unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// The same, which must succeed.
    pub async fn succeeds(
        &self,
        method: &str,
        path: &str,
        parameters: &[(&str, &str)],
        header: Option<(&str, &str)>,
    ) -> Value {
        let answer = self.call(method, path, parameters, header).await;
        assert_eq!(answer["Code"], 200, "{path}: {answer}");
        answer
    }
}
