//! Connections: how many there may be, how long each may take, and who is on it.
//!
//! A server that reads for as long as a client likes can be filled by clients
//! that never finish. So each connection has a [`place`] among all of them and
//! of its peer, and a deadline for what it is at: its handshake, a request's
//! head, being idle, taking a reply ([`timed`]). Every request that comes in by
//! one is told its [`Peer`] ([`told`]), on which limits and the rule about plain
//! HTTP go.

use std::{io, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use axum_server::accept::Accept;
use ipnet::IpNet;
use tokio::net::TcpStream;

mod peer;
mod place;
mod refuse;
#[cfg(test)]
mod tests;
mod timed;
mod told;

pub use crate::edge::connection::peer::{Peer, Way};
pub(crate) use told::prove;

use super::line::Cutting;
use crate::edge::connection::place::Places;
use crate::edge::connection::refuse::Refused;
use crate::edge::connection::timed::Timed;
use crate::edge::connection::told::Told;

/// Bytes that the read buffers of connections on which nobody is known have together, past
/// 16 KiB each. A large request head needs up to some 100 KiB.
const BUFFERS: usize = 64 << 20;

/// How long a connection may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For the TLS handshake.
    pub handshake: Duration,
    /// For a request's head, from the connection or from its first byte on.
    pub head: Duration,
    pub idle: Duration,
    /// Without taking any more of a reply.
    pub reply: Duration,
}

/// Bounds of HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2 {
    /// Requests at once on one connection.
    pub streams: u32,
    /// From one ping to the next.
    pub ping_every: Duration,
    /// How long the answer to a ping may take.
    pub ping_within: Duration,
}

/// What connections are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// Connections at once, on all listeners.
    pub most: usize,
    /// Connections at once of one peer: an address, of IPv6 a /64.
    pub most_of_peer: usize,
    /// How long they may take.
    pub times: Times,
    /// Bounds of HTTP/2.
    pub http2: Http2,
    /// Proxies that may say who the peer is, and that have no limit as a peer.
    pub proxies: Vec<IpNet>,
}

impl Default for ConnectionSettings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            most: 4096,
            most_of_peer: 1024,
            times: Times {
                handshake: seconds(10),
                head: seconds(10),
                idle: seconds(75),
                reply: seconds(60),
            },
            http2: Http2 { streams: 100, ping_every: seconds(30), ping_within: seconds(10) },
            proxies: Vec::new(),
        }
    }
}

/// All connections of the program. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Connections {
    pub(crate) settings: Arc<ConnectionSettings>,
    places: Arc<Places>,
    refused: Arc<Refused>,
}

impl Connections {
    /// None yet.
    #[must_use]
    pub fn new(settings: ConnectionSettings) -> Self {
        let places = Arc::new(Places::new(settings.most, settings.most_of_peer, BUFFERS));
        Self { settings: Arc::new(settings), places, refused: Arc::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.count()
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.settings.proxies.iter().any(|network| network.contains(&address))
    }
}

/// Accepts what `inner` accepts, as far as there is a place, and watches over it.
#[derive(Debug, Clone)]
pub(crate) struct Door<A> {
    pub(crate) inner: A,
    pub(crate) connections: Connections,
    pub(crate) is_tls: bool,
}

impl<A, S> Accept<TcpStream, S> for Door<A>
where
    A: Accept<TcpStream, S> + Clone + Send + 'static,
    A::Future: Send,
    A::Stream: Send,
    S: Send + 'static,
{
    type Stream = Cutting<Timed<A::Stream>>;
    type Service = Told<A::Service>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Self { inner, connections, is_tls } = self.clone();
        Box::pin(async move {
            let address = stream.peer_addr()?.ip().to_canonical();
            let peer = Peer::at(address, is_tls);
            let counted = (!connections.is_proxy(address)).then(|| peer.network());
            let place = match connections.places.take(counted) {
                Ok(place) => place,
                Err(full) => {
                    // Who means to speak TLS could not read an answer before the handshake, which is what is saved here.
                    let stream = (!is_tls).then_some(stream);
                    connections.refused.refuse(stream, address, full).await;
                    return Err(io::Error::other(full));
                }
            };
            let (stream, service) = tokio::select! {
                biased;
                accepted = inner.accept(stream, service) => accepted?,
                () = place.is_taken_away() => return Err(io::Error::other("it made room for another connection in its handshake")),
            };
            let service = Told {
                inner: service,
                seat: place.seat(),
                peer,
                settings: connections.settings.clone(),
            };
            let stream = Timed::new(stream, place, connections.settings.times);
            Ok((Cutting::new(stream), service))
        })
    }
}
