//! What every command of the program needs: the database, the log, signals, output.

use std::{
    env::VarError,
    io::{IsTerminal as _, Write as _},
};

use anyhow::{Context, Result, bail};
use clock::Clock;
use domain::{ClusterId, order::FailurePolicy};
use rand::TryRngCore;
use secrecy::ExposeSecret;
use service::Service;
use sluice::config::{Database, LogFormat};
use store::Store;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::{
    EnvFilter, Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::{
    statements::{REPORTS, Statements},
    traces::Traces,
};

pub(crate) async fn connect(database: &Database) -> Result<Store> {
    let (url, longest) =
        (database.database_url.expose_secret(), database.database_statement_timeout);
    let keyring = crate::keyring::read(&database.keyring).await?;
    let store = Store::connect(url, database.database_connections, longest, keyring).await;
    store.context("the database cannot be reached")
}

pub(crate) async fn connect_checked(database: &Database) -> Result<Store> {
    let store = connect(database).await?;
    if let Err(why) = store.check_schema().await {
        bail!("{why}");
    }
    store.check_keyring().await?;
    Ok(store)
}

/// The use cases for a command that ends at once, and orders nothing.
pub(crate) fn without_requests(store: Store, cluster: ClusterId, region: String) -> Service {
    let rules = service::ServiceConfig {
        cluster,
        region,
        batch_timeout_seconds: 0,
        failure_policy: FailurePolicy::default(),
        guard: service::GuardConfig::default(),
    };
    Service::new(store, Clock::default(), rules)
}

/// The signals that ask the program to end.
pub(crate) struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    pub(crate) fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn arrives(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    rand::rngs::OsRng.try_fill_bytes(&mut random).context("the system has no randomness")?;
    Ok(hex::encode(random))
}

/// Begins to log; to take the times of statements, where `counts`; and to hand spans on, where
/// traces are sent.
pub(crate) fn start_log(format: LogFormat, counts: bool, traces: Option<&Traces>) -> Result<()> {
    // sqlx logs each statement that runs long; that is for those who ask for it.
    let filter = match std::env::var("SLUICE_LOG") {
        Ok(given) => EnvFilter::builder()
            .parse(&given)
            .with_context(|| format!("SLUICE_LOG: {given:?} is not a filter for log lines"))?,
        Err(VarError::NotPresent) => EnvFilter::new("info,sqlx=warn"),
        Err(VarError::NotUnicode(_)) => bail!("SLUICE_LOG is not UTF-8"),
    };
    let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_ansi(is_terminal).with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let reports = Targets::new().with_target(REPORTS, tracing::Level::DEBUG);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(counts.then(|| Statements.with_filter(reports)))
        // Whatever the log is to show: what a collector gets are spans of the program's own.
        .with(traces.map(|traces| {
            let own = Targets::new()
                .with_target("sluice", tracing::Level::INFO)
                .with_target(REPORTS, tracing::Level::DEBUG);
            traces.layer().with_filter(own)
        }))
        .init();
    Ok(())
}

/// Writes a result to standard output. A reader that has gone, such as `head`, has read
/// what it wanted.
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}
