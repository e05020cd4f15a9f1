//! Thousands of connections that never finish a request, beside one that does.

use std::{net::SocketAddr, time::Duration};

use domain::OrderId;
use edas::{ConnectionSettings, Connections, Times};
use sqlx::PgPool;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};

use crate::{
    sign::{Key, Unsigned},
    support::{App, OWN_POOL},
};

const KEY: Key<'static> = Key { id: "test-key", secret: "test-secret" };
const DEADLINE: Duration = Duration::from_secs(120);

/// How many there are to be, if the system lets the test have two ends of each.
const WANTED: u64 = 4096;

/// Peers that they come from.
const PEERS: u64 = 8;

struct Server {
    address: SocketAddr,
    connections: Connections,
    app: App,
}

impl Server {
    async fn start(pool: PgPool) -> Self {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let app = App::start(pool).await;
        assert!(
            app.store.insert_key(KEY.id, &KEY.secret.into(), "ci", app.clock.now()).await.unwrap()
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // They are to stay for as long as the test looks at them.
        let standard = ConnectionSettings::default();
        let times = Times { head: Duration::from_secs(600), ..standard.times };
        let connections = Connections::new(ConnectionSettings { times, ..standard });
        let router = edas::router(app.service.clone(), edas::EdgeConfig::default());
        tokio::spawn(connections.clone().serve(listener, router, std::future::pending()));
        Self { address, connections, app }
    }

    /// How long the median of some signed requests takes, each on a connection of its own.
    async fn median(&self) -> Duration {
        let mut times = Vec::new();
        for _ in 0..20 {
            let nonce = OrderId::new().to_string();
            let unsigned = Unsigned {
                method: "POST",
                path: "/pop/v5/app/app_list",
                parameters: &[],
                date: self.app.clock.now(),
                nonce: Some(&nonce),
            };
            let signed = unsigned.acs3(KEY);
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let mut request =
                client.post(format!("http://{}{}", self.address, signed.target)).timeout(DEADLINE);
            for (name, value) in signed.headers {
                request = request.header(name, value);
            }
            let started = Instant::now();
            let reply: serde_json::Value =
                serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap())
                    .unwrap();
            times.push(started.elapsed());
            assert_eq!(reply["Code"], 200, "{reply}");
        }
        times.sort_unstable();
        times[times.len() / 2]
    }

    async fn half_open(&self, peer: u64) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("127.0.1.{}:0", peer + 1).parse().unwrap()).unwrap();
        let mut stream = socket.connect(self.address).await.unwrap();
        stream
            .write_all(b"POST /pop/v5/app/app_list HTTP/1.1\r\nHost: h\r\nX-Never: end")
            .await
            .unwrap();
        stream
    }
}

/// The server's processes in Postgres.
async fn postgres(pool: &PgPool) -> Vec<i32> {
    let query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 ORDER BY pid";
    sqlx::query_scalar(query).bind(OWN_POOL).fetch_all(pool).await.unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn thousands_that_never_finish_a_head_keep_nobody_else_out(pool: PgPool) {
    let files = rlimit::increase_nofile_limit(3 * WANTED).unwrap();
    let count = WANTED.min(files.saturating_sub(1024) / 2) / PEERS * PEERS;
    if count < WANTED {
        println!("the system allows {files} open files: {count} connections instead of {WANTED}");
    }
    assert!(count >= 1024, "the system allows {files} open files: too few for this test");
    let server = Server::start(pool.clone()).await;
    let before = server.median().await;
    let processes = postgres(&pool).await;
    assert!(!processes.is_empty());

    let mut held = Vec::new();
    for number in 0..count {
        held.push(server.half_open(number % PEERS).await);
    }
    let deadline = Instant::now() + DEADLINE;
    let wanted = usize::try_from(count).unwrap();
    while server.connections.count() < wanted {
        assert!(
            Instant::now() < deadline,
            "{} of {wanted} connections",
            server.connections.count()
        );
        tokio::task::yield_now().await;
    }
    let after = server.median().await;
    println!(
        "{count} half-open connections: the median of 20 requests took {after:?}, {before:?} without them"
    );
    // Wide enough for a busy machine, and far below what a request waits that is kept out.
    assert!(
        after < Duration::from_millis(50).max(4 * before),
        "{after:?} with {count} half-open connections, {before:?} without them"
    );
    assert!(server.connections.count() <= 4096);
    let kept = postgres(&pool).await;
    let lost: Vec<i32> = processes.into_iter().filter(|process| !kept.contains(process)).collect();
    assert!(lost.is_empty(), "the processes {lost:?} are gone; there are {kept:?}");
}
