//! People who sign in through an identity provider, and replies that are none of its.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum::{Json, Router, http::StatusCode, routing};
use console::{Channel, People, Visitor};
use domain::person::{Mapping, Mappings, Person};
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::{Reply, Site, pages::check};
use crate::support::App;

/// A provider that knows nobody, and counts how often it is asked about a code.
#[derive(Clone, Default)]
pub struct StandIn(Arc<AtomicUsize>);

impl StandIn {
    /// Its issuer.
    pub async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let of = |path: &str| format!("{issuer}{path}");
        let description = json!({
            "issuer": issuer, "authorization_endpoint": of("/authorize"),
            "token_endpoint": of("/token"), "jwks_uri": of("/keys"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        let keys = json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": "one",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        }] });
        let asked = self.0.clone();
        let token = async move || {
            asked.fetch_add(1, SeqCst);
            (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" })))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", routing::get(async || Json(description)))
            .route("/keys", routing::get(async || Json(keys)))
            .route("/token", routing::post(token));
        tokio::spawn(async { axum::serve(listener, router).await });
        issuer
    }

    fn asked(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// Members of the group `platform` work as `alice`.
pub fn people(issuer: &str, address: std::net::SocketAddr, seal: oidc::Seal) -> People {
    let settings = oidc::Settings {
        issuer: issuer.to_owned(),
        client_id: "sluice".into(),
        client_secret: "the secret of the client".into(),
        scopes: vec!["profile".into(), "email".into()],
        groups_claim: "groups".into(),
        redirect: format!("http://{address}/console/sign-in/callback").parse().unwrap(),
    };
    let groups = vec![Mapping::read("platform=alice").unwrap()];
    let mappings = Mappings { groups, ..Mappings::default() };
    People::new(oidc::Provider::new(settings, seal).unwrap(), mappings)
}

async fn site(pool: PgPool, issuer: &str) -> Site {
    let app = App::start(pool).await;
    Site::with(app, |address, seal| Some(people(issuer, address, seal))).await
}

/// Begins a sign-in: what the browser keeps, and the state.
async fn begin(site: &Site, next: &str) -> (String, String) {
    let reply = site.send("GET", &format!("/console/sign-in/provider?next={next}"), &[], "").await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("sluice-sign-in="), "{cookie}");
    assert!(cookie.ends_with("; Path=/console; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
    let place: url::Url = reply.header("location").parse().unwrap();
    let state = place.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    (cookie.split(';').next().unwrap().to_owned(), state)
}

/// What is always so where nobody is signed in.
fn nobody(reply: &Reply) {
    let cookies: Vec<_> = reply.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    let over = cookies[0].to_str().unwrap();
    assert!(over.starts_with("sluice-sign-in=; ") && over.contains("Max-Age=0"), "{over}");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    assert!(reply.header("content-security-policy").contains("form-action 'self'"));
    assert!(reply.header("location").is_empty());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_reply_that_is_not_the_providers_signs_nobody_in(pool: PgPool) {
    let provider = StandIn::default();
    let issuer = provider.start().await;
    let site = site(pool, &issuer).await;
    let (kept, state) = begin(&site, "/console/orders").await;
    let (other, _) = begin(&site, "//evil.example").await;
    assert!(other.contains(".L2NvbnNvbGU."), "it leads to /console: {other}");
    let back = async |cookie: &str, query: String| {
        let path = format!("/console/sign-in/callback?{query}");
        // A browser sends no word of its own site with what another one leads to.
        let headers = [("cookie", cookie), ("sec-fetch-site", "cross-site")];
        let reply = site.send("GET", &path, &headers, "").await;
        nobody(&reply);
        check("/console/sign-in/callback", &reply);
        (reply.status.as_u16(), reply.body)
    };
    let good = format!("code=c&state={state}");
    let forged = kept.replace(".L2Nvb", ".L2Nvc");
    for cookie in [
        "",
        "sluice-sign-in=",
        &other,
        &forged,
        &format!("{kept}; {kept}"),
        &format!("__Host-{kept}"),
    ] {
        let (status, body) = back(cookie, good.clone()).await;
        assert_eq!(status, 400, "{cookie}: {body}");
        assert!(body.contains("This sign-in is not known"), "{body}");
    }
    for query in ["code=c".to_owned(), "code=c&state=".into(), format!("code=c&state={state}0")] {
        assert_eq!(back(&kept, query).await.0, 400);
    }
    let evil = "https%3A%2F%2Fevil.example";
    for (query, says) in [
        (format!("{good}&iss={evil}"), "comes from another provider"),
        (format!("error=access_denied&state={state}&iss={evil}"), "comes from another provider"),
        (format!("state={state}"), "no code"),
        (format!("state={state}&code=a%0Ab"), "no code"),
        (format!("state={state}&code={}", "x".repeat(2049)), "no code"),
        (format!("error=access_denied&state={state}"), "did not sign you in: access_denied"),
        (
            format!("error=Call+%3Cb%3E555&error_description=Call+555&state={state}"),
            "another error",
        ),
    ] {
        let (status, body) = back(&kept, query).await;
        assert_eq!(status, 403, "{body}");
        assert!(body.contains(says) && !body.contains("555"), "{says}: {body}");
    }
    assert_eq!(provider.asked(), 0, "nobody asked the provider about any of these");
    let (status, body) = back(&kept, format!("{good}&iss={}", issuer.replace(':', "%3A"))).await;
    assert!(status == 403 && body.contains("invalid_grant"), "{body}");
    assert_eq!(provider.asked(), 1);
    let long = format!("/console/sign-in/callback?state={state}&code={}", "x".repeat(5000));
    assert_eq!(site.send("GET", &long, &[("cookie", &kept)], "").await.status, 400);
    site.app.clock.advance(601);
    assert_eq!(back(&kept, good).await.0, 400, "it took too long");
    assert_eq!(
        site.app.service.sessions(&crate::support::caller()).await.unwrap().len(),
        1,
        "alice's own"
    );
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_provider_that_is_away_leaves_the_other_ways_to_sign_in(pool: PgPool) {
    let site = site(pool, "http://127.0.0.1:1").await;
    let page = site.get("/console/sign-in?next=/console/orders").await;
    let link = "/console/sign-in/provider?next=%2Fconsole%2Forders";
    assert!(
        page.body.contains("Sign in through 127.0.0.1") && page.body.contains(link),
        "{}",
        page.body
    );
    let away = site.get(link).await;
    assert_eq!(away.status, 503, "{}", away.body);
    assert!(
        away.body.contains("127.0.0.1 does not answer now") && away.header("set-cookie").is_empty()
    );
    check(link, &away);
    let page = site.get("/console/sign-in").await;
    check("/console/sign-in", &page);
    assert!(
        page.body.contains("does not answer now") && page.body.contains("id=\"key-secret\""),
        "{}",
        page.body
    );
    let link = site.app.service.make_link("alice").await.unwrap();
    assert_eq!(site.post("/console/link", &[("token", link.expose())]).await.status, 303);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn there_is_no_way_through_a_provider_that_is_not_set(pool: PgPool) {
    let site = Site::start(pool).await;
    for path in ["/console/sign-in/provider", "/console/sign-in/callback?code=c&state=s"] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
    assert!(!site.get("/console/sign-in").await.body.contains("With your account"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_sign_in_is_kept_for_this_host_alone_and_never_over_plain_http(pool: PgPool) {
    let issuer = StandIn::default().start().await;
    let site = Site::start(pool).await;
    let seal = oidc::Seal::new(site.app.service.console_seal().await.unwrap());
    let people = people(&issuer, site.address, seal);
    let send = async |channel: Channel| {
        let routes = console::routes_for(site.app.service.clone(), Some(people.clone()));
        let request = axum::http::Request::builder()
            .uri("/console/sign-in/provider")
            .extension(channel)
            .extension(Visitor([192, 0, 2, 1].into()))
            .body(axum::body::Body::empty())
            .unwrap();
        tower::ServiceExt::oneshot(routes.open, request).await.unwrap()
    };
    let reply = send(Channel::Encrypted).await;
    let cookie = reply.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-sluice-sign-in=") && cookie.contains("; Path=/;"),
        "{cookie}"
    );
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let reply = send(Channel::Open).await;
    assert!(reply.status() == 403 && !reply.headers().contains_key("set-cookie"));
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_persons_session_is_one_of_a_key_and_says_who_it_is(pool: PgPool) {
    let mut site = Site::start(pool.clone()).await;
    let application = site.app.create("web", 2).await;
    let service = &site.app.service;
    let jane =
        Person { subject: "7f3a".into(), name: "jane@example.org".into(), ..Person::default() };
    let visit = service::Visit::default();
    let open = async |key: &str, sign_in: &str| {
        service.open_persons_session(key, &jane, sign_in, &visit).await
    };
    let opened = open("alice", "one").await.unwrap();
    assert_eq!(opened.name, "jane@example.org (alice)");
    assert!(open("alice", "one").await.is_err(), "a sign-in begins one session");
    assert!(open("bob", "two").await.unwrap_err().to_string().contains("bob"));
    site.cookie = format!("sluice={}", opened.token.expose());
    let path = format!("/console/apps/{application}/operate");
    let form = [("what", "scale"), ("replicas", "3"), ("nonce", "n")];
    let scaled = site.post(&path, &form).await;
    assert_eq!(scaled.status, 303, "{}", scaled.body);
    let order = scaled.header("location").rsplit('/').next().unwrap().parse().unwrap();
    let order = site.app.service.order(order).await.unwrap();
    assert_eq!(order.created_by, "jane@example.org (alice)");
    let events = site.app.store.events(order.id).await.unwrap();
    assert_eq!(events[0].actor, "jane@example.org (alice)");
    let page = site.get("/console/sessions").await.body;
    assert!(page.contains("jane@example.org (alice)") && page.contains("7f3a"), "{page}");
    sqlx::query("UPDATE access_key SET enabled = false").execute(&pool).await.unwrap();
    assert_eq!(site.get("/console").await.status, 303, "it ends with the key");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn servers_of_one_database_have_one_seal(pool: PgPool) {
    let app = App::start(pool).await;
    let seal = app.service.console_seal().await.unwrap();
    assert_eq!(app.service.console_seal().await.unwrap(), seal);
    assert_ne!(seal, [0; 32]);
}
