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

    /// The name of the cookie of a sign-in that was begun at an identity provider.
    pub(crate) fn sign_in_cookie(self) -> Option<&'static str> {
        match self {
            Self::Encrypted => Some("__Host-sluice-sign-in"),
            Self::Local => Some("sluice-sign-in"),
            Self::Open => None,
        }
    }

    /// A cookie that a browser keeps for so long.
    pub(crate) fn set_cookie(self, name: &str, value: &str, seconds: u32) -> String {
        let secure = if self == Self::Encrypted { "; Secure" } else { "" };
        // Cookies do not go by ports: other programs on this machine are not sent it. A name
        // that begins with `__Host-` needs the path `/`.
        let path = if self == Self::Encrypted { "/" } else { "/console" };
        format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
    }
}
