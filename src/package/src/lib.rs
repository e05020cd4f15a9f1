//! Asking for packages over the network, under the operator's policy, and
//! keeping those that were uploaded ([`Objects`]).
//!
//! [`Client::probe`] looks whether a package is there, for the server;
//! [`Client::fetch`] downloads one, in the init container. Both ask the policy
//! for the address as given and after every redirect, and connect only to network
//! addresses that it allows (`resolve`); a look reaches no private network that
//! nobody named, and its caller cannot tell that from a host that does not answer. No proxy of the environment is used, and
//! nothing secret of an address gets into a [`Failure`]. Imports only `domain`.

mod failure;
mod fetch;
mod objects;
mod probe;
mod request;
mod resolve;
#[cfg(test)]
mod tests;

pub use failure::{Failure, Reason};
pub use fetch::{Fetch, Fetched};
pub use objects::{
    KeepError, LONGEST_UPLOAD, Objects, PutError, Stored, StoredObject, Unusable, joined_crc64,
};

use std::{sync::Arc, time::Duration};

use reqwest::redirect;

use domain::package::PackagePolicy;
use resolve::{Lookup, Purpose, Resolver};

/// Longest silence of a server in the middle of an answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// What asks for packages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    /// As `http`, and reaches no private network that nobody named.
    looking: reqwest::Client,
    policy: Arc<PackagePolicy>,
    most_bytes: u64,
}

impl Client {
    /// A client under `policy`, for packages of at most `most_bytes`.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(
        policy: PackagePolicy,
        most_bytes: u64,
        connect_timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        Self::with_lookup(policy, most_bytes, connect_timeout, resolve::system())
    }

    fn with_lookup(
        policy: PackagePolicy,
        most_bytes: u64,
        connect_timeout: Duration,
        lookup: Lookup,
    ) -> Result<Self, reqwest::Error> {
        // An error says that there is a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(policy);
        let builder = |purpose| {
            reqwest::Client::builder()
                .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(Resolver {
                    policy: policy.clone(),
                    purpose,
                    lookup: lookup.clone(),
                }))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .no_proxy()
                .connect_timeout(connect_timeout)
                .read_timeout(LONGEST_SILENCE)
        };
        // Without certificates of the system plain HTTP still works, and HTTPS says what is wrong.
        let build = |purpose| {
            builder(purpose).build().or_else(|_| builder(purpose).tls_certs_only([]).build())
        };
        let (http, looking) = (build(Purpose::Fetch)?, build(Purpose::Look)?);
        Ok(Self { http, looking, policy, most_bytes })
    }

    /// The policy that it asks.
    #[must_use]
    pub fn policy(&self) -> &PackagePolicy {
        &self.policy
    }
}
