//! What every request needs, and what the edge can be told.

use std::{sync::Arc, time::Duration};

use super::{
    body::Budget,
    throttle::{Rates, Throttle},
};
use domain::limits;
use service::{Permit, Service};

/// What the edge can be told.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// Whether requests signed with HMAC-SHA1 are accepted (K20).
    pub hmac_sha1: bool,
    /// Whether they are accepted over plain HTTP from other machines too.
    pub plain_hmac_sha1: bool,
    /// How much may be sent.
    pub rates: Rates,
    /// How long a request may take. SDKs give up after 10 s (K15).
    pub time_limit: Duration,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            hmac_sha1: true,
            plain_hmac_sha1: false,
            rates: Rates::default(),
            time_limit: Duration::from_secs(8),
        }
    }
}

/// What every request needs.
#[derive(Debug, Clone)]
pub struct Edge {
    /// The use cases, for somebody who may do nothing: a call has its own ([`super::call::Call`]).
    pub service: Service,
    /// What the edge was told.
    pub settings: EdgeConfig,
    /// What was sent lately.
    pub throttle: Arc<Throttle>,
    /// Room for bodies that are read.
    pub bodies: Budget,
}

impl Edge {
    /// An edge to which nothing was sent yet.
    #[must_use]
    pub fn new(service: Service, settings: EdgeConfig) -> Self {
        let throttle = Arc::new(Throttle::new(settings.rates));
        let service = service.within(Permit::nobody());
        Self { service, settings, throttle, bodies: Budget::new(limits::BODIES) }
    }
}
