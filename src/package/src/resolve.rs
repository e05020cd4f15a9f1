//! From a host's name to the network addresses that may be connected to.
//!
//! The HTTP client asks this and connects to exactly what comes back, so a
//! second answer of the name service cannot lead elsewhere. Hosts that are
//! addresses already are never resolved; the policy judges them beforehand.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;

use domain::package::{PackagePolicy, Refused};

/// What asks the name service.
pub(super) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's own name service.
pub(super) fn system() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Why a name leads nowhere.
#[derive(Debug, Error)]
pub(super) enum Unresolved {
    /// None of its addresses is allowed.
    #[error(transparent)]
    Refused(Refused),
    /// It has none.
    #[error("the host {0} is not known here")]
    Unknown(String),
}

/// What the addresses are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To fetch a package for an application.
    Fetch,
    /// To look whether one is there, for whoever asks.
    Look,
}

/// Resolves under a policy.
pub(super) struct Resolver {
    pub(super) policy: Arc<PackagePolicy>,
    pub(super) purpose: Purpose,
    pub(super) lookup: Lookup,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, policy, purpose) = (name.as_str().to_owned(), self.policy.clone(), self.purpose);
        let answer = (self.lookup)(name.clone());
        Box::pin(async move {
            let found = answer.await.unwrap_or_default();
            let allowed = match purpose {
                Purpose::Fetch => allowed(&policy, &name, found)?,
                Purpose::Look => looked_at(&policy, &name, found)?,
            };
            Ok(Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// Those of `found` that the policy allows.
fn allowed(
    policy: &PackagePolicy,
    name: &str,
    found: Vec<IpAddr>,
) -> Result<Vec<IpAddr>, Unresolved> {
    let mut refused = None;
    let mut allowed = Vec::with_capacity(found.len());
    for address in found {
        match policy.address(name, address) {
            Ok(()) => allowed.push(address),
            Err(why) => refused = Some(why),
        }
    }
    match (allowed.is_empty(), refused) {
        (false, _) => Ok(allowed),
        (true, Some(why)) => Err(Unresolved::Refused(why)),
        (true, None) => Err(Unresolved::Unknown(name.into())),
    }
}

/// Those of `found` that this server may look at. A name that leads elsewhere is as
/// good as one that leads nowhere: who asks does not learn which it is.
fn looked_at(
    policy: &PackagePolicy,
    name: &str,
    mut found: Vec<IpAddr>,
) -> Result<Vec<IpAddr>, Unresolved> {
    found.retain(|address| policy.may_look_at(name, *address));
    if found.is_empty() { Err(Unresolved::Unknown(name.into())) } else { Ok(found) }
}
