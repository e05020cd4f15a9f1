//! Addresses show no secrets, and the policy lets nothing through that it should not.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn policy(schemes: &[&str], hosts: &[&str], addresses: &[&str]) -> PackagePolicy {
    PackagePolicy {
        schemes: schemes.iter().map(|it| (*it).to_owned()).collect(),
        hosts: hosts.iter().map(|it| it.parse().unwrap()).collect(),
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
    }
}

fn usual() -> PackagePolicy {
    policy(&["http", "https"], &["*"], &[])
}

fn url(text: &str) -> PackageAddress {
    text.parse().unwrap()
}

#[test]
fn an_address_shows_itself_without_user_password_query_and_fragment() {
    let sum = "a".repeat(64);
    let given = format!(
        "https://user:geheim@files.example.com:8443/shop/web.jar?Signature=geheim&Expires=1#sha256={sum}"
    );
    let package = url(&given);
    assert_eq!(package.to_string(), "https://files.example.com:8443/shop/web.jar");
    assert!(!format!("{package:?}").contains("geheim"));
    assert_eq!(package.secret().query(), Some("Signature=geheim&Expires=1"));
    assert_eq!(package.checksum(), Some(&Checksum::Sha256(sum)));
    let stored = serde_json::to_string(&package).unwrap();
    assert_eq!(serde_json::from_str::<PackageAddress>(&stored).unwrap(), package);
}

#[rstest]
#[case("web.jar")]
#[case("/shop/web.jar")]
#[case("data:text/plain,x")]
#[case("https://")]
#[case("")]
#[case("https://h/a#sha256=12")]
fn what_is_no_address_is_refused(#[case] text: &str) {
    assert!(text.parse::<PackageAddress>().is_err());
    assert!(format!("https://h/{}", "a".repeat(9000)).parse::<PackageAddress>().is_err());
}

#[rstest]
#[case("https://h/shop/web-1.0.jar?x=1", "web-1.0.jar", Some(PackageKind::FatJar))]
#[case("https://h/shop/ROOT.WAR", "ROOT.WAR", Some(PackageKind::War))]
#[case("https://h/download?id=5", "download", None)]
#[case("https://h/", "app", None)]
#[case("https://h/a%2Fb%20%22$(x).jar", "a_b____x_.jar", Some(PackageKind::FatJar))]
#[case("https://h/..%2f..", "_..", None)]
fn the_file_is_named_after_the_paths_end_in_harmless_characters(
    #[case] text: &str,
    #[case] name: &str,
    #[case] kind: Option<PackageKind>,
) {
    assert_eq!((url(text).file_name().as_str(), url(text).kind()), (name, kind));
}

#[rstest]
#[case("*", "any.host", true)]
#[case("files.example.com", "files.example.com", true)]
#[case("files.example.com", "FILES.example.com.", true)]
#[case("files.example.com", "xfiles.example.com", false)]
#[case("*.example.com", "a.b.example.com", true)]
#[case("*.example.com", "example.com", false)]
#[case("*.example.com", "badexample.com", false)]
#[case("*.example.com", "example.com.evil.org", false)]
#[case("10.0.0.5", "10.0.0.5", true)]
#[case("10.0.0.5", "10.0.0.6", false)]
fn a_host_is_allowed_by_its_name_or_by_what_it_is_below(
    #[case] pattern: &str,
    #[case] host: &str,
    #[case] allowed: bool,
) {
    let policy = policy(&["https"], &[pattern], &[]);
    let said = policy.check(&url(&format!("https://{host}/app.jar")));
    assert_eq!(said.is_ok(), allowed, "{said:?}");
}

#[rstest]
#[case("**")]
#[case("a.*.com")]
#[case("*.")]
#[case("")]
#[case("a b")]
fn what_is_no_host_pattern_is_refused(#[case] text: &str) {
    assert!(text.parse::<HostPattern>().is_err());
}

#[test]
fn only_the_schemes_that_are_allowed_pass() {
    let strict = policy(&["https"], &["*"], &[]);
    assert!(strict.check(&url("HTTPS://h/a.jar")).is_ok());
    let said = strict.check(&url("http://h/a.jar?secret=1")).unwrap_err().to_string();
    assert_eq!(said, "the scheme http is not allowed; allowed: https");
    assert!(usual().check(&url("ftp://h/a.jar")).is_err());
    assert!(usual().check(&url("file://h/etc/passwd")).is_err());
}

#[rstest]
#[case("127.0.0.1", "loopback")]
#[case("127.9.9.9", "loopback")]
#[case("0.0.0.0", "unspecified")]
#[case("0.1.2.3", "unspecified")]
#[case("169.254.0.1", "link-local")]
#[case("169.254.169.254", "metadata")]
#[case("100.100.100.200", "metadata")]
#[case("224.0.0.1", "multicast")]
#[case("255.255.255.255", "broadcast")]
#[case("::1", "loopback")]
#[case("::", "unspecified")]
#[case("fe80::1", "link-local")]
#[case("febf::1", "link-local")]
#[case("ff02::1", "multicast")]
#[case("fd00:ec2::254", "metadata")]
#[case("::ffff:127.0.0.1", "loopback")]
#[case("::ffff:169.254.169.254", "metadata")]
#[case("::7f00:1", "loopback")]
#[case("64:ff9b::7f00:1", "loopback")]
#[case("::ffff:0:7f00:1", "loopback")]
#[case("64:ff9b:1::808:808", "translator")]
#[case("64:ff9b:1:ffff::1", "translator")]
#[case("2002:7f00:1::1", "loopback")]
#[case("2002:a9fe:a9fe:1::5", "metadata")]
#[case("2001:0:7f00:1::f7f7:f7f7", "loopback")]
#[case("2001:0:808:808::80ff:fffe", "loopback")]
#[case("2001:470::5efe:7f00:1", "loopback")]
#[case("2001:470::200:5efe:a9fe:a9fe", "metadata")]
#[case("192.0.0.8", "reserved")]
#[case("192.0.0.192", "metadata")]
#[case("192.0.2.1", "documentation")]
#[case("192.88.99.1", "reserved")]
#[case("198.18.0.1", "reserved")]
#[case("198.19.255.255", "reserved")]
#[case("198.51.100.7", "documentation")]
#[case("203.0.113.7", "documentation")]
#[case("240.0.0.1", "reserved")]
#[case("255.255.255.254", "reserved")]
#[case("100::1", "reserved")]
#[case("2001:2::1", "reserved")]
#[case("2001:db8::1", "documentation")]
#[case("3fff:fff::1", "documentation")]
#[case("5f00::1", "reserved")]
fn addresses_that_nobodys_packages_come_from_are_refused(#[case] text: &str, #[case] what: &str) {
    let address: IpAddr = text.parse().unwrap();
    let said = usual().address("h", address).unwrap_err().to_string();
    assert!(said.contains(what) && said.contains(&address.to_string()), "{said}");
    assert!(!usual().may_look_at("h", address));
    let literal = if address.is_ipv6() {
        format!("http://[{text}]/a.jar")
    } else {
        format!("http://{text}/a.jar")
    };
    assert!(usual().check(&url(&literal)).is_err());
}

#[rstest]
#[case("10.0.0.1")]
#[case("192.168.1.1")]
#[case("8.8.8.8")]
#[case("100.100.100.201")]
#[case("2400:3200::1")]
#[case("2002:808:808::1")]
#[case("2001:0:808:808::f7f7:f7f7")]
#[case("64:ff9b::808:808")]
#[case("198.20.0.1")]
#[case("100.128.0.1")]
#[case("fd00::1")]
#[case("::ffff:10.0.0.1")]
fn other_addresses_pass(#[case] text: &str) {
    assert_eq!(usual().address("h", text.parse().unwrap()), Ok(()));
}

#[rstest]
#[case("http://2130706433/a.jar")]
#[case("http://0x7f.1/a.jar")]
#[case("http://0177.0.0.1/a.jar")]
#[case("http://127.1/a.jar")]
#[case("http://0x7f000001/a.jar")]
#[case("http://017700000001/a.jar")]
#[case("http://127.0.0.1./a.jar")]
#[case("http://%31%32%37.0.0.1/a.jar")]
#[case("http://\u{ff11}27.0.0.1/a.jar")]
#[case("http://[::FFFF:127.0.0.1]/a.jar")]
#[case("http://[0:0:0:0:0:ffff:7f00:1]/a.jar")]
fn odd_ways_to_write_an_address_are_seen_through(#[case] text: &str) {
    assert!(matches!(usual().check(&url(text)), Err(Refused::Address { .. })));
}

#[rstest]
#[case("10.0.0.1")]
#[case("172.31.255.255")]
#[case("192.168.1.1")]
#[case("100.100.100.201")]
#[case("fd00::1")]
#[case("fec0::1")]
#[case("::ffff:10.0.0.1")]
#[case("::ffff:0:10.0.0.1")]
#[case("64:ff9b::a00:1")]
#[case("2002:a00:1::1")]
fn the_server_looks_at_no_private_network_that_nobody_named(#[case] text: &str) {
    let address: IpAddr = text.parse().unwrap();
    let host = if address.is_ipv6() { format!("[{text}]") } else { text.to_owned() };
    let package = url(&format!("http://{host}/a.jar"));
    assert!(usual().check(&package).is_ok(), "pods may fetch from there");
    assert!(!usual().may_look(&package) && !usual().may_look_at("files.internal", address));
    // By the host's name, or by the network; everything else stays as it is.
    let by_name = policy(&["http"], &["*", "*.internal"], &[]);
    assert!(
        by_name.may_look_at("files.internal", address)
            && !by_name.may_look_at("files.other", address)
    );
    let nets =
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10"];
    assert!(policy(&["http"], &["*"], &nets).may_look(&package));
    assert!(
        usual().may_look_at("h", "8.8.8.8".parse().unwrap())
            && usual().may_look(&url("http://files.internal/a.jar"))
    );
}

#[test]
fn addresses_are_allowed_by_their_network_also_where_ipv6_wraps_them() {
    let policy = policy(&["http"], &["*"], &["127.0.0.1/32", "fe80::/10"]);
    for text in ["127.0.0.1", "::ffff:127.0.0.1", "fe80::5"] {
        assert_eq!(policy.address("h", text.parse().unwrap()), Ok(()), "{text}");
    }
    assert!(policy.address("h", "127.0.0.2".parse().unwrap()).is_err());
}

#[test]
fn a_redirect_may_be_relative_and_leaves_the_user_behind_on_another_host() {
    let from = url("https://user:geheim@files.example.com/a/b.jar?token=1");
    assert_eq!(
        from.redirected("/c.jar?x=2").unwrap().secret().as_str(),
        "https://user:geheim@files.example.com/c.jar?x=2"
    );
    assert_eq!(
        from.redirected("//other.example.com/c.jar").unwrap().secret().as_str(),
        "https://other.example.com/c.jar"
    );
    assert!(from.redirected("http://").is_err() && from.redirected("data:x").is_err());
}

#[rstest]
#[case("sha256", 64)]
#[case("md5", 32)]
fn a_checksum_is_read_with_and_without_its_name(#[case] name: &str, #[case] length: usize) {
    let hex = "Ab".repeat(length / 2);
    for text in [format!("{name}={hex}"), format!("{name}:{hex}"), hex.clone()] {
        assert_eq!(
            text.parse::<Checksum>().unwrap().to_string(),
            format!("{name}={}", hex.to_ascii_lowercase())
        );
    }
    assert!(format!("{name}={}", &hex[1..]).parse::<Checksum>().is_err());
}

proptest! {
    #[test]
    fn no_address_reaches_inside_through_an_ipv6_spelling(bits in any::<u32>(), inside in 0..24_usize, other in any::<u32>()) {
        // Random addresses are hardly ever inside: most begin as one of these does.
        const INSIDE: [[u8; 2]; 20] = [
            [0, 0], [10, 1], [100, 64], [100, 100], [127, 0], [169, 254], [172, 16], [172, 31], [192, 0], [192, 88],
            [192, 168], [198, 18], [198, 19], [198, 51], [203, 0], [224, 0], [239, 255], [240, 0], [255, 255], [168, 63],
        ];
        let mut octets = Ipv4Addr::from(bits).octets();
        if let Some([first, second]) = INSIDE.get(inside) {
            (octets[0], octets[1]) = (*first, *second);
        }
        let four = Ipv4Addr::from(octets);
        let (refused, private) = (usual().address("h", four.into()).is_err(), !usual().may_look_at("h", four.into()));
        for six in spellings(four, other) {
            prop_assert!(!refused || usual().address("h", six.into()).is_err(), "{six} is {four}");
            prop_assert!(!private || !usual().may_look_at("h", six.into()), "{six} is {four}");
            let literal = url(&format!("http://[{six}]/a.jar"));
            prop_assert!(!refused || usual().check(&literal).is_err(), "{literal}");
            prop_assert!(!private || !usual().may_look(&literal), "{literal}");
        }
    }

    #[test]
    fn no_secret_is_ever_shown(user in "[a-z]{3,8}", password in "[A-Z0-9]{8}", query in "[A-Z0-9]{8}") {
        let package = url(&format!("https://{user}:{password}@files.example.com/app.jar?{query}"));
        let shown = format!("{package} {package:?}");
        prop_assert!(!shown.contains(&password) && !shown.contains(&query));
    }
}

/// Every way to write an IPv4 address into one of IPv6 that something takes out again.
fn spellings(four: Ipv4Addr, other: u32) -> Vec<Ipv6Addr> {
    let pair = |octets: [u8; 4]| {
        (u16::from_be_bytes([octets[0], octets[1]]), u16::from_be_bytes([octets[2], octets[3]]))
    };
    let ((high, low), (more, rest)) = (pair(four.octets()), pair(other.to_be_bytes()));
    let mut found = vec![
        Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, high, low),
        Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
        Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
        // RFC 8215 with each length of RFC 6052.
        Ipv6Addr::new(0x64, 0xff9b, 1, high, low >> 8, low << 8, 0, 0),
        Ipv6Addr::new(0x64, 0xff9b, 1, more, high >> 8, (high << 8) | (low >> 8), low << 8, 0),
        Ipv6Addr::new(0x64, 0xff9b, 1, more, rest, 0, high, low),
        Ipv6Addr::new(0x2002, high, low, more, rest, more, rest, more),
        Ipv6Addr::new(0x2001, 0, 0x808, 0x808, more, rest, !high, !low),
        Ipv6Addr::new(0x2001, 0, high, low, more, rest, !0x808, !0x808),
        Ipv6Addr::new(0x2400, more, rest, more, 0, 0x5efe, high, low),
        Ipv6Addr::new(0x2400, more, rest, more, 0x200, 0x5efe, high, low),
    ];
    // `::` and `::1` are IPv6's own.
    if four.to_bits() > 1 {
        found.push(Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low));
    }
    found
}
