//! The client against a server on loopback: what it takes, what it refuses, and
//! what it says.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use rstest::rstest;
use tokio::net::TcpListener;

use super::*;
use domain::package::{Checksum, PackageAddress};
use test_support::files::{Files, GOOD, GOOD_MD5, GOOD_SHA256};

const LIMIT: u64 = 1 << 20;

fn policy(addresses: &[&str]) -> PackagePolicy {
    PackagePolicy {
        schemes: vec!["http".into(), "https".into()],
        hosts: vec!["*".parse().unwrap()],
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
    }
}

fn client() -> Client {
    Client::new(policy(&["127.0.0.1/32"]), LIMIT, Duration::from_secs(5)).unwrap()
}

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("sluice-package-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Case<'a> {
    client: Client,
    url: String,
    checksum: Option<&'a str>,
    timeout: Duration,
    attempts: u32,
}

impl Case<'_> {
    fn of(url: String) -> Self {
        Self {
            client: client(),
            url,
            checksum: None,
            timeout: Duration::from_secs(20),
            attempts: 3,
        }
    }

    /// Fetches into a folder: what came of it, and what lies in the folder then.
    async fn run(&self) -> (Result<Fetched, Failure>, Vec<String>) {
        let folder = Folder::new();
        let url: PackageAddress = self.url.parse().unwrap();
        let checksum: Option<Checksum> = self.checksum.map(|it| it.parse().unwrap());
        let target = folder.0.join("app.jar");
        let fetch = Fetch {
            url: &url,
            target: &target,
            checksum: checksum.as_ref(),
            timeout: self.timeout,
            attempts: self.attempts,
            pause: Duration::from_millis(10),
        };
        let ended = self.client.fetch(&fetch).await;
        if ended.is_ok() {
            assert_eq!(std::fs::read(&target).unwrap(), GOOD);
        }
        (ended, folder.names())
    }

    async fn fails(&self) -> Failure {
        let (ended, left) = self.run().await;
        assert_eq!(left, Vec::<String>::new(), "nothing is left behind");
        let failure = ended.unwrap_err();
        assert!(!failure.to_string().contains("geheim"), "{failure}");
        failure
    }
}

#[rstest]
#[case("/good.jar", None, 1)]
#[case("/good.jar", Some(GOOD_SHA256), 1)]
#[case("/good.jar", Some(GOOD_MD5), 1)]
#[case("/flaky.jar", None, 3)]
#[case("/signed.jar?Signature=geheim", None, 1)]
#[case("/redirect.jar?%2Fredirect.jar%3F%2Fgood.jar", None, 1)]
#[tokio::test]
async fn a_package_comes_whole(
    #[case] path: &str,
    #[case] checksum: Option<&str>,
    #[case] attempts: u32,
) {
    let files = Files::start().await;
    let (ended, left) = Case { checksum, ..Case::of(files.url(path)) }.run().await;
    assert_eq!(ended, Ok(Fetched { bytes: GOOD.len() as u64, attempts }));
    assert_eq!(left, ["app.jar"]);
}

#[rstest]
#[case("/missing.jar?token=geheim", Reason::NotFound, "the server answered 404 Not Found", 1)]
#[case("/forbidden.jar?token=geheim", Reason::Denied, "403 Forbidden", 1)]
#[case("/teapot.jar", Reason::Unexpected, "418", 1)]
#[case("/nowhere.jar", Reason::Unexpected, "redirects to no address", 1)]
#[case("/large.jar", Reason::TooLarge, "it has 3145728 bytes, and at most 1048576 are allowed", 1)]
#[case("/endless.jar", Reason::TooLarge, "at most 1048576 are allowed", 1)]
#[case("/loop.jar?token=geheim", Reason::Unexpected, "more than 5 times", 6)]
#[case(
    "/busy.jar?token=geheim",
    Reason::ServerTrouble,
    "503 Service Unavailable (attempt 3 of 3)",
    3
)]
#[case("/cut.jar?token=geheim", Reason::CutOff, "the answer broke off", 3)]
#[case(
    "/redirect.jar?http://127.0.0.2:1/good.jar%3Ftoken=geheim",
    Reason::NotAllowed,
    "127.0.0.2, the network address of 127.0.0.2, is not allowed: it is a loopback address",
    1
)]
#[case(
    "/redirect.jar?http://169.254.169.254/latest/",
    Reason::NotAllowed,
    "it is a cloud's metadata address",
    1
)]
#[case("/redirect.jar?http://[::ffff:7f00:2]/", Reason::NotAllowed, "loopback", 1)]
#[case("/redirect.jar?http://[2002:7f00:2::1]/", Reason::NotAllowed, "loopback", 1)]
#[case("/redirect.jar?http://[64:ff9b:1::7f00:2]/", Reason::NotAllowed, "translator", 1)]
#[case("/redirect.jar?http://2130706434/", Reason::NotAllowed, "loopback", 1)]
#[case(
    "/redirect.jar?http://localhost.localdomain.invalid:1/",
    Reason::UnknownHost,
    "is not known here",
    3
)]
#[case("/redirect.jar?file:///etc/passwd", Reason::Unexpected, "redirects to no address", 1)]
#[case("/redirect.jar?ftp://h/a.jar", Reason::NotAllowed, "the scheme ftp is not allowed", 1)]
#[tokio::test]
async fn a_package_that_cannot_be_had_has_a_named_reason(
    #[case] path: &str,
    #[case] reason: Reason,
    #[case] says: &str,
    #[case] requests: usize,
) {
    let files = Files::start().await;
    let failure = Case::of(files.url(path)).fails().await;
    assert_eq!(failure.reason, reason, "{failure}");
    assert!(failure.what.contains(says), "{failure}");
    assert_eq!(files.asked().len(), requests, "{:?}", files.asked());
}

#[tokio::test]
async fn another_package_than_the_one_that_is_meant_is_refused_at_once() {
    let files = Files::start().await;
    for wrong in ["0".repeat(64), "0".repeat(32)] {
        let failure =
            Case { checksum: Some(&wrong), ..Case::of(files.url("/good.jar")) }.fails().await;
        assert_eq!(failure.reason, Reason::WrongChecksum);
        let found = if wrong.len() == 64 { GOOD_SHA256 } else { GOOD_MD5 };
        assert!(failure.what.contains(&wrong) && failure.what.contains(found), "{failure}");
    }
    assert_eq!(files.asked().len(), 2);
}

#[rstest]
#[case("/slow.jar?token=geheim")]
#[case("/silent.jar?token=geheim")]
#[tokio::test]
async fn one_that_never_ends_ends_in_time(#[case] path: &str) {
    let files = Files::start().await;
    let failure =
        Case { timeout: Duration::from_millis(300), ..Case::of(files.url(path)) }.fails().await;
    assert_eq!(failure.reason, Reason::TimedOut);
    assert!(failure.what.contains("not there within 0.3 s"), "{failure}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_tried_again() {
    // A port of ours on which nobody listens any more.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = Case::of(format!("http://user:geheim@{address}/a.jar")).fails().await;
    assert_eq!(failure.reason, Reason::Unreachable);
    assert!(
        failure.what.contains("refused") && failure.what.contains("attempt 3 of 3"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_not_even_asked() {
    let files = Files::start().await;
    let strict = Client::new(policy(&[]), LIMIT, Duration::from_secs(5)).unwrap();
    let by_name = format!("http://localhost:{}/good.jar", files.address.port());
    for url in [files.url("/good.jar"), by_name] {
        let failure = Case { client: strict.clone(), ..Case::of(url) }.fails().await;
        assert_eq!(failure.reason, Reason::NotAllowed, "{failure}");
    }
    assert!(files.asked().is_empty());
}

/// A name service whose answers (behind each other, with semicolons) follow each
/// other; the last stays.
fn answers(answers: &'static str) -> (Lookup, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let index = count.fetch_add(1, Ordering::Relaxed);
        let answer =
            answers.split(';').nth(index).or_else(|| answers.split(';').next_back()).unwrap();
        let found: Vec<IpAddr> = answer.split_whitespace().map(|it| it.parse().unwrap()).collect();
        Box::pin(async move { Ok(found) })
    });
    (lookup, asked)
}

#[rstest]
// Only the allowed one of several is connected to.
#[case("169.254.169.254 127.0.0.2 127.0.0.1", None)]
// The name is asked once, so its second answer changes nothing.
#[case("127.0.0.1; 169.254.169.254", None)]
#[case("169.254.169.254 ::1", Some(Reason::NotAllowed))]
#[case("::ffff:100.100.100.200", Some(Reason::NotAllowed))]
#[case(
    "2002:7f00:2::1 ::ffff:0:7f00:2 64:ff9b:1::1 2001:0:808:808::80ff:fffd",
    Some(Reason::NotAllowed)
)]
#[case("", Some(Reason::UnknownHost))]
#[tokio::test]
async fn only_addresses_that_were_checked_are_connected_to(
    #[case] lookup: &'static str,
    #[case] fails: Option<Reason>,
) {
    let files = Files::start().await;
    let (lookup, asked) = answers(lookup);
    let client =
        Client::with_lookup(policy(&["127.0.0.1/32"]), LIMIT, Duration::from_secs(5), lookup)
            .unwrap();
    let case = Case {
        client,
        attempts: 1,
        ..Case::of(format!("http://files.example.com:{}/good.jar", files.address.port()))
    };
    let (ended, _) = case.run().await;
    assert_eq!(ended.err().map(|failure| failure.reason), fails);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[rstest]
#[case("/good.jar", None)]
#[case("/get-only.jar", None)]
#[case("/signed.jar?Signature=geheim", None)]
#[case("/redirect.jar?%2Fgood.jar", None)]
// Trouble that may pass, or that tells nothing.
#[case("/busy.jar", None)]
#[case("/teapot.jar", None)]
#[case("/missing.jar?token=geheim", Some(Reason::NotFound))]
#[case("/signed.jar?Signature=geheim2", Some(Reason::Denied))]
#[case("/large.jar", Some(Reason::TooLarge))]
#[case("/get-only-large.jar", Some(Reason::TooLarge))]
#[case("/redirect.jar?http://169.254.169.254/", Some(Reason::NotAllowed))]
#[tokio::test]
async fn a_look_refuses_only_what_is_certain(#[case] path: &str, #[case] fails: Option<Reason>) {
    let files = Files::start().await;
    let looked = client().probe(&files.url(path).parse().unwrap()).await;
    if let Err(failure) = &looked {
        assert!(!failure.to_string().contains("geheim"), "{failure}");
    }
    assert_eq!(looked.err().map(|failure| failure.reason), fails, "{:?}", files.asked());
}

#[tokio::test]
async fn a_look_at_a_silent_server_ends_in_time_and_refuses_nothing() {
    let files = Files::start().await;
    let url: PackageAddress = files.url("/silent.jar").parse().unwrap();
    assert_eq!(client().probe_within(Duration::from_millis(100), &url).await, Ok(()));
}

/// A look at a host whose name stands for `found`, under a policy that allows every
/// host, and `found` itself only where `addresses` says so.
async fn look(
    found: &'static str,
    files: &Files,
    path: &str,
    addresses: &[&str],
) -> Result<(), Failure> {
    let (lookup, _) = answers(found);
    let client =
        Client::with_lookup(policy(addresses), LIMIT, Duration::from_secs(5), lookup).unwrap();
    client
        .probe(&format!("http://files.internal:{}{path}", files.address.port()).parse().unwrap())
        .await
}

#[rstest]
#[case("127.0.0.1")]
#[case("10.255.255.1")]
#[case("::ffff:10.255.255.1 fd00::1")]
#[case("169.254.169.254")]
#[case("")]
#[tokio::test]
async fn a_look_does_not_tell_apart_what_is_behind_a_name_that_leads_inside(
    #[case] found: &'static str,
) {
    let files = Files::start().await;
    for path in [
        "/good.jar",
        "/missing.jar",
        "/forbidden.jar",
        "/large.jar",
        "/silent.jar",
        "/redirect.jar?/missing.jar",
    ] {
        assert_eq!(look(found, &files, path, &[]).await, Ok(()), "{path}");
    }
    assert!(files.asked().is_empty(), "nothing is connected to: {:?}", files.asked());
    // What is named is told apart.
    let missing = look("127.0.0.1", &files, "/missing.jar", &["127.0.0.1/32"]).await;
    assert_eq!(missing.unwrap_err().reason, Reason::NotFound);
}

#[rstest]
#[case("http://10.255.255.1:1/")]
#[case("http://[fd00::1]/a.jar")]
#[case("http://files.internal/a.jar")]
#[tokio::test]
async fn a_look_does_not_follow_a_redirect_into_a_private_network(#[case] inside: &str) {
    let files = Files::start().await;
    let (lookup, _) = answers("10.255.255.1");
    let client =
        Client::with_lookup(policy(&["127.0.0.1/32"]), LIMIT, Duration::from_secs(5), lookup)
            .unwrap();
    let url: PackageAddress = files.url(&format!("/redirect.jar?{inside}")).parse().unwrap();
    assert_eq!(client.probe(&url).await, Ok(()));
    let failure = client.send(&url, request::Ask::Head).await.unwrap_err();
    assert_eq!(
        failure.reason,
        Reason::UnknownHost,
        "it is as if there were no such host: {failure}"
    );
}
