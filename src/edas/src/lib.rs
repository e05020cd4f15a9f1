//! The EDAS interface over HTTP: reading requests, asking the service, writing replies.
//!
//! The only crate with EDAS' words and with HTTP's. Every request passes
//! [`edge`] (id, log, time limit, failures); an EDAS request is then found by
//! method and path ([`wire::contract`]), authenticated ([`edge::auth`], [`wire::signature`]) and
//! checked against what is offered ([`wire::offered`]) before its handler reads the
//! parameters and asks the service. Rules about applications and orders are not
//! here.

pub mod edge;
pub mod operation;
mod router;
pub mod value;
pub mod wire;

pub use edge::{
    certificate::{Certificate, CertificateError},
    connection::{ConnectionSettings, Connections, Http2, Peer, Times, Way},
    state::{Edge, EdgeConfig},
    throttle::Rates,
};
pub use router::{Beside, health_router, openapi, router, router_beside};

#[cfg(test)]
mod tests;
