//! What can be typed.

mod holds;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

pub use holds::{Holds, HoldsCommand, NewHold};

/// Commands that ask a server.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// List applications of all namespaces, each with its newest order.
    Apps(Apps),
    /// Show an application with its newest orders.
    App(Named),
    /// Show what a release would do, batch by batch. Changes nothing.
    Plan(Release),
    /// Show what a release would change of the pod template. Changes nothing.
    Diff(Release),
    /// Release an image or a package, and follow the order.
    Release(Release),
    /// Follow an order until it ends. Ctrl-C ends the following, not the order.
    Follow(Follow),
    /// List orders, newest first.
    Orders(Orders),
    /// Show one order with its batches, pods and causes.
    Order(Named),
    /// Show the versions that can be released again.
    History(History),
    /// Show the pods of an order.
    Pods(Named),
    /// Show what happened to an order, and who did it.
    Events(Named),
    /// Show what the pods of an application have printed.
    Logs(Logs),
    /// Let the next batch begin, and follow the order.
    #[command(alias = "promote")]
    Continue(Continue),
    /// Let an order begin that waits for a second person, and follow it. Whoever ordered it cannot.
    Approve(Steered),
    /// End an order that waits for a second person.
    Reject(Steered),
    /// Let an order begin although a freeze window is closed, and follow it.
    LiftFreeze(Steered),
    /// Rules that hold orders off before they begin: who must approve, and when nothing is released.
    Holds(Holds),
    /// Give back the newest batches of an order.
    StepBack(StepBack),
    /// End an order where it is.
    Abort(Steered),
    /// End an order and return to the version before, or release a version of the history.
    Rollback(Rollback),
    /// Go on from the batch that failed.
    Retry(Steered),
    /// Set the number of pods.
    Scale(Scale),
    /// Remove all pods.
    Stop(Steered),
    /// Bring the pods up again after a stop.
    Start(Steered),
    /// Replace all pods by others of the same version.
    Restart(Steered),
    /// Take a Deployment that is there already over as an application, as it runs.
    Adopt(Adopt),
    /// Delete an application with its Deployment.
    Delete(Delete),
    /// Keep servers and keys, and choose one.
    Context(ContextOptions),
    /// Say which server is called with which key, and whether it answers.
    Whoami(Reached),
    /// Look for what is wrong: server, clock, database, cluster, key, rights, probes.
    Doctor(Doctor),
}

/// Which server, with which key, and how to print.
#[derive(Debug, Args)]
pub struct Reach {
    /// The server, as https://host:port; else SLUICE_ENDPOINT, or that of a context.
    #[arg(long)]
    pub endpoint: Option<String>,
    /// Id of the access key. Its secret is never an argument: set SLUICE_ACCESS_KEY_SECRET, or use a context.
    #[arg(long)]
    pub access_key_id: Option<String>,
    /// Use this context; else the one that SLUICE_CONTEXT names, or the current one.
    #[arg(long)]
    pub context: Option<String>,
    /// How to print: text, wide (text that is cut nowhere), json (one document at the end) or jsonl (one document for each change).
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Whether text has colours; auto: on a terminal, unless NO_COLOR is set.
    #[arg(long, value_enum, default_value_t = Colours::Auto)]
    pub color: Colours,
}

/// Whether text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colours {
    Auto,
    Always,
    Never,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Wide,
    Json,
    Jsonl,
}

/// What the commands without options take.
#[derive(Debug, Args)]
pub struct Reached {
    #[command(flatten)]
    pub reach: Reach,
}

/// A thing by its name.
#[derive(Debug, Args)]
pub struct Named {
    /// Name of an application, as NAME or NAMESPACE/NAME; or how an order's id begins, 8 characters or more.
    pub name: String,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sluice apps`.
#[derive(Debug, Args)]
pub struct Apps {
    /// Only of this Kubernetes namespace.
    #[arg(long)]
    pub namespace: Option<String>,
    /// Only with a newest order in this state, or `open`.
    #[arg(long)]
    pub state: Option<String>,
    /// Part of a name, a version or an image.
    #[arg(long)]
    pub filter: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sluice orders`.
#[derive(Debug, Args)]
pub struct Orders {
    /// Only of this application.
    pub name: Option<String>,
    /// Only in this state, or `open`; several with commas.
    #[arg(long)]
    pub state: Option<String>,
    /// Only as old as this, such as 7d or 12h.
    #[arg(long, value_parser = duration)]
    pub since: Option<Duration>,
    /// Only of this Kubernetes namespace.
    #[arg(long)]
    pub namespace: Option<String>,
    /// Part of a name, a version, a description or a message.
    #[arg(long)]
    pub filter: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// How long an order is followed.
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// Do not follow the order.
    #[arg(long)]
    pub detach: bool,
    /// What to wait for.
    #[arg(long, value_enum, default_value_t = Until::Done)]
    pub until: Until,
    /// Follow it no longer than this, such as 30m; the order goes on.
    #[arg(long, value_parser = duration)]
    pub timeout: Option<Duration>,
    /// End with code 5 where the order waits for a person, instead of waiting too.
    #[arg(long)]
    pub no_input: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The end of the order.
    Done,
    /// Its end, or that it waits between two batches.
    Gate,
}

/// An order or an application, and an order that is followed.
#[derive(Debug, Args)]
pub struct Followed {
    #[command(flatten)]
    pub named: Named,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// An order or an application, what is done to it, and why.
#[derive(Debug, Args)]
pub struct Steered {
    #[command(flatten)]
    pub followed: Followed,
    /// Why, for what is kept of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice follow`.
#[derive(Debug, Args)]
pub struct Follow {
    /// Name of an application, or how an order's id begins; else the order that is open, if it is the only one.
    pub name: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `sluice release`, `sluice plan` and `sluice diff`.
#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    pub followed: Followed,
    /// The image.
    #[arg(long, required_unless_present_any = ["package", "env", "to"])]
    pub image: Option<String>,
    /// The package's URL.
    #[arg(long, conflicts_with = "image")]
    pub package: Option<String>,
    /// A version of the history instead: its text or its id.
    #[arg(long, conflicts_with_all = ["image", "package", "env", "version_text"])]
    pub to: Option<String>,
    /// Set an environment variable, and leave all others as they are. Can be given several times. What is secret belongs in a Secret.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<Variable>,
    /// Text of the version.
    #[arg(long)]
    pub version_text: Option<String>,
    /// Number of batches; with a canary, of those after it.
    #[arg(long, default_value_t = 1)]
    pub batches: u32,
    /// A person confirms each batch after the first.
    #[arg(long, conflicts_with = "interval")]
    pub manual: bool,
    /// Time between two batches, in whole minutes, such as 2m.
    #[arg(long, value_parser = duration)]
    pub interval: Option<Duration>,
    /// So many pods, or so many of a hundred (10%), before all others.
    #[arg(long)]
    pub canary: Option<String>,
    /// Longest time of a batch, such as 30m.
    #[arg(long, value_parser = duration)]
    pub batch_timeout: Option<Duration>,
    /// Refuse the release if it would do something else than `sluice plan` showed with this hash.
    #[arg(long)]
    pub plan_hash: Option<String>,
    /// Why, for the order's description.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice continue`.
#[derive(Debug, Args)]
pub struct Continue {
    #[command(flatten)]
    pub followed: Followed,
    /// Go on at each later batch, too.
    #[arg(long)]
    pub all: bool,
    /// Why, for what is kept of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice step-back`.
#[derive(Debug, Args)]
pub struct StepBack {
    #[command(flatten)]
    pub followed: Followed,
    /// Number of batches that stay; one less than now, if not given.
    #[arg(long)]
    pub stay: Option<u32>,
    /// Why, for what is kept of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    #[command(flatten)]
    pub followed: Followed,
    /// A version of the history: its text or its id.
    #[arg(long)]
    pub to: Option<String>,
    /// Number of batches, with --to.
    #[arg(long, default_value_t = 1)]
    pub batches: u32,
    /// Why, for what is kept of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice history`.
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    pub named: Named,
    /// Show for each of the newest 10 versions what a return to it would change of the pod template now.
    #[arg(long)]
    pub diff: bool,
}

/// `sluice scale`.
#[derive(Debug, Args)]
pub struct Scale {
    #[command(flatten)]
    pub followed: Followed,
    /// Number of pods.
    pub replicas: u32,
    /// Why, for what is kept of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// Name of an application, as NAME or NAMESPACE/NAME.
    pub name: String,
    /// Only of this pod; else of the first 10, those first that are not ready.
    #[arg(long)]
    pub pod: Option<String>,
    /// Of this container of its pods; else of the application's.
    #[arg(long)]
    pub container: Option<String>,
    /// Of the container that ended before the present one was started.
    #[arg(long)]
    pub previous: bool,
    /// Last lines of each log.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub tail: u32,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sluice adopt`.
#[derive(Debug, Args)]
pub struct Adopt {
    /// Name of the Deployment, as NAME (in the namespace default) or NAMESPACE/NAME.
    pub name: String,
    /// Id of the cluster.
    #[arg(long, env = "SLUICE_CLUSTER_ID", default_value = "default")]
    pub cluster_id: String,
    /// Text of its present version, for the history; the time, if not given.
    #[arg(long)]
    pub version_text: Option<String>,
    /// The container of its pods that is the application's; as its pod template says, if not given.
    #[arg(long)]
    pub container: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sluice doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// The application on which rights and probes are looked at; else one that is listed.
    pub name: Option<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// `sluice delete`.
#[derive(Debug, Args)]
pub struct Delete {
    #[command(flatten)]
    pub followed: Followed,
    /// Say that it is meant.
    #[arg(long)]
    pub yes: bool,
    /// Leave the Deployment and its pods as they run.
    #[arg(long)]
    pub keep_deployment: bool,
    /// Why, for what is kept of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// `sluice context`.
#[derive(Debug, Args)]
pub struct ContextOptions {
    #[command(subcommand)]
    pub command: ContextCommand,
}

/// What can be done with contexts.
#[derive(Debug, Subcommand)]
pub enum ContextCommand {
    /// List them.
    List,
    /// Use one from now on.
    Use {
        /// Its name.
        name: String,
    },
    /// Keep a server and a key. The secret is read from SLUICE_ACCESS_KEY_SECRET.
    Set {
        /// Its name.
        name: String,
        #[command(flatten)]
        reach: Reach,
    },
}

/// An environment variable.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub value: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its value may be a password.
        formatter.debug_struct("Variable").field("name", &self.name).finish_non_exhaustive()
    }
}

fn variable(text: &str) -> Result<Variable, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Variable { name: name.into(), value: value.into() })
        }
        _ => Err("must be NAME=VALUE".into()),
    }
}

/// A time such as 90s, 30m, 12h or 7d.
fn duration(text: &str) -> Result<Duration, String> {
    let split = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(split).unwrap_or((text, ""));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => 0,
    };
    match number.parse::<u32>() {
        Ok(number) if seconds > 0 => Ok(Duration::from_secs(u64::from(number) * seconds)),
        _ => Err("must be a whole number with s, m, h or d, such as 30m".into()),
    }
}
