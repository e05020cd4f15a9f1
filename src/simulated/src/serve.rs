//! The API server on a port, for clients outside of the process: `kubectl`, and
//! programs that are given a kubeconfig.
//!
//! Plain HTTP/1.1 without credentials: whoever reaches the port is the administrator.
//! Bounds hold for connections, heads and bodies.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{ApiServer, SimulatedCluster};

/// Connections at one time. A watch has one each.
const CONNECTIONS: usize = 1000;

/// How long a client may take for the head of a request.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// After a connection could not be taken: what is missing (open files) may come back.
const PAUSE: Duration = Duration::from_millis(100);

impl SimulatedCluster {
    /// Serves the API on `listener` until `stop` is ready. Connections end with it, watches
    /// among them.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                // Never closed, so there is always a place at last.
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            };
            tokio::select! {
                () = &mut stop => return,
                (accepted, place) = next => match accepted {
                    Ok((stream, _)) => {
                        let server = self.service();
                        connections.spawn(async move {
                            let _place = place;
                            connection(stream, server).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection cannot be taken");
                        tokio::time::sleep(PAUSE).await;
                    }
                },
            }
            while connections.try_join_next().is_some() {}
        }
    }
}

async fn connection(stream: TcpStream, server: ApiServer) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let served =
        builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(server)).await;
    if let Err(error) = served {
        tracing::debug!(error, "a connection broke");
    }
}

/// Binds an address and says which one it became: port 0 takes a free one.
///
/// # Errors
/// As the system says.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// A kubeconfig for a cluster that is served at this address.
#[must_use]
pub fn kubeconfig(address: SocketAddr) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
  - name: simulated
    cluster:
      server: http://{address}
users:
  - name: simulated
    user: {{}}
contexts:
  - name: simulated
    context:
      cluster: simulated
      user: simulated
      namespace: default
current-context: simulated
"
    )
}
