//! Who sent a request, and what its way here was.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Addresses of `X-Forwarded-For` that are looked at, from the nearest on.
const MOST_HOPS: usize = 32;

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address: the connection's, or the one that a proxy in between is trusted to say.
    pub address: IpAddr,
    /// How the request came.
    pub way: Way,
}

/// How a request came from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It did not leave this machine.
    Loopback,
    /// By TLS, which ended here or at a trusted proxy.
    Tls,
    /// Open to everybody in between.
    Plain,
}

impl Peer {
    /// The peer that a connection has at its other end.
    #[must_use]
    pub fn at(address: IpAddr, is_tls: bool) -> Self {
        let way = match address {
            _ if is_tls => Way::Tls,
            address if address.is_loopback() => Way::Loopback,
            _ => Way::Plain,
        };
        Self { address, way }
    }

    /// A client on this machine.
    #[must_use]
    pub fn loopback() -> Self {
        Self::at(IpAddr::V4(Ipv4Addr::LOCALHOST), false)
    }

    /// What counts as one peer: an address, of IPv6 the /64 that one customer has.
    #[must_use]
    pub fn network(self) -> IpNet {
        match self.address {
            IpAddr::V4(address) => IpNet::from(IpAddr::V4(address)),
            IpAddr::V6(_) => IpNet::new(self.address, 64)
                .map_or_else(|_| IpNet::from(self.address), |network| network.trunc()),
        }
    }

    /// The peer of a request that came on this connection with `headers`. Only
    /// the `proxies` are believed: the peer is the last address in
    /// `X-Forwarded-For` that is none of theirs.
    #[must_use]
    pub fn behind(self, headers: &HeaderMap, proxies: &[IpNet]) -> Self {
        let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.contains(&address));
        if !is_proxy(self.address) {
            // A proxy on this machine that nobody named: its clients can be anywhere.
            let forwards = ["x-forwarded-for", "x-forwarded-proto", "forwarded"];
            return match self.way {
                Way::Loopback if forwards.iter().any(|name| headers.contains_key(*name)) => {
                    Self { way: Way::Plain, ..self }
                }
                _ => self,
            };
        }
        let mut address = self.address;
        for said in listed(headers, "x-forwarded-for").take(MOST_HOPS) {
            // What cannot be read, or stands before a stranger's word, is nobody's word.
            let Some(said) = said.and_then(address_in) else { break };
            address = said;
            if !is_proxy(address) {
                break;
            }
        }
        let is_https =
            |scheme: Option<&str>| scheme.is_some_and(|it| it.eq_ignore_ascii_case("https"));
        let way = if headers.contains_key("x-forwarded-proto") {
            // Where there are several, one by plain HTTP is enough to read along.
            if listed(headers, "x-forwarded-proto").all(is_https) { Way::Tls } else { Way::Plain }
        } else if self.way == Way::Tls {
            Way::Tls
        } else {
            Way::Plain
        };
        let is_all_here = self.address.is_loopback()
            && address.is_loopback()
            && headers.contains_key("x-forwarded-for");
        let way = if way == Way::Plain && is_all_here { Way::Loopback } else { way };
        Self { address, way }
    }
}

/// The items of a header that lists, last first; none for one that is no text.
fn listed<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = Option<&'a str>> {
    let values = headers.get_all(name).iter().collect::<Vec<_>>();
    values.into_iter().rev().flat_map(|value| {
        let text = value.to_str().ok();
        let items = text.unwrap_or_default().rsplit(',').map(str::trim);
        items.map(move |item| text.map(|_| item))
    })
}

/// An address as proxies write it: alone, in brackets, or with a port.
fn address_in(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn behind(
        connection: &str,
        is_tls: bool,
        headers: &[(&'static str, &'static str)],
    ) -> (String, Way) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let proxies = ["127.0.0.0/8", "10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap());
        let peer = Peer::at(connection.parse().unwrap(), is_tls).behind(&map, &proxies);
        (peer.address.to_string(), peer.way)
    }

    #[rstest]
    #[case::of_a_stranger("203.0.113.9", &[("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "https")], "203.0.113.9", Way::Plain)]
    #[case::one_proxy("10.0.0.1", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9", Way::Plain)]
    #[case::what_the_client_wrote_itself("10.0.0.1", &[("x-forwarded-for", "127.0.0.1, 203.0.113.9")], "203.0.113.9", Way::Plain)]
    #[case::two_proxies("10.0.0.1", &[("x-forwarded-for", "1.2.3.4, 203.0.113.9:55, 10.0.0.2")], "203.0.113.9", Way::Plain)]
    #[case::two_headers("10.0.0.1", &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9", Way::Plain)]
    #[case::no_address("10.0.0.1", &[("x-forwarded-for", "203.0.113.9, unknown")], "10.0.0.1", Way::Plain)]
    #[case::no_text("10.0.0.1", &[("x-forwarded-for", "203.0.113.9, \u{e9}")], "10.0.0.1", Way::Plain)]
    #[case::version_6("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:443")], "2001:db8::1", Way::Plain)]
    #[case::mapped("10.0.0.1", &[("x-forwarded-for", "::ffff:203.0.113.9")], "203.0.113.9", Way::Plain)]
    #[case::tls_ended_there("10.0.0.1", &[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "HTTPS")], "203.0.113.9", Way::Tls)]
    #[case::plain_on_a_part("10.0.0.1", &[("x-forwarded-proto", "https, http")], "10.0.0.1", Way::Plain)]
    #[case::proxy_here("127.0.0.1", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9", Way::Plain)]
    #[case::client_and_proxy_here("127.0.0.1", &[("x-forwarded-for", "127.0.0.1")], "127.0.0.1", Way::Loopback)]
    #[case::proxy_here_says_nothing("127.0.0.1", &[], "127.0.0.1", Way::Plain)]
    #[case::loopback_of_another_machine("10.0.0.1", &[("x-forwarded-for", "127.0.0.1")], "127.0.0.1", Way::Plain)]
    fn only_a_trusted_proxy_says_who_the_peer_is(
        #[case] connection: &str,
        #[case] headers: &[(&'static str, &'static str)],
        #[case] address: &str,
        #[case] way: Way,
    ) {
        assert_eq!(behind(connection, false, headers), (address.to_owned(), way));
    }

    #[test]
    fn who_comes_by_a_proxy_here_that_is_not_named_is_not_here() {
        let here = Peer::at("127.0.0.1".parse().unwrap(), false);
        let mut headers = HeaderMap::new();
        assert_eq!(here.behind(&headers, &[]).way, Way::Loopback);
        headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.9"));
        assert_eq!(here.behind(&headers, &[]).way, Way::Plain);
    }

    #[test]
    fn tls_that_ends_here_is_tls_unless_a_trusted_proxy_says_otherwise() {
        assert_eq!(behind("203.0.113.9", true, &[("x-forwarded-proto", "http")]).1, Way::Tls);
        assert_eq!(behind("10.0.0.1", true, &[]).1, Way::Tls);
        assert_eq!(behind("10.0.0.1", true, &[("x-forwarded-proto", "http")]).1, Way::Plain);
    }

    #[test]
    fn a_peer_of_ipv6_is_its_64() {
        let network = |text: &str| Peer::at(text.parse().unwrap(), false).network();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn a_list_of_any_length_is_looked_at_from_its_end_only() {
        let mut headers = HeaderMap::new();
        headers
            .insert("x-forwarded-for", HeaderValue::from_str(&"10.0.0.1,".repeat(20_000)).unwrap());
        let peer = Peer::at("10.0.0.1".parse().unwrap(), false)
            .behind(&headers, &["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(peer.address.to_string(), "10.0.0.1");
    }
}
