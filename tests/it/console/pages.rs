//! Every page as a reply: what stands in it, and what must not.

use std::collections::BTreeSet;

use domain::{
    ApplicationId, OrderId,
    notice::{ChannelKind, NewChannel},
    order::State,
    template::spec::{EnvVar, Field, SpecChange},
};
use service::Deploy;
use sqlx::PgPool;

use super::{Reply, Site, elements, encoded, hidden};
use crate::support::{caller, creation, manual, release};

const SECRET: &str = "hunter2-is-secret";

/// What somebody writes who means harm.
const HOSTILE: &str = "</p><script>alert(1)</script>\"'<img src=x onerror=alert(1)>";

/// An application with a password in a variable, two versions, and an order that waits.
async fn shop(site: &Site) -> (ApplicationId, OrderId) {
    let spec = SpecChange {
        image: Some("shop/web:1.0".into()),
        env: Field::Set(vec![EnvVar::plain("PASSWORD", SECRET)]),
        ..SpecChange::default()
    };
    let mut new = creation(&site.app.namespace, "web", 4);
    new.spec = spec;
    new.description = HOSTILE.into();
    let (application, order) = site.app.service.create_application(&caller(), new).await.unwrap();
    assert_eq!(site.app.end_of(order).await.state, State::Succeeded);
    let one = release(application, "shop/web:2.0", manual(1));
    let one = Deploy { version: Some(HOSTILE.into()), description: HOSTILE.into(), ..one };
    let order = site.app.service.deploy(&caller(), one).await.unwrap();
    assert_eq!(site.app.end_of(order).await.state, State::Succeeded);
    let order = site.app.deploy(application, "shop/web:3.0", manual(2)).await;
    site.app.order_when(order, |order| order.state == State::WaitingConfirmation).await;
    (application, order)
}

/// What holds of every page.
pub fn check(path: &str, reply: &Reply) {
    let policy = reply.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"));
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(reply.header("cache-control"), "no-store", "{path}");
    // A page whose address is a secret says to nobody where one comes from.
    let is_secret = path.starts_with("/console/link/") || path.contains("/callback");
    let referrer = if is_secret { "no-referrer" } else { "same-origin" };
    assert_eq!(reply.header("referrer-policy"), referrer, "{path}");
    let html = &reply.body;
    assert!(!html.contains(SECRET), "{path} shows a secret");
    assert!(!html.contains("<script>") && !html.contains("<img"), "{path}: {html}");
    assert!(!html.contains(" style=") && !html.contains(" onclick="), "{path}");
    let elements = elements(html);
    let count = |name: &str| elements.iter().filter(|it| it.name == name).count();
    assert_eq!((count("h1"), count("main"), count("title")), (1, 1, 1), "{path}");
    let said = elements.iter().filter(|it| it.of("role") == "status").count();
    assert_eq!(said, 1, "{path} has one sentence that is read out: {html}");
    let labelled: BTreeSet<&str> =
        elements.iter().filter(|it| it.name == "label").map(|it| it.of("for")).collect();
    for field in &elements {
        let is_field = matches!(field.name.as_str(), "input" | "select" | "textarea");
        if is_field && field.of("type") != "hidden" {
            assert!(labelled.contains(field.of("id")), "{path}: no label for {field:?}");
        }
    }
    let mut ids = BTreeSet::new();
    for element in elements.iter().filter(|it| !it.of("id").is_empty()) {
        assert!(ids.insert(element.of("id")), "{path}: {} is there twice", element.of("id"));
    }
    for (index, form) in elements.iter().enumerate() {
        if form.name != "form" || form.of("method") != "post" || form.of("id") == "sign-in" {
            continue;
        }
        let has =
            |name: &str| elements.iter().any(|it| it.form == Some(index) && it.of("name") == name);
        let goes_once = form.of("action") == "/console/sign-out"
            || form.of("action") == "/console/link"
            // Asking what a release would do changes nothing.
            || (has("step") && !has("plan_hash"));
        assert!(goes_once || has("nonce"), "{path}: a form without a nonce: {form:?}");
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_page_is_whole_safe_and_leads_nowhere_wrong(pool: PgPool) {
    let site = Site::start(pool).await;
    let channel = NewChannel::read("ops", ChannelKind::Slack, &[], &[], &["we*".into()]).unwrap();
    let url = "http://127.0.0.1:9/planted".to_owned().into();
    site.app.service.create_channel(&channel, &url, None).await.unwrap();
    let (application, order) = shop(&site).await;
    let mut left = vec![
        "/console".to_owned(),
        "/console/apps?namespace=default&state=needs&q=we".into(),
        "/console/orders?state=open".into(),
        "/console/keys".into(),
        "/console/sessions".into(),
        "/console/sign-in".into(),
        format!("/console/link/{}", "0".repeat(64)),
        format!("/console/orders/{order}"),
        format!("/console/apps/{application}/release"),
    ];
    let (mut seen, mut pages) = (BTreeSet::new(), 0);
    while let Some(path) = left.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let reply = site.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        if !reply.header("content-type").starts_with("text/html") {
            continue;
        }
        check(&path, &reply);
        pages += 1;
        // Whatever a page links to is there.
        for element in elements(&reply.body) {
            let link = element.of("href");
            if link.starts_with('/') {
                left.push(link.to_owned());
            }
        }
    }
    for tab in ["versions", "orders", "pods", "operate", "manifest"] {
        assert!(seen.contains(&format!("/console/apps/{application}?tab={tab}")), "{seen:?}");
    }
    assert!(pages > 15, "{seen:?}");
    let manifest = site.get(&format!("/console/apps/{application}?tab=manifest")).await.body;
    assert!(manifest.contains("name: PASSWORD") && manifest.contains("(hidden)"), "{manifest}");
    let shown = site.get(&format!("/console/orders/{order}")).await.body;
    assert!(shown.contains("Continue with batch 2 (2 pods)"), "{shown}");
    assert!(
        shown.contains("Who was told") && shown.contains("<strong>waiting</strong>"),
        "{shown}"
    );
    let channels = site.get("/console/channels").await.body;
    assert!(channels.contains("applications we*") && !channels.contains("planted"), "{channels}");
    for path in ["/console/none", "/console/orders/x", &format!("/console/apps/{}", OrderId::new())]
    {
        let reply = site.get(path).await;
        assert_eq!(reply.status, 404);
        check(path, &reply);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_release_is_seen_before_it_is_ordered_and_ordered_once(pool: PgPool) {
    let site = Site::start(pool).await;
    let application = site.app.create("web", 4).await;
    let path = format!("/console/apps/{application}/release");
    let form = [
        ("source", "image"),
        ("image", "shop/web:2.0"),
        ("version", "two"),
        ("mode", "batches"),
        ("batches", "2"),
        ("pace", "manual"),
        ("reason", "because of <b>42</b>"),
    ];
    let seen = site.post(&path, &[&form[..], &[("step", "preview")]].concat()).await;
    assert_eq!(seen.status, 200, "{}", seen.body);
    check(&path, &seen);
    for part in ["image: shop/web:2.0", "image: shop/web:1.0", "then waits for you", "+2"] {
        assert!(seen.body.contains(part), "{part}: {}", seen.body);
    }
    assert_eq!(site.app.service.recent_orders(application).await.unwrap().len(), 1);

    // Another number of pods is another plan.
    let operate = format!("/console/apps/{application}/operate");
    let six = [("what", "scale"), ("replicas", "6"), ("nonce", "n-scale"), ("reason", "more")];
    let scaled = site.post(&operate, &six).await;
    assert_eq!(scaled.status, 303, "{}", scaled.body);
    let order: OrderId = scaled.header("location").rsplit('/').next().unwrap().parse().unwrap();
    let scaled = site.app.end_of(order).await;
    assert_eq!((scaled.created_by.as_str(), scaled.source), ("alice", domain::Source::Console));
    let shown = site.app.service.snapshot(order).await.unwrap();
    assert_eq!(shown.timeline[0].cause, "Scale from 4 to 6 instances: more");
    crate::support::eventually(async || {
        let pods = site.app.service.application(application).await.unwrap().replicas;
        if pods == 6 { Ok(()) } else { Err(format!("{pods}")) }
    })
    .await;

    let confirm = |page: &str| {
        let (nonce, hash) = (hidden(page, "nonce"), hidden(page, "plan_hash"));
        let own = [("step", "confirm"), ("nonce", &nonce), ("plan_hash", &hash)];
        encoded(&[&form[..], &own[..]].concat())
    };
    let headers = [("cookie", site.cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let stale = site.send("POST", &path, &headers, &confirm(&seen.body)).await;
    assert_eq!(stale.status, 409, "{}", stale.body);
    assert!(stale.body.contains("Nothing was ordered") && stale.body.contains("+3"));
    check(&path, &stale);
    let again = confirm(&stale.body);
    let (one, two) = tokio::join!(
        site.send("POST", &path, &headers, &again),
        site.send("POST", &path, &headers, &again)
    );
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (303, 303), "{}", one.body);
    assert_eq!(one.header("location"), two.header("location"));
    assert_eq!(site.app.service.recent_orders(application).await.unwrap().len(), 3);
    let page = site.get(one.header("location")).await.body;
    assert!(page.contains("because of &#60;b&#62;42&#60;/b&#62;"), "{page}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_wrong_form_comes_back_with_what_is_wrong_and_what_was_filled_in(pool: PgPool) {
    let site = Site::start(pool).await;
    let application = site.app.create("web", 4).await;
    let path = format!("/console/apps/{application}/release");
    let form = site.get(&path).await.body;
    assert!(!form.contains("name=\"jdk\""), "packages run on nothing here: {form}");
    for (fields, says) in [
        (&[("image", "")][..], "The image is missing."),
        (&[("image", "a b")], "The image has the value a b"),
        (&[("image", "w:2"), ("mode", "batches"), ("batches", "9")], "at most 4 batches"),
        (&[("image", "w:2"), ("mode", "batches"), ("batches", "x")], "must be a whole number"),
        (&[("image", "w:2"), ("mode", "canary"), ("canary", "3")], "at most half"),
        (&[("image", "w:2"), ("source", "package")], "The package&#39;s address is missing"),
    ] {
        let form = [fields, &[("step", "preview"), ("reason", "kept")]].concat();
        let reply = site.post(&path, &form).await;
        assert_eq!(reply.status, 422, "{says}: {}", reply.body);
        assert!(reply.body.contains(says), "{says}: {}", reply.body);
        assert_eq!(hidden(&reply.body, "reason"), "kept");
        check(&path, &reply);
    }
    let long = site.post(&path, &[("image", &"x".repeat(70_000))]).await;
    assert_eq!(long.status, 400, "{}", long.body);
    assert_eq!(site.app.service.recent_orders(application).await.unwrap().len(), 1);
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn lists_go_on_page_by_page_and_those_that_need_somebody_come_first(pool: PgPool) {
    let site = Site::start(pool.clone()).await;
    sqlx::query(
        "INSERT INTO application (id, cluster_id, namespace, name, logical_region, description, owner, created_by, created_at, replicas)
         SELECT gen_random_uuid(), 'default', 'shop', 'app-' || lpad(n::text, 3, '0'), 'cn-test', '', 'ci', 'ci', now(), 1 FROM generate_series(0, 119) AS n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let (application, _) = shop(&site).await;
    let mut path = "/console".to_owned();
    let mut found = Vec::new();
    for page in 0..3 {
        let body = site.get(&path).await.body;
        let all = elements(&body);
        let of_rows = all.iter().filter(|it| {
            it.of("href").starts_with("/console/apps/") && !it.of("href").contains('?')
        });
        found.extend(of_rows.map(|it| it.of("href").to_owned()));
        let next = all.iter().find(|it| it.of("rel") == "next").map(|it| it.of("href").to_owned());
        assert_eq!(next.is_none(), page == 2);
        path = next.unwrap_or_default();
    }
    assert_eq!(found[0], format!("/console/apps/{application}"));
    assert_eq!((found.len(), found.iter().collect::<BTreeSet<_>>().len()), (121, 121));
    let one = site.get("/console/apps?q=APP-07&state=quiet").await.body;
    assert_eq!(one.matches("scope=\"row\"").count(), 10, "{one}");
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn an_address_that_is_too_long_is_not_read(pool: PgPool) {
    let site = Site::start(pool).await;
    let long = "x".repeat(5000);
    for (path, status) in [
        (format!("/console/apps?q={}", &long[..64]), 400),
        (format!("/console/orders?q={}", &long[..64]), 400),
        (format!("/console/orders?namespace={long}"), 400),
        (format!("/console/apps?{}", "a=1&".repeat(41)), 400),
        (format!("/console/orders/{long}"), 404),
        (format!("/console/apps/{long}"), 404),
        (format!("/console/apps/{long}/release"), 404),
        (format!("/console/link/{long}"), 404),
        (format!("/console/{long}"), 404),
    ] {
        let reply = site.get(&path).await;
        let shown = &path[..30];
        assert_eq!(reply.status, status, "{shown}: {}", reply.body);
        assert!(reply.body.len() < 3000, "{shown}: {}", reply.body);
    }
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn a_package_is_released_on_a_jdk_and_a_web_container_that_there_are(pool: PgPool) {
    let app = crate::package::with_packages(crate::support::App::start(pool).await).await;
    let site = Site::of(app).await;
    let application = site.app.create("web", 2).await;
    let path = format!("/console/apps/{application}/release");
    let form = site.get(&path).await;
    check(&path, &form);
    for part in ["name=\"jdk\"", "name=\"web_container\"", ">Open JDK 8<", ">apache-tomcat-"] {
        assert!(form.body.contains(part), "{part}: {}", form.body);
    }
    let package = [("source", "package"), ("package", "http://files.example/a.war")];
    let wanted = [("jdk", "Open JDK 99"), ("web_container", "apache-tomcat-9")];
    let reply = site.post(&path, &[&package[..], &wanted, &[("step", "preview")]].concat()).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    assert!(reply.body.contains("Open JDK 99"), "the JDK is asked for: {}", reply.body);
}
