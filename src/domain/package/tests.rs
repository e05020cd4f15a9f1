//! Addresses show no secrets, and the policy lets nothing through that it should not.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn policy(schemes: &[&str], hosts: &[&str], addresses: &[&str]) -> Policy {
    Policy {
        schemes: schemes.iter().map(|it| (*it).to_owned()).collect(),
        hosts: hosts.iter().map(|it| it.parse().unwrap()).collect(),
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
    }
}

fn usual() -> Policy {
    policy(&["http", "https"], &["*"], &[])
}

fn url(text: &str) -> PackageUrl {
    text.parse().unwrap()
}

#[test]
fn an_address_shows_itself_without_user_password_query_and_fragment() {
    let sum = "a".repeat(64);
    let given = format!("https://user:geheim@files.example.com:8443/shop/web.jar?Signature=geheim&Expires=1#sha256={sum}");
    let package = url(&given);
    assert_eq!(package.to_string(), "https://files.example.com:8443/shop/web.jar");
    assert!(!format!("{package:?}").contains("geheim"));
    assert_eq!(package.secret().query(), Some("Signature=geheim&Expires=1"));
    assert_eq!(package.checksum(), Some(&Checksum::Sha256(sum)));
    let stored = serde_json::to_string(&package).unwrap();
    assert_eq!(serde_json::from_str::<PackageUrl>(&stored).unwrap(), package);
}

#[rstest]
#[case("web.jar")]
#[case("/shop/web.jar")]
#[case("data:text/plain,x")]
#[case("https://")]
#[case("")]
#[case("https://h/a#sha256=12")]
fn what_is_no_address_is_refused(#[case] text: &str) {
    assert!(text.parse::<PackageUrl>().is_err());
    assert!(format!("https://h/{}", "a".repeat(9000)).parse::<PackageUrl>().is_err());
}

#[rstest]
#[case("https://h/shop/web-1.0.jar?x=1", "web-1.0.jar", Some(PackageKind::FatJar))]
#[case("https://h/shop/ROOT.WAR", "ROOT.WAR", Some(PackageKind::War))]
#[case("https://h/download?id=5", "download", None)]
#[case("https://h/", "app", None)]
#[case("https://h/a%2Fb%20%22$(x).jar", "a_b____x_.jar", Some(PackageKind::FatJar))]
#[case("https://h/..%2f..", "_..", None)]
fn the_file_is_named_after_the_paths_end_in_harmless_characters(#[case] text: &str, #[case] name: &str, #[case] kind: Option<PackageKind>) {
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
fn a_host_is_allowed_by_its_name_or_by_what_it_is_below(#[case] pattern: &str, #[case] host: &str, #[case] allowed: bool) {
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
fn addresses_that_nobodys_packages_come_from_are_refused(#[case] text: &str, #[case] what: &str) {
    let address: IpAddr = text.parse().unwrap();
    let said = usual().address("h", address).unwrap_err().to_string();
    assert!(said.contains(what) && said.contains(&address.to_string()), "{said}");
    let literal = if address.is_ipv6() { format!("http://[{text}]/a.jar") } else { format!("http://{text}/a.jar") };
    assert!(usual().check(&url(&literal)).is_err());
}

#[rstest]
#[case("10.0.0.1")]
#[case("192.168.1.1")]
#[case("8.8.8.8")]
#[case("100.100.100.201")]
#[case("2001:db8::1")]
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
fn odd_ways_to_write_an_address_are_seen_through(#[case] text: &str) {
    assert!(matches!(usual().check(&url(text)), Err(Refused::Address { .. })));
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
    assert_eq!(from.redirected("/c.jar?x=2").unwrap().secret().as_str(), "https://user:geheim@files.example.com/c.jar?x=2");
    assert_eq!(from.redirected("//other.example.com/c.jar").unwrap().secret().as_str(), "https://other.example.com/c.jar");
    assert!(from.redirected("http://").is_err() && from.redirected("data:x").is_err());
}

#[rstest]
#[case("sha256", 64)]
#[case("md5", 32)]
fn a_checksum_is_read_with_and_without_its_name(#[case] name: &str, #[case] length: usize) {
    let hex = "Ab".repeat(length / 2);
    for text in [format!("{name}={hex}"), format!("{name}:{hex}"), hex.clone()] {
        assert_eq!(text.parse::<Checksum>().unwrap().to_string(), format!("{name}={}", hex.to_ascii_lowercase()));
    }
    assert!(format!("{name}={}", &hex[1..]).parse::<Checksum>().is_err());
}

proptest! {
    #[test]
    fn no_ipv4_address_passes_wrapped_that_does_not_pass_bare(bits in any::<u32>(), wrap in 0..3_usize) {
        let four = Ipv4Addr::from(bits);
        let [a, b, c, d] = four.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let head = [[0, 0, 0, 0, 0, 0xffff], [0, 0, 0, 0, 0, 0], [0x64, 0xff9b, 0, 0, 0, 0]][wrap];
        let six = Ipv6Addr::new(head[0], head[1], head[2], head[3], head[4], head[5], high, low);
        if usual().address("h", four.into()).is_err() {
            prop_assert!(usual().address("h", six.into()).is_err(), "{six}");
        }
    }

    #[test]
    fn no_secret_is_ever_shown(user in "[a-z]{3,8}", password in "[A-Z0-9]{8}", query in "[A-Z0-9]{8}") {
        let package = url(&format!("https://{user}:{password}@files.example.com/app.jar?{query}"));
        let shown = format!("{package} {package:?}");
        prop_assert!(!shown.contains(&password) && !shown.contains(&query));
    }
}
