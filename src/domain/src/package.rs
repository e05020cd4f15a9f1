//! A package to release (a JAR or a WAR), its address, and where packages may
//! come from.
//!
//! Addresses hold credentials (user and password, or a signed query), so an
//! address shows itself without them, also in `{:?}`; only [`PackageAddress::secret`]
//! gives all of it. The [`PackagePolicy`] is asked for the address as given, for every
//! redirect, and for every network address that is about to be connected to; it
//! knows no network itself. Pure.

pub mod runtime;
pub mod upload;

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::{Host, Url};

use super::limits::PACKAGE_URL;

mod address;

use address::{AddressKind, kind_of, reached_by};

/// What kind of package it is. The words are those of EDAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PackageKind {
    /// A JAR that brings all it needs; runs on a JDK.
    FatJar,
    /// A web application; runs in a web container.
    War,
}

impl PackageKind {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::FatJar => "FatJar",
            Self::War => "War",
        }
    }
}

/// What is remembered of a version that was made of a package: nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub kind: PackageKind,
    /// Its address, without what is secret.
    pub address: String,
    /// The JDK it runs on.
    pub jdk: String,
    /// The web container it runs in.
    pub web_container: Option<String>,
}

/// Why a package may not be fetched from somewhere. Shows no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is no address.
    #[error("must be an address such as https://host/path/app.jar, of at most {PACKAGE_URL} bytes")]
    Unreadable,
    /// What stands behind `#` is no checksum.
    #[error("behind '#' only a checksum may stand: sha256=<64 hex digits> or md5=<32 hex digits>")]
    Checksum,
    /// The scheme is not allowed.
    #[error("the scheme {scheme} is not allowed; allowed: {}", allowed.join(", "))]
    Scheme {
        /// The one that was given.
        scheme: String,
        /// Those that are.
        allowed: Vec<String>,
    },
    /// The host is not allowed.
    #[error("the host {host} is not allowed by this server (--package-hosts)")]
    Host {
        /// The host.
        host: String,
    },
    /// The host's network address is not allowed.
    #[error(
        "{address}, the network address of {host}, is not allowed: it is {what} (--package-allow-addresses)"
    )]
    Address {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What kind of address that is.
        what: &'static str,
    },
}

/// A package's address. Shows itself without user, password, query and fragment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageAddress {
    url: Url,
    checksum: Option<Checksum>,
}

impl PackageAddress {
    /// The whole address, with everything secret in it.
    #[must_use]
    pub fn secret(&self) -> &Url {
        &self.url
    }

    /// The checksum that stood behind `#`.
    #[must_use]
    pub fn checksum(&self) -> Option<&Checksum> {
        self.checksum.as_ref()
    }

    /// The host's name or address, as it is compared: without a dot at its end.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.url.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host)
    }

    /// The address that `location` is, as a redirect from here gives it.
    ///
    /// # Errors
    /// [`Refused::Unreadable`].
    pub fn redirected(&self, location: &str) -> Result<Self, Refused> {
        let mut url = self.url.join(location).map_err(|_| Refused::Unreadable)?;
        url.set_fragment(None);
        if url.host().is_none() {
            Err(Refused::Unreadable)
        } else {
            Ok(Self { url, checksum: None })
        }
    }

    /// The last part of the path, in characters that are fit for a file's name
    /// everywhere; `app` where there is none.
    #[must_use]
    pub fn file_name(&self) -> String {
        let last =
            self.url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
        let fit = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = last.trim_start_matches('.').chars().take(100).map(fit).collect();
        if name.is_empty() { "app".into() } else { name }
    }

    /// The kind that the path's end tells.
    #[must_use]
    pub fn kind(&self) -> Option<PackageKind> {
        let name = self.file_name().to_ascii_lowercase();
        if name.ends_with(".jar") {
            Some(PackageKind::FatJar)
        } else if name.ends_with(".war") {
            Some(PackageKind::War)
        } else {
            None
        }
    }
}

impl FromStr for PackageAddress {
    type Err = Refused;
    fn from_str(text: &str) -> Result<Self, Refused> {
        if text.len() > PACKAGE_URL || text.chars().any(char::is_control) {
            return Err(Refused::Unreadable);
        }
        let mut url = Url::parse(text.trim()).map_err(|_| Refused::Unreadable)?;
        if url.host().is_none() {
            return Err(Refused::Unreadable);
        }
        let checksum = url
            .fragment()
            .filter(|it| !it.is_empty())
            .map(str::parse)
            .transpose()
            .map_err(|_| Refused::Checksum)?;
        url.set_fragment(None);
        Ok(Self { url, checksum })
    }
}

impl TryFrom<String> for PackageAddress {
    type Error = Refused;
    fn try_from(text: String) -> Result<Self, Refused> {
        text.parse()
    }
}

impl From<PackageAddress> for String {
    fn from(package: PackageAddress) -> Self {
        match &package.checksum {
            Some(checksum) => format!("{}#{checksum}", package.url),
            None => package.url.into(),
        }
    }
}

impl fmt::Display for PackageAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default())?;
        if let Some(port) = self.url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(self.url.path())
    }
}

impl fmt::Debug for PackageAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackageAddress({self})")
    }
}

/// A checksum that a package must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-256, in lower-case hex.
    Sha256(String),
    /// MD5, in lower-case hex.
    Md5(String),
}

impl FromStr for Checksum {
    type Err = String;
    /// Reads `sha256=<hex>`, `md5=<hex>` (or with `:`), or the hex digits alone.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let (name, hex) = text.split_once(['=', ':']).unwrap_or(("", &text));
        let is_hex = hex.chars().all(|c| c.is_ascii_hexdigit());
        match (name, hex.len()) {
            ("" | "sha256", 64) if is_hex => Ok(Self::Sha256(hex.into())),
            ("" | "md5", 32) if is_hex => Ok(Self::Md5(hex.into())),
            _ => Err("must be sha256=<64 hex digits> or md5=<32 hex digits>".into()),
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "sha256={hex}"),
            Self::Md5(hex) => write!(f, "md5={hex}"),
        }
    }
}

/// A host, or all hosts below one (`*.example.com`), or all (`*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    All,
    Exactly(String),
    /// Every host whose name ends with this, which begins with a dot.
    Below(String),
}

impl HostPattern {
    /// Whether `host` is one of these.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exactly(name) => host.eq_ignore_ascii_case(name),
            Self::Below(end) => host.len() > end.len() && host.to_ascii_lowercase().ends_with(end),
        }
    }
}

impl FromStr for HostPattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let wrong = "must be *, a host's name such as files.example.com, or *.example.com";
        if text == "*" {
            return Ok(Self::All);
        }
        let (name, below) =
            text.strip_prefix("*.").map_or((text.as_str(), false), |rest| (rest, true));
        let is_host = !name.contains('*') && Host::parse(name).is_ok();
        match (is_host, below) {
            (true, true) => Ok(Self::Below(format!(".{name}"))),
            (true, false) => Ok(Self::Exactly(name.into())),
            (false, _) => Err(wrong.into()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Exactly(name) => f.write_str(name),
            Self::Below(end) => write!(f, "*{end}"),
        }
    }
}

/// Where packages may come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagePolicy {
    /// Schemes, in lower case.
    pub schemes: Vec<String>,
    pub hosts: Vec<HostPattern>,
    /// Network addresses that are allowed although they are of a kind that is
    /// refused, or of a private network.
    pub addresses: Vec<IpNet>,
}

impl PackagePolicy {
    /// Whether the address may be asked, as far as it tells itself. Where its
    /// host is a name, what that stands for is judged by [`PackagePolicy::address`].
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, package: &PackageAddress) -> Result<(), Refused> {
        let scheme = package.url.scheme();
        if !self.schemes.iter().any(|allowed| allowed.eq_ignore_ascii_case(scheme)) {
            return Err(Refused::Scheme { scheme: scheme.into(), allowed: self.schemes.clone() });
        }
        let host = package.host();
        if !self.hosts.iter().any(|pattern| pattern.matches(host)) {
            return Err(Refused::Host { host: host.into() });
        }
        match package.url.host() {
            Some(Host::Ipv4(address)) => self.address(host, address.into()),
            Some(Host::Ipv6(address)) => self.address(host, address.into()),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    /// Whether `address`, which `host` stands for, may be connected to.
    ///
    /// # Errors
    /// What kind of address it is.
    pub fn address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        for real in reached_by(address) {
            if let AddressKind::Never(what) = kind_of(real)
                && !self.allows(real)
            {
                return Err(Refused::Address { host: host.into(), address, what });
            }
        }
        Ok(())
    }

    /// Whether this server may itself look at the address, as far as it tells
    /// itself: a private network only where somebody named the host or the network.
    #[must_use]
    pub fn may_look(&self, package: &PackageAddress) -> bool {
        let host = package.host();
        let address = match package.url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) | None => return self.check(package).is_ok(),
        };
        self.check(package).is_ok() && self.may_look_at(host, address)
    }

    /// Whether this server may itself connect to `address`, which `host` stands for.
    /// Callers choose where it looks, so what only this server can reach must not be
    /// told from what nobody can.
    #[must_use]
    pub fn may_look_at(&self, host: &str, address: IpAddr) -> bool {
        let is_named =
            self.hosts.iter().any(|pattern| *pattern != HostPattern::All && pattern.matches(host));
        self.address(host, address).is_ok()
            && (is_named
                || reached_by(address)
                    .into_iter()
                    .all(|real| kind_of(real) != AddressKind::Private || self.allows(real)))
    }

    fn allows(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.contains(&address))
    }
}

#[cfg(test)]
mod tests;
