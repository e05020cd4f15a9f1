//! Serving the router on listeners, plain HTTP and HTTPS, until told to stop.
//!
//! Plain HTTP: several clients can do nothing else (R21). After the stop signal
//! no connection is accepted, and requests in hand are answered. The router
//! cannot tell which listener a request came in by.

use std::{io, net::SocketAddr};

use axum::Router;
use axum_server::{Handle, Server, accept::NoDelayAcceptor, tls_rustls::RustlsAcceptor};
use tokio::net::TcpListener;

use super::{certificate::Certificate, line::CuttingAcceptor};

/// Most bytes of an HTTP/2 request's head, as its library counts. A target that
/// is too long should arrive, and be answered.
const HEAD_LIMIT: u32 = 1 << 20;

/// Serves `router` as plain HTTP on `listener` until `stop` is done and the
/// requests in hand are answered.
///
/// # Errors
/// That the listener's address cannot be read, or that it cannot be listened on.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "listening");
    let handle = Handle::new();
    let server = prepared(Server::from_listener(listener), &handle).acceptor(CuttingAcceptor(NoDelayAcceptor)).http1_only();
    run(server.serve(router.into_make_service()), handle, stop).await
}

/// As [`serve()`], as HTTPS (HTTP/1.1 and HTTP/2) with what `certificate` is at
/// the time of each connection.
///
/// # Errors
/// As [`serve()`].
pub async fn serve_tls(
    listener: TcpListener,
    certificate: Certificate,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "listening with TLS");
    let tls = RustlsAcceptor::new(certificate.config()).acceptor(NoDelayAcceptor);
    let handle = Handle::new();
    let server = prepared(Server::from_listener(listener), &handle).acceptor(CuttingAcceptor(tls));
    tokio::select! {
        ended = run(server.serve(router.into_make_service()), handle, stop) => ended,
        () = certificate.follow() => Ok(()),
    }
}

fn prepared<A>(mut server: Server<SocketAddr, A>, handle: &Handle<SocketAddr>) -> Server<SocketAddr, A> {
    server.http_builder().http2().max_header_list_size(HEAD_LIMIT);
    server.handle(handle.clone()).accept_error_handler(|peer, error| match peer {
        None => tracing::warn!(%error, "a connection cannot be accepted"),
        Some(peer) => tracing::debug!(%peer, %error, "a connection was not made"),
    })
}

/// Runs `serving` to its end, which begins when `stop` is done.
async fn run(serving: impl Future<Output = io::Result<()>>, handle: Handle<SocketAddr>, stop: impl Future<Output = ()>) -> io::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended,
        () = stop => {
            handle.graceful_shutdown(None);
            serving.await
        }
    }
}
