//! The program that is measured, as a process of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
};

use serde_json::Value;
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
};

use super::client::{Client, Key};

fn path() -> String {
    std::env::var("SLUICE_BENCH_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_sluice").into())
}

fn keyring() -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().unwrap());
    FOLDER.path().join("keyring")
}

/// The program.
pub fn command() -> Command {
    Command::new(path())
}

/// The program on the database, with a keyring of its own.
fn program(url: &str) -> Command {
    let mut command = command();
    command.env("DATABASE_URL", url).env("SLUICE_KEYRING_FILE", keyring());
    command
}

/// Makes a keyring, migrates the database, and makes a key.
pub async fn prepare(url: &str) -> Key {
    let run = async |words: &[&str]| {
        let output = program(url).args(words).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    // A build from before values were sealed knows no keyrings, and needs none.
    program(url).args(["keyring", "create"]).arg(keyring()).output().await.unwrap();
    run(&["migrate"]).await;
    let made = run(&["key", "create", "--name", "bench", "--output", "json"]).await;
    let made: Value = serde_json::from_slice(&made).unwrap();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Key { id: text("AccessKeyId"), secret: text("AccessKeySecret") }
}

pub struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts a server on a simulated cluster, and waits until it serves.
    pub async fn start(url: &str, role: &str, words: &[&str]) -> Self {
        let mut command = program(url);
        command.args(["serve", "--cluster", "simulated", "--simulated-start-delay", "10ms"]);
        command.args(["--role", role]).args(words);
        let started = Self::spawn(command);
        // Without an executor nobody releases, and it is never ready.
        started.until(if role == "api" { "/healthz" } else { "/readyz" }).await;
        started
    }

    /// Starts a server on the cluster of this kubeconfig, and waits until it serves.
    pub async fn start_on(url: &str, kubeconfig: &Path) -> Self {
        let started = Self::spawn_on(url, kubeconfig);
        started.until("/readyz").await;
        started
    }

    /// The same, without waiting.
    pub fn spawn_on(url: &str, kubeconfig: &Path) -> Self {
        let mut command = program(url);
        command.arg("serve").env("KUBECONFIG", kubeconfig);
        Self::spawn(command)
    }

    /// Its log goes to nobody.
    fn spawn(mut command: Command) -> Self {
        // Free just now; nobody else asks for ports on this machine by the thousand.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = free.to_string();
        let child = command
            .args(["--peer-rate", "0", "--key-rate", "0", "--console", "off"])
            .args(["--listen", &address])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, address }
    }

    async fn until(&self, path: &str) {
        let ready = async {
            while !answers(&self.address, path).await.unwrap_or(false) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), ready).await.expect(&self.address);
    }

    pub async fn client(&self, key: &Key) -> Client {
        Client::connect(&self.address, key).await
    }

    /// CPU time that it took until now, in seconds.
    pub fn cpu(&self) -> f64 {
        self.child.id().map_or(0.0, |pid| cpu_of(pid).map_or(0.0, |it| it.1))
    }

    /// Memory that it has in use, in KiB.
    pub fn memory(&self) -> f64 {
        let pid = self.child.id().unwrap_or_default();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Kills it.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Ends it in good order.
    pub async fn stop(mut self) {
        let pid = self.child.id().unwrap_or_default().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        self.child.wait().await.unwrap();
    }
}

async fn answers(address: &str, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply.starts_with("HTTP/1.1 200"))
}

/// CPU time of all processes of this Postgres that are there now, in seconds.
pub async fn postgres_cpu(pool: &PgPool) -> f64 {
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pool).await.unwrap();
    let Some((main, _)) = cpu_of(pid.unsigned_abs()) else { return 0.0 };
    let all = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
        cpu_of(pid)
    });
    all.filter(|(parent, _)| *parent == main).map(|(_, seconds)| seconds).sum()
}

/// The parent of a process, and its CPU time in seconds.
fn cpu_of(pid: u32) -> Option<(u32, f64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
    Some((number(1)?, f64::from(number(11)? + number(12)?) / 100.0))
}
