//! The server: puts the parts together, and ends in good order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ::notify::{Sender, SenderConfig};
use anyhow::{Context, Result, anyhow, bail};
use clock::Clock;
use console::People;
use domain::{ClusterId, ClusterIdentity, package::runtime::Runtimes};
use executor::{Notice, Notices, Standing};
use service::{OwnExecutors, PackageStore, Packages, Service, UploadLimits};
use simulated::SimulatedCluster;
use sluice::{
    beside,
    config::{
        ClusterKind, EdgeServing, Listen, OIDC_SECRET, PackageServing, Serve, SignIn, Switch,
    },
};
use store::Store;
use tokio::{net::TcpListener, sync::Notify, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    driving::Driving,
    metrics::Metrics,
    process::{StopSignal, connect, random_hex, start_log},
    simulate::simulated_config,
    traces::Traces,
};

/// Open files that the program needs besides those of its connections: the
/// database's, the cluster's, packages, standard streams.
const SPARE_FILES: u64 = 256;

/// Connections at once of those who read metrics.
const METRICS_CONNECTIONS: usize = 64;

/// Longest time from the signal to the end.
const END_WITHIN: Duration = Duration::from_secs(9);

pub(crate) async fn serve(settings: Serve) -> Result<()> {
    let metrics = match settings.metrics_listen {
        Listen::Off => None,
        Listen::On(address) => Some((address, Metrics::install()?)),
    };
    let traces = Traces::begin(&settings.traces)?;
    start_log(settings.log_format, metrics.is_some(), traces.as_ref())?;
    // From the first moment on a signal ends the program in good order.
    let mut stopped = StopSignal::listen()?;
    let listeners = settings.listeners().map_err(|why| anyhow!("{why}"))?;
    let sign_in = settings
        .console
        .sign_in(std::env::var(OIDC_SECRET).ok())
        .map_err(|why| anyhow!("{why}"))?;
    let audit = crate::audit::log_settings(&settings.audit)?;
    let certificate = match &listeners.tls {
        Some(tls) => Some(edas::Certificate::load(tls.certificate.clone(), tls.key.clone()).await?),
        None => None,
    };
    // Whoever cannot listen takes no order.
    let plain = match listeners.plain {
        Some(address) => Some(bind("--listen", address).await?),
        None => None,
    };
    let tls = match &listeners.tls {
        Some(tls) => Some(bind("--tls-listen", tls.address).await?),
        None => None,
    };
    let metrics = match metrics {
        Some((address, metrics)) => {
            let listener = bind("--metrics-listen", address).await?;
            tracing::info!(address = %listener.local_addr()?, "serving metrics");
            Some((listener, metrics))
        }
        None => None,
    };
    let store = connect(&settings.database).await?;
    if settings.migrate {
        store.migrate().await.context("the migrations cannot be applied")?;
    }
    let newer = store.check_schema().await.map_err(|why| anyhow!("{why}"))?;
    store.check_keyring().await?;
    let schema = newer.map_or_else(store::newest_migration, |newer| newer.version);
    if newer.is_some() {
        tracing::info!(schema, "the schema is newer than this program, which works with it");
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        role = ?settings.role,
        cluster = settings.cluster_id,
        schema,
        "Sluice begins"
    );
    let cluster = ClusterId::from(settings.cluster_id.clone());
    if settings.cluster != ClusterKind::None {
        store.register_cluster(&cluster).await?;
    }

    let clock = Clock::default();
    let stop = CancellationToken::new();
    let mut parts = JoinSet::new();
    let executors = OwnExecutors::default();
    if settings.role.drives() {
        let driving = Driving {
            store: store.clone(),
            clock: clock.clone(),
            notices: Notices::new(),
            executors: executors.clone(),
            lease: settings.lease,
            concurrency: usize::try_from(settings.concurrency).context("--concurrency")?,
            counted: metrics.is_some() || traces.is_some(),
        };
        if settings.only_own_cluster && settings.cluster == ClusterKind::None {
            bail!(
                "--only-own-cluster needs a cluster of the program's own, and --cluster none has none"
            );
        }
        let own = own_client(&settings, &store, &cluster, &clock).await?;
        let is_own = own.as_ref().map(|_| cluster.clone());
        if let Some(client) = own {
            let executor = driving.executor(&cluster, client, &settings.namespaces);
            // One that cannot be asked now is asked again, and left alone until then.
            if let Standing::Other(why) = executor.identify().await {
                bail!("{why}");
            }
            executors.begun(&cluster, executor.holder());
            let stop = stop.clone();
            parts.spawn(async move {
                executor.run(stop).await;
                Ok(())
            });
        }
        tell(&driving.notices, sender(&settings, &store, &clock)?, &mut parts, &stop);
        let (notices, listened, until) = (driving.notices.clone(), store.clone(), stop.clone());
        parts.spawn(async move {
            until.run_until_cancelled(notices.keep(listened)).await;
            Ok(())
        });
        if !settings.only_own_cluster {
            let stop = stop.clone();
            parts.spawn(async move {
                driving.keep(is_own, stop).await;
                Ok(())
            });
        }
    }
    let rules = service::ServiceConfig {
        cluster,
        region: settings.region.clone(),
        batch_timeout_seconds: settings.batch_timeout,
        failure_policy: settings.failure_policy(),
        guard: settings
            .guard
            .config(settings.cluster != ClusterKind::Simulated)
            .map_err(|why| anyhow!(why))?,
    };
    let known = (store.clone(), clock.clone());
    let mut service = Service::new(store, clock, rules)
        .with_packages(packages(&settings.packages)?)
        .with_executors(executors);
    crate::access::warn_of_assumed(&service).await?;
    if let Some(store) = package_store(&settings.packages)? {
        service = service.with_package_store(store);
    }
    service.record_start(env!("CARGO_PKG_VERSION"), &format!("{settings:?}")).await?;
    {
        let (service, stop) = (service.clone(), stop.clone());
        parts.spawn(async move {
            service.keep_audit_log(audit, stop).await;
            Ok(())
        });
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
        let retention = settings.retention.retention();
        parts.spawn(async move {
            service.keep_retention(retention, stop).await;
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
        let beside = match settings.console.console {
            Switch::On => {
                let people = match sign_in {
                    Some(sign_in) => Some(people(&service, sign_in, &mut parts, &stop).await?),
                    None => None,
                };
                beside::console_for(service.clone(), people)
            }
            Switch::Off => edas::Beside::default(),
        };
        edas::router_beside(service, edge, beside)
    } else {
        edas::health_router(service, edge)
    };
    if let Some((listener, metrics)) = metrics {
        let numbers = metrics.router(known.0, known.1);
        // Places of their own: they are wanted most where all others are taken.
        let places = edas::ConnectionSettings {
            most: METRICS_CONNECTIONS,
            ..edas::ConnectionSettings::default()
        };
        let places = edas::Connections::new(places);
        parts.spawn(places.serve(listener, numbers, stop.clone().cancelled_owned()));
        let stop = stop.clone();
        parts.spawn(async move {
            metrics.keep(stop).await;
            Ok(())
        });
    }
    if let Some(listener) = plain {
        parts.spawn(connections.clone().serve(
            listener,
            router.clone(),
            stop.clone().cancelled_owned(),
        ));
    }
    if let (Some(listener), Some(certificate)) = (tls, certificate) {
        parts.spawn(connections.serve_tls(
            listener,
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
    let ending = Instant::now();
    stop.cancel();
    let rest = async { while parts.join_next().await.is_some() {} };
    if tokio::time::timeout(END_WITHIN, rest).await.is_err() {
        tracing::warn!(
            "not everything ended in time; what is left is taken up by the next program"
        );
    }
    if let Some(traces) = traces {
        traces.end(END_WITHIN.saturating_sub(ending.elapsed())).await;
    }
    match ended {
        Some(ended) => {
            ended.context("a part of the program panicked")?.context("the listener failed")
        }
        None => Ok(()),
    }
}

/// What asks the program's own cluster; none if it has none.
async fn own_client(
    settings: &Serve,
    store: &Store,
    cluster: &ClusterId,
    clock: &Clock,
) -> Result<Option<kube::Client>> {
    Ok(match settings.cluster {
        ClusterKind::None => None,
        ClusterKind::Kubernetes => {
            let first = kube::Client::try_default().await.context(
                "no cluster: there is no kubeconfig, and this is not a pod; --cluster none drives those alone that `sluice cluster add` added",
            )?;
            let read = || async { Ok(kube::Client::try_default().await?) };
            Some(cluster::credential::read_again(first, Arc::new(move || Box::pin(read()))))
        }
        ClusterKind::Simulated => {
            // Each is another one, and ends with its program.
            let identity = format!("{}{}", domain::cluster::SIMULATED, random_hex(16)?);
            let known: ClusterIdentity = identity.parse().map_err(|why| anyhow!("{why}"))?;
            executor::succeed(store, cluster, &known, clock.now()).await?;
            let config = simulated_config(&settings.simulated, identity);
            Some(SimulatedCluster::start(config).client())
        }
    })
}

/// Has people told what becomes of orders: once, whatever clusters the program drives.
fn tell(
    notices: &Notices,
    sender: Sender,
    parts: &mut JoinSet<std::io::Result<()>>,
    stop: &CancellationToken,
) {
    let (told, mut hearer) = (Arc::new(Notify::new()), notices.hear());
    let (wakes, until) = (told.clone(), stop.clone());
    parts.spawn(async move {
        while let Some(notice) = until.run_until_cancelled(hearer.next()).await {
            if matches!(notice, Notice::Telling | Notice::Anything) {
                wakes.notify_one();
            }
        }
        Ok(())
    });
    let until = stop.clone();
    parts.spawn(async move {
        sender.run(told, until).await;
        Ok(())
    });
}

/// People who sign in through an identity provider. What is known of it is kept up to date as
/// a part of the program; that it is away keeps nothing else from running.
async fn people(
    service: &Service,
    sign_in: SignIn,
    parts: &mut JoinSet<std::io::Result<()>>,
    stop: &CancellationToken,
) -> Result<People> {
    let seal = oidc::Seal::new(service.console_seal().await?);
    let provider = oidc::Provider::new(sign_in.provider, seal)?;
    for key in service.unusable_keys(&sign_in.mappings.keys()).await? {
        tracing::warn!(key, "people are mapped to an access key that may not be used");
    }
    let (known, stop) = (provider.clone(), stop.clone());
    parts.spawn(async move {
        known.keep_known(stop).await;
        Ok(())
    });
    Ok(People::new(provider, sign_in.mappings))
}

/// What tells people what becomes of orders.
fn sender(settings: &Serve, store: &Store, clock: &Clock) -> Result<Sender> {
    let console = settings.console.console_url.as_ref().map(ToString::to_string);
    let config = SenderConfig {
        console: console.filter(|_| settings.console.console == Switch::On),
        ..SenderConfig::default()
    };
    let sender = Sender::new(store.clone(), clock.clone(), config);
    sender.context("people cannot be told of orders: TLS cannot be set up")
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
