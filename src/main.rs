//! The program: reads the settings, puts the parts together, and ends in good
//! order.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use clap::Parser;
use rand::TryRngCore;
use secrecy::{ExposeSecret, SecretString};
use sluice::{
    clock::Clock,
    cluster::Cluster,
    config::{AdoptDeployment, Cli, ClusterKind, Command, Database, KeyCommand, LogFormat, Output, PackageServing, Serve},
    domain::{order::Tolerance, runtime::Runtimes},
    executor::{self, Executor},
    fetch, http, package,
    service::{self, Adopt, Caller, PackageStore, Packages, Service, UploadLimits},
    simulated::{self, SimulatedCluster},
    store::Store,
};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

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
        Command::Migrate(database) => connect(&database).await?.migrate().await.context("the migrations cannot be applied")?,
        Command::Adopt(settings) => adopt(*settings).await?,
        Command::Openapi => println!("{}", http::openapi().to_pretty_json().context("the document cannot be written")?),
        Command::Key { command: KeyCommand::Create { name, output, database } } => create_key(&name, output, &database).await?,
        Command::FetchPackage(settings) => return Ok(fetch::run(&settings).await),
    }
    Ok(ExitCode::SUCCESS)
}

async fn connect(database: &Database) -> Result<Store> {
    let store = Store::connect(database.database_url.expose_secret(), database.database_connections).await;
    store.context("the database cannot be reached")
}

async fn serve(settings: Serve) -> Result<()> {
    start_log(settings.log_format);
    // From the first moment on a signal ends the program in good order.
    let mut stopped = StopSignal::listen()?;
    let listeners = settings.listeners().map_err(|why| anyhow!("{why}"))?;
    let certificate = match &listeners.tls {
        Some(tls) => Some(http::Certificate::load(tls.certificate.clone(), tls.key.clone()).await?),
        None => None,
    };
    let store = connect(&settings.database).await?;
    if settings.migrate {
        store.migrate().await.context("the migrations cannot be applied")?;
    }
    if let Err(why) = store.check_schema().await {
        bail!("{why}");
    }
    store.register_cluster(&settings.cluster_id).await?;

    let clock = Clock::default();
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    if settings.role.drives() {
        let client = match settings.cluster {
            ClusterKind::Kubernetes => {
                kube::Client::try_default().await.context("no cluster: there is no kubeconfig, and this is not a pod")?
            }
            ClusterKind::Simulated => {
                let (start_delay, jitter) = (settings.simulated_start_delay, settings.simulated_start_jitter);
                SimulatedCluster::start(simulated::Config { start_delay, jitter, ..simulated::Config::default() }).client()
            }
        };
        let work = executor::Settings {
            cluster: settings.cluster_id.clone(),
            lease: settings.lease,
            concurrency: usize::try_from(settings.concurrency).context("--concurrency")?,
        };
        let executor = Executor::new(store.clone(), Cluster::watch(client), clock.clone(), work);
        let stop = stop.clone();
        parts.spawn(async move {
            executor.run(stop).await;
            Ok(())
        });
    }
    let rules = service::Settings {
        cluster: settings.cluster_id.clone(),
        region: settings.region.clone(),
        batch_timeout_seconds: settings.batch_timeout,
        tolerance: settings.tolerance(),
    };
    let mut service = Service::new(store, clock, rules).with_packages(packages(&settings.packages)?);
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
    let edge = http::Settings { hmac_sha1: !settings.refuse_hmac_sha1, ..http::Settings::default() };
    let router = if settings.role.serves() { http::router(service, edge) } else { http::health_router(service, edge) };
    if let Some(address) = listeners.plain {
        parts.spawn(http::serve(bind("--listen", address).await?, router.clone(), stop.clone().cancelled_owned()));
    }
    if let (Some(tls), Some(certificate)) = (listeners.tls, certificate) {
        parts.spawn(http::serve_tls(bind("--tls-listen", tls.address).await?, certificate, router, stop.clone().cancelled_owned()));
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
        tracing::warn!("not everything ended in time; what is left is taken up by the next program");
    }
    match ended {
        Some(ended) => ended.context("a part of the program panicked")?.context("the listener failed"),
        None => Ok(()),
    }
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("{flag}: cannot listen on {address}"))
}

async fn adopt(settings: AdoptDeployment) -> Result<()> {
    let store = connect(&settings.database).await?;
    if let Err(why) = store.check_schema().await {
        bail!("{why}");
    }
    let rules = service::Settings {
        cluster: settings.cluster_id.clone(),
        region: settings.region,
        batch_timeout_seconds: 0,
        tolerance: Tolerance::default(),
    };
    let caller =
        Caller { key_id: String::new(), name: "sluice adopt".into(), request_id: String::new(), source: "console".into(), identity: None };
    let request = Adopt {
        name: settings.name,
        cluster: settings.cluster_id,
        namespace: settings.namespace,
        logical_region: None,
        description: String::new(),
        version: settings.version_text,
    };
    let (application, _) = Service::new(store, Clock::default(), rules).adopt(&caller, request).await?;
    println!("{application}");
    Ok(())
}

/// What the server needs to release packages.
fn packages(settings: &PackageServing) -> Result<Packages> {
    let runtimes = match &settings.runtime_images {
        None => Runtimes::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("--runtime-images: {} cannot be read", path.display()))?;
            Runtimes::read(&text).map_err(|why| anyhow!("--runtime-images: {}: {why}", path.display()))?
        }
    };
    let rules = &settings.rules;
    let client = package::Client::new(rules.policy(), rules.most_bytes(), rules.package_connect_timeout);
    let client = client.context("packages cannot be asked for: TLS cannot be set up")?;
    Ok(Packages { image: settings.package_image.clone(), runtimes, rules: settings.variables(), client })
}

/// Where packages that are uploaded are kept.
fn package_store(settings: &PackageServing) -> Result<Option<PackageStore>> {
    let Some((place, url)) = settings.package_store.as_ref().zip(settings.package_store_url.clone()) else { return Ok(None) };
    let objects = package::Objects::open(place, std::env::vars()).map_err(|why| anyhow!("--package-store: {why}"))?;
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
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
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
    let store = connect(database).await?;
    if let Err(why) = store.check_schema().await {
        bail!("{why}");
    }
    let (id, secret) = (format!("sluice{}", random_hex(10)?), SecretString::from(random_hex(20)?));
    let created = store.insert_key(&id, &secret, name, Clock::default().now()).await?;
    if !created {
        bail!("there is a key named {name} already");
    }
    match output {
        Output::Text => println!("AccessKeyId {id}\nAccessKeySecret {}", secret.expose_secret()),
        Output::Json => println!("{}", serde_json::json!({ "AccessKeyId": id, "AccessKeySecret": secret.expose_secret() })),
    }
    Ok(())
}

fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    rand::rngs::OsRng.try_fill_bytes(&mut random).context("the system has no randomness")?;
    Ok(hex::encode(random))
}

fn start_log(format: LogFormat) {
    // sqlx logs each statement that runs long; that is for those who ask for it.
    let filter = EnvFilter::try_from_env("SLUICE_LOG").unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
