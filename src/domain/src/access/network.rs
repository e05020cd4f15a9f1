//! Networks that requests come from.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::Deserialize;

/// A network, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is in it. An IPv4 address that is written as an IPv6 one is the same.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let short: String = text.chars().take(64).collect();
        // Addresses are compared as IPv4 where they are that, so it would fit none.
        let network = network.filter(|it| match it {
            IpNet::V4(_) => true,
            IpNet::V6(it) => it.addr().to_ipv4_mapped().is_none(),
        });
        network.map(|network| Self(network.trunc())).ok_or_else(|| {
            format!("{short} must be an address or a network such as 10.1.0.0/16 or 2001:db8::/32")
        })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_compared_as_what_it_is() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.contains("10.1.2.3".parse().unwrap()));
        assert!(network.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.contains("10.2.0.1".parse().unwrap()));
        for wrong in ["::ffff:10.1.0.0/112", "::ffff:10.1.2.3", "10.1.0.0/33", "web", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
