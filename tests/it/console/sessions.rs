//! Who is signed in, and what a session can not do.

use futures::StreamExt;
use sqlx::PgPool;

use super::{KEY, Site};
use crate::{
    sign::{Key, Unsigned},
    support::{eventually, manual},
};
use domain::OrderId;

const SESSION: &str = "/sluice/v1/console/session";

async fn signed_in(site: &Site, key: Key<'_>, nonce: &str) -> super::Reply {
    let unsigned = Unsigned {
        method: "POST",
        path: SESSION,
        parameters: &[],
        date: site.app.clock.now(),
        nonce: Some(nonce),
    };
    let signed = unsigned.acs3(key);
    let mut headers: Vec<(&str, &str)> =
        signed.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("sec-fetch-site", "same-origin"));
    site.send("POST", SESSION, &headers, "").await
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_signature_opens_a_session_once(pool: PgPool) {
    let site = Site::start(pool).await;
    let reply = signed_in(&site, KEY, "first").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let cookie = reply.header("set-cookie");
    assert!(cookie.starts_with("sluice=") && cookie.contains("; HttpOnly; SameSite=Lax"));
    let cookie = cookie.split(';').next().unwrap();
    let page = site.send("GET", "/console", &[("cookie", cookie)], "").await;
    assert!(page.status == 200 && page.body.contains("alice"), "{}", page.body);
    // Whoever has read the request can do nothing with it.
    let again = signed_in(&site, KEY, "first").await;
    assert!(!again.status.is_success() && again.header("set-cookie").is_empty());
    let wrong = signed_in(&site, Key { secret: "wrong", ..KEY }, "second").await;
    assert!(wrong.status.is_client_error() && wrong.header("set-cookie").is_empty());
    let unsigned = site.send("POST", SESSION, &[("sec-fetch-site", "same-origin")], "").await;
    assert!(unsigned.status.is_client_error() && unsigned.header("set-cookie").is_empty());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_link_signs_in_once_and_within_a_minute(pool: PgPool) {
    let site = Site::start(pool).await;
    let headers = [("sec-fetch-site", "same-origin")];
    let link = site.app.service.make_link("alice").await.unwrap();
    let form = format!("token={}", link.expose());
    // Looking at it does not use it up, and tells nobody of it.
    let page = site.get(&format!("/console/link/{}", link.expose())).await;
    assert_eq!((page.status.as_u16(), page.header("referrer-policy")), (200, "no-referrer"));
    let reply = site.send("POST", "/console/link", &headers, &form).await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, "/console"));
    assert!(reply.header("set-cookie").starts_with("sluice="));
    let again = site.send("POST", "/console/link", &headers, &form).await;
    assert_eq!(again.status, 401, "{}", again.body);
    let old = site.app.service.make_link("alice").await.unwrap();
    site.app.clock.advance(61);
    let form = format!("token={}", old.expose());
    assert_eq!(site.send("POST", "/console/link", &headers, &form).await.status, 401);
    assert!(site.app.service.make_link("nobody").await.is_err());
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_session_ends_with_its_key_with_time_and_by_hand(pool: PgPool) {
    let site = Site::start(pool.clone()).await;
    let disable = "UPDATE access_key SET enabled = $1 WHERE id = 'console-key'";
    let status = async || site.get("/console/orders?state=open").await;
    assert_eq!(status().await.status, 200);
    sqlx::query(disable).bind(false).execute(&pool).await.unwrap();
    let out = status().await;
    assert_eq!(out.status, 303);
    assert_eq!(out.header("location"), "/console/sign-in?next=%2Fconsole%2Forders%3Fstate%3Dopen");
    assert_eq!(site.post("/console/sign-out", &[]).await.status, 401);
    sqlx::query(disable).bind(true).execute(&pool).await.unwrap();
    // It is used again and again …
    for _ in 0..13 {
        assert_eq!(status().await.status, 200);
        site.app.clock.advance(50 * 60);
    }
    // … and then not for an hour.
    assert_eq!(status().await.status, 200);
    site.app.clock.advance(61 * 60);
    assert_eq!(status().await.status, 303);

    let open = async || {
        let link = site.app.service.make_link("alice").await.unwrap();
        let visit = service::Visit::default();
        site.app.service.open_linked_session(&link, &visit).await.unwrap()
    };
    let (one, other) = (open().await, open().await);
    assert_eq!(one.name, "alice", "whose link it was");
    let cookie = format!("sluice={}", one.token.expose());
    let get =
        async |cookie: &str| site.send("GET", "/console/keys", &[("cookie", cookie)], "").await;
    let headers = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let end = format!("/console/sessions/{}/end", other.id);
    assert_eq!(site.send("POST", &end, &headers, "nonce=a").await.status, 303);
    assert_eq!(get(&format!("sluice={}", other.token.expose())).await.status, 401);
    assert_eq!(get(&cookie).await.status, 200);
    // Each row is a form of its own.
    let page = site.send("GET", "/console/sessions", &[("cookie", &cookie)], "").await.body;
    let nonces: Vec<_> = super::elements(&page)
        .into_iter()
        .filter(|it| it.of("name") == "nonce")
        .map(|it| it.of("value").to_owned())
        .collect();
    let unique: std::collections::BTreeSet<_> = nonces.iter().collect();
    assert!(!nonces.is_empty() && unique.len() == nonces.len(), "{nonces:?}");
    for _ in 0..15 {
        site.app.clock.advance(50 * 60);
        get(&cookie).await;
    }
    assert_eq!(get(&cookie).await.status, 401, "no session is longer than twelve hours");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn what_another_site_or_a_stranger_sends_does_nothing(pool: PgPool) {
    let site = Site::start(pool).await;
    let application = site.app.create("web", 2).await;
    let path = format!("/console/apps/{application}/operate");
    let form = "what=stop&nonce=n";
    let cookie = ("cookie", site.cookie.as_str());
    for headers in [
        &[cookie, ("sec-fetch-site", "cross-site")][..],
        &[cookie, ("sec-fetch-site", "same-site")],
        &[cookie, ("origin", "https://evil.example")],
        &[cookie],
    ] {
        let reply = site.send("POST", &path, headers, form).await;
        assert_eq!(reply.status, 403, "{headers:?}: {}", reply.body);
    }
    let same = ("sec-fetch-site", "same-origin");
    for headers in [
        &[same][..],
        &[
            same,
            ("cookie", "sluice=0000000000000000000000000000000000000000000000000000000000000000"),
        ],
        &[same, ("cookie", &format!("__Host-{}", site.cookie))],
    ] {
        let reply = site.send("POST", &path, headers, form).await;
        assert_eq!(reply.status, 401, "{headers:?}: {}", reply.body);
    }
    let without = site.send("POST", &path, &[cookie, same], "what=stop").await;
    assert_eq!(without.status, 400, "a form without a nonce: {}", without.body);
    // Another way in does not know the cookie.
    let api = format!("/pop/v5/changeorder/co_application?AppId={application}");
    for (method, path) in
        [("GET", "/pop/v5/app/app_info"), ("POST", "/pop/v5/app/app_list"), ("GET", &api)]
    {
        let reply = site.send(method, path, &[cookie, same], "").await;
        assert!(reply.status.is_client_error(), "{path}: {} {}", reply.status, reply.body);
        assert!(!reply.body.contains("web"), "{}", reply.body);
    }
    assert_eq!(site.app.service.recent_orders(application).await.unwrap().len(), 1);
    // None is signed in from another machine by a way on which others can read along.
    let beside = console::routes(site.app.service.clone());
    let request = axum::http::Request::builder()
        .uri("/console")
        .header("cookie", &site.cookie)
        .body(axum::body::Body::empty())
        .unwrap();
    let reply = tower::ServiceExt::oneshot(beside.open, request).await.unwrap();
    assert_eq!(reply.status(), 403);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_stream_ends_with_its_order_and_a_session_has_eight(pool: PgPool) {
    let site = Site::start(pool.clone()).await;
    let application = site.app.create("web", 2).await;
    let order = site.app.deploy(application, "shop/web:2.0", manual(2)).await;
    site.app
        .order_when(order, |order| order.state == domain::order::State::WaitingConfirmation)
        .await;
    let path = format!("/console/orders/{order}/live");
    let mut streams = Vec::new();
    for _ in 0..8 {
        let stream = site.stream(&path).await;
        assert_eq!(stream.status(), 200);
        streams.push(stream.bytes_stream());
    }
    assert_eq!(site.stream(&path).await.status(), 429);
    streams.truncate(1);
    // A place is free again once the server has noticed.
    eventually(async || {
        let status = site.stream(&path).await.status();
        if status == 200 { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    site.app.confirm(order, 2).await;
    let all: Vec<_> = streams.pop().unwrap().map(|part| part.unwrap()).collect().await;
    let text = String::from_utf8(all.concat()).unwrap();
    assert!(text.contains("Needs you") && text.contains("Succeeded"), "{text}");
    assert!(text.trim_end().ends_with('}') && text.contains("\"over\":true"), "{text}");
    let unknown = site.stream(&format!("/console/orders/{}/live", OrderId::new())).await;
    assert_eq!(unknown.status(), 404);
}

/// By HTTPS the cookie is one that no other host can set, and is never sent another way.
#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn by_https_the_cookie_is_bound_to_the_host(pool: PgPool) {
    let site = Site::start(pool).await;
    let link = site.app.service.make_link("alice").await.unwrap();
    let send =
        async |channel: console::Channel, request: axum::http::request::Builder, body: String| {
            let routes = console::routes(site.app.service.clone());
            let request = request
                .extension(channel)
                .extension(console::Visitor([192, 0, 2, 1].into()))
                .body(axum::body::Body::from(body))
                .unwrap();
            tower::ServiceExt::oneshot(routes.open, request).await.unwrap()
        };
    let post = || {
        axum::http::Request::builder()
            .method("POST")
            .uri("/console/link")
            .header("sec-fetch-site", "same-origin")
    };
    let form = format!("token={}", link.expose());
    let refused = send(console::Channel::Open, post(), form.clone()).await;
    assert_eq!(refused.status(), 403);
    let reply = send(console::Channel::Encrypted, post(), form).await;
    let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-sluice=") && cookie.contains("Path=/;"), "{cookie}");
    assert!(cookie.ends_with("; Secure") && !cookie.contains("Domain"), "{cookie}");
    assert!(reply.headers().contains_key("strict-transport-security"));
    let get = |value: &str| axum::http::Request::builder().uri("/console").header("cookie", value);
    let value = cookie.split(';').next().unwrap();
    let status =
        async |channel, value: &str| send(channel, get(value), String::new()).await.status();
    assert_eq!(status(console::Channel::Encrypted, value).await, 200);
    assert_eq!(status(console::Channel::Local, value).await, 401);
    assert_eq!(status(console::Channel::Encrypted, value.trim_start_matches("__Host-")).await, 401);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_stream_ends_with_the_server(pool: PgPool) {
    let site = Site::start(pool).await;
    let application = site.app.create("web", 2).await;
    let order = site.app.deploy(application, "shop/web:2.0", manual(2)).await;
    let mut stream = site.stream(&format!("/console/orders/{order}/live")).await;
    assert_eq!(stream.status(), 200);
    assert!(stream.chunk().await.unwrap().is_some(), "the first message comes at once");
    drop(site);
    let rest = async { while stream.chunk().await.unwrap().is_some() {} };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(5), rest).await;
    ended.expect("the stream ends with the server, which so ends in time");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_stream_ends_with_its_session_and_so_do_those_of_a_key_that_may_not_be_used(
    pool: PgPool,
) {
    let site = Site::start(pool.clone()).await;
    let application = site.app.create("web", 2).await;
    let order = site.app.deploy(application, "shop/web:2.0", manual(2)).await;
    let path = format!("/console/orders/{order}/live");
    let stream = site.stream(&path).await;
    let signed = service::Viewer { key_id: super::KEY.id.into(), session: None };
    let mut other = site.app.service.watch_order(order, &signed).await.unwrap();
    let reply = site.post("/console/sign-out", &[]).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let text = stream.text().await.unwrap();
    assert!(text.ends_with("event: signed-out\ndata: -\n\n"), "{text}");
    while !other.next().await.unwrap().order.needs_person() {}
    assert!(!other.is_shut_out());
    sqlx::query("UPDATE access_key SET enabled = false").execute(&pool).await.unwrap();
    while other.next().await.is_some() {}
    assert!(other.is_shut_out(), "the key may not be used");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_key_has_so_many_sessions_and_a_further_one_ends_the_oldest(pool: PgPool) {
    let site = Site::start(pool).await;
    for _ in 0..50 {
        assert_eq!(site.get("/console/orders").await.status, 200);
        let link = site.app.service.make_link("alice").await.unwrap();
        let visit = service::Visit::default();
        site.app.service.open_linked_session(&link, &visit).await.unwrap();
    }
    assert_eq!(site.app.service.sessions(&crate::support::caller()).await.unwrap().len(), 50);
    let shut_out = site.get("/console/orders").await;
    assert!(shut_out.header("location").contains("/console/sign-in"), "{}", shut_out.status);
}
