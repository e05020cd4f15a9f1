//! Postgres commits, and the reply is lost: whoever waited for it does not know. A proxy before
//! the server breaks the connection right after a COMMIT was carried out, or a statement that is
//! a transaction by itself.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::Store;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

use super::*;
use crate::support::{Running, batches};

/// Leases outlast a broken connection.
const LEASE: std::time::Duration = std::time::Duration::from_secs(2);

/// What a client sends to commit.
const COMMIT: &[u8] = b"COMMIT\0";

/// The statements of an executor that are a transaction by themselves, most of the time.
const WRITES: [&[u8]; 2] = [b"/* advance */", b"/* record_applied */"];

fn contains(sent: &[u8], text: &[u8]) -> bool {
    sent.windows(text.len()).any(|part| part == text)
}

/// Passes a connection on, and counts commits. Every second one is carried out, and its reply
/// is lost with the connection.
async fn pass(client: TcpStream, server: UnixStream, commits: Arc<AtomicUsize>) {
    let ((mut asks, mut hears), (mut answers, mut gets)) =
        (client.into_split(), server.into_split());
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // A statement is prepared, and what is sent next carries it out.
    let mut is_prepared = false;
    loop {
        tokio::select! {
            length = asks.read(&mut asked) => {
                let Ok(length @ 1..) = length else { return };
                let sent = &asked[..length];
                if gets.write_all(sent).await.is_err() { return }
                let commits_now = contains(sent, COMMIT) || is_prepared;
                is_prepared = WRITES.iter().any(|text| contains(sent, text));
                if commits_now && !commits.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
                    // The server has answered: it is done.
                    let _ = answers.read(&mut answered).await;
                    return;
                }
            }
            length = answers.read(&mut answered) => {
                let Ok(length @ 1..) = length else { return };
                if hears.write_all(&answered[..length]).await.is_err() { return }
            }
        }
    }
}

/// The store of the test's database, through a proxy that loses replies.
async fn losing_replies(pool: &PgPool) -> (Store, Arc<AtomicUsize>) {
    let options = pool.connect_options();
    let folder = options.get_socket().expect("the tests' server has a Unix socket").clone();
    let socket: PathBuf = folder.join(format!(".s.PGSQL.{}", options.get_port()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let commits = Arc::new(AtomicUsize::new(0));
    let counted = commits.clone();
    // Ends with the test's runtime.
    tokio::spawn(async move {
        loop {
            let Ok((client, _)) = listener.accept().await else { continue };
            let Ok(server) = UnixStream::connect(&socket).await else { continue };
            tokio::spawn(pass(client, server, counted.clone()));
        }
    });
    let through = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(options.get_username())
        .database(options.get_database().unwrap())
        .ssl_mode(sqlx::postgres::PgSslMode::Disable)
        // So that each statement is prepared anew, and its text is seen.
        .statement_cache_capacity(0);
    let pool = PgPoolOptions::new().max_connections(8).connect_with(through).await.unwrap();
    (Store::on(pool, test_support::keyring::keyring()), commits)
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn the_reply_to_a_commit_may_be_lost_whenever_it_was_carried_out(pool: PgPool) {
    let mut app = App::start(pool.clone()).await;
    let application = app.create("web", 6).await;
    let (store, commits) = losing_replies(&pool).await;
    let next = Running::start(&store, app.client.clone(), &app.clock, LEASE);
    std::mem::replace(&mut app.executor, next).stop().await;
    release_whole(&app, "web", application).await;
    assert!(commits.load(Ordering::Relaxed) > 2 * 5, "replies were lost");
    // The same where the order fails, and its way back is opened in the same transaction.
    let failing = app.deploy(application, "shop/web:3.0--image-pull-error", batches(2)).await;
    let failed = app.end_of(failing).await;
    assert_eq!(failed.state, State::Failed, "{failed:#?}");
    let back = app.end_of(failed.rolled_back_by.expect("it is rolled back")).await;
    assert_eq!(back.state, State::Succeeded, "{back:#?}");
}
