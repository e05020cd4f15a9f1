//! A simulated cluster that is served on a port.

use anyhow::{Context, Result};
use rand::TryRngCore;
use simulated::SimulatedCluster;
use sluice::config::{Simulate, SimulatedPods};

use crate::process::{StopSignal, start_log};

/// Serves a simulated cluster until a signal comes. The kubeconfig is written once it answers.
pub(crate) async fn simulate(settings: Simulate) -> Result<()> {
    start_log(settings.log_format, false, None)?;
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

pub(crate) fn simulated_config(pods: &SimulatedPods, identity: String) -> simulated::Config {
    let (start_delay, jitter) = (pods.simulated_start_delay, pods.simulated_start_jitter);
    simulated::Config {
        start_delay,
        jitter,
        identity: Some(identity),
        ..simulated::Config::default()
    }
}
