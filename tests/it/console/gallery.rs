//! Pictures of every page, for people to look at, and what axe-core has against them.

use std::{path::PathBuf, process::Stdio};

use domain::{
    access::{Grant, Role, Scope},
    hold::{HeldBy, WrittenRule},
    order::State,
};
use service::WantedKey;
use simulated::Config;
use sqlx::PgPool;
use tokio::process::Command;

use super::{
    Site,
    browser::Browser,
    people::{StandIn, people},
};
use crate::{
    documents::root,
    support::{App, manual, release},
};

/// The version of axe-core, which npm installs when the tests run.
const AXE: &str = "axe-core@4.11.0";

/// The text of axe-core.
async fn axe() -> String {
    let folder = root().join("target/axe");
    let script = folder.join("node_modules/axe-core/axe.min.js");
    if !script.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        let status = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
            .arg(&folder)
            .arg(AXE)
            .stdin(Stdio::null())
            .status()
            .await
            .expect("npm must be installed");
        assert!(status.success(), "npm cannot install {AXE}");
    }
    std::fs::read_to_string(script).unwrap()
}

#[sqlx::test(migrator = "store::MIGRATIONS")]
async fn every_page_is_drawn_and_axe_finds_nothing(pool: PgPool) {
    let start_delay = std::time::Duration::from_millis(10);
    let app = App::start_with(pool, Config { start_delay, ..Config::default() }).await;
    let issuer = StandIn::default().start().await;
    let mut site = Site::with(app, |address, seal| Some(people(&issuer, address, seal))).await;
    let axe = axe().await;
    let web = site.app.create("web", 10).await;
    let shop = site.app.create("checkout-service-with-a-long-name", 4).await;
    let idle = site.app.create("idle", 2).await;
    let request = service::Deploy {
        version: Some("2026.11.28-1".into()),
        description: "New prices".into(),
        ..release(web, "registry.example/shop/web:2.0", manual(1))
    };
    let done = site.app.service.deploy(&crate::support::caller(), request).await.unwrap();
    site.app.end_of(done).await;
    let failed = site.app.deploy(shop, "shop/web:9--image-pull-error", manual(2)).await;
    assert_eq!(site.app.end_of(failed).await.state, State::Failed);
    let waits = site.app.deploy(web, "registry.example/shop/web:3.0", manual(3)).await;
    site.app.order_when(waits, |order| order.state == State::WaitingConfirmation).await;
    let of_idle = WrittenRule {
        applications: vec!["idle".into()],
        reason: "two people".into(),
        ..WrittenRule::default()
    };
    let four_eyes = WrittenRule { name: "four-eyes".into(), ..of_idle.clone() };
    let periods = vec!["fri 18:00/mon 08:00".into()];
    let weekend = WrittenRule { name: "weekend".into(), periods, ..of_idle };
    for (by, rule) in [(HeldBy::Approval, four_eyes), (HeldBy::Freeze, weekend)] {
        site.app.service.create_hold_rule(&crate::support::caller(), by, &rule).await.unwrap();
    }
    let held = site.app.deploy(idle, "shop/web:2.0", manual(1)).await;
    site.app.order_when(held, |order| order.state == State::WaitingApproval).await;
    let version = site.app.service.history(web).await.unwrap().pop().unwrap().id;

    let browser = Browser::start().await;
    let pages = [
        ("sign-in", "/console/sign-in".to_owned()),
        ("sign-in-refused", "/console/sign-in/callback?code=c&state=s".into()),
        ("link", format!("/console/link/{}", "0".repeat(64))),
        ("applications", "/console".into()),
        ("application", format!("/console/apps/{web}")),
        ("application-orders", format!("/console/apps/{shop}?tab=orders")),
        ("application-pods", format!("/console/apps/{web}?tab=pods")),
        ("application-operate", format!("/console/apps/{web}?tab=operate")),
        ("application-manifest", format!("/console/apps/{web}?tab=manifest")),
        ("release", format!("/console/apps/{shop}/release")),
        ("return", format!("/console/apps/{web}/release?release={version}")),
        ("order-waits", format!("/console/orders/{waits}")),
        ("order-needs-approval", format!("/console/orders/{held}")),
        ("order-failed", format!("/console/orders/{failed}")),
        ("order-done", format!("/console/orders/{done}")),
        ("orders", "/console/orders".into()),
        ("keys", "/console/keys".into()),
        ("holds", "/console/holds".into()),
        ("channels", "/console/channels".into()),
        ("sessions", "/console/sessions".into()),
        ("not-found", "/console/nothing".into()),
    ];
    let (name, value) = site.cookie.split_once('=').unwrap();
    browser.open(&site, "/console/sign-in").await;
    let cookie = serde_json::json!({ "name": name, "value": value, "url": site.url("/") });
    browser.devtools("Network.setCookie", cookie).await;
    let mut found = Vec::new();
    let mut views: Vec<(String, Option<String>)> =
        pages.into_iter().map(|(name, path)| (name.to_owned(), Some(path))).collect();
    // What a form leads to has no address of its own.
    views.insert(10, ("preview".into(), None));
    for (name, path) in views {
        match &path {
            Some(path) => browser.open(&site, path).await,
            None => {
                browser.open(&site, &format!("/console/apps/{shop}/release")).await;
                browser.fill("image", "shop/web:4.0").await;
                browser.choose("mode-canary").await;
                browser.fill("canary", "1").await;
                browser.fill("batches", "2").await;
                browser.press("Show what it would do").await;
                browser.until_heading("What the release").await;
            }
        }
        found.extend(look(&browser, &axe, &name).await);
    }
    // The same for somebody who may only read.
    let reader = Some(Grant::role(Role::Reader, Scope::default()));
    site.becomes("rita", WantedKey { role: reader, ..WantedKey::default() }).await;
    let (name, value) = site.cookie.split_once('=').unwrap();
    let cookie = serde_json::json!({ "name": name, "value": value, "url": site.url("/") });
    browser.devtools("Network.setCookie", cookie).await;
    for (name, path) in [
        ("reader-order", format!("/console/orders/{waits}")),
        ("reader-application", format!("/console/apps/{web}")),
    ] {
        browser.open(&site, &path).await;
        browser.until(".withheld", "You may not").await;
        found.extend(look(&browser, &axe, name).await);
    }
    let complaints = browser.complaints().await;
    browser.end().await;
    // That a page is not there is what one of them is about.
    found.extend(complaints.into_iter().filter(|it| !is_meant(it)));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Draws a page at each width in each scheme, and says what is wrong with it.
async fn look(browser: &Browser, axe: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for width in [360, 1280] {
        browser.size(width).await;
        let overflow = browser
            .script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            .await;
        if overflow != 0 {
            found.push(format!("{name} at {width}: {overflow} px wider than the window"));
        }
        for scheme in ["light", "dark"] {
            browser.scheme(scheme).await;
            let picture = picture(browser).await;
            let file = folder().join(format!("{name}-{width}-{scheme}.png"));
            std::fs::write(file, picture).unwrap();
            for violation in violations(browser, axe).await {
                found.push(format!("{name} at {width}, {scheme}: {violation}"));
            }
        }
    }
    found
}

/// That these are refused is what they are about.
fn is_meant(complaint: &str) -> bool {
    ["/console/nothing", "/console/sign-in/callback"].iter().any(|path| complaint.contains(path))
}

fn folder() -> PathBuf {
    let folder = root().join("target/console");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The whole page, however long it is.
async fn picture(browser: &Browser) -> Vec<u8> {
    let whole = serde_json::json!({ "captureBeyondViewport": true });
    let taken = browser.devtools("Page.captureScreenshot", whole).await;
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
}

async fn violations(browser: &Browser, axe: &str) -> Vec<String> {
    let run = "const done = arguments[arguments.length - 1];
        axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
            .then((result) => done(result.violations.flatMap((it) => it.nodes.map((node) => `${it.id}: ${node.target} ${node.failureSummary}`))),
                (error) => done([String(error)]));";
    browser.driver.execute(axe, Vec::new()).await.unwrap();
    let told = browser.driver.execute_async(run, Vec::new()).await.unwrap();
    told.as_array()
        .unwrap_or_else(|| panic!("{told}"))
        .iter()
        .map(|it| it.as_str().unwrap_or_default().replace('\n', " "))
        .collect()
}
