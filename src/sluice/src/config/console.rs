//! Settings of the console.

use clap::{Args, ValueEnum};
use url::Url;

use super::Database;

/// A link to the console.
#[derive(Debug, Args)]
pub struct ConsoleLink {
    /// Name of the access key as which somebody signs in.
    #[arg(long)]
    pub key: String,
    /// Where the server is, as browsers reach it.
    #[arg(long, env = "SLUICE_CONSOLE_URL", default_value = "http://127.0.0.1:8080")]
    pub url: Url,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// Whether something is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}
