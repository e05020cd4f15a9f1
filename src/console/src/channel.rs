//! How a request came, and from where: whoever serves the pages says it.

use std::net::IpAddr;

/// Who can read along on a request's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Nobody: HTTPS.
    Encrypted,
    /// Nobody but this machine.
    Local,
    /// Everybody in between. Nobody is signed in on such a way.
    Open,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visitor(pub IpAddr);

impl Channel {
    /// The cookie's name. A browser keeps one that begins with `__Host-` only where it came
    /// by HTTPS, and for this host alone.
    pub(crate) fn cookie(self) -> Option<&'static str> {
        match self {
            Self::Encrypted => Some("__Host-sluice"),
            Self::Local => Some("sluice"),
            Self::Open => None,
        }
    }
}
