//! Over TLS: the same answers as over plain HTTP, by HTTP/1.1 and HTTP/2, with
//! certificates that follow their files.
//!
//! Clients trust the authority of their test and nothing else.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rstest::rstest;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    server::{KEY, Server},
    sign::{Signed, Unsigned},
    *,
};
use test_support::authority::{Authority, Pair};

const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    async fn start(router: Router, pair: &Pair) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let certificate = Certificate::load(pair.certificate(), pair.key())
            .await
            .unwrap()
            .looking_every(Duration::from_millis(10));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(connections().serve_tls(listener, certificate, router, async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    fn url(&self, target: &str) -> String {
        format!("https://localhost:{}{target}", self.address.port())
    }

    async fn ended(self) {
        let _ = self.stop.send(());
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// A connection by the protocols of `alpn`, and the certificate that was shown.
    async fn connect(
        &self,
        authority: &Authority,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
    }

    async fn shown(&self, authority: &Authority) -> CertificateDer<'static> {
        let stream = self.connect(authority, &[]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Sends by HTTP/2, whose requests have their host in the target.
    async fn send_http2(
        &self,
        authority: &Authority,
        method: &str,
        signed: &Signed,
    ) -> (u16, Value) {
        let stream = self.connect(authority, &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let host = signed
            .headers
            .iter()
            .find_map(|(name, value)| (*name == "host").then_some(value))
            .unwrap();
        let mut request =
            Request::builder().method(method).uri(format!("https://{host}{}", signed.target));
        for (name, value) in signed.headers.iter().filter(|(name, _)| *name != "host") {
            request = request.header(*name, value);
        }
        let response =
            sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        connection.abort();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

async fn send(client: &reqwest::Client, url: &str, signed: &Signed) -> Value {
    let mut request = client.post(format!("{url}{}", signed.target));
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
}

/// What the other certificate of a reload is waited for with.
async fn until_shown(running: &Running, authority: &Authority, certificate: &str) {
    let wanted = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while running.shown(authority).await != wanted {
        assert!(Instant::now() < deadline, "the new certificate is not taken up");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn both_signatures_are_good_on_either_listener_and_by_either_http(pool: PgPool) {
    let server = Server::start_with(service_on(pool.clone()), pool).await;
    let authority = Authority::new();
    let tls = Running::start(server.router.clone(), &Pair::new(&authority.issue())).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_url = format!("http://{}", listener.local_addr().unwrap());
    let plain =
        tokio::spawn(connections().serve(listener, server.router.clone(), std::future::pending()));
    let client = authority.client();

    let list = Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[("AppName", "a b*~")],
        date: server.clock.now(),
        nonce: None,
    };
    for signed in [list.acs3(KEY), list.hmac_sha1(KEY)] {
        assert_eq!(send(&client, &plain_url, &signed).await["Code"], 200);
        assert_eq!(send(&client, &tls.url(""), &signed).await["Code"], 200);
        assert_eq!(tls.send_http2(&authority, "POST", &signed).await.1["Code"], 200);
        let mut altered = signed.clone();
        altered.target = altered.target.replace("AppName=a", "AppName=b");
        assert_eq!(send(&client, &tls.url(""), &altered).await["Code"], "SignatureDoesNotMatch");
        assert_eq!(
            tls.send_http2(&authority, "POST", &altered).await.1["Code"],
            "SignatureDoesNotMatch"
        );
    }
    tls.ended().await;
    plain.abort();
}

#[tokio::test]
async fn only_who_trusts_the_authority_and_speaks_tls_is_answered() {
    let authority = Authority::new();
    let running = Running::start(router_without_database(), &Pair::new(&authority.issue())).await;
    let url = running.url("/healthz");
    assert_eq!(authority.client().get(&url).send().await.unwrap().status(), 200);
    let refused = Authority::new().client().get(&url).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
    assert!(authority.client().get(url.replace("https", "http")).send().await.is_err());
    // Neither of them, nor one that never says a word, is in the way of the next.
    let silent = TcpStream::connect(running.address).await.unwrap();
    assert_eq!(authority.client().get(&url).send().await.unwrap().status(), 200);
    running.ended().await;
    drop(silent);
}

#[tokio::test]
async fn lines_that_are_too_long_are_answered() {
    let authority = Authority::new();
    let running = Running::start(router_without_database(), &Pair::new(&authority.issue())).await;
    let request = |length: usize| {
        let start = "/pop/v5/k8s/acs/k8s_apps?Envs=";
        let target = format!("{start}{}", "x".repeat(length - start.len()));
        Signed { target, headers: vec![("host", "h".into())], body: String::new() }
    };
    for (length, code) in [
        (20_000, "IncompleteSignature"),
        (edge::TARGET_LIMIT, "IncompleteSignature"),
        (edge::TARGET_LIMIT + 1, "RequestLineTooLong"),
    ] {
        assert_eq!(
            running.send_http2(&authority, "POST", &request(length)).await.1["Code"],
            code,
            "{length} bytes by HTTP/2"
        );
    }
    let mut stream = running.connect(&authority, &[]).await.unwrap();
    for (length, code) in [
        (edge::TARGET_LIMIT, "IncompleteSignature"),
        (edge::TARGET_LIMIT + 1, "RequestLineTooLong"),
        (2 << 20, "RequestLineTooLong"),
    ] {
        let bytes = format!("POST {} HTTP/1.1\r\nHost: h\r\n\r\n", request(length).target);
        stream.write_all(bytes.as_bytes()).await.unwrap();
        assert_eq!(wire::read_reply(&mut stream).await.1["Code"], code, "{length} bytes");
    }
    running.ended().await;
}

#[tokio::test]
async fn a_new_pair_is_taken_up_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let (first, second, third) = (authority.issue(), authority.issue(), authority.issue());
    let pair = Pair::new(&first);
    let running = Running::start(router_without_database(), &pair).await;
    until_shown(&running, &authority, &first.0).await;
    // A connection lives on with the certificate that it began with.
    let mut old = running.connect(&authority, &[]).await.unwrap();
    pair.replace(&second.0, &second.1);
    until_shown(&running, &authority, &second.0).await;
    old.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    assert_eq!(wire::read_reply(&mut old).await.1["status"], "ok");

    // The two files are seldom replaced at the same moment.
    pair.replace(&third.0, &second.1);
    assert_eq!(
        running.shown(&authority).await,
        CertificateDer::from_pem_slice(second.0.as_bytes()).unwrap()
    );
    pair.replace(&third.0, &third.1);
    until_shown(&running, &authority, &third.0).await;
    running.ended().await;
}

#[tokio::test]
async fn a_broken_pair_is_said_once_and_changes_nothing() {
    let authority = Authority::new();
    let (first, second) = (authority.issue(), authority.issue());
    let pair = Pair::new(&first);
    let mut certificate = Certificate::load(pair.certificate(), pair.key()).await.unwrap();
    let used = certificate.config().get_inner();
    assert!(certificate.look().await.is_none());
    let not_der = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (file, key) in [(&*second.0, &*first.1), ("", &*second.1), (&*second.0, not_der)] {
        pair.replace(file, key);
        assert!(certificate.look().await.unwrap().is_err());
        assert!(certificate.look().await.is_none());
    }
    std::fs::remove_file(pair.key()).unwrap();
    assert!(certificate.look().await.unwrap().is_err());
    assert!(certificate.look().await.is_none());
    assert!(Arc::ptr_eq(&used, &certificate.config().get_inner()));
    pair.replace(&second.0, &second.1);
    assert!(certificate.look().await.unwrap().is_ok());
    assert!(!Arc::ptr_eq(&used, &certificate.config().get_inner()));
}

#[tokio::test]
async fn told_to_stop_it_answers_what_is_in_hand_and_takes_nothing_more() {
    let authority = Authority::new();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (begun, go_on) = (begun.clone(), go_on.clone());
        async move || {
            begun.notify_one();
            go_on.notified().await;
            "in hand"
        }
    };
    let running =
        Running::start(Router::new().route("/slow", get(handler)), &Pair::new(&authority.issue()))
            .await;
    let (client, url, address) = (authority.client(), running.url("/slow"), running.address);
    let in_hand =
        tokio::spawn(async move { client.get(url).send().await.unwrap().bytes().await.unwrap() });
    begun.notified().await;
    let idle = running.connect(&authority, &[]).await.unwrap();
    let ended = tokio::spawn(running.ended());
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(address).await.is_ok() {
        assert!(Instant::now() < deadline, "connections are still accepted");
    }
    assert!(!ended.is_finished());
    go_on.notify_one();
    assert_eq!(in_hand.await.unwrap(), "in hand");
    ended.await.unwrap();
    drop(idle);
}

#[rstest]
#[case::no_certificate(|pair: &Pair| pair.replace("nothing", &*Authority::new().issue().1), "--tls-cert: ", "tls.crt holds no certificate in PEM form")]
#[case::no_key(|pair: &Pair| pair.replace(&*Authority::new().issue().0, "nothing"), "--tls-key: ", "tls.key holds no private key in PEM form")]
#[case::swapped(|pair: &Pair| { let (certificate, key) = Authority::new().issue(); pair.replace(key, certificate) }, "--tls-cert: ", "tls.crt holds no certificate")]
#[case::no_der(|pair: &Pair| pair.replace("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &*Authority::new().issue().1), "--tls-cert: ", "tls.crt holds a certificate that cannot be used")]
#[case::another_key(|pair: &Pair| pair.replace(&*Authority::new().issue().0, &*Authority::new().issue().1), "--tls-key: ", "tls.crt (--tls-cert)")]
#[case::no_file(|pair: &Pair| std::fs::remove_file(pair.key()).unwrap(), "--tls-key: ", "tls.key cannot be read: No such file")]
#[tokio::test]
async fn a_pair_that_cannot_be_used_is_refused_with_the_flag_and_the_file(
    #[case] spoil: fn(&Pair),
    #[case] begins: &str,
    #[case] says: &str,
) {
    let pair = Pair::new(&Authority::new().issue());
    spoil(&pair);
    let said = Certificate::load(pair.certificate(), pair.key()).await.unwrap_err().to_string();
    assert!(said.starts_with(begins) && said.contains(says), "{said}");
    let holder: PathBuf = if begins == "--tls-cert: " { pair.certificate() } else { pair.key() };
    assert!(said.contains(&holder.display().to_string()), "{said}");
}
