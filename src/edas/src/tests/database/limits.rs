//! How much may be sent, which way HMAC-SHA1 may come, and what every reply
//! tells browsers.

use futures::{StreamExt, stream};

use super::{
    server::{KEY, Server},
    sign::{Key, Signed, Unsigned},
    *,
};
use domain::limits as bounds;

/// More than any limit of these tests lets through in the time that they take.
const MANY: usize = 500;

fn peer(address: &str, way: Way) -> Peer {
    Peer { address: address.parse().unwrap(), way }
}

fn request(method: &str, signed: &Signed, peer: Peer) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(&signed.target).extension(peer);
    for (name, value) in &signed.headers {
        request = request.header(*name, value);
    }
    request.body(Body::from(signed.body.clone())).unwrap()
}

async fn send(router: &Router, signed: &Signed, peer: Peer) -> Response<Body> {
    router.clone().oneshot(request("POST", signed, peer)).await.unwrap()
}

fn list(server: &Server) -> Unsigned<'static> {
    Unsigned {
        method: "POST",
        path: "/pop/v5/app/app_list",
        parameters: &[],
        date: server.clock.now(),
        nonce: None,
    }
}

fn with(server: &Server, rates: Rates) -> Router {
    router(service_on(server.pool.clone()), EdgeConfig { rates, ..EdgeConfig::default() })
}

/// A refusal says in both ways when to come again.
async fn is_throttled(response: Response<Body>, code: &str) {
    let header = |name: &str| response.headers()[name].to_str().unwrap().parse::<u64>().unwrap();
    let (seconds, milliseconds) = (header("retry-after"), header("x-acs-retry-after"));
    assert!(
        seconds >= 1 && milliseconds >= 1 && milliseconds <= seconds * 1000,
        "{seconds} s, {milliseconds} ms"
    );
    let (status, body) = read(response).await;
    assert_eq!((status, &body["Code"]), (StatusCode::BAD_REQUEST, &Value::from(code)));
}

#[tokio::test]
async fn a_peer_that_sends_too_much_is_refused_before_anything_is_read_and_others_are_not() {
    let rates = Rates { of_peer: 1, of_key: 0, failures: 0 };
    let router = router(service_without_database(), EdgeConfig { rates, ..EdgeConfig::default() });
    let ask = async |target: &str, from: Peer| {
        let request = Request::get(target).extension(from).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap()
    };
    let (greedy, other) = (peer("192.0.2.1", Way::Plain), peer("192.0.2.2", Way::Plain));
    let long = format!("/nothing?{}", "x".repeat(edge::TARGET_LIMIT));
    let mut refused = None;
    for _ in 0..MANY {
        let response = ask(&long, greedy).await;
        if response.status() != StatusCode::URI_TOO_LONG {
            refused = Some(response);
            break;
        }
    }
    is_throttled(refused.expect("a peer may send any number"), "Throttling").await;
    assert_eq!(ask("/healthz", other).await.status(), StatusCode::OK);
    let mut refused = None;
    for _ in 0..MANY {
        let package = ask("/sluice/v1/packages/x/y", greedy).await;
        if package.status() != StatusCode::NOT_FOUND {
            refused = Some(package);
            break;
        }
    }
    let package = refused.expect("a peer may ask for any number of packages");
    assert_eq!(
        (package.status(), package.headers()["retry-after"].to_str().unwrap()),
        (StatusCode::SERVICE_UNAVAILABLE, "1")
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_that_sends_too_much_is_refused_from_everywhere_and_others_are_not(pool: PgPool) {
    let server = Server::start(pool).await;
    let other = Key { id: "other-key", secret: "other-secret" };
    let store = Store::on(server.pool.clone(), test_support::keyring::keyring());
    assert!(
        store
            .insert_key(other.id, &other.secret.into(), "others", server.clock.now())
            .await
            .unwrap()
    );
    let router = with(&server, Rates { of_peer: 0, of_key: 1, failures: 0 });
    let signed = list(&server).acs3(KEY);
    let mut refused = None;
    for number in 0..MANY {
        let from = peer(&format!("192.0.2.{}", number % 200), Way::Plain);
        let response = send(&router, &signed, from).await;
        if response.status() != StatusCode::OK {
            refused = Some(response);
            break;
        }
    }
    is_throttled(refused.expect("a key may send any number"), "Throttling.User").await;
    let response = send(&router, &list(&server).acs3(other), Peer::loopback()).await;
    assert_eq!(response.status(), StatusCode::OK);
    // What was not signed with the key does not count as its own.
    let forged =
        send(&router, &list(&server).acs3(Key { secret: "wrong", ..KEY }), Peer::loopback()).await;
    assert_eq!(read(forged).await.1["Code"], "SignatureDoesNotMatch");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn guessing_keys_does_not_cost_unlimited_look_ups(pool: PgPool) {
    let server = Server::start(pool).await;
    for (key, code) in [
        (Key { id: "nobody", secret: "x" }, "InvalidAccessKeyId.NotFound"),
        (Key { secret: "wrong", ..KEY }, "SignatureDoesNotMatch"),
    ] {
        let router = with(&server, Rates { of_peer: 0, of_key: 0, failures: 1 });
        let (guess, guesser) = (list(&server).acs3(key), peer("192.0.2.1", Way::Plain));
        let mut refused = None;
        for number in 0..MANY {
            let response = send(&router, &guess, guesser).await;
            if response.headers().contains_key("retry-after") {
                refused = Some(response);
                break;
            }
            assert_eq!(read(response).await.1["Code"], code, "request {number}");
        }
        is_throttled(refused.expect("guesses are looked up without end"), "Throttling").await;
        let honest = send(&router, &list(&server).acs3(KEY), peer("192.0.2.2", Way::Plain)).await;
        assert_eq!(honest.status(), StatusCode::OK);
    }
    // An id that no key can have is not looked up at all.
    let endless = "k".repeat(10_000);
    let guess = list(&server).acs3(Key { id: &endless, secret: "x" });
    let response =
        send(&with(&server, Rates::default()), &guess, peer("192.0.2.1", Way::Plain)).await;
    assert_eq!(read(response).await.1["Code"], "IncompleteSignature");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn strangers_who_guess_do_not_shut_out_a_proven_key_at_the_same_address(pool: PgPool) {
    let server = Server::start(pool).await;
    let router = with(&server, Rates { of_peer: 0, of_key: 0, failures: 1 });
    let shared = peer("192.0.2.1", Way::Plain);
    assert_eq!(send(&router, &list(&server).acs3(KEY), shared).await.status(), StatusCode::OK);
    for key in [Key { id: "nobody", secret: "x" }, Key { secret: "wrong", ..KEY }] {
        let guess = list(&server).acs3(key);
        let mut refused = 0;
        for _ in 0..MANY {
            refused += usize::from(
                send(&router, &guess, shared).await.headers().contains_key("retry-after"),
            );
            if refused == 3 {
                break;
            }
        }
        assert_eq!(refused, 3, "guesses are looked up without end");
        let honest = send(&router, &list(&server).acs3(KEY), shared).await;
        assert_eq!(honest.status(), StatusCode::OK, "{:?}", read(honest).await);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn strangers_who_send_too_much_do_not_shut_out_a_proven_key_at_the_same_address(
    pool: PgPool,
) {
    let server = Server::start(pool).await;
    let router = with(&server, Rates { of_peer: 1, of_key: 0, failures: 0 });
    let shared = peer("192.0.2.1", Way::Plain);
    let signed = list(&server).acs3(KEY);
    assert_eq!(send(&router, &signed, shared).await.status(), StatusCode::OK);
    let forged = list(&server).acs3(Key { secret: "wrong", ..KEY });
    let mut refused = None;
    for _ in 0..MANY {
        let response = send(&router, &forged, shared).await;
        if response.headers().contains_key("retry-after") {
            refused = Some(response);
            break;
        }
    }
    is_throttled(refused.expect("a peer may send any number"), "Throttling").await;
    for _ in 0..10 {
        let honest = send(&router, &signed, shared).await;
        assert_eq!(honest.status(), StatusCode::OK, "{:?}", read(honest).await);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn bodies_of_strangers_take_nothing_of_what_known_keys_need(pool: PgPool) {
    let server = Server::start(pool).await;
    let router = with(&server, Rates { of_peer: 0, of_key: 0, failures: 0 });
    let path = "/pop/v5/k8s/acs/k8s_config_map";
    let parameters = [
        ("ClusterId", "default"),
        ("Namespace", "default"),
        ("Name", "config"),
        ("Data.1.Key", "a"),
        ("Data.1.Value", "b"),
    ];
    let unsigned = Unsigned {
        method: "POST",
        path,
        parameters: &parameters,
        date: server.clock.now(),
        nonce: None,
    };
    let mut stalled = Vec::new();
    for signed in [
        None,
        Some(unsigned.acs3_form(Key { id: "nobody", secret: "x" })),
        Some(unsigned.acs3_form(Key { secret: "wrong", ..KEY })),
    ] {
        let request = signed.map_or_else(
            || {
                Request::post(path)
                    .extension(peer("192.0.2.1", Way::Plain))
                    .body(Body::empty())
                    .unwrap()
            },
            |signed| request("POST", &signed, peer("192.0.2.1", Way::Plain)),
        );
        let (parts, _) = request.into_parts();
        for _ in 0..bounds::BODIES / bounds::BODY {
            let begun = Arc::new(tokio::sync::Notify::new());
            let body = stalling(begun.clone());
            let mut answer =
                tokio::spawn(router.clone().oneshot(Request::from_parts(parts.clone(), body)));
            tokio::select! {
                () = begun.notified() => stalled.push(answer),
                answered = &mut answer => assert_ne!(answered.unwrap().unwrap().status(), StatusCode::OK),
            }
        }
    }
    let honest = send(&router, &unsigned.acs3_form(KEY), peer("192.0.2.2", Way::Plain)).await;
    assert_ne!(honest.status(), StatusCode::SERVICE_UNAVAILABLE, "{:?}", read(honest).await);
    stalled.iter().for_each(tokio::task::JoinHandle::abort);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_body_that_is_too_long_or_not_the_signed_one_is_refused(pool: PgPool) {
    let server = Server::start(pool).await;
    for (bytes, expected) in [
        (bounds::BODY + 1, (StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLong", "1048576 bytes")),
        (bounds::BODY, (StatusCode::BAD_REQUEST, "InvalidContentSha256", "")),
    ] {
        let mut signed = list(&server).acs3(KEY);
        signed.body = "x".repeat(bytes);
        let (status, body) = read(send(&server.router, &signed, Peer::loopback()).await).await;
        assert_eq!((status, body["Code"].as_str().unwrap()), (expected.0, expected.1));
        assert!(body["Message"].as_str().unwrap().contains(expected.2), "{body:?}");
    }
}

/// A body of almost as many bytes as one may have, which stalls before its end and says so.
fn stalling(begun: Arc<tokio::sync::Notify>) -> Body {
    let bytes = bytes::Bytes::from(vec![b'a'; bounds::BODY - 1]);
    let end = stream::poll_fn(move |_| {
        begun.notify_one();
        std::task::Poll::<Option<Result<bytes::Bytes, std::convert::Infallible>>>::Pending
    });
    Body::from_stream(stream::iter([Ok(bytes)]).chain(end))
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn hmac_sha1_does_not_come_by_plain_http_from_another_machine_unless_that_is_allowed(
    pool: PgPool,
) {
    let server = Server::start(pool).await;
    let strict = router(service_on(server.pool.clone()), EdgeConfig::default());
    let lenient = router(
        service_on(server.pool.clone()),
        EdgeConfig { plain_hmac_sha1: true, ..EdgeConfig::default() },
    );
    let (old, new) = (list(&server).hmac_sha1(KEY), list(&server).acs3(KEY));
    let [plain, tls, local] =
        [Way::Plain, Way::Tls, Way::Loopback].map(|way| peer("192.0.2.1", way));

    let (status, body) = read(send(&strict, &old, plain).await).await;
    assert_eq!(
        (status, &body["Code"]),
        (StatusCode::BAD_REQUEST, &Value::from("InvalidProtocol.NeedSsl"))
    );
    let message = body["Message"].as_str().unwrap();
    assert!(
        message.contains("--allow-plain-hmac-sha1")
            && message.contains("SLUICE_ALLOW_PLAIN_HMAC_SHA1=true"),
        "{message}"
    );
    assert!(message.contains(':') && !message.contains('\n'), "{message}");
    for (router, signed, from) in [
        (&lenient, &old, plain),
        (&strict, &old, tls),
        (&strict, &old, local),
        (&strict, &new, plain),
        (&strict, &new, tls),
    ] {
        let response = send(router, signed, from).await;
        assert_eq!(response.status(), StatusCode::OK, "{from:?}: {:?}", read(response).await);
    }
    // A wrong signature is not told apart: no key is looked up for what may not come this way.
    let guess =
        send(&strict, &list(&server).hmac_sha1(Key { id: "nobody", secret: "x" }), plain).await;
    assert_eq!(read(guess).await.1["Code"], "InvalidProtocol.NeedSsl");
}

#[tokio::test]
async fn no_request_is_served_whose_peer_nobody_tells() {
    let bare = crate::router(service_without_database(), EdgeConfig::default());
    for target in ["/healthz", "/pop/v5/app/app_list", "/sluice/v1/packages/x/y"] {
        let request = Request::get(target).body(Body::empty()).unwrap();
        assert_eq!(
            bare.clone().oneshot(request).await.unwrap().status(),
            StatusCode::INTERNAL_SERVER_ERROR,
            "{target}"
        );
    }
}

#[tokio::test]
async fn every_reply_tells_browsers_that_it_may_do_nothing() {
    // The database is asked by `/readyz`, and never answers.
    let settings = EdgeConfig { time_limit: Duration::from_millis(20), ..EdgeConfig::default() };
    let (full, health) = (
        router(service_without_database(), settings.clone()),
        health_router(service_without_database(), settings),
    );
    let operations = contract::operations()
        .iter()
        .map(|operation| (operation.method.to_string(), operation.path.clone()));
    let others = [
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/openapi.json"),
        ("GET", "/nothing"),
        ("DELETE", "/healthz"),
        ("OPTIONS", "/pop/v5/app/app_list"),
        ("PUT", "/sluice-packages/x"),
        ("GET", "/sluice/v1/packages/x/y"),
    ];
    let pages = [
        "/docs",
        "/docs/",
        "/docs/index.html",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/docs/swagger-initializer.js",
    ];
    let others = others.into_iter().chain(pages.map(|page| ("GET", page)));
    let (mut seen, mut page_seen) = (0, 0);
    for (method, path) in
        operations.chain(others.map(|(method, path)| (method.to_owned(), path.to_owned())))
    {
        for router in [&full, &health] {
            let request = Request::builder()
                .method(&*method)
                .uri(&path)
                .extension(Peer::loopback())
                .body(Body::empty())
                .unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let header = |name: &str| {
                response
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
            };
            let place = format!("{method} {path}: {:?}", response.headers());
            assert_eq!(header("x-content-type-options"), "nosniff", "{place}");
            assert_eq!(header("x-frame-options"), "DENY", "{place}");
            assert_eq!(header("referrer-policy"), "no-referrer", "{place}");
            let policy = header("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none';")
                    && policy.contains("frame-ancestors 'none'"),
                "{place}"
            );
            assert!(!policy.contains("unsafe"), "{place}");
            let is_page = header("content-type").starts_with("text/html");
            assert_eq!(policy.contains("script-src 'self'"), is_page, "{place}");
            (seen, page_seen) = (seen + 1, page_seen + usize::from(is_page));
        }
    }
    assert!(seen > 100 && page_seen == 2, "{seen}, {page_seen} of them pages");
}

#[tokio::test]
async fn the_page_has_no_script_of_its_own_that_the_policy_would_stop() {
    let request = Request::get("/docs/").body(Body::empty()).unwrap();
    let response = router_without_database().oneshot(request).await.unwrap();
    let page =
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
            .unwrap();
    assert!(page.contains("<script src="), "{page}");
    for script in page.split("<script").skip(1) {
        let (tag, rest) = script.split_once('>').unwrap();
        assert!(tag.contains("src=\"./"), "{tag}");
        assert_eq!(rest.split("</script>").next().unwrap().trim(), "", "a script within the page");
    }
    assert!(
        !page.contains("<style") && !page.contains(" style=") && !page.contains(" on"),
        "{page}"
    );
}
