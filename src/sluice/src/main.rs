//! The program: reads the settings, puts the parts together, and ends in good
//! order.

use std::{
    env::VarError,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use clock::Clock;
use cluster::Cluster;
use domain::{
    ClusterId, ClusterIdentity, Source, order::FailurePolicy, package::runtime::Runtimes,
};
use executor::{Executor, Standing};
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};
use service::{Adopt, Caller, PackageStore, Packages, Service, UploadLimits};
use simulated::SimulatedCluster;
use sluice::config::{
    AdoptDeployment, Cli, ClusterCommand, ClusterKind, Command, ConsoleLink, Database, EdgeServing,
    KeyCommand, LogFormat, Output, PackageServing, Serve, ShowContainer, Simulate, SimulatedPods,
    Switch,
};
use sluice::{beside, fetch};
use store::Store;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Open files that the program needs besides those of its connections: the
/// database's, the cluster's, packages, standard streams.
const SPARE_FILES: u64 = 256;

/// Longest time from the signal to the end.
const END_WITHIN: Duration = Duration::from_secs(9);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sluice: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Serve(settings) => serve(*settings).await?,
        Command::Migrate(database) => {
            connect(&database)
                .await?
                .migrate()
                .await
                .context("the migrations cannot be applied")?;
            let newest = store::MIGRATIONS.iter().map(|it| it.version).max().unwrap_or_default();
            println!("the schema is at migration {newest}");
        }
        Command::Adopt(settings) => adopt(*settings).await?,
        Command::Simulate(settings) => simulate(settings).await?,
        Command::Container(settings) => container(*settings).await?,
        Command::Openapi => {
            print(&edas::openapi().to_pretty_json().context("the document cannot be written")?)?
        }
        Command::Key { command: KeyCommand::Create { name, output, database } } => {
            create_key(&name, output, &database).await?
        }
        Command::Cluster {
            command: ClusterCommand::Replace { cluster_id, identity, let_orders_go, database },
        } => {
            let store = connect_checked(&database).await?;
            let before = without_requests(store, cluster_id.clone().into(), String::new())
                .replace_cluster(&identity, let_orders_go)
                .await?;
            let before = before.map_or_else(|| "none".to_owned(), |it| it.to_string());
            println!("{cluster_id}: the identity on record is {identity}, and was {before}");
        }
        Command::Client(command) => return Ok(client::run(*command).await),
        Command::Console(settings) => console_link(settings).await?,
        Command::FetchPackage(settings) => return Ok(fetch::run(&settings).await),
    }
    Ok(ExitCode::SUCCESS)
}

async fn connect(database: &Database) -> Result<Store> {
    let (url, longest) =
        (database.database_url.expose_secret(), database.database_statement_timeout);
    let store = Store::connect(url, database.database_connections, longest).await;
    store.context("the database cannot be reached")
}

async fn connect_checked(database: &Database) -> Result<Store> {
    let store = connect(database).await?;
    if let Err(why) = store.check_schema().await {
        bail!("{why}");
    }
    Ok(store)
}

/// The use cases for a command that ends at once, and orders nothing.
fn without_requests(store: Store, cluster: ClusterId, region: String) -> Service {
    let rules = service::ServiceConfig {
        cluster,
        region,
        batch_timeout_seconds: 0,
        failure_policy: FailurePolicy::default(),
    };
    Service::new(store, Clock::default(), rules)
}

async fn serve(settings: Serve) -> Result<()> {
    start_log(settings.log_format)?;
    // From the first moment on a signal ends the program in good order.
    let mut stopped = StopSignal::listen()?;
    let listeners = settings.listeners().map_err(|why| anyhow!("{why}"))?;
    let certificate = match &listeners.tls {
        Some(tls) => Some(edas::Certificate::load(tls.certificate.clone(), tls.key.clone()).await?),
        None => None,
    };
    let store = connect(&settings.database).await?;
    if settings.migrate {
        store.migrate().await.context("the migrations cannot be applied")?;
    }
    if let Err(why) = store.check_schema().await {
        bail!("{why}");
    }
    let cluster = ClusterId::from(settings.cluster_id.clone());
    store.register_cluster(&cluster).await?;

    let clock = Clock::default();
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    let mut holder = None;
    if settings.role.drives() {
        let client = match settings.cluster {
            ClusterKind::Kubernetes => kube::Client::try_default()
                .await
                .context("no cluster: there is no kubeconfig, and this is not a pod")?,
            ClusterKind::Simulated => {
                // Each is another one, and ends with its program.
                let identity = format!("{}{}", domain::cluster::SIMULATED, random_hex(16)?);
                let known: ClusterIdentity = identity.parse().map_err(|why| anyhow!("{why}"))?;
                executor::succeed(&store, &cluster, &known, clock.now()).await?;
                SimulatedCluster::start(simulated_config(&settings.simulated, identity)).client()
            }
        };
        let work = executor::ExecutorConfig {
            cluster: cluster.clone(),
            lease: settings.lease,
            concurrency: usize::try_from(settings.concurrency).context("--concurrency")?,
        };
        let executor = Executor::new(store.clone(), Cluster::watch(client), clock.clone(), work);
        // One that cannot be asked now is asked again, and left alone until then.
        if let Standing::Other(why) = executor.identify().await {
            bail!("{why}");
        }
        holder = Some(executor.holder().to_owned());
        let stop = stop.clone();
        parts.spawn(async move {
            executor.run(stop).await;
            Ok(())
        });
    }
    let rules = service::ServiceConfig {
        cluster,
        region: settings.region.clone(),
        batch_timeout_seconds: settings.batch_timeout,
        failure_policy: settings.failure_policy(),
    };
    let mut service =
        Service::new(store, clock, rules).with_packages(packages(&settings.packages)?);
    if let Some(holder) = holder {
        service = service.with_executor(&holder);
    }
    if let Some(store) = package_store(&settings.packages)? {
        service = service.with_package_store(store);
    }
    if settings.role.serves() {
        let (service, stop) = (service.clone(), stop.clone());
        parts.spawn(async move {
            service.keep_store_clean(stop).await;
            Ok(())
        });
    }
    if settings.role.serves() {
        let (service, stop) = (service.clone(), stop.clone());
        parts.spawn(async move {
            service.keep_watches(stop).await;
            Ok(())
        });
    }
    let edge = edas::EdgeConfig {
        hmac_sha1: !settings.refuse_hmac_sha1,
        plain_hmac_sha1: settings.edge.allow_plain_hmac_sha1,
        rates: rates(&settings.edge),
        ..edas::EdgeConfig::default()
    };
    let connections = connections(&settings.edge);
    let router = if settings.role.serves() {
        let beside = match settings.console {
            Switch::On => beside::console(service.clone(), stop.clone()),
            Switch::Off => edas::Beside::default(),
        };
        edas::router_beside(service, edge, beside)
    } else {
        edas::health_router(service, edge)
    };
    if let Some(address) = listeners.plain {
        parts.spawn(connections.clone().serve(
            bind("--listen", address).await?,
            router.clone(),
            stop.clone().cancelled_owned(),
        ));
    }
    if let (Some(tls), Some(certificate)) = (listeners.tls, certificate) {
        parts.spawn(connections.serve_tls(
            bind("--tls-listen", tls.address).await?,
            certificate,
            router,
            stop.clone().cancelled_owned(),
        ));
    }

    let ended = tokio::select! {
        signal = stopped.arrives() => {
            tracing::info!("{signal}: stopping");
            None
        }
        ended = parts.join_next() => ended,
    };
    stop.cancel();
    let rest = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(END_WITHIN, rest).await.is_err() {
        tracing::warn!(
            "not everything ended in time; what is left is taken up by the next program"
        );
    }
    match ended {
        Some(ended) => {
            ended.context("a part of the program panicked")?.context("the listener failed")
        }
        None => Ok(()),
    }
}

/// Serves a simulated cluster until a signal comes. The kubeconfig is written once it answers.
async fn simulate(settings: Simulate) -> Result<()> {
    start_log(settings.log_format)?;
    let mut stopped = StopSignal::listen()?;
    let (listener, address) = simulated::bind(settings.listen)
        .await
        .with_context(|| format!("--listen: cannot listen on {}", settings.listen))?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "other machines can reach the simulated cluster, which asks for no credentials");
    }
    // Each start makes another cluster, which no server takes for the one before.
    let mut identity = [0; 16];
    rand::rngs::OsRng.try_fill_bytes(&mut identity).context("the system has no randomness")?;
    let identity = uuid::Builder::from_random_bytes(identity).into_uuid().to_string();
    let cluster = SimulatedCluster::start(simulated_config(&settings.pods, identity));
    let kubeconfig = simulated::kubeconfig(address);
    match &settings.kubeconfig {
        Some(path) => std::fs::write(path, kubeconfig)
            .with_context(|| format!("--kubeconfig: {} cannot be written", path.display()))?,
        None => print!("{kubeconfig}"),
    }
    tracing::info!(%address, "a simulated cluster is served");
    let stop = async {
        let signal = stopped.arrives().await;
        tracing::info!("{signal}: stopping");
    };
    cluster.serve(listener, stop).await;
    Ok(())
}

fn simulated_config(pods: &SimulatedPods, identity: String) -> simulated::Config {
    let (start_delay, jitter) = (pods.simulated_start_delay, pods.simulated_start_jitter);
    simulated::Config {
        start_delay,
        jitter,
        identity: Some(identity),
        ..simulated::Config::default()
    }
}

/// What connections are allowed, as far as the system lets the program have them.
fn connections(settings: &EdgeServing) -> edas::Connections {
    let most = settings.connections;
    // Files, the database and the cluster need some besides.
    let needed = u64::from(most) + SPARE_FILES;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) if allowed < needed => tracing::warn!(
            allowed,
            needed,
            "the system allows fewer open files than --connections ({most}) needs: raise the limit (ulimit -n, LimitNOFILE) or lower the setting"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
    edas::Connections::new(edas::ConnectionSettings {
        most: most as usize,
        most_of_peer: settings.connections_per_peer as usize,
        times: edas::Times {
            handshake: settings.handshake_timeout,
            head: settings.head_timeout,
            idle: settings.idle_timeout,
            reply: settings.reply_timeout,
        },
        http2: edas::Http2 {
            streams: settings.http2_streams,
            ping_every: settings.http2_ping_interval,
            ping_within: settings.http2_ping_timeout,
        },
        proxies: settings.trusted_proxies.clone(),
    })
}

fn rates(settings: &EdgeServing) -> edas::Rates {
    edas::Rates {
        of_peer: settings.peer_rate,
        of_key: settings.key_rate,
        failures: settings.failure_rate,
    }
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag}: cannot listen on {address}"))
}

async fn adopt(settings: AdoptDeployment) -> Result<()> {
    let store = connect_checked(&settings.database).await?;
    let service = without_requests(store, settings.cluster_id.clone().into(), settings.region);
    let request = Adopt {
        name: settings.name,
        cluster: settings.cluster_id,
        namespace: settings.namespace,
        logical_region: None,
        description: String::new(),
        version: settings.version_text,
        container: settings.container,
    };
    let (application, _) = service.adopt(&command("sluice adopt"), request).await?;
    println!("{application}");
    Ok(())
}

async fn container(settings: ShowContainer) -> Result<()> {
    let store = connect_checked(&settings.database).await?;
    let service = without_requests(store, settings.cluster_id.clone().into(), String::new());
    let found = service.applications(Some(&settings.name)).await?;
    let found = found.into_iter().find(|it| {
        it.namespace == settings.namespace && it.cluster.as_str() == settings.cluster_id
    });
    let application = found.ok_or_else(|| {
        anyhow!("there is no application {} in namespace {}", settings.name, settings.namespace)
    })?;
    if let Some(name) = &settings.set {
        service.choose_container(&command("sluice container"), application.id, Some(name)).await?;
    }
    let container = service.container(application.id).await?;
    let name = container.name.as_deref().unwrap_or("(in doubt)");
    println!(
        "{name}{} of {}",
        if container.chosen { " (chosen)" } else { "" },
        container.all.join(", ")
    );
    Ok(())
}

/// Whoever calls a command of this program.
fn command(name: &str) -> Caller {
    Caller {
        key_id: String::new(),
        name: name.into(),
        request_id: String::new(),
        source: Source::Cli,
        reason: String::new(),
        identity: None,
    }
}

/// What the server needs to release packages.
fn packages(settings: &PackageServing) -> Result<Packages> {
    let runtimes = match &settings.runtime_images {
        None => Runtimes::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("--runtime-images: {} cannot be read", path.display()))?;
            Runtimes::read(&text)
                .map_err(|why| anyhow!("--runtime-images: {}: {why}", path.display()))?
        }
    };
    let rules = &settings.rules;
    let client =
        package::Client::new(rules.policy(), rules.most_bytes(), rules.package_connect_timeout);
    let client = client.context("packages cannot be asked for: TLS cannot be set up")?;
    Ok(Packages {
        image: settings.package_image.clone(),
        runtimes,
        rules: settings.variables(),
        client,
    })
}

/// Where packages that are uploaded are kept.
fn package_store(settings: &PackageServing) -> Result<Option<PackageStore>> {
    let Some((place, url)) =
        settings.package_store.as_ref().zip(settings.package_store_url.clone())
    else {
        return Ok(None);
    };
    let objects = package::Objects::open(place, std::env::vars())
        .map_err(|why| anyhow!("--package-store: {why}"))?;
    let limits = UploadLimits {
        at_once: usize::try_from(settings.uploads.package_uploads).context("--package-uploads")?,
        quota: settings.uploads.quota(),
        keep: settings.uploads.keep(),
        ..UploadLimits::default()
    };
    Ok(Some(PackageStore { objects, url, most_bytes: settings.rules.most_bytes(), limits }))
}

/// The signals that ask the program to end.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn arrives(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn create_key(name: &str, output: Output, database: &Database) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > 100 {
        bail!("--name must have 1 to 100 characters");
    }
    let store = connect_checked(database).await?;
    let (id, secret) = (format!("sluice{}", random_hex(10)?), SecretString::from(random_hex(20)?));
    let created = store.insert_key(&id, &secret, name, Clock::default().now()).await?;
    if !created {
        bail!("there is a key named {name} already");
    }
    match output {
        Output::Text => println!("AccessKeyId {id}\nAccessKeySecret {}", secret.expose_secret()),
        Output::Json => println!(
            "{}",
            serde_json::json!({ "AccessKeyId": id, "AccessKeySecret": secret.expose_secret() })
        ),
    }
    Ok(())
}

async fn console_link(settings: ConsoleLink) -> Result<()> {
    let store = connect_checked(&settings.database).await?;
    let service = without_requests(store, String::new().into(), String::new());
    let link = service.make_link(&settings.key).await?;
    let base = settings.url.as_str().trim_end_matches('/');
    println!("{base}/console/link/{}", link.expose());
    Ok(())
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    rand::rngs::OsRng.try_fill_bytes(&mut random).context("the system has no randomness")?;
    Ok(hex::encode(random))
}

fn start_log(format: LogFormat) -> Result<()> {
    // sqlx logs each statement that runs long; that is for those who ask for it.
    let filter = match std::env::var("SLUICE_LOG") {
        Ok(given) => EnvFilter::builder()
            .parse(&given)
            .with_context(|| format!("SLUICE_LOG: {given:?} is not a filter for log lines"))?,
        Err(VarError::NotPresent) => EnvFilter::new("info,sqlx=warn"),
        Err(VarError::NotUnicode(_)) => bail!("SLUICE_LOG is not UTF-8"),
    };
    let is_terminal = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// Writes a result to standard output. A reader that has gone, such as `head`, has read
/// what it wanted.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written")
        }
        _ => Ok(()),
    }
}
