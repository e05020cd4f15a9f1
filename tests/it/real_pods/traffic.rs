//! What the users of an application see of a release: requests through its
//! Service, all the time, half of them on a new connection each and half on
//! connections that are kept (`tests/testbed/web/load.go`).

use std::{collections::BTreeMap, fmt, process::Stdio};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

use crate::support::DEADLINE;

/// A client at work in the bed's network. It stops when it is dropped, and by
/// itself after some minutes.
pub struct Traffic {
    client: Child,
    says: Lines<BufReader<ChildStdout>>,
}

/// What became of all requests.
#[derive(Debug, Deserialize)]
pub struct Counts {
    /// How long requests were sent.
    pub seconds: f64,
    /// Those on a new connection each.
    pub new: Tally,
    /// Those on connections that are kept.
    pub kept: Tally,
}

/// What became of the requests of one kind.
#[derive(Debug, Deserialize)]
pub struct Tally {
    pub answers: BTreeMap<String, u64>,
    pub failures: BTreeMap<String, u64>,
    /// Connections that the server closed between two requests: no failures.
    pub closed: u64,
    /// The longest time until an answer.
    pub slowest_ms: u64,
    /// The first failures in full.
    pub examples: Vec<String>,
}

impl Traffic {
    /// Begins; returns once the Service answers.
    pub async fn start(address: &str) -> Self {
        let client =
            Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/testbed/cluster"))
                .args(["inside", "web", "load", "-address", address, "-longest", "10m"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn();
        let mut client = client.unwrap();
        let says = BufReader::new(client.stdout.take().unwrap()).lines();
        let mut traffic = Self { client, says };
        assert_eq!(traffic.next_line().await, "answered");
        traffic
    }

    /// Ends it: what became of all requests.
    pub async fn end(mut self) -> Counts {
        drop(self.client.stdin.take());
        let counts = self.next_line().await;
        assert!(timeout(DEADLINE, self.client.wait()).await.unwrap().unwrap().success());
        serde_json::from_str(&counts).unwrap()
    }

    async fn next_line(&mut self) -> String {
        let line =
            timeout(DEADLINE, self.says.next_line()).await.expect("the client must say something");
        line.unwrap().expect("the client must not end before")
    }
}

impl Counts {
    pub fn failed(&self) -> u64 {
        self.new.failed() + self.kept.failed()
    }

    /// With the first failures in full.
    pub fn print(&self, about: &str) {
        println!("measured: {about}: {self}");
        for example in self.new.examples.iter().chain(&self.kept.examples) {
            println!("measured: {about}: {example}");
        }
    }

    /// Answers of a version.
    pub fn of(&self, version: &str) -> u64 {
        [&self.new, &self.kept].into_iter().filter_map(|tally| tally.answers.get(version)).sum()
    }
}

impl Tally {
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} s; new connections: {}; kept connections: {}",
            self.seconds, self.new, self.kept
        )
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered", self.answers.values().sum::<u64>())?;
        for (version, count) in &self.answers {
            write!(f, " {version}={count}")?;
        }
        write!(f, ", {} failed", self.failed())?;
        for (kind, count) in &self.failures {
            write!(f, " [{kind}]={count}")?;
        }
        write!(f, ", {} closed in between, slowest {} ms", self.closed, self.slowest_ms)
    }
}
