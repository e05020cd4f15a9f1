//! What the operator says of the provider.

use std::net::IpAddr;

use secrecy::SecretString;
use url::{Host, Url};

/// The provider, and what this server is to it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: SecretString,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim of the ID token that lists the groups.
    pub groups_claim: String,
    /// Where the provider sends browsers back to.
    pub redirect: Url,
}

/// An issuer's address: HTTPS, or plain HTTP on this machine.
///
/// # Errors
/// What is wrong with it.
pub fn issuer(text: &str) -> Result<String, String> {
    let url = address(text)?;
    if url.query().is_some() {
        return Err("must have no query".into());
    }
    Ok(text.to_owned())
}

/// Where browsers reach this server, without a path.
///
/// # Errors
/// What is wrong with it.
pub fn site(text: &str) -> Result<Url, String> {
    let url = address(text)?;
    if url.path() != "/" || url.query().is_some() {
        return Err("must have no path, such as https://sluice.example.org".into());
    }
    Ok(url)
}

fn address(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|why| format!("is no address: {why}"))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("must have no user, no password and no fragment".into());
    }
    if !is_private(&url) {
        return Err("must begin with https:// (http:// is for this machine alone)".into());
    }
    Ok(url)
}

/// Whether nobody can read along on the way to this address.
pub(crate) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}
