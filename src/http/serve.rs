//! Serving the router on a listener until told to stop.
//!
//! Plain HTTP: several clients can do nothing else (R21). After the stop signal
//! no connection is accepted, and requests in hand are answered.

use std::io;

use axum::{
    Router,
    serve::{Listener, ListenerExt},
};
use tokio::net::TcpListener;

use super::line::CuttingListener;

/// Serves `router` on `listener` until `stop` is done and the requests in hand
/// are answered.
///
/// # Errors
/// That the listener's address cannot be read.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let address = Listener::local_addr(&listener)?;
    let listener = listener.tap_io(|connection| {
        // Small replies should not wait for more to send.
        if let Err(error) = connection.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY cannot be set");
        }
    });
    tracing::info!(%address, "listening");
    axum::serve(CuttingListener(listener), router).with_graceful_shutdown(stop).await
}
