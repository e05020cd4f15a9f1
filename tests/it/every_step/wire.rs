//! A proxy before Postgres, which reads the frames of an executor's connections: every
//! COMMIT, and every statement that writes outside of a transaction, is a point.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter},
    net::{
        TcpListener, TcpStream, UnixStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
        unix,
    },
    task::JoinHandle,
};

use super::seam::{Fate, Seam};

/// A proxy before the server of these options: how to connect through it, and what ends it.
pub async fn before(
    options: &PgConnectOptions,
    seam: Arc<Seam>,
) -> (PgConnectOptions, JoinHandle<()>) {
    let folder = options.get_socket().expect("the tests' server has a Unix socket");
    let socket: PathBuf = folder.join(format!(".s.PGSQL.{}", options.get_port()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        loop {
            let Ok((client, _)) = listener.accept().await else { continue };
            let Ok(server) = UnixStream::connect(&socket).await else { continue };
            if !seam.has_ended() && client.set_nodelay(true).is_ok() {
                tokio::spawn(pass(client, server, seam.clone()));
            }
        }
    });
    let through = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(options.get_username())
        .database(options.get_database().unwrap())
        .ssl_mode(PgSslMode::Disable);
    (through, task)
}

/// How far the exchanges of a connection are. Each ends with the server's `ReadyForQuery`, the
/// first of them that of the start.
struct Exchanges {
    asked: AtomicUsize,
    /// The one whose answer is lost.
    last: AtomicUsize,
    /// Those that are answered that the disk is full.
    refused: Mutex<BTreeSet<usize>>,
}

/// Passes a connection on, until its executor ends.
async fn pass(client: TcpStream, server: UnixStream, seam: Arc<Seam>) {
    let ((asks, hears), (answers, gets)) = (client.into_split(), server.into_split());
    let exchanges = Exchanges {
        asked: AtomicUsize::new(1),
        last: AtomicUsize::new(usize::MAX),
        refused: Mutex::default(),
    };
    // Whichever way it ends, both connections do.
    let _ = tokio::select! {
        ended = ask(asks, gets, &seam, &exchanges) => ended,
        ended = answer(answers, hears, &seam, &exchanges) => ended,
        () = seam.ended() => Ok(()),
    };
}

async fn ask(
    asks: OwnedReadHalf,
    mut gets: unix::OwnedWriteHalf,
    seam: &Seam,
    exchanges: &Exchanges,
) -> io::Result<()> {
    let mut asks = BufReader::new(asks);
    // The first one has no letter.
    let start = frame(&mut asks, None).await?;
    gets.write_all(&start).await?;
    let mut statements = Statements::default();
    loop {
        let letter = asks.read_u8().await?;
        let sent = frame(&mut asks, Some(letter)).await?;
        let point = statements.point(letter, &sent[5..]);
        match point.map_or(Fate::Passes, |name| seam.meet(&format!("database: {name}"))) {
            Fate::Passes => {}
            Fate::EndsBefore => {
                seam.end();
                return Ok(());
            }
            Fate::EndsAfter => {
                let last = exchanges.asked.load(Ordering::Relaxed) + 1;
                exchanges.last.store(last, Ordering::Relaxed);
            }
            Fate::IsRefused => {
                let number = exchanges.asked.load(Ordering::Relaxed) + 1;
                exchanges.refused.lock().unwrap().insert(number);
                if letter == b'Q' {
                    // As the server itself does then.
                    exchanges.asked.fetch_add(1, Ordering::Relaxed);
                    gets.write_all(ROLLBACK).await?;
                }
                continue;
            }
        }
        if matches!(letter, b'Q' | b'S') {
            exchanges.asked.fetch_add(1, Ordering::Relaxed);
        }
        gets.write_all(&sent).await?;
    }
}

async fn answer(
    answers: unix::OwnedReadHalf,
    hears: OwnedWriteHalf,
    seam: &Seam,
    exchanges: &Exchanges,
) -> io::Result<()> {
    let (mut answers, mut hears) = (BufReader::new(answers), BufWriter::new(hears));
    let mut answered = 0;
    loop {
        let letter = answers.read_u8().await?;
        let sent = frame(&mut answers, Some(letter)).await?;
        let is_lost = answered + 1 >= exchanges.last.load(Ordering::Relaxed);
        // It said that it was done, or nothing; what it says instead comes before it is ready.
        let is_refused = exchanges.refused.lock().unwrap().contains(&(answered + 1));
        if is_refused && letter == b'C' {
            continue;
        }
        if is_refused && letter == b'Z' {
            hears.write_all(DISK_FULL).await?;
        }
        if letter == b'Z' {
            answered += 1;
            if is_lost {
                seam.end();
                return Ok(());
            }
        }
        if !is_lost {
            hears.write_all(&sent).await?;
            if answers.buffer().is_empty() {
                hears.flush().await?;
            }
        }
    }
}

/// A statement that ends a transaction, as a frame.
const ROLLBACK: &[u8] = b"Q\0\0\0\x0dROLLBACK\0";

/// What Postgres says when its disk is full, as a frame.
const DISK_FULL: &[u8] =
    b"E\0\0\0\x4aSERROR\0VERROR\0C53100\0Mcould not extend file: No space left on device\0\0";

/// A frame as it is sent on: its letter, its length, and what it says.
async fn frame(from: &mut (impl AsyncRead + Unpin), letter: Option<u8>) -> io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut frame: Vec<u8> = letter.into_iter().chain(length.to_be_bytes()).collect();
    let head = frame.len();
    let body = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    frame.resize(head + body.ok_or(io::ErrorKind::InvalidData)?, 0);
    from.read_exact(&mut frame[head..]).await?;
    Ok(frame)
}

/// What a connection has prepared, and where it is.
#[derive(Default)]
struct Statements {
    texts: HashMap<String, String>,
    bound: String,
    in_transaction: bool,
    /// The first statement that writes in the present transaction.
    first: Option<String>,
}

impl Statements {
    /// The name of what a frame does for good, if it does.
    fn point(&mut self, letter: u8, body: &[u8]) -> Option<String> {
        let mut texts =
            body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match letter {
            b'P' => {
                let (name, statement) = (text(), text());
                self.texts.insert(name, statement);
                None
            }
            b'B' => {
                let (_portal, name) = (text(), text());
                self.bound = self.texts.get(&name).cloned().unwrap_or_default();
                None
            }
            b'E' => {
                let statement = self.bound.clone();
                self.execute(&statement)
            }
            b'Q' => match text().as_str() {
                "BEGIN" => {
                    (self.in_transaction, self.first) = (true, None);
                    None
                }
                "ROLLBACK" => {
                    self.in_transaction = false;
                    None
                }
                "COMMIT" => {
                    self.in_transaction = false;
                    Some(format!("commit {}", self.first.take().unwrap_or_default()))
                }
                statement => self.execute(statement),
            },
            _ => None,
        }
    }

    fn execute(&mut self, statement: &str) -> Option<String> {
        let (name, text) = match statement.trim_start().strip_prefix("/*") {
            Some(named) => named.split_once("*/").unwrap_or((named, "")),
            None => ("", statement),
        };
        let reads = ["SELECT", "LISTEN", "SHOW", "SET"];
        if reads.iter().any(|word| text.trim_start().starts_with(word)) {
            return None;
        }
        let name = if name.is_empty() { statement } else { name }.trim().to_owned();
        if self.in_transaction {
            self.first.get_or_insert(name);
            return None;
        }
        Some(name)
    }
}
