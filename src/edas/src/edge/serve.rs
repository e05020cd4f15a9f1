//! Serving the router on listeners, plain HTTP and HTTPS, until told to stop.
//!
//! Plain HTTP: several clients can do nothing else (R21). After the stop signal
//! no connection is accepted, and requests in hand are answered. What a
//! connection may do is in [`connection`](super::connection).

use std::{io, net::SocketAddr};

use axum::Router;
use axum_server::{Handle, Server, accept::NoDelayAcceptor, tls_rustls::RustlsAcceptor};
use tokio::net::TcpListener;

use super::{certificate::Certificate, connection::Door};
use crate::Connections;
use domain::limits;

/// Most bytes of a request's head, by either HTTP: a line, all headers that may be signed,
/// and 16 KiB of others and of names. A target that is too long ([`super::line`]) should
/// arrive, and be answered.
const HEAD_LIMIT: u32 = 112 << 10;
const _: () =
    assert!(HEAD_LIMIT as usize == limits::LINE + limits::SIGNED_HEADER_BYTES + (16 << 10));

/// HTTP/2 requests that a client took back before they were begun, at which the
/// connection ends: taking back is the cheapest way to make work.
const MOST_RESET: usize = 20;

/// The same for requests that break HTTP/2's rules.
const MOST_BROKEN: usize = 100;

impl Connections {
    /// Serves `router` as plain HTTP on `listener` until `stop` is done and the
    /// requests in hand are answered.
    ///
    /// # Errors
    /// That the listener's address cannot be read, or that it cannot be listened on.
    pub async fn serve(
        self,
        listener: TcpListener,
        router: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        tracing::info!(address = %listener.local_addr()?, "listening");
        let handle = Handle::new();
        let server = self.prepared(Server::from_listener(listener), &handle).http1_only();
        let door = Door { inner: NoDelayAcceptor, connections: self, is_tls: false };
        run(server.acceptor(door).serve(router.into_make_service()), handle, stop).await
    }

    /// As [`Connections::serve`], as HTTPS (HTTP/1.1 and HTTP/2) with what
    /// `certificate` is at the time of each connection.
    ///
    /// # Errors
    /// As [`Connections::serve`].
    pub async fn serve_tls(
        self,
        listener: TcpListener,
        certificate: Certificate,
        router: Router,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        tracing::info!(address = %listener.local_addr()?, "listening with TLS");
        let tls = RustlsAcceptor::new(certificate.config())
            .handshake_timeout(self.settings.times.handshake)
            .acceptor(NoDelayAcceptor);
        let handle = Handle::new();
        let server = self.prepared(Server::from_listener(listener), &handle);
        let door = Door { inner: tls, connections: self, is_tls: true };
        tokio::select! {
            ended = run(server.acceptor(door).serve(router.into_make_service()), handle, stop) => ended,
            () = certificate.follow() => Ok(()),
        }
    }

    fn prepared<A>(
        &self,
        mut server: Server<SocketAddr, A>,
        handle: &Handle<SocketAddr>,
    ) -> Server<SocketAddr, A> {
        let (times, bounds) = (self.settings.times, self.settings.http2);
        let mut http1 = server.http_builder().http1();
        // The library's time begins with the end of the request before. It is for a head whose
        // first part came along with that request, which the stream's own time does not see.
        http1.header_read_timeout(times.idle + times.head).max_buf_size(HEAD_LIMIT as usize);
        let mut http2 = server.http_builder().http2();
        http2.max_header_list_size(HEAD_LIMIT).max_concurrent_streams(bounds.streams);
        http2
            .max_pending_accept_reset_streams(MOST_RESET)
            .max_local_error_reset_streams(MOST_BROKEN);
        http2.keep_alive_interval(bounds.ping_every).keep_alive_timeout(bounds.ping_within);
        server.handle(handle.clone()).accept_error_handler(|peer, error| match peer {
            None => tracing::warn!(%error, "a connection cannot be accepted"),
            Some(peer) => tracing::debug!(%peer, %error, "a connection was not made"),
        })
    }
}

/// Runs `serving` to its end, which begins when `stop` is done.
async fn run(
    serving: impl Future<Output = io::Result<()>>,
    handle: Handle<SocketAddr>,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => ended,
        () = stop => {
            handle.graceful_shutdown(None);
            serving.await
        }
    }
}
