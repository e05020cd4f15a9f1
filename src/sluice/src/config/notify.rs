//! Channels through which people are told what becomes of orders.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::notice::{ChannelKind, Topic};

use super::Database;

/// What can be done with channels.
#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Create a channel. A secret that is made for it is shown this once.
    Create(Box<CreateChannel>),
    /// List the channels: name, kind, state, what waits, and how the last delivery went.
    List {
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Show a channel and its last deliveries.
    Show(OneChannel),
    /// Send something through a channel, and say what came of it. A server sends it.
    Test(OneChannel),
    /// Give a channel another secret. The one before signs beside it until the next rotation.
    Rotate {
        /// The channel's name.
        name: String,
        /// File with the new secret; - reads standard input. One is made for a webhook, if not given.
        #[arg(long)]
        secret_file: Option<PathBuf>,
        /// The database.
        #[command(flatten)]
        database: Database,
    },
    /// Disable a channel. It is told of nothing that happens from now on; what waits stays.
    Disable(OneChannel),
    /// Enable a channel again. What waits is sent at once.
    Enable(OneChannel),
    /// Remove a channel, with what waits.
    Rm(OneChannel),
}

/// A channel that is there.
#[derive(Debug, Args)]
pub struct OneChannel {
    /// The channel's name.
    pub name: String,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}

/// A channel that is wanted.
#[derive(Debug, Args)]
pub struct CreateChannel {
    /// Its name: lower-case letters, digits and '-'.
    pub name: String,
    /// What it speaks: webhook, slack or dingtalk.
    #[arg(long)]
    pub kind: ChannelKind,
    /// File with its address; - reads standard input. The address of a chat is a secret, so it is no argument.
    #[arg(long)]
    pub url_file: PathBuf,
    /// File with the secret that deliveries are signed with; - reads standard input. One is made for a webhook, if not given.
    #[arg(long)]
    pub secret_file: Option<PathBuf>,
    /// Kubernetes namespace whose orders it is told of, * for any characters; all, if not given. May be repeated.
    #[arg(long)]
    pub namespace: Vec<String>,
    /// Name of the applications whose orders it is told of, * for any characters; all, if not given. May be repeated.
    #[arg(long)]
    pub application: Vec<String>,
    /// What it is told of, separated by commas: waiting, failed, rolled_back, succeeded, superseded, aborted; all, if not given.
    #[arg(long, value_delimiter = ',')]
    pub on: Vec<Topic>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
}
