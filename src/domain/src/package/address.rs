//! What a network address is: which kinds nobody's packages come from, which are
//! private, and which IPv4 addresses an IPv6 address leads to.
//!
//! The one table of them. Ranges are those of IANA's special-purpose registries
//! (RFC 6890) and the clouds' own. A translator's prefix of an operator's own
//! (RFC 6052) cannot be told from other addresses. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddressKind {
    /// Any of the internet's.
    Public,
    /// Of a private network: pods may fetch from there, and this server looks only
    /// where somebody named it.
    Private,
    /// One that nobody's packages come from: what it is, in words.
    Never(&'static str),
}

/// A cloud's metadata addresses, also those beside link-local ones.
const METADATA_4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

const UNSPECIFIED: AddressKind = AddressKind::Never("an unspecified address");
const LOOPBACK: AddressKind = AddressKind::Never("a loopback address");
const LINK_LOCAL: AddressKind = AddressKind::Never("a link-local address");
const MULTICAST: AddressKind = AddressKind::Never("a multicast address");
const RESERVED: AddressKind = AddressKind::Never("a reserved address");
const DOCUMENTATION: AddressKind = AddressKind::Never("an address for documentation");
const METADATA: AddressKind = AddressKind::Never("a cloud's metadata address");

/// First address, length of the prefix, and what addresses beneath it are. The
/// first line that fits counts.
const RANGES_4: [(Ipv4Addr, u32, AddressKind); 16] = [
    (Ipv4Addr::new(255, 255, 255, 255), 32, AddressKind::Never("a broadcast address")),
    (Ipv4Addr::new(0, 0, 0, 0), 8, UNSPECIFIED),
    (Ipv4Addr::new(10, 0, 0, 0), 8, AddressKind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, AddressKind::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, LOOPBACK),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(172, 16, 0, 0), 12, AddressKind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 0, 2, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(192, 88, 99, 0), 24, RESERVED),
    (Ipv4Addr::new(192, 168, 0, 0), 16, AddressKind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, RESERVED),
    (Ipv4Addr::new(198, 51, 100, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(203, 0, 113, 0), 24, DOCUMENTATION),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::new(240, 0, 0, 0), 4, RESERVED),
];

/// The same of IPv6.
const RANGES_6: [(Ipv6Addr, u32, AddressKind); 12] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 0), 128, UNSPECIFIED),
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1), 128, LOOPBACK),
    // Where the IPv4 address stands in it depends on the translator (RFC 8215).
    (
        Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0),
        48,
        AddressKind::Never("an address of a translator of this network"),
    ),
    (Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0), 64, RESERVED),
    (Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0), 48, RESERVED),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, DOCUMENTATION),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, DOCUMENTATION),
    (Ipv6Addr::new(0x5f00, 0, 0, 0, 0, 0, 0, 0), 16, RESERVED),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, AddressKind::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, AddressKind::Private),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
];

/// What kind of address it is by itself, whatever it may wrap.
pub(super) fn kind_of(address: IpAddr) -> AddressKind {
    let found = match address {
        IpAddr::V4(four) if METADATA_4.contains(&four) => Some(METADATA),
        IpAddr::V6(six) if METADATA_6.contains(&six) => Some(METADATA),
        IpAddr::V4(four) => RANGES_4
            .iter()
            .find(|(first, length, _)| {
                four.to_bits() >> (32 - length) == first.to_bits() >> (32 - length)
            })
            .map(|(.., kind)| *kind),
        IpAddr::V6(six) => RANGES_6
            .iter()
            .find(|(first, length, _)| {
                six.to_bits() >> (128 - length) == first.to_bits() >> (128 - length)
            })
            .map(|(.., kind)| *kind),
    };
    found.unwrap_or(AddressKind::Public)
}

/// Every address that a connection to `address` may reach: the IPv4 addresses that
/// an IPv6 address wraps, else the address itself.
pub(super) fn reached_by(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(six) = address else { return vec![address] };
    let [a, b, c, d, e, f, g, h] = six.segments();
    let four = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low)))
    };
    match (a, b, c, d, e, f) {
        // `::` and `::1` are what they are.
        (0, 0, 0, 0, 0, 0) if six.is_unspecified() || six.is_loopback() => vec![address],
        // Compatible, mapped, and translated (SIIT, NAT64).
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => {
            vec![four(g, h)]
        }
        // 6to4: the relay's own address.
        (0x2002, ..) => vec![address, four(b, c)],
        // Teredo: the server's address, and the client's with every bit turned.
        (0x2001, 0, ..) => vec![address, four(c, d), four(!g, !h)],
        // ISATAP, beneath any prefix; two bits of it say what kind of id it is.
        (.., e, 0x5efe) if e & !0x0300 == 0 => vec![address, four(g, h)],
        _ => vec![address],
    }
}
