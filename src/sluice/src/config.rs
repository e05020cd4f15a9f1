//! Every setting of the program: a flag and an environment variable each, with
//! its unit and default in `--help`.
//!
//! Secrets (the database URL holds a password) are wrapped so that they never
//! reach a log, and are best given in the environment, not as arguments.

use std::{net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use secrecy::SecretString;

use domain::{order::FailurePolicy, rights::Scope};

mod access;
mod audit;
mod cluster;
mod console;
mod edge;
mod guard;
mod keyring;
mod migrate;
mod notify;
mod package;
mod retention;
mod rights;
mod traces;

pub use access::{
    Attachment, CreateKey, KeyCommand, OneKey, OnePolicy, OnePrincipal, PolicyCommand,
    PrincipalCommand, RoleExceptions, SignatureScheme,
};
pub use audit::{AuditCommand, AuditServing, CheckpointsTarget};
pub use cluster::{AddCluster, ClusterCommand, ClusterKind, RotateCluster, ShowContainer};
pub use console::{ConsoleLink, ConsoleServing, OIDC_SECRET, SignIn, Switch};
pub use edge::EdgeServing;
pub use guard::GuardServing;
pub use keyring::{KEYRING, KeyringCommand, KeyringSource, NewKeyring, VAULT_TOKEN, VaultSource};
pub use migrate::Migrate;
pub use notify::{CreateChannel, NotifyCommand, OneChannel};
pub use package::{FetchPackage, PackageRules, PackageServing, PackageUploads};
pub use retention::RetentionServing;
pub use rights::{PrintRights, ServiceAccount};
pub use traces::TraceServing;

/// Change orders for Kubernetes, speaking the EDAS API.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API and drive change orders.
    Serve(Box<Serve>),
    /// Apply the migrations that are pending, and end.
    Migrate(Migrate),
    /// Serve a Kubernetes cluster that is simulated in memory, for kubectl and for a Sluice beside it, until it is stopped.
    Simulate(Simulate),
    /// Show or choose which container of its pods is an application's: the one that releases change.
    Container(Box<ShowContainer>),
    /// Print the OpenAPI document, and end.
    Openapi,
    /// Print a script with which a shell completes this program's commands and options.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of this program's commands into a folder, and end.
    Manual {
        /// The folder. It is created if it does not exist.
        folder: PathBuf,
    },
    /// Download a package, check it, and end: what the init container of a package release runs.
    FetchPackage(Box<FetchPackage>),
    /// Manage the clusters that are driven, and which one an id stands for.
    Cluster {
        /// What to do with it.
        #[command(subcommand)]
        command: ClusterCommand,
    },
    /// Print a link that signs somebody in at the console, once and within 60 s.
    Console(Box<ConsoleLink>),
    /// Manage access keys.
    Key {
        /// What to do with them.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Manage the keyring: the keys that values of the database are sealed with.
    Keyring {
        /// What to do with it.
        #[command(subcommand)]
        command: KeyringCommand,
    },
    /// Manage the channels through which people are told what becomes of orders.
    Notify {
        /// What to do with them.
        #[command(subcommand)]
        command: NotifyCommand,
    },
    /// Manage principals: persons and programs, who have access keys.
    Principal {
        /// What to do with them.
        #[command(subcommand)]
        command: PrincipalCommand,
    },
    /// Export and verify the record of who did what.
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Print the rights that Sluice needs on a cluster, as Kubernetes RBAC, and end.
    Rights(Box<PrintRights>),
    /// Manage policies, which say what principals may do.
    Policy {
        /// What to do with them.
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// What asks a server over its API.
    #[command(flatten)]
    Client(Box<client::ClientCommand>),
}

/// How to print something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// The database.
#[derive(Debug, Args)]
pub struct Database {
    /// Postgres, as postgres://user:password@host:port/name; a Unix socket as postgres://user@localhost/name?host=/folder.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: SecretString,
    /// Connections to Postgres at the most.
    #[arg(long, env = "SLUICE_DATABASE_CONNECTIONS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub database_connections: u32,
    /// Time after which Postgres ends a statement, such as 10s or 500ms (from 100ms to 10m). Migrations may take longer.
    #[arg(long, env = "SLUICE_DATABASE_STATEMENT_TIMEOUT", default_value = "10s", value_parser = statement_timeout)]
    pub database_statement_timeout: Duration,
    /// The keyring.
    #[command(flatten)]
    pub keyring: KeyringSource,
}

/// How pods of a simulated cluster come up.
#[derive(Debug, Args)]
pub struct SimulatedPods {
    /// With a simulated cluster: from the placing of a pod until it is ready, such as 100ms or 2s (at most 1h).
    #[arg(long, env = "SLUICE_SIMULATED_START_DELAY", default_value = "100ms", value_parser = start_delay)]
    pub simulated_start_delay: Duration,
    /// With a simulated cluster: up to this much more, for each pod at random (at most 1h).
    #[arg(long, env = "SLUICE_SIMULATED_START_JITTER", default_value = "0s", value_parser = start_delay)]
    pub simulated_start_jitter: Duration,
}

/// A simulated cluster to serve.
#[derive(Debug, Args)]
pub struct Simulate {
    /// Address and port to serve its API on, as plain HTTP; port 0 takes a free one. There are no credentials: whoever reaches it is its administrator.
    #[arg(long, env = "SLUICE_SIMULATE_LISTEN", default_value = "127.0.0.1:8001")]
    pub listen: SocketAddr,
    /// File to write the kubeconfig to, instead of standard output.
    #[arg(long, env = "SLUICE_SIMULATE_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Its pods.
    #[command(flatten)]
    pub pods: SimulatedPods,
    /// How log lines are written to standard error.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Settings of the server.
#[derive(Debug, Args)]
pub struct Serve {
    /// Address and port to serve plain HTTP on, or off.
    #[arg(long, env = "SLUICE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: Listen,
    /// Address and port to serve HTTPS on, beside plain HTTP or alone; or off.
    #[arg(long, env = "SLUICE_TLS_LISTEN", default_value = "off")]
    pub tls_listen: Listen,
    /// PEM file with the certificate for HTTPS, and the chain behind it. It is read again when it changes.
    #[arg(long, env = "SLUICE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long, env = "SLUICE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// The database.
    #[command(flatten)]
    pub database: Database,
    /// Apply pending migrations first. Without it a schema that does not fit is refused.
    #[arg(long, env = "SLUICE_MIGRATE")]
    pub migrate: bool,
    /// The record of who did what.
    #[command(flatten)]
    pub audit: AuditServing,
    /// The program's own cluster: that of the kubeconfig (or the one the program runs in), one simulated in memory, or none: only those that `sluice cluster add` added.
    #[arg(long, env = "SLUICE_CLUSTER", value_enum, default_value_t = ClusterKind::Kubernetes)]
    pub cluster: ClusterKind,
    /// The simulated cluster.
    #[command(flatten)]
    pub simulated: SimulatedPods,
    /// The own cluster's EDAS ClusterId, which is also meant where a request names no cluster.
    #[arg(long, env = "SLUICE_CLUSTER_ID", default_value = "default", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub cluster_id: String,
    /// Kubernetes namespaces of the own cluster whose applications are released, with commas between, 100 at most; empty = all. Nothing else of the cluster is looked at then. Give it to every program that drives change orders of the cluster.
    #[arg(long, env = "SLUICE_NAMESPACES", default_value = "")]
    pub namespaces: Scope,
    /// Drive the own cluster alone, and none of those that `sluice cluster add` added: for a program inside a cluster.
    #[arg(long, env = "SLUICE_ONLY_OWN_CLUSTER")]
    pub only_own_cluster: bool,
    /// The region that replies name, and that applications without one belong to.
    #[arg(long, env = "SLUICE_REGION", default_value = "cn-hangzhou", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub region: String,
    /// What this program does; several of each may run on one database.
    #[arg(long, env = "SLUICE_ROLE", value_enum, default_value_t = Role::All)]
    pub role: Role,
    /// Time after which another executor takes over an order from one that fell silent, such as 5s or 500ms (from 500ms to 10m).
    #[arg(long, env = "SLUICE_LEASE", default_value = "5s", value_parser = lease)]
    pub lease: Duration,
    /// Orders of each cluster that this program drives at once.
    #[arg(long, env = "SLUICE_CONCURRENCY", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub concurrency: u32,
    /// Seconds that a batch may take where the request does not say (BatchTimeout).
    #[arg(long, env = "SLUICE_BATCH_TIMEOUT", default_value_t = 1800, value_parser = clap::value_parser!(i64).range(1..=604_800))]
    pub batch_timeout: i64,
    /// Seconds for which trouble that may pass by itself (the registry does not answer, no node has room, a volume is not there yet) is waited out before the batch has failed. Raise it where nodes are added on demand.
    #[arg(long, env = "SLUICE_FAILURE_GRACE", default_value_t = FailurePolicy::default().grace_seconds, value_parser = clap::value_parser!(i64).range(0..=86_400))]
    pub failure_grace: i64,
    /// How often a container of a new pod may end and be started again before the batch has failed.
    #[arg(long, env = "SLUICE_RESTARTS_TOLERATED", default_value_t = FailurePolicy::default().restarts, value_parser = clap::value_parser!(i32).range(0..=1000))]
    pub restarts_tolerated: i32,
    /// Seconds for which new pods must stay ready before their batch is done.
    #[arg(long, env = "SLUICE_BATCH_WATCH", default_value_t = FailurePolicy::default().watch_seconds, value_parser = clap::value_parser!(i32).range(0..=86_400))]
    pub batch_watch: i32,
    /// Leave a release that failed where it is, instead of rolling it back automatically.
    #[arg(long, env = "SLUICE_NO_AUTOMATIC_ROLLBACK")]
    pub no_automatic_rollback: bool,
    /// Guardrails on what runs.
    #[command(flatten)]
    pub guard: GuardServing,
    /// How long what is on record is kept.
    #[command(flatten)]
    pub retention: RetentionServing,
    /// Packages.
    #[command(flatten)]
    pub packages: PackageServing,
    /// The console.
    #[command(flatten)]
    pub console: ConsoleServing,
    /// Refuse the old HMAC-SHA1 signatures. The old SDKs, aliyun-cli, Terraform and Jenkins then no longer work.
    #[arg(long, env = "SLUICE_REFUSE_HMAC_SHA1")]
    pub refuse_hmac_sha1: bool,
    /// Connections and requests.
    #[command(flatten)]
    pub edge: EdgeServing,
    /// Address and port to serve metrics on, for Prometheus, as plain HTTP at /metrics; or off. There are no credentials: whoever reaches it reads them.
    #[arg(long, env = "SLUICE_METRICS_LISTEN", default_value = "off")]
    pub metrics_listen: Listen,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceServing,
    /// How log lines are written to standard error.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What a listener listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nothing.
    Off,
    /// An address and a port.
    On(SocketAddr),
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            _ => text
                .parse()
                .map(Self::On)
                .map_err(|_| "must be an address and a port such as 0.0.0.0:8080, or off"),
        }
    }
}

/// What the program serves on: at least one of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listeners {
    pub plain: Option<SocketAddr>,
    pub tls: Option<TlsListener>,
}

/// An HTTPS listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsListener {
    pub address: SocketAddr,
    /// PEM file with the certificate.
    pub certificate: PathBuf,
    /// PEM file with its key.
    pub key: PathBuf,
}

impl Serve {
    /// What to serve on.
    ///
    /// # Errors
    /// Which flag is missing, or is one too many.
    pub fn listeners(&self) -> Result<Listeners, &'static str> {
        let plain = match self.listen {
            Listen::Off => None,
            Listen::On(address) => Some(address),
        };
        let tls = match (self.tls_listen, &self.tls_cert, &self.tls_key) {
            (Listen::On(address), Some(certificate), Some(key)) => {
                Some(TlsListener { address, certificate: certificate.clone(), key: key.clone() })
            }
            (Listen::On(_), None, _) => {
                return Err(
                    "--tls-listen needs --tls-cert (SLUICE_TLS_CERT), the PEM file with the certificate",
                );
            }
            (Listen::On(_), _, None) => {
                return Err(
                    "--tls-listen needs --tls-key (SLUICE_TLS_KEY), the PEM file with the private key",
                );
            }
            (Listen::Off, ..) => None,
        };
        match (plain, &tls) {
            (None, None) => Err(
                "there is nothing to serve on: --listen is off, and --tls-listen (SLUICE_TLS_LISTEN) is not given",
            ),
            _ => Ok(Listeners { plain, tls }),
        }
    }

    /// Failure policy: how much trouble a batch tolerates.
    #[must_use]
    pub fn failure_policy(&self) -> FailurePolicy {
        FailurePolicy {
            grace_seconds: self.failure_grace,
            restarts: self.restarts_tolerated,
            watch_seconds: self.batch_watch,
            roll_back: !self.no_automatic_rollback,
        }
    }
}

/// What a program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Both.
    All,
    /// Serve the API only.
    Api,
    /// Drive change orders only; serves nothing but its health.
    Executor,
}

impl Role {
    /// Whether it serves the API.
    #[must_use]
    pub fn serves(self) -> bool {
        matches!(self, Self::All | Self::Api)
    }

    /// Whether it drives change orders.
    #[must_use]
    pub fn drives(self) -> bool {
        matches!(self, Self::All | Self::Executor)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn lease(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(500)..=Duration::from_secs(600);
    let lease = duration(text)?;
    if allowed.contains(&lease) { Ok(lease) } else { Err("must be from 500ms to 10m".into()) }
}

fn statement_timeout(text: &str) -> Result<Duration, String> {
    let allowed = Duration::from_millis(100)..=Duration::from_secs(600);
    let longest = duration(text)?;
    if allowed.contains(&longest) { Ok(longest) } else { Err("must be from 100ms to 10m".into()) }
}

fn start_delay(text: &str) -> Result<Duration, String> {
    let delay = duration(text)?;
    if delay <= Duration::from_secs(3600) { Ok(delay) } else { Err("must be at most 1h".into()) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "must be a duration such as 5s or 500ms".to_owned())?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn listeners(flags: &[&str]) -> Result<Listeners, &'static str> {
        let line =
            [&["sluice", "serve", "--database-url", "postgres://localhost/d"], flags].concat();
        match Cli::try_parse_from(line).unwrap().command {
            Command::Serve(serve) => serve.listeners(),
            _ => panic!("must be serve"),
        }
    }

    #[test]
    fn each_listener_can_be_off_but_not_both() {
        let pair = ["--tls-listen", "[::1]:8443", "--tls-cert", "c.pem", "--tls-key", "k.pem"];
        let tls = TlsListener {
            address: "[::1]:8443".parse().unwrap(),
            certificate: "c.pem".into(),
            key: "k.pem".into(),
        };
        let plain = Some("127.0.0.1:8080".parse().unwrap());
        assert_eq!(listeners(&[]), Ok(Listeners { plain, tls: None }));
        assert_eq!(listeners(&pair), Ok(Listeners { plain, tls: Some(tls.clone()) }));
        assert_eq!(
            listeners(&[&pair[..], &["--listen", "off"]].concat()),
            Ok(Listeners { plain: None, tls: Some(tls) })
        );
        for (flags, says) in [
            (vec!["--listen", "off"], "--tls-listen"),
            (pair[..2].to_vec(), "--tls-cert"),
            (pair[..4].to_vec(), "--tls-key"),
        ] {
            assert!(listeners(&flags).unwrap_err().contains(says), "{flags:?}");
        }
    }

    #[test]
    fn a_lease_is_a_duration_within_bounds() {
        assert_eq!(lease("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(lease("500ms"), Ok(Duration::from_millis(500)));
        assert!(lease("1ms").is_err() && lease("-5s").is_err() && lease("soon").is_err());
    }

    #[test]
    fn a_start_delay_is_a_duration_of_at_most_an_hour() {
        assert_eq!(start_delay("0s"), Ok(Duration::ZERO));
        assert_eq!(start_delay("1h"), Ok(Duration::from_secs(3600)));
        assert!(
            start_delay("61m").is_err() && start_delay("-1s").is_err() && start_delay("2").is_err()
        );
    }

    #[test]
    fn the_database_url_is_never_shown() {
        let cli = Cli::try_parse_from([
            "sluice",
            "migrate",
            "--database-url",
            "postgres://u:geheim@localhost/d",
        ])
        .unwrap();
        assert!(!format!("{cli:?}").contains("geheim"));
    }
}
