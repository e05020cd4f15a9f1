//! How soon an order goes on whose program is killed.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tempfile::TempDir;
use tokio::process::Child;

use super::{client::Key, create, program, program::Program};

/// A simulated cluster that is a process of its own.
pub struct Cluster {
    kubeconfig: PathBuf,
    _folder: TempDir,
    _program: Child,
}

impl Cluster {
    /// Starts one whose pods come up after so long.
    pub async fn start(delay: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let program = program::command()
            .args(["simulate", "--listen", "127.0.0.1:0", "--simulated-start-delay", delay])
            .arg("--kubeconfig")
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        while !std::fs::read_to_string(&kubeconfig).is_ok_and(|text| text.contains("server")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { kubeconfig, _folder: folder, _program: program }
    }

    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

/// The times in seconds until another program goes on, and until the same one does that is
/// started again.
pub async fn measure(pool: &PgPool, url: &str, key: &Key, kills: usize) -> (Vec<f64>, Vec<f64>) {
    // Its pods do not come up for as long as anybody looks.
    let cluster = Cluster::start("1h").await;
    let start = async || Program::start_on(url, &cluster.kubeconfig).await;
    let mut holder = start().await;
    create(&mut holder.client(key).await, "held", 3).await;
    let mut lease = leased_after(pool, 0).await;
    let (mut by_other, mut again) = (Vec::new(), Vec::new());
    for _ in 0..kills {
        let standby = start().await;
        until_shown(pool, 2).await;
        let killed = Instant::now();
        holder.kill().await;
        lease = leased_after(pool, lease).await;
        by_other.push(killed.elapsed().as_secs_f64());
        holder = standby;
    }
    for _ in 0..kills {
        until_shown(pool, 1).await;
        let killed = Instant::now();
        holder.kill().await;
        holder = Program::spawn_on(url, &cluster.kubeconfig);
        lease = leased_after(pool, lease).await;
        again.push(killed.elapsed().as_secs_f64());
    }
    holder.kill().await;
    (by_other, again)
}

/// The generation of a valid lease, once there is a newer one than this.
async fn leased_after(pool: &PgPool, generation: i64) -> i64 {
    let newer = "SELECT max(generation) FROM change_order WHERE lease_expires_at > now() AND generation > $1";
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found: Option<i64> =
            sqlx::query_scalar(newer).bind(generation).fetch_one(pool).await.unwrap();
        if let Some(found) = found {
            return found;
        }
        assert!(Instant::now() < deadline, "nobody goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Waits until so many executors show that they live.
async fn until_shown(pool: &PgPool, count: i64) {
    let shown = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
    let deadline = Instant::now() + Duration::from_secs(5);
    // A build that shows nothing is measured all the same.
    while Instant::now() < deadline
        && sqlx::query_scalar::<_, i64>(shown).fetch_one(pool).await.unwrap() < count
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
