//! What can be typed about rules that hold orders off.

use clap::{Args, Subcommand};

use super::{Reach, Reached};

/// `sluice holds`.
#[derive(Debug, Args)]
pub struct Holds {
    #[command(subcommand)]
    pub command: HoldsCommand,
}

/// What is done with rules that hold orders off.
#[derive(Debug, Subcommand)]
pub enum HoldsCommand {
    /// List the rules.
    List(Reached),
    /// Have a second person approve orders before they begin.
    Approval(NewHold),
    /// Let no order begin while a period lasts.
    Freeze(NewFreeze),
    /// Delete a rule. What it held off begins.
    Rm(OneHold),
}

/// Which orders a rule is for.
#[derive(Debug, Args)]
pub struct NewHold {
    /// Name of the rule: lower-case letters, digits and '-'.
    pub name: String,
    /// Kubernetes namespaces, `*` for any characters; all, if not given. Can be given several times.
    #[arg(long)]
    pub namespace: Vec<String>,
    /// Names of applications, `*` for any characters; all, if not given. Can be given several times.
    #[arg(long)]
    pub application: Vec<String>,
    /// What is held off: create, deploy, configure and delete, if not given; also restart, scale, stop, start.
    #[arg(long, value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Why there is the rule.
    #[arg(long)]
    pub description: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sluice holds freeze`.
#[derive(Debug, Args)]
pub struct NewFreeze {
    #[command(flatten)]
    pub rule: NewHold,
    /// When nothing begins: 2026-12-24T18:00/2027-01-04T08:00, "fri 18:00/mon 08:00" or "daily 22:00/06:00". Can be given several times.
    #[arg(long, required = true)]
    pub period: Vec<String>,
    /// By whose clock, such as Europe/Berlin.
    #[arg(long, default_value = "UTC")]
    pub time_zone: String,
}

/// `sluice holds rm`.
#[derive(Debug, Args)]
pub struct OneHold {
    /// Name of the rule.
    pub name: String,
    #[command(flatten)]
    pub reach: Reach,
}
